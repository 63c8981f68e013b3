package event

import (
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// A Diagnosis is what the words of a receiving server mean.
type Diagnosis struct {
	// Reason is why the receiver refused; seserrors.Unrecognized where its
	// words are not understood, so that nothing is suppressed on them.
	Reason   seserrors.Reason
	Code     int    // reply code, such as 550; 0 if none
	Enhanced string // enhanced status code, such as "5.1.1"; "" if none
	// BlockList names the list that the words blame, such as "Spamhaus SBL" or
	// the list's host; "" if they blame none. Delisting is the page of its
	// operator, where one is known.
	BlockList, Delisting string
}

// maxDiagnostic bounds how much of a text is looked at. Real replies are
// shorter than 1 KiB.
const maxDiagnostic = 4 << 10

// Diagnose says what a receiver's reply means, wherever it comes from: the
// diagnosticCode of an event, the Diagnostic-Code of a delivery status
// notification, the log of a mail server. It takes the wrappings of SES and of
// relays off ("smtp;", "Message expired: …<421 4.4.1 …>", "host … said: 550 …")
// and judges the receiver's own reply.
//
// The words decide first, since receivers use one code for many things: 550
// 5.7.1 means a block list, spam, DMARC, and an unknown user. Then the enhanced
// status code counts, but those that say little, such as 5.7.1, count for
// nothing. Addresses in the text are not read as words. A temporary reply, 4xx,
// never means that an address is unknown or disabled.
//
// It looks at the first 4 KiB of the text. It is safe for concurrent use.
func Diagnose(diagnostic string) Diagnosis {
	outer := newReply(diagnostic)
	d := Diagnosis{Code: outer.code, Enhanced: outer.enhanced}
	if m := oldWrapping.FindStringSubmatch(outer.text); m != nil {
		outer = newReply(m[1])
		outer.code, _ = strconv.Atoi(strings.TrimLeft(m[0], " ")[:3])
		d = Diagnosis{Code: outer.code, Enhanced: outer.enhanced}
	}
	r := outer
	if inner, ok := unwrap(outer.text); ok {
		if r = newReply(inner); r.code != 0 {
			d.Code = r.code
		}
		if r.enhanced != "" {
			d.Enhanced = r.enhanced
		}
	}
	if d.Reason = r.reason(); d.Reason == undetermined {
		d.Reason = outer.reason()
	}
	switch d.Reason {
	case seserrors.SendingIPBlocked, seserrors.SendingDomainBlocked:
		d.BlockList, d.Delisting = blockList(outer, false)
	case seserrors.ContentRefused:
		d.BlockList, d.Delisting = blockList(outer, true)
	}
	return d
}

// A reply is a receiver's answer, prepared for the rules.
type reply struct {
	code     int
	enhanced string
	text     string // on one line, with its code, as written
	words    string // in lower case, without codes, addresses and links, in spaces
	links    string // the links, in lower case
}

var (
	replyPrefix  = regexp.MustCompile(`^(?i)(?:(?:smtp|x-[a-z0-9-]+|x400|unknown)\s*;\s*)+`)
	codePrefix   = regexp.MustCompile(`^([2-5]\d\d)(?:[ \-:,#]|$)`)
	enhancedCode = regexp.MustCompile(`(?:^|[^\d.])([245]\.\d{1,3}\.\d{1,3})(?:$|[^\d.]|\.(?:$|\D))`)
	link         = regexp.MustCompile(`(?:https?://|www\.)[^\s<>"')\]]+`)
	ipv4         = regexp.MustCompile(`\b\d{1,3}(?:\.\d{1,3}){3}\b`)
	address      = regexp.MustCompile(`[^\s<>()\[\]:;,'"]+@[^\s<>()\[\]:;,'"]+`)

	// oldWrapping is what SES wrote until about 2016. It says "Unknown address
	// error" around every reply, so only the reply within counts.
	oldWrapping = regexp.MustCompile(`\b[45]\d\d-'(.+)'(?: \(delivery attempts|$)`)

	// wrappings leave the reply within: what SES writes when it gives up, and
	// what Exchange, Postfix and Exim write about the next server.
	wrappings = []*regexp.Regexp{
		regexp.MustCompile(`<([45]\d\d[ \-].*)>`),
		regexp.MustCompile(`(?:->|said:|returned:?|responded:?|answered:?|response was:?|server was:?) ['"“]?([45]\d\d[ \-#].*)$`),
		regexp.MustCompile(`(?:error from remote (?:mail )?server .*?): ([45]\d\d[ \-].*)$`),
		regexp.MustCompile(`^220-\S+ (4\d\d .*)$`),
	}
)

// unwrap returns the reply of the next server that a reply repeats.
func unwrap(text string) (string, bool) {
	for _, w := range wrappings {
		if m := w.FindStringSubmatch(text); m != nil {
			return m[1], true
		}
	}
	return "", false
}

func newReply(text string) reply {
	if len(text) > maxDiagnostic {
		text = text[:maxDiagnostic]
	}
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "\uFFFD")), " ")
	r := reply{text: replyPrefix.ReplaceAllString(text, "")}
	if m := codePrefix.FindStringSubmatch(r.text); m != nil {
		r.code, _ = strconv.Atoi(m[1])
	}
	if m := enhancedCode.FindStringSubmatch(r.text); m != nil {
		r.enhanced = m[1]
	}
	plain := strings.ToLower(unfold(r.text, r.code, r.enhanced))
	plain = strings.NewReplacer("’", "'", "‘", "'", "`", "'", "_", " ").Replace(plain)
	r.links = strings.Join(link.FindAllString(plain, -1), " ")
	plain = address.ReplaceAllString(link.ReplaceAllString(plain, " "), "@")
	plain = ipv4.ReplaceAllString(plain, "ipv4")
	plain = strings.NewReplacer("<@>", "@", "[@]", "@", "(@)", "@").Replace(plain)
	r.words = " " + strings.Join(strings.Fields(plain), " ") + " "
	return r
}

// unfold drops the codes that stand before each line of a folded reply: they
// split the phrases that rules look for.
func unfold(text string, code int, enhanced string) string {
	if code == 0 {
		return strings.TrimPrefix(text, enhanced+" ")
	}
	c := strconv.Itoa(code)
	words := strings.Split(text, " ")
	kept := words[:0]
	for _, w := range words {
		w = strings.TrimPrefix(w, c+"-")
		w = strings.TrimPrefix(w, "#")
		if w == "" || w == c || w == enhanced {
			continue
		}
		kept = append(kept, w)
	}
	return strings.Join(kept, " ")
}

// reason asks the rules for phrases and for words, then those for enhanced
// codes.
func (r *reply) reason() seserrors.Reason {
	for i := range diagnosticRules {
		if d := &diagnosticRules[i]; d.fits(r) && r.allows(d.reason) {
			return d.reason
		}
	}
	if reason := r.pair(pairRules); reason != undetermined {
		return reason
	}
	if r.enhanced != "" {
		for _, f := range enhancedRules {
			if rest, ok := strings.CutPrefix(r.enhanced, f.enhanced); ok && (rest == "" || strings.HasSuffix(f.enhanced, ".")) {
				if r.code == 521 {
					break // refuses the sending host, whatever the enhanced code says (RFC 7504)
				}
				return f.reason
			}
		}
	}
	return r.pair(vagueRules)
}

// allows reports whether a reply can mean a reason that phrases found in it. A
// temporary reply suppresses nobody, is no rule of the receiver's, and where it
// asks for another try it has not judged the content. And where a sender is the subject and no recipient is, what does not exist is not the
// recipient.
func (r *reply) allows(reason seserrors.Reason) bool {
	switch {
	case r.code/100 == 4 && reason == seserrors.RecipientPolicy:
		return false
	case r.code/100 == 4 && reason == seserrors.ContentRefused:
		return !near(r.words, passing, nil)
	case meanings[reason].do == Suppress:
		return r.code/100 != 4 && (!near(r.words, senders, nil) || near(r.words, mailboxes, nil))
	}
	return true
}

// pair returns the reason of the first pair of words that fits.
func (r *reply) pair(rules []pairRule) seserrors.Reason {
	for i := range rules {
		p := &rules[i]
		if p.code != "" && !r.coded(p.code) || !near(r.words, p.about, p.says) {
			continue
		}
		if meanings[p.reason].do != Suppress || r.code/100 != 4 && !near(r.words, senders, nil) && !near(r.words, notRecipient, nil) {
			return p.reason
		}
	}
	return undetermined
}

// near reports whether one of each set of phrases stand in one sentence, no
// more than maxGap apart, in either order.
func near(words string, about, says []string) bool {
	for sentence := range strings.SplitSeq(words, ". ") {
		subjects := places(sentence, about)
		if len(subjects) == 0 {
			continue
		}
		if says == nil {
			return true
		}
		for _, at := range places(sentence, says) {
			for _, s := range subjects {
				if s-at <= maxGap && at-s <= maxGap {
					return true
				}
			}
		}
	}
	return false
}

// places returns where in words any of the phrases begin.
func places(words string, phrases []string) []int {
	var found []int
	for _, p := range phrases {
		for at := 0; ; {
			i := indexPhrase(words[at:], p)
			if i < 0 {
				break
			}
			found = append(found, at+i)
			at += i + 1
		}
	}
	return found
}

// coded reports whether the reply's code or its enhanced code begins so. Of an
// enhanced code only whole numbers count: 5.7.233 does not begin with 5.7.23.
func (r *reply) coded(prefix string) bool {
	rest, ok := strings.CutPrefix(r.enhanced, prefix)
	return strings.HasPrefix(strconv.Itoa(r.code), prefix) ||
		ok && (rest == "" || rest[0] == '.' || strings.HasSuffix(prefix, "."))
}

// A diagnosticRule says what one phrase of receivers means.
type diagnosticRule struct {
	// text is a phrase in lower case, made of whole words; " * " stands for a
	// gap of up to maxGap bytes, "~" at its end for any rest of a word, and "^"
	// at its start for the start of the reply's words, behind an address or the
	// receiver's name at most.
	text string
	// code is the start of the reply code or of the enhanced status code that
	// the reply must have; "" fits any.
	code string
	// link is a piece that one of the reply's links must hold; "" fits any.
	link   string
	reason seserrors.Reason
}

// maxGap bounds what " * " stands for, so that words of another sentence do
// not complete a phrase and a hostile text costs little.
const maxGap = 80

func (d *diagnosticRule) fits(r *reply) bool {
	if d.code != "" && !r.coded(d.code) {
		return false
	}
	if d.link != "" && !strings.Contains(r.links, d.link) {
		return false
	}
	return d.text == "" || holds(r.words, d.text)
}

// holds reports whether the pattern occurs in words.
func holds(words, pattern string) bool {
	pattern, anchored := strings.CutPrefix(pattern, "^")
	first, rest, gap := strings.Cut(pattern, " * ")
	for at := 0; ; {
		i := indexPhrase(words[at:], first)
		if i < 0 || anchored && !leads(words[:at+i]) {
			return false
		}
		at += i + len(strings.TrimSuffix(first, "~"))
		if !gap {
			return true
		}
		near := words[at:]
		if len(near) > maxGap+len(rest) {
			near = near[:maxGap+len(rest)]
		}
		if holds(near, rest) {
			return true
		}
	}
}

// leads reports whether nothing but the subject of a reply stands before its
// words: the address it is about.
func leads(before string) bool {
	return strings.Trim(before, " :.,;-@<>[]()") == ""
}

// indexPhrase finds a phrase between the limits of words.
func indexPhrase(words, phrase string) int {
	phrase, open := strings.CutSuffix(phrase, "~")
	for at := 0; ; {
		i := strings.Index(words[at:], phrase)
		if i < 0 {
			return -1
		}
		start, end := at+i, at+i+len(phrase)
		if !cuts(words, start) && (open || !cuts(words, end)) {
			return start
		}
		at = start + 1
	}
}

// cuts reports whether a word goes on across i, which stands between two runes.
// Scripts that do without spaces have no words to cut.
func cuts(s string, i int) bool {
	before, _ := utf8.DecodeLastRuneInString(s[:i])
	after, _ := utf8.DecodeRuneInString(s[i:])
	return letter(before) && letter(after)
}

func letter(r rune) bool {
	return r < firstIdeograph && r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r))
}

// firstIdeograph begins the blocks of Chinese, Japanese and Korean.
const firstIdeograph = 0x2E80

// blockList names the list that a reply blames; only one that lists links if
// the content is to blame.
func blockList(r reply, links bool) (name, page string) {
	all := r.words + r.links
	for i := range blockLists {
		if l := &blockLists[i]; (l.links || !links) && strings.Contains(all, l.token) {
			return l.name, l.page
		}
	}
	if m := listHost.FindStringSubmatch(r.words); m != nil && !links {
		return m[1], ""
	}
	return "", ""
}

// listHost finds the name of a list that is not known.
var listHost = regexp.MustCompile(`(?:blocked|rejected|listed|found|blacklisted) (?:using|by|in|on|at) (?:the )?((?:[a-z0-9-]+\.)+[a-z]{2,})`)
