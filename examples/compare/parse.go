package main

import (
	"net/mail"
	"net/textproto"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard"
)

// parsing compares what is done for each address and each refusal. One send of
// a contender here is a thousand calls.
func parsing(b *bench) error {
	const calls, address = 1000, "alice.smith@example.com"
	reply := &textproto.Error{Code: 454, Msg: "Throttling failure: Maximum sending rate exceeded."}
	all, err := compare(1, b.rounds, b.each/4,
		thousand("sesguard.ParseAddress", func() error { _, err := sesguard.ParseAddress(address); return err }),
		thousand("mail.ParseAddress", func() error { _, err := mail.ParseAddress(address); return err }),
		thousand("seserrors.Classify", func() error { seserrors.Classify(reply); return nil }),
	)
	if err != nil {
		return err
	}
	perCall := func(s sample) float64 { return s.elapsedEach() / calls }
	allocs := func(s sample) float64 { return s.allocsEach() / calls }
	show := func(r *running) string { return time.Duration(r.median(perCall)).String() }
	us, std, classify := all[0], all[1], all[2]
	b.table.add(
		line{"ParseAddress, plain ASCII", std.name, show(us), show(std), []result{
			atMost("time", ratio(us, std, perCall), 1),
			atMost("allocations", us.median(allocs), 4).as("%.1f"),
		}},
		line{"Classify of a SES reply", "", show(classify), "", []result{
			atMost("µs", classify.median(perCall)/1e3, 2),
			atMost("allocations", classify.median(allocs), 4).as("%.1f"),
		}},
	)
	return nil
}

func thousand(name string, f func() error) contender {
	return contender{name, func(int) (func(int) error, func(), error) {
		return func(int) error {
			for range 1000 {
				if err := f(); err != nil {
					return err
				}
			}
			return nil
		}, func() {}, nil
	}}
}
