package compare

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sesguard/sesguard-go/.ci/bench/table"
	"github.com/sesguard/sesguard-go/sesguard"
)

// guardAlone measures what the guard costs around a ready message, with a
// transport that does nothing.
func guardAlone(b *bench) error {
	receipt := &sesguard.Receipt{MessageID: "id"}
	nothing := sesguard.TransportFunc(func(context.Context, *sesguard.Mail) (*sesguard.Receipt, error) {
		return receipt, nil
	})
	client := sesguard.New(nothing, sesguard.Options{})
	raw, r := rawMessage(2<<10), new(bytes.Reader)
	m := &sesguard.Message{From: sender, To: []string{recipient}, Raw: r}
	return b.local("guard alone, 2 KB", func() error {
		r.Reset(raw)
		_, err := client.Send(context.Background(), m)
		return err
	}, 6, 14)
}

// building measures mails to 50 recipients with Unicode names and domains. With
// a domain of its own for each, package idna sets the time.
func building(b *bench) error {
	for _, row := range []struct {
		name, domain string
		most         float64
	}{
		{"build, 50 Unicode recipients", "bücher.example", 50},
		{"the same, a domain each", "bücher%d.example", 0},
	} {
		m := &sesguard.Message{From: sender, Subject: "Hello", Text: "Hello"}
		for i := range 50 {
			domain := strings.ReplaceAll(row.domain, "%d", strconv.Itoa(i))
			m.To = append(m.To, fmt.Sprintf("Jürgen Groß %d <user%d@%s>", i, i, domain))
		}
		err := b.local(row.name, func() error {
			_, err := sesguard.Build(m)
			return err
		}, row.most, 0)
		if err != nil {
			return err
		}
	}
	return nil
}

// local measures calls of f, which stays within the process: at most so many
// microseconds and allocations a call, if they are not 0.
func (b *bench) local(what string, f func() error, microseconds, allocs float64) error {
	const calls = 100
	all, err := compare(1, b.rounds, b.each/2, contender{what, func(int) (func(int) error, func(), error) {
		return func(int) error {
			for range calls {
				if err := f(); err != nil {
					return err
				}
			}
			return nil
		}, func() {}, nil
	}})
	if err != nil {
		return err
	}
	us := all[0]
	each := us.median(func(s sample) float64 { return s.cpuEach() / calls / 1e3 })
	n := us.median(func(s sample) float64 { return s.allocsEach() / calls })
	b.table.Add(table.Row(what, "", "", "", []table.Result{
		{Name: "µs of CPU", Value: each, Target: microseconds, AtMost: true, Format: "%.1f"},
		{Name: "allocations", Value: n, Target: allocs, AtMost: true, Format: "%.1f"},
	}))
	return nil
}

// canceledWaiters lets 100,000 callers queue at a limiter of 50 a second and
// leave, and measures how long the next one waits.
func canceledWaiters(b *bench) error {
	l := sesguard.NewRateLimiter(50)
	if err := l.WaitN(context.Background(), 1); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for range 100_000 {
		wg.Go(func() { _ = l.WaitN(ctx, 1) })
	}
	cancel()
	wg.Wait()
	start := time.Now()
	if err := l.WaitN(context.Background(), 1); err != nil {
		return err
	}
	wait := time.Since(start)
	b.table.Add(table.Row("after 100,000 canceled waiters at 50/s", "", "", "", []table.Result{
		table.AtMost("ms of the next", float64(wait.Microseconds())/1e3, 21), // 1/50 s, and a timer's own delay
	}))
	return nil
}
