package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/smtp"
	"strings"

	"github.com/sesguard/sesguard-go/smtpclient"
)

const (
	sender    = "sender@example.com"
	recipient = "success@simulator.amazonses.com"
)

// rawMessage is a message of about size octets in lines as long as base64's.
func rawMessage(size int) []byte {
	var b bytes.Buffer
	b.WriteString("From: " + sender + "\r\nTo: " + recipient + "\r\nSubject: Hello\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n")
	for text := strings.Repeat("abcdefghijklmnopqrs", 4) + "\r\n"; b.Len() < size; {
		b.WriteString(text)
	}
	return b.Bytes()
}

// An endpoint is a port of the sink.
type endpoint struct {
	addr string
	tls  *tls.Config // nil: plain
}

func (s *sink) smtp(port string) endpoint {
	e := endpoint{addr: s.Addr[port]}
	if port == smtpTLS {
		e.tls = s.tlsConfig()
	}
	return e
}

func (e endpoint) dial() (net.Conn, error) {
	if e.tls != nil {
		return tls.Dial("tcp", e.addr, e.tls)
	}
	return net.Dial("tcp", e.addr)
}

// closers closes what a contender has opened.
type closers []func()

func (c closers) close() {
	for _, f := range c {
		f()
	}
}

// kept is a configuration whose connections are never replaced.
func (e endpoint) kept(conns int) smtpclient.Config {
	cfg := smtpclient.Config{Addr: e.addr, TLS: smtpclient.TLSNone, MaxConns: conns,
		MaxMessagesPerConn: -1, MaxConnLifetime: -1, MaxConnIdleTime: -1}
	if e.tls != nil {
		cfg.TLS, cfg.TLSConfig = smtpclient.TLSWrapper, e.tls
	}
	return cfg
}

// smtpClient sends with a pool as cfg says.
func smtpClient(name string, cfg func(conns int) smtpclient.Config, msg []byte, to ...string) contender {
	return contender{name, func(workers int) (func(int) error, func(), error) {
		client, err := smtpclient.New(cfg(workers))
		if err != nil {
			return nil, nil, err
		}
		readers := make([]bytes.Reader, workers)
		return func(w int) error {
			readers[w].Reset(msg)
			_, err := client.Send(context.Background(), sender, to, &readers[w])
			return err
		}, func() { client.Close() }, nil
	}}
}

// netSMTP is a loop over net/smtp's Client on kept connections, as one writes
// it by hand.
func netSMTP(e endpoint, msg []byte) contender {
	return contender{"net/smtp", func(workers int) (func(int) error, func(), error) {
		clients, all := make([]*smtp.Client, workers), closers{}
		for i := range clients {
			conn, err := e.dial()
			if err != nil {
				return nil, nil, err
			}
			if clients[i], err = smtp.NewClient(conn, "127.0.0.1"); err != nil {
				return nil, nil, err
			}
			all = append(all, func() { clients[i].Close() })
		}
		return func(w int) error { return netSMTPSend(clients[w], msg) }, all.close, nil
	}}
}

func netSMTPSend(c *smtp.Client, msg []byte) error {
	if err := c.Mail(sender); err != nil {
		return err
	}
	if err := c.Rcpt(recipient); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(msg); err != nil {
		return err
	}
	return w.Close()
}

// bare is the limit: the dialogue with nothing around it. The message is in the
// form of the wire already, a reply is one line, and nothing is checked but the
// first digit.
func bare(e endpoint, msg []byte) contender {
	wire := append(bytes.Clone(msg), ".\r\n"...)
	steps := [][]byte{
		[]byte("MAIL FROM:<" + sender + "> BODY=8BITMIME\r\n"),
		[]byte("RCPT TO:<" + recipient + ">\r\n"),
		[]byte("DATA\r\n"),
		wire,
	}
	return contender{"bare dialogue", func(workers int) (func(int) error, func(), error) {
		list, all := make([]*dialogue, workers), closers{}
		for i := range list {
			d, err := e.dialogue()
			if err != nil {
				return nil, nil, err
			}
			list[i], all = d, append(all, func() { d.conn.Close() })
		}
		return func(w int) error { return list[w].all(steps) }, all.close, nil
	}}
}

type dialogue struct {
	conn net.Conn
	r    *bufio.Reader
}

// dialogue connects and says EHLO.
func (e endpoint) dialogue() (*dialogue, error) {
	conn, err := e.dial()
	if err != nil {
		return nil, err
	}
	d := &dialogue{conn, bufio.NewReader(conn)}
	if _, err := d.r.ReadSlice('\n'); err != nil {
		return nil, err
	}
	return d, d.step([]byte("EHLO localhost\r\n"))
}

func (d *dialogue) all(steps [][]byte) error {
	for _, p := range steps {
		if err := d.step(p); err != nil {
			return err
		}
	}
	return nil
}

func (d *dialogue) step(p []byte) error {
	if _, err := d.conn.Write(p); err != nil {
		return err
	}
	for {
		line, err := d.r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if line[0] != '2' && line[0] != '3' {
			return fmt.Errorf("unexpected reply %q", line)
		}
		if line[3] == ' ' {
			return nil
		}
	}
}

// rawTargets are the least rate and the most CPU time beside net/smtp.
type rawTargets struct{ rate, cpu float64 }

// rawSMTP compares sends of ready messages.
func rawSMTP(b *bench) error {
	for _, row := range []struct {
		name       string
		size       int
		conns      []int
		plain, tls rawTargets
	}{
		{"2 KB raw", 2 << 10, []int{1, 4, 16}, rawTargets{1.1, 0.9}, rawTargets{1.1, 0.9}},
		{"100 KB raw", 100 << 10, []int{1}, rawTargets{4, 0.25}, rawTargets{2.5, 0.25}},
		{"10 MB raw", 10 << 20, []int{1}, rawTargets{8, 0.15}, rawTargets{3, 0.15}},
	} {
		for _, port := range []string{smtpPlain, smtpTLS} {
			for _, conns := range row.conns {
				want, how := row.plain, "plain"
				if port == smtpTLS {
					want, how = row.tls, "TLS"
				}
				what := fmt.Sprintf("%s, %s, %d kept", row.name, how, conns)
				if err := b.raw(what, b.sink.smtp(port), rawMessage(row.size), conns, want); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (b *bench) raw(what string, e endpoint, msg []byte, conns int, want rawTargets) error {
	ours := smtpClient("sesguard", e.kept, msg, recipient)
	all, err := compare(conns, b.rounds, b.each, ours, netSMTP(e, msg), bare(e, msg))
	if err != nil {
		return err
	}
	us, std, limit := all[0], all[1], all[2]
	b.table.add(
		line{what, std.name, us.rate(), std.rate(), []result{
			atLeast("rate", ratio(us, std, sample.rate), want.rate).beside(ratio(limit, std, sample.rate)),
			atMost("CPU", ratio(us, std, sample.cpuEach), want.cpu).beside(ratio(limit, std, sample.cpuEach)),
			// In TLS a read of a record allocates once, for everybody.
			atMost("allocations beyond bare", us.median(sample.allocsEach)-limit.median(sample.allocsEach), 4).as("%.1f"),
		}},
		line{what, limit.name, us.rate(), limit.rate(), []result{
			atLeast("rate", ratio(us, limit, sample.rate), 0.9),
			{name: "CPU", value: ratio(us, limit, sample.cpuEach), format: "%.2f"},
			{name: "its allocations", value: limit.median(sample.allocsEach), format: "%.1f"},
		}},
	)
	return nil
}

func (r *running) rate() string { return fmt.Sprintf("%.0f/s", r.median(sample.rate)) }
