package sesguard

import (
	"errors"
	"mime"
	"net/mail"
	"strings"
	"testing"
	"unicode/utf8"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

func TestParseAddressTakes(t *testing.T) {
	long63, local64 := strings.Repeat("d", 63), strings.Repeat("l", 64)
	for _, tt := range []struct {
		name, in string
		want     Address
		wire     string // String; "": in
	}{
		{"plain", "user@example.com", Address{"", "user", "example.com"}, ""},
		{"letter case is kept", "User@Example.COM", Address{"", "User", "Example.COM"}, ""},
		{"all of atext", "!#$%&'*+-/=?^_`{|}~@example.com", Address{"", "!#$%&'*+-/=?^_`{|}~", "example.com"}, ""},
		{"dots", "a.b.c@d.e.f", Address{"", "a.b.c", "d.e.f"}, ""},
		{"plus tag", "user+tag@example.com", Address{"", "user+tag", "example.com"}, ""},
		{"hyphens in the domain", "a@b--c.d-e.com", Address{"", "a", "b--c.d-e.com"}, ""},
		{"digits in the domain", "a@1.2.3.example", Address{"", "a", "1.2.3.example"}, ""},
		{"domain without dot", "root@localhost", Address{"", "root", "localhost"}, ""},
		{"longest local part", local64 + "@example.com", Address{"", local64, "example.com"}, ""},
		{"longest label", "a@" + long63 + ".com", Address{"", "a", long63 + ".com"}, ""},
		{"quotes that protect dots", `"a..b."@example.com`, Address{"", "a..b.", "example.com"}, ""},
		{"quotes that protect nothing", `"a.b"@example.com`, Address{"", "a.b", "example.com"}, "a.b@example.com"},
		{"angle brackets", "<a@b.c>", Address{"", "a", "b.c"}, "a@b.c"},
		{"name", "Jo Public <jo@example.com>", Address{"Jo Public", "jo", "example.com"}, ""},
		{"name without space", "Jo<jo@example.com>", Address{"Jo", "jo", "example.com"}, "Jo <jo@example.com>"},
		{"name with dot", "J. Public <jo@example.com>", Address{"J. Public", "jo", "example.com"}, `"J. Public" <jo@example.com>`},
		{"quoted name", `"Public, Jo" <jo@example.com>`, Address{"Public, Jo", "jo", "example.com"}, ""},
		{"quoted name that is an address", `"a@b.c" <jo@example.com>`, Address{"a@b.c", "jo", "example.com"}, ""},
		{"quotes in a quoted name", `"Jo \"X\" \\" <jo@example.com>`, Address{`Jo "X" \`, "jo", "example.com"}, ""},
		{"empty quoted name", `"" <jo@example.com>`, Address{"", "jo", "example.com"}, "jo@example.com"},
		{"Unicode name", "Jürgen <j@example.com>", Address{"Jürgen", "j", "example.com"}, "=?utf-8?q?J=C3=BCrgen?= <j@example.com>"},
		{"quoted Unicode name", `"日本語" <j@example.com>`, Address{"日本語", "j", "example.com"}, "=?utf-8?b?5pel5pys6Kqe?= <j@example.com>"},
		{"encoded-word", "=?utf-8?q?J=C3=BCrgen?= <j@example.com>", Address{"Jürgen", "j", "example.com"}, ""},
		{"encoded-words join", "=?utf-8?q?J=C3?= =?utf-8?q?=BC?= <j@example.com>", Address{"Jü", "j", "example.com"}, "=?utf-8?b?SsO8?= <j@example.com>"},
		{"encoded-word in Latin 1", "=?ISO-8859-1?B?/A==?= X <j@example.com>", Address{"ü X", "j", "example.com"}, "=?utf-8?q?=C3=BC_X?= <j@example.com>"},
		{"what only looks like an encoded-word", `"=?utf-8?q?x?=" <j@example.com>`, Address{"=?utf-8?q?x?=", "j", "example.com"},
			"=?utf-8?b?PT91dGYtOD9xP3g/PQ==?= <j@example.com>"},
		{"Unicode domain", "a@bücher.example", Address{"", "a", "xn--bcher-kva.example"}, "a@xn--bcher-kva.example"},
		{"sharp s is not ss", "a@faß.de", Address{"", "a", "xn--fa-hia.de"}, "a@xn--fa-hia.de"},
		{"ideographic full stop", "a@例え。テスト", Address{"", "a", "xn--r8jz45g.xn--zckzah"}, "a@xn--r8jz45g.xn--zckzah"},
		{"hyphens in the third and fourth octet, not character", "a@ö--ä.com", Address{"", "a", "xn-----wia3e.com"}, "a@xn-----wia3e.com"},
		{"Punycode", "a@XN--BCHER-KVA.Example", Address{"", "a", "xn--bcher-kva.example"}, "a@xn--bcher-kva.example"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, err := ParseAddress(tt.in)
			if err != nil || a != tt.want {
				t.Fatalf("ParseAddress(%q) = %+v, %v; want %+v", tt.in, a, err, tt.want)
			}
			wire := tt.wire
			if wire == "" {
				wire = tt.in
			}
			if got := a.String(); got != wire {
				t.Errorf("String() = %s, want %s", got, wire)
			}
		})
	}
}

func TestParseAddressRefuses(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		offset   int
		reason   string // a part of it
	}{
		{"nothing", "", 0, "empty"},
		{"no @", "user", 4, "no @"},
		{"no local part", "@example.com", 0, "before the @ is missing"},
		{"no domain", "user@", 5, "domain is missing"},
		{"two @", "a@b@c.d", 3, "more than one @"},
		{"leading space", " a@b.c", 0, "trim"},
		{"trailing space", "a@b.c ", 0, "trim"},
		{"space in the local part", "a b@c.d", 1, "space"},
		{"space in the domain", "a@b c.d", 3, "space"},
		{"parameter injection", "a@b.c> SIZE=1", 1, "double quotes"},
		{"header injection", "a@b.c\r\nBcc: x@y.z", 5, "control"},
		{"header injection in a name", "Jo\r\n <a@b.c>", 2, "control"},
		{"NUL", "a\x00@b.c", 1, "control"},
		{"DEL", "a\x7f@b.c", 1, "control"},
		{"tab", "Jo\t<a@b.c>", 2, "control"},
		{"next line", "Jo\u0085 <a@b.c>", 2, "control"},
		{"line separator", "Jo\u2028 <a@b.c>", 2, "control"},
		{"bidi override", "Jo\u202e <a@b.c>", 2, "bidirectional"},
		{"hidden line break", "=?utf-8?q?a=0D=0ABcc:?= <a@b.c>", 0, "control"},
		{"encoded line break", "=?utf-8?q?a=0D=0A?= <a@b.c>", 0, "control"},
		{"encoded name that is no UTF-8", "=?utf-8?q?=FF?= <a@b.c>", 0, "UTF-8"},
		{"encoded name in another character set", "=?koi8-r?q?=C1?= <a@b.c>", 0, "character set"},
		{"no UTF-8", "\xff <a@b.c>", 0, "UTF-8"},
		{"two addresses", "a@b.c,d@e.f", 5, "more than one address"},
		{"two addresses, semicolon", "a@b.c;d@e.f", 5, "more than one address"},
		{"two with names", "A <a@b.c>, D <d@e.f>", 8, "more text"},
		{"leading dot", ".a@b.c", 0, "dot"},
		{"trailing dot", "a.@b.c", 1, "dot"},
		{"two dots", "a..b@c.d", 1, "dot"},
		{"quote inside", `a"b"@c.d`, 1, "quotes"},
		{"quoted space", `"a b"@c.d`, 2, "quoted local part"},
		{"quoted @", `"a@x.y"@c.d`, 2, "quoted local part"},
		{"quoted pair", `"a\b"@c.d`, 2, "quoted local part"},
		{"open quote", `"a@b.c`, 0, "not closed"},
		{"comment", "a(x)@b.c", 1, "comment"},
		{"comment in the domain", "a@(x)b.c", 2, "comment"},
		{"group", "g:a@b.c;", 1, "group"},
		{"route", "<@x.y:a@b.c>", 1, "missing"},
		{"literal", "a@[192.0.2.1]", 2, "literal"},
		{"IPv4 address", "a@192.0.2.1", 10, "number"},
		{"Unicode local part", "jürgen@example.com", 1, "not ASCII"},
		{"Punycode local part", "xn--jrgen-kva@example.com", 0, "Punycode"},
		{"encoded local part", "=?utf-8?q?x=40y?=@example.com", 0, "encoded-word"},
		{"underscore in the domain", "a@b_c.d", 3, "underscore"},
		{"final dot", "a@b.c.", 6, "dot"},
		{"domain with leading dot", "a@.b.c", 2, "dot"},
		{"empty label", "a@b..c", 4, "dot"},
		{"empty label, Unicode", "a@ü..c", 2, "internationalised"},
		{"leading hyphen", "a@-b.c", 2, "hyphen"},
		{"trailing hyphen", "a@b-.c", 2, "hyphen"},
		{"reserved hyphens", "a@ab--c.de", 2, "reserves"},
		{"reserved hyphens in another label", "a@x.ab--.de", 4, "hyphen"},
		{"reserved hyphens, Unicode", "a@öä--ü.de", 2, "third and fourth"},
		{"reserved hyphens in Punycode", "a@xn--xn----eka2a.de", 2, "third and fourth"},
		{"local part of 65", strings.Repeat("l", 65) + "@b.c", 0, "64"},
		{"label of 64", "a@" + strings.Repeat("d", 64) + ".com", 2, "63"},
		{"Unicode label of 64", "a@" + strings.Repeat("ü", 60) + ".com", 2, "internationalised"},
		{"name of 254", "a@" + strings.Repeat("d.", 126) + "de", 2, "253"},
		{"254 with the local part", strings.Repeat("l", 64) + "@" + strings.Repeat("d.", 95), 255, "dot"},
		{"255 with the local part", strings.Repeat("l", 64) + "@" + strings.Repeat("d.", 94) + "de", 0, "254"},
		{"Punycode of nothing", "a@xn--.com", 2, "hyphen"},
		{"Punycode of ASCII", "a@xn--abc-.com", 2, "hyphen"},
		{"broken Punycode", "a@xn--a.com", 2, "internationalised"},
		{"mapped to a slash", "a@℀.com", 2, "internationalised"},
		{"no '<'", "Jo a@b.c>", 4, "double quotes"},
		{"name alone", "Jo Public", 2, "space"},
		{"text after", "<a@b.c> x", 9, "end with"},
		{"space inside the brackets", "Jo < a@b.c>", 4, "space"},
		{"comma in a bare name", "Public, Jo <a@b.c>", 6, "double quotes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, err := ParseAddress(tt.in)
			bad, ok := errors.AsType[*AddressError](err)
			if !ok {
				t.Fatalf("ParseAddress(%q) = %+v, %v", tt.in, a, err)
			}
			if a != (Address{}) || bad.Offset != tt.offset || !strings.Contains(bad.Reason, tt.reason) {
				t.Errorf("ParseAddress(%q) = %+v, %v; want %q at %d", tt.in, a, err, tt.reason, tt.offset)
			}
			if !errors.Is(err, seserrors.IllegalAddress) && !errors.Is(err, seserrors.NonASCIIAddress) {
				t.Errorf("%v has no reason", err)
			}
			if strings.ContainsAny(err.Error(), "\r\n\x00") {
				t.Errorf("%q holds control characters", err.Error())
			}
		})
	}
}

// The vectors are those that UTS #46 and RFC 3492 §7.1 discuss.
func TestDomainsBecomeThePunycodeOfTheStandard(t *testing.T) {
	for in, want := range map[string]string{
		"bücher.example":       "xn--bcher-kva.example",
		"BÜCHER.Example":       "xn--bcher-kva.example",
		"bu\u0308cher.example": "xn--bcher-kva.example", // not composed
		"faß.de":               "xn--fa-hia.de",
		"βόλος.com":            "xn--nxasmm1c.com",
		"ශ්\u200dරී.com":       "xn--10cl1a0b660p.com",
		"نامه\u200cای.com":     "xn--mgba3gch31f060k.com",
		"öbb.at":               "xn--bb-eka.at",
		"他们为什么不说中文.example":    "xn--ihqwcrb4cv8a8dqg056pqjye.example",
		"なぜみんな日本語を話してくれないのか.example": "xn--n8jok5ay5dzabd5bym9f0cm5685rrjetr6pdxa.example",
		"ｅｘａｍｐｌｅ．com":                "example.com",
		"💩.la":                       "xn--ls8h.la",
		"a\u00adb.com":               "ab.com", // the soft hyphen is dropped
		"א.example":                  "xn--4db.example",
		"FAẞ.de":                     "xn--fa-hia.de", // since Unicode 15.1
		"می\u200cخواهم.com":          "xn--mgbn2ecje63gr19l.com",
		"क्\u200cष.com":              "xn--11b2ezcs70k.com", // after a virama
	} {
		if a, err := ParseAddress("u@" + in); err != nil || a.Domain != want {
			t.Errorf("%s: %s, %v; want %s", in, a.Domain, err, want)
		}
	}
	for _, in := range []string{
		"a\u200cb.com", // a joiner out of context
		"אa.com",       // right to left, and ends left to right
		"\u0301a.com",  // begins with a combining mark
		"ü-.com", "-ü.com", "ab--ü.com", "ü。。com", "。ü.com", "ü.com。", "\u2260.com", "ü\u3000.com", "ü/a.com",
		"xn--fa-hia\u0301.de", "xn--BCHER-KVA\u00fc.de", "１２.com。１", "1.2.3.４", "\u00ad.com", "xn--zca\u200d.com",
		strings.Repeat("ü.", 60) + "com",
		"a\u2136b.com", // becomes a Hebrew letter between Latin ones
	} {
		if a, err := ParseAddress("u@" + in); err == nil {
			t.Errorf("%q is taken as %s", in, a.Domain)
		}
	}
}

func TestAddrOfAnImpossibleAddressIsEmpty(t *testing.T) {
	for _, a := range []Address{
		{}, {Local: "a"}, {Domain: "b.c"}, {Local: "a\r\nb", Domain: "c.d"}, {Local: "a", Domain: "b.c> SIZE=1"},
		{Local: "a", Domain: "xn--a.com"}, {Local: "a", Domain: "XN--BCHER-KVA.example"}, {Local: "a", Domain: "ab--c.d"},
		{Local: "a b", Domain: "c.d"}, {Local: "ü", Domain: "c.d"}, {Local: "a", Domain: "ü.d"}, {Local: `a"`, Domain: "b.c"},
	} {
		a.Name = "Jo"
		if a.Addr() != "" || a.String() != "" {
			t.Errorf("%+v: Addr %q, String %q; want none", a, a.Addr(), a.String())
		}
	}
}

func TestAPlainAddressCostsNoAllocation(t *testing.T) {
	for _, s := range []string{"first.last+tag@mail.example.com", "<a@example.com>", "Jo Public <jo@example.com>"} {
		if n := testing.AllocsPerRun(100, func() { parseMailbox(s) }); n != 0 {
			t.Errorf("%q: %v allocations, want 0", s, n)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{
		"a@b.c", "Jo <a@b.c>", `"Public, Jo" <a@b.c>`, `"a..b"@c.d`, "=?utf-8?q?J=C3=BC?= <a@b.c>", "a@bücher.de",
		`"\"" <a@b.c>`, "<a@b.c>", "=?utf-8?b?YQ==?= =?utf-8?b?Yg==?= x <a@b.c>", "a@XN--BCHER-KVA.de", "Jo.<a@b.c>",
		"a@b。c", "a@\u00adb.c", `"" <a@b.c>`, "Jo P <a@b.c>", "Jo  P <a@b.c>", "Jo  <a@b.c>", "Jo<a@b.c>", `"a.b"@b.c`, `<"ab"@b.c>`, `a"b"<a@b.c>`, ".. <a@b.c>", "=?x <a@b.c>", "=?utf-8?q??= <a@b.c>",
		"=?utf-8?q?a,b?= <a@b.c>", "=?utf-8?q?<x@y>?=<a@b.c>", "=?utf-8?q?a,=ZZ?= <a@b.c>", "=?x?q?a,b?= <a@b.c>", " <a@b.c>", "  <a@b.c>", "Jürgen G. <a@b.c>", "ü  <a@b.c>",
		"a@faẞ.de", "a@می\u200cخواهم.com", "a@ab--ü.de", "a@\u2136b.c",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, addr, err := parseMailbox(s)
		if err != nil {
			if len(err.Error()) > 1000 || strings.ContainsAny(err.Error(), "\r\n\x00") {
				t.Errorf("%q: the error %q is not fit to print", s, err)
			}
			return
		}
		if addr != a.Addr() {
			t.Errorf("%q: the bare address is %q and %q", s, addr, a.Addr())
		}
		if name, n, _ := plainPhrase(s); n >= 0 {
			if word, at, f := readPhrase(s); name != word || n != at || f != nil {
				t.Errorf("%q: the name is %q, read word by word %q, %v", s, name, word, f)
			}
		}
		std, err := mail.ParseAddress(s)
		if err != nil && strings.Contains(s, "=?") { // it takes no comma in an encoded-word: compare what is written
			std, err = mail.ParseAddress(a.String())
		}
		if err != nil {
			t.Fatalf("net/mail refuses %q: %v", s, err)
		}
		at := strings.LastIndexByte(std.Address, '@')
		domain := std.Address[at+1:]
		if !strings.EqualFold(domain, a.Domain) {
			domain, err = toASCII.ToASCII(strings.ReplaceAll(domain, "ẞ", "ß"))
		}
		if err != nil || std.Address[:at] != a.Local || !strings.EqualFold(domain, a.Domain) {
			t.Errorf("%q: %+v, net/mail has %q (%v)", s, a, std.Address, err)
		}
		if std.Name != a.Name {
			t.Errorf("%q: the name is %q, net/mail has %q", s, a.Name, std.Name)
		}
		for _, wire := range []string{a.Addr(), a.String()} {
			if !isPrintable(wire) {
				t.Errorf("%q: %q does not fit the wire", s, wire)
			}
		}
		if b, err := ParseAddress(a.Addr()); err != nil || b != (Address{Local: a.Local, Domain: a.Domain}) {
			t.Errorf("%q: %q reads back as %+v, %v", s, a.Addr(), b, err)
		}
		if b, err := ParseAddress(a.String()); err != nil || b != a {
			t.Errorf("%q: %q reads back as %+v, %v", s, a.String(), b, err)
		}
	})
}

func FuzzAddressString(f *testing.F) {
	for _, s := range []string{
		"Jo", "Jo Public", "Public, Jo", "Jürgen", "日本語テキスト", `"`, `\`, "=?utf-8?q?x?=", "a  b", " a ", "?=", "=?",
		strings.Repeat("x", 100), strings.Repeat("ü", 1000), strings.Repeat("word ", 300), "\xff", "a\r\nb", "👍🏽" + strings.Repeat("👍🏽", 30),
		strings.Repeat("\x80", 80), "_", "a=b?c",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		s := Address{Name: name, Local: "a", Domain: "b.c"}.String()
		if !isPrintable(s) {
			t.Fatalf("%q does not fit the wire", s)
		}
		for w := range strings.FieldsSeq(s) {
			if !strings.HasPrefix(w, "=?") {
				continue
			}
			if text, err := new(mime.WordDecoder).Decode(w); err != nil || len(w) > 75 || !utf8.ValidString(text) {
				t.Errorf("the encoded-word %q has %d characters, %q, %v", w, len(w), text, err)
			}
		}
		want := strings.ToValidUTF8(name, "\uFFFD")
		got, err := mail.ParseAddress(s)
		if err != nil || got.Name != want || got.Address != "a@b.c" {
			t.Errorf("%q is written %q, which net/mail reads as %v, %v", name, s, got, err)
		}
	})
}

func BenchmarkParseAddress(b *testing.B) {
	const s = "first.last@mail.example.com"
	b.Run("sesguard", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			ParseAddress(s)
		}
	})
	b.Run("net-mail", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			mail.ParseAddress(s)
		}
	})
}
