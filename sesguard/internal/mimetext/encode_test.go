package mimetext

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"mime/quotedprintable"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestWhatMayBeSentAsItIs(t *testing.T) {
	x76 := strings.Repeat("x", 76)
	for s, want := range map[string]bool{
		"": true, "a b\r\nc\n\n": true, "\ta": true, x76 + "\n" + x76: true, "=20": true,
		"--=_x": false, "a \nb": false, "a\t\r\n": false, "a ": false, x76 + "x": false, x76 + "\t": false,
		"ü": false, "\x00": false, "\x7f": false, "\f": false,
	} {
		if got := SevenBit(s); got != want {
			t.Errorf("SevenBit(%q) = %v", s, got)
		}
	}
}

func TestOnlyShortCleanLinesAreSentAsTheyAre(t *testing.T) {
	full := strings.Repeat("a", LineAim)
	for s, want := range map[string]bool{
		"": true, full: true, full + "\n" + full + "\r\n": true, full + "\r": true, "\t" + full[1:]: true,
		full + "b": false, full + "b\n": false, "x\n" + full + "b\n": false, full + "\t": false, full[1:] + "\t": false, full + "\tb": false,
		full[1:] + "é": false, "a\x00": false, "a\x7f": false, "a \nb": false, "a\t\r\nb": false, "--=_b": false, "a=b": true,
	} {
		if got := SevenBit(s); got != want {
			t.Errorf("%q: %v", s, got)
		}
	}
}

func FuzzQuotedPrintable(f *testing.F) {
	for _, s := range []string{"", "a b \n", "=\t\r", ".\nFrom x\n..", strings.Repeat("ü", 60), strings.Repeat("x", 75) + "From y", strings.Repeat("x", 75) + " ", "\x00\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		out := AppendQP(nil, s)
		for line := range bytes.SplitSeq(out, []byte("\r\n")) {
			if len(line) > LineAim || bytes.ContainsAny(line, "\r\n") || bytes.HasPrefix(line, []byte("From ")) || string(line) == "." || bytes.HasSuffix(line, []byte(" ")) || bytes.HasSuffix(line, []byte("\t")) {
				t.Errorf("%q: line %q", s, line)
			}
		}
		got, err := io.ReadAll(quotedprintable.NewReader(bytes.NewReader(out)))
		if want := AppendLines(nil, s); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%q is written %q, which reads back as %q, %v", s, out, got, err)
		}
	})
}

func TestBase64LinesReadBackUnchanged(t *testing.T) {
	for n := range 3*Base64In + 2 {
		in := bytes.Repeat([]byte{0xfb}, n)
		dst := make([]byte, (n/Base64In+1)*Base64Out)
		out := Base64Lines(dst, in)
		got, err := base64.StdEncoding.DecodeString(string(out))
		if err != nil || !bytes.Equal(got, in) || int64(len(out)) != Base64Len(n) {
			t.Errorf("%d octets: %q, %v", n, out, err)
		}
		for line := range bytes.SplitSeq(out, []byte("\r\n")) {
			if len(line) > LineAim {
				t.Errorf("%d octets: line %q", n, line)
			}
		}
	}
}

// FuzzFolder writes a name and a text, and reads them back.
func FuzzFolder(f *testing.F) {
	for _, s := range []string{"Jo", "Public, Jo", "Jürgen", `"\`, "=?utf-8?q?x?=", "a  b", strings.Repeat("ü", 300), strings.Repeat("word ", 60), strings.Repeat("x", 200)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) {
			return
		}
		w := Folder{Max: LineAim}
		w.Field("Subject")
		w.Text(s)
		w.End()
		for line := range strings.SplitSeq(strings.TrimSuffix(string(w.Buf), "\r\n"), "\r\n") {
			if len(line) > max(LineAim, len("Subject: ")+runMax) || strings.TrimLeft(line, " ") == "" && s != "" {
				t.Errorf("%q: line %q", s, line)
			}
		}
		text := strings.TrimPrefix(strings.ReplaceAll(strings.TrimSuffix(string(w.Buf), "\r\n"), "\r\n", ""), "Subject: ")
		if got, err := new(mime.WordDecoder).DecodeHeader(text); err != nil || got != s {
			t.Errorf("%q is written %q, which reads back as %q, %v", s, w.Buf, got, err)
		}
	})
}

func TestBase64IsThatOfTheStandardLibrary(t *testing.T) {
	src := make([]byte, 300)
	for i := range src {
		src[i] = byte(i*i*7 + i>>3)
	}
	for from := range 7 {
		for n := range len(src) - from {
			want := base64.StdEncoding.EncodeToString(src[from : from+n])
			dst := bytes.Repeat([]byte{'!'}, len(want)+8)
			if got := dst[:Base64(dst, src[from:from+n])]; string(got) != want {
				t.Fatalf("%d octets: %s, want %s", n, got, want)
			}
			if string(dst[len(want):]) != "!!!!!!!!" {
				t.Fatalf("%d octets: wrote behind the end", n)
			}
		}
	}
	for twelve := range 1 << 12 {
		src := []byte{byte(twelve >> 4), byte(twelve << 4), 0, 0, 0, 0, 0, 0}
		dst := make([]byte, 12)
		if Base64(dst, src); string(dst) != base64.StdEncoding.EncodeToString(src) {
			t.Fatalf("%012b: %s", twelve, dst)
		}
	}
}

func BenchmarkBase64(b *testing.B) {
	src, dst := make([]byte, 24<<10), make([]byte, 32<<10)
	b.SetBytes(int64(len(src)))
	for b.Loop() {
		Base64(dst, src)
	}
}
