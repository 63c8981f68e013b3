package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/aws-sdk-go-v2/service/sesv2/types"

	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/sesapi"
)

// A mock is aws-ses-v2-local, which keeps what it accepts in memory.
type mock struct {
	port int
	cmd  *exec.Cmd
}

func (m *mock) Name() string             { return "aws-ses-v2-local" }
func (m *mock) Addr() string             { return fmt.Sprintf("127.0.0.1:%d", m.port) }
func (m *mock) Files() ([]string, error) { return nil, nil }

func (m *mock) Start() error {
	m.cmd = exec.Command("node", filepath.Join(env.npm, "node_modules/aws-ses-v2-local/dist/cli.js"), "--host", "127.0.0.1", "--port", fmt.Sprint(m.port))
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	m.cmd.Env = append(os.Environ(), `AWS_SES_ACCOUNT={"DedicatedIpAutoWarmupEnabled":true,"Details":{"AdditionalContactEmailAddresses":[],"ContactLanguage":"EN","MailType":"TRANSACTIONAL","ReviewDetails":{"CaseId":"1","Status":"GRANTED"},"UseCaseDescription":"x","WebsiteURL":"https://example.com"},"EnforcementStatus":"HEALTHY","ProductionAccessEnabled":true,"SendingEnabled":true,"SendQuota":{"Max24HourSend":100000,"MaxSendRate":200,"SentLast24Hours":10},"SuppressionAttributes":{"SuppressedReasons":[]}}`)
	if err := m.cmd.Start(); err != nil {
		return err
	}
	return waitFor(m.Addr(), 10*time.Second)
}

func (m *mock) Stop(bool) {
	if m.cmd != nil && m.cmd.Process != nil {
		m.cmd.Process.Kill()
		m.cmd.Wait()
	}
}

// A stored mail is one as the mock parsed it.
type stored struct {
	Subject, From string
	Destination   struct{ To, Cc, Bcc []string }
	Body          struct{ Text, HTML string }
	Attachments   []struct{ Filename, Content string }
}

func (m *mock) emails() ([]stored, error) {
	resp, err := http.Get("http://" + m.Addr() + "/store")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var store struct{ Emails []stored }
	err = json.NewDecoder(resp.Body).Decode(&store)
	return store.Emails, err
}

// Accepted reads the id out of the subject's first word.
func (m *mock) Accepted() ([]Mail, error) {
	emails, err := m.emails()
	if err != nil {
		return nil, err
	}
	var mails []Mail
	for _, e := range emails {
		name, _, _ := strings.Cut(e.Subject, " ")
		mails = append(mails, Mail{name, sum([]byte(text(e.Body.Text)))})
	}
	return mails, nil
}

func apiText(i int) string { return fmt.Sprintf("Order %d — für Jürgen\n.\n\nend", i) }

// apiMail is mail for the mock, which parses what it gets.
func apiMail(i int) (*sesguard.Message, string) {
	return &sesguard.Message{From: "Jörg <shop@example.com>", To: []string{"Ann Ä <ann@bücher.example>"}, Subject: id(i) + " Grüße", Text: apiText(i)}, sum([]byte(apiText(i)))
}

func client(addr string, opts ...func(*sesv2.Options)) *sesv2.Client {
	return sesv2.NewFromConfig(aws.Config{
		Region:       "eu-west-1",
		BaseEndpoint: aws.String("http://" + addr),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "secret"}, nil
		}),
	}, opts...)
}

// existing is a Sender made of code that calls SendEmail by itself, with each
// kind of content.
func existing(api sesapi.SendEmailAPI) sesguard.Sender {
	return sesguard.SenderFunc(func(ctx context.Context, m *sesguard.Message) (*sesguard.Receipt, error) {
		utf8 := aws.String("UTF-8")
		in := &sesv2.SendEmailInput{FromEmailAddress: aws.String("shop@example.com"), Destination: &types.Destination{ToAddresses: []string{"ann@bücher.example"}}, Content: &types.EmailContent{}}
		var n int
		fmt.Sscanf(m.Subject, "m%d", &n)
		switch n % 3 {
		case 0:
			in.Content.Simple = &types.Message{Subject: &types.Content{Data: &m.Subject, Charset: utf8}, Body: &types.Body{Text: &types.Content{Data: &m.Text, Charset: utf8}}}
		case 1:
			var b bytes.Buffer
			if _, err := m.WriteTo(&b); err != nil {
				return nil, err
			}
			in.Content.Raw = &types.RawMessage{Data: b.Bytes()}
			in.Destination = nil
		case 2:
			in.Content.Template = &types.Template{TemplateContent: &types.EmailTemplateContent{Subject: aws.String("{{s}}"), Text: aws.String("{{{t}}}")}}
			data, err := json.Marshal(map[string]string{"s": m.Subject, "t": m.Text})
			if err != nil {
				return nil, err
			}
			in.Content.Template.TemplateData = aws.String(string(data))
		}
		out, err := api.SendEmail(ctx, in)
		if err != nil {
			return nil, err
		}
		return &sesguard.Receipt{MessageID: aws.ToString(out.MessageId), Attempts: 1}, nil
	})
}

// apis sends to the mock in every way, straight and through a proxy that cuts.
func apis(l *list) {
	options := sesguard.Options{Retry: quick}
	ways := []struct {
		name   string
		sender func(addr string) sesguard.Sender
	}{
		{"API, one attempt", func(addr string) sesguard.Sender { return once(sesapi.New(client(addr), sesapi.Config{})) }},
		{"API, guard", func(addr string) sesguard.Sender {
			return sesguard.New(sesapi.New(client(addr), sesapi.Config{}), options)
		}},
		{"API, guard, AccountLimiter", func(addr string) sesguard.Sender {
			c := client(addr)
			return sesguard.New(sesapi.New(c, sesapi.Config{}), sesguard.Options{Retry: quick, Limiter: sesapi.NewAccountLimiter(c)})
		}},
		{"Guard", func(addr string) sesguard.Sender { return existing(client(addr, sesapi.Guard(options))) }},
		{"Wrap", func(addr string) sesguard.Sender { return existing(sesapi.Wrap(client(addr), options)) }},
	}
	for _, way := range ways {
		l.add("aws-ses-v2-local", way.name, func() []row {
			m := &mock{port: freePort()}
			return with(m, traffic{sends: 1000, workers: 16, mail: apiMail, sender: way.sender(m.Addr())})
		})
		l.add("aws-ses-v2-local", way.name+", cuts by a proxy", func() []row {
			m := &mock{port: freePort()}
			p := newProxy(m.Addr(), 0.7, 20000, 6000)
			defer p.Close()
			rows := with(m, traffic{sends: 1500, workers: 16, mail: apiMail, sender: way.sender(p.Addr().String()), fails: true,
				timeout: func(rng *rand.Rand) time.Duration { return sometimes(rng, 0.03, 60*time.Millisecond) }})
			rows[0].note += fmt.Sprintf(" cuts=%d", p.cuts.Load())
			return rows
		})
	}
	l.add("aws-ses-v2-local", "messages", func() []row { return []row{apiMatrix()} })
}

// apiMatrix sends the composed samples, and compares what the mock parsed.
func apiMatrix() row {
	m := &mock{port: freePort()}
	env.start(m)
	defer env.stop(m)
	sender := once(sesapi.New(client(m.Addr()), sesapi.Config{}))
	var r row
	want := make(map[string]*sample)
	for _, s := range samples() {
		if s.raw != "" || s.m.Subject == "" {
			continue
		}
		r.sends++
		if _, err := sender.Send(context.Background(), s.m); err != nil {
			r.refused++
			r.fault(&r.broken, "%s: %v", s.name, err)
			continue
		}
		r.ok++
		want[s.m.Subject] = s
	}
	got, err := m.emails()
	check(err)
	r.accepted = len(got)
	for _, e := range got {
		s := want[e.Subject]
		if s == nil {
			r.fault(&r.changed, "subject %q was never sent", e.Subject)
			continue
		}
		if text(e.Body.Text) != text(s.m.Text) && s.m.Text != "" {
			r.fault(&r.changed, "%s: text %.100q", s.name, e.Body.Text)
		}
		if text(e.Body.HTML) != text(s.m.HTML) && !strings.Contains(s.m.HTML, "cid:") {
			r.fault(&r.changed, "%s: HTML %.100q", s.name, e.Body.HTML)
		}
		if len(e.Attachments) != len(s.m.Attachments) {
			r.fault(&r.changed, "%s: %d files", s.name, len(e.Attachments))
		}
		delete(want, e.Subject)
	}
	for _, s := range want {
		r.fault(&r.lost, "%s", s.name)
	}
	return r
}
