package compare

import (
	"fmt"

	"github.com/sesguard/sesguard-go/.ci/bench/table"
)

// roundTrips compares with the bare dialogue, which pays what a round trip takes
// here: MAIL, RCPT, DATA and the message are one each. Throughput must grow with
// the connections.
func roundTrips(b *bench) error {
	e, msg := b.sink.smtp(smtpTLSDelayed), rawMessage(2<<10)
	var one float64
	for _, conns := range []int{1, 4, 16, 64} {
		all, err := compare(conns, b.rounds, 3*b.each, smtpClient("sesguard", e.kept, msg, recipient), bare(e, msg))
		if err != nil {
			return err
		}
		us, limit := all[0], all[1]
		rate := us.median(sample.rate)
		if conns == 1 {
			one = rate
		}
		b.table.Add(table.Row(fmt.Sprintf("2 KB, TLS, RTT %v, %d kept", b.rtt, conns), limit.name, us.rate(), limit.rate(), []table.Result{
			table.AtLeast("rate", ratio(us, limit, sample.rate), 0.98),
			table.AtLeast("per connection", rate/one/float64(conns), 0.95),
			{Name: "round trips", Value: us.median(b.roundTripsEach(us)), Format: "%.2f"},
		}))
	}
	return nil
}

// roundTripsEach is how many round trips one message takes.
func (b *bench) roundTripsEach(r *running) func(sample) float64 {
	return func(s sample) float64 {
		return float64(s.elapsed) * float64(r.workers) / float64(s.n) / float64(b.rtt)
	}
}
