package errors

import (
	"bytes"
	"slices"
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

// maxWords bounds what is compared with the rules, the first and the last half of
// it: SES's own words stand around what it repeats.
const maxWords = 2 << 10

// A table holds rules in the order in which they are asked.
type table []rule

// A phrase is the text of a rule, cut at its gap.
type phrase struct {
	*rule
	head, tail []byte // the tail is nil without a gap
}

// wordRules find the rule for words. Those that can fit the same words stand
// together, by their first two letters.
type wordRules struct {
	table
	phrases map[[2]byte][]phrase
}

const gapMark = " * "

func (t table) byWords() wordRules {
	w := wordRules{t, map[[2]byte][]phrase{}}
	for i := range t {
		p := phrase{rule: &t[i]}
		p.head, p.tail, _ = bytes.Cut([]byte(t[i].Text), []byte(gapMark))
		key := [2]byte(p.head)
		w.phrases[key] = append(w.phrases[key], p)
	}
	return w
}

// find returns the first rule for code that fits the beginning of text, or nil.
// Words begin at their first letter and again after each opening, such as
// "Transaction failed:"; the innermost beginning is asked first. An empty code
// fits every rule.
//
// Nothing that SES repeats from a mail can reach a rule: it never stands at the
// beginning, and what a gap holds cannot end the match (see phrase.end).
func (w wordRules) find(code, text string) *rule {
	if len(text) > maxWords {
		text = text[:maxWords/2] + "\n" + text[len(text)-maxWords/2:]
	}
	var array [maxWords + 1]byte
	low := lower(array[:0], text)
	return w.inner(code, bytes.TrimLeft(low, ` "`), maxOpenings)
}

// inner is find for low, in which up to so many openings are looked through.
func (w wordRules) inner(code string, low []byte, openings int) *rule {
	if n := opening(low); n > 0 && openings > 0 {
		if r := w.inner(code, low[n:], openings-1); r != nil {
			return r
		}
	}
	return w.at(code, low)
}

// maxOpenings bounds the openings that are looked through.
const maxOpenings = 7

// at returns the first rule that fits the start of low. Of rules with a gap
// that begin alike the one counts that reaches furthest: a name in the gap may
// hold the words of another rule, but they cannot come after SES's own.
func (w wordRules) at(code string, low []byte) (found *rule) {
	if len(low) < 2 {
		return nil
	}
	var head []byte
	reach := 0
	for _, p := range w.phrases[[2]byte(low)] {
		if !bytes.HasPrefix(low, p.head) || !strings.HasPrefix(code, p.Code) && code != "" || found != nil && !bytes.Equal(p.head, head) {
			continue
		}
		if p.tail == nil {
			if found == nil {
				return p.rule
			}
			continue
		}
		if end := p.end(low); end > reach {
			found, head, reach = p.rule, p.head, end
		}
	}
	return found
}

// end returns how far a phrase with a gap reaches into low, 0 if it does not
// fit. A gap ends at the last place where the tail stands as words of its own,
// outside of quotes and angle brackets.
func (p *phrase) end(low []byte) int {
	rest := low[len(p.head):]
	for i := bytes.LastIndex(rest, p.tail); i > 0; i = bytes.LastIndex(rest[:i], p.tail) {
		if end := i + len(p.tail); !isAlnum(rest[i-1]) && !isQuoted(rest[:i], rest[end:]) {
			return len(p.head) + end
		}
	}
	return 0
}

// isQuoted reports whether what stands between before and after is quoted: in
// angle brackets, whatever those between may be, or in quotes, because after
// closes one more than it opens.
func isQuoted(before, after []byte) bool {
	double, single := 0, 0
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
		}
	}
	return double%2 != 0 || single%2 != 0 || bytes.IndexByte(before, '<') >= 0 && lastAngle(after) >= 0
}

// opening returns the length of an opening that low starts with, 0 if none.
func opening(low []byte) int {
	n := 0
	switch word := low[:max(0, bytes.IndexByte(low, ' '))]; {
	case len(low) == 0:
	case low[0] == '<': // "<address> Invalid email address", "<address>: Sender …": nobody knows what the address holds
		n = lastAngle(low) + 1
	case low[0] == '[': // "[TSS04] Messages …", "[192.0.2.1] …"
		n = bytes.IndexByte(low, ']') + 1
	case bytes.HasSuffix(word, []byte(":")) && isLabel(word):
		n = len(word)
	case bytes.IndexByte(word, '.') > 0 && bytes.HasPrefix(low[len(word):], []byte(" error: ")): // Postfix: "mx.example.com Error: …"
		n = len(word)
	default:
		if i := slices.IndexFunc(openings, func(text string) bool { return bytes.HasPrefix(low, []byte(text)) }); i >= 0 {
			n = len(openings[i])
		}
	}
	if n == 0 {
		return 0
	}
	return len(low) - len(bytes.TrimLeft(low[n:], " :."))
}

// lastAngle returns the index of the last ">" in low that ends no arrow, or -1.
func lastAngle(low []byte) int {
	for i := len(low) - 1; i >= 0; i-- {
		if low[i] == '>' && (i == 0 || low[i-1] != '-') {
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
