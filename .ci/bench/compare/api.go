package compare

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	sestypes "github.com/aws/aws-sdk-go-v2/service/sesv2/types"

	"github.com/sesguard/sesguard-go/.ci/bench/table"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/sesapi"
)

// sdk is the SES v2 client with its default HTTP client, which trusts the sink.
func (s *sink) sdk(port string) *sesv2.Client {
	return sesv2.New(sesv2.Options{
		Region:       "us-east-1",
		BaseEndpoint: aws.String("https://" + s.Addr[port]),
		HTTPClient: awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
			t.TLSClientConfig = s.tlsConfig()
		}),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "not looked at"}, nil
		}),
	})
}

func bareInput(msg []byte) *sesv2.SendEmailInput {
	return &sesv2.SendEmailInput{
		FromEmailAddress: aws.String(sender),
		Destination:      &sestypes.Destination{ToAddresses: []string{recipient}},
		Content:          &sestypes.EmailContent{Raw: &sestypes.RawMessage{Data: msg}},
	}
}

// deadline is what a program gives each mail.
const deadline = time.Minute

func sendBare(client *sesv2.Client, in *sesv2.SendEmailInput) error {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	_, err := client.SendEmail(ctx, in)
	return err
}

// sendGuarded sends through the whole of sesguard.
func sendGuarded(client *sesguard.Client, msg []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	_, err := client.Send(ctx, &sesguard.Message{From: sender, To: []string{recipient}, Raw: bytes.NewReader(msg)})
	return err
}

// bareAPI sends with the SDK alone.
func (b *bench) bareAPI(port string, msg []byte) contender {
	return contender{"bare sesv2", func(int) (func(int) error, func(), error) {
		client := b.sink.sdk(port)
		return func(int) error { return sendBare(client, bareInput(msg)) }, func() {}, nil
	}}
}

// guardedAPI sends with the whole of sesguard.
func (b *bench) guardedAPI(port string, msg []byte) contender {
	return contender{"sesguard", func(int) (func(int) error, func(), error) {
		client := b.client(port)
		return func(int) error { return sendGuarded(client, msg) }, func() {}, nil
	}}
}

func (b *bench) client(port string) *sesguard.Client {
	return sesguard.New(sesapi.New(b.sink.sdk(port), sesapi.Config{}), sesguard.Options{})
}

// apiSteady compares single sends, one after the other on each worker.
func apiSteady(b *bench) error {
	msg := rawMessage(2 << 10)
	for _, row := range []struct {
		senders int
		rate    float64
	}{{1, 1}, {16, 1.1}, {64, 2.5}} {
		all, err := compare(row.senders, b.rounds, 2*b.each, b.guardedAPI(apiTLS, msg), b.bareAPI(apiTLS, msg))
		if err != nil {
			return err
		}
		us, std := all[0], all[1]
		b.table.Add(table.Row(fmt.Sprintf("API, 2 KB, TLS, %d senders", row.senders), std.name, us.rate(), std.rate(), []table.Result{
			table.AtLeast("rate", ratio(us, std, sample.rate), row.rate),
			{Name: "CPU", Value: ratio(us, std, sample.cpuEach), Format: "%.2f"},
			{Name: "allocations on top", Value: us.median(sample.allocsEach) - std.median(sample.allocsEach), Format: "%.0f"},
		}))
	}
	return nil
}

// apiLarge compares messages of 10 MB.
func apiLarge(b *bench) error {
	msg := rawMessage(10 << 20)
	for _, row := range []struct {
		senders int
		rate    float64
	}{{1, 1}, {8, 1.15}} {
		all, err := compare(row.senders, b.rounds, 2*b.each, b.guardedAPI(apiTLS, msg), b.bareAPI(apiTLS, msg))
		if err != nil {
			return err
		}
		us, std := all[0], all[1]
		b.table.Add(table.Row(fmt.Sprintf("API, 10 MB, TLS, %d senders", row.senders), std.name, us.rate(), std.rate(), []table.Result{
			table.AtLeast("rate", ratio(us, std, sample.rate), row.rate),
			{Name: "CPU", Value: ratio(us, std, sample.cpuEach), Format: "%.2f"},
			table.AtMost("KB allocated", us.median(sample.bytesEach)/1024, 256).As("%.0f"),
			{Name: "its KB", Value: std.median(sample.bytesEach) / 1024, Format: "%.0f"},
		}))
	}
	client, std := b.client(apiTLS), b.sink.sdk(apiTLS)
	ours, err := peakOfEight(func() error { return sendGuarded(client, msg) })
	if err != nil {
		return err
	}
	theirs, err := peakOfEight(func() error { return sendBare(std, bareInput(msg)) })
	if err != nil {
		return err
	}
	b.table.Add(table.Row("API, 10 MB, 8 senders, peak heap", "bare sesv2", fmt.Sprintf("%.0f MB", ours/1e6), fmt.Sprintf("%.0f MB", theirs/1e6), []table.Result{
		table.AtMost("MB beyond the octets", ours/1e6, 32).As("%.0f"),
	}))
	return nil
}

// peakOfEight is the most heap in use while eight goroutines send, twice each:
// the first time sets up.
func peakOfEight(send func() error) (float64, error) {
	r := running{workers: 8, send: func(int) error { return send() }}
	if _, err := r.each(); err != nil {
		return 0, err
	}
	return peak(func() error { _, err := r.each(); return err })
}

// apiBursts compares bursts of 64 senders, each of which ends before the next
// begins. The first opens the connections and counts for the dials only.
func apiBursts(b *bench) error {
	msg := rawMessage(2 << 10)
	var ours, theirs []burst
	for range b.rounds {
		client := b.client(apiTLSDelayed)
		mine, err := b.burst(func() error { return sendGuarded(client, msg) })
		if err != nil {
			return err
		}
		std := b.sink.sdk(apiTLSDelayed)
		other, err := b.burst(func() error { return sendBare(std, bareInput(msg)) })
		if err != nil {
			return err
		}
		ours, theirs = append(ours, mine), append(theirs, other)
	}
	per := func(f func(burst) float64) float64 {
		var list []float64
		for i := range ours {
			list = append(list, f(ours[i])/f(theirs[i]))
		}
		return middle(list)
	}
	dials := func(list []burst) float64 {
		var n []float64
		for _, s := range list {
			n = append(n, float64(s.dials))
		}
		return middle(n)
	}
	rate := func(s burst) float64 { return s.sample.rate() }
	p99 := func(s burst) float64 { return s.sample.p(0.99) }
	b.table.Add(table.Row("API, bursts of 64, RTT "+b.rtt.String()+", TLS", "bare sesv2", ours[0].String(), theirs[0].String(), []table.Result{
		table.AtLeast("rate", per(rate), 1.8),
		{Name: "p99", Value: per(p99), Format: "%.2f"},
		table.AtMost("dials", dials(ours), burstSenders).As("%.0f"),
		{Name: "its dials", Value: dials(theirs), Format: "%.0f"},
	}))
	return nil
}

const (
	burstSenders = 64
	bursts       = 5
)

type burst struct {
	sample
	dials int64
}

func (b *bench) burst(send func() error) (burst, error) {
	before, err := b.sink.dials(apiTLSDelayed)
	if err != nil {
		return burst{}, err
	}
	r := running{workers: burstSenders, send: func(int) error { return send() }}
	var all burst
	for i := range bursts + 1 {
		s, err := r.each()
		if err != nil {
			return burst{}, err
		}
		if i > 0 {
			all.n, all.elapsed, all.took = all.n+s.n, all.elapsed+s.elapsed, append(all.took, s.took...)
		}
	}
	slices.Sort(all.took)
	after, err := b.sink.dials(apiTLSDelayed)
	all.dials = after - before
	return all, err
}

// each has every worker send once.
func (r *running) each() (sample, error) {
	start := time.Now()
	took, err := r.sendAll(start)
	s := sample{elapsed: time.Since(start), took: slices.Concat(took...)}
	s.n = int64(len(s.took))
	return s, err
}
