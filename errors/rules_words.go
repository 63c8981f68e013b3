package errors

import "regexp"

// openings are what SES, relays and tools put before the words that tell.
var openings = []string{
	"throttling failure: ", "transaction failed: ", "message rejected: ", "access denied: ", "connection closed by server. ",
	"service unavailable; ", "error: ", "response: ", "failed: ",
	"the ", "your ", "this ", "an ", "a ", "there are ", "there is ", "you have ", "you ", "email ", "amazon ses ", "specified ", "provided ",
}

// enhancedCode is an enhanced status code before words. Exchange and some
// gateways write "#5.1.1".
var enhancedCode = regexp.MustCompile(`^#?([245]\.\d{1,3}\.\d{1,3})(?:[ \t\r\n:;,"')\]}]|$)`)

// lostWords are how Go says that a connection broke or a context ended, and how
// Postfix does.
var lostWords = regexp.MustCompile(`(?i)\b(?:eof|connection reset by peer|broken pipe|i/o timeout|closed network connection|lost connection|deadline exceeded|context canceled|operation was canceled)\b`)

// repeatedWords are where SES repeats words of the mail: in angle brackets and
// in single quotes.
var repeatedWords = regexp.MustCompile(`<[^<>]*>| '[^']*'`)

// afterReplyCode is what tools put between a reply code and its words: "[535]
// Authentication …", "554, b'Message …", "code=454 message=…".
var afterReplyCode = regexp.MustCompile("^[-\\s:,;)\\]}>(\"'`]*(?:<<\"|b[\"']|[mrsMRS]\\w*[=:][-\\s:,;)\\]}>(\"'`]*)?")

// stringEnd is where a string of JSON or an element of XML ends.
var stringEnd = regexp.MustCompile(`"(?:[,}\])]|$)|</`)

// wordsStart is where the words of SES may begin in the text of a tool.
var wordsStart = regexp.MustCompile(`(?:^[: (-]*|[:,-] |["'(<>=])["']*([^a-z "'])`)

// sdkStatus is how the SDK for Go prints an operation of SES and its status.
var sdkStatus = regexp.MustCompile(`(?:^|\s)operation error (?i:ses).*?StatusCode: (\d{3})\b`)

// toolMarks are how texts begin that hold a tool's words before those of SES.
var toolMarks = regexp.MustCompile(`^(?i:operation error |an error occurred \(|error executing |http/1\.1 |http/2|aws::|\{"message":|com\.amazonaws\.|software\.amazon\.|botocore\.)`)

// identitySteps are how the errors begin that the SDK makes before a request is
// signed. They have no types of their own, except the last.
var identitySteps = []string{"get identity: ", "get credentials: ", "resolve auth scheme: ", "sign request: ", "failed to sign request: "}

// listEnds are what tools put behind the list of identities.
var listEnds = []string{
	" (in reply to", " (service:", " (client)", " [requestid", "; request id", ", affected recipient",
	" - <", "</", `"}`, `",`, `"]`, "'}", "',", ")]", " at com.", " at java", " stack trace", " the following identities",
}

// secretHints are in every text that holds secretWords.
var secretHints = []string{"auth plain ", "auth login ", "authorization: basic ", "token", "secret", "passw"}

// secretWords are the secrets that logs and refusals of a signature repeat: the
// response to AUTH, where it looks encoded, and what follows the name of a key,
// a token or a password with ":" or "=". The last group is the secret.
var secretWords = []*regexp.Regexp{
	regexp.MustCompile(`(?i)\b(auth plain |auth login |authorization: basic )([^ "'&,;<>)}\]]*[0-9+/=][^ "'&,;<>)}\]]*)`),
	regexp.MustCompile(`\b((?i:auth plain |auth login |authorization: basic ))([a-zA-Z]*[A-Z][a-zA-Z]*[A-Z][a-zA-Z]*)`),
	regexp.MustCompile(`(?i)\b((?:(?:x-)?amz-security-token|aws_secret_access_key|aws_session_token|secretaccesskey|secret_access_key|sessiontoken|session_token|password|passwd)[ "']*[:=][ "']*)([^ "'&,;<>)}\]]+)`),
}

// entities are the escapes of XML and JSON that occur in pasted replies.
var entities = []struct {
	text string
	r    rune
}{
	{"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}, {"&#39;", '\''}, {"&#x27;", '\''},
	{"&#34;", '"'}, {"&amp;", '&'}, {`\r`, ' '}, {`\n`, '\n'}, {`\t`, ' '}, {`\"`, '"'}, {`\'`, '\''}, {`\/`, '/'}, {`\\`, '\\'},
}
