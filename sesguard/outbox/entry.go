package outbox

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base32"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	stderrors "errors"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard"
)

// An Entry is what is enqueued: a message, and when and in which order to send
// it.
type Entry struct {
	// Message is validated and built by Enqueue, and stored in its built form:
	// what was validated is what is sent. Attachments with Open are read. A zero
	// Date becomes SendAt. A Raw with an X-SES-MESSAGE-TAGS header is refused,
	// because SES would ignore that header or the outbox's own tag.
	Message *sesguard.Message

	// Key makes Enqueue idempotent: while a record with this key exists, a
	// second entry with it is a Duplicate, whatever its message. Empty: none.
	// At most 1,024 octets.
	Key string

	// Priority is strict: no mail is sent while one of a higher priority is due.
	Priority Priority

	// Group shares the rate evenly with the other groups of its priority. Empty:
	// the message's tenant, sender and configuration set make its group. At most
	// 255 octets.
	Group string

	SendAt   time.Time // not before. Zero: now
	Deadline time.Time // not after. Zero: Options.MaxAge after it was due
}

// A Priority is the order of mails that are due at the same time. The zero value
// is Normal.
type Priority int8

// The priorities.
const (
	Normal Priority = iota
	Urgent          // login codes
	Bulk            // newsletters
)

// rank is the priority as it is stored: higher goes first.
func (p Priority) rank() int64 { return map[Priority]int64{Urgent: 2, Normal: 1}[p] }

func priority(rank int64) Priority { return map[int64]Priority{2: Urgent, 1: Normal, 0: Bulk}[rank] }

// String returns "normal", "urgent" or "bulk".
func (p Priority) String() string {
	if p < Normal || p > Bulk {
		return fmt.Sprintf("Priority(%d)", int8(p))
	}
	return [...]string{"normal", "urgent", "bulk"}[p]
}

// A Ticket says under which ID an entry is stored. Duplicate: its Key was known,
// and nothing was stored.
type Ticket struct {
	ID        string
	Duplicate bool
}

// An Execer runs a statement: *sql.Tx, *sql.Conn, and the transactions of sqlx,
// bun and gorm.
type Execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// An ExecFunc makes an Execer of anything that runs a statement and counts rows,
// such as the Exec of a pgx.Tx.
type ExecFunc func(ctx context.Context, query string, args ...any) (rows int64, err error)

// ExecContext calls f.
func (f ExecFunc) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	n, err := f(ctx, query, args...)
	return rowsAffected(n), err
}

type rowsAffected int64

func (n rowsAffected) RowsAffected() (int64, error) { return int64(n), nil }
func (n rowsAffected) LastInsertId() (int64, error) {
	return 0, stderrors.New("outbox: no insert id")
}

// notifyChannel is what PostgreSQL's LISTEN names.
const notifyChannel = "sesguard_outbox"

// Enqueue stores the entries, all or none, and returns when they are on the
// disk. From then on each of them ends in a known state. An invalid message is a
// *seserrors.Error of class Invalid, as from [sesguard.Build]; after any other
// error the entries may be stored, if the answer of the commit was lost, so
// repeat it only with Keys.
func (o *Outbox) Enqueue(ctx context.Context, entries ...Entry) ([]Ticket, error) {
	rows, err := o.pack(entries)
	if err != nil {
		return nil, err
	}
	var tickets []Ticket
	err = o.write(ctx, func(x querier) error {
		tickets, err = o.store(ctx, x, rows)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("outbox: enqueue: %w", err)
	}
	o.nudge()
	for i, t := range tickets {
		if !t.Duplicate {
			o.changed(Change{ID: t.ID, To: Waiting, Priority: entries[i].Priority})
		}
	}
	return tickets, nil
}

// EnqueueTx stores the entries in a transaction of the caller's, who commits it:
// they exist if and only if what it writes beside them does. After an error roll
// it back.
//
// A *sql.Tx of the database given to Open is an Execer, and so is what ExecFunc
// makes of another driver's transaction. On SQLite the transaction's connection
// must run with synchronous FULL, which is SQLite's default: less is refused,
// because a power cut would lose the mail. On PostgreSQL a second open
// transaction with the same Key waits for the first.
func (o *Outbox) EnqueueTx(ctx context.Context, tx Execer, entries ...Entry) ([]Ticket, error) {
	rows, err := o.pack(entries)
	if err != nil {
		return nil, err
	}
	tickets, err := o.store(ctx, tx, rows)
	if err != nil {
		return nil, fmt.Errorf("outbox: enqueue: %w", err)
	}
	return tickets, nil
}

// A row is an entry in the form in which it is stored.
type row struct {
	args    []any // of insertMail
	id      string
	content []byte
	coding  int64
}

const (
	insertMail = `insert into {mail} (id, track, key, lane, grp, tenant, sender, cset, priority, state, recipients, size, created, due, expires, changed) `
	mailValues = `$1, $2, $3, $4, $5, $6, $7, $8, $9, 'waiting', $10, $11, {now}, {max}($12, {now}), {min}($13, {max}($12, {now}) + $14), {now}`

	// On SQLite the statement itself refuses a commit that does not wait for
	// the disk: an Execer cannot be asked.
	insertPostgres = insertMail + "values (" + mailValues + ") on conflict (id) do nothing"
	insertSQLite   = insertMail + "select " + mailValues + " from pragma_synchronous where synchronous >= 2 on conflict (id) do nothing"
)

func (o *Outbox) store(ctx context.Context, x Execer, rows []row) ([]Ticket, error) {
	insert := insertSQLite
	if o.postgres {
		insert = insertPostgres
	}
	tickets := make([]Ticket, 0, len(rows))
	for _, r := range rows {
		n, err := o.exec(ctx, x, insert, r.args...)
		if err != nil {
			return nil, err
		}
		if n == 0 && !o.postgres {
			known, err := o.exec(ctx, x, "update {mail} set key = key where id = $1", r.id)
			if err != nil {
				return nil, err
			}
			if known == 0 {
				return nil, stderrors.New("the connection runs with synchronous below FULL, so a power cut would lose the mail")
			}
		}
		tickets = append(tickets, Ticket{ID: r.id, Duplicate: n == 0})
		if n == 0 {
			continue
		}
		if _, err := o.exec(ctx, x, "insert into {content} (id, coding, mail) values ($1, $2, $3)", r.id, r.coding, r.content); err != nil {
			return nil, err
		}
	}
	if o.postgres {
		if _, err := o.exec(ctx, x, "select pg_notify($1, '')", notifyChannel); err != nil {
			return nil, err
		}
	}
	return tickets, nil
}

func (o *Outbox) pack(entries []Entry) ([]row, error) {
	rows := make([]row, 0, len(entries))
	for i, e := range entries {
		r, err := o.packOne(e)
		if err != nil {
			return nil, fmt.Errorf("outbox: entry %d: %w", i, err)
		}
		rows = append(rows, r)
	}
	return rows, nil
}

func (o *Outbox) packOne(e Entry) (row, error) {
	mail, err := e.build()
	if err != nil {
		return row{}, err
	}
	content, err := mail.MarshalBinary()
	if err != nil {
		return row{}, err
	}
	r := row{id: mail.TrackID()}
	if e.Key != "" {
		sum := sha256.Sum256([]byte(e.Key))
		r.id = base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:16])
	}
	r.content, r.coding = o.compress(content)
	due, deadline := int64(0), never
	if !e.SendAt.IsZero() {
		due = e.SendAt.UnixMicro()
	}
	if !e.Deadline.IsZero() {
		deadline = e.Deadline.UnixMicro()
	}
	lane := strings.Join([]string{e.Group, mail.Tenant(), strings.ToLower(mail.Author()), mail.ConfigurationSet()}, laneSeparator)
	r.args = []any{
		r.id, mail.TrackID(), e.Key, lane, e.Group, mail.Tenant(), mail.Author(), mail.ConfigurationSet(),
		e.Priority.rank(), int64(len(mail.Recipients())), int64(len(content)), due, deadline, o.age(),
	}
	return r, nil
}

// build checks the entry and builds its message.
func (e Entry) build() (*sesguard.Mail, error) {
	invalid := func(why string) error {
		return &seserrors.Error{Op: "outbox enqueue", Class: seserrors.Invalid, Reason: seserrors.InvalidParameter, Message: why}
	}
	switch {
	case e.Message == nil:
		return nil, invalid("there is no message")
	case e.Priority < Normal || e.Priority > Bulk:
		return nil, invalid("there is no such priority")
	case len(e.Key) > 1024 || !isText(e.Key):
		return nil, invalid("the key is longer than 1,024 octets or no text")
	case len(e.Group) > 255 || !isText(e.Group):
		return nil, invalid("the group is longer than 255 octets or no text")
	case !e.Deadline.IsZero() && e.Deadline.Before(e.SendAt):
		return nil, invalid("the deadline comes before SendAt")
	}
	m := *e.Message
	if m.Date.IsZero() && m.Raw == nil {
		m.Date = e.SendAt
	}
	mail, err := sesguard.Build(&m)
	if err != nil {
		return nil, err
	}
	if len(mail.Tags()) > len(m.Tags) {
		return nil, invalid("the X-SES-MESSAGE-TAGS header of Raw and the outbox's own tag exclude each other")
	}
	return mail.Track(TrackTag)
}

// isText reports whether every database stores s as it is.
func isText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

const (
	plain   = 0
	gzipped = 1
)

// compress compresses what is worth it.
func (o *Outbox) compress(content []byte) ([]byte, int64) {
	if len(content) < 1<<10 {
		return content, plain
	}
	w, ok := o.writers.Get().(*gzip.Writer)
	if !ok {
		w, _ = gzip.NewWriterLevel(nil, gzip.BestSpeed) // an error is about the level
	}
	defer o.writers.Put(w)
	var b bytes.Buffer
	w.Reset(&b)
	w.Write(content) // to memory
	w.Close()
	if b.Len() >= len(content) {
		return content, plain
	}
	return b.Bytes(), gzipped
}
