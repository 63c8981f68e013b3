//go:build unix

package conn

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

var serverTLS = func() *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}()

// corked gathers what is written while it is corked, and sends it as one.
type corked struct {
	net.Conn
	mu   sync.Mutex
	cork bool
	held []byte
}

func (c *corked) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cork {
		c.held = append(c.held, p...)
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func (c *corked) uncork() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Conn.Write(c.held)
	c.cork, c.held = false, nil
}

// arrange is how a server says 354 and, too early, more.
type arrange func(tcp *corked, line net.Conn, early string, body chan struct{})

func oneWrite(_ *corked, line net.Conn, early string, body chan struct{}) {
	io.WriteString(line, "354 go\r\n"+early)
	<-body
}

func twoRecords(tcp *corked, line net.Conn, early string, body chan struct{}) {
	tcp.mu.Lock()
	tcp.cork = true
	tcp.mu.Unlock()
	io.WriteString(line, "354 go\r\n")
	io.WriteString(line, early)
	tcp.uncork()
	<-body
}

func duringTheBody(_ *corked, line net.Conn, early string, body chan struct{}) {
	io.WriteString(line, "354 go\r\n")
	<-body
	io.WriteString(line, early)
}

// An early 250 waits in one of three places, and each step finds it in one of
// them only. It is never the answer to the message: what comes after it would
// be reported as accepted although the server may refuse it.
func TestAnEarlyAnswerIsNeverTheAnswerToTheMessage(t *testing.T) {
	type steps struct{ buffered, decrypted, arrived bool }
	for _, row := range []struct {
		name    string
		secure  bool
		arrange arrange
		want    steps // which of them finds it alone
	}{
		{"same segment", false, oneWrite, steps{buffered: true}},
		{"later segment", false, duringTheBody, steps{arrived: true}},
		{"same TLS record", true, oneWrite, steps{buffered: true}},
		{"two TLS records, one segment", true, twoRecords, steps{decrypted: true}},
		{"later TLS record", true, duringTheBody, steps{arrived: true}},
	} {
		for i, early := range []string{"250 Ok early\r\n", "250 Ok early\r\n", "250-Ok\r\n250 early\r\n", "552 Message is too long.\r\n", "354 go\r\n"} {
			t.Run(row.name+"/"+strings.TrimSpace(early), func(t *testing.T) {
				c, heard := early354(t, row.secure, early, row.arrange)
				m := letter
				m.Body = writeTo(func(w io.Writer) error {
					heard.body <- struct{}{}
					if row.want.arrived {
						for !pending(c.sys) {
							runtime.Gosched()
						}
					}
					if i == 0 { // a step moves what it finds forward, so the others are left to find it themselves
						got := steps{arrived: pending(c.sys), buffered: c.buffered()}
						got.decrypted = !got.buffered && c.decrypted()
						if got != row.want {
							t.Errorf("found by %+v, want %+v", got, row.want)
						}
					}
					_, err := io.WriteString(w, "Subject: x\r\n\r\nx\r\n")
					return err
				})
				_, f := c.Send(t.Context(), &m)
				switch {
				case f == nil:
					t.Fatal("taken for the answer")
				case f.Err.MaybeAccepted || f.Redial || c.Broken() != ClosedCut:
					t.Errorf("%v, closed because of %q", f.Err, c.Broken())
				case early[0] == '5' && (f.Err.Class != seserrors.Rejected || f.Err.Reason != seserrors.MessageTooLong):
					t.Errorf("a refusal is %v", f.Err)
				case early[0] != '5' && f.Err.Reason != seserrors.ProtocolError:
					t.Errorf("%v", f.Err)
				}
				if got := heard.end(t); strings.Contains(got, "\r\n.\r\n") {
					t.Errorf("the message was ended: %q", got)
				}
			})
		}
	}
}

// A witness is what a server heard after it said 354.
type witness struct {
	body chan struct{} // the message is being written
	done chan struct{}
	got  bytes.Buffer
}

func (w *witness) end(t *testing.T) string {
	select {
	case <-w.done:
	case <-time.After(time.Minute):
		t.Fatal("the connection does not end")
	}
	return w.got.String()
}

func early354(t *testing.T, secure bool, early string, say arrange) (*Conn, *witness) {
	near, far := tcp(t)
	heard := &witness{body: make(chan struct{}, 1), done: make(chan struct{})}
	cork := &corked{Conn: far}
	line := net.Conn(cork)
	cfg := config(near)
	if secure {
		line = tls.Server(cork, serverTLS)
		cfg.TLS, cfg.TLSConfig = Wrapper, &tls.Config{InsecureSkipVerify: true}
	}
	s := &server{Conn: line}
	s.say = func(verb string) string {
		if verb != "DATA" {
			return "usual"
		}
		go func() {
			defer close(heard.done)
			say(cork, line, early, heard.body)
			io.Copy(&heard.got, s.r)
		}()
		<-heard.done
		return ""
	}
	go s.run()
	c, err := Open(t.Context(), cfg, Login{})
	if err != nil {
		t.Fatal(err)
	}
	return c, heard
}

// A session ticket waits in the socket and means nothing.
func TestWhatOnlyTLSGetsToSeeIsNotAnAnswer(t *testing.T) {
	near, far := tcp(t)
	ready := make(chan struct{})
	go func() {
		line := tls.Server(far, serverTLS)
		line.Handshake() // which ends with a ticket
		<-ready
		io.WriteString(line, "250 early\r\n")
	}()
	resume := &tls.Config{InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	c := newConn(&Config{TLSConfig: resume}, near, Login{})
	if err := c.handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	for !pending(c.sys) {
		runtime.Gosched()
	}
	if c.unread() {
		t.Error("a ticket was taken for an answer")
	}
	close(ready)
	for !pending(c.sys) {
		runtime.Gosched()
	}
	if !c.unread() {
		t.Error("an answer was taken for a ticket")
	}
}

func TestAnIdleConnectionThatEndedOrSpokeIsStale(t *testing.T) {
	for _, secure := range []bool{false, true} {
		for _, said := range []string{"421 idle\r\n", "250 Ok\r\n", ""} {
			near, far := tcp(t)
			line, cfg := far, config(near)
			if secure {
				line = tls.Server(far, serverTLS)
				cfg.TLS, cfg.TLSConfig = Wrapper, &tls.Config{InsecureSkipVerify: true}
			}
			go (&server{Conn: line}).run()
			c, err := Open(t.Context(), cfg, Login{})
			if err != nil {
				t.Fatal(err)
			}
			c.Idle()
			if io.WriteString(line, said); said == "" {
				line.Close()
			}
			for !pending(c.sys) {
				runtime.Gosched()
			}
			if f := c.Noop(t.Context()); f == nil || !f.Redial || c.Broken() != ClosedStale {
				t.Errorf("TLS %v, %q: %+v, closed because of %q", secure, said, f, c.Broken())
			}
		}
	}
}
