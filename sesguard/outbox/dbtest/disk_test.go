package dbtest

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/outbox"
)

// smallDisk is a folder with 4 MB of room, of which fill leaves none.
func smallDisk(t *testing.T) (dir string, fill, free func()) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("a small disk is mounted by root only")
	}
	dir = t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("no small disk can be mounted: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", dir).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	ballast := filepath.Join(dir, "ballast")
	fill = func() {
		f, err := os.Create(ballast)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		for chunk := make([]byte, 4096); err == nil; {
			_, err = f.Write(chunk)
		}
	}
	free = func() { os.Remove(ballast) }
	return dir, fill, free
}

// tries counts the lines of a log that say that a result was not written.
type tries struct{ n atomic.Int64 }

func (w *tries) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("a result cannot be written yet")) {
		w.n.Add(1)
	}
	return len(line), nil
}

func TestAFullDiskLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	dir, fill, free := smallDisk(t)
	p := place{"sqlite", "file:" + filepath.Join(dir, "outbox.db") + "?_pragma=busy_timeout(10000)"}
	var tried tries
	b := newBed(t, p, outbox.Options{Logger: slog.New(slog.NewTextHandler(&tried, nil))})
	ids := b.enqueueMany(100, func(_ int, e *outbox.Entry) { e.Message.Text = string(make([]byte, 500)) })
	// The disk becomes full while SES answers: after the mark, before the result.
	var full, rest = make(chan bool), make(chan bool)
	transport := func(ctx context.Context, m *sesguard.Mail) (*sesguard.Receipt, error) {
		r, err := b.marked(ctx, m)
		select {
		case full <- true:
			<-rest
		case <-rest:
		}
		return r, err
	}
	stop := b.startWith(transport)
	for range 10 { // all places are in an attempt
		<-full
	}
	fill()
	if _, err := b.Enqueue(t.Context(), outbox.Entry{Message: message(1)}); err == nil {
		t.Error("Enqueue on a full disk returns no error")
	}
	if n := b.number("select count(*) from sesguard_mail"); int(n) != len(ids) {
		t.Errorf("%d mails are stored, want %d", n, len(ids))
	}
	close(rest)
	b.until("results are tried again", func() bool { return tried.n.Load() >= 30 })
	if n := len(b.ses.tries()); n != 10 {
		t.Errorf("%d attempts on a full disk, want the 10 that were marked", n)
	}
	free()
	b.until("sent", func() bool { return b.stats().N(outbox.Sent) == len(ids) })
	stop()
	b.once(ids)
}

// What SES has accepted cannot be written any more: it is in doubt, and Run ends.
func TestRunEndsOnAFullDisk(t *testing.T) {
	t.Parallel()
	dir, fill, free := smallDisk(t)
	p := place{"sqlite", "file:" + filepath.Join(dir, "outbox.db") + "?_pragma=busy_timeout(10000)"}
	b := newBed(t, p, outbox.Options{DrainTimeout: 10 * time.Millisecond})
	ids := b.enqueueMany(30, nil)
	under := make(chan bool, len(ids))
	rest := make(chan bool)
	stop := b.startWith(func(ctx context.Context, m *sesguard.Mail) (*sesguard.Receipt, error) {
		under <- true
		<-rest
		return b.ses.Attempt(ctx, m)
	})
	for range 10 {
		<-under
	}
	fill()
	close(rest)
	stop()
	free()
	b.exec("update sesguard_process set alive = 0") // the lease is over
	stop = b.start()
	b.until("the end", func() bool { s := b.stats(); return s.N(outbox.Waiting)+s.N(outbox.Sending) == 0 })
	stop()
	if s := b.stats(); s.N(outbox.InDoubt) != 10 || s.N(outbox.Sent) != 20 || b.ses.count() != 30 {
		t.Errorf("%+v, SES has %d", s.Mails, b.ses.count())
	}
}
