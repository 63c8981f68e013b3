package sesguard

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
)

// numbered is a letter unlike any other, and what is sent of it.
func numbered(t *testing.T, n int) (*Message, string) {
	t.Helper()
	m := &Message{
		From: benchFrom, To: []string{benchTo}, Subject: fmt.Sprint("number ", n), Date: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		Text: strings.Repeat(fmt.Sprint(n, " is my number\n"), 1+n%90),
	}
	var wire bytes.Buffer
	if _, err := m.WriteTo(&wire); err != nil {
		t.Fatal(err)
	}
	return m, wire.String()
}

// A keepingAPI keeps the content of each mail, as a fake in a test does.
type keepingAPI struct{ kept [][]byte }

func (k *keepingAPI) SendEmail(_ context.Context, in *sesv2.SendEmailInput, _ ...func(*sesv2.Options)) (*sesv2.SendEmailOutput, error) {
	k.kept = append(k.kept, in.Content.Raw.Data)
	return &sesv2.SendEmailOutput{MessageId: aws.String("0100-id")}, nil
}

// Buffers go from one mail to the next, and no octet goes with them: not into
// what was sent, nor into what somebody else keeps of it.
func TestABufferThatIsUsedAgainBelongsToNobody(t *testing.T) {
	srv := newFake(t)
	smtp := New(overSMTP(t, srv), Options{})
	api := new(keepingAPI)
	overKeepingAPI := New(API(api), Options{})
	var raws []io.WriterTo
	overKeeper := New(SenderFunc(func(_ context.Context, m *Message) (*Receipt, error) {
		raws = append(raws, m.Raw)
		return new(Receipt), nil
	}), Options{})
	var nestedRaws []io.WriterTo
	nested := New(SenderFunc(func(ctx context.Context, m *Message) (*Receipt, error) {
		nestedRaws = append(nestedRaws, m.Raw)
		return smtp.Send(ctx, m)
	}), Options{})

	const each, senders = 60, 4
	var want []string
	var sent sync.Map // what the server may have got
	for n := range each {
		m, wire := numbered(t, n)
		for _, c := range []*Client{overKeepingAPI, overKeeper, nested} {
			if _, err := c.Send(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
		large := wire + strings.Repeat("and more\r\n", 1000) // room for any of the others
		own := []byte(large)
		if _, err := smtp.Send(t.Context(), &Message{From: benchFrom, To: []string{benchTo}, Raw: bytes.NewReader(own)}); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if string(own) != large {
				t.Errorf("the caller's own message %d was changed", n)
			}
		}()
		want = append(want, wire)
		sent.Store(wire, true)
		sent.Store(large, true)
	}
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			for n := range each {
				m, wire := numbered(t, 1000*(s+1)+n)
				if _, err := smtp.Send(t.Context(), m); err != nil {
					t.Error(err)
				}
				sent.Store(wire, true)
			}
		})
	}
	wg.Wait()
	for n, wire := range want {
		for _, kept := range []io.WriterTo{raws[n], nestedRaws[n]} {
			var again bytes.Buffer
			if kept.WriteTo(&again); again.String() != wire {
				t.Errorf("message %d that a Sender kept is now %q", n, again.String())
			}
		}
		if string(api.kept[n]) != wire {
			t.Errorf("message %d that an API kept is now %q", n, api.kept[n])
		}
	}
	for _, got := range srv.Accepted() {
		if _, ok := sent.Load(string(got.Data)); !ok {
			t.Errorf("something else arrived: %q", got.Data)
		}
	}
	if n := len(srv.Accepted()); n != each*(2+senders) {
		t.Errorf("%d mails accepted", n)
	}
}

func TestARecycledMessageHasNoContent(t *testing.T) {
	m, _ := numbered(t, 1)
	b, err := prepareNow(m)
	if err != nil {
		t.Fatal(err)
	}
	b.recycle()
	if n, _ := b.WriteTo(io.Discard); n != 0 {
		t.Errorf("%d octets of a message that is gone", n)
	}
}
