package conn

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/smtp"
	"os"
	"strconv"
	"strings"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// Open dials, encrypts and signs in. ctx bounds all of it, and after Open has
// returned it has no part in the connection. No error of Open is about a
// message or in doubt.
func Open(ctx context.Context, cfg *Config, l Login) (*Conn, *seserrors.Error) {
	raw, err := cfg.Dial(ctx, "tcp", cfg.Addr)
	if err == nil && raw == nil {
		err = errors.New("DialContext returned neither a connection nor an error")
	}
	if err != nil {
		return nil, dialError(ctx, cfg, err)
	}
	c := newConn(cfg, raw, l)
	var e *seserrors.Error
	c.during(ctx, func() { e = c.setUp(ctx, l) })
	if e == nil && c.broken != 0 {
		e = timedOut(ctx, "smtp connect", ctx.Err())
	}
	if e != nil {
		c.reset()
		return nil, e
	}
	c.limit(0)
	return c, nil
}

func (c *Conn) setUp(ctx context.Context, l Login) *seserrors.Error {
	for _, step := range [...]func(context.Context) *seserrors.Error{c.greeting, c.ehlo, c.startTLS} {
		if e := step(ctx); e != nil {
			return e
		}
	}
	if e := c.signIn(ctx, l); e != nil {
		return e
	}
	if c.buffered() {
		return protocolError("smtp connect", errTalks.Error())
	}
	_, c.eightBit = c.ext["8BITMIME"]
	c.maxSize = messageLimit(c.ext["SIZE"])
	return nil
}

// messageLimit is SES's limit, or what the server says in SIZE (RFC 1870,
// section 3) if that is less.
func messageLimit(size string) int64 {
	n, err := strconv.ParseInt(size, 10, 64)
	if err != nil || n <= 0 {
		return MaxMessage
	}
	return min(n, MaxMessage)
}

func (c *Conn) host() string {
	host, _, _ := net.SplitHostPort(c.cfg.Addr)
	return host
}

// ask says a line and reads the answer.
func (c *Conn) ask(ctx context.Context, op, line string) *seserrors.Error {
	if _, err := io.WriteString(c.rw, line+"\r\n"); err != nil {
		return c.setUpFailed(ctx, op, err)
	}
	return c.answer(ctx, op)
}

func (c *Conn) answer(ctx context.Context, op string) *seserrors.Error {
	if err := c.reply.read(c.r); err != nil {
		return c.setUpFailed(ctx, op, err)
	}
	return nil
}

// greeting reads the banner. It says "email-smtp.amazonaws.com" in every
// region, so its name is not looked at.
func (c *Conn) greeting(ctx context.Context) *seserrors.Error {
	const op = "smtp greeting"
	var e *seserrors.Error
	if c.cfg.TLS == Wrapper {
		e = c.handshake(ctx)
	} else {
		e = c.awaitBanner(ctx, op)
	}
	if e == nil {
		e = c.answer(ctx, op)
	}
	if e == nil && c.reply.code != 220 {
		e = c.setUpRefused(op)
	}
	return e
}

// awaitBanner waits for the greeting in clear text. A server that keeps silent
// may be waiting for TLS. The last tenth of the time is spent on finding out:
// nothing was said yet, so a TLS hello does no harm to a server that is merely
// slow.
func (c *Conn) awaitBanner(ctx context.Context, op string) *seserrors.Error {
	if end, bounded := ctx.Deadline(); bounded && c.timed {
		c.deadline(ctx, time.Until(end)*9/10)
	}
	_, err := c.r.Peek(1)
	c.deadline(ctx, 0)
	if errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil && c.wantsTLS(ctx) {
		return denied(op, seserrors.TLSModeMismatch, "the server sends no greeting but speaks TLS: set TLS to TLSWrapper, or use port 587 or 2587")
	}
	if err != nil {
		return c.setUpFailed(ctx, op, err)
	}
	return nil
}

// wantsTLS says hello in TLS. Nothing secret is sent and the connection is not
// used afterwards, so the certificate does not matter.
func (c *Conn) wantsTLS(ctx context.Context) bool {
	probe := c.cfg.TLSConfig.Clone()
	probe.InsecureSkipVerify, probe.VerifyConnection, probe.VerifyPeerCertificate = true, nil, nil
	probe.Certificates, probe.GetClientCertificate = nil, nil
	err := tls.Client(c.raw, probe).HandshakeContext(ctx)
	alert, ok := errors.AsType[*net.OpError](err)
	return err == nil || ok && (alert.Op == "remote error" || alert.Op == "local error") // crypto/tls's words for alerts
}

// handshake begins TLS.
func (c *Conn) handshake(ctx context.Context) *seserrors.Error {
	const op = "smtp TLS"
	c.tls = tls.Client(c.raw, c.cfg.TLSConfig)
	err := c.tls.HandshakeContext(ctx)
	if record, ok := errors.AsType[tls.RecordHeaderError](err); ok && record.RecordHeader[0] == '2' {
		return denied(op, seserrors.TLSModeMismatch, "the server greets in clear text: set TLS to TLSStartTLS, or use port 465 or 2465")
	}
	if err != nil {
		return c.setUpFailed(ctx, op, err)
	}
	c.rw, c.r = c.tls, bufio.NewReader(c.tls)
	return nil
}

func (c *Conn) ehlo(ctx context.Context) *seserrors.Error {
	const op = "smtp EHLO"
	if e := c.ask(ctx, op, "EHLO "+c.cfg.LocalName); e != nil {
		return e
	}
	switch {
	case c.reply.code != 250:
		return c.setUpRefused(op)
	case c.buffered():
		return protocolError(op, errTalks.Error())
	}
	c.ext = extensions(string(c.reply.text))
	return nil
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

// startTLS upgrades a connection in clear text, if that is asked for.
func (c *Conn) startTLS(ctx context.Context) *seserrors.Error {
	const op = "smtp STARTTLS"
	_, offered := c.ext["STARTTLS"]
	switch {
	case c.tls != nil, c.cfg.TLS == None, c.cfg.TLS == Opportunistic && !offered:
		return nil
	case !offered:
		return denied(op, seserrors.TLSRequired, "the server does not offer STARTTLS, or someone on the way removed the offer; nothing was sent in clear text")
	}
	if e := c.ask(ctx, op, "STARTTLS"); e != nil {
		return e
	}
	switch {
	case c.reply.code != 220:
		return c.setUpRefused(op)
	case c.buffered():
		return protocolError(op, "clear text came between STARTTLS and the handshake: someone on the way may have put it there")
	}
	if e := c.handshake(ctx); e != nil {
		return e
	}
	return c.ehlo(ctx)
}

// signIn authenticates (RFC 4954).
func (c *Conn) signIn(ctx context.Context, l Login) *seserrors.Error {
	const op = "smtp AUTH"
	if l.Username == "" && l.Auth == nil {
		return nil
	}
	mechanisms := strings.Fields(strings.ToUpper(c.ext["AUTH"]))
	auth := l.mechanism(mechanisms, c.host())
	if len(mechanisms) == 0 || auth == nil {
		return denied(op, seserrors.ProtocolError, "credentials are set, but the server offers neither AUTH PLAIN nor AUTH LOGIN")
	}
	if l.Auth != nil {
		auth = recordedAuth{auth, &c.hide}
	}
	name, response, err := auth.Start(&smtp.ServerInfo{Name: c.host(), TLS: c.tls != nil, Auth: mechanisms})
	if err != nil {
		return c.authFailed(op, err)
	}
	line := "AUTH " + name
	if len(response) > 0 {
		line += " " + base64.StdEncoding.EncodeToString(response)
	} else if response != nil {
		line += " =" // RFC 4954, section 4: an empty initial response
	}
	return c.converse(ctx, op, auth, line)
}

// converse says the first line of a mechanism and answers what the server asks.
func (c *Conn) converse(ctx context.Context, op string, auth smtp.Auth, line string) *seserrors.Error {
	for {
		if e := c.ask(ctx, op, line); e != nil {
			return e
		}
		if c.reply.code == 235 {
			if _, err := auth.Next(c.reply.text, false); err != nil {
				return c.authFailed(op, err)
			}
			return nil
		}
		if c.reply.code != 334 {
			return c.setUpRefused(op)
		}
		challenge, err := base64.StdEncoding.DecodeString(string(c.reply.text))
		if err != nil {
			return protocolError(op, "the server's challenge is not base64")
		}
		response, err := auth.Next(challenge, true)
		if err != nil {
			return c.authFailed(op, err)
		}
		line = base64.StdEncoding.EncodeToString(response)
	}
}

// authFailed is the error when the mechanism itself gives up, such as PlainAuth
// on a line without TLS or for another host. That does not pass, and the server
// has no part in it.
func (c *Conn) authFailed(op string, err error) *seserrors.Error {
	message := "the mechanism gave up before it told the server anything secret: " + err.Error()
	if err.Error() == "wrong host name" { // net/smtp's PlainAuth
		message = "smtp.PlainAuth was made for another host: its last argument is the name in the address, without the port: " + c.host()
	}
	return denied(op, seserrors.CredentialsInvalid, c.hide.clean(message))
}

// setUpFailed is the error for a step that got no usable answer.
func (c *Conn) setUpFailed(ctx context.Context, op string, err error) *seserrors.Error {
	if text := c.hide.clean(err.Error()); text != err.Error() {
		err = errors.New(text)
	}
	if ctx.Err() != nil && !noSMTP(err) {
		return timedOut(ctx, op, err)
	}
	return passing(classify(op, err))
}

// setUpRefused is the error for a refusal during set-up. It says nothing about
// any message, so it is never Rejected or Invalid.
func (c *Conn) setUpRefused(op string) *seserrors.Error {
	code := c.reply.code
	e := c.reply.refusal(op, c.hide)
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

// timedOut tells a set-up that took too long from one that somebody ended.
func timedOut(ctx context.Context, op string, err error) *seserrors.Error {
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return seserrors.FromContext(ctx, op)
	}
	return &seserrors.Error{Op: op, Class: seserrors.Unavailable, Reason: seserrors.Network, Message: "connection was not set up in time", Err: err}
}

// passing keeps an error of set-up what it can be: a setting that cannot work,
// such as a wrong certificate or name, or trouble of the line, which passes.
func passing(e *seserrors.Error) *seserrors.Error {
	switch e.Class {
	case seserrors.Unknown, seserrors.Rejected, seserrors.Invalid, seserrors.Canceled:
		e.Class, e.Reason = seserrors.Unavailable, seserrors.Network
	}
	return e
}

// dialError adds what is known about ports of SES.
func dialError(ctx context.Context, cfg *Config, err error) *seserrors.Error {
	const op = "smtp dial"
	e := passing(classify(op, err))
	if ctx.Err() != nil {
		e = timedOut(ctx, op, err)
	}
	ne, ok := errors.AsType[net.Error](err) // context.DeadlineExceeded is one too
	if ok && ne.Timeout() && e.Class != seserrors.Canceled && strings.HasSuffix(cfg.Addr, ":25") {
		e.Message = "no answer on port 25, which Amazon EC2 blocks by default: use port 587 or 2587"
	}
	return e
}
