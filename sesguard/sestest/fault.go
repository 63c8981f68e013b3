package sestest

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// A Stage is a point in the course of a connection or message at which a
// Fault strikes: directly after the server read what is named here and before
// it answers. An API connection reaches Connect; an API request reaches Data
// when its head has arrived and EndOfData when its body has.
type Stage uint8

// The stages. The one of the MAIL command is called MailFrom, because Mail is
// the type of an accepted message.
const (
	Connect   Stage = iota // a connection came in; SMTP: before the greeting
	EHLO                   // EHLO or HELO
	StartTLS               // STARTTLS
	Auth                   // AUTH, before the credentials are looked at
	MailFrom               // MAIL FROM
	Rcpt                   // each RCPT TO
	Data                   // DATA; API: the request's head
	EndOfData              // the final dot; API: the end of the request's body
	Rset                   // RSET
	Noop                   // NOOP
	Quit                   // QUIT
	Handshake              // TLS is about to start: after STARTTLS, or on SMTPSAddr; SMTP only
	body                   // between Data and EndOfData, for CutBody
	entry                  // an entry of a SendBulkEmail, for BulkStatus
)

var stageNames = [...]string{"connect", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "end of data",
	"RSET", "NOOP", "QUIT", "TLS handshake", "body", "bulk entry"}

// String returns the SMTP command or a word or two.
func (s Stage) String() string {
	if int(s) < len(stageNames) {
		return stageNames[s]
	}
	return fmt.Sprintf("stage %d", uint8(s))
}

type faultKind uint8

const (
	pass faultKind = iota
	refuse
	reply
	apiReply
	bulkStatus
	cut
	resetConn
	halfClose
	stall
	delay
	drip
	cutReply
	cutBody
	raw
	rawTCP
	acceptThenCut
	acceptThenFail
	acceptThenReply
)

var kindNames = [...]string{"pass", "refuse", "reply", "api reply", "bulk status", "cut", "reset", "half-close",
	"stall", "delay", "drip", "cut reply", "cut body", "raw", "raw tcp", "accept then cut", "accept then fail", "accept then reply"}

// A Fault is one thing that goes wrong, for Server.Script.
type Fault struct {
	kind    faultKind
	stage   Stage
	reason  seserrors.Reason
	code    int
	text    string // reply text, message or raw octets
	errCode string // API error code
	body    bool   // APIReply: text is the whole body
	after   int
	wait    time.Duration
	header  http.Header
}

// String describes the fault in a few words, for a failed test's log.
func (f Fault) String() string {
	s := kindNames[f.kind] + " at " + f.stage.String()
	switch f.kind {
	case refuse:
		s = "refuse: " + string(f.reason)
	case reply:
		s += fmt.Sprintf(": %d %s", f.code, f.text)
	case apiReply:
		s = fmt.Sprintf("api reply: %d %s", f.code, f.errCode)
	case cutReply, cutBody:
		s += fmt.Sprintf(" after %d octets", f.after)
	case delay:
		s += fmt.Sprintf(" for %v", f.wait)
	}
	return s
}

// Pass lets one message through to the account, whose own rules then accept
// or refuse it: Script(Pass(), Refuse(ServiceFailure)) strikes the second.
func Pass() Fault { return Fault{kind: pass, stage: EndOfData} }

// Refuse gives the refusal that SES gives for the reason, in SES's words: over
// SMTP at the stage at which SES gives it, over the API as the answer to the
// request, in a SendBulkEmail for the whole request. Nothing is accepted. A
// transport on which SES has no words for the reason passes the fault by and
// leaves it for a message on the other; Reasons lists what each can say.
// Refuse panics if no reply of SES has the reason, as with Network.
func Refuse(reason seserrors.Reason) Fault {
	if _, ok := refusals[reason]; !ok {
		panic("sestest: SES has no reply for the reason " + string(reason))
	}
	return Fault{kind: refuse, stage: EndOfData, reason: reason}
}

// Reply answers the SMTP command at the stage with this code and text, in
// which \n parts the lines of a multi-line reply. A code of 400 or more
// refuses: the command has no effect, and after 421 the connection is closed.
// A lower code has the command's usual effect, if the account allows it, and
// only its words differ: Reply(EHLO, 250, "x\nPIPELINING") announces an
// extension, Reply(EndOfData, 250, "") accepts the message and says nothing
// more. At Data every code but 354 refuses, at EndOfData every one outside
// 200…299.
func Reply(at Stage, code int, text string) Fault {
	return Fault{kind: reply, stage: at, code: code, text: text}
}

// APIReply answers an API request with this HTTP status and SES's JSON error
// of this code and message; with code "" the answer has no error code header
// and an empty body. Nothing is accepted, even if status is 200. APIReply
// panics if no answer can have the status: one below 200 or above 999.
func APIReply(status int, code, message string) Fault {
	return Fault{kind: apiReply, stage: EndOfData, code: finalStatus(status), errCode: code, text: message}
}

func finalStatus(status int) int {
	if status < 200 || status > 999 {
		panic(fmt.Sprintf("sestest: no answer has the status %d", status))
	}
	return status
}

// APIBody answers an API request with this HTTP status and exactly this body,
// such as the HTML of a gateway or half a JSON object, and accepts nothing. Its
// statuses are those of APIReply.
func APIBody(status int, body string) Fault {
	return Fault{kind: apiReply, stage: EndOfData, code: finalStatus(status), text: body, body: true}
}

// BulkStatus gives the next entry of a SendBulkEmail this status and error
// text instead of SUCCESS. The request's other entries are not touched.
func BulkStatus(status, text string) Fault {
	return Fault{kind: bulkStatus, stage: entry, errCode: status, text: text}
}

// Cut closes the connection when the stage is reached, before anything is
// answered; at EndOfData before the message is accepted. Over HTTP/2 only the
// request's stream is cut.
func Cut(at Stage) Fault { return Fault{kind: cut, stage: at} }

// Reset is Cut by a TCP reset instead of an orderly end.
func Reset(at Stage) Fault { return Fault{kind: resetConn, stage: at} }

// HalfClose ends the server's direction of the connection when the stage is
// reached and goes on reading until the client leaves. Nothing is answered
// and nothing is accepted. An API request passes it by.
func HalfClose(at Stage) Fault { return Fault{kind: halfClose, stage: at} }

// CutBody closes the connection when so many octets of the message have
// arrived: over SMTP octets after the 354, as they are on the wire, over the
// API octets of the request's body. If the body ends before, the connection is
// closed there. Either way nothing is accepted. CutBody panics if after is
// negative.
func CutBody(after int) Fault { return Fault{kind: cutBody, stage: body, after: octets(after)} }

func octets(n int) int {
	if n < 0 {
		panic(fmt.Sprintf("sestest: a fault after %d octets", n))
	}
	return n
}

// Stall falls silent when the stage is reached, until the client leaves or
// the server is closed, and swallows what else the client sends. Nothing is
// accepted.
func Stall(at Stage) Fault { return Fault{kind: stall, stage: at} }

// Delay waits before the stage takes its usual course. A client that leaves
// in the meantime does not stop it: at EndOfData the message is accepted.
func Delay(at Stage, d time.Duration) Fault { return Fault{kind: delay, stage: at, wait: d} }

// Drip sends the usual SMTP reply one octet at a time. The API passes it by.
func Drip(at Stage) Fault { return Fault{kind: drip, stage: at} }

// CutReply sends so many octets of the usual SMTP reply, line ends counted,
// and then closes the connection. The command has taken effect before: at
// EndOfData the message is accepted. The API passes it by. CutReply panics if
// after is negative.
func CutReply(at Stage, after int) Fault {
	return Fault{kind: cutReply, stage: at, after: octets(after)}
}

// Raw sends these octets in place of the usual SMTP reply, through TLS if the
// connection has it: garbage, an unterminated line, two replies at once. The
// command has its usual effect: at EndOfData the message is accepted. The API
// passes it by.
func Raw(at Stage, octets string) Fault { return Fault{kind: raw, stage: at, text: octets} }

// RawTCP is Raw past TLS: clear text in the encrypted stream.
func RawTCP(at Stage, octets string) Fault { return Fault{kind: rawTCP, stage: at, text: octets} }

// AcceptThenCut accepts the message and closes the connection without an
// answer, on both transports. If the account refuses the message, it is
// refused in the usual way.
func AcceptThenCut() Fault { return Fault{kind: acceptThenCut, stage: EndOfData} }

// AcceptThenFail accepts the message and then says that it failed: over the
// API by a 500 InternalFailure, which SES does on rare occasions. SMTP has no
// such reply, so there the connection is cut as by AcceptThenCut.
func AcceptThenFail() Fault { return Fault{kind: acceptThenFail, stage: EndOfData} }

// AcceptThenReply accepts the message and answers the API request with this
// HTTP status and exactly this body, in place of the one that has the
// MessageId. SMTP passes it by; Raw and CutReply at EndOfData do that there.
func AcceptThenReply(status int, body string) Fault {
	return Fault{kind: acceptThenReply, stage: EndOfData, code: finalStatus(status), text: body, body: true}
}

// WithHeader returns the fault with a header field for its API answer, in
// place of one of that name: Location for a redirect, Connection: close for an
// HTTP/2 GOAWAY, a Content-Length beyond the body for one that is cut.
func (f Fault) WithHeader(name, value string) Fault {
	h := f.header.Clone()
	if h == nil {
		h = http.Header{}
	}
	h.Set(name, value)
	f.header = h
	return f
}

// transport tells the two interfaces apart.
type transport string

const (
	overSMTP transport = "smtp"
	overAPI  transport = "api"
)

// reaches reports whether the fault strikes at this stage of this transport.
func (f Fault) reaches(at Stage, over transport) bool {
	switch f.kind {
	case refuse:
		return f.refusalReaches(at, over)
	case reply, halfClose, drip, cutReply, raw, rawTCP:
		return over == overSMTP && at == f.stage
	case apiReply, bulkStatus, acceptThenReply:
		return over == overAPI && at == f.stage
	case delay:
		return at == f.stage && !(over == overAPI && at == Connect)
	}
	return at == f.stage
}

func (f Fault) refusalReaches(at Stage, over transport) bool {
	w := refusals[f.reason]
	if over == overAPI {
		return w.status != 0 && at == EndOfData
	}
	return w.smtpCode != 0 && at == w.stage
}

// preventsAcceptance reports whether a message that draws the fault at
// EndOfData is not even looked at.
func (f *Fault) preventsAcceptance() bool {
	if f == nil {
		return false
	}
	switch f.kind {
	case refuse, apiReply, cut, resetConn, halfClose, stall:
		return true
	case reply:
		return f.code < 200 || f.code > 299
	}
	return false
}

// A script is the queue of faults to come.
type script struct {
	mu    sync.Mutex
	queue []Fault
}

// Script appends faults to the server's queue. Only the first of the queue is
// looked at: the next message or connection that reaches its stage, on either
// transport, takes it, and with that the following one becomes the first. So
// faults strike in the order in which they stand, one each, and a fault whose
// stage nobody reaches holds up those behind it. An empty queue changes
// nothing.
func (s *Server) Script(faults ...Fault) {
	s.script.mu.Lock()
	defer s.script.mu.Unlock()
	s.script.queue = append(s.script.queue, faults...)
}

// FaultsLeft returns how many scripted faults nobody has met yet. A test that
// ends with a number other than 0 did not test what it meant to.
func (s *Server) FaultsLeft() int {
	s.script.mu.Lock()
	defer s.script.mu.Unlock()
	return len(s.script.queue)
}

// ClearScript drops the faults that are left.
func (s *Server) ClearScript() {
	s.script.mu.Lock()
	defer s.script.mu.Unlock()
	s.script.queue = nil
}

// take returns the first fault if it strikes here, or nil. Delays are played
// here, for whoever asks.
func (s *Server) take(at Stage, over transport) *Fault {
	for {
		f := s.script.take(at, over)
		if f == nil || f.kind != delay {
			return f
		}
		s.sleep(f.wait)
	}
}

func (q *script) take(at Stage, over transport) *Fault {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.queue) == 0 || !q.queue[0].reaches(at, over) {
		return nil
	}
	f := q.queue[0]
	q.queue = q.queue[1:]
	return &f
}
