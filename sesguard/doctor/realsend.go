package doctor

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/aws-sdk-go-v2/service/sesv2/types"
	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/smtpclient"
)

// sender is the part of *sesv2.Client that sends.
type sender interface {
	SendEmail(context.Context, *sesv2.SendEmailInput, ...func(*sesv2.Options)) (*sesv2.SendEmailOutput, error)
}

// realSend sends to SES's mailbox simulator and waits for the events.
func (r *run) realSend(ctx context.Context) {
	why := ""
	switch _, overAPI := r.API.(sender); {
	case !r.RealSend:
		why = "not asked for"
	case r.from.domain == "":
		why = "no sender is given"
	case strings.ContainsAny(r.ConfigurationSet+r.FromARN, "\r\n"):
		why = "a line end stands in the configuration set or the ARN"
	case !r.mayOverSMTP() && !(overAPI && r.answers):
		why = "there is no way to send that works"
	default:
		if ctx.Err() == nil && r.oneSend(ctx, "success") && r.Await != nil {
			r.oneSend(ctx, "bounce")
		}
		return
	}
	r.skip(why, checkRealSend)
}

// mayOverSMTP reports whether a sign-in over SMTP has worked.
func (r *run) mayOverSMTP() bool {
	return r.has(func(f Finding) bool { return f.Check == checkSignIn && f.Status == OK })
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
		f.fail(e.Reason, words(err), e.Reason.Advice())
		if r.has(func(f Finding) bool { return f.Status == Fail && f.Reason == e.Reason }) {
			f.Status, f.Advice = Warn, "Another check has failed for the same reason."
		}
		r.found(start, f)
		return false
	}
	f.Detail = "accepted as " + id
	if r.Await != nil {
		if _, err := within(ctx, func() (any, error) { return nil, r.Await(ctx, id) }); err != nil {
			f.warn(f.Detail+"; its event did not come in time", "Check the event destination, its subscription and the endpoint that takes the events.")
		} else {
			f.Detail += "; its event came"
		}
	}
	r.found(start, f)
	return f.Status == OK
}

func (r *run) overSMTP(ctx context.Context, to string) (string, error) {
	user, password, err := r.credentials(ctx)
	if err != nil {
		return "", &seserrors.Error{Op: "smtp AUTH", Class: seserrors.Denied, Reason: seserrors.CredentialsUnavailable}
	}
	c, err := smtpclient.New(r.signedIn(user, password))
	if err != nil {
		return "", err
	}
	defer c.Close()
	reply, err := c.Send(ctx, r.from.asked(), []string{to}, bytes.NewReader(r.message(to)))
	return reply.MessageID, err
}

func (r *run) overAPI(ctx context.Context, to string) (string, error) {
	out, err := r.API.(sender).SendEmail(ctx, &sesv2.SendEmailInput{
		Destination: &types.Destination{ToAddresses: []string{to}},
		Content:     &types.EmailContent{Raw: &types.RawMessage{Data: r.message(to)}},
	}, func(o *sesv2.Options) { o.Retryer = aws.NopRetryer{} })
	if err != nil {
		return "", seserrors.FromAPI("ses SendEmail", err)
	}
	return aws.ToString(out.MessageId), nil
}

// message returns a mail that names the configuration set and the ARN in fields,
// which SES reads over both ways.
func (r *run) message(to string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: %s\r\nTo: <%s>\r\nSubject: Test of the mail settings\r\n", r.from.path(), to)
	if r.ConfigurationSet != "" {
		fmt.Fprintf(&b, "X-SES-CONFIGURATION-SET: %s\r\n", r.ConfigurationSet)
	}
	if r.FromARN != "" {
		fmt.Fprintf(&b, "X-SES-SOURCE-ARN: %s\r\n", r.FromARN)
	}
	b.WriteString("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\nThis mail tests whether mail can be sent.\r\n")
	return b.Bytes()
}
