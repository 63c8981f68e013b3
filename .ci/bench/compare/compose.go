package compare

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/wneessen/go-mail"

	"github.com/sesguard/sesguard-go/.ci/bench/table"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/smtpclient"
)

// A letter is what both libraries compose anew for each send.
type letter struct {
	subject, text, html string
	file                []byte
}

func smallLetter() letter {
	words := strings.Repeat("The quick brown fox jumps over the lazy dog, and nobody minds. ", 15)
	return letter{subject: "Your order has left our house", text: words, html: "<p>" + words + "</p>"}
}

func bigLetter() letter {
	l := smallLetter()
	l.file = bytes.Repeat([]byte("0123456789abcdef"), 10<<20/16)
	return l
}

// composeSMTP compares composing and sending over kept connections.
func composeSMTP(b *bench) error {
	e := b.sink.smtp(smtpPlain) // over TLS each record that is read allocates, for everybody
	for _, conns := range []int{1, 4} {
		if err := b.composeSmall(e, conns); err != nil {
			return err
		}
	}
	big := bigLetter()
	all, err := compare(1, b.rounds, b.each, guarded(e, big), goMail("go-mail", e, big))
	if err != nil {
		return err
	}
	us, them := all[0], all[1]
	b.table.Add(table.Row("compose and send 10 MB file", them.name, us.rate(), them.rate(), []table.Result{
		table.AtLeast("rate", ratio(us, them, sample.rate), 3),
		{Name: "CPU", Value: ratio(us, them, sample.cpuEach), Format: "%.2f"},
		table.AtMost("bytes allocated", ratio(us, them, sample.bytesEach), 0.05).As("%.4f"),
		{Name: "its MB allocated", Value: them.median(sample.bytesEach) / 1e6, Format: "%.1f"},
	}))
	return nil
}

func (b *bench) composeSmall(e endpoint, conns int) error {
	small := smallLetter()
	var ready bytes.Buffer
	if _, err := small.sesguard().WriteTo(&ready); err != nil {
		return err
	}
	all, err := compare(conns, b.rounds, b.each, guarded(e, small), goMail("go-mail", e, small),
		goMail("go-mail, no NOOP, no RSET", e, small, mail.WithoutNoop(), mail.WithoutRset()),
		bare(e, ready.Bytes()))
	if err != nil {
		return err
	}
	what := fmt.Sprintf("compose text+HTML, %d kept", conns)
	us, them, lean, limit := all[0], all[1], all[2], all[3]
	b.table.Add(table.Row(what, them.name, us.rate(), them.rate(), []table.Result{
		table.AtLeast("rate", ratio(us, them, sample.rate), 1.5).Beside(ratio(limit, them, sample.rate)),
		table.AtMost("CPU", ratio(us, them, sample.cpuEach), 0.6),
		table.AtMost("allocations", us.median(sample.allocsEach), 30).As("%.0f"),
		{Name: "its allocations", Value: them.median(sample.allocsEach), Format: "%.0f"},
	}), table.Row(what, lean.name, us.rate(), lean.rate(), []table.Result{
		{Name: "rate", Value: ratio(us, lean, sample.rate), Format: "%.2f"},
		{Name: "CPU", Value: ratio(us, lean, sample.cpuEach), Format: "%.2f"},
	}), table.Row(what, limit.name+", composed before", us.rate(), limit.rate(), []table.Result{
		{Name: "rate", Value: ratio(us, limit, sample.rate), Format: "%.2f"},
		{Name: "CPU", Value: ratio(us, limit, sample.cpuEach), Format: "%.2f"},
	}))
	return nil
}

// guarded is the whole of sesguard: guard, validation, composition, pool.
func guarded(e endpoint, l letter) contender {
	return contender{"sesguard", func(workers int) (func(int) error, func(), error) {
		pool, err := smtpclient.New(e.kept(workers))
		if err != nil {
			return nil, nil, err
		}
		client := sesguard.New(sesguard.SMTP(pool), sesguard.Options{})
		return func(int) error {
			_, err := client.Send(context.Background(), l.sesguard())
			return err
		}, func() { pool.Close() }, nil
	}}
}

// goMail keeps connections, one in each of its clients.
func goMail(name string, e endpoint, l letter, opts ...mail.Option) contender {
	return contender{name, func(workers int) (func(int) error, func(), error) {
		clients, all := make([]*mail.Client, workers), closers{}
		for i := range clients {
			client, err := goMailClient(e, opts)
			if err != nil {
				return nil, nil, err
			}
			clients[i], all = client, append(all, func() { client.Close() })
		}
		return func(w int) error {
			m, err := l.goMail()
			if err != nil {
				return err
			}
			return clients[w].Send(m)
		}, all.close, nil
	}}
}

func goMailClient(e endpoint, opts []mail.Option) (*mail.Client, error) {
	host, port, err := hostPort(e.addr)
	if err != nil {
		return nil, err
	}
	opts = append(slices.Clip(opts), mail.WithPort(port))
	if e.tls == nil {
		opts = append(opts, mail.WithTLSPolicy(mail.NoTLS))
	} else {
		opts = append(opts, mail.WithSSL(), mail.WithTLSConfig(e.tls))
	}
	client, err := mail.NewClient(host, opts...)
	if err != nil {
		return nil, err
	}
	return client, client.DialWithContext(context.Background())
}

func (l letter) sesguard() *sesguard.Message {
	m := &sesguard.Message{From: sender, To: []string{recipient}, Subject: l.subject, Text: l.text, HTML: l.html}
	if l.file != nil {
		m.Attachments = []sesguard.Attachment{{Name: "file.bin", Content: l.file}}
	}
	return m
}

func (l letter) goMail() (*mail.Msg, error) {
	m := mail.NewMsg()
	if err := m.From(sender); err != nil {
		return nil, err
	}
	if err := m.To(recipient); err != nil {
		return nil, err
	}
	m.Subject(l.subject)
	m.SetBodyString(mail.TypeTextPlain, l.text)
	m.AddAlternativeString(mail.TypeTextHTML, l.html)
	if l.file != nil {
		m.AttachReadSeeker("file.bin", bytes.NewReader(l.file))
	}
	return m, nil
}

func hostPort(addr string) (string, int, error) {
	host, p, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err
	}
	port, err := strconv.Atoi(p)
	if err != nil {
		return "", 0, fmt.Errorf("port %q: %w", p, err)
	}
	return host, port, nil
}
