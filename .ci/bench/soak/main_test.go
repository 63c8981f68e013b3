package soak

import (
	"bytes"
	"context"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sesguard/sesguard-go/.ci/bench/progress"
	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

// inBubble runs a soak in fake time, with the documented waits and the default
// timeouts.
func inBubble(t *testing.T, set settings, newServer func() *sestest.Server) (b balance) {
	synctest.Test(t, func(t *testing.T) {
		set.patient, set.every, set.trouble = true, 10*time.Minute, 0.3
		var err error
		if b, err = run(t.Context(), set, newServer, &progress.Line{Out: io.Discard, Every: set.every}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
	})
	return b
}

func TestADayInFakeTimeLeavesACleanBalance(t *testing.T) {
	b := inBubble(t, settings{rate: 0.05, length: 24 * time.Hour, senders: 8, seed: 1}, sestest.NewMemoryServer)
	var text bytes.Buffer
	b.print(&text)
	t.Log(&text)
	for _, wrong := range b.wrong() {
		t.Error(wrong)
	}
	if b.took < 24*time.Hour || b.sent < 4000 || b.accepted+b.refused+b.inDoubt != b.sent || b.mailbox != b.accepted+b.doubtTaken {
		t.Error("that was no day, or the sums do not add up")
	}
	if b.refused == 0 || b.doubtTaken == 0 || b.doubtTaken == b.inDoubt || b.redials == 0 || len(b.reasons) < 10 {
		t.Error("hardly anything went wrong: the day proves little")
	}
}

// A soak that never complains proves nothing.
func TestTheBalanceFindsWhatABrokenSenderDoes(t *testing.T) {
	released := make(chan struct{})
	defer close(released)
	sender := func(after func(ctx context.Context, next sesguard.Sender, m *sesguard.Message, err error) error) func(sesguard.Sender) sesguard.Sender {
		return func(next sesguard.Sender) sesguard.Sender {
			return sesguard.SenderFunc(func(ctx context.Context, m *sesguard.Message) (*sesguard.Receipt, error) {
				receipt, err := next.Send(ctx, m)
				return receipt, after(ctx, next, m, err)
			})
		}
	}
	for _, c := range []struct {
		name   string
		around func(sesguard.Sender) sesguard.Sender
		want   string
	}{
		{"it is ours", nil, ""},
		{"it says nil whatever happened", sender(func(context.Context, sesguard.Sender, *sesguard.Message, error) error {
			return nil
		}), "lost"},
		{"it sends again what is in doubt", sender(func(ctx context.Context, next sesguard.Sender, m *sesguard.Message, err error) error {
			if seserrors.MaybeAccepted(err) {
				_, err = next.Send(ctx, m)
			}
			return err
		}), "doubled"},
		{"it takes doubt for a refusal", sender(func(_ context.Context, _ sesguard.Sender, _ *sesguard.Message, err error) error {
			if seserrors.MaybeAccepted(err) {
				return &seserrors.Error{Class: seserrors.Unavailable}
			}
			return err
		}), "misreported"},
		{"it changes the mail", func(next sesguard.Sender) sesguard.Sender {
			return sesguard.SenderFunc(func(ctx context.Context, m *sesguard.Message) (*sesguard.Receipt, error) {
				m.Text = strings.ReplaceAll(m.Text, "\n.\n", "\n")
				return next.Send(ctx, m)
			})
		}, "changed"},
		{"it sends what nobody gave it", func(next sesguard.Sender) sesguard.Sender {
			return sesguard.SenderFunc(func(ctx context.Context, m *sesguard.Message) (*sesguard.Receipt, error) {
				next.Send(ctx, letter(1e6))
				return next.Send(ctx, m)
			})
		}, "strays"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := inBubble(t, settings{rate: 1, length: 10 * time.Minute, senders: 8, seed: 2, around: c.around}, sestest.NewMemoryServer)
			wrong := b.wrong()
			if c.want == "" && wrong != nil || c.want != "" && !slices.ContainsFunc(wrong, func(s string) bool { return strings.Contains(s, " "+c.want) }) {
				t.Errorf("the balance says %q, want it to find that mails were %s", wrong, c.want)
			}
		})
	}
}

func TestTheBalanceFindsWhatWasLeftBehind(t *testing.T) {
	var server *sestest.Server
	release := make(chan func(), 1000)
	leak := func(next sesguard.Sender) sesguard.Sender {
		return sesguard.SenderFunc(func(ctx context.Context, m *sesguard.Message) (*sesguard.Receipt, error) {
			end := make(chan struct{})
			go func() { <-end }()
			api, _ := url.Parse(server.URL)
			conn, err := server.DialContext(ctx, "tcp", api.Host)
			if err != nil {
				return nil, err
			}
			release <- func() { close(end); conn.Close() }
			return next.Send(ctx, m)
		})
	}
	synctest.Test(t, func(t *testing.T) {
		set := settings{rate: 1, length: 5 * time.Second, senders: 2, around: leak}
		b, err := run(t.Context(), set, func() *sestest.Server { server = sestest.NewMemoryServer(); return server }, &progress.Line{Out: io.Discard, Every: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		close(release)
		for end := range release {
			end()
		}
		if b.sockets == 0 || b.goroutines == 0 || len(b.wrong()) != 2 {
			t.Errorf("%d goroutines, %d sockets; the balance says %q", b.goroutines, b.sockets, b.wrong())
		}
	})
}

func TestTheBalanceFindsMemoryThatIsNotGivenBack(t *testing.T) {
	hoard := func(next sesguard.Sender) sesguard.Sender {
		var mu sync.Mutex
		var kept [][]byte
		return sesguard.SenderFunc(func(ctx context.Context, m *sesguard.Message) (*sesguard.Receipt, error) {
			mu.Lock()
			kept = append(kept, make([]byte, 1<<20))
			mu.Unlock()
			return next.Send(ctx, m)
		})
	}
	b := inBubble(t, settings{rate: 1, length: time.Minute, senders: 2, around: hoard}, sestest.NewMemoryServer)
	if wrong := b.wrong(); len(wrong) != 1 || !strings.HasPrefix(wrong[0], "heap growth") {
		t.Errorf("the balance says %q of 1 MB a mail", wrong)
	}
	if (balance{heap: heapFree + heapPerMail, mailbox: 1}).wrong() != nil || (balance{heap: heapFree + heapPerMail + 1, mailbox: 1}).wrong() == nil {
		t.Error("the heap's growth is not judged")
	}
}

// What is settled is forgotten, or a long run would end for want of memory.
func TestTheLedgerForgetsWhatIsSettled(t *testing.T) {
	l := newLedger()
	for range 100 {
		l.close(l.open(), nil)
	}
	under := l.open()
	l.settle(time.Now())
	if len(l.mails) != 1 || len(l.closed) != 0 || l.mails[under] == nil || l.sum.lost != 100 {
		t.Errorf("%d mails, %d closed, %d lost; want the one that is under way, 0, 100", len(l.mails), len(l.closed), l.sum.lost)
	}
}

func TestItRunsAsAProgram(t *testing.T) {
	for name, c := range map[string]struct {
		terminal bool
		line     string
	}{
		"terminal": {true, `\r\ds of 300ms  sent \d+ .*\x1b\[K\n`},
		"file":     {false, `(?m)^\ds of 300ms  sent \d+ .* MB$`},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			code := start(t.Context(), []string{"-for", "300ms", "-senders", "4", "-trouble", "0", "-seed", "3"}, &out, c.terminal)
			if code != 0 || !strings.HasSuffix(out.String(), "The balance is clean.\n") || !regexp.MustCompile(c.line).Match(out.Bytes()) {
				t.Errorf("exit code %d, want 0 and a line like %s\n%q", code, c.line, &out)
			}
		})
	}
}

func TestCtrlCEndsTheSendingAndPrintsTheBalance(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	if code := start(ctx, []string{"-for", "1h"}, &out, false); code != 0 || !strings.Contains(out.String(), "The balance is clean.") {
		t.Errorf("exit code %d\n%s", code, &out)
	}
}

func TestWrongFlagsAreRefused(t *testing.T) {
	for _, args := range [][]string{{"-rate", "0"}, {"-for", "-1s"}, {"-senders", "1"}, {"-trouble", "2"}, {"-every", "0"}, {"-no-such-flag"}} {
		var out bytes.Buffer
		if code := start(t.Context(), args, &out, false); code != 2 || !strings.Contains(out.String(), strings.TrimPrefix(args[0], "-")) {
			t.Errorf("%q: exit code %d, want 2 and a word about it\n%s", args, code, &out)
		}
	}
}
