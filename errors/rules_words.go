package errors

// openings are what SES, relays and tools put before the words that tell.
var openings = []string{
	"throttling failure:", "transaction failed:", "message rejected:", "access denied:", "connection closed by server.",
	"service unavailable;", "recipient address rejected:", "error:", "response:", "failed:",
	"the", "your", "this", "an", "a", "there are", "there is", "you have", "you", "email", "amazon ses", "specified", "provided",
}

// lostWords are how Go says that a connection broke or a context ended.
var lostWords = []string{
	"eof", "connection reset by peer", "broken pipe", "i/o timeout", "closed network connection", "lost connection",
	"connection lost", "deadline exceeded", "context canceled", "operation was canceled",
}

// toolMarks are how texts begin that hold a tool's words before those of SES.
var toolMarks = []string{
	"operation error ", "an error occurred (", "error executing ", "http/1.1 ", "http/2", "aws::", `{"message":`,
	"com.amazonaws.", "software.amazon.", "botocore.",
}

// identitySteps are how the errors begin that the SDK makes before a request is
// signed. They have no types of their own, except the last.
var identitySteps = []string{"get identity: ", "get credentials: ", "resolve auth scheme: ", "sign request: ", "failed to sign request: "}

// listEnds are what tools put behind the list.
var listEnds = []string{
	" (in reply to", " (service:", " (client)", " [requestid", "; request id", ", affected recipient",
	" - <", "</", `"}`, `",`, `"]`, "'}", "',", ")]", " at com.", " at java", " stack trace", " the following identities",
}

// secretMarks are the words before a secret that logs and refusals of a
// signature repeat: "AUTH PLAIN" and its response, and the names of keys and
// tokens, which ":" or "=" follows.
var secretMarks = []string{
	"auth plain ", "auth login ", "authorization: basic ", "x-amz-security-token", "amz-security-token",
	"aws_secret_access_key", "aws_session_token", "secretaccesskey", "secret_access_key", "sessiontoken", "session_token", "password", "passwd",
}

// entities are the escapes of XML and JSON that occur in pasted replies.
var entities = []struct {
	text string
	r    rune
}{
	{"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}, {"&#39;", '\''}, {"&#x27;", '\''},
	{"&#34;", '"'}, {"&amp;", '&'}, {`\r`, ' '}, {`\n`, '\n'}, {`\t`, ' '}, {`\"`, '"'}, {`\'`, '\''}, {`\/`, '/'}, {`\\`, '\\'},
}
