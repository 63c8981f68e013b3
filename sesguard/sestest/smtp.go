package sestest

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// A mode is what an SMTP listener asks of its clients.
type mode uint8

const (
	modeStartTLS mode = iota
	modeWrapper
	modePlain
)

// maxLine is the longest command line taken, longer than RFC 5321 section
// 4.5.3.1 asks for. A longer one closes the connection.
const maxLine = 4096

const hostname = "email-smtp.amazonaws.com" // never regional

// errDone ends a session whose connection has been dealt with.
var errDone = errors.New("session done")

// A session is one SMTP connection.
type session struct {
	srv    *Server
	number int
	mode   mode
	tcp    net.Conn // below TLS
	conn   net.Conn
	r      *bufio.Reader

	greeted, secure, authed bool
	mails                   int // MAIL commands taken
	spoiled                 bool
	open                    bool // MAIL was taken
	mail                    Mail
}

func (s *Server) acceptSMTP(l net.Listener, m mode) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		s.wg.Go(func() { s.serveSMTP(c, m) })
	}
}

func (s *Server) serveSMTP(c net.Conn, m mode) {
	defer c.Close()
	number, open, ok := s.track(c, &s.smtp)
	if !ok {
		return
	}
	defer s.untrack(c, &s.smtp)
	x := &session{srv: s, number: number, mode: m, tcp: c}
	x.use(c)
	defer func() { x.conn.Close() }() // an orderly end of TLS, if there is any
	if m == modeWrapper && x.handshake() != nil {
		return
	}
	limit := s.currentLimits().conns
	x.run(limit > 0 && open > limit)
}

func (x *session) use(c net.Conn) {
	x.conn = c
	x.r = bufio.NewReaderSize(c, maxLine)
}

func (x *session) handshake() error {
	if f := x.srv.take(Handshake, overSMTP); f != nil {
		if _, err := x.answer(f, 0, ""); err != nil {
			return err
		}
	}
	x.extendDeadline()
	c := tls.Server(x.conn, x.srv.serverTLS())
	if err := c.Handshake(); err != nil {
		return err
	}
	x.use(c)
	x.secure = true
	return nil
}

// run greets and serves commands until the connection ends.
func (x *session) run(full bool) {
	f := x.srv.take(Connect, overSMTP)
	if full && f == nil {
		f = &Fault{kind: refuse, reason: seserrors.TooManyConnections}
	}
	banner := fmt.Sprintf("%s ESMTP SimpleEmailService-d-SESTEST%04d", hostname, x.number)
	_, err := x.answer(f, 220, banner)
	for err == nil {
		err = x.command()
	}
}

// extendDeadline gives the client the idle limit again.
func (x *session) extendDeadline() {
	var t time.Time
	if idle := x.srv.currentLimits().idle; idle > 0 {
		t = time.Now().Add(idle)
	}
	x.conn.SetReadDeadline(t)
}

// hangUp says that the client was idle for too long, if that is why reading
// failed, and returns an error in any case.
func (x *session) hangUp(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		x.write(formatReply(451, "4.4.2 Timeout waiting for data from client."))
	}
	return errDone
}

func (x *session) readLine() (string, error) {
	x.extendDeadline()
	line, err := x.r.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		x.write(formatReply(500, "Line too long"))
		return "", errDone
	}
	if err != nil {
		return "", x.hangUp(err)
	}
	return string(line), nil
}

func (x *session) command() error {
	line, err := x.readLine()
	if err != nil {
		return err
	}
	verb, arg, ok := splitCommand(line)
	x.srv.log.add(x.number, verb, arg)
	if !ok {
		return x.say(500, "Error: bad syntax")
	}
	if h, ok := commands[verb]; ok {
		return h(x, arg)
	}
	return x.say(502, "Error: command not implemented")
}

var commands = map[string]func(*session, string) error{
	"EHLO": (*session).ehlo, "HELO": (*session).helo, "STARTTLS": (*session).startTLS, "AUTH": (*session).auth,
	"MAIL": (*session).mailFrom, "RCPT": (*session).rcpt, "DATA": (*session).data,
	"RSET": (*session).rset, "NOOP": (*session).noop, "QUIT": (*session).quit,
	"VRFY": func(x *session, _ string) error { return x.say(252, "Cannot verify") },
}

// splitCommand reads a command line. Only CRLF ends one, and no octet in it
// may be a control character.
func splitCommand(line string) (verb, arg string, ok bool) {
	line, ok = strings.CutSuffix(line, "\r\n")
	if !ok || strings.ContainsFunc(line, isControl) {
		return "", "", false
	}
	verb, arg, _ = strings.Cut(line, " ")
	return strings.ToUpper(verb), strings.TrimSpace(arg), true
}

// formatReply lays out a reply, with one line for each of text.
func formatReply(code int, text string) string {
	var b strings.Builder
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		sep := "-"
		if i == len(lines)-1 {
			sep = " "
		}
		if l == "" && sep == " " {
			sep = ""
		}
		fmt.Fprintf(&b, "%d%s%s\r\n", code, sep, l)
	}
	return b.String()
}

func (x *session) write(octets string) error {
	if _, err := io.WriteString(x.conn, octets); err != nil {
		return errDone
	}
	return nil
}

func (x *session) say(code int, text string) error {
	return x.write(formatReply(code, text))
}

// at answers at a stage: as the script says, or with code and text. It
// reports whether the command takes effect.
func (x *session) at(s Stage, code int, text string) (effect bool, err error) {
	return x.answer(x.srv.take(s, overSMTP), code, text)
}

// answer plays a fault on the usual reply, of which there is none with code 0.
// A reply without effect leaves the session as it was.
func (x *session) answer(f *Fault, code int, text string) (effect bool, err error) {
	usual := ""
	if code != 0 {
		usual = formatReply(code, text)
	}
	if f == nil {
		return code < 400, x.write(usual)
	}
	switch f.kind {
	case refuse:
		return false, x.refuse(f.reason)
	case reply:
		return f.code < 400 && code < 400, x.sayAndMaybeClose(f.code, f.text, f.code == 421)
	case cut, resetConn, halfClose, stall, acceptThenCut, acceptThenFail:
		return false, x.leave(f.kind)
	case raw:
		return code < 400, x.write(f.text)
	case rawTCP:
		if _, err := io.WriteString(x.tcp, f.text); err != nil {
			return false, errDone
		}
		return code < 400, nil
	case drip:
		return code < 400, x.drip(usual)
	case cutReply:
		x.write(usual[:min(f.after, len(usual))])
		return false, x.leave(cut)
	}
	return code < 400, x.write(usual)
}

// refuse says why, in SES's words for a message like the open one.
func (x *session) refuse(reason seserrors.Reason) error {
	code, text := scripted(reason, &submission{mail: x.mail}).smtp()
	return x.sayAndMaybeClose(code, text, refusals[reason].closes)
}

func (x *session) sayAndMaybeClose(code int, text string, closes bool) error {
	err := x.say(code, text)
	if closes {
		return errDone
	}
	return err
}

func (x *session) drip(octets string) error {
	for i := range len(octets) {
		if err := x.write(octets[i : i+1]); err != nil {
			return err
		}
	}
	return nil
}

// leave ends the session without an answer.
func (x *session) leave(how faultKind) error {
	x.tcp.SetReadDeadline(time.Time{})
	leave(x.tcp, how)
	return errDone
}

// leave ends a connection as a fault says.
func leave(c net.Conn, how faultKind) {
	switch how {
	case resetConn:
		reset(c)
	case halfClose:
		if w, ok := c.(interface{ CloseWrite() error }); ok {
			w.CloseWrite()
		}
		fallthrough
	case stall:
		io.Copy(io.Discard, c) // until the client leaves or the server is closed
	default:
		c.Close()
	}
}

func (x *session) ehlo(arg string) error {
	if arg == "" {
		return x.say(501, "Error: EHLO requires a domain")
	}
	lines := []string{hostname, "8BITMIME"}
	if x.mode == modeStartTLS && !x.secure {
		lines = append(lines, "STARTTLS")
	}
	lines = append(lines, "AUTH PLAIN LOGIN")
	lines = append(lines, x.srv.currentLimits().extensions...)
	return x.hello(250, strings.Join(append(lines, "Ok"), "\n"))
}

func (x *session) helo(arg string) error {
	if arg == "" {
		return x.say(501, "Error: HELO requires a domain")
	}
	return x.hello(250, hostname)
}

func (x *session) hello(code int, text string) error {
	effect, err := x.at(EHLO, code, text)
	if effect {
		x.greeted = true
		x.forget()
	}
	return err
}

// forget ends the open transaction.
func (x *session) forget() {
	x.open, x.spoiled, x.mail = false, false, Mail{}
}

func (x *session) startTLS(arg string) error {
	if x.mode != modeStartTLS || x.secure {
		return x.say(503, "Error: TLS already active or not offered")
	}
	if arg != "" {
		return x.say(501, "Error: STARTTLS takes no argument")
	}
	effect, err := x.at(StartTLS, 220, "Ready to start TLS")
	if err != nil || !effect {
		return err
	}
	// What came before TLS is forgotten, and with it anything that someone on
	// the line put behind the command (RFC 3207 section 4.2).
	x.greeted, x.authed = false, false
	x.forget()
	return x.handshake()
}

func (x *session) auth(arg string) error {
	switch {
	case x.mode != modePlain && !x.secure:
		return x.say(530, "Must issue a STARTTLS command first")
	case x.authed:
		return x.say(503, "Error: already authenticated")
	}
	f := x.srv.take(Auth, overSMTP)
	if f != nil && (f.preventsAcceptance() || f.kind == acceptThenCut) {
		_, err := x.answer(f, 0, "")
		return err
	}
	user, password, err := x.credentials(arg)
	if err != nil {
		return err
	}
	if user != x.srv.Username || password != x.srv.Password {
		_, err = x.answer(f, 535, "Authentication Credentials Invalid")
		return err
	}
	effect, err := x.answer(f, 235, "Authentication successful.")
	if effect {
		x.authed = true
		x.srv.set(func() { x.srv.logins++ })
	}
	return err
}

// credentials reads what AUTH carries. A malformed exchange yields
// credentials that match nothing.
func (x *session) credentials(arg string) (user, password string, err error) {
	mechanism, initial, _ := strings.Cut(arg, " ")
	switch strings.ToUpper(mechanism) {
	case "PLAIN":
		if initial == "" {
			initial, err = x.challenge("Ok")
		}
		parts := strings.Split(decode(initial), "\x00")
		if len(parts) != 3 {
			return "", "", err
		}
		return parts[1], parts[2], err
	case "LOGIN":
		if initial == "" {
			initial, err = x.challenge("VXNlcm5hbWU6")
		}
		if err == nil {
			password, err = x.challenge("UGFzc3dvcmQ6")
		}
		return decode(initial), decode(password), err
	}
	return "", "", nil
}

func decode(s string) string {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return ""
	}
	return string(b)
}

// challenge asks with a 334 and reads the response line.
func (x *session) challenge(text string) (string, error) {
	if err := x.say(334, text); err != nil {
		return "", err
	}
	line, err := x.readLine()
	x.srv.log.add(x.number, "***", "")
	return strings.TrimRight(line, "\r\n"), err
}

func (x *session) mailFrom(arg string) error {
	f := x.srv.take(MailFrom, overSMTP)
	code, text := x.judgeMail(arg)
	if code == 421 && f == nil {
		f = &Fault{kind: refuse, reason: seserrors.SessionMessageLimit}
	}
	effect, err := x.answer(f, code, text)
	if effect && code < 400 {
		x.openMail(arg)
	}
	return err
}

func (x *session) openMail(arg string) {
	from, params, _ := parsePath(arg, "FROM:")
	x.mails++
	x.open = true
	x.mail = Mail{Transport: string(overSMTP), From: from, Params: params, Conn: x.number,
		region: x.srv.Region, operation: "SendSmtpEmail", sourceIP: hostOf(x.tcp.RemoteAddr().String())}
	if c, ok := x.conn.(*tls.Conn); ok {
		x.mail.tlsVersion = tlsVersion(c.ConnectionState())
	}
}

func hostOf(addr string) string {
	host, _, _ := net.SplitHostPort(addr)
	return host
}

// tlsVersion spells a version as SES does: "TLSv1.3".
func tlsVersion(state tls.ConnectionState) string {
	return strings.Replace(tls.VersionName(state.Version), "TLS ", "TLSv", 1)
}

func (x *session) judgeMail(arg string) (code int, text string) {
	limit := x.srv.currentLimits().messages
	from, params, ok := parsePath(arg, "FROM:")
	switch {
	case x.mode == modeStartTLS && !x.secure:
		return 530, "Must issue a STARTTLS command first"
	case x.mode != modePlain && !x.authed:
		return 530, "Authentication required"
	case !x.greeted:
		return 503, "Error: send HELO/EHLO first"
	case x.open || x.spoiled:
		return 503, "Error: nested MAIL command"
	case limit > 0 && x.mails >= limit:
		return 421, "session limit"
	case !ok || senderProblem(from):
		return 501, "Invalid MAIL FROM address provided"
	}
	return x.judgeParams(params)
}

// senderProblem tells what MAIL refuses at once; finer complaints come after
// the final dot. SES takes no null sender.
func senderProblem(from string) bool {
	at := strings.LastIndexByte(from, '@')
	return at <= 0 || at == len(from)-1 || strings.ContainsAny(from, " \t<>")
}

func (x *session) judgeParams(params string) (code int, text string) {
	for p := range strings.FieldsSeq(params) {
		key, value, _ := strings.Cut(p, "=")
		switch strings.ToUpper(key) {
		case "BODY":
			if v := strings.ToUpper(value); v != "7BIT" && v != "8BITMIME" {
				return 501, "Error: bad BODY parameter"
			}
		case "SIZE":
			if n, ok := parseSize(value); !ok {
				return 501, "Error: bad SIZE parameter"
			} else if n > MaxMessageSize {
				return 552, "Message is too long."
			}
		case "AUTH":
		default:
			if !x.announced(key) {
				return 555, "Unsupported option: " + key
			}
		}
	}
	return 250, "Ok"
}

// parseSize reads digits. What is beyond any int is too large, not malformed.
func parseSize(s string) (n uint64, ok bool) {
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil || errors.Is(err, strconv.ErrRange) && len(s) <= 20
}

func (x *session) announced(keyword string) bool {
	for _, line := range x.srv.currentLimits().extensions {
		if name, _, _ := strings.Cut(line, " "); strings.EqualFold(name, keyword) {
			return true
		}
	}
	return false
}

// pathArg is "FROM:<path> params" or "TO:<path> params". A quoted local part may
// have a bracket in it.
var pathArg = regexp.MustCompile(`^((?i)FROM:|TO:) *<((?:"(?:\\.|[^"\\])*"|[^">])*)>(?: +(.*))?$`)

// parsePath reads the argument of MAIL, whose prefix is "FROM:", or of RCPT,
// whose is "TO:".
func parsePath(arg, prefix string) (path, params string, ok bool) {
	m := pathArg.FindStringSubmatch(arg)
	if m == nil || !strings.EqualFold(m[1], prefix) {
		return "", "", false
	}
	return m[2], m[3], true
}

func (x *session) rcpt(arg string) error {
	if !x.open || x.spoiled {
		return x.say(503, "Error: need MAIL command")
	}
	to, params, ok := parsePath(arg, "TO:")
	code, text := 250, "Ok"
	if !ok || to == "" {
		code, text = 553, "<"+to+"> address unknown"
	} else if params != "" {
		code, text = 555, "Unsupported option: "+params
	}
	if ok {
		x.mail.To = append(x.mail.To, to) // what a scripted refusal names
	}
	effect, err := x.at(Rcpt, code, text)
	if ok && (!effect || code >= 400) {
		x.mail.To = x.mail.To[:len(x.mail.To)-1]
	}
	return err
}

func (x *session) rset(string) error {
	effect, err := x.at(Rset, 250, "Ok")
	if effect {
		x.forget()
	}
	return err
}

func (x *session) noop(string) error {
	_, err := x.at(Noop, 250, "Ok")
	return err
}

func (x *session) quit(string) error {
	if _, err := x.at(Quit, 221, "Bye"); err != nil {
		return err
	}
	return errDone
}
