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
	end := 0
	if !isOfOthers(text) {
		code, at := findCode(text)
		if end = e.fromReplyIn(text, "45", at); end == 0 { // what comes first may hold the other in words of the mail
			end = e.fromAnswerIn(text, code, at)
		}
	}
	lost := end > 0 && isLost(text)
	if end == 0 || lost || e.Class.Retryable() && isRefused(text[end:]) {
		*e = Error{Op: e.Op, Err: e.Err, Class: Unknown, Reason: Unrecognized, Message: shown(text), MaybeAccepted: lost}
	}
}

// isRefused reports whether text holds a refusal for good. Then a reply before it
// that asks to try again may be an earlier one, or words of the mail.
func isRefused(text string) bool {
	code, at := findCode(text)
	reply, answer := Error{}, Error{}
	return reply.fromReplyIn(text, "5", len(text)) > 0 && !reply.Class.Retryable() || answer.fromAnswerIn(text, code, at) > 0 && !answer.Class.Retryable()
}

// isOfOthers reports whether a text of the SDK for Go names an operation of a
// service that is not SES: no word in it need be SES's.
func isOfOthers(text string) bool {
	for _, service := range strings.Split(text, "operation error ")[1:] {
		if !hasPrefix(service, "ses") {
			return true
		}
	}
	return false
}

// isLost reports whether a text tells of a lost connection outside of what SES
// repeats from the mail: then the reply in it may not be the last word.
func isLost(text string) bool {
	if !lostWords.MatchString(text) {
		return false
	}
	var own strings.Builder
	for _, start, end := identityList(text); start < end; _, start, end = identityList(text) {
		own.WriteString(text[:start])
		text = text[end:]
	}
	own.WriteString(text)
	return lostWords.MatchString(repeatedWords.ReplaceAllString(own.String(), ""))
}

// maxTries bounds the places of a hostile text where a reply is looked for.
const maxTries = 256

// fromReplyIn fills in e from an SMTP reply in text, code and words, whose code
// starts with one of digits and stands before end. It returns where the words
// begin, 0 if it found none.
func (e *Error) fromReplyIn(text, digits string, end int) int {
	for i, tries := 0, 0; i+3 <= end && tries < maxTries; i++ {
		n := number(text[i:])
		if !isReplyCode(n) || strings.IndexByte(digits, text[i]) < 0 || i > 0 && (isWord(text[i-1]) || strings.IndexByte(".-/", text[i-1]) >= 0) {
			continue
		}
		tries++
		words := text[i+3:]
		words = words[len(afterReplyCode.FindString(words)):]
		words = cutQuoted(words, text[max(0, i-1):len(text)-len(words)])
		if _, bare := cutEnhanced(words); replyWords.find(text[i:i+3], bare) != nil {
			e.Code = n
			e.fromReply(words)
			return i + 3
		}
	}
	return 0
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

// fromAnswerIn fills in e from the API code or bulk status at text[at:] and the
// words that belong to it. It returns where the code ends, 0 if one is missing.
func (e *Error) fromAnswerIn(text, code string, at int) int {
	if code == "" {
		return 0
	}
	after := text[at+len(code):]
	a := answer{code: code, message: wordsOf(after, text)}
	if m := sdkStatus.FindStringSubmatch(text); m != nil { // nothing is missing there, whatever the words
		a.status, a.message = number(m[1]), strings.TrimLeft(after, ": ")
	}
	switch {
	case a.message == "" && a.status == 0:
		return 0
	case strings.Contains(code, "_"):
		bulk := FromBulkStatus(code, a.message)
		bulk.Op, bulk.Err = e.Op, e.Err
		*e = *bulk
	default:
		e.fromAnswer(a)
	}
	return at + len(code)
}

// findCode returns the first API code or bulk status of the tables that stands
// in text as a word, and where: at its end if there is none.
func findCode(text string) (code string, at int) {
	for i := 0; i < len(text); i++ {
		if text[i] < 'A' || text[i] > 'Z' || i > 0 && isWord(text[i-1]) {
			continue
		}
		end := i + 1
		for end < len(text) && isWord(text[end]) {
			end++
		}
		if isCode(text[i:end], text[:i], text[end:]) {
			return text[i:end], i
		}
	}
	return "", len(text)
}

// isCode reports whether a word is a code. One that could be an ordinary word,
// like Throttling, must stand where tools print codes.
func isCode(word, before, after string) bool {
	if isUpper := strings.ToUpper(word) == word; isUpper || strings.Contains(word, "_") {
		return isUpper && bulkCodes.find(word) != nil && strings.Contains(word, "_")
	}
	return apiCodes.find(word) != nil && (strings.ToLower(word[1:]) != word[1:] || before != "" && strings.IndexByte("\"'(>#:", before[len(before)-1]) >= 0 || strings.HasPrefix(after, ":") || strings.HasPrefix(after, " ("))
}

// unwrapped returns SES's words out of the message of an answer, which some
// tools give back together with words of their own.
func unwrapped(message string) string {
	code, at := findCode(message)
	if (code == "" || at > 0) && !toolMarks.MatchString(message) {
		return message
	}
	return cmp.Or(wordsOf(message[at+len(code):], message), message)
}

// wordsOf returns the words of SES after an API code, or anywhere in the text,
// for some tools print the code last.
func wordsOf(after, text string) string {
	return cmp.Or(firstWords(after), firstWords(text))
}

// firstWords returns the first words that a rule fits where SES's words may
// begin in text: at its start, and behind what tools put before the words of
// others.
func firstWords(text string) string {
	for _, m := range wordsStart.FindAllStringSubmatchIndex(text, maxTries) {
		words := text[m[2]:]
		if end := stringEnd.FindStringIndex(words); end != nil && m[2] > 0 && (text[m[2]-1] == '"' || text[m[2]-1] == '>') {
			words = words[:end[0]]
		}
		if sharedWords.find("", words) != nil {
			return words
		}
	}
	return ""
}
