package dbtest

import (
	"testing"
	"time"

	"github.com/sesguard/sesguard-go/sesguard/outbox"
)

func TestMailsAreSentAndTheirContentIsErased(t *testing.T) {
	eachDatabase(t, func(t *testing.T, p place) {
		b := newBed(t, p, outbox.Options{})
		ids := b.enqueueMany(50, nil)
		stop := b.start()
		b.until("sent", func() bool { return b.stats().N(outbox.Sent) == 50 })
		stop()
		if n := b.ses.count(); n != 50 {
			t.Errorf("SES has %d mails, want 50", n)
		}
		if r := b.get(ids[0]); r.MessageID == "" || r.Attempts != 1 || r.From != "shop@example.com" {
			t.Errorf("record: %+v", r)
		}
		if _, err := b.Mail(t.Context(), ids[0]); err != outbox.ErrErased {
			t.Errorf("Mail: %v, want ErrErased", err)
		}
		if n := b.number("select count(*) from sesguard_content"); n != 0 {
			t.Errorf("%d contents are left", n)
		}
	})
}

func TestMailsAreSentInFakeTime(t *testing.T) {
	inFakeTime(t, outbox.Options{}, func(t *testing.T, b *bed) {
		ids := b.enqueueMany(3, nil)
		stop := b.start()
		defer stop()
		time.Sleep(10 * time.Second)
		if s := b.state(ids[0]); s != outbox.Sent {
			t.Errorf("%s, want sent", s)
		}
	})
}
