package dbtest

import (
	"context"
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/outbox"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
	"github.com/sesguard/sesguard-go/smtpclient"
)

var drainMails = flag.Int("drain", 10_000, "mails of BenchmarkDrain")

// BenchmarkDrain sends what waits, over SMTP with 20 connections or to a
// transport that does nothing, once for each b.N: use -benchtime 1x.
func BenchmarkDrain(b *testing.B) {
	for _, driver := range []string{"sqlite", "pgx"} {
		for _, concurrency := range []int{20, 200} {
			b.Run(fmt.Sprintf("%s/%d", driver, concurrency), func(b *testing.B) {
				for b.Loop() {
					drain(b, driver, concurrency)
				}
			})
		}
	}
}

func drain(b *testing.B, driver string, concurrency int) {
	p := place{}
	if driver == "sqlite" {
		p = sqlitePlace(b)
	} else {
		p = postgresPlace(b, driver)
	}
	box := newBed(b, p, outbox.Options{Concurrency: concurrency})
	box.db.SetMaxIdleConns(concurrency + 4)
	box.db.SetMaxOpenConns(concurrency + 4)
	begin := time.Now()
	for range *drainMails / 1000 {
		box.enqueueMany(1000, func(_ int, e *outbox.Entry) { e.Message.Text = fmt.Sprintf("%2000d", 7) })
	}
	b.ReportMetric(float64(*drainMails)/time.Since(begin).Seconds(), "enqueued/s")
	var transport sesguard.Transport = sesguard.TransportFunc(func(context.Context, *sesguard.Mail) (*sesguard.Receipt, error) { return nil, nil })
	if concurrency == 20 {
		ses := sestest.NewServer()
		defer ses.Close()
		pool, err := smtpclient.New(smtpclient.Config{Addr: ses.SMTPAddr, Username: ses.Username, Password: ses.Password, TLSConfig: ses.TLSConfig(), MaxConns: 20})
		if err != nil {
			b.Fatal(err)
		}
		defer pool.Close()
		transport = sesguard.SMTP(pool)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error)
	begin = time.Now()
	go func() { done <- box.Run(ctx, transport) }()
	for box.number("select count(*) from sesguard_mail where state <> 'sent'") > 0 {
		time.Sleep(50 * time.Millisecond)
	}
	b.ReportMetric(float64(*drainMails)/time.Since(begin).Seconds(), "mails/s")
	cancel()
	if err := <-done; err != nil {
		b.Error(err)
	}
}
