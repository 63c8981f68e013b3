package main

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

	"github.com/sesguard/sesguard-go/sesguard"
)

// sdk is the SES v2 client; httpClient nil is its default.
func (s *sink) sdk(port string, httpClient aws.HTTPClient) *sesv2.Client {
	scheme := "http://"
	if port == apiTLSDelayed {
		scheme = "https://"
	}
	return sesv2.New(sesv2.Options{
		Region:       "us-east-1",
		BaseEndpoint: aws.String(scheme + s.Addr[port]),
		HTTPClient:   httpClient,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "not looked at"}, nil
		}),
	})
}

// defaultHTTP is the SDK's default HTTP client that trusts the sink.
func (s *sink) defaultHTTP() aws.HTTPClient {
	return awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) { t.TLSClientConfig = s.tlsConfig() })
}

// guardHTTP is sesguard's HTTP client that trusts the sink.
func (s *sink) guardHTTP(conns int) *http.Client {
	c := sesguard.HTTPClient(conns)
	c.Transport.(*http.Transport).TLSClientConfig = s.tlsConfig()
	return c
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

// apiSteady compares single sends, one after the other on each worker.
func apiSteady(b *bench) error {
	msg := rawMessage(2 << 10)
	plain := func(name string, httpClient func(n int) aws.HTTPClient) contender {
		return contender{name, func(n int) (func(int) error, func(), error) {
			client := b.sink.sdk(apiPlain, httpClient(n))
			return func(int) error { return sendBare(client, bareInput(msg)) }, func() {}, nil
		}}
	}
	ours := contender{"sesguard", func(n int) (func(int) error, func(), error) {
		client := sesguard.New(sesguard.API(b.sink.sdk(apiPlain, b.sink.guardHTTP(n))), sesguard.Options{})
		return func(int) error { return sendGuarded(client, msg) }, func() {}, nil
	}}
	for _, n := range []int{1, 16, 64} {
		all, err := compare(n, b.rounds, b.each, ours,
			plain("bare sesv2", func(int) aws.HTTPClient { return nil }),
			plain("sesv2, same HTTP client", func(n int) aws.HTTPClient { return b.sink.guardHTTP(n) }))
		if err != nil {
			return err
		}
		us, std, same := all[0], all[1], all[2]
		what := fmt.Sprintf("API, 2 KB, steady, %d senders", n)
		b.table.add(line{what, std.name, us.rate(), std.rate(), []result{
			atLeast("rate", ratio(us, std, sample.rate), 1),
			{name: "CPU", value: ratio(us, std, sample.cpuEach), format: "%.2f"},
		}}, line{what, same.name, us.rate(), same.rate(), []result{
			atMost("CPU", ratio(us, same, sample.cpuEach), 1.03),
			atMost("allocations on top", us.median(sample.allocsEach)-same.median(sample.allocsEach), 25).as("%.0f"),
		}})
	}
	return nil
}

// apiBursts compares bursts of 64 senders, each of which ends before the next
// begins. The first opens the connections and counts for the dials only.
func apiBursts(b *bench) error {
	msg := rawMessage(2 << 10)
	var ours, theirs []burst
	for range b.rounds {
		client := sesguard.New(sesguard.API(b.sink.sdk(apiTLSDelayed, b.sink.guardHTTP(burstSenders))), sesguard.Options{})
		mine, err := b.burst(func() error { return sendGuarded(client, msg) })
		if err != nil {
			return err
		}
		std := b.sink.sdk(apiTLSDelayed, b.sink.defaultHTTP())
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
	b.table.add(line{"API, bursts of 64, RTT " + b.rtt.String() + ", TLS", "bare sesv2", ours[0].String(), theirs[0].String(), []result{
		atLeast("rate", per(rate), 1.25),
		atMost("p99", per(p99), 0.5),
		atMost("dials", dials(ours), burstSenders).as("%.0f"),
		{name: "its dials", value: dials(theirs), format: "%.0f"},
	}})
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

// apiMemory measures the most memory that one message of 10 MB needs.
func apiMemory(b *bench) error {
	const size = 10 << 20
	msg := rawMessage(size)
	httpClient := b.sink.guardHTTP(1)
	client := sesguard.New(sesguard.API(b.sink.sdk(apiPlain, httpClient)), sesguard.Options{})
	std := b.sink.sdk(apiPlain, nil)
	ours, err := peak(func() error { return sendGuarded(client, msg) })
	if err != nil {
		return err
	}
	theirs, err := peak(func() error { return sendBare(std, bareInput(msg)) })
	if err != nil {
		return err
	}
	b.table.add(line{"API, 10 MB raw message, peak memory", "its octets", fmt.Sprintf("%.0f MB", ours/1e6), fmt.Sprintf("bare sesv2: %.0f MB", theirs/1e6), []result{
		atMost("times the message", ours/size, 4),
	}})
	return nil
}
