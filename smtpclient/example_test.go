package smtpclient_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
	"github.com/sesguard/sesguard-go/smtpclient"
)

const hello = "From: news@example.com\r\nTo: ann@example.net\r\nSubject: Hello\r\n\r\nHello, Ann.\r\n"

// config is what a program sets for the real SES: Region, Username, Password.
// Against the fake, the address and the certificate differ.
func config(ses *sestest.Server) smtpclient.Config {
	return smtpclient.Config{
		Addr:      ses.SMTPAddr,
		Username:  ses.Username,
		Password:  ses.Password,
		TLSConfig: ses.TLSConfig(),
	}
}

func ExampleClient_Send() {
	ses := sestest.NewServer()
	defer ses.Close()
	c, err := smtpclient.New(config(ses))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	reply, err := c.Send(context.Background(), "news@example.com", []string{"ann@example.net"}, strings.NewReader(hello))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(reply.Code, reply.MessageID == ses.Accepted()[0].ID)
	// Output: 250 true
}

// A spooled mail is a file that Send opens when it has a connection for it.
type spooled string

func (s spooled) Open(context.Context) (io.ReadCloser, error) { return os.Open(string(s)) }

// WriteTo makes it an io.WriterTo. Send calls Open.
func (s spooled) WriteTo(w io.Writer) (int64, error) {
	f, err := os.Open(string(s))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return io.Copy(w, f)
}

// Mails that wait for a connection hold no files.
func ExampleClient_Send_open() {
	ses := sestest.NewServer()
	defer ses.Close()
	c, err := smtpclient.New(config(ses))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	_, err = c.Send(context.Background(), "news@example.com", []string{"ann@example.net"}, spooled("no-such.eml"))
	fmt.Println(errors.Is(err, seserrors.ContentUnreadable), errors.Is(err, os.ErrNotExist), len(ses.Accepted()))
	// Output: true true 0
}

// What to do with an error: its class says whether a later try can help, and
// MaybeAccepted whether one could send the mail twice.
func ExampleClient_Send_errors() {
	ses := sestest.NewServer()
	defer ses.Close()
	ses.Script(sestest.Refuse(seserrors.SendRateExceeded), sestest.Refuse(seserrors.IdentityNotVerified), sestest.AcceptThenCut())
	c, err := smtpclient.New(config(ses))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	for range 4 {
		_, err := c.Send(context.Background(), "news@example.com", []string{"ann@example.net"}, strings.NewReader(hello))
		switch {
		case err == nil:
			fmt.Println("accepted")
		case seserrors.MaybeAccepted(err):
			fmt.Println("in doubt: do not repeat it blindly")
		case seserrors.IsRetryable(err):
			fmt.Println("later:", seserrors.Classify(err).Reason)
		default:
			fmt.Println("never:", seserrors.Classify(err).Reason)
		}
	}
	// Output:
	// later: send-rate-exceeded
	// never: identity-not-verified
	// in doubt: do not repeat it blindly
	// accepted
}

func ExampleClient_Ping() {
	ses := sestest.NewServer()
	defer ses.Close()
	cfg := config(ses)
	cfg.Password = "a typing error"
	c, err := smtpclient.New(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	err = c.Ping(context.Background())
	fmt.Println(errors.Is(err, seserrors.Denied), errors.Is(err, seserrors.CredentialsInvalid))
	// Output: true true
}

func ExampleNew() {
	_, err := smtpclient.New(smtpclient.Config{Region: "eu-west-1", TLS: smtpclient.TLSWrapper})
	fmt.Println(err)
	// Output: smtpclient New: invalid (tls-mode-mismatch): Config.TLS: port 587 speaks STARTTLS: leave TLS at TLSAuto, or use port 465 or 2465
}

func ExampleDerivePassword() {
	// The secret of AWS's examples.
	fmt.Println(smtpclient.DerivePassword("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1"))
	// Output: BLBM/9hSUELfq8Gw+rU1YcBjkOxGbhT2XG763xVLGWL9
}

func ExampleSendMail() {
	ses := sestest.NewServer()
	defer ses.Close()

	// In place of smtp.SendMail(...).
	err := smtpclient.SendMail(ses.PlainAddr, nil, "news@example.com", []string{"ann@example.net"}, []byte(hello))
	fmt.Println(err, len(ses.Accepted()))
	// Output: <nil> 1
}

func ExampleClient_Stats() {
	ses := sestest.NewServer()
	defer ses.Close()
	cfg := config(ses)
	cfg.MaxMessagesPerConn = 2
	c, err := smtpclient.New(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 4 {
		if _, err := c.Send(context.Background(), "news@example.com", []string{"ann@example.net"}, bytes.NewReader([]byte(hello))); err != nil {
			fmt.Println(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	fmt.Println(c.Shutdown(ctx))
	st := c.Stats()
	fmt.Println(st.Messages, "messages,", st.Dials, "connections,", st.Closed.Messages, "recycled,", st.Open, "open")
	// Output:
	// <nil>
	// 4 messages, 2 connections, 2 recycled, 0 open
}
