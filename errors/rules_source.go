package errors

// A source says where an answer is documented.
type source string

const (
	docSMTP      source = `SES Developer Guide, "Amazon SES SMTP issues", reply codes`
	docErrors    source = `SES Developer Guide, "Amazon SES email sending errors"`
	docQuotas    source = `SES Developer Guide, "Service quotas in Amazon SES"`
	docHeaders   source = `SES Developer Guide, "Amazon SES header fields"`
	docTypes     source = `SES Developer Guide, "Unsupported attachment types"`
	docTemplates source = `SES Developer Guide, "Using templates to send personalized email"`
	docTenants   source = `SES Developer Guide, "Managing tenants"`
	docV1        source = "SES API Reference (v1), errors of the send operations"
	docV2        source = "SES API v2 Reference, errors of SendEmail and SendBulkEmail"
	docBulk      source = "SES API v2 Reference, BulkEmailEntryResult"
	docBulkV1    source = "SES API Reference (v1), BulkEmailDestinationStatus"
	docCommon    source = "SES API Reference, Common Errors"
	docSigning   source = "AWS IAM User Guide, troubleshooting signed requests"
	docSMTPRFC   source = "RFC 5321 §4.2.2, reply codes by function group"
	docAuthRFC   source = "RFC 4954 §6, status codes of AUTH"
	docTLSRFC    source = "RFC 3207 §4, STARTTLS"
	docHTTPRFC   source = "RFC 9110 §15, status codes"
	docEnhanced  source = "RFC 3463 §3, enumerated status codes"
	seen         source = "seen in public reports of SES's replies"
	seenServers  source = "seen in replies of other mail servers, relays and gateways"
	seenClients  source = "seen in the texts of mail libraries and AWS SDKs"
)
