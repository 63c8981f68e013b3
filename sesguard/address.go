package sesguard

import (
	"errors"
	"fmt"
	"math"
	"mime"
	"strings"
	"unicode/utf8"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard/internal/mimetext"
)

// Limits of an address. The sum is 254 because a path in MAIL or RCPT has at
// most 256 octets with its angle brackets.
const (
	maxLocal  = 64  // RFC 5321 §4.5.3.1.1
	maxDomain = 253 // RFC 1035 §2.3.4, written out
	maxLabel  = 63  // RFC 1035 §2.3.4
	maxAddr   = 254 // RFC 5321 §4.5.3.1.3
)

// An Address is one mailbox: a display name, which may be empty, and an
// address. Its fields hold plain text; the encodings of the wire are added by
// String and Addr. The zero value is no address.
type Address struct {
	Name   string // display name, decoded; any Unicode text without control characters
	Local  string // what stands before the @, without quotes
	Domain string // what stands after it, in ASCII: a Unicode domain is in Punycode
}

// ParseAddress reads one address in a form that SES takes:
//
//	user@example.com
//	<user@example.com>
//	Jo Public <user@example.com>
//	"Public, Jo" <user@example.com>
//	=?utf-8?q?J=C3=BCrgen?= <user@example.com>
//	Jürgen <user@bücher.example>
//
// The error is an *AddressError, and errors.Is finds
// [seserrors.IllegalAddress] or [seserrors.NonASCIIAddress] in it.
//
// A domain with Unicode letters becomes Punycode as UTS #46 says
// (non-transitional, as browsers do), with its checks of hyphens, joiners and
// direction and the length checks of the DNS. A domain that is in Punycode
// already must be valid and is written in lower case. Any other ASCII domain
// keeps its letter case, because SES compares verified email addresses with
// regard to case. Letters, digits and hyphens are taken, no underscore and no
// final dot, which SES refuses, and no label like ab--c, whose hyphens are
// reserved as those of xn-- are (RFC 5890 §2.3.1). A domain
// without a dot is taken: RFC 5321 allows it and SES's parser lets it through,
// though nothing is delivered there by SES. One whose last label is all digits
// is not (RFC 3696 §2).
//
// The local part is ASCII: SES takes neither Unicode nor Punycode there, and
// an encoded-word in it is a trick. Quotes around it are taken when they only
// protect dots ("a..b"@example.com, as some Japanese carriers gave out). What
// RFC 5322 allows beyond that is refused although SES's parser lets part of it
// through, since no ordinary mailbox needs it and it is what injections are
// made of: other quoted local parts, address literals (user@[192.0.2.1]),
// comments, groups, source routes. So are white space around the address (but
// before a '<' whose name is empty), control characters anywhere, and the
// bidirectional controls in a name that can make the reader see another address.
//
// An encoded-word may hold what RFC 2047 §5 keeps out of names, such as a comma,
// since mime.QEncoding writes it. Of its character sets UTF-8, ISO-8859-1 and
// US-ASCII are taken, as by net/mail. Every address that ParseAddress takes is
// read alike by net/mail, which refuses encoded-words with a comma.
// A plain ASCII address costs no allocation, also behind a plain ASCII name.
// For a name and an address that are held apart see [NewAddress].
func ParseAddress(s string) (Address, error) {
	a, _, err := parseMailbox(s)
	return a, err
}

// NewAddress returns the Address of a display name and an address that are held
// apart, such as the columns of a table. Its String is what a Message takes:
//
//	a, err := sesguard.NewAddress(user.Name, user.Email)
//	m.To = []string{a.String()}
//
// name is plain text, in which nothing has a meaning; white space around it is
// dropped, and it may be empty. addr is a bare address. The error is that of
// [ParseAddress].
func NewAddress(name, addr string) (Address, error) {
	name = strings.TrimSpace(name)
	if f := checkName(name); f != nil {
		return Address{}, f.in(name)
	}
	f := checkText(addr)
	if f == nil && strings.ContainsAny(addr, "<>") {
		f = illegal(0, "it must be an address without a name and without brackets")
	}
	if f != nil {
		return Address{}, f.in(addr)
	}
	a, f := new(addressParser).spec(addr, 0)
	if f != nil {
		return Address{}, f.in(addr)
	}
	a.Name = name
	return a, nil
}

// Addr returns the address without its name, as it stands in the envelope:
// the local part is quoted if it needs to be. For an Address that ParseAddress
// could not have returned it is "".
func (a Address) Addr() string {
	if !validLocal(a.Local) || !validDomain(a.Domain) || len(a.Local)+1+len(a.Domain) > maxAddr {
		return ""
	}
	return a.bare()
}

// bare is Addr for an Address that was checked.
func (a Address) bare() string {
	if isDotAtom(a.Local) {
		return a.Local + "@" + a.Domain
	}
	return `"` + a.Local + `"@` + a.Domain
}

// String returns the address as it stands in a header: the bare address, or
// the name and the address in angle brackets. An ASCII name is quoted when it
// must be. Any other name, and one that only looks like an encoded-word,
// becomes encoded-words (RFC 2047) of at most 75 characters, parted by spaces.
// It is one line, however long, and [ParseAddress] reads it back.
//
// For a Local or Domain that ParseAddress could not have returned it is "". A
// control character in Name is encoded like any other, and found by
// ParseAddress.
func (a Address) String() string {
	addr := a.Addr()
	if a.Name == "" || addr == "" {
		return addr
	}
	f := mimetext.Folder{Max: math.MaxInt}
	f.Mailbox(strings.ToValidUTF8(a.Name, "\uFFFD"), addr)
	return string(f.Buf)
}

// An AddressError says why a text is not an address that SES takes.
type AddressError struct {
	Input  string // the text, cut short and made printable
	Reason string // what is wrong, in words
	Offset int    // the octet of the whole text at which it was found

	slug seserrors.Reason
}

// Error holds the text and what is wrong with it.
func (e *AddressError) Error() string {
	return fmt.Sprintf("address %q: %s (at octet %d)", e.Input, e.Reason, e.Offset)
}

// Unwrap returns [seserrors.IllegalAddress] or [seserrors.NonASCIIAddress].
func (e *AddressError) Unwrap() error {
	if e.slug == "" { // not made here
		return seserrors.IllegalAddress
	}
	return e.slug
}

func illegal(at int, text string) *AddressError {
	return &AddressError{Offset: at, Reason: text, slug: seserrors.IllegalAddress}
}

func nonASCII(at int, text string) *AddressError {
	return &AddressError{Offset: at, Reason: text, slug: seserrors.NonASCIIAddress}
}

// in returns e with the text that it is about.
func (e *AddressError) in(s string) *AddressError {
	e.Input = brief(s)
	return e
}

// An addressParser reads addresses. It remembers the domains that it has put into ASCII,
// since those of one mail are often the same.
type addressParser struct{ domains []domain }

type domain struct{ text, ascii string }

// parseMailbox is ParseAddress that also returns the bare address, without a
// copy where the text holds it.
func parseMailbox(s string) (Address, string, error) { return new(addressParser).mailbox(s) }

func (p *addressParser) mailbox(s string) (Address, string, error) {
	if n := scanLocal(s); 0 < n && n <= maxLocal && n < len(s) && s[n] == '@' && n+1+plainDomain(s[n+1:]) == len(s) {
		if a := (Address{Local: s[:n], Domain: s[n+1:]}); len(s) <= maxAddr && !trickyLocal(a.Local) {
			return a, s, nil
		}
	}
	a, f := p.read(s)
	if f != nil {
		return Address{}, "", f.in(s)
	}
	return a, a.bareIn(s), nil
}

// bareIn is bare, cut out of the text that a was read from if it stands there:
// a quoted local part does not, since it ends with a quote.
func (a Address) bareIn(s string) string {
	s = strings.TrimSuffix(s, ">")
	at := len(s) - len(a.Domain) - 1
	if at >= 0 && s[at] == '@' && s[at+1:] == a.Domain && strings.HasSuffix(s[:at], a.Local) {
		return s[at-len(a.Local):]
	}
	return a.bare()
}

// read reads every form, and finds the flaw.
func (p *addressParser) read(s string) (Address, *AddressError) {
	if f := checkText(s); f != nil {
		return Address{}, f
	}
	if !strings.ContainsAny(s, "<>") {
		return p.spec(s, 0)
	}
	name, n, f := plainPhrase(s)
	if n < 0 {
		name, n, f = readPhrase(s)
	}
	switch {
	case f != nil:
		return Address{}, f
	case n == len(s):
		return Address{}, illegal(n, "a '<' is missing before the address")
	case s[len(s)-1] != '>':
		return Address{}, illegal(len(s), "the address must end with '>' and nothing may follow it")
	}
	a, f := p.spec(s[n+1:len(s)-1], n+1)
	a.Name = name
	return a, f
}

// checkText refuses what has no place in any part of an address.
func checkText(s string) *AddressError {
	if s == "" {
		return illegal(0, "it is empty")
	}
	if s[0] == ' ' && !strings.HasPrefix(strings.TrimLeft(s, " "), "<") || s[len(s)-1] == ' ' {
		return illegal(0, "it begins or ends with a space: trim it")
	}
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			return illegal(i, "it is not valid UTF-8")
		case isControl(r):
			return illegal(i, fmt.Sprintf("it holds the control character %U", r))
		case isBidiControl(r):
			return illegal(i, fmt.Sprintf("it holds the bidirectional control %U", r))
		}
	}
	return nil
}

// isControl reports C0 and C1 controls, DEL, and the two Unicode line breaks.
func isControl(r rune) bool {
	return r < ' ' || 0x7f <= r && r <= 0x9f || r == 0x2028 || r == 0x2029
}

func hasControl(s string) bool { return strings.IndexFunc(s, isControl) >= 0 }

// isBidiControl reports the embeddings, overrides and isolates, which reorder
// the text beside them. The marks U+200E, U+200F and U+061C are fine.
func isBidiControl(r rune) bool {
	return 0x202a <= r && r <= 0x202e || 0x2066 <= r && r <= 0x2069
}

// spec reads local@domain. Offsets count from at.
func (p *addressParser) spec(s string, at int) (Address, *AddressError) {
	local, n, f := readLocal(s, at)
	if f != nil {
		return Address{}, f
	}
	domain, f := p.domain(s[n+1:], at+n+1)
	if f == nil && len(local)+1+len(domain) > maxAddr {
		f = illegal(at, "it is longer than 254 octets")
	}
	return Address{Local: local, Domain: domain}, f
}

// readLocal returns the local part and the index of the @ behind it.
func readLocal(s string, at int) (string, int, *AddressError) {
	local, n := s, 0
	if strings.HasPrefix(s, `"`) {
		end := strings.IndexByte(s[1:], '"') + 1
		if end == 0 {
			return "", 0, illegal(at, "the quote is not closed")
		}
		local, n = s[1:end], end+1
		if i := strings.IndexFunc(local, func(r rune) bool { return !isAtext(r) && r != '.' }); i >= 0 {
			return "", 0, illegal(at+1+i, "a quoted local part may hold only letters, digits, dots and !#$%&'*+-/=?^_`{|}~")
		}
	} else {
		n = scanLocal(s)
		local = s[:n]
	}
	if n == len(s) || s[n] != '@' {
		return "", 0, localFlaw(s, n, at)
	}
	switch {
	case local == "":
		return "", 0, illegal(at, "the part before the @ is missing")
	case len(local) > maxLocal:
		return "", 0, illegal(at, "the part before the @ is longer than 64 octets")
	case trickyLocal(local):
		return "", 0, nonASCII(at, "Punycode or an encoded-word stands before the @, where SES allows neither")
	}
	return local, n, nil
}

// localFlaw says why the local part ends at s[n], which is not its @.
func localFlaw(s string, n, at int) *AddressError {
	if n == len(s) {
		return illegal(at+n, "there is no @ in it")
	}
	what := "a character stands before the @ that is not allowed there"
	switch c := s[n]; {
	case c >= utf8.RuneSelf:
		return nonASCII(at+n, "the part before the @ is not ASCII, which SES does not take")
	case c == '.':
		what = `a dot stands at an end of the local part, or beside another dot: if the address is right, put quotes around that part, as in "a..b"@example.com`
	case c == ' ':
		what = "a space stands in the address"
	case c == ',' || c == ';':
		what = "it holds more than one address: give each its own entry"
	case c == '(':
		what = "comments are not taken"
	case c == ':':
		what = "groups are not taken"
		if strings.EqualFold(s[:n], "mailto") {
			what = "this is a link: take mailto: away"
		}
	case c == '"':
		what = "quotes must enclose the whole local part"
	}
	return illegal(at+n, what)
}

// trickyLocal reports a local part that a careless reader may decode to
// another one.
func trickyLocal(s string) bool {
	if hasACEPrefix(s) {
		return true
	}
	_, rest, found := strings.Cut(s, "=?")
	return found && strings.Contains(rest, "?=")
}

// plainPhrase is readPhrase for a name that reads as it stands, which is cut out
// of s. For any other it returns less than 0.
func plainPhrase(s string) (string, int, *AddressError) {
	n := strings.IndexByte(s, '<')
	for i := range max(n, 0) {
		switch c := s[i]; {
		case c == ' ' && (i == 0 || s[i-1] == ' '), c == '?' && i > 0 && s[i-1] == '=':
			return "", -1, nil
		case c < utf8.RuneSelf && class[c]&atext == 0 && c != ' ':
			return "", -1, nil
		}
	}
	if n < 0 {
		return "", -1, nil
	}
	return strings.TrimSuffix(s[:n], " "), n, nil
}

// readPhrase reads the display name before '<' and returns it, decoded, with
// the index of the '<'.
func readPhrase(s string) (string, int, *AddressError) {
	var name strings.Builder
	encoded := false // the word before this one was an encoded-word
	for i := 0; i < len(s); {
		if s[i] == ' ' {
			i++
			continue
		}
		if s[i] == '<' {
			return name.String(), i, checkName(name.String())
		}
		word, n, isEncoded, f := readWord(s[i:], i)
		if f != nil {
			return "", 0, f
		}
		if i > 0 && !(encoded && isEncoded) {
			name.WriteByte(' ')
		}
		name.WriteString(word)
		i, encoded = i+n, isEncoded
	}
	return "", len(s), nil
}

// checkName looks at the decoded name: an encoded-word may have hidden
// anything.
func checkName(name string) *AddressError {
	if !utf8.ValidString(name) {
		return illegal(0, "the name is not valid UTF-8")
	}
	if hasControl(name) || strings.IndexFunc(name, isBidiControl) >= 0 {
		return illegal(0, "the name holds a control character")
	}
	return nil
}

// readWord reads one word of a display name, and says whether it was an
// encoded-word.
func readWord(s string, at int) (word string, n int, encoded bool, f *AddressError) {
	if s[0] == '"' {
		word, n, f = readQuoted(s, at)
		return word, n, false, f
	}
	if n = encodedWord(s); n > 0 {
		word, encoded, err := decodeWord(s[:n])
		switch {
		case err != nil:
			return "", 0, false, illegal(at, "the name is encoded in a character set other than UTF-8, ISO-8859-1 and US-ASCII, which alone are taken: write it as plain text")
		case encoded && word == "":
			return "", 0, false, illegal(at, "an encoded-word of the name is empty")
		case encoded:
			return word, n, true, nil
		}
	}
	n = strings.IndexFunc(s, func(r rune) bool { return !isAtext(r) && r != '.' && r < utf8.RuneSelf })
	if n < 0 {
		n = len(s)
	}
	if n == 0 {
		return "", 0, false, illegal(at, "a name with this character must stand in double quotes")
	}
	return s[:n], n, false, nil
}

// encodedWord returns the length of the encoded-word at the start of s, or 0. It
// ends where a space or the address follows; what its text may hold is not looked
// at, since mime.QEncoding heeds no rule of names.
func encodedWord(s string) int {
	if !strings.HasPrefix(s, "=?") {
		return 0
	}
	n := strings.IndexByte(s, ' ')
	if n < 0 {
		n = len(s)
	}
	n = strings.LastIndex(s[:n], "?=") + 2
	if strings.Count(s[:n], "?") != 4 || n < len(s) && s[n] != ' ' && s[n] != '<' {
		return 0
	}
	return n
}

// readQuoted reads a quoted-string.
func readQuoted(s string, at int) (string, int, *AddressError) {
	var text []byte
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return string(text), i + 1, nil
		case '\\':
			i++
			if i == len(s) || s[i] >= utf8.RuneSelf {
				return "", 0, illegal(at+i-1, "a backslash may only precede an ASCII character")
			}
		}
		text = append(text, s[i])
	}
	return "", 0, illegal(at, "the quote is not closed")
}

var errCharset = errors.New("unknown character set")

// decodeWord decodes s if it is an encoded-word. An error means that it is
// one, in an unknown character set.
func decodeWord(s string) (word string, encoded bool, err error) {
	if !strings.HasPrefix(s, "=?") || !strings.HasSuffix(s, "?=") {
		return s, false, nil
	}
	d := mime.WordDecoder{CharsetReader: unknownCharset}
	word, err = d.Decode(s)
	switch {
	case err == nil:
		return word, true, nil
	case errors.Is(err, errCharset):
		return "", false, err
	}
	return s, false, nil
}
