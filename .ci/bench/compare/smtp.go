package compare

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/smtp"
	"strings"

	"github.com/sesguard/sesguard-go/.ci/bench/table"
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
	if port != smtpPlain {
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

// rawSMTP compares sends of ready messages over TLS.
func rawSMTP(b *bench) error {
	for _, row := range []struct {
		name      string
		size      int
		conns     []int
		rate, cpu float64
	}{
		{"2 KB raw", 2 << 10, []int{4, 16}, 1, 1},
		{"100 KB raw", 100 << 10, []int{1, 4}, 3, 0.3},
		{"10 MB raw", 10 << 20, []int{1, 4}, 3, 0.3},
	} {
		for _, conns := range row.conns {
			what := fmt.Sprintf("%s, TLS, %d kept", row.name, conns)
			if err := b.raw(what, b.sink.smtp(smtpTLS), rawMessage(row.size), conns, row.rate, row.cpu); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) raw(what string, e endpoint, msg []byte, conns int, rate, cpu float64) error {
	ours := smtpClient("sesguard", e.kept, msg, recipient)
	all, err := compare(conns, b.rounds, b.each, ours, netSMTP(e, msg), bare(e, msg))
	if err != nil {
		return err
	}
	us, std, limit := all[0], all[1], all[2]
	b.table.Add(
		table.Row(what, std.name, us.rate(), std.rate(), []table.Result{
			table.AtLeast("rate", ratio(us, std, sample.rate), rate).Beside(ratio(limit, std, sample.rate)),
			table.AtMost("CPU", ratio(us, std, sample.cpuEach), cpu).Beside(ratio(limit, std, sample.cpuEach)),
			{Name: "allocations", Value: us.median(sample.allocsEach), Format: "%.1f"},
			{Name: "its allocations", Value: std.median(sample.allocsEach), Format: "%.1f"},
		}),
	)
	return nil
}

// waiters compares the pool under many senders with a Go channel of as many
// clients that have one connection each.
func waiters(b *bench) error {
	e, msg := b.sink.smtp(smtpTLS), rawMessage(2<<10)
	for _, row := range []struct{ senders, conns int }{{64, 4}, {64, 10}, {512, 4}, {512, 10}} {
		pool := smtpClient("sesguard", func(int) smtpclient.Config { return e.kept(row.conns) }, msg, recipient)
		all, err := compare(row.senders, b.rounds, b.each, pool, channel(e, row.conns, msg))
		if err != nil {
			return err
		}
		us, them := all[0], all[1]
		what := fmt.Sprintf("%d senders on %d connections, TLS", row.senders, row.conns)
		b.table.Add(table.Row(what, them.name, us.rate(), them.rate(), []table.Result{
			table.AtLeast("rate", ratio(us, them, sample.rate), 0.95),
			{Name: "CPU", Value: ratio(us, them, sample.cpuEach), Format: "%.2f"},
			table.AtMost("allocations for a wait", us.median(sample.allocsEach)-them.median(sample.allocsEach), 2).As("%.1f"),
		}))
	}
	return nil
}

// channel is a pool as one writes it by hand.
func channel(e endpoint, conns int, msg []byte) contender {
	return contender{"Go channel", func(workers int) (func(int) error, func(), error) {
		free, all := make(chan *smtpclient.Client, conns), closers{}
		for range conns {
			c, err := smtpclient.New(e.kept(1))
			if err != nil {
				return nil, nil, err
			}
			free <- c
			all = append(all, func() { c.Close() })
		}
		readers := make([]bytes.Reader, workers)
		return func(w int) error {
			readers[w].Reset(msg)
			c := <-free
			_, err := c.Send(context.Background(), sender, []string{recipient}, &readers[w])
			free <- c
			return err
		}, all.close, nil
	}}
}

func (r *running) rate() string { return fmt.Sprintf("%.0f/s", r.median(sample.rate)) }
