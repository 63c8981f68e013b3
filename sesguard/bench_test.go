package sesguard

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	sestypes "github.com/aws/aws-sdk-go-v2/service/sesv2/types"

	"github.com/sesguard/sesguard-go/smtpclient"
)

const (
	benchFrom = "from@example.com"
	benchTo   = "to@example.org"

	cannedAnswer = `{"MessageId":"0107017033dbb64d-be13a01e-dbf1-44b7-b876-3622165dacc1-000000"}`
)

// rawMessage is a message of about n octets.
func rawMessage(n int) []byte {
	head := "From: from@example.com\r\nTo: to@example.org\r\nSubject: benchmark\r\nDate: Mon, 02 Jan 2006 15:04:05 +0000\r\n\r\n"
	line := "The quick brown fox jumps over the lazy dog, and once more for good luck.\r\n"
	return append([]byte(head), bytes.Repeat([]byte(line), max(1, (n-len(head))/len(line)))...)
}

// cannedHTTP answers every request from memory, once it has read the body.
type cannedHTTP struct{}

func (cannedHTTP) Do(req *http.Request) (*http.Response, error) {
	if _, err := io.Copy(io.Discard, req.Body); err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode: 200, ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}},
		Body:   io.NopCloser(bytes.NewReader([]byte(cannedAnswer))),
	}, nil
}

// bareAPI is the SDK's client, with all settings but the endpoint and the HTTP
// client at their defaults.
func bareAPI(url string, httpClient aws.HTTPClient) *sesv2.Client {
	return sesv2.New(sesv2.Options{
		Region: "us-east-1", BaseEndpoint: &url, HTTPClient: httpClient,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "not looked at"}, nil
		}),
	})
}

func bareInput(msg []byte) *sesv2.SendEmailInput {
	return &sesv2.SendEmailInput{
		FromEmailAddress: aws.String(benchFrom),
		Destination:      &sestypes.Destination{ToAddresses: []string{benchTo}},
		Content:          &sestypes.EmailContent{Raw: &sestypes.RawMessage{Data: msg}},
	}
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

// httpSink is the URL of a server that accepts everything after delay.
func httpSink(tb testing.TB, delay time.Duration) string {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		time.Sleep(delay)
		io.WriteString(w, cannedAnswer)
	}))
	tb.Cleanup(srv.Close)
	return srv.URL
}

// apiContenders are a guarded client with [HTTPClient], and the SDK as it is.
func apiContenders(url string, senders int) map[string]func(context.Context) error {
	msg := rawMessage(2 << 10)
	client, bare := New(API(bareAPI(url, HTTPClient(senders))), Options{}), bareAPI(url, nil)
	return map[string]func(context.Context) error{
		"sesguard": func(ctx context.Context) error {
			_, err := client.Send(ctx, &Message{From: benchFrom, To: []string{benchTo}, Raw: bytes.NewReader(msg)})
			return err
		},
		"bare": func(ctx context.Context) error {
			_, err := bare.SendEmail(ctx, bareInput(msg))
			return err
		},
	}
}

// BenchmarkSendAPI counts the sink's share too, which is the same for both.
func BenchmarkSendAPI(b *testing.B) {
	for _, senders := range []int{1, 16, 64} {
		for name, send := range apiContenders(httpSink(b, 0), senders) {
			b.Run(fmt.Sprintf("%s/%d", name, senders), func(b *testing.B) {
				b.ReportAllocs()
				if senders == 1 {
					for b.Loop() {
						if err := send(b.Context()); err != nil {
							b.Fatal(err)
						}
					}
					return
				}
				parallel(b, senders, send)
			})
		}
	}
}

func BenchmarkSend10MBAPI(b *testing.B) {
	client := New(API(bareAPI(httpSink(b, 0), HTTPClient(1))), Options{})
	m := textMessage()
	m.Attachments = []Attachment{{Name: "file.bin", Content: make([]byte, 10<<20*3/4)}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Send(b.Context(), m); err != nil {
			b.Fatal(err)
		}
	}
}

// parallel needs RunParallel: b.Loop is for one goroutine.
func parallel(b *testing.B, senders int, send func(context.Context) error) {
	b.SetParallelism(max(1, senders/runtime.GOMAXPROCS(0)))
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := send(b.Context()); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkBurstsOf64API(b *testing.B) {
	for name, send := range apiContenders(httpSink(b, 5*time.Millisecond), 64) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var wg sync.WaitGroup
				for range 64 {
					wg.Go(func() {
						if err := send(b.Context()); err != nil {
							b.Error(err)
						}
					})
				}
				wg.Wait()
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
