package errors

import "strings"

var (
	echoTexts = newMatcher(documented(echoRules))
	netTexts  = newMatcher(netOnly(netRules))
	// bareTexts are the replies that are known by their words alone. What other
	// servers say, such as "connection timeout", is too common for that.
	bareTexts = newMatcher(documented(echoRules), documented(sharedRules), documented(smtpRules), documented(vagueRules)).strict()
)

func documented(rows []rule) (rules []rule) {
	for _, r := range rows {
		if r.source != seenServers {
			rules = append(rules, r)
		}
	}
	return rules
}

func netOnly(rows []netRule) []rule {
	rules := make([]rule, len(rows))
	for i, r := range rows {
		rules[i] = r.rule
	}
	return rules
}

// localClass is the class of a reason that was found without an answer of SES:
// what it would have Rejected is Invalid then.
func localClass(r Reason) Class {
	if c := r.Class(); c != Rejected {
		return c
	}
	return Invalid
}

// fromText fills in e from any text: a reply that some library, relay or log
// wrapped in words of its own, or the words of a failed connection. What stands
// in the text decides in this order: an API code, a reply code, an HTTP status,
// a failure of the connection, the words of a reply without its code.
func (e *Error) fromText(text string) {
	text = clean(text)
	if strings.Contains(text, `\`) { // JSON within JSON
		text = clean(text)
	}
	if strings.Contains(text, "_said:_") { // qmail logs replies with "_" for a blank
		text = strings.ReplaceAll(text, "_", " ")
	}
	text, _, _ = strings.Cut(text, " response headers:") // the SDK for C++ lists them
	a := answer{status: findStatus(text), message: text}
	if code, words := findCode(text); code != "" {
		a.code, a.message, a.rest = code, words, text
		e.fromCode(a)
		return
	}
	if code := markedCode(text); code != "" && a.status != 0 {
		a.code = code
		e.fromAnswer(a)
		return
	}
	if code, words := findReply(text, a.status != 0); code != 0 {
		e.Code = code
		e.fromReply(words, text)
		return
	}
	if a.status != 0 {
		e.fromAnswer(a)
		return
	}
	e.fromWords(text)
}

// fromCode fills in e from a text that holds an API code or a bulk status.
func (e *Error) fromCode(a answer) {
	if strings.Contains(a.code, "_") {
		bulk := FromBulkStatus(a.code, a.message)
		bulk.Op, bulk.Err = e.Op, e.Err
		*e = *bulk
		return
	}
	e.fromAnswer(a)
}

// fromWords fills in e from a text, already clean, that holds no code at all.
func (e *Error) fromWords(text string) {
	e.Message = shown(text)
	if reason, ok := echoTexts.reason("", text); ok {
		e.Reason, e.Class = reason, reason.Class()
		e.addIdentities(text)
		return
	}
	if i := netTexts.find("", text); i >= 0 {
		e.Reason, e.Class = netRules[i].reason, localClass(netRules[i].reason)
		e.MaybeAccepted = !netRules[i].unsent
		return
	}
	if reason, ok := bareTexts.reason("", text); ok {
		e.Reason, e.Class = reason, reason.Class()
		e.addIdentities(text)
		return
	}
	e.Reason, e.Class = Unrecognized, Unknown
}

// findCode returns the first API code or bulk status of the tables that stands
// in text as a word, and the words after it.
func findCode(text string) (code, words string) {
	for i := 0; i < len(text); {
		if !isUpper(text[i]) || i > 0 && isWord(text[i-1]) {
			i++
			continue
		}
		end := i + 1
		for end < len(text) && isWord(text[end]) {
			end++
		}
		if word := text[i:end]; isCode(word, text[:i], text[end:]) {
			return word, strings.TrimLeft(text[end:], ": ")
		}
		i = end
	}
	return "", ""
}

// codeMarks are what tools print before an API code, known or not.
var codeMarks = []string{"api error ", "an error occurred (", "error code: ", "<code>"}

// markedCode returns the word that a tool calls an API code, or "".
func markedCode(text string) string {
	for _, mark := range codeMarks {
		i := index(text, mark)
		if i < 0 {
			continue
		}
		word := text[i+len(mark):]
		n := 0
		for n < len(word) && n < maxCode && isWord(word[n]) {
			n++
		}
		if n > 0 && isUpper(word[0]) {
			return word[:n]
		}
	}
	return ""
}

func isWord(c byte) bool { return isAlnum(c) || c == '_' }

// isCode reports whether a word that starts with a capital is a code. A word
// that could be an ordinary one, like Throttling, must stand where tools print
// codes.
func isCode(word, before, after string) bool {
	if len(word) > maxCode {
		return false
	}
	if strings.IndexByte(word, '_') > 0 {
		_, ok := bulkIndex.lookup(word)
		return ok && strings.ToUpper(word) == word
	}
	if _, ok := apiIndex.lookup(word); !ok || !hasLower(word) {
		return false
	}
	return capitals(word) > 1 || endsInAny(before, "(", "<Code>", "Code: ", `"`, "'", "api error ", "::") ||
		strings.HasPrefix(after, ":") || strings.HasPrefix(after, " (client)")
}

func hasLower(s string) bool { return strings.ToUpper(s) != s }

func capitals(s string) (n int) {
	for i := 0; i < len(s); i++ {
		if isUpper(s[i]) {
			n++
		}
	}
	return n
}

func endsInAny(s string, ends ...string) bool {
	for _, end := range ends {
		if strings.HasSuffix(s, end) {
			return true
		}
	}
	return false
}

// sdkMark is what the AWS SDK for Go prints before any HTTP status.
const sdkMark = "https response error statuscode"

// statusMarks are what tools print before an HTTP status.
var statusMarks = []string{sdkMark, "statuscode", "status code", "status_code", "http/1.1", "http/1.0", "http/2.0", "http/2", "http status", "http error", "http code", "http_code", "http response code", "error occurred ("}

// statusPhrases are statuses with the phrase that RFC 9110 §15 gives them.
var statusPhrases = []string{
	"400 bad request", "401 unauthorized", "403 forbidden", "404 not found", "408 request timeout", "409 conflict",
	"413 request entity too large", "413 payload too large", "413 content too large", "429 too many requests",
	"500 internal server error", "500: server error", "500 server error", "502 bad gateway",
	"503 service unavailable", "503 service temporarily unavailable", "503: service unavailable", "503 slow down",
	"504 gateway timeout", "504 gateway time-out",
}

// findStatus returns the HTTP status that a text names, or 0.
func findStatus(text string) int {
	if index(text, "status") >= 0 || index(text, "http") >= 0 || index(text, "error occurred (") >= 0 {
		if s := markedStatus(text); s != 0 {
			return s
		}
	}
	for i := 0; i < len(text); i++ {
		if text[i] != '4' && text[i] != '5' || i > 0 && isWord(text[i-1]) {
			continue
		}
		for _, phrase := range statusPhrases {
			if hasPrefix(text[i:], phrase) {
				return number(phrase)
			}
		}
	}
	return 0
}

// markedStatus returns the first number behind a mark that is a status.
func markedStatus(text string) int {
	for _, mark := range statusMarks {
		for rest := text; ; {
			i := index(rest, mark)
			if i < 0 {
				break
			}
			rest = rest[i+len(mark):]
			if s := number(strings.TrimLeft(rest, `:="'( `)); isHTTPStatus(s) || mark == sdkMark && s >= 400 {
				return s
			}
		}
	}
	return 0
}

// isHTTPStatus reports whether n is a failed HTTP status and not rather the
// code of an SMTP reply.
func isHTTPStatus(n int) bool {
	return n >= 400 && n <= 417 || n == 422 || n == 429 || n >= 500 && n <= 504
}

// number returns the three digits that s starts with, or 0.
func number(s string) int {
	if len(s) < 3 || digits(s, 0) != 3 || len(s) > 3 && isAlnum(s[3]) {
		return 0
	}
	return int(s[0]-'0')*100 + int(s[1]-'0')*10 + int(s[2]-'0')
}

// replyMarks are what tools print directly before a reply code.
var replyMarks = []string{"said: ", "code: ", "code ", `code":`, `code": `, "code=", `code "`, "status: ", "status ", "error: ", "error ", "reply: ", "reply=", "response: ", "response=", "response ", "exception: ", "data: ", "failed: ", "denied: ", "message: ", "smtp: ", `"`, "(", "`", "b'", "<<< ", "<** ", "<- ", "> ", "smtp; ", "smtp;", "got "}

// findReply returns the reply code that a text holds and the words after it.
// Three digits are a code when words follow as they do in a reply or when a
// tool announces them; with an HTTP status in the text, only the former.
func findReply(text string, http bool) (code int, words string) {
	for i := 0; i+3 <= len(text); i++ {
		if !isReplyCode(text[i:i+3]) || !isFree(text, i) {
			continue
		}
		n := number(text[i:])
		if n == 0 || http && isHTTPStatus(n) {
			continue
		}
		after, bracketed := afterCode(text, i)
		announced := i == 0 || bracketed || hasSuffixAny(text[:i], replyMarks)
		if announced {
			after = cutColon(after)
		}
		words := strings.TrimLeft(after, " -")
		switch {
		case looksSpoken(after, announced):
			return n, words
		case announced && hasPrefix(words, "b'"): // Python: (454, b'Throttling failure')
			return n, strings.TrimSuffix(strings.TrimSuffix(words[len("b'"):], ")"), "'")
		case announced && code == 0:
			code = n
		}
	}
	return code, ""
}

// afterCode returns what follows the code at text[i:], without the bracket of
// "[535] Authentication …" or "(454): Throttling …".
func afterCode(text string, i int) (after string, bracketed bool) {
	after = text[i+3:]
	if i > 0 && after != "" && (text[i-1] == '[' && after[0] == ']' || text[i-1] == '(' && after[0] == ')') &&
		(i == 1 || text[i-2] == ' ') { // not the process id of "smtp[454]"
		after, bracketed = after[1:], true
	}
	return after, bracketed
}

// cutColon returns what follows the colon or comma of "552: Message …".
func cutColon(after string) string {
	if len(after) > 1 && (after[0] == ':' || after[0] == ',') && after[1] == ' ' {
		return after[1:]
	}
	return after
}

// isFree reports whether no word, number or address runs into text[i:].
func isFree(text string, i int) bool {
	if i == 0 {
		return true
	}
	c := text[i-1]
	return c == ' ' || c == '"' || c == '\'' || c == '`' || c == '(' || c == '[' || c == '{' || c == '<' || c == ';' ||
		(c == '=' || c == ':') && hasSuffixAny(text[:i], replyMarks)
}

// looksSpoken reports whether after, the text behind a code, starts like the
// words of a reply: a blank or hyphen and then an enhanced code, a capital, a
// quote or an address; after an announced code, any letter.
func looksSpoken(after string, announced bool) bool {
	if after == "" || after[0] != ' ' && after[0] != '-' {
		return false
	}
	after = after[1:]
	if after == "" {
		return false
	}
	c := after[0]
	if _, rest := cutEnhanced(after); len(rest) < len(after) {
		return true
	}
	return isUpper(c) || c == '"' || c == '<' || announced && isAlnum(c)
}

// hasSuffixAny reports whether text ends in one of ends, which are in lower
// case, without regard to case.
func hasSuffixAny(text string, ends []string) bool {
	for _, end := range ends {
		if len(text) >= len(end) && hasPrefix(text[len(text)-len(end):], end) {
			return true
		}
	}
	return false
}
