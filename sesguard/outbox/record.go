package outbox

import (
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	stderrors "errors"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard"
)

// A State is where a mail stands. The table in the package's documentation says
// what leads from one to the other.
type State string

// The states.
const (
	Waiting  State = "waiting"  // stored: due now, at SendAt, or after a refusal's wait
	Sending  State = "sending"  // written just before SES is asked
	Sent     State = "sent"     // SES has it
	InDoubt  State = "in-doubt" // SES may have it
	Failed   State = "failed"   // refused for good
	Expired  State = "expired"  // not sent in time
	Canceled State = "canceled" // taken back
)

// Errors of decisions on one mail.
var (
	ErrNotFound = stderrors.New("outbox: no such mail")
	ErrState    = stderrors.New("outbox: the mail's state does not allow it")
	ErrErased   = stderrors.New("outbox: the mail's content is erased")
)

// A Record is what the outbox knows of a mail: no subject, no recipients.
type Record struct {
	ID, TrackID, Key, Group  string
	From                     string // the author's address
	Tenant, ConfigurationSet string
	State                    State
	Priority                 Priority
	Recipients, Size         int // how many, and the octets of the stored form
	Attempts                 int
	Created, Due, Changed    time.Time
	Expires                  time.Time        // zero: never
	MessageID                string           // SES's, once sent; empty if the server gave none
	Held                     string           // the holds that keep a waiting mail, such as "account: sending-paused"; empty: none
	Err                      *seserrors.Error // the last failure, without recipients; nil: none
}

// A Query selects records. The zero value selects all.
type Query struct {
	State  State
	Held   bool // only waiting mails that a hold keeps
	Group  string
	From   string
	Reason seserrors.Reason // of the last failure
	After  string           // the ID of the last record of the page before
	Limit  int              // 0: 100
}

const selectRecord = `select id, track, key, grp, sender, tenant, cset, lane, state, priority, recipients, size, attempts,
	created, due, changed, expires, message_id, err from {mail} `

// Get returns the record of one mail. The error is ErrNotFound for an ID that is
// not there, or not any more.
func (o *Outbox) Get(ctx context.Context, id string) (*Record, error) {
	list, err := o.records(ctx, selectRecord+"where id = $1", id)
	if err == nil && len(list) == 0 {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return &list[0], nil
}

// List returns the records that q selects, ordered by ID. Pages follow each
// other by Query.After; an empty page ends the list.
func (o *Outbox) List(ctx context.Context, q Query) ([]Record, error) {
	if q.Limit <= 0 {
		q.Limit = 100
	}
	if q.Held && q.State == "" {
		q.State = Waiting
	}
	text, args := selectRecord+"where id > $1", []any{q.After}
	for _, c := range []struct{ column, value string }{
		{"state", string(q.State)}, {"grp", q.Group}, {"sender", q.From}, {"reason", string(q.Reason)},
	} {
		if c.value != "" {
			args = append(args, c.value)
			text += fmt.Sprintf(" and %s = $%d", c.column, len(args))
		}
	}
	text += fmt.Sprintf(" order by id limit %d", q.Limit)
	for {
		page, err := o.records(ctx, text, args...)
		if err != nil || !q.Held || len(page) == 0 {
			return page, err
		}
		args[0] = page[len(page)-1].ID
		page = slices.DeleteFunc(page, func(r Record) bool { return r.Held == "" })
		if len(page) > 0 {
			return page, nil
		}
	}
}

func (o *Outbox) records(ctx context.Context, text string, args ...any) ([]Record, error) {
	held, err := o.holds(ctx, o.db)
	if err != nil {
		return nil, err
	}
	var list []Record
	err = o.query(ctx, o.db, text, func(rows *sql.Rows) error {
		var r Record
		var rank, created, due, changed, expires int64
		var lane, failure string
		err := rows.Scan(&r.ID, &r.TrackID, &r.Key, &r.Group, &r.From, &r.Tenant, &r.ConfigurationSet, &lane, &r.State, &rank,
			&r.Recipients, &r.Size, &r.Attempts, &created, &due, &changed, &expires, &r.MessageID, &failure)
		r.Priority, r.Created, r.Due, r.Changed = priority(rank), at(created), at(due), at(changed)
		if expires < never/2 {
			r.Expires = at(expires)
		}
		if r.State == Waiting {
			r.Held = held.text(lane)
		}
		r.Err = loadError(failure)
		list = append(list, r)
		return err
	}, args...)
	return list, err
}

func at(microseconds int64) time.Time { return time.UnixMicro(microseconds) }

// Mail returns the content of one mail: ErrErased if it was erased, as that of a
// sent mail is without Options.KeepContent.
func (o *Outbox) Mail(ctx context.Context, id string) (*sesguard.Mail, error) {
	var content []byte
	var coding int64
	err := o.query(ctx, o.db, "select coding, mail from {content} where id = $1", func(rows *sql.Rows) error {
		return rows.Scan(&coding, &content)
	}, id)
	if err != nil {
		return nil, err
	}
	if content == nil {
		if _, err := o.Get(ctx, id); err != nil {
			return nil, err
		}
		return nil, ErrErased
	}
	return o.unpack(content, coding)
}

func (o *Outbox) unpack(content []byte, coding int64) (*sesguard.Mail, error) {
	if coding == gzipped {
		r, ok := o.readers.Get().(*gzip.Reader)
		if !ok {
			r = new(gzip.Reader)
		}
		defer o.readers.Put(r)
		err := r.Reset(bytes.NewReader(content))
		if err == nil {
			content, err = io.ReadAll(r)
		}
		if err != nil {
			return nil, &seserrors.Error{Op: "outbox load mail", Class: seserrors.Invalid, Reason: seserrors.ContentUnreadable, Err: err}
		}
	}
	mail, err := sesguard.LoadMail(content)
	if err != nil {
		return nil, err
	}
	return mail.Track(TrackTag)
}

// storeError is what is stored of an error: SES's words, no recipients, and no
// identities, which may be recipients. Its fields are named one by one, lest one
// that is new be stored unseen.
func storeError(e *seserrors.Error) string {
	if e == nil {
		return ""
	}
	data, err := json.Marshal(seserrors.Error{
		Op: e.Op, Class: e.Class, Reason: e.Reason, Code: e.Code, Enhanced: e.Enhanced, APICode: e.APICode, Message: e.Message,
		Region: e.Region, Endpoint: e.Endpoint, RequestID: e.RequestID, MaybeAccepted: e.MaybeAccepted,
	})
	if err != nil {
		return ""
	}
	return string(data)
}

// storable is what PostgreSQL takes of a text that a transport has made up: one
// that it refuses would keep the whole transaction from being written.
func storable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, ""), "\x00", "")
}

func loadError(text string) *seserrors.Error {
	e := new(seserrors.Error)
	if text == "" || json.Unmarshal([]byte(text), e) != nil {
		return nil
	}
	return e
}

// Stats are numbers for gauges and for a person.
type Stats struct {
	Mails      []Count   // how many, by state and priority
	OldestDue  time.Time // of the waiting mails that no hold keeps and that are due, the first; zero: none
	Holds      []Hold
	Processes  []Process
	Unseen     int // mails with a configuration set, sent in the last day and at least 15 minutes ago, of which no event told: growing numbers say that events are lost
	Duplicates int // mails for which SES's events named two message ids
}

// A Count is a number of mails.
type Count struct {
	State    State
	Priority Priority
	N        int
}

// A Process is one Run that is alive.
type Process struct {
	ID, Host       string
	Started, Alive time.Time // Alive: until when others count on it
}

// N returns how many mails are in a state.
func (s *Stats) N(state State) (n int) {
	for _, c := range s.Mails {
		if c.State == state {
			n += c.N
		}
	}
	return n
}

// Stats counts. It reads all records, so ask it once in a while: a million take
// about a second.
func (o *Outbox) Stats(ctx context.Context) (*Stats, error) {
	s := new(Stats)
	err := o.query(ctx, o.db, `select state, priority, count(*), count(case when other_id <> '' then 1 end),
		count(case when state = 'sent' and cset <> '' and seen = 0 and changed between {now} - $1 and {now} - $2 then 1 end)
		from {mail} group by state, priority order by state, priority desc`, func(r *sql.Rows) error {
		var c Count
		var rank int64
		var twice, unseen int
		err := r.Scan(&c.State, &rank, &c.N, &twice, &unseen)
		c.Priority = priority(rank)
		s.Mails, s.Duplicates, s.Unseen = append(s.Mails, c), s.Duplicates+twice, s.Unseen+unseen
		return err
	}, (24 * time.Hour).Microseconds(), minGrace.Microseconds())
	if err != nil {
		return nil, err
	}
	err = o.query(ctx, o.db, "select id, host, started, alive from {process} where alive > {now} order by started, id", func(r *sql.Rows) error {
		var p Process
		var started, alive int64
		err := r.Scan(&p.ID, &p.Host, &started, &alive)
		p.Started, p.Alive = at(started), at(alive)
		s.Processes = append(s.Processes, p)
		return err
	})
	if err != nil {
		return nil, err
	}
	held, err := o.holds(ctx, o.db)
	if err != nil {
		return nil, err
	}
	s.Holds = held.list()
	return s, o.query(ctx, o.db, "select lane, min(due) from {mail} where state = 'waiting' and owner = '' and due <= {now} group by lane", func(r *sql.Rows) error {
		var lane string
		var due int64
		err := r.Scan(&lane, &due)
		if t := at(due); held.text(lane) == "" && (s.OldestDue.IsZero() || t.Before(s.OldestDue)) {
			s.OldestDue = t
		}
		return err
	})
}
