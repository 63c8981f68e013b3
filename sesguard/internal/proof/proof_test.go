package proof_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/smtp"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/aws-sdk-go-v2/service/sesv2/types"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/sesapi"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
	"github.com/sesguard/sesguard-go/smtpclient"
)

var (
	proofScripts = flag.Int("proof.scripts", 1000, "fault scripts that TestProof runs")
	proofSeed    = flag.Uint64("proof.seed", 0, "seed of the first script; 0: any")
)

// The promises, one assertion each. A broken transport below shows that each
// of them can fail.
const (
	promiseOnce    = "1. Send returned nil, so SES has the message, whole and unchanged, exactly once"
	promiseWhole   = "1. what SES has of a message is whole and unchanged, for its recipients"
	promiseNone    = "2. Send returned an error without MaybeAccepted, so SES does not have the message"
	promiseDoubt   = "3. the message is in doubt, so it was not sent again"
	alsoCause      = "doubt needs a cause: the end of the message was written"
	alsoClass      = "exactly one of MaybeAccepted, Canceled, IsRetryable, IsFatal"
	alsoSecrets    = "no secret and no content in an error"
	alsoReceipt    = "the receipt names the message that SES has"
	alsoEverything = "SES has nothing that nobody sent"
	alsoLeft       = "no connection is left open"
	alsoTracked    = "receipt, error and SES name the same id of the message"
	alsoAttempts   = "the hooks were told of each attempt"
	alsoShutdown   = "after Shutdown nothing is under way"
)

// A violation is a promise that was not kept.
type violation struct{ promise, detail string }

func (v violation) String() string { return v.promise + ": " + v.detail }

// TestProof runs random fault scripts over both transports in fake time and
// compares what Send said with what SES has. Script n has the seed
// -proof.seed+n; to run one again, give its seed and -proof.scripts=1.
func TestProof(t *testing.T) {
	first := *proofSeed
	if first == 0 {
		first = rand.Uint64() >> 16
	}
	t.Logf("seeds %d to %d", first, first+uint64(*proofScripts)-1)
	var next atomic.Uint64
	var tally tally
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				n := next.Add(1) - 1
				if n >= uint64(*proofScripts) || t.Failed() {
					return
				}
				s := newScenario(t, first+n)
				for _, v := range s.run(t, ours, &tally) {
					t.Errorf("%v\n%v\nreplay: go test ./sesguard/internal/proof -run '^TestProof$' -proof.seed=%d -proof.scripts=1", v, s, s.seed)
				}
			}
		})
	}
	wg.Wait()
	t.Log(tally.String())
	if *proofScripts >= 1000 {
		tally.check(t)
	}
}

// A tally shows that the scripts reach what they are meant to reach.
type tally struct {
	accepted, refused, doubted, canceled, duplicates, retried atomic.Int64
	foreign                                                   atomic.Int64 // attempts that failed after acceptance, with an error that is not ours
	server                                                    atomic.Int64 // faults that struck
	wire                                                      [wireKinds]atomic.Int64
}

func (c *tally) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "accepted %d, of them after retries %d and maybe doubled by choice %d; refused %d, in doubt %d, canceled %d; receipts not stored %d; faults of the server %d, of the network",
		c.accepted.Load(), c.retried.Load(), c.duplicates.Load(), c.refused.Load(), c.doubted.Load(), c.canceled.Load(), c.foreign.Load(), c.server.Load())
	for k := wireFine + 1; k < wireKinds; k++ {
		fmt.Fprintf(&b, " %v %d", k, c.wire[k].Load())
	}
	return b.String()
}

func (c *tally) check(t *testing.T) {
	for _, n := range []*atomic.Int64{&c.accepted, &c.refused, &c.doubted, &c.canceled, &c.duplicates, &c.retried, &c.foreign, &c.server} {
		if n.Load() == 0 {
			t.Error("something never came: ", c)
		}
	}
	for k := wireFine + 1; k < wireKinds; k++ {
		if c.wire[k].Load() == 0 {
			t.Error("something never came: ", c)
		}
	}
}

func (c *tally) add(w *world, outcomes []outcome) {
	for _, o := range outcomes {
		c.count(o)
	}
	c.server.Add(int64(len(w.faults) - w.srv.FaultsLeft()))
	for _, f := range w.network.conns {
		if f.struck {
			c.wire[f.kind].Add(1)
		}
	}
}

// An outcome is what Send said of a letter.
type outcome struct {
	receipt  *sesguard.Receipt
	err      error
	attempts []error // as the hooks were told
}

type outcomeKey struct{}

// hooks keep the outcome of the send that the context belongs to.
var hooks = sesguard.Hooks{
	AttemptDone: func(ctx context.Context, a sesguard.Attempt) {
		o := ctx.Value(outcomeKey{}).(*outcome)
		var err error
		if a.Err != nil {
			err = a.Err
		}
		o.attempts = append(o.attempts, err)
	},
	SendDone: func(ctx context.Context, r *sesguard.Receipt, _ error) {
		ctx.Value(outcomeKey{}).(*outcome).receipt = r
	},
}

const trackTag = "track"

// A world is a scenario under way.
type world struct {
	*scenario
	srv     *sestest.Server
	network *network
	pool    *smtpclient.Client
	http    *http.Transport // of the user's own HTTP client, or nil
	client  *sesv2.Client
	guard   *sesguard.Guard
	cancel  context.CancelFunc
	ctx     context.Context
	left    int // connections when all was closed
	undone  sesguard.GuardStats
}

// A buildTransport makes the transport under test. The broken ones are below.
type buildTransport func(w *world) sesguard.Transport

// ours is the transport that users have.
func ours(w *world) sesguard.Transport {
	t := w.bare()
	switch w.layer {
	case layerWrap:
		return wrapped(t)
	case layerStore:
		return stored(t, errNotStored)
	case layerLimited:
		return sesguard.Limited(t, sesguard.NewRateLimiter(14))
	}
	return t
}

func (w *world) bare() sesguard.Transport {
	if w.door.smtp() {
		return sesguard.SMTP(w.pool)
	}
	return sesapi.New(w.client, sesapi.Config{})
}

func wrapped(t sesguard.Transport) sesguard.Transport {
	return sesguard.TransportFunc(func(ctx context.Context, m *sesguard.Mail) (*sesguard.Receipt, error) {
		r, err := t.Attempt(ctx, m)
		if err != nil {
			return nil, fmt.Errorf("middleware: %w", err)
		}
		return r, nil
	})
}

var errNotStored = errors.New("no row was stored")

// stored writes receipts into a database that fails the first time.
func stored(t sesguard.Transport, failure error) sesguard.Transport {
	var failed atomic.Bool
	return sesguard.TransportFunc(func(ctx context.Context, m *sesguard.Mail) (*sesguard.Receipt, error) {
		r, err := t.Attempt(ctx, m)
		if err == nil && !failed.Swap(true) {
			dial := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
			return nil, fmt.Errorf("store the receipt: %w: %w", failure, dial)
		}
		return r, err
	})
}

// run plays the scenario in a bubble and returns the promises that broke.
func (s *scenario) run(t *testing.T, build buildTransport, tally *tally) (broken []violation) {
	synctest.Test(t, func(t *testing.T) {
		w := s.start(t)
		outcomes := w.send(t, build(w))
		w.finish()
		broken = w.judge(outcomes)
		tally.add(w, outcomes)
	})
	return broken
}

func (c *tally) count(o outcome) {
	for _, err := range o.attempts {
		if errors.Is(err, errNotStored) {
			c.foreign.Add(1)
		}
	}
	switch {
	case o.err == nil:
		c.accepted.Add(1)
		if o.receipt.MaybeDuplicate {
			c.duplicates.Add(1)
		} else if o.receipt.Attempts > 1 {
			c.retried.Add(1)
		}
	case seserrors.MaybeAccepted(o.err):
		c.doubted.Add(1)
	case seserrors.Classify(o.err).Class == seserrors.Canceled:
		c.canceled.Add(1)
	default:
		c.refused.Add(1)
	}
}

func (s *scenario) start(t *testing.T) *world {
	w := &world{scenario: s, srv: sestest.NewMemoryServer()}
	w.srv.SetSessionLimit(s.sessionLimit)
	w.srv.SetConnectionLimit(s.connLimit)
	w.srv.SetIdleLimit(s.idleLimit)
	w.srv.SetExtensions(s.extensions...)
	w.srv.Account.SetMaxSendRate(s.rate)
	w.srv.Account.SetMax24HourSend(s.quota)
	w.srv.Script(s.faults...)
	w.ctx, w.cancel = context.WithCancel(t.Context())
	w.network = &network{dial: w.srv.DialContext, faults: s.wire, refuse: s.refuse, latency: s.latency, drip: s.drip, act: w.doAct}
	if s.door.smtp() {
		w.pool = w.newPool(t)
	} else {
		w.client = w.sdk()
	}
	opts := sesguard.Options{Retry: s.policy, Hooks: hooks}
	if s.limiter > 0 {
		opts.Limiter = sesguard.NewRateLimiter(s.limiter)
	}
	if s.tagged {
		opts.TrackTag = trackTag
	}
	w.guard = sesguard.NewGuard(opts)
	return w
}

func (w *world) newPool(t *testing.T) *smtpclient.Client {
	cfg := w.scenario.pool
	cfg.TLSConfig, cfg.DialContext = w.srv.TLSConfig(), w.network.DialContext
	switch w.door {
	case plainSMTP:
		cfg.Addr, cfg.TLS = w.srv.PlainAddr, smtpclient.TLSNone
	case startTLS:
		cfg.Addr = w.srv.SMTPAddr
	case tlsWrapper:
		cfg.Addr = w.srv.SMTPSAddr
	}
	cfg.Username, cfg.Password = w.srv.Username, w.srv.Password
	c, err := smtpclient.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// connect makes t speak to the fake through the network.
func (w *world) connect(t *http.Transport) {
	t.DialContext = w.network.DialContext
	t.MaxConnsPerHost = w.conns
	t.TLSClientConfig = w.srv.TLSConfig()
	if w.door == http2 {
		var p http.Protocols
		p.SetHTTP2(true)
		t.Protocols = &p
		t.TLSClientConfig = &tls.Config{RootCAs: t.TLSClientConfig.RootCAs, NextProtos: []string{"h2"}}
	}
}

// sdk is a client over an HTTP client of the SDK's kind or of the user's own.
func (w *world) sdk() *sesv2.Client {
	var client sesv2.HTTPClient = awshttp.NewBuildableClient().WithTransportOptions(w.connect)
	if w.seed%2 == 0 {
		w.http = &http.Transport{}
		w.connect(w.http)
		client = &http.Client{Transport: w.http, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	return sesv2.New(sesv2.Options{
		Region: w.srv.Region, BaseEndpoint: &w.srv.URL, HTTPClient: client,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: w.srv.AccessKeyID, SecretAccessKey: w.srv.SecretAccessKey}, nil
		}),
	})
}

// doAct is what the program does in the middle of it all.
func (w *world) doAct() {
	switch {
	case w.act == actCancel:
		w.cancel()
	case w.act == actGuard:
		go w.guard.Shutdown(context.Background())
	case w.pool == nil:
	case w.act == actClose:
		go w.pool.Close() // from a goroutine that it would otherwise wait for
	case w.act == actShutdown:
		go w.pool.Shutdown(context.Background())
	}
}

// send sends all letters and returns what was said of each.
func (w *world) send(t *testing.T, transport sesguard.Transport) []outcome {
	if w.actAfter > 0 {
		time.AfterFunc(w.actAfter, w.doAct)
	}
	post := w.poster(t, transport)
	outcomes := make([]outcome, len(w.letters))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range w.senders {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(outcomes) {
					return
				}
				w.sendOne(post, w.letters[i], &outcomes[i])
			}
		})
	}
	wg.Wait()
	return outcomes
}

func (w *world) sendOne(post poster, l letter, o *outcome) {
	time.Sleep(l.pause)
	ctx := context.WithValue(w.ctx, outcomeKey{}, o)
	if l.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, l.timeout)
		defer cancel()
	}
	var id string
	if id, o.err = post(ctx, l); o.receipt != nil {
		o.receipt.MessageID = id
	}
}

// A poster sends a letter by one of the routes and returns SES's id.
type poster func(ctx context.Context, l letter) (id string, err error)

func (w *world) poster(t *testing.T, transport sesguard.Transport) poster {
	client := w.guard.Client(transport)
	switch w.route {
	case routeGuard:
		options := w.client.Options()
		sesapi.GuardBy(w.guard)(&options)
		return rawPoster(sesv2.New(options))
	case routeWrap:
		return rawPoster(sesapi.WrapBy(w.client, w.guard))
	case routeSend:
		return func(ctx context.Context, l letter) (string, error) { return idOf(client.Send(ctx, l.message)) }
	}
	return func(ctx context.Context, l letter) (string, error) {
		mail, err := sesguard.Build(l.message)
		if err != nil {
			t.Error(err)
			return "", err
		}
		if w.route == routeBuilt {
			return idOf(client.SendBuilt(ctx, mail))
		}
		return idOf(w.do(ctx, transport, mail))
	}
}

// do is what a program with a way of its own to SES would write.
func (w *world) do(ctx context.Context, transport sesguard.Transport, mail *sesguard.Mail) (*sesguard.Receipt, error) {
	info := sesguard.Info{From: mail.Author(), Recipients: len(mail.Recipients()), TrackID: mail.TrackID()}
	return w.guard.Do(ctx, info, func(ctx context.Context) (*sesguard.Receipt, error) {
		info, _ := sesguard.InfoFrom(ctx)
		if info.TrackTag == "" {
			return transport.Attempt(ctx, mail)
		}
		tracked, err := mail.Track(info.TrackTag)
		if err != nil {
			return nil, err
		}
		return transport.Attempt(ctx, tracked)
	})
}

func idOf(r *sesguard.Receipt, err error) (string, error) {
	if err != nil {
		return "", err
	}
	return r.MessageID, nil
}

func rawPoster(api sesapi.SendEmailAPI) poster {
	return func(ctx context.Context, l letter) (string, error) {
		out, err := api.SendEmail(ctx, rawInput(l.message.To, l.want))
		if err != nil {
			return "", err
		}
		return aws.ToString(out.MessageId), nil
	}
}

func rawInput(to []string, data []byte) *sesv2.SendEmailInput {
	return &sesv2.SendEmailInput{
		FromEmailAddress: aws.String("ann@example.com"), Destination: &types.Destination{ToAddresses: to},
		Content: &types.EmailContent{Raw: &types.RawMessage{Data: data}},
	}
}

// finish lets whatever is still under way end.
func (w *world) finish() {
	time.Sleep(time.Hour) // delayed servers accept late
	w.guard.Shutdown(w.ctx)
	w.undone = w.guard.Stats()
	w.cancel()
	if w.pool != nil {
		w.pool.Close()
	} else if w.http != nil {
		w.http.CloseIdleConnections()
	}
	synctest.Wait()
	w.left = w.srv.Connections().Open + w.srv.APIConnections().Open
	w.srv.Close()
	time.Sleep(time.Minute) // a slow line delivers what was on its way, even to a closed connection
	synctest.Wait()
}

// judge holds what Send said against what SES has.
func (w *world) judge(outcomes []outcome) (broken []violation) {
	if w.left != 0 {
		broken = append(broken, violation{alsoLeft, fmt.Sprint(w.left)})
	}
	if w.undone.Waiting != 0 || w.undone.InFlight != 0 {
		broken = append(broken, violation{alsoShutdown, fmt.Sprintf("%+v", w.undone)})
	}
	mails := make([][]sestest.Mail, len(w.letters))
	for _, m := range w.srv.Accepted() {
		i := slices.IndexFunc(w.letters, func(l letter) bool { return bytes.Contains(m.Data, []byte(l.mark)) })
		if i < 0 {
			broken = append(broken, violation{alsoEverything, fmt.Sprintf("%.60q", m.Data)})
			continue
		}
		mails[i] = append(mails[i], m)
	}
	for i, o := range outcomes {
		for _, v := range w.judgeLetter(w.letters[i], o, mails[i]) {
			v.detail = fmt.Sprintf("letter %s: SES has it %d times, Send said %+v, %v; attempts %q: %s",
				w.letters[i].mark, len(mails[i]), o.receipt, o.err, o.attempts, v.detail)
			broken = append(broken, v)
		}
	}
	return broken
}

func (w *world) judgeLetter(l letter, o outcome, mails []sestest.Mail) (broken []violation) {
	fail := func(promise, format string, args ...any) {
		broken = append(broken, violation{promise, fmt.Sprintf(format, args...)})
	}
	for _, m := range mails {
		if !bytes.Equal(withoutTags(m.Data), l.want) || !slices.Equal(m.To, l.message.To) || m.From != "ann@example.com" {
			fail(promiseWhole, "it is not the message that was sent: %s to %q, %d octets, want %d", m.From, m.To, len(m.Data), len(l.want))
		}
	}
	doubt := seserrors.MaybeAccepted(o.err)
	for i, err := range o.attempts {
		if seserrors.MaybeAccepted(err) && i+1 < len(o.attempts) && !w.policy.AllowDuplicates {
			fail(promiseDoubt, "an attempt followed one in doubt")
		}
	}
	switch {
	case o.err == nil && o.receipt.MaybeDuplicate:
		if len(mails) == 0 {
			fail(promiseOnce, "lost")
		}
		if !w.policy.AllowDuplicates {
			fail(promiseDoubt, "sent again")
		}
	case o.err == nil:
		if len(mails) != 1 {
			fail(promiseOnce, "want exactly once")
		} else if id := mails[0].ID; o.receipt.MessageID != id && w.idsHold() {
			fail(alsoReceipt, "the receipt says %q, SES %q", o.receipt.MessageID, id)
		}
	case !doubt:
		if len(mails) != 0 {
			fail(promiseNone, "accepted")
		}
	default:
		if len(mails) > 1 && !w.policy.AllowDuplicates {
			fail(promiseDoubt, "sent again")
		}
		if w.door == plainSMTP && !w.network.ended([]byte(l.mark)) {
			fail(alsoCause, "no dot was written")
		}
	}
	w.judgeTrack(o, mails, fail)
	if o.err == nil && o.receipt.Attempts != len(o.attempts) {
		fail(alsoAttempts, "told of %d, the receipt says %d", len(o.attempts), o.receipt.Attempts)
	}
	w.judgeError(o.err, fail)
	return broken
}

// judgeTrack compares the ids of the receipt, the error and what SES has.
func (w *world) judgeTrack(o outcome, mails []sestest.Mail, fail func(promise, format string, args ...any)) {
	id := ""
	if o.err == nil {
		id = o.receipt.TrackID
	} else {
		id = seserrors.Classify(o.err).TrackID
	}
	if (id != "") != w.tagged {
		fail(alsoTracked, "the id is %q", id)
	}
	for _, m := range mails {
		if m.Tags[trackTag] != id {
			fail(alsoTracked, "SES has %q, want %q", m.Tags[trackTag], id)
		}
	}
}

// withoutTags is a message without the line that carries tags over SMTP.
func withoutTags(data []byte) []byte {
	i := bytes.Index(data, []byte("X-SES-MESSAGE-TAGS:"))
	if i < 0 {
		return data
	}
	end := bytes.Index(data[i:], []byte("\r\n"))
	return append(data[:i:i], data[i+end+2:]...)
}

// idsHold is false where the script puts other words in the place of SES's.
func (w *world) idsHold() bool {
	for _, f := range w.faults {
		if s := f.String(); strings.HasPrefix(s, "reply at end of data") || strings.HasPrefix(s, "raw") {
			return false
		}
	}
	return !slices.ContainsFunc(w.wire, func(f wireFault) bool { return f.kind == wireNoise || f.kind == wireWords })
}

func (w *world) judgeError(err error, fail func(promise, format string, args ...any)) {
	if err == nil {
		return
	}
	holds := 0
	for _, b := range []bool{
		seserrors.MaybeAccepted(err), seserrors.IsRetryable(err), seserrors.IsFatal(err),
		!seserrors.MaybeAccepted(err) && seserrors.Classify(err).Class == seserrors.Canceled,
	} {
		if b {
			holds++
		}
	}
	if holds != 1 {
		fail(alsoClass, "%d hold", holds)
	}
	text := err.Error()
	if strings.Contains(text, w.srv.Password) || strings.Contains(text, w.srv.SecretAccessKey) || strings.Contains(text, "longer text with") {
		fail(alsoSecrets, "found")
	}
}

// TestProofCanFail puts transports in the place of ours that make the mistakes
// that others make, and sees the proof find each.
func TestProofCanFail(t *testing.T) {
	for _, mistake := range []struct {
		name   string
		build  buildTransport
		breaks string
	}{
		{"success without a send", liar, promiseOnce},
		{"half a mail", careless, promiseWhole},
		{"a send again after a lost answer", repeater, promiseOnce},
		{"the SDK's own retries", sdkRetries, promiseOnce},
		{"the error of a middleware taken for SES's", believer, promiseOnce},
		{"doubt reported as a refusal", denier, promiseNone},
		{"an accepted mail reported as failed", careless, promiseNone},
		{"a send again behind an error in doubt", repeater, promiseDoubt},
		{"doubt about everything", worrier, alsoCause},
		{"a mail without its id", anonymous, alsoTracked},
	} {
		t.Run(mistake.name, func(t *testing.T) {
			t.Parallel()
			for seed := uint64(1); seed <= 20_000; seed++ {
				var ignored tally
				s := newScenario(t, seed)
				s.route = routeSend // through the transport
				for _, v := range s.run(t, mistake.build, &ignored) {
					if v.promise == mistake.breaks {
						t.Logf("found after %d scripts", seed)
						return
					}
				}
			}
			t.Errorf("20,000 scripts did not show that it breaks %q", mistake.breaks)
		})
	}
}

// attempts is a transport of one function around ours.
func attempts(w *world, f func(ctx context.Context, m *sesguard.Mail, real sesguard.Transport) (*sesguard.Receipt, error)) sesguard.Transport {
	real := w.bare()
	return sesguard.TransportFunc(func(ctx context.Context, m *sesguard.Mail) (*sesguard.Receipt, error) { return f(ctx, m, real) })
}

// liar says that it has sent.
func liar(w *world) sesguard.Transport {
	return attempts(w, func(ctx context.Context, m *sesguard.Mail, real sesguard.Transport) (*sesguard.Receipt, error) {
		if r, err := real.Attempt(ctx, m); err == nil {
			return r, nil
		}
		return &sesguard.Receipt{MessageID: "id", Transport: "smtp", Attempts: 1}, nil
	})
}

// denier takes every error for a refusal.
func denier(w *world) sesguard.Transport {
	return attempts(w, func(ctx context.Context, m *sesguard.Mail, real sesguard.Transport) (*sesguard.Receipt, error) {
		r, err := real.Attempt(ctx, m)
		if e := seserrors.Classify(err); e != nil {
			certain := *e
			certain.MaybeAccepted, certain.Err = false, nil
			return nil, &certain
		}
		return r, nil
	})
}

// worrier takes no refusal for certain.
func worrier(w *world) sesguard.Transport {
	return attempts(w, func(ctx context.Context, m *sesguard.Mail, real sesguard.Transport) (*sesguard.Receipt, error) {
		r, err := real.Attempt(ctx, m)
		if e := seserrors.Classify(err); e != nil {
			doubt := *e
			doubt.MaybeAccepted = true
			return nil, &doubt
		}
		return r, nil
	})
}

// repeater sends again whatever failed.
func repeater(w *world) sesguard.Transport {
	return attempts(w, func(ctx context.Context, m *sesguard.Mail, real sesguard.Transport) (*sesguard.Receipt, error) {
		r, err := real.Attempt(ctx, m)
		if err != nil {
			r, err = real.Attempt(ctx, m)
		}
		return r, err
	})
}

// believer stores receipts, and takes a dial of the database that failed for
// one of SES's endpoint.
func believer(w *world) sesguard.Transport {
	return stored(w.bare(), &seserrors.Error{Class: seserrors.Unavailable, Reason: seserrors.Network})
}

// anonymous sends another mail of the same content.
func anonymous(w *world) sesguard.Transport {
	return attempts(w, func(ctx context.Context, m *sesguard.Mail, real sesguard.Transport) (*sesguard.Receipt, error) {
		var b bytes.Buffer
		if _, err := m.WriteTo(&b); err != nil {
			return nil, &seserrors.Error{Class: seserrors.Invalid, Err: err}
		}
		other, err := sesguard.Build(&sesguard.Message{From: m.From(), To: m.Recipients(), Raw: &b})
		if err != nil {
			return nil, err
		}
		return real.Attempt(ctx, other)
	})
}

// sdkRetries is the bare SDK.
func sdkRetries(w *world) sesguard.Transport {
	if w.door.smtp() {
		return w.bare()
	}
	return sesguard.TransportFunc(func(ctx context.Context, m *sesguard.Mail) (*sesguard.Receipt, error) {
		var b bytes.Buffer
		if _, err := m.WriteTo(&b); err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, 10*time.Minute) // it has no limit of its own
		defer cancel()
		out, err := w.client.SendEmail(ctx, rawInput(m.To(), b.Bytes()))
		if err != nil {
			return nil, err
		}
		return &sesguard.Receipt{MessageID: aws.ToString(out.MessageId), Transport: "api", Attempts: 1}, nil
	})
}

// careless is a loop over net/smtp as it is often written: it closes DATA
// whatever came before, and takes an error of QUIT for one of the mail.
func careless(w *world) sesguard.Transport {
	if w.door != plainSMTP {
		return w.bare()
	}
	return sesguard.TransportFunc(func(ctx context.Context, m *sesguard.Mail) (*sesguard.Receipt, error) {
		err := w.sendCarelessly(ctx, m)
		if err != nil {
			e := *seserrors.Classify(err)
			e.MaybeAccepted = false
			return nil, &e
		}
		return &sesguard.Receipt{Transport: "smtp", Attempts: 1}, nil
	})
}

func (w *world) sendCarelessly(ctx context.Context, m *sesguard.Mail) error {
	conn, err := w.network.DialContext(ctx, "tcp", w.srv.PlainAddr)
	if err != nil {
		return err
	}
	conn.SetDeadline(time.Now().Add(time.Minute))
	defer conn.Close()
	c, err := smtp.NewClient(conn, "127.0.0.1")
	if err != nil {
		return err
	}
	defer c.Quit()
	if err := c.Mail("ann@example.com"); err != nil {
		return err
	}
	for _, to := range m.To() {
		if err := c.Rcpt(to); err != nil {
			return err
		}
	}
	wc, err := c.Data()
	if err != nil {
		return err
	}
	var b bytes.Buffer
	_, broken := m.WriteTo(&b)
	_, err = io.Copy(wc, &b)
	if err := errors.Join(broken, err, wc.Close()); err != nil {
		return err
	}
	return c.Quit()
}
