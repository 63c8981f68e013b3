package smtpclient_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
	"github.com/sesguard/sesguard-go/smtpclient"
)

var (
	faultSeed  = flag.Uint64("faultseed", 0, "seed of the one random fault script to run; 0: many")
	faultCount = flag.Int("faults", 120, "how many random fault scripts to run")
)

// TestWhatSendSaysIsWhatHappened runs random fault scripts in fake time and
// compares what Send said of each mail with the server's mailbox: nil means
// accepted once and whole, an error without doubt means not accepted, and never
// is a mail accepted twice.
func TestWhatSendSaysIsWhatHappened(t *testing.T) {
	if *faultSeed != 0 {
		faultScript(t, *faultSeed)
		return
	}
	for range *faultCount {
		seed := rand.Uint64() | 1
		if !t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { faultScript(t, seed) }) {
			t.Fatalf("again with: go test ./smtpclient -run WhatSendSays -faultseed %d", seed)
		}
	}
}

var (
	stages = []sestest.Stage{sestest.Connect, sestest.EHLO, sestest.StartTLS, sestest.Auth, sestest.MailFrom, sestest.Rcpt,
		sestest.Data, sestest.EndOfData, sestest.Rset, sestest.Quit}
	answers = []string{"250 Ok", "250 early\n250 twice", "354 go", "150 wait", "421 closing", "421 Too many messages in one session", "451 4.4.2 Timeout waiting for data from client.",
		"454 Throttling failure: Maximum sending rate exceeded.", "503 what", "550 no", "554 Transaction failed: Illegal address"}
)

func randomFault(r *rand.Rand) sestest.Fault {
	at := stages[r.IntN(len(stages))]
	switch r.IntN(12) {
	case 0:
		return sestest.Cut(at)
	case 1:
		return sestest.Reset(at)
	case 2:
		return sestest.HalfClose(at)
	case 3:
		return sestest.Stall(at)
	case 4:
		return sestest.Delay(at, time.Duration(r.IntN(100))*time.Second)
	case 5:
		return sestest.Drip(at)
	case 6:
		return sestest.CutReply(at, r.IntN(20))
	case 7:
		return sestest.CutBody(r.IntN(300))
	case 8:
		return sestest.Raw(at, []string{"\x00\xff", "250", "2\r\n", "250-x\r\n550 y\r\n", "\r\n\r\n"}[r.IntN(5)])
	case 9:
		return sestest.AcceptThenCut()
	case 10:
		return sestest.Pass()
	}
	said := answers[r.IntN(len(answers))]
	var code int
	fmt.Sscan(said, &code)
	if code < 400 {
		return sestest.Raw(at, said+"\r\n")
	}
	return sestest.Reply(at, code, said[4:])
}

// faultScript sends 30 mails, some at once, through 15 faults.
func faultScript(t *testing.T, seed uint64) {
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(seed, 1))
		ses := sestest.NewMemoryServer()
		defer ses.Close()
		for range 15 {
			ses.Script(randomFault(r))
		}
		c, err := smtpclient.New(smtpclient.Config{
			Addr: []string{ses.SMTPAddr, ses.SMTPSAddr}[r.IntN(2)], Username: ses.Username, Password: ses.Password, TLSConfig: ses.TLSConfig(),
			DialContext: ses.DialContext, MaxConns: 1 + r.IntN(3), MaxMessagesPerConn: 1 + r.IntN(5),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		said := make([]error, 30)
		var wg sync.WaitGroup
		for i := range said {
			wait, limit := time.Duration(r.IntN(20))*time.Second, time.Duration(r.IntN(300_000))*time.Millisecond
			wg.Go(func() {
				time.Sleep(wait)
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				_, said[i] = c.Send(ctx, "news@example.com", []string{"ann@example.net"}, bytes.NewReader(numbered(i)))
			})
		}
		wg.Wait()
		judge(t, ses, said)
		c.Close()
		time.Sleep(time.Hour) // the server may be in a delay
		if n := ses.Connections().Open; n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
}

func numbered(i int) []byte {
	return fmt.Appendf(nil, "From: news@example.com\r\nTo: ann@example.net\r\nSubject: mail %d.\r\n\r\n.dot\r\n%s\r\n", i, bytes.Repeat([]byte("x"), 100))
}

func judge(t *testing.T, ses *sestest.Server, said []error) {
	t.Helper()
	got := make(map[string]int)
	for _, m := range ses.Accepted() {
		got[string(m.Data)]++
	}
	total := 0
	for i, err := range said {
		n := got[string(numbered(i))]
		total += n
		switch {
		case err == nil && n != 1:
			t.Errorf("mail %d was sent and accepted %d times", i, n)
		case err != nil && !seserrors.MaybeAccepted(err) && n != 0:
			t.Errorf("mail %d was accepted, but Send said %v", i, err)
		case n > 1:
			t.Errorf("mail %d was accepted %d times", i, n)
		}
	}
	if total != len(ses.Accepted()) {
		t.Errorf("%d mails were accepted that nobody sent", len(ses.Accepted())-total)
	}
}
