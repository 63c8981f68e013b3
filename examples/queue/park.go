package main

import (
	"context"
	"errors"
	"log"
	"sync"
	"time"

	"github.com/sesguard/sesguard-go/sesguard/event"
)

// trackTag names the message tag in which each mail bears an id of its own.
const trackTag = "sesguard-id"

// A park keeps the mails that SES may have until SES's events tell. The
// consumer and the reader of events use it at the same time. It is in memory
// here; a table of jobs, and one of doubts behind event.DoubtStore, outlive the
// process.
type park struct {
	doubts event.Doubts
	log    *log.Logger

	mu   sync.Mutex
	jobs map[string]*job             // by TrackID
	is   map[string]event.DoubtState // the same
}

func newPark(log *log.Logger) *park {
	p := &park{log: log, jobs: map[string]*job{}, is: map[string]event.DoubtState{}}
	p.doubts.Settled = p.settled
	return p
}

// add parks a job. The events may have come before it, and settle it at once.
func (p *park) add(j *job) error {
	id := j.mail.TrackID()
	p.mu.Lock()
	p.jobs[id] = j
	p.mu.Unlock()
	return p.doubts.Add(context.Background(), id, time.Now()) // also while the program ends
}

// hear takes a message from the queue of SES's events. Delete the message when it
// returns nil.
func (p *park) hear(ctx context.Context, message []byte) error {
	events, err := event.Parse(message)
	for _, e := range events {
		err = errors.Join(err, event.Settle(ctx, &p.doubts, trackTag, e))
	}
	return err
}

// settled is told what became of a mail in doubt: once or more, and of
// Accepted or Duplicated also after Unconfirmed.
func (p *park) settled(_ context.Context, d event.Doubt) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	j := p.jobs[d.TrackID]
	if j == nil || d.State <= p.is[d.TrackID] {
		return nil
	}
	p.is[d.TrackID] = d.State
	p.log.Printf("%-20s %s", j.message.Subject, map[event.DoubtState]string{
		event.Accepted:    "SES has it: acknowledge",
		event.Duplicated:  "SES has it twice: acknowledge, and tell who sent it again",
		event.Unconfirmed: "no event came, which proves nothing: ask a person",
	}[d.State])
	return nil
}

// unconfirmed returns the jobs that wait for a person.
func (p *park) unconfirmed() (jobs []*job) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, j := range p.jobs {
		if p.is[id] == event.Unconfirmed {
			jobs = append(jobs, j)
		}
	}
	return jobs
}

// count returns how many parked mails are in a state.
func (p *park) count(state event.DoubtState) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id := range p.jobs {
		if p.is[id] == state {
			n++
		}
	}
	return n
}
