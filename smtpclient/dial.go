package smtpclient

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/smtp"
	"net/textproto"
	"os"
	"strconv"
	"strings"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// A setup is one attempt to open a session.
type setup struct {
	cfg    *Config
	login  login
	hide   secrets
	wire   *wire
	client *smtp.Client
	in     io.Reader // what the server says, once all is set up
	reply  replyReader
	ext    map[string]string // of the clear-text EHLO
}

// open dials and signs in. ctx bounds all of it; after open has returned it has
// no part in the session.
func open(ctx context.Context, cfg *Config, l login) (*session, *seserrors.Error) {
	conn, err := cfg.DialContext(ctx, "tcp", cfg.Addr)
	if err != nil {
		return nil, dialError(ctx, cfg, err)
	}
	s := &setup{cfg: cfg, login: l, hide: newSecrets(l.username, l.password), wire: newWire(conn)}
	stop := context.AfterFunc(ctx, s.wire.interrupt)
	failure := s.run(ctx)
	if !stop() && failure == nil {
		failure = canceled(ctx, "smtp connect")
	}
	if failure != nil {
		s.wire.cut()
		return nil, failure
	}
	return newSession(s), nil
}

func (s *setup) run(ctx context.Context) *seserrors.Error {
	for _, step := range []func(context.Context) *seserrors.Error{s.greeting, s.ehlo, s.encrypt, s.signIn} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if s.client.Text.R.Buffered() > 0 {
		return protocolError("smtp connect", "server talks out of turn")
	}
	s.wire.budget = -1
	return nil
}

// greeting reads the banner. It says "email-smtp.amazonaws.com" in every
// region, so its name is not looked at.
func (s *setup) greeting(ctx context.Context) *seserrors.Error {
	conn, failure := s.firstOctets(ctx)
	if failure != nil {
		return failure
	}
	client, err := smtp.NewClient(conn, s.cfg.host())
	if err != nil {
		return s.failed(ctx, "smtp greeting", err)
	}
	s.client, s.in = client, conn
	return nil
}

func (s *setup) firstOctets(ctx context.Context) (net.Conn, *seserrors.Error) {
	if s.cfg.TLS != TLSWrapper {
		return s.wire, s.awaitBanner(ctx)
	}
	conn := tls.Client(s.wire, s.cfg.TLSConfig)
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, s.handshakeError(ctx, err)
	}
	return conn, nil
}

func (s *setup) handshakeError(ctx context.Context, err error) *seserrors.Error {
	if s.wire.began && s.wire.first == '2' {
		e := s.failed(ctx, "smtp TLS", err)
		e.Class, e.Reason = seserrors.Denied, seserrors.TLSModeMismatch
		e.Message = "the server greets in clear text: set TLS to STARTTLS, or use port 465 or 2465"
		return e
	}
	return s.failed(ctx, "smtp TLS", err)
}

// awaitBanner waits for the greeting in clear text. A server that keeps silent
// may be waiting for TLS. The last tenth of the time is spent on finding out:
// nothing was said yet, so a TLS hello does no harm to a server that is merely
// slow.
func (s *setup) awaitBanner(ctx context.Context) *seserrors.Error {
	end, bounded := ctx.Deadline()
	if bounded {
		s.readBy(ctx, time.Now().Add(time.Until(end)*9/10))
	}
	err := s.wire.await()
	s.readBy(ctx, end)
	if bounded && errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil && s.wantsTLS(ctx) {
		return &seserrors.Error{Op: "smtp greeting", Class: seserrors.Denied, Reason: seserrors.TLSModeMismatch, Err: err,
			Message: "the server sends no greeting but speaks TLS: set TLS to TLSWrapper, or use port 587 or 2587"}
	}
	if err != nil {
		return s.failed(ctx, "smtp greeting", err)
	}
	return nil
}

// readBy sets a deadline, and puts the interruption back that it may have
// erased.
func (s *setup) readBy(ctx context.Context, t time.Time) {
	s.wire.SetReadDeadline(t)
	if ctx.Err() != nil {
		s.wire.interrupt()
	}
}

// wantsTLS says hello in TLS. Nothing secret is sent and the connection is not
// used afterwards, so the certificate does not matter.
func (s *setup) wantsTLS(ctx context.Context) bool {
	probe := s.cfg.TLSConfig.Clone()
	probe.InsecureSkipVerify, probe.Certificates, probe.GetClientCertificate = true, nil, nil
	tls.Client(s.wire, probe).HandshakeContext(ctx)
	const alert, handshake = 21, 22 // record types, RFC 8446, section 5.1
	return s.wire.began && (s.wire.first == alert || s.wire.first == handshake)
}

// ehlo says EHLO by hand, because net/smtp answers a refusal with HELO and then
// reports what came of that. Then it tells net/smtp the answer.
func (s *setup) ehlo(ctx context.Context) *seserrors.Error {
	text := s.client.Text
	if err := text.PrintfLine("EHLO %s", s.cfg.LocalName); err != nil {
		return s.failed(ctx, "smtp EHLO", err)
	}
	if err := s.reply.read(text.R); err != nil {
		return s.failed(ctx, "smtp EHLO", err)
	}
	if s.reply.code != 250 {
		return s.refused("smtp EHLO", s.reply.code, string(s.reply.text))
	}
	s.ext = extensions(string(s.reply.text))
	if text.R.Buffered() > 0 {
		return protocolError("smtp EHLO", "server talks out of turn")
	}
	if err := s.replay(string(s.reply.text)); err != nil {
		return s.failed(ctx, "smtp EHLO", err)
	}
	return nil
}

// replay lets net/smtp say EHLO to nobody and read the answer that is known,
// which spares a round trip.
func (s *setup) replay(answer string) error {
	var b strings.Builder
	lines := strings.Split(answer, "\n")
	for i, line := range lines {
		sep := "-"
		if i == len(lines)-1 {
			sep = " "
		}
		b.WriteString("250" + sep + line + "\r\n")
	}
	text := s.client.Text
	r, w := text.R, text.W
	defer func() { text.R, text.W = r, w }()
	text.R, text.W = bufio.NewReaderSize(strings.NewReader(b.String()), 128), bufio.NewWriterSize(io.Discard, 128)
	return s.client.Hello(s.cfg.LocalName)
}

// extensions reads the lines of an EHLO reply after the first. Keywords are
// without regard to case (RFC 5321, section 4.1.1.1).
func extensions(text string) map[string]string {
	lines := strings.Split(text, "\n")
	ext := make(map[string]string, len(lines))
	for _, line := range lines[1:] {
		key, params, _ := strings.Cut(line, " ")
		ext[strings.ToUpper(key)] = params
	}
	return ext
}

// encrypt upgrades with STARTTLS.
func (s *setup) encrypt(ctx context.Context) *seserrors.Error {
	_, offered := s.ext["STARTTLS"]
	switch {
	case s.cfg.TLS == TLSWrapper, s.cfg.TLS == TLSNone, s.cfg.TLS == opportunistic && !offered:
		return nil
	case !offered:
		return &seserrors.Error{Op: "smtp STARTTLS", Class: seserrors.Denied, Reason: seserrors.TLSRequired,
			Message: "the server does not offer STARTTLS, or someone on the way removed the offer; nothing was sent in clear text"}
	}
	clear := s.client.Text
	err := s.client.StartTLS(s.cfg.TLSConfig)
	if clear.R.Buffered() > 0 {
		return protocolError("smtp STARTTLS", "clear text came between STARTTLS and the handshake: someone on the way may have put it there")
	}
	if err != nil {
		return s.startTLSError(ctx, err)
	}
	s.in = s.client.Text.R // net/smtp keeps the TLS connection to itself
	return nil
}

func (s *setup) startTLSError(ctx context.Context, err error) *seserrors.Error {
	op := "smtp STARTTLS"
	if state, ok := s.client.TLSConnectionState(); ok {
		op = "smtp TLS"
		if state.HandshakeComplete {
			op = "smtp EHLO"
		}
	}
	return s.failed(ctx, op, err)
}

// signIn authenticates. After a refusal net/smtp sends "*" and QUIT and waits
// for the answers, within the same deadline.
func (s *setup) signIn(ctx context.Context) *seserrors.Error {
	if s.login.none() {
		return nil
	}
	offered, params := s.client.Extension("AUTH")
	auth := s.login.mechanism(params, s.cfg.host())
	if !offered || auth == nil {
		return &seserrors.Error{Op: "smtp AUTH", Class: seserrors.Denied, Reason: seserrors.ProtocolError,
			Message: "credentials are set, but the server offers neither AUTH PLAIN nor AUTH LOGIN"}
	}
	watched := &watchedAuth{Auth: auth}
	err := s.client.Auth(watched)
	if watched.err != nil {
		return &seserrors.Error{Op: "smtp AUTH", Class: seserrors.Denied, Reason: seserrors.ProtocolError,
			Message: s.hide.clean("the mechanism gave up: " + watched.err.Error())}
	}
	if err != nil {
		return s.failed(ctx, "smtp AUTH", err)
	}
	return nil
}

// failed is the error for a step that did not succeed.
func (s *setup) failed(ctx context.Context, op string, err error) *seserrors.Error {
	if te, ok := errors.AsType[*textproto.Error](err); ok {
		return s.refused(op, te.Code, te.Msg)
	}
	if text := s.hide.clean(err.Error()); text != err.Error() {
		err = errors.New(text)
	}
	if _, ok := errors.AsType[textproto.ProtocolError](err); ok || errors.Is(err, errBudget) {
		e := protocolError(op, "")
		e.Message, e.Err = s.hide.clean(err.Error()), err
		return e
	}
	if ctx.Err() != nil {
		return timedOut(ctx, op, err)
	}
	return setupClass(ioErrorAt(op, err))
}

// refused is the error for a refusal during set-up. It says nothing about any
// message, so it is never Rejected or Invalid.
func (s *setup) refused(op string, code int, text string) *seserrors.Error {
	e := seserrors.FromSMTP(op, code, s.hide.clean(text))
	e.MaybeAccepted = false
	switch {
	case code/100 == 4 && !e.Class.Retryable():
		e.Class = seserrors.Unavailable
	case code/100 == 5 && e.Class != seserrors.Suspended:
		e.Class = seserrors.Denied
	case code/100 < 4:
		e.Class, e.Reason = seserrors.Unavailable, seserrors.ProtocolError
	}
	switch e.Reason.Scope() {
	case seserrors.ScopeMessage, seserrors.ScopeRecipient, seserrors.ScopeSender:
		e.Reason = seserrors.Unrecognized
	}
	return e
}

// timedOut tells a set-up that took too long from one that its client ended.
func timedOut(ctx context.Context, op string, err error) *seserrors.Error {
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return canceled(ctx, op)
	}
	return &seserrors.Error{Op: op, Class: seserrors.Unavailable, Reason: seserrors.Network, Message: "connection was not set up in time", Err: err}
}

// setupClass keeps a set-up error what it can be: trouble of the line or a
// setting that cannot work.
func setupClass(e *seserrors.Error) *seserrors.Error {
	switch e.Class {
	case seserrors.Unknown, seserrors.Rejected, seserrors.Invalid, seserrors.Canceled:
		e.Class, e.Reason = seserrors.Unavailable, seserrors.Network
	}
	return e
}

// dialError adds what is known about names and ports of SES.
func dialError(ctx context.Context, cfg *Config, err error) *seserrors.Error {
	var e *seserrors.Error
	if ctx.Err() != nil {
		e = timedOut(ctx, "smtp dial", err)
	} else {
		e = setupClass(ioErrorAt("smtp dial", err))
	}
	timeout := errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded)
	if ne, ok := errors.AsType[net.Error](err); ok {
		timeout = timeout || ne.Timeout()
	}
	switch {
	case e.Class == seserrors.Canceled:
	case timeout && cfg.Port == 25:
		e.Message = "no answer on port 25, which Amazon EC2 blocks by default: use port 587 or 2587"
	case e.Reason == seserrors.NameNotFound && cfg.Region != "":
		e.Message = cfg.host() + " does not exist: check Config.Region for a typing error; not every region has an SMTP endpoint"
	}
	return e
}

// ioErrorAt is ioError without the guess that trouble of the network passes: a
// wrong certificate or name stays what it is.
func ioErrorAt(op string, err error) *seserrors.Error {
	if errors.Is(err, errReply) || errors.Is(err, errReplyLong) || errors.Is(err, errReplyMix) {
		return ioError(op, err)
	}
	e := *seserrors.Classify(err)
	e.Op, e.MaybeAccepted = op, false
	if e.Err == nil {
		e.Err = err
	}
	return &e
}

// size is the SIZE extension's limit, 0 if there is none (RFC 1870, section 3).
func (s *setup) size() int64 {
	_, param := s.client.Extension("SIZE")
	n, err := strconv.ParseInt(param, 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

func (s *setup) offers(ext string) bool {
	ok, _ := s.client.Extension(ext)
	return ok
}
