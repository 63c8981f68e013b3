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
	code, at := findCode(text)
	found := !isOfOthers(text) && (e.fromReplyIn(text, at) || e.fromAnswerIn(text, code, at)) // what comes first may hold the other in words of the mail
	if found && !lostWords.MatchString(repeatedWords.ReplaceAllString(text, "")) {
		return
	}
	*e = Error{Op: e.Op, Err: e.Err, Class: Unknown, Reason: Unrecognized, Message: shown(text), MaybeAccepted: found}
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

// maxTries bounds the places of a hostile text where a reply is looked for.
const maxTries = 256

// fromReplyIn fills in e from an SMTP reply in text, code and words, whose code
// stands before end, and reports whether it found one.
func (e *Error) fromReplyIn(text string, end int) bool {
	for _, m := range replyCode.FindAllStringSubmatchIndex(text[:end], maxTries) {
		code, words := text[m[2]:m[3]], text[m[3]:]
		words = words[len(afterReplyCode.FindString(words)):]
		words = cutQuoted(words, text[m[0]:len(text)-len(words)])
		if _, bare := cutEnhanced(words); isReplyCode(number(code)) && replyWords.find(code, bare) != nil {
			e.Code = number(code)
			e.fromReply(words)
			return true
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

// fromAnswerIn fills in e from the API code or bulk status at text[at:] and the
// words that belong to it, and reports whether it found both.
func (e *Error) fromAnswerIn(text, code string, at int) bool {
	if code == "" {
		return false
	}
	after := text[at+len(code):]
	a := answer{code: code, message: wordsOf(after, text)}
	if m := sdkStatus.FindStringSubmatch(text); m != nil { // nothing is missing there, whatever the words
		a.status, a.message = number(m[1]), strings.TrimLeft(after, ": ")
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

// findCode returns the first API code or bulk status of the tables that stands
// in text as a word, and where: at its end if there is none.
func findCode(text string) (code string, at int) {
	for _, m := range codeWord.FindAllStringIndex(text, -1) {
		word := strings.Trim(text[m[0]:m[1]], notInCode)
		isBulk, codes := strings.Contains(word, "_"), apiCodes
		if isBulk {
			codes = bulkCodes
		}
		if codes.find(word) != nil && isBulk == (word == strings.ToUpper(word)) {
			return word, m[0] + strings.Index(text[m[0]:], word)
		}
	}
	return "", len(text)
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
		if end := stringEnd.FindStringIndex(words); end != nil && m[2] > 0 && text[m[2]-1] == '"' {
			words = words[:end[0]]
		}
		if sharedWords.find("", words) != nil {
			return words
		}
	}
	return ""
}
