package sesguard

import (
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// toASCII is UTS #46 ToASCII with its checks on: idna.Lookup alone takes empty
// labels and names of any length. Hyphens are checked by checkLabel and
// checkULabel, since idna counts octets where the standard counts characters.
var toASCII = idna.New(idna.MapForLookup(), idna.CheckHyphens(false), idna.BidiRule(),
	idna.VerifyDNSLength(true), idna.StrictDomainName(true))

// Classes of ASCII characters.
const (
	atext = 1 << iota // RFC 5322 §3.2.3
	ldh               // letter, digit, hyphen
	digit
)

var class = func() (t [256]uint8) {
	for c := byte('0'); c <= '9'; c++ {
		t[c] = atext | ldh | digit
	}
	for c := byte('a'); c <= 'z'; c++ {
		t[c], t[c-'a'+'A'] = atext|ldh, atext|ldh
	}
	for _, c := range []byte("!#$%&'*+/=?^_`{|}~") {
		t[c] = atext
	}
	t['-'] = atext | ldh
	return t
}()

func isAtext(r rune) bool { return r < utf8.RuneSelf && class[r]&atext != 0 }

// scanLocal returns the length of the dot-atom at the start of s: it stops at
// the first octet that is not part of one, or at a dot out of place.
func scanLocal(s string) int {
	for i := 0; i < len(s); i++ {
		if class[s[i]]&atext != 0 {
			continue
		}
		if s[i] != '.' || i == 0 || s[i-1] == '.' {
			return i
		}
		if i+1 == len(s) || class[s[i+1]]&atext == 0 {
			return i
		}
	}
	return len(s)
}

func isDotAtom(s string) bool { return s != "" && scanLocal(s) == len(s) }

// validLocal reports what ParseAddress leaves in Address.Local.
func validLocal(s string) bool {
	if s == "" || len(s) > maxLocal || trickyLocal(s) {
		return false
	}
	for i := range len(s) {
		if class[s[i]]&atext == 0 && s[i] != '.' {
			return false
		}
	}
	return true
}

// hasACEPrefix reports the prefix of Punycode (RFC 5890 §2.3.2.1).
func hasACEPrefix(s string) bool {
	return len(s) >= 4 && s[2] == '-' && strings.EqualFold(s[:4], "xn--")
}

// plainDomain returns len(s) if s is a valid ASCII domain without Punycode,
// otherwise less than 0.
func plainDomain(s string) int {
	if f, ace := checkDomain(s, 0); f != nil || ace {
		return -2
	}
	return len(s)
}

// validDomain reports what ParseAddress leaves in Address.Domain.
func validDomain(s string) bool {
	ascii, f := new(addressParser).domain(s, 0)
	return f == nil && ascii == s
}

// checkDomain finds the flaw of an ASCII domain, and says whether a label of
// it is in Punycode.
func checkDomain(s string, at int) (f *AddressError, ace bool) {
	if s == "" {
		return illegal(at, "the domain is missing"), false
	}
	start, digits := 0, true
	for i := 0; i < len(s); i++ {
		if s[i] == '.' {
			if f := checkLabel(s[start:i], at+start); f != nil {
				return f, ace
			}
			ace = ace || hasACEPrefix(s[start:i])
			start, digits = i+1, true
			continue
		}
		if class[s[i]]&ldh == 0 {
			return domainFlaw(s, i, at), ace
		}
		digits = digits && class[s[i]]&digit != 0
	}
	if f := checkLabel(s[start:], at+start); f != nil {
		return f, ace
	}
	switch {
	case digits:
		return illegal(at+start, "the last label of the domain is a number"), ace
	case len(s) > maxDomain:
		return illegal(at, "the domain is longer than 253 octets"), ace
	}
	return nil, ace || hasACEPrefix(s[start:])
}

func checkLabel(s string, at int) *AddressError {
	switch {
	case s == "":
		return illegal(at, "a dot stands at an end of the domain, or beside another dot")
	case s[0] == '-' || s[len(s)-1] == '-':
		return illegal(at, "a label of the domain begins or ends with a hyphen")
	case len(s) >= 4 && s[2] == '-' && s[3] == '-' && !hasACEPrefix(s):
		return illegal(at, "a label of the domain has hyphens as its third and fourth character, which RFC 5890 §2.3.1 reserves")
	case len(s) > maxLabel:
		return illegal(at, "a label of the domain is longer than 63 octets")
	}
	return nil
}

// domainFlaw says why s[i] has no place in a domain.
func domainFlaw(s string, i, at int) *AddressError {
	what := "a character stands in the domain that is not allowed there"
	switch s[i] {
	case '@':
		what = "there is more than one @"
	case ' ':
		what = "a space stands in the address"
	case ',', ';':
		what = "it holds more than one address: give each its own entry"
	case '<', '>':
		what = "more text follows the address"
	case '[':
		what = "address literals are not taken: use a domain name"
	case '(':
		what = "comments are not taken"
	case '_':
		what = "SES takes no underscore in a domain"
	}
	return illegal(at+i, what)
}

// domain checks s and returns it in ASCII.
func (p *addressParser) domain(s string, at int) (string, *AddressError) {
	i := strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
	if i < 0 {
		f, ace := checkDomain(s, at)
		if f != nil || !ace {
			return s, f
		}
	} else if j := strings.IndexFunc(s, func(r rune) bool { return r < utf8.RuneSelf && r != '.' && class[r]&ldh == 0 }); j >= 0 {
		return "", domainFlaw(s, j, at)
	}
	for _, d := range p.domains {
		if d.text == s {
			return d.ascii, nil
		}
	}
	ascii, f := punycode(s, at)
	if f == nil {
		p.domains = append(p.domains, domain{s, ascii})
	}
	return ascii, f
}

// punycode returns s, which is not plain ASCII, in ASCII.
func punycode(s string, at int) (string, *AddressError) {
	if len(s) > 4*maxDomain {
		return "", illegal(at, "the domain is longer than 253 octets")
	}
	// Since Unicode 15.1 a capital sharp s is a small one; idna's tables make it
	// "ss", which is another domain, in programs built by a Go before 1.27.
	ascii, err := toASCII.ToASCII(strings.ReplaceAll(s, "ẞ", "ß"))
	const hebrew = 0x590 // the first of the scripts that run from right to left
	if err == nil && strings.IndexFunc(s, func(r rune) bool { return r >= hebrew }) >= 0 {
		_, err = toASCII.ToASCII(ascii) // again, since idna takes the direction of a character from before it maps it
	}
	if err != nil {
		return "", illegal(at, "the domain is not a valid internationalised name ("+brief(err.Error())+")")
	}
	if f, _ := checkDomain(ascii, at); f != nil {
		return "", f
	}
	for label := range strings.SplitSeq(ascii, ".") {
		if f := checkULabel(label, at); f != nil {
			return "", f
		}
	}
	return ascii, nil
}

// checkULabel checks the hyphens of what a label in Punycode stands for, of which
// idna takes more than the standard does.
func checkULabel(label string, at int) *AddressError {
	if !hasACEPrefix(label) || strings.Count(label[4:], "-") < 2 { // one only parts its ASCII from the rest
		return nil
	}
	u, err := idna.Punycode.ToUnicode(label)
	if err != nil {
		return illegal(at, "the domain holds broken Punycode")
	}
	if r := []rune(u); len(r) > 3 && r[2] == '-' && r[3] == '-' || r[0] == '-' || r[len(r)-1] == '-' {
		return illegal(at, "a label of the domain has a hyphen at an end, or as its third and fourth character")
	}
	return nil
}

func unknownCharset(string, io.Reader) (io.Reader, error) { return nil, errCharset }
