package sestest

import (
	"bytes"
	"testing"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

func TestTheSizeLimitIs40MB(t *testing.T) {
	for n, want := range map[int]string{
		MaxMessageSize:     "Missing required header 'From'.", // the next complaint
		MaxMessageSize + 1: "Message length is more than 41943040 bytes long: '41943041'.",
	} {
		r := (&submission{octets: n}).examine()
		if _, _, got := r.api(); got != want {
			t.Errorf("%d octets: %q, want %q", n, got, want)
		}
	}
	code, text := refused(seserrors.MessageTooLong, "1").smtp()
	if code != 552 || text != "Message is too long." {
		t.Errorf("%d %s", code, text)
	}
}

func TestOctetsBeyondTheLimitAreCountedAndNotKept(t *testing.T) {
	var d dataReader
	line := append(bytes.Repeat([]byte("x"), 1<<20-2), "\r\n"...)
	for range 41 {
		d.take(line)
	}
	if d.octets != 41<<20 || len(d.content) != 40<<20 {
		t.Errorf("%d octets counted, %d kept", d.octets, len(d.content))
	}
}
