package compare

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"os"
	"runtime"
	"runtime/metrics"
	"time"

	"github.com/sesguard/sesguard-go/.ci/bench/table"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/smtpclient"
)

// smtpMemory measures what SMTP holds on top of the caller's own bytes.
func smtpMemory(b *bench) error {
	name, err := bigFile(29 << 20)
	if err != nil {
		return err
	}
	defer os.Remove(name)
	held := sesguard.Attachment{Name: "file.bin", Content: make([]byte, 29<<20)}
	streamed := sesguard.Attachment{Name: "file.bin", Open: func() (io.ReadCloser, error) { return os.Open(name) }}
	if _, err := b.allocated(); err != nil { // what the first message of a process sets up is not one message's
		return err
	}
	inMemory, err := b.allocated(held)
	if err != nil {
		return err
	}
	fromFile, err := b.allocated(streamed)
	if err != nil {
		return err
	}
	idle, err := idleConnections(b)
	if err != nil {
		return err
	}
	b.table.Add(
		table.Row("SMTP, 40 MB message in memory", "the caller's bytes", "", "", []table.Result{table.AtMost("KB on top", inMemory/1024, 192).As("%.0f")}),
		table.Row("SMTP, 40 MB message out of a file", "the file", "", "", []table.Result{table.AtMost("KB on top", fromFile/1024, 192).As("%.0f")}),
		table.Row("idle connection, TLS", "tls.Conn alone", "", "", []table.Result{table.AtMost("KB on top", idle/1024, 40).As("%.1f")}),
	)
	return nil
}

func bigFile(size int64) (string, error) {
	f, err := os.CreateTemp("", "compare")
	if err != nil {
		return "", err
	}
	defer f.Close()
	return f.Name(), f.Truncate(size)
}

// allocated is how many octets are allocated in all, garbage included, while a
// new client connects and sends its first message: what it holds at any time is
// not more. No buffer is there from before, since the pools are empty.
func (b *bench) allocated(files ...sesguard.Attachment) (float64, error) {
	pool, err := smtpclient.New(b.sink.smtp(smtpPlain).kept(1))
	if err != nil {
		return 0, err
	}
	defer pool.Close()
	client := sesguard.New(sesguard.SMTP(pool), sesguard.Options{})
	m := &sesguard.Message{From: sender, To: []string{recipient}, Subject: "Hello", Text: "Hello", Attachments: files}
	runtime.GC()
	runtime.GC() // the first leaves what the pools held in reserve
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err = client.Send(context.Background(), m)
	runtime.ReadMemStats(&after)
	return float64(after.TotalAlloc - before.TotalAlloc), err
}

// idleConnections is what a connection in the pool holds beyond a tls.Conn.
func idleConnections(b *bench) (float64, error) {
	const n = 64
	e := b.sink.smtp(smtpTLS)
	start := heldMemory()
	conns := make([]*tls.Conn, n)
	for i := range conns {
		c, err := tls.Dial("tcp", e.addr, e.tls)
		if err != nil {
			return 0, err
		}
		conns[i] = c
	}
	bareConn := heldMemory() - start
	for _, c := range conns {
		c.Close()
	}
	conns = nil
	start = heldMemory()
	pool, err := smtpclient.New(e.kept(n))
	if err != nil {
		return 0, err
	}
	defer pool.Close()
	if err := openAll(pool, n); err != nil {
		return 0, err
	}
	return (heldMemory() - start - bareConn) / n, nil
}

// heldMemory is what is in use after garbage collection: heap and stacks.
func heldMemory() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc + m.StackInuse)
}

// openAll makes pool open n connections at once and leaves them idle. The
// messages wait for each other before they write themselves.
func openAll(pool *smtpclient.Client, n int) error {
	arrived, all, errs := make(chan struct{}, n), make(chan struct{}), make(chan error, n)
	for range n {
		go func() {
			_, err := pool.Send(context.Background(), sender, []string{recipient}, &together{arrived, all})
			errs <- err
		}()
	}
	for range n {
		select {
		case <-arrived:
		case err := <-errs:
			return err
		}
	}
	close(all)
	for range n {
		if err := <-errs; err != nil {
			return err
		}
	}
	return nil
}

type together struct{ arrived, all chan struct{} }

func (t *together) WriteTo(w io.Writer) (int64, error) {
	t.arrived <- struct{}{}
	<-t.all
	return bytes.NewReader(rawMessage(1 << 10)).WriteTo(w)
}

// peak is the most heap in use while f runs, beyond what was in use before.
// Garbage that was not collected yet counts too.
func peak(f func() error) (float64, error) {
	runtime.GC()
	runtime.GC()
	stop, highest := make(chan struct{}), make(chan uint64)
	read := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(read)
	start := read[0].Value.Uint64()
	go func() {
		most := start
		for t := time.NewTicker(200 * time.Microsecond); ; {
			select {
			case <-t.C:
				metrics.Read(read)
				most = max(most, read[0].Value.Uint64())
			case <-stop:
				highest <- most
				return
			}
		}
	}()
	err := f()
	close(stop)
	return float64(<-highest - start), err
}
