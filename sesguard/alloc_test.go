//go:build !race

package sesguard

import (
	"bytes"
	"context"
	"testing"
)

const (
	mostAllocated = 25 // all in all by a composed message over SMTP
	mostOnTop     = 16 // by a guarded send over the API, beside the SDK's own call
)

// Both sides make their request anew for each message, as a program that sends
// different mails must.
func TestAGuardedAPISendAllocatesLittleMoreThanTheSDK(t *testing.T) {
	msg := rawMessage(2 << 10)
	api := bareAPI("http://ses.invalid", cannedHTTP{})
	client := New(API(api), Options{})
	ctx := context.Background()
	bare := testing.AllocsPerRun(500, func() {
		if _, err := api.SendEmail(ctx, bareInput(msg)); err != nil {
			t.Fatal(err)
		}
	})
	guarded := testing.AllocsPerRun(500, func() {
		m := &Message{From: benchFrom, To: []string{benchTo}, Raw: bytes.NewReader(msg)}
		if _, err := client.Send(ctx, m); err != nil {
			t.Fatal(err)
		}
	})
	t.Logf("%v allocations, %v without the guard", guarded, bare)
	if guarded-bare > mostOnTop {
		t.Errorf("%v allocations on top of the SDK's %v", guarded-bare, bare)
	}
}

func TestComposingAndSendingAllocatesLittle(t *testing.T) {
	client, m, ctx := smtpSink(t), textMessage(), context.Background()
	n := testing.AllocsPerRun(500, func() {
		if _, err := client.Send(ctx, m); err != nil {
			t.Fatal(err)
		}
	})
	t.Logf("%v allocations", n)
	if n > mostAllocated {
		t.Errorf("%v allocations", n)
	}
}
