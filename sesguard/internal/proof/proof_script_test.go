package proof_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/retry"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
	"github.com/sesguard/sesguard-go/smtpclient"
)

// A door is a way into SES.
type door uint8

const (
	plainSMTP door = iota // so that cuts fall on the octets of SMTP itself
	startTLS
	tlsWrapper
	http1
	http2
	doors
)

func (d door) String() string {
	return [doors]string{"smtp in clear text", "smtp with STARTTLS", "smtp with TLS wrapper", "http/1.1", "http/2"}[d]
}

func (d door) smtp() bool { return d <= tlsWrapper }

// A scenario is one script: what is sent, how, and what goes wrong. All of it
// follows from the seed.
type scenario struct {
	seed     uint64
	door     door
	letters  []letter
	senders  int
	policy   retry.Policy
	pool     smtpclient.Config // limits and timeouts
	conns    int               // of the HTTP client
	faults   []sestest.Fault   // of the server
	wire     []wireFault       // of the network
	refuse   int               // dials that fail
	latency  time.Duration
	drip     bool
	act      act
	actAfter time.Duration // 0: only when a wireAct says so

	sessionLimit, connLimit int
	idleLimit               time.Duration
	rate, quota             float64
	extensions              []string
	limiter                 float64

	route  route // of the program to the guard
	layer  layer // around the transport
	tagged bool  // with Options.TrackTag
}

// A route is how the program hands its mail to the guard.
type route uint8

const (
	routeSend  route = iota // Client.Send
	routeBuilt              // Client.SendBuilt
	routeDo                 // Guard.Do over a transport
	routeGuard              // SendEmail of a guarded SDK client, over the API only
	routeWrap               // SendEmail of a wrapped one
	routes
)

func (r route) String() string {
	return [routes]string{"Send", "SendBuilt", "Do", "Guard", "Wrap"}[r]
}

// A layer is a middleware around the transport, of the routes that have one.
type layer uint8

const (
	layerNone    layer = iota
	layerWrap          // wraps errors
	layerStore         // stores the receipt of what was accepted, and fails once
	layerLimited       // has a limiter of its own
	layers
)

func (l layer) String() string {
	return [layers]string{"none", "wraps errors", "fails to store a receipt", "limited"}[l]
}

// An act is what the program itself does in the middle of it all.
type act uint8

const (
	actNone act = iota
	actCancel
	actClose
	actShutdown
	actGuard
	acts
)

func (a act) String() string {
	return [acts]string{"none", "cancel", "close", "shutdown", "guard's shutdown"}[a]
}

// A letter is one message and its context.
type letter struct {
	message *sesguard.Message
	mark    string
	want    []byte        // as SES must get it
	timeout time.Duration // 0: none
	pause   time.Duration // before it is sent
}

func (s *scenario) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %d letters by %d senders over %v", s.seed, len(s.letters), s.senders, s.door)
	if s.door.smtp() {
		fmt.Fprintf(&b, "; %d connections, %d messages each, server offers %q", s.pool.MaxConns, s.pool.MaxMessagesPerConn, s.extensions)
	}
	fmt.Fprintf(&b, "; by %v, layer %v, tagged %v", s.route, s.layer, s.tagged)
	fmt.Fprintf(&b, "; attempts %d, duplicates %v; act %v after %v", s.policy.MaxAttempts, s.policy.AllowDuplicates, s.act, s.actAfter)
	fmt.Fprintf(&b, "; session limit %d, connection limit %d, idle limit %v, rate %v, quota %v", s.sessionLimit, s.connLimit, s.idleLimit, s.rate, s.quota)
	fmt.Fprintf(&b, "; %d dials refused, latency %v, drip %v", s.refuse, s.latency, s.drip)
	for _, f := range s.wire {
		fmt.Fprintf(&b, "\n  wire: %v", f)
	}
	for _, f := range s.faults {
		fmt.Fprintf(&b, "\n  server: %v", f)
	}
	for _, l := range s.letters {
		fmt.Fprintf(&b, "\n  letter %s: %d octets, %d recipients, pause %v, timeout %v", l.mark, len(l.want), len(l.message.To), l.pause, l.timeout)
	}
	return b.String()
}

// A dice makes the choices of a scenario.
type dice struct{ *rand.Rand }

func (d dice) one(in int) bool { return d.IntN(in) == 0 }

func pick[T any](d dice, from ...T) T { return from[d.IntN(len(from))] }

// newScenario throws the dice.
func newScenario(tb testing.TB, seed uint64) *scenario {
	d := dice{rand.New(rand.NewPCG(seed, 0x5e59))}
	s := &scenario{seed: seed, door: pick(d, plainSMTP, plainSMTP, plainSMTP, startTLS, tlsWrapper, http1, http1, http2)}
	s.senders = pick(d, 1, 1, 1, 2, 4, 8)
	for i := range 1 + d.IntN(3) + s.senders - 1 {
		s.letters = append(s.letters, newLetter(tb, d, i))
	}
	s.policy = retry.Policy{MaxAttempts: pick(d, 0, 1, 2, 3, 6), AllowDuplicates: d.one(6)}
	s.setUpPool(d)
	s.setUpServer(d)
	s.setUpTrouble(d)
	s.setUpRoute(d)
	return s
}

func newLetter(tb testing.TB, d dice, i int) letter {
	l := letter{mark: fmt.Sprintf("letter-%d-%08x", i, d.Uint32())}
	m := &sesguard.Message{
		From: "Ann <ann@example.com>", Subject: l.mark, Date: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		Text: pick(d, "short", "a\n.\n..\r\n.b\r\nQUIT\r\nMAIL FROM:<x@example.com>\r\n", strings.Repeat("longer text with some words in it\n.\n", 1+d.IntN(60))),
	}
	for r := range pick(d, 1, 1, 2, 4) {
		m.To = append(m.To, fmt.Sprintf("rcpt%d@example.org", r))
	}
	if d.one(8) {
		content := bytes.Repeat([]byte("0123456789\r\n.\r\n"), pick(d, 10, 1000, 12000))
		m.Attachments = []sesguard.Attachment{attachment(d, content)}
	}
	if d.one(6) {
		l.timeout = pick(d, time.Nanosecond, time.Millisecond, 50*time.Millisecond, 2*time.Second, 12*time.Second, time.Minute, 25*time.Minute)
	}
	if d.one(3) {
		l.pause = pick(d, time.Millisecond, time.Second, 4900*time.Millisecond, 6*time.Second, 11*time.Second, 6*time.Minute)
	}
	l.message = m
	l.want = wire(tb, m)
	return l
}

// attachment is streamed, read whole, or breaks off once.
func attachment(d dice, content []byte) sesguard.Attachment {
	a := sesguard.Attachment{Name: "data.bin"}
	if d.one(3) {
		a.Content = content
		return a
	}
	breaks := -1
	if d.one(3) {
		breaks = d.IntN(len(content))
	}
	var mu sync.Mutex
	opens := 0
	a.Open = func() (io.ReadCloser, error) {
		mu.Lock()
		defer mu.Unlock()
		opens++
		if breaks >= 0 && opens > 1 { // the first is for the letter that SES should get
			return io.NopCloser(io.MultiReader(bytes.NewReader(content[:breaks]), brokenReader{})), nil
		}
		return io.NopCloser(bytes.NewReader(content)), nil
	}
	return a
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("the disk is broken") }

// wire is the message as SES must get it.
func wire(tb testing.TB, m *sesguard.Message) []byte {
	mail, err := sesguard.Build(m)
	if err != nil {
		tb.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := mail.WriteTo(&b); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func (s *scenario) setUpPool(d dice) {
	s.conns = pick(d, 1, 2, 4)
	s.pool = smtpclient.Config{
		MaxConns:           s.conns,
		MaxMessagesPerConn: pick(d, 1, 2, 100),
		MaxConnLifetime:    pick(d, 0, 5*time.Second, -1),
		MaxConnIdleTime:    pick(d, 0, 0, 20*time.Second, -1),
		CommandTimeout:     pick(d, 0, 0, 3*time.Second),
		DataTimeout:        pick(d, 0, 0, 5*time.Second),
		DialTimeout:        pick(d, 0, 0, 4*time.Second),
	}
}

func (s *scenario) setUpServer(d dice) {
	if d.one(4) {
		s.extensions = []string{"PIPELINING"}
	}
	if d.one(6) {
		s.sessionLimit = 1 + d.IntN(2)
	}
	if d.one(8) {
		s.connLimit = 1 + d.IntN(2)
	}
	if d.one(6) {
		s.idleLimit = pick(d, time.Second, 3*time.Second)
	}
	if d.one(10) {
		s.rate = pick(d, 1.0, 4)
	}
	if d.one(20) {
		s.quota = pick(d, 1.0, 3, 5)
	}
	if d.one(10) {
		s.limiter = pick(d, 1.0, 14)
	}
}

func (s *scenario) setUpRoute(d dice) {
	s.route = pick(d, routeSend, routeSend, routeBuilt, routeDo)
	if !s.door.smtp() {
		s.route = pick(d, routeSend, routeBuilt, routeDo, routeGuard, routeWrap)
	}
	s.layer = pick(d, layerNone, layerNone, layerWrap, layerStore, layerLimited)
	s.tagged = d.one(3)
}

func (s *scenario) setUpTrouble(d dice) {
	if d.one(12) {
		s.latency = pick(d, time.Millisecond, 20*time.Millisecond, 4*time.Second)
	}
	s.drip = d.one(15)
	if d.one(20) {
		s.refuse = 1 + d.IntN(3)
	}
	if d.one(5) {
		s.act = act(1 + d.IntN(int(acts)-1))
		s.actAfter = time.Duration(d.Int64N(int64(8 * time.Second)))
	}
	for range pick(d, 0, 1, 1, 2, 3) {
		s.wire = append(s.wire, s.newWireFault(d))
	}
	for range pick(d, 0, 1, 1, 2, 4) {
		s.faults = append(s.faults, s.newFault(d))
	}
}

// newWireFault is a fault that no one could take for the other side's words:
// without TLS, octets that are put in or changed would be believed.
func (s *scenario) newWireFault(d dice) wireFault {
	if d.one(5) {
		return wireFault{} // this connection is fine
	}
	f := wireFault{kind: wireKind(1 + d.IntN(int(wireKinds)-1)), up: d.one(2)}
	if s.door == plainSMTP && (f.kind == wireFlip || f.kind == wireWords || f.kind == wireNoise && f.up) {
		f.kind = wireReset
	}
	if f.kind == wireAct && s.act == actNone {
		s.act = act(1 + d.IntN(int(acts)-1))
	}
	size := 500
	switch {
	case !s.door.smtp():
		size = 4000
	case s.door != plainSMTP:
		size = 3000
	case f.up:
		size = 700 + len(s.letters[0].want)
	}
	f.after = d.IntN(size)
	return f
}

var smtpStages = []sestest.Stage{
	sestest.Connect, sestest.EHLO, sestest.StartTLS, sestest.Auth, sestest.MailFrom, sestest.Rcpt, sestest.Data,
	sestest.EndOfData, sestest.EndOfData, sestest.Rset, sestest.Quit, sestest.Handshake,
}

func (s *scenario) newFault(d dice) sestest.Fault {
	if s.door.smtp() {
		return s.newSMTPFault(d)
	}
	return newAPIFault(d)
}

func (s *scenario) newSMTPFault(d dice) sestest.Fault {
	at := pick(d, smtpStages...)
	switch d.IntN(14) {
	case 0:
		return sestest.Pass()
	case 1:
		return refuse(pick(d, smtpReasons...))
	case 2, 3:
		code, text := smtpReply(d)
		return sestest.Reply(at, code, folded(d, text))
	case 4:
		return sestest.Reply(at, oddCode(d), pick(d, "", "Ok", "what", "4.4.2 two\nlines"))
	case 5:
		return pick(d, sestest.Cut, sestest.Reset, sestest.HalfClose)(at)
	case 6:
		return sestest.CutBody(d.IntN(1500))
	case 7:
		return sestest.Stall(at)
	case 8:
		return sestest.Delay(at, pick(d, time.Second, 4*time.Second, 9*time.Second, 70*time.Second, 11*time.Minute))
	case 9:
		return sestest.Drip(at)
	case 10:
		return sestest.CutReply(at, d.IntN(12))
	case 11:
		return sestest.Raw(at, pick(d, rawReplies(at)...))
	case 12:
		if s.door != plainSMTP {
			return sestest.RawTCP(at, pick(d, rawReplies(at)...))
		}
	}
	return sestest.AcceptThenCut()
}

// oddCode is any three digits, but none that would be taken for a refusal or
// an acceptance where the fake does otherwise.
func oddCode(d dice) int {
	return pick(d, 200, 211, 220, 221, 235, 250, 251, 299, 300, 334, 354, 399, 400, 421, 450, 452, 499, 500, 502, 503, 535, 550, 552, 599, 100, 199)
}

// folded breaks a text over lines now and then.
func folded(d dice, text string) string {
	if d.one(3) {
		return strings.ReplaceAll(text, " ", "\n")
	}
	return strings.ReplaceAll(text, "\n", " ")
}

// rawReplies are octets in place of a reply that has taken effect. None is a
// refusal: behind the final dot the fake has accepted the message. Nor is it
// silence there, which the fake's own idle timeout would break with a 451.
func rawReplies(at sestest.Stage) []string {
	long := strings.Repeat("x", 5000)
	list := []string{
		"\r\n", "\n", "2", "25", "250", "garbage\r\n", "2x0 Ok\r\n", "250_Ok\r\n", "\x00\x00\x00\r\n",
		"250-one\r\n251 two\r\n", "250-one\r\n550 two\r\n", "250-" + long + "\r\n", long, "\xff\xfe\r\n",
		strings.Repeat("250-more\r\n", 4000), "199 what\r\n", "354 go on\r\n", "334 more\r\n", "999 what\r\n", "0250 Ok\r\n", "+OK\r\n", "HTTP/1.1 400 Bad Request\r\n\r\n",
	}
	if at != sestest.EndOfData {
		list = append(list, "", "250 Ok\r\n250 Ok\r\n250 Ok early\r\n", "354 go\r\n250 Ok early\r\n", "550 no\r\n", "421 no\r\n", "354 go\r\n552 no\r\n")
	}
	return list
}

func newAPIFault(d dice) sestest.Fault {
	at := pick(d, sestest.Connect, sestest.Data, sestest.EndOfData, sestest.EndOfData)
	switch d.IntN(10) {
	case 0:
		return sestest.Pass()
	case 1:
		return refuse(pick(d, apiReasons...))
	case 2:
		return sestest.APIReply(apiReply(d))
	case 3:
		f := sestest.APIReply(pick(d, 200, 204, 301, 302, 307, 308, 400, 401, 403, 404, 408, 409, 413, 429, 500, 502, 503, 504), pick(d, "", "", "ThrottlingException", "Mystery"), "what")
		return f.WithHeader("Location", "https://elsewhere.invalid/")
	case 4:
		return sestest.APIBody(pick(d, 200, 400, 429, 500, 502, 503, 504), pick(d, "", "{}", "<html>gateway</html>", `{"message":`, `{"MessageId":""}`, "null", "[]"))
	case 5:
		return pick(d, sestest.Cut, sestest.Reset, sestest.Stall)(at)
	case 6:
		return sestest.CutBody(d.IntN(1500))
	case 7:
		return sestest.Delay(sestest.EndOfData, pick(d, time.Second, 50*time.Second, 70*time.Second, 11*time.Minute))
	case 8:
		return acceptedButUnreadable(d)
	}
	return pick(d, sestest.AcceptThenCut, sestest.AcceptThenFail)()
}

// acceptedButUnreadable never reads as a definite refusal.
func acceptedButUnreadable(d dice) sestest.Fault {
	f := sestest.AcceptThenReply(pick(d, 200, 200, 201, 204, 500, 502, 504), pick(d, "", "{}", "<html>gateway</html>", `{"MessageId":"010`, `{"MessageId":null}`, "null", "[]", "42"))
	switch d.IntN(3) {
	case 0:
		f = f.WithHeader("Content-Length", "999")
	case 1:
		f = f.WithHeader("Connection", "close") // HTTP/2: GOAWAY
	}
	return f
}

// refuse has the server refuse in SES's own words.
func refuse(r seserrors.Reason) sestest.Fault { return sestest.Refuse(sestest.Cause(r)) }

// The reasons that SES has words for.
var (
	everywhere = []seserrors.Reason{
		seserrors.SendRateExceeded, seserrors.DailyQuotaExceeded, seserrors.ServiceFailure, seserrors.AccessDenied,
		seserrors.IdentityNotVerified, seserrors.MailFromDomainNotVerified, seserrors.SendingPaused,
		seserrors.ConfigurationSetMissing, seserrors.ConfigurationSetPaused, seserrors.MessageTooLong, seserrors.IllegalAddress,
		seserrors.TooManyRecipients, seserrors.IllegalHeader, seserrors.DuplicateHeader, seserrors.InvalidTag, seserrors.MessageRejected,
	}
	smtpReasons = append([]seserrors.Reason{seserrors.TooManyConnections, seserrors.CredentialsInvalid}, everywhere...)
	apiReasons  = append([]seserrors.Reason{seserrors.CredentialsInvalid, seserrors.CredentialsExpired}, everywhere...)
)

// A knownReply is a row of the collection of real replies.
type knownReply struct {
	Channel string `json:"channel"`
	Code    any    `json:"code"`
	HTTP    int    `json:"http"`
	Text    string `json:"text"`
}

var replies = sync.OnceValue(func() (list []knownReply) {
	f, err := os.Open("../../../errors/testdata/replies.jsonl")
	if err != nil {
		panic(err)
	}
	defer f.Close()
	for d := json.NewDecoder(f); d.More(); {
		var r knownReply
		if err := d.Decode(&r); err != nil {
			panic(err)
		}
		list = append(list, r)
	}
	return list
})

// smtpReply is one of the real replies.
func smtpReply(d dice) (code int, text string) {
	for {
		r := pick(d, replies()...)
		if code, ok := r.Code.(float64); ok && r.Channel == "smtp" {
			return int(code), r.Text
		}
	}
}

func apiReply(d dice) (status int, code, text string) {
	for {
		r := pick(d, replies()...)
		if code, ok := r.Code.(string); ok && r.Channel == "api" {
			return max(r.HTTP, 400), strings.ReplaceAll(code, " ", ""), r.Text
		}
	}
}
