package main

import (
	"fmt"
	"time"

	"github.com/sesguard/sesguard-go/smtpclient"
)

// roundTripsEach is how many round trips one message takes.
func (b *bench) roundTripsEach(r *running) func(sample) float64 {
	return func(s sample) float64 {
		return float64(s.elapsed) * float64(r.workers) / float64(s.n) / float64(b.rtt)
	}
}

// roundTrips compares with the theory: MAIL, each RCPT, DATA and the message
// are one round trip each. The long run signs in over STARTTLS and replaces its
// connections as the default settings say; it is held against the bare dialogue,
// which pays what a round trip takes here beyond the delay of the link.
func roundTrips(b *bench) error {
	e, msg := b.sink.smtp(smtpDelayed), rawMessage(2<<10)
	all, err := compare(4, b.rounds, 2*b.each, smtpClient("theory", e.kept, msg, recipient), bare(e, msg))
	if err != nil {
		return err
	}
	b.table.add(line{"RTT " + b.rtt.String() + ", 1 recipient, kept", "theory: 4", all[0].rate(), all[1].rate(), []result{
		atMost("round trips", all[0].median(b.roundTripsEach(all[0])), 4*1.03),
		{name: "bare dialogue", value: all[1].median(b.roundTripsEach(all[1])), format: "%.2f"},
	}})
	const conns = 16
	long := smtpClient("sesguard", func(n int) smtpclient.Config {
		return smtpclient.Config{Addr: e.addr, TLS: smtpclient.TLSStartTLS, TLSConfig: b.sink.tlsConfig(), MaxConns: n,
			Username: "AKIAIOSFODNN7EXAMPLE", Password: "not looked at"}
	}, msg, recipient)
	us, err := steady(long, conns, 200*4*b.rtt) // each connection is replaced twice
	if err != nil {
		return err
	}
	trips := us.median(b.roundTripsEach(us))
	b.table.add(line{"the same, STARTTLS, AUTH, recycling", "bare dialogue, kept", us.rate(), "", []result{
		{name: "round trips", value: trips, format: "%.2f"},
		atMost("beside it", trips/all[1].median(b.roundTripsEach(all[1])), 1.03).as("%.3f"),
	}})
	return nil
}

// steady runs a contender for one round after its connections are open.
func steady(c contender, workers int, d time.Duration) (*running, error) {
	send, closer, err := c.open(workers)
	if err != nil {
		return nil, err
	}
	defer closer()
	r := &running{contender: c, workers: workers, send: send}
	if _, err := r.run(0); err != nil {
		return nil, err
	}
	s, err := r.run(d)
	r.samples = append(r.samples, s)
	return r, err
}

// scale shows that throughput grows with the connections.
func scale(b *bench) error {
	e, msg := b.sink.smtp(smtpDelayed), rawMessage(2<<10)
	var one float64
	for _, conns := range []int{1, 2, 4, 8, 16, 32, 64} {
		all, err := compare(conns, 1, 3*b.each, smtpClient("one connection", e.kept, msg, recipient))
		if err != nil {
			return err
		}
		rate := all[0].median(sample.rate)
		if conns == 1 {
			one = rate
		}
		b.table.add(line{fmt.Sprintf("RTT %v, %d connections", b.rtt, conns), "one connection", all[0].rate(), fmt.Sprintf("%.0f/s", one), []result{
			{name: "rate", value: rate / one, format: "%.1f"},
		}})
	}
	return nil
}
