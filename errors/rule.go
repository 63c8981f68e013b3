package errors

import (
	"bytes"
	"strings"
)

// A rule says what one answer means.
type rule struct {
	// Code is the start of an SMTP reply code ("4", "454") or of an HTTP status,
	// an enhanced code, an API code without its suffix "Exception", or a bulk
	// status. "" fits any.
	Code string
	// Text is how SES's words begin, in lower case. One " * " in it stands for
	// what SES repeats there: a name, an address. "" fits any words.
	Text   string
	Reason Reason
	// Shared: the code alone says little, so the words are looked up in
	// sharedRules before Reason counts.
	Shared bool
	// Doubt: SES may have accepted the message all the same.
	Doubt  bool
	Source source
}

// maxWords bounds what is compared with the rules: SES's own words come first,
// and what it repeats before their end is a name or an address.
const maxWords = 2 << 10

// A table holds rules in the order in which they are asked.
type table []rule

// byWords returns the first rule for code that fits the beginning of words, or
// nil. Words begin at their first letter and again after each opening, such as
// "Transaction failed:"; the innermost beginning is asked first. An empty code
// fits every rule.
//
// Nothing that SES repeats from a mail can reach a rule: it never stands at the
// beginning, and what a gap holds cannot end the match (see rule.end).
func (t table) byWords(code, words string) *rule {
	var array [maxWords]byte
	low := lower(array[:0], words[:min(len(words), maxWords)])
	starts := beginnings(low)
	for i := len(starts) - 1; i >= 0; i-- {
		if r := t.at(code, low[starts[i]:]); r != nil {
			return r
		}
	}
	return nil
}

// at returns the first rule that fits the start of low. Of rules with a gap
// that begin alike the one counts that reaches furthest: a name in the gap may
// hold the words of another rule, but they cannot come after SES's own.
func (t table) at(code string, low []byte) *rule {
	var best *rule
	reach := 0
	for i := range t {
		r := &t[i]
		if r.Text == "" || r.Text[0] != first(low) || code != "" && !strings.HasPrefix(code, r.Code) {
			continue
		}
		head, _, gap := strings.Cut(r.Text, gapMark)
		if best != nil && (!gap || !strings.HasPrefix(best.Text, head+gapMark)) {
			continue
		}
		end := r.end(low)
		if end <= reach {
			continue
		}
		best, reach = r, end
		if !gap {
			return best
		}
	}
	return best
}

const gapMark = " * "

func first(low []byte) byte {
	if len(low) == 0 {
		return 0
	}
	return low[0]
}

// end returns how far a rule's text reaches into low, 0 if it does not fit. A
// gap ends at the last place where the rest of the text stands as words of its
// own, outside of quotes and angle brackets.
func (r *rule) end(low []byte) int {
	head, tail, gap := strings.Cut(r.Text, gapMark)
	if !bytes.HasPrefix(low, []byte(head)) {
		return 0
	}
	if !gap {
		return len(head)
	}
	rest := low[len(head):]
	for i := bytes.LastIndex(rest, []byte(tail)); i > 0; i = bytes.LastIndex(rest[:i], []byte(tail)) {
		if end := i + len(tail); !isAlnum(rest[i-1]) && !isQuoted(rest[end:]) {
			return len(head) + end
		}
	}
	return 0
}

// isQuoted reports whether what comes before after stands in quotes or angle
// brackets, because after closes more of them than it opens.
func isQuoted(after []byte) bool {
	double, single, angle := 0, 0, 0
	for i, c := range after {
		switch c {
		case '"':
			double++
		case '`':
			single++ // SES quotes `like this'
		case '\'':
			if i == 0 || i+1 == len(after) || !isAlnum(after[i-1]) || !isAlnum(after[i+1]) { // not "isn't"
				single++
			}
		case '<':
			angle++
		case '>':
			if i == 0 || after[i-1] != '-' { // not an arrow
				angle--
			}
		}
	}
	return double%2 != 0 || single%2 != 0 || angle < 0
}

// maxBeginnings bounds the openings that are looked through.
const maxBeginnings = 8

// beginnings returns where the words in low may begin, outermost first.
func beginnings(low []byte) []int {
	at := len(low) - len(bytes.TrimLeft(low, ` "`))
	starts := append(make([]int, 0, maxBeginnings), at)
	for len(starts) < maxBeginnings {
		n := opening(low[at:])
		if n == 0 {
			break
		}
		at += n
		starts = append(starts, at)
	}
	return starts
}

// opening returns the length of an opening that low starts with, 0 if none.
func opening(low []byte) int {
	n := 0
	switch word := low[:max(0, bytes.IndexByte(low, ' '))]; {
	case first(low) == '<': // "<address> Invalid email address", "<address>: Sender …": nobody knows what the address holds
		n = lastAngle(low) + 1
	case first(low) == '[': // "[TSS04] Messages …", "[192.0.2.1] …"
		n = bytes.IndexByte(low, ']') + 1
	case bytes.HasSuffix(word, []byte(":")) && isLabel(word):
		n = len(word)
	case bytes.IndexByte(word, '.') > 0 && bytes.HasPrefix(low[len(word):], []byte(" error: ")): // Postfix: "mx.example.com Error: …"
		n = len(word)
	default:
		for _, text := range openings {
			if bytes.HasPrefix(low, []byte(text)) && len(low) > len(text) && low[len(text)] == ' ' {
				n = len(text)
				break
			}
		}
	}
	if n == 0 {
		return 0
	}
	return len(low) - len(bytes.TrimLeft(low[n:], " :."))
}

// lastAngle returns the index of the last ">" in low that ends no arrow, or -1.
func lastAngle(low []byte) int {
	for i := len(low) - 1; i > 0; i-- {
		if low[i] == '>' && low[i-1] != '-' {
			return i
		}
	}
	return -1
}

// isLabel reports whether a word with a colon names a host, a logger or a type
// that reports an error, such as "mx.example.com:" and "SesException:".
func isLabel(word []byte) bool {
	return bytes.IndexByte(word, '.') > 0 || bytes.HasSuffix(word, []byte("exception:")) || bytes.HasSuffix(word, []byte("error:"))
}

// A codeIndex finds the rule of a code without regard to case, "_" and the
// suffix "Exception".
type codeIndex map[string]*rule

func (t table) index() codeIndex {
	x := codeIndex{}
	for i := range t {
		x[codeKey(t[i].Code)] = &t[i]
	}
	return x
}

// find returns the rule of code, or nil.
func (x codeIndex) find(code string) *rule { return x[codeKey(code)] }

// codeKey returns the form in which codes are compared.
func codeKey(code string) string {
	return strings.TrimSuffix(strings.ToLower(strings.ReplaceAll(code, "_", "")), "exception")
}

// byPrefix returns the first rule whose code starts code, or nil. An enhanced
// code is compared by whole numbers: "5.1" covers "5.1.1", not "5.10.1", and
// "5.1.1" does not cover "5.1.10".
func (t table) byPrefix(code string) *rule {
	for i := range t {
		rest, ok := strings.CutPrefix(code, t[i].Code)
		if ok && (rest == "" || rest[0] == '.' || !strings.Contains(t[i].Code, ".")) {
			return &t[i]
		}
	}
	return nil
}
