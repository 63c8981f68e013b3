package smtpclient

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/smtp"
	"strings"
	"testing"
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
			say("250-sink\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN\r\n")
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

func benchClient(tb testing.TB, addr string, secure bool) *Client {
	cfg := Config{Addr: addr, TLS: TLSNone, MaxMessagesPerConn: -1, MaxConnLifetime: -1}
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

// stdClient is a connection of net/smtp.
func stdClient(tb testing.TB, addr string, secure bool) *smtp.Client {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	if secure {
		cfg := clientTLS.Clone()
		cfg.ServerName = "127.0.0.1"
		conn = tls.Client(conn, cfg)
	}
	c, err := smtp.NewClient(conn, "127.0.0.1")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	return c
}

func stdSend(c *smtp.Client, msg []byte) error {
	if err := errors.Join(c.Mail(sender), c.Rcpt(someone)); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	_, err = w.Write(msg)
	return errors.Join(err, w.Close())
}

// BenchmarkSend is one sender on a kept connection, beside a loop over net/smtp.
func BenchmarkSend(b *testing.B) {
	for _, secure := range []bool{true, false} {
		for _, size := range []int{2 << 10, 100 << 10, 10 << 20} {
			msg, to := benchMessage(size), []string{someone}
			name := fmt.Sprintf("tls=%v/size=%dK/", secure, size>>10)
			b.Run(name+"client", func(b *testing.B) {
				c, src := benchClient(b, sinkServer(b, secure), secure), bytes.NewReader(nil)
				b.SetBytes(int64(len(msg)))
				b.ReportAllocs()
				for b.Loop() {
					src.Reset(msg)
					if _, err := c.Send(context.Background(), sender, to, src); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run(name+"net-smtp", func(b *testing.B) {
				c := stdClient(b, sinkServer(b, secure), secure)
				b.SetBytes(int64(len(msg)))
				b.ReportAllocs()
				for b.Loop() {
					if err := stdSend(c, msg); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkTakeAndGiveBack is the pool alone.
func BenchmarkTakeAndGiveBack(b *testing.B) {
	c := benchClient(b, sinkServer(b, false), false)
	b.ReportAllocs()
	for b.Loop() {
		m, err := c.take(context.Background())
		if err != nil {
			b.Fatal(err)
		}
		c.giveBack(m)
	}
}
