package conn

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/smtp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

var letter = Mail{From: "alice@example.com", To: []string{"bob@example.net"}}

// mail is a letter of one part, which can be read once.
func mail(body string) *Mail {
	m := letter
	m.Body = strings.NewReader(body)
	return &m
}

// A server answers the commands of one connection. What say returns is said in
// place of "250 Ok", or of the 354 to DATA; after a 354 it is asked again for the
// verb ".". An empty answer is silence.
type server struct {
	net.Conn
	r   *bufio.Reader
	say func(verb string) string
}

func (s *server) run() {
	s.r = bufio.NewReader(s.Conn)
	s.answer("", "220 here")
	for {
		line, err := s.r.ReadString('\n')
		if err != nil {
			return
		}
		verb := strings.TrimRight(line, "\r\n")
		verb, _, _ = strings.Cut(verb, " ")
		usual := "250 Ok"
		if verb == "DATA" {
			usual = "354 go"
		}
		if said := s.answer(verb, usual); verb == "DATA" && strings.HasPrefix(said, "354") {
			for err == nil && line != ".\r\n" {
				line, err = s.r.ReadString('\n')
			}
			s.answer(".", "250 Ok id")
		}
	}
}

func (s *server) answer(verb, usual string) string {
	if s.say != nil {
		if said := s.say(verb); said != "usual" {
			usual = said
		}
	}
	if usual != "" {
		io.WriteString(s.Conn, usual+"\r\n")
	}
	return usual
}

// config is one that dials client.
func config(client net.Conn) *Config {
	return &Config{
		Addr: "127.0.0.1:2525", TLS: None, LocalName: "localhost", CommandTimeout: time.Minute, DataTimeout: 10 * time.Minute,
		Dial: func(context.Context, string, string) (net.Conn, error) { return client, nil },
	}
}

// piped opens a connection over net.Pipe, through wrap, to a server that says
// what say wants.
func piped(t *testing.T, wrap func(net.Conn) net.Conn, say func(verb string) string) *Conn {
	t.Helper()
	near, far := net.Pipe()
	t.Cleanup(func() { near.Close(); far.Close() })
	go (&server{Conn: far, say: say}).run()
	c, err := Open(t.Context(), config(wrap(near)), Login{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func silentAt(stage string) func(string) string {
	return func(verb string) string {
		if verb == stage {
			return ""
		}
		return "usual"
	}
}

// slowToSet is a connection whose next deadline comes after the end of a
// context, which it brings about, and after the interruption.
type slowToSet struct {
	net.Conn
	armed  bool
	cancel context.CancelFunc
	once   sync.Once
	struck chan struct{}
}

func (s *slowToSet) SetDeadline(t time.Time) error {
	if t.Equal(past) {
		defer s.once.Do(func() { close(s.struck) })
	} else if s.armed {
		s.armed = false
		s.cancel()
		<-s.struck
	}
	return s.Conn.SetDeadline(t)
}

// bursting is a connection that panics when it has written what begins so.
type bursting struct {
	net.Conn
	at string
}

func (b bursting) Write(p []byte) (int, error) {
	n, err := b.Conn.Write(p)
	if strings.HasPrefix(string(p), b.at) {
		panic("burst")
	}
	return n, err
}

// The answer to what it wrote would be taken for that to the next command.
func TestAConnectionThatPanickedIsNotUsedAgain(t *testing.T) {
	for _, at := range []string{"RSET", "MAIL", "RCPT", "DATA", "NOOP", "x"} {
		t.Run(at, func(t *testing.T) {
			c := piped(t, func(conn net.Conn) net.Conn { return bursting{conn, at} }, func(string) string { return "usual" })
			c.dirty = at == "RSET"
			defer func() {
				if recover() != "burst" || c.Broken() != ClosedCut || c.Idle() != ClosedCut {
					t.Errorf("broken: %q", c.Broken())
				}
			}()
			if at == "NOOP" {
				c.Noop(t.Context())
			}
			c.Send(t.Context(), mail("x\r\n"))
		})
	}
}

func TestADeadlineDoesNotEraseTheEndOfTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		slow := &slowToSet{cancel: cancel, struck: make(chan struct{})}
		c := piped(t, func(conn net.Conn) net.Conn { slow.Conn = conn; return slow }, silentAt("MAIL"))
		slow.armed = true
		start := time.Now()
		_, f := c.Send(ctx, mail("x\r\n"))
		if f == nil || f.Err.Reason != seserrors.ContextCanceled || f.Redial || time.Since(start) != 0 {
			t.Errorf("%+v after %v", f, time.Since(start))
		}
		if c.Broken() != ClosedCut {
			t.Errorf("closed because of %q", c.Broken())
		}
	})
}

// The last look at the context comes after the last deadline: from then on the
// message is in doubt.
func TestAContextThatEndsRightBeforeTheEndOfTheMessageLeavesNoDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		slow := &slowToSet{cancel: cancel, struck: make(chan struct{})}
		c := piped(t, func(conn net.Conn) net.Conn { slow.Conn = conn; return slow }, nil)
		m := letter
		m.Body = writeTo(func(w io.Writer) error {
			slow.armed = true
			_, err := io.WriteString(w, "x\r\n")
			return err
		})
		_, f := c.Send(ctx, &m)
		if f == nil || f.Err.Reason != seserrors.ContextCanceled || f.Err.MaybeAccepted || c.Broken() != ClosedCut {
			t.Errorf("%+v", f)
		}
	})
}

// writeTo is a message that is one function.
type writeTo func(w io.Writer) error

func (f writeTo) WriteTo(w io.Writer) (int64, error) { return 0, f(w) }

// untimed is a connection like those of x/crypto/ssh.
type untimed struct{ net.Conn }

var errNoDeadline = errors.New("ssh: tcpChan: deadline not supported")

func (untimed) SetDeadline(time.Time) error      { return errNoDeadline }
func (untimed) SetReadDeadline(time.Time) error  { return errNoDeadline }
func (untimed) SetWriteDeadline(time.Time) error { return errNoDeadline }

func TestAConnectionWithoutDeadlinesIsServed(t *testing.T) {
	wrap := func(conn net.Conn) net.Conn { return untimed{conn} }
	t.Run("mail after mail", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := piped(t, wrap, nil)
			for range 3 {
				if r, f := c.Send(t.Context(), mail("x\r\n")); f != nil || r.Code != 250 {
					t.Errorf("%+v, %+v", r, f)
				}
				if why := c.Idle(); why != 0 {
					t.Errorf("closed because of %q", why)
				}
				time.Sleep(time.Hour)
			}
			if f := c.Noop(t.Context()); f != nil {
				t.Error(f.Err)
			}
		})
	})
	for _, stage := range []string{"MAIL", "DATA", "."} {
		for name, limit := range map[string]time.Duration{"context": 7 * time.Second, "timeout": time.Hour} {
			t.Run(name+" at "+stage, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := piped(t, wrap, silentAt(stage))
					ctx, cancel := context.WithTimeout(t.Context(), limit)
					defer cancel()
					start := time.Now()
					_, f := c.Send(ctx, mail("x\r\n"))
					took, want := time.Since(start), limit
					if name == "timeout" {
						if want = time.Minute; stage == "." {
							want = 10 * time.Minute
						}
					}
					if f == nil || took != want || f.Err.MaybeAccepted != (stage == ".") || c.Broken() == 0 {
						t.Fatalf("%+v after %v", f, took)
					}
					if canceled := f.Err.Class == seserrors.Canceled; canceled != (name == "context") {
						t.Error(f.Err)
					}
				})
			})
		}
	}
	t.Run("set-up", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			near, far := net.Pipe()
			defer far.Close()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := Open(ctx, config(untimed{near}), Login{})
			if err == nil || err.Class != seserrors.Unavailable {
				t.Errorf("%v", err)
			}
		})
	})
}

// tcp returns both ends of a TCP connection.
func tcp(t *testing.T) (near, far net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	near, err = net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err = ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}

// over is a connection that tells what it is over.
type over struct {
	net.Conn
	under net.Conn
}

func (o over) NetConn() net.Conn { return o.under }

// An orderly end would make a server take what it has for a whole message.
func TestACutIsAReset(t *testing.T) {
	for name, wrap := range map[string]func(net.Conn) net.Conn{
		"bare":    func(c net.Conn) net.Conn { return c },
		"wrapped": func(c net.Conn) net.Conn { return over{struct{ net.Conn }{c}, over{struct{ net.Conn }{c}, c}} },
	} {
		t.Run(name, func(t *testing.T) {
			near, far := tcp(t)
			newConn(new(Config), wrap(near), Login{}).Cut()
			if _, err := far.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the server saw %v", err)
			}
		})
	}
}

func TestAConnectionWithUnreadOctetsIsNotKept(t *testing.T) {
	c := piped(t, func(conn net.Conn) net.Conn { return conn }, func(verb string) string {
		if verb == "." {
			return "250 Ok\r\n421 bye"
		}
		return "usual"
	})
	if _, f := c.Send(t.Context(), mail("x\r\n")); f != nil {
		t.Fatal(f.Err)
	}
	if why := c.Idle(); why != ClosedStale {
		t.Errorf("closed because of %q", why)
	}
}

func TestOnlyTheFirstReasonOfAnEndCounts(t *testing.T) {
	near, _ := net.Pipe()
	c := newConn(new(Config), near, Login{})
	c.spoil(ClosedFailed)
	c.spoil(ClosedCut)
	if why, ok := c.Close(ClosedIdle); why != ClosedFailed || !ok {
		t.Errorf("%q, %v", why, ok)
	}
}

func TestLOGINKeepsThePasswordFromALineInClearText(t *testing.T) {
	if _, _, err := (&loginAuth{}).Start(&smtp.ServerInfo{Name: "smtp.example.com"}); err == nil {
		t.Error("clear text to another machine was taken")
	}
	for _, ok := range []smtp.ServerInfo{{Name: "smtp.example.com", TLS: true}, {Name: "127.0.0.1"}, {Name: "localhost"}, {Name: "::1"}} {
		if _, _, err := (&loginAuth{}).Start(&ok); err != nil {
			t.Errorf("%v: %v", ok, err)
		}
	}
}

// chatty is a mechanism of the caller's own, with an empty initial response.
type chatty struct{ asked []string }

func (a *chatty) Start(*smtp.ServerInfo) (string, []byte, error) { return "CHATTY", []byte{}, nil }

func (a *chatty) Next(challenge []byte, more bool) ([]byte, error) {
	a.asked = append(a.asked, string(challenge))
	if len(a.asked) == 1 {
		return nil, nil
	}
	return []byte("yes"), nil
}

func TestAMechanismOfTheCallersOwnIsAskedUntilTheServerIsContent(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	var heard bytes.Buffer
	go func() {
		r := bufio.NewReader(io.TeeReader(far, &heard))
		for _, said := range []string{"220 x", "250-x\r\n250 AUTH CHATTY", "334 d2hv", "334 d2h5", "235 fine"} {
			io.WriteString(far, said+"\r\n")
			r.ReadString('\n')
		}
	}()
	auth := new(chatty)
	c, err := Open(t.Context(), config(near), Login{Auth: auth})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(auth.asked, ","); got != "who,why,fine" {
		t.Errorf("asked %q", got)
	}
	c.Cut()
	if got := heard.String(); got != "EHLO localhost\r\nAUTH CHATTY =\r\n\r\neWVz\r\n" {
		t.Errorf("the server heard %q", got)
	}
}

func TestTheLimitIsSESsUnlessTheServerSaysLess(t *testing.T) {
	for size, limit := range map[string]int64{"": 40 << 20, "0": 40 << 20, "x": 40 << 20, "-5": 40 << 20, "104857600": 40 << 20, "10485760": 10485760} {
		if got := messageLimit(size); got != limit {
			t.Errorf("SIZE %q: %d, want %d", size, got, limit)
		}
	}
}
