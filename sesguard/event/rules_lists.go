package event

// blockLists are the lists that receivers name. The first whose token occurs
// in the words or links of a reply is the one that is blamed, so the narrow
// names stand before the wide ones.
var blockLists = []struct {
	token string // in lower case
	name  string
	page  string // where the operator is asked to take an entry off
	links bool   // it lists what mails link to, too
}{
	{"dbl.spamhaus.org", "Spamhaus DBL", "https://check.spamhaus.org/", true},
	{"spamhaus.org/dbl", "Spamhaus DBL", "https://check.spamhaus.org/", true},
	{"spamhaus dbl", "Spamhaus DBL", "https://check.spamhaus.org/", true},
	{"zen.spamhaus.org", "Spamhaus ZEN", "https://check.spamhaus.org/", false},
	{"sbl-xbl.spamhaus.org", "Spamhaus SBL-XBL", "https://check.spamhaus.org/", false},
	{"xbl.spamhaus.org", "Spamhaus XBL", "https://check.spamhaus.org/", false},
	{"pbl.spamhaus.org", "Spamhaus PBL", "https://check.spamhaus.org/", false},
	{"sbl.spamhaus.org", "Spamhaus SBL", "https://check.spamhaus.org/", false},
	{"spamhaus sbl", "Spamhaus SBL", "https://check.spamhaus.org/", false},
	{"spamhaus xbl", "Spamhaus XBL", "https://check.spamhaus.org/", false},
	{"spamhaus-xbl", "Spamhaus XBL", "https://check.spamhaus.org/", false},
	{"spamhaus.org/xbl", "Spamhaus XBL", "https://check.spamhaus.org/", false},
	{"spamhaus pbl", "Spamhaus PBL", "https://check.spamhaus.org/", false},
	{"spamhaus css", "Spamhaus CSS", "https://check.spamhaus.org/", false},
	{"spamhaus zen", "Spamhaus ZEN", "https://check.spamhaus.org/", false},
	{"spamhaus", "Spamhaus", "https://check.spamhaus.org/", false},
	{"spamcop", "SpamCop", "https://www.spamcop.net/bl.shtml", false},
	{"barracudacentral", "Barracuda", "https://www.barracudacentral.org/rbl/removal-request", false},
	{"barracuda central", "Barracuda", "https://www.barracudacentral.org/rbl/removal-request", false},
	{"barracuda reputation", "Barracuda", "https://www.barracudacentral.org/rbl/removal-request", false},
	{"sorbs", "SORBS", "", false},
	{"uceprotect", "UCEPROTECT", "https://www.uceprotect.net/", false},
	{"abuseat.org", "Spamhaus XBL", "https://check.spamhaus.org/", false},
	{"abusix", "Abusix", "https://lookup.abusix.com/", false},
	{"psbl.surriel.com", "PSBL", "https://psbl.org/", false},
	{"mailspike", "Mailspike", "https://mailspike.org/", false},
	{"multi.uribl.com", "URIBL", "https://admin.uribl.com/", true},
	{"uribl", "URIBL", "https://admin.uribl.com/", true},
	{"surbl", "SURBL", "https://surbl.org/surbl-analysis", true},
	{"invaluement", "Invaluement", "https://www.invaluement.com/lookup/", false},
	{"manitu.net", "NiX Spam", "", false},
	{"backscatterer", "Backscatterer", "https://www.backscatterer.org/", false},
	{"gbudb", "GBUdb", "", false},
	{"senderscore", "Sender Score", "https://senderscore.org/", false},
	{"csi.cloudmark.com", "Cloudmark CSI", "https://csi.cloudmark.com/en/reset/", false},
	{"proofpoint.com", "Proofpoint", "https://ipcheck.proofpoint.com/", false},
	{"senderbase.org", "Cisco Talos", "https://talosintelligence.com/reputation_center", false},
	{"talosintelligence", "Cisco Talos", "https://talosintelligence.com/reputation_center", false},
	{"trendmicro", "Trend Micro ERS", "https://servicecentral.trendmicro.com/en-us/ers/ip-lookup/", false},
	{"mail-abuse.com", "Trend Micro ERS", "https://servicecentral.trendmicro.com/en-us/ers/ip-lookup/", false},
	{"sender.office.com", "Microsoft 365", "https://sender.office.com/", false},
	{"banned sending ip", "Microsoft 365", "https://sender.office.com/", false},
	{"s3140", "Outlook.com", "https://olcsupport.office.com/", false},
	{"s3150", "Outlook.com", "https://olcsupport.office.com/", false},
	{"(bl)", "T-Online", "mailto:tosa@rx.t-online.de", false},
	{"attrbl", "AT&T", "", false},
	{"postmaster.comcast.net", "Comcast", "https://spa.xfinity.com/report", false},
	{"spectrum.net", "Spectrum", "https://www.spectrum.net/support/internet/understanding-email-error-codes", false},
	{"yahoo", "Yahoo", "https://senders.yahooinc.com/contact", false},
}
