package sesguard

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/sesguard/sesguard-go/smtpclient"
)

const (
	benchFrom = "from@example.com"
	benchTo   = "to@example.org"
)

// rawMessage is a message of about n octets.
func rawMessage(n int) []byte {
	head := "From: from@example.com\r\nTo: to@example.org\r\nSubject: benchmark\r\nDate: Mon, 02 Jan 2006 15:04:05 +0000\r\n\r\n"
	line := "The quick brown fox jumps over the lazy dog, and once more for good luck.\r\n"
	return append([]byte(head), bytes.Repeat([]byte(line), max(1, (n-len(head))/len(line)))...)
}

// textMessage is a letter of 2 KB in text and HTML.
func textMessage() *Message {
	words := strings.Repeat("The quick brown fox jumps over the lazy dog, and nobody minds. ", 15)
	return &Message{From: benchFrom, To: []string{benchTo}, Subject: "Your order has left our house", Text: words, HTML: "<p>" + words + "</p>"}
}

// smtpSink is a client of a server that allocates nothing for a message.
func smtpSink(tb testing.TB) *Client {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go swallowSMTP(conn)
		}
	}()
	pool, err := smtpclient.New(smtpclient.Config{Addr: ln.Addr().String(), TLS: smtpclient.TLSNone, MaxMessagesPerConn: -1, MaxConnLifetime: -1})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { pool.Close() })
	return New(SMTP(pool), Options{})
}

func swallowSMTP(conn net.Conn) {
	defer conn.Close()
	hello, ok, start := []byte("250-sink\r\n250 8BITMIME\r\n"), []byte("250 Ok 0107017033dbb64d\r\n"), []byte("354 go\r\n")
	conn.Write([]byte("220 sink ESMTP\r\n"))
	r := bufio.NewReaderSize(conn, 64<<10)
	for body := false; ; {
		line, err := r.ReadSlice('\n')
		switch {
		case err != nil:
			return
		case body && string(line) != ".\r\n":
			continue
		case !body && bytes.HasPrefix(line, []byte("DATA")):
			body = true
			conn.Write(start)
			continue
		case !body && bytes.HasPrefix(line, []byte("EHLO")):
			conn.Write(hello)
			continue
		}
		body = false
		conn.Write(ok)
	}
}

func BenchmarkComposeAndSendSMTP(b *testing.B) {
	content := make([]byte, 29<<20) // 40 MB in base64
	held := func(n int) Attachment { return Attachment{Name: "file.bin", Content: content[:n]} }
	streamed := func(n int) Attachment {
		return Attachment{Name: "file.bin", Open: func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(content[:n])), nil
		}}
	}
	for name, files := range map[string][]Attachment{
		"2KB":           nil,
		"10MB":          {held(10 << 20)},
		"10MB-streamed": {streamed(10 << 20)},
		"40MB":          {held(29 << 20)},
		"40MB-streamed": {streamed(29 << 20)},
	} {
		b.Run(name, func(b *testing.B) {
			client, m := smtpSink(b), textMessage()
			m.Attachments = files
			b.ReportAllocs()
			for b.Loop() {
				if _, err := client.Send(b.Context(), m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// fifty is a message to 50 recipients with Unicode names and domains.
func fifty(distinct bool) *Message {
	m := plain()
	m.To = nil
	for i := range 50 {
		domain := "bücher.example"
		if distinct {
			domain = fmt.Sprintf("bücher%d.example", i)
		}
		m.To = append(m.To, fmt.Sprintf("Jürgen Groß %d <user%d@%s>", i, i, domain))
	}
	return m
}

func BenchmarkFiftyRecipients(b *testing.B) {
	for _, distinct := range []bool{false, true} {
		b.Run(fmt.Sprintf("distinct=%v", distinct), func(b *testing.B) {
			m := fifty(distinct)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Build(m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkLineEnds(b *testing.B) {
	for name, p := range map[string][]byte{
		"equal": rawMessage(1 << 20),
		"text":  bytes.Repeat([]byte("Dear reader,\r\n\r\nthis is a letter with some lines of which none is as\r\nlong as the one before.\r\n"), 1<<20/100),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(p)))
			for b.Loop() {
				if crlf, _ := lineEnds(p); !crlf {
					b.Fatal("not CRLF")
				}
			}
		})
	}
}
