package smtpclient

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/jackc/puddle/v2"
)

// sinkServer answers as fast as it can and keeps nothing.
func sinkServer(tb testing.TB, secure bool) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	if secure {
		ln = tls.NewListener(ln, serverTLS)
	}
	tb.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go swallow(c)
		}
	}()
	return ln.Addr().String()
}

func swallow(c net.Conn) {
	defer c.Close()
	r := bufio.NewReaderSize(c, 128<<10)
	buf := make([]byte, 0, 256)
	say := func(s string) { buf = append(buf[:0], s...); c.Write(buf) }
	say("220 sink ESMTP\r\n")
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return
		}
		switch {
		case bytes.HasPrefix(line, []byte("EHLO")):
			say("250-sink\r\n250-8BITMIME\r\n250-PIPELINING\r\n250 AUTH PLAIN LOGIN\r\n")
		case bytes.HasPrefix(line, []byte("AUTH")):
			say("235 ok\r\n")
		case bytes.HasPrefix(line, []byte("DATA")):
			say("354 go\r\n")
			if !swallowBody(r) {
				return
			}
			say("250 Ok 0107017033dbb64d-be13a01e-dbf1-44b7-b876-3622165dacc1-000000\r\n")
		case bytes.HasPrefix(line, []byte("QUIT")):
			say("221 bye\r\n")
			return
		default:
			say("250 Ok\r\n")
		}
	}
}

// swallowBody reads up to CRLF.CRLF without allocating.
func swallowBody(r *bufio.Reader) bool {
	last := [5]byte{3: '\r', 4: '\n'}
	for {
		if _, err := r.Peek(1); err != nil {
			return false
		}
		p, _ := r.Peek(r.Buffered())
		if n := len(p); n >= 5 {
			copy(last[:], p[n-5:])
		} else {
			copy(last[:], last[n:])
			copy(last[5-n:], p)
		}
		r.Discard(len(p))
		if string(last[:]) == "\r\n.\r\n" {
			return true
		}
	}
}

func benchMessage(size int) []byte {
	var b bytes.Buffer
	b.WriteString("From: alice@example.com\r\nTo: bob@example.net\r\nSubject: benchmark\r\n\r\n")
	line := strings.Repeat("abcdefghijklmnopqrstuvwxyz", 3)[:76] + "\r\n"
	for b.Len() < size {
		b.WriteString(line)
	}
	return b.Bytes()
}

func benchClient(tb testing.TB, secure bool, mode PipelineMode) *Client {
	cfg := Config{Addr: sinkServer(tb, secure), TLS: TLSNone, MaxMessagesPerConn: -1, MaxConnLifetime: -1, Pipelining: mode}
	if secure {
		cfg.TLS, cfg.TLSConfig = TLSWrapper, clientTLS
	}
	c, err := New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	return c
}

func BenchmarkSend(b *testing.B) {
	for _, secure := range []bool{false, true} {
		for _, size := range []int{2 << 10, 100 << 10, 10 << 20} {
			b.Run(fmt.Sprintf("tls=%v/size=%dK", secure, size>>10), func(b *testing.B) {
				benchSend(b, benchClient(b, secure, PipelineNever), benchMessage(size))
			})
		}
	}
}

// BenchmarkPipelining is the same where the server takes commands in batches.
func BenchmarkPipelining(b *testing.B) {
	for _, mode := range []PipelineMode{PipelineAuto, PipelineNever} {
		b.Run(mode.String(), func(b *testing.B) { benchSend(b, benchClient(b, false, mode), benchMessage(2<<10)) })
	}
}

func benchSend(b *testing.B, c *Client, msg []byte) {
	src, to := bytes.NewReader(nil), []string{someone}
	b.SetBytes(int64(len(msg)))
	b.ReportAllocs()
	for b.Loop() {
		src.Reset(msg)
		if _, err := c.Send(context.Background(), sender, to, src); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTakeAndGiveBack(b *testing.B) {
	b.Run("puddle", func(b *testing.B) {
		p, err := puddle.NewPool(&puddle.Config[int]{
			Constructor: func(context.Context) (int, error) { return 1, nil }, Destructor: func(int) {}, MaxSize: 4,
		})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			r, err := p.Acquire(context.Background())
			if err != nil {
				b.Fatal(err)
			}
			r.Release()
		}
	})
	b.Run("client", func(b *testing.B) {
		c := benchClient(b, false, PipelineNever)
		b.ReportAllocs()
		for b.Loop() {
			r, err := c.take(context.Background())
			if err != nil {
				b.Fatal(err)
			}
			c.giveBack(r)
		}
	})
}

// BenchmarkBody takes in a message as it should be, one whose lines differ in
// length, and two that are rough: the worst must not cost many times more.
func BenchmarkBody(b *testing.B) {
	const size = 1 << 20
	for _, row := range []struct {
		name string
		msg  []byte
	}{
		{"equal lines", benchMessage(size)},
		{"text", bytes.Repeat([]byte("Dear reader,\r\n\r\nthis is a letter with some lines of which none is as\r\nlong as the one before.\r\n"), size/100)},
		{"bare LF", bytes.ReplaceAll(benchMessage(size), crlf, crlf[1:])},
		{"bare CR", bytes.Repeat([]byte("a\rb\r\n"), size/5)},
	} {
		b.Run(row.name, func(b *testing.B) {
			b.SetBytes(int64(len(row.msg)))
			b.ReportAllocs()
			for b.Loop() {
				body := newBody(context.Background(), discard{}, maxMessage, false)
				body.write(row.msg)
				body.end()
				body.free()
			}
		})
	}
}

type discard struct{}

func (discard) flush(context.Context, []byte) error { return nil }

// bare is the dialogue without a client: what the line allows.
func BenchmarkBareDialogue(b *testing.B) {
	for _, secure := range []bool{false, true} {
		for _, size := range []int{2 << 10, 100 << 10, 10 << 20} {
			b.Run(fmt.Sprintf("tls=%v/size=%dK", secure, size>>10), func(b *testing.B) {
				conn, err := net.Dial("tcp", sinkServer(b, secure))
				if err != nil {
					b.Fatal(err)
				}
				if secure {
					conn = tls.Client(conn, completeTLS(clientTLS, "127.0.0.1"))
				}
				defer conn.Close()
				r := bufio.NewReader(conn)
				r.ReadSlice('\n')
				parts := [][]byte{[]byte("MAIL FROM:<alice@example.com> BODY=8BITMIME\r\n"), []byte("RCPT TO:<bob@example.net>\r\n"),
					[]byte("DATA\r\n"), append(benchMessage(size), ".\r\n"...)}
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					for _, p := range parts {
						if _, err := conn.Write(p); err != nil {
							b.Fatal(err)
						}
						if _, err := r.ReadSlice('\n'); err != nil {
							b.Fatal(err)
						}
					}
				}
			})
		}
	}
}
