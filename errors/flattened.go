package errors

import (
	"cmp"
	"strings"
)

// fromText fills in e from the text of an error of an unknown type: of a
// library that flattened a reply of SES with %v, of a relay or a log. Only a
// complete reply counts, its code and its words together. What else a text says
// is no evidence, and the error is Unknown.
func (e *Error) fromText(text string) {
	text = clean(text)
	if strings.Contains(text, `\`) { // JSON within JSON
		text = clean(text)
	}
	if strings.Contains(text, "_said:_") { // qmail logs replies with "_" for a blank
		text = strings.ReplaceAll(text, "_", " ")
	}
	text = strings.TrimSuffix(text, "')") // Python prints ClientError('…')
	code, at := findCode(text)
	found := !isOfOthers(text) && (e.fromReplyIn(text, at) || e.fromAnswerIn(text, code, at)) // what comes first may hold the other in words of the mail
	if found && !isLost(text) {
		return
	}
	*e = Error{Op: e.Op, Err: e.Err, Class: Unknown, Reason: Unrecognized, Message: shown(text), MaybeAccepted: found}
}

// isOfOthers reports whether a text of the SDK for Go names an operation of a
// service that is not SES: no word in it need be SES's.
func isOfOthers(text string) bool {
	const mark = "operation error "
	for i := index(text, mark); i >= 0; i = index(text, mark) {
		if text = text[i+len(mark):]; !hasPrefix(text, "ses") {
			return true
		}
	}
	return false
}

// isLost reports whether a text tells of a lost connection outside of what SES
// repeats from the mail: then the reply in it may not be the last word.
func isLost(text string) bool {
	var own strings.Builder
	for start, end := identityList(text); start < end; start, end = identityList(text) {
		own.WriteString(text[:start])
		text = text[end:]
	}
	own.WriteString(text)
	return lostWords.MatchString(repeatedWords.ReplaceAllString(own.String(), ""))
}

// fromAnswerIn fills in e from the API code or bulk status at text[at:] and the
// words that belong to it, and reports whether it found both.
func (e *Error) fromAnswerIn(text, code string, at int) bool {
	if code == "" {
		return false
	}
	after := strings.TrimLeft(text[at+len(code):], codeEnd)
	a := answer{code: code, message: wordsOf(after, text)}
	if hasPrefix(text, "operation error ses") || index(text, " operation error ses") >= 0 { // nothing is missing there, whatever the words
		const mark = "statuscode: "
		if i := index(text, mark); i >= 0 {
			a.status = number(text[i+len(mark):])
		}
		a.message = after
	}
	switch {
	case a.message == "" && a.status == 0:
		return false
	case strings.Contains(code, "_"):
		bulk := FromBulkStatus(code, a.message)
		bulk.Op, bulk.Err = e.Op, e.Err
		*e = *bulk
	default:
		e.fromAnswer(a)
	}
	return true
}

// maxTries bounds the places of a hostile text where a reply is looked for.
const maxTries = 256

// firstWords returns the first rule for code that fits where SES's words may
// begin in text, with no small letter: at its start, and behind what tools put
// before the words of others.
func firstWords(rules wordRules, code, text string) (*rule, string) {
	for i, tries := 0, 0; i < len(text) && tries < maxTries; i++ {
		if i > 0 && !strings.ContainsRune(` "'(<>=`, rune(text[i-1])) || text[i] == ' ' || 'a' <= text[i] && text[i] <= 'z' {
			continue
		}
		if i > 1 && text[i-1] == ' ' && !strings.ContainsRune(`:,-`, rune(text[i-2])) {
			continue
		}
		tries++
		words := text[i:]
		if end := stringEnd.FindStringIndex(words); end != nil && i > 0 && text[i-1] == '"' {
			words = words[:end[0]]
		}
		_, bare := cutEnhanced(words)
		if r := rules.find(code, bare); r != nil {
			return r, words
		}
	}
	return nil, ""
}

// unwrapped returns SES's words out of the message of an answer, which some
// tools give back together with words of their own.
func unwrapped(message string) string {
	code, at := findCode(message)
	isTool := code != "" && at == 0
	for _, mark := range toolMarks {
		isTool = isTool || hasPrefix(message, mark)
	}
	if !isTool {
		return message
	}
	after := strings.TrimLeft(message[min(len(message), at+len(code)):], codeEnd)
	return cmp.Or(wordsOf(after, message), message)
}

// wordsOf returns the words of SES after an API code, or anywhere in the text,
// for some tools print the code last.
func wordsOf(after, text string) string {
	if _, words := firstWords(sharedWords, "", after); words != "" {
		return words
	}
	_, words := firstWords(sharedWords, "", text)
	return words
}

// codeEnd is what tools put behind an API code.
const codeEnd = `:-( "',`

// findCode returns the first API code or bulk status of the tables that stands
// in text as a word, and where: at its end if there is none.
func findCode(text string) (code string, at int) {
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
			return word, i
		}
		i = end
	}
	return "", len(text)
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
		return bulkCodes.find(word) != nil && strings.ToUpper(word) == word
	}
	if apiCodes.find(word) == nil || strings.ToUpper(word) == word {
		return false
	}
	if capitals(word) > 1 || strings.HasPrefix(after, ":") || strings.HasPrefix(after, " (client)") {
		return true
	}
	for _, end := range []string{"(", "<Code>", "Code: ", "name: ", `"`, "'", "api error ", "::", "#"} {
		if strings.HasSuffix(before, end) {
			return true
		}
	}
	return false
}

func capitals(s string) (n int) {
	for i := 0; i < len(s); i++ {
		if isUpper(s[i]) {
			n++
		}
	}
	return n
}

// fromReplyIn fills in e from an SMTP reply in text, code and words, whose code
// stands before end, and reports whether it found one.
func (e *Error) fromReplyIn(text string, end int) bool {
	for i, tries := 0, 0; i+3 <= end && tries < maxTries; i++ {
		n := number(text[i:])
		if n == 0 || !isReplyCode(text[i:i+3]) || i > 0 && (isWord(text[i-1]) || strings.ContainsRune(".-/", rune(text[i-1]))) {
			continue
		}
		tries++
		words := text[i+3:]
		words = words[len(afterReplyCode.FindString(words)):]
		words = cutQuoted(words, text[max(0, i-1):len(text)-len(words)])
		if _, bare := cutEnhanced(words); replyWords.find(text[i:i+3], bare) != nil {
			e.Code = n
			e.fromReply(words)
			return true
		}
	}
	const mark = " smtp code: " // PHPMailer prints the words first
	if i := index(text, mark); i >= 0 && i < end {
		if n := number(text[i+len(mark):]); n != 0 {
			if _, words := firstWords(replyWords, text[i+len(mark):][:3], text[:i]); words != "" {
				e.Code = n
				e.fromReply(words)
				return true
			}
		}
	}
	return false
}

// cutQuoted returns words up to the quote that closes one in before.
func cutQuoted(words, before string) string {
	if i := strings.LastIndexAny(before, "\"'`"); i >= 0 {
		if end := strings.LastIndexByte(words, before[i]); end >= 0 {
			return words[:end]
		}
	}
	return words
}
