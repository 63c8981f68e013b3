package soak

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

// subject begins every mail's; its number follows.
const subject = "soak "

// A verdict is what Send said of a mail.
type verdict uint8

const (
	unsaid verdict = iota
	accepted
	refused
	inDoubt
)

// A ledger holds what Send said against what SES has. It forgets a mail when it
// is settled, so it does not grow with the length of the run.
type ledger struct {
	mu     sync.Mutex
	last   int64
	mails  map[int64]*record
	closed []int64 // in the order in which Send returned
	sum    balance
}

type record struct {
	said   verdict
	at     time.Time // when Send returned
	copies int       // in SES's mailbox
}

func newLedger() *ledger {
	return &ledger{last: -1, mails: map[int64]*record{}, sum: balance{reasons: map[string]int{}}}
}

// open begins a mail and returns its number.
func (l *ledger) open() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	l.mails[l.last] = &record{}
	return l.last
}

// close notes what Send said.
func (l *ledger) close(n int64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.mails[n]
	r.at = time.Now()
	l.closed = append(l.closed, n)
	l.sum.sent++
	switch {
	case err == nil:
		r.said = accepted
		l.sum.accepted++
	case seserrors.MaybeAccepted(err):
		r.said = inDoubt
		l.sum.inDoubt++
	default:
		r.said = refused
		l.sum.refused++
	}
}

// attempt counts for sesguard.Hooks.AttemptDone.
func (l *ledger) attempt(_ context.Context, a sesguard.Attempt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sum.attempts++
	if a.Err != nil {
		l.sum.reasons[string(a.Err.Reason)]++
	}
}

// find notes what SES accepted.
func (l *ledger) find(mails []sestest.Mail) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range mails {
		l.sum.mailbox++
		n, whole := read(m.Data)
		if !whole {
			l.sum.changed++
		}
		if r := l.mails[n]; r != nil {
			r.copies++
		} else {
			l.sum.strays++
		}
	}
}

// read returns the number of a mail, and whether it is octet for octet the one
// that was sent.
func read(data []byte) (n int64, whole bool) {
	_, rest, _ := bytes.Cut(data, []byte("\nSubject: "+subject))
	if _, err := fmt.Sscan(string(rest[:min(len(rest), 20)]), &n); err != nil {
		return -1, false
	}
	var want bytes.Buffer
	_, err := letter(n).WriteTo(&want)
	return n, err == nil && bytes.Equal(data, want.Bytes())
}

// settle judges and forgets the mails whose Send returned before.
func (l *ledger) settle(before time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.closed) > 0 && !l.mails[l.closed[0]].at.After(before) {
		l.judge(l.mails[l.closed[0]])
		delete(l.mails, l.closed[0])
		l.closed = l.closed[1:]
	}
}

func (l *ledger) judge(r *record) {
	switch {
	case r.said == accepted && r.copies == 0:
		l.sum.lost++
	case r.said == refused && r.copies > 0:
		l.sum.misreported++
	case r.said == inDoubt && r.copies > 0:
		l.sum.doubtTaken++
	}
	if r.copies > 1 {
		l.sum.doubled++
	}
}

func (l *ledger) balance() balance {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.sum
	b.reasons = maps.Clone(b.reasons)
	return b
}
