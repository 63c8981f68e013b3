//go:build !race

package sesguard

import (
	"context"
	"strings"
	"testing"
)

// The most that a send of 2 KB may allocate beside the transport: of a Mail, and
// of a Message that is built for it.
const mostOfMail, mostOfMessage = 10, 14

func acceptAll(context.Context, *Mail) (*Receipt, error) { return nil, nil }

func letter2KB() *Message {
	m := letter()
	m.Text = strings.Repeat("The quick brown fox jumps over the lazy dog.\r\n", 44)
	return m
}

func TestTheGuardAllocatesLittle(t *testing.T) {
	c, ctx, m := New(TransportFunc(acceptAll), Options{}), context.Background(), letter2KB()
	mail, err := Build(m)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		most float64
		send func() error
	}{
		{"a Mail", mostOfMail, func() error { _, err := c.SendBuilt(ctx, mail); return err }},
		{"a Message", mostOfMessage, func() error { _, err := c.Send(ctx, m); return err }},
	} {
		n := testing.AllocsPerRun(500, func() {
			if err := tc.send(); err != nil {
				t.Fatal(err)
			}
		})
		t.Logf("%s: %v allocations", tc.name, n)
		if n > tc.most {
			t.Errorf("%s: %v allocations, want %v at most", tc.name, n, tc.most)
		}
	}
}

func BenchmarkGuard(b *testing.B) {
	c, m := New(TransportFunc(acceptAll), Options{}), letter2KB()
	mail, err := Build(m)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("mail", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.SendBuilt(b.Context(), mail); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("message", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Send(b.Context(), m); err != nil {
				b.Fatal(err)
			}
		}
	})
}
