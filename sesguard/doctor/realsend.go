package doctor

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/aws-sdk-go-v2/service/sesv2/types"
	seserrors "github.com/sesguard/sesguard-go/errors"
)

// sender is the part of *sesv2.Client that sends.
type sender interface {
	SendEmail(context.Context, *sesv2.SendEmailInput, ...func(*sesv2.Options)) (*sesv2.SendEmailOutput, error)
}

// realSend sends to SES's mailbox simulator and waits for the events.
func (r *run) realSend(ctx context.Context) {
	switch {
	case !r.RealSend:
		r.skip("not asked for", checkRealSend)
		return
	case r.from.domain == "" || r.from.err != nil:
		r.skip("no sender is given", checkRealSend)
		return
	case strings.ContainsAny(r.ConfigurationSet+r.FromARN, "\r\n"):
		r.skip("a line end stands in the configuration set or the ARN", checkRealSend)
		return
	case !r.mayOverSMTP() && !r.mayOverAPI():
		r.skip("there is no way to send that works", checkRealSend)
		return
	case ctx.Err() != nil:
		return
	}
	if r.oneSend(ctx, "success") && r.Await != nil {
		r.oneSend(ctx, "bounce")
	}
}

// mayOverSMTP reports whether a sign-in over SMTP has worked.
func (r *run) mayOverSMTP() bool {
	return r.has(func(f Finding) bool { return f.Check == checkSignIn && f.Status == OK })
}

// explained reports whether a check has failed for this reason already.
func (r *run) explained(reason seserrors.Reason) bool {
	return r.has(func(f Finding) bool { return f.Status == Fail && f.Reason == reason })
}

func (r *run) mayOverAPI() bool {
	_, ok := r.API.(sender)
	return ok
}

// oneSend sends one mail to a mailbox of the simulator.
func (r *run) oneSend(ctx context.Context, mailbox string) bool {
	start := time.Now()
	to := mailbox + "@simulator.amazonses.com"
	f := Finding{Check: checkRealSend, Subject: to, Status: OK}
	var id string
	var err error
	if r.mayOverSMTP() {
		id, err = r.overSMTP(ctx, to)
	} else {
		id, err = r.overAPI(ctx, to)
	}
	if err != nil {
		e := seserrors.Classify(err)
		f.Status, f.Reason, f.Detail, f.Advice = Fail, e.Reason, words(err), e.Reason.Advice()
		if r.explained(e.Reason) {
			f.Status, f.Advice = Warn, "Another check has failed for the same reason."
		}
		r.found(start, f)
		return false
	}
	f.Detail = "accepted as " + id
	if r.Await != nil {
		if _, err := within(ctx, func() (any, error) { return nil, r.Await(ctx, id) }); err != nil {
			f.Status, f.Detail = Warn, f.Detail+"; its event did not come in time"
			f.Advice = "Check the event destination, its subscription and the endpoint that takes the events."
		} else {
			f.Detail += "; its event came"
		}
	}
	r.found(start, f)
	return f.Status == OK
}

func (r *run) overSMTP(ctx context.Context, to string) (string, error) {
	s, fail := r.open(ctx, r.usablePort())
	if fail != nil {
		return "", fail.err
	}
	defer s.close()
	if err := r.trusts(s); err != nil {
		return "", err
	}
	user, password, err := r.credentials(ctx)
	if err != nil {
		return "", &seserrors.Error{Op: "smtp AUTH", Class: seserrors.Denied, Reason: seserrors.CredentialsUnavailable, Err: err}
	}
	if err := s.signIn(user, password); err != nil {
		return "", err
	}
	id, err := s.send(r.from.path(), to, r.message(to))
	if err == nil {
		_, _, _ = s.command("QUIT")
	}
	return id, err
}

// trusts verifies the certificate of this very connection.
func (r *run) trusts(s *session) error {
	conf := r.tlsConfig()
	if r.SMTP.TLSConfig != nil && r.SMTP.TLSConfig.InsecureSkipVerify || len(s.state.PeerCertificates) == 0 && r.mode(r.port) == clearText {
		return nil
	}
	now := time.Now()
	if conf.Time != nil {
		now = conf.Time()
	}
	if detail, _ := judge(s.state.PeerCertificates, conf, conf.ServerName, now); detail != "" {
		return &seserrors.Error{Op: "smtp TLS", Class: seserrors.Denied, Reason: seserrors.CertificateInvalid}
	}
	return nil
}

func (r *run) message(to string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "From: %s\r\nTo: <%s>\r\nSubject: Test of the mail settings\r\n", r.from.path(), to)
	if r.ConfigurationSet != "" {
		fmt.Fprintf(&b, "X-SES-CONFIGURATION-SET: %s\r\n", r.ConfigurationSet)
	}
	if r.FromARN != "" {
		fmt.Fprintf(&b, "X-SES-SOURCE-ARN: %s\r\n", r.FromARN)
	}
	b.WriteString("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\nThis mail tests whether mail can be sent.\r\n")
	return b.String()
}

func (r *run) overAPI(ctx context.Context, to string) (string, error) {
	in := &sesv2.SendEmailInput{
		FromEmailAddress: aws.String(r.from.path()),
		Destination:      &types.Destination{ToAddresses: []string{to}},
		Content: &types.EmailContent{Simple: &types.Message{
			Subject: &types.Content{Data: aws.String("Test of the mail settings")},
			Body:    &types.Body{Text: &types.Content{Data: aws.String("This mail tests whether mail can be sent.")}},
		}},
	}
	if r.ConfigurationSet != "" {
		in.ConfigurationSetName = &r.ConfigurationSet
	}
	if r.FromARN != "" {
		in.FromEmailAddressIdentityArn = &r.FromARN
	}
	once := func(o *sesv2.Options) { o.Retryer = aws.NopRetryer{} }
	out, err := r.API.(sender).SendEmail(ctx, in, once)
	if err != nil {
		return "", seserrors.FromAPI("ses SendEmail", err)
	}
	return value(out.MessageId), nil
}
