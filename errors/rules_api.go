package errors

// An apiRule says what an API code means.
type apiRule struct {
	rule
	// general: the code alone says little, so the texts of sharedRules are
	// asked before it counts.
	general bool
	// doubt: SES may have accepted the message all the same. It counts where
	// the HTTP status is not known.
	doubt bool
}

const (
	general = true
	exact   = false
	doubt   = true
	sure    = false
)

// apiRules are the codes of API v1 and v2, written without the suffix
// "Exception" that some SDKs and versions add. Rows of one code stand
// together: those with a text first, the meaning of the bare code last.
var apiRules = []apiRule{
	// Rate and quota: one code for both, only the text tells.
	{rule{"TooManyRequests", "", SendRateExceeded, docV2}, general, sure},
	{rule{"Throttling", "", SendRateExceeded, docCommon}, general, sure},
	{rule{"Throttled", "", SendRateExceeded, docCommon}, general, sure},
	{rule{"RequestThrottled", "", SendRateExceeded, docCommon}, general, sure},
	{rule{"RequestLimitExceeded", "", SendRateExceeded, docCommon}, general, sure},
	{rule{"BandwidthLimitExceeded", "", SendRateExceeded, docCommon}, general, sure},
	{rule{"SlowDown", "", SendRateExceeded, docCommon}, general, sure},
	{rule{"MaxSendRateExceeded", "", SendRateExceeded, seen}, general, sure},
	{rule{"Daily24HourQuotaExceeded", "", DailyQuotaExceeded, seen}, general, sure},
	{rule{"LimitExceeded", "", LimitExceeded, docV2}, general, sure},
	{rule{"ServiceQuotaExceeded", "", LimitExceeded, docCommon}, general, sure},

	// The account and its settings.
	{rule{"AccountSuspended", "", AccountSuspended, docV2}, exact, sure},
	{rule{"AccountSendingPaused", "", SendingPaused, docV1}, exact, sure},
	{rule{"SendingPaused", "configuration set", ConfigurationSetPaused, docV2}, exact, sure},
	{rule{"SendingPaused", "tenant", ConfigurationSetPaused, docTenants}, exact, sure},
	{rule{"SendingPaused", "", SendingPaused, docV2}, exact, sure},
	{rule{"ConfigurationSetSendingPaused", "", ConfigurationSetPaused, docV1}, exact, sure},
	{rule{"ConfigurationSetDoesNotExist", "", ConfigurationSetMissing, docV1}, exact, sure},
	{rule{"ConfigurationSetNotFound", "", ConfigurationSetMissing, seen}, exact, sure},
	{rule{"MailFromDomainNotVerified", "", MailFromDomainNotVerified, docV2}, exact, sure},
	{rule{"FromEmailAddressNotVerified", "", IdentityNotVerified, docV1}, exact, sure},
	{rule{"EmailAddressNotVerified", "", IdentityNotVerified, seen}, exact, sure},
	{rule{"IdentityNotVerified", "", IdentityNotVerified, seen}, exact, sure},
	{rule{"ProductionAccessNotGranted", "", AccessDenied, docV1}, exact, sure},
	{rule{"OptInRequired", "", NotSubscribed, docCommon}, exact, sure},
	{rule{"SubscriptionRequired", "", NotSubscribed, docCommon}, exact, sure},
	{rule{"NotSignedUp", "", NotSubscribed, docCommon}, exact, sure},
	{rule{"AccessDenied", "not subscribed", NotSubscribed, seen}, exact, sure},
	{rule{"AccessDenied", "signature expired", ClockSkew, docSigning}, exact, sure},
	{rule{"AccessDenied", "", AccessDenied, docCommon}, exact, sure},
	{rule{"NotAuthorized", "", AccessDenied, docCommon}, exact, sure},
	{rule{"Unauthorized", "", AccessDenied, docCommon}, exact, sure},
	{rule{"UnauthorizedOperation", "", AccessDenied, docCommon}, exact, sure},
	{rule{"UnauthorizedAccess", "", AccessDenied, docCommon}, exact, sure},
	{rule{"Forbidden", "", AccessDenied, docCommon}, general, sure},

	// Credentials and signatures.
	{rule{"InvalidClientTokenId", "", CredentialsInvalid, docCommon}, exact, sure},
	{rule{"UnrecognizedClient", "", CredentialsInvalid, docCommon}, exact, sure},
	{rule{"InvalidAccessKeyId", "", CredentialsInvalid, docCommon}, exact, sure},
	{rule{"InvalidSecurityToken", "", CredentialsInvalid, docCommon}, exact, sure},
	{rule{"InvalidSecurity", "", CredentialsInvalid, docCommon}, exact, sure},
	{rule{"InvalidToken", "", CredentialsInvalid, docCommon}, exact, sure},
	{rule{"AuthFailure", "", CredentialsInvalid, docCommon}, exact, sure},
	{rule{"MissingAuthenticationToken", "", CredentialsInvalid, docCommon}, exact, sure},
	{rule{"MissingSecurityHeader", "", CredentialsInvalid, docCommon}, exact, sure},
	{rule{"MissingCredentials", "", CredentialsInvalid, seenClients}, exact, sure},
	{rule{"IncompleteSignature", "", CredentialsInvalid, docCommon}, general, sure},
	{rule{"SignatureDoesNotMatch", "", CredentialsInvalid, docSigning}, general, sure},
	{rule{"InvalidSignature", "", CredentialsInvalid, docSigning}, general, sure},
	{rule{"ExpiredToken", "", CredentialsExpired, docCommon}, exact, sure},
	{rule{"TokenRefreshRequired", "", CredentialsExpired, docCommon}, exact, sure},
	{rule{"CredentialsExpired", "", CredentialsExpired, docCommon}, exact, sure},
	{rule{"RequestExpired", "", ClockSkew, docCommon}, exact, sure},
	{rule{"RequestTimeTooSkewed", "", ClockSkew, docSigning}, exact, sure},
	{rule{"RequestInTheFuture", "", ClockSkew, docSigning}, exact, sure},
	{rule{"SignatureExpired", "", ClockSkew, docSigning}, exact, sure},

	// The message and the request.
	{rule{"MessageRejected", "", MessageRejected, docV2}, general, sure},
	{rule{"BadRequest", "", InvalidParameter, docV2}, general, sure},
	{rule{"InvalidParameterValue", "", InvalidParameter, docV1}, general, sure},
	{rule{"InvalidParameterCombination", "", InvalidParameter, docCommon}, general, sure},
	{rule{"InvalidParameter", "", InvalidParameter, docCommon}, general, sure},
	{rule{"InvalidQueryParameter", "", InvalidParameter, docCommon}, general, sure},
	{rule{"MissingParameter", "", InvalidParameter, docCommon}, general, sure},
	{rule{"Validation", "", InvalidParameter, docCommon}, general, sure},
	{rule{"ValidationError", "", InvalidParameter, docCommon}, general, sure},
	{rule{"InvalidInput", "", InvalidParameter, docCommon}, general, sure},
	{rule{"InvalidRequest", "", InvalidParameter, docCommon}, general, sure},
	{rule{"Serialization", "", InvalidParameter, seen}, general, sure},
	{rule{"InvalidNextToken", "", InvalidParameter, docV2}, exact, sure},
	{rule{"AlreadyExists", "", InvalidParameter, docV2}, exact, sure},
	{rule{"MalformedHttpRequest", "", InvalidParameter, docCommon}, exact, sure},
	{rule{"MalformedQueryString", "", InvalidParameter, docCommon}, exact, sure},
	{rule{"MalformedInput", "", InvalidParameter, docCommon}, exact, sure},
	{rule{"InvalidAction", "", InvalidParameter, docCommon}, exact, sure},
	{rule{"MissingAction", "", InvalidParameter, docCommon}, exact, sure},
	{rule{"UnknownOperation", "", InvalidParameter, docCommon}, exact, sure},
	{rule{"UnsupportedMediaType", "", InvalidParameter, docCommon}, exact, sure},
	{rule{"UnsupportedOperation", "", InvalidParameter, docCommon}, exact, sure},
	{rule{"MethodNotAllowed", "", InvalidParameter, docCommon}, exact, sure},
	{rule{"NotAcceptable", "", InvalidParameter, docCommon}, exact, sure},
	{rule{"InvalidTagValue", "", InvalidTag, seen}, exact, sure},
	{rule{"InvalidConfigurationSet", "", InvalidParameter, docV1}, exact, sure},
	{rule{"RequestEntityTooLarge", "", MessageTooLong, docCommon}, exact, sure},
	{rule{"RequestTooLarge", "", MessageTooLong, docCommon}, exact, sure},
	{rule{"MessageTooLarge", "", MessageTooLong, seen}, exact, sure},
	{rule{"TemplateDoesNotExist", "", TemplateMissing, docV1}, exact, sure},
	{rule{"TemplateNotFound", "", TemplateMissing, seen}, exact, sure},
	{rule{"CustomVerificationEmailTemplateDoesNotExist", "", TemplateMissing, docV1}, exact, sure},
	{rule{"MissingRenderingAttribute", "", TemplateInvalid, docV1}, exact, sure},
	{rule{"InvalidRenderingParameter", "", TemplateInvalid, docV1}, exact, sure},
	{rule{"InvalidTemplate", "", TemplateInvalid, docV1}, exact, sure},
	{rule{"NotFound", "", NotFound, docV2}, general, sure},
	{rule{"ResourceNotFound", "", NotFound, docV2}, general, sure},

	// Trouble in SES.
	{rule{"ServiceUnavailable", "", ServiceFailure, docCommon}, exact, sure},
	{rule{"InternalFailure", "", ServiceFailure, docCommon}, exact, doubt},
	{rule{"InternalError", "", ServiceFailure, docCommon}, exact, doubt},
	{rule{"InternalServerError", "", ServiceFailure, docCommon}, exact, doubt},
	{rule{"InternalServer", "", ServiceFailure, docCommon}, exact, doubt},
	{rule{"InternalService", "", ServiceFailure, docCommon}, exact, doubt},
	{rule{"InternalServiceError", "", ServiceFailure, docV2}, exact, doubt},
	{rule{"RequestTimeout", "", RequestTimeout, docCommon}, exact, sure},
	{rule{"RequestAborted", "", RequestTimeout, docCommon}, exact, sure},
	{rule{"ConcurrentModification", "", Conflict, docV2}, exact, sure},
	{rule{"Conflict", "", Conflict, docV2}, exact, sure},
	{rule{"OperationAborted", "", Conflict, docCommon}, exact, sure},
	{rule{"TransactionInProgress", "", Conflict, docCommon}, exact, sure},
	{rule{"PriorRequestNotComplete", "", Conflict, docCommon}, exact, sure},
}

// statusRules say what an HTTP status means that comes without a code, from a
// gateway or a proxy. Other 4xx are Unrecognized and Rejected, 5xx a failure of
// the service.
var statusRules = []rule{
	{code: "401", reason: AccessDenied, source: docCommon},
	{code: "403", reason: AccessDenied, source: docCommon},
	{code: "408", reason: RequestTimeout, source: docCommon},
	{code: "409", reason: Conflict, source: docCommon},
	{code: "413", reason: MessageTooLong, source: docCommon},
	{code: "429", reason: SendRateExceeded, source: docCommon},
	{code: "5", reason: ServiceFailure, source: docCommon},
}

// bulkRules are the statuses of bulk entries, written as v2 and v1 do but
// without "_" and regard to case.
var bulkRules = []apiRule{
	{rule{"MESSAGE_REJECTED", "", MessageRejected, docBulk}, general, sure},
	{rule{"MAIL_FROM_DOMAIN_NOT_VERIFIED", "", MailFromDomainNotVerified, docBulk}, exact, sure},
	{rule{"CONFIGURATION_SET_NOT_FOUND", "", ConfigurationSetMissing, docBulk}, exact, sure},
	{rule{"CONFIGURATION_SET_DOES_NOT_EXIST", "", ConfigurationSetMissing, docBulkV1}, exact, sure},
	{rule{"TEMPLATE_NOT_FOUND", "", TemplateMissing, docBulk}, exact, sure},
	{rule{"TEMPLATE_DOES_NOT_EXIST", "", TemplateMissing, docBulkV1}, exact, sure},
	{rule{"ACCOUNT_SUSPENDED", "", AccountSuspended, docBulk}, exact, sure},
	{rule{"ACCOUNT_THROTTLED", "", SendRateExceeded, docBulk}, exact, sure},
	{rule{"ACCOUNT_DAILY_QUOTA_EXCEEDED", "", DailyQuotaExceeded, docBulk}, exact, sure},
	{rule{"INVALID_SENDING_POOL_NAME", "", InvalidSendingPool, docBulk}, exact, sure},
	{rule{"ACCOUNT_SENDING_PAUSED", "", SendingPaused, docBulk}, exact, sure},
	{rule{"CONFIGURATION_SET_SENDING_PAUSED", "", ConfigurationSetPaused, docBulk}, exact, sure},
	{rule{"INVALID_PARAMETER", "", InvalidParameter, docBulk}, general, sure},
	{rule{"INVALID_PARAMETER_VALUE", "", InvalidParameter, docBulkV1}, general, sure},
	{rule{"TRANSIENT_FAILURE", "", ServiceFailure, docBulk}, exact, sure},
	{rule{"FAILED", "", ServiceFailure, docBulk}, general, sure},
}
