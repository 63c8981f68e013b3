package outbox

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sesguard/sesguard-go/retry"
	"github.com/sesguard/sesguard-go/sesguard"
)

// TrackTag is the SES message tag in which every mail of an outbox carries its
// TrackID. Give it to event.Settle.
const TrackTag = "sesguard-id"

const (
	lease     = 30 * time.Second // how long a process counts as alive after its last sign
	heartbeat = 10 * time.Second // between two signs

	// How long results are written after DrainTimeout. With the default both fit
	// into the 30 seconds that Kubernetes gives a process to end.
	lastResults = 3 * time.Second

	// A doubt is not decided sooner than minGrace after it arose, and an attempt
	// does not last longer than maxAttempt: no attempt is under way when its
	// mail is sent again.
	minGrace   = 15 * time.Minute
	maxAttempt = 10 * time.Minute
)

// Options say how an outbox works. The zero value is ready to use. All
// processes on one database should have the same.
type Options struct {
	// Name is that of this deployment, "production". The first Open writes it
	// into the database, and Run refuses a database that bears another, such as
	// a copy for staging. Empty: not checked.
	Name string

	// Prefix is that of the tables. Empty: "sesguard_". On PostgreSQL it may
	// name a schema too: "mail.sesguard_". SQL words are letters, digits and _.
	Prefix string

	// Retry says which refusals are tried again and when. Its attempts are
	// counted in the database, so the schedule goes on over restarts.
	// MaxElapsed is not used: see MaxAge. With AllowDuplicates mails in doubt
	// are sent again: at least once instead of at most once.
	Retry retry.Policy

	// Limiter is asked before each attempt. Nil: none. [NewLimiter] makes one
	// that shares one rate between all processes.
	Limiter sesguard.Limiter

	// Concurrency is how many mails one Run sends at a time. 0: 10. Rate times
	// latency times two is enough.
	Concurrency int

	// MaxAge is how long after it was due a mail may still be sent; then it
	// expires. 0: 24 hours. Negative: for ever.
	MaxAge time.Duration

	// ResendUnseen is the grace after which a mail in doubt is sent again, if
	// SES's events told of all its neighbours and not of it: see "Doubt" in the
	// package's documentation. 0: never. Less than 15 minutes counts as 15.
	ResendUnseen time.Duration

	// Retention is how long the records of finished mails stay, and so the
	// window in which a Key is known. 0: 7 days. Negative: for ever.
	Retention time.Duration

	// KeepContent keeps the content of sent mails for as long as their records.
	// By default it is deleted in the transaction that writes "sent".
	KeepContent bool

	// DrainTimeout is how long Run lets sends under way go on when its context
	// has ended. 0: 25 seconds. Negative: their contexts end at once. Results that
	// the database does not take within 3 seconds more are lost, and their mails
	// in doubt.
	DrainTimeout time.Duration

	// Poll is how often an idle Run looks for what other processes enqueued.
	// 0: 1 second. What Enqueue stores in the same process is seen at once.
	Poll time.Duration

	// Wake, if not nil, makes Run look at once. On PostgreSQL Enqueue and
	// EnqueueTx notify the channel "sesguard_outbox" at commit: feed Wake from
	// LISTEN.
	Wake <-chan struct{}

	// OnChange is told of each change of a mail's state that this process made,
	// after its commit and in no particular order. Of what EnqueueTx stores it
	// is not told, since the caller commits that. It must not block and may be
	// called by several goroutines.
	OnChange func(Change)

	// NoMigrate keeps Open from creating and changing tables: see [Schema].
	NoMigrate bool

	// Logger gets a line for each mail that failed or is in doubt, for each
	// hold, and for trouble with the database, without recipients and content.
	// Nil: no logs.
	Logger *slog.Logger
}

// A Change is one change of a mail's state.
type Change struct {
	ID       string
	From, To State // From is empty for a mail that was enqueued
	Priority Priority
	Due      time.Time // when it was due, at first or after a refusal's wait; zero if that is not at hand
	Reason   string    // of the failure that caused it; empty: none
}

// An Outbox stores mails in a database and sends them from there. It is safe
// for concurrent use. Create it with [Open]; it needs no closing.
type Outbox struct {
	*database
	opts Options
	wake chan struct{}
	log  *slog.Logger

	// Of *gzip.Reader and *gzip.Writer, whose tables are larger than most mails.
	readers, writers sync.Pool
}

// Open returns the outbox in db, which is PostgreSQL 12 or SQLite 3.38 or newer,
// by whatever driver. It creates the tables or brings them up to date, unless
// Options.NoMigrate is set, and switches an SQLite file to write-ahead logging.
// It starts nothing: Run sends.
//
// An outbox needs one connection of db at a time for Enqueue, and three for Run;
// more only make it faster.
func Open(ctx context.Context, db *sql.DB, opts Options) (*Outbox, error) {
	postgres, err := detect(ctx, db)
	if err != nil {
		return nil, err
	}
	d, err := newDatabase(db, postgres, opts.Prefix)
	if err != nil {
		return nil, err
	}
	if err := d.migrate(ctx, opts.NoMigrate); err != nil {
		return nil, err
	}
	o := &Outbox{database: d, opts: opts.withDefaults(), wake: make(chan struct{}, 1), log: opts.Logger}
	if o.log == nil {
		o.log = slog.New(slog.DiscardHandler)
	}
	return o, o.christen(ctx)
}

func (opts Options) withDefaults() Options {
	def := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	def(&opts.MaxAge, 24*time.Hour)
	def(&opts.Retention, 7*24*time.Hour)
	def(&opts.DrainTimeout, 25*time.Second)
	if opts.Poll <= 0 {
		opts.Poll = time.Second
	}
	if opts.Concurrency <= 0 {
		opts.Concurrency = 10
	}
	if opts.ResendUnseen > 0 {
		opts.ResendUnseen = max(opts.ResendUnseen, minGrace)
	}
	opts.Retry.MaxElapsed = -1 // MaxAge ends a mail
	return opts
}

// changed tells OnChange.
func (o *Outbox) changed(list ...Change) {
	if o.opts.OnChange != nil {
		for _, c := range list {
			o.opts.OnChange(c)
		}
	}
}

// identity is what tells this database from a copy of it; empty if nothing does.
func (o *Outbox) identity(ctx context.Context) (id string, err error) {
	if o.postgres {
		// The server, the database in it, and the table in that, which a restored
		// dump makes anew.
		err = o.query(ctx, o.db, `select concat_ws('/', system_identifier, d.oid, to_regclass($1)::oid)
			from pg_control_system(), pg_database d where d.datname = current_database()`, func(r *sql.Rows) error { return r.Scan(&id) }, o.prefix+"schema")
		return id, err
	}
	var file string
	err = o.query(ctx, o.db, "select coalesce(file, '') from pragma_database_list where name = 'main'", func(r *sql.Rows) error { return r.Scan(&file) })
	return fileNumber(file), err
}

// christen writes name and identity into a database that has none.
func (o *Outbox) christen(ctx context.Context) error {
	name, id, now, err := o.bears(ctx)
	if err != nil || (name != "" || o.opts.Name == "") && (id != "" || now == "") {
		return err
	}
	_, err = o.update(ctx, `update {schema} set name = case when name = '' then $1 else name end,
		identity = case when identity = '' then $2 else identity end`, o.opts.Name, now)
	return err
}

// bears returns the name and the identity that the database bears, and which
// identity it has now.
func (o *Outbox) bears(ctx context.Context) (name, id, now string, err error) {
	err = o.query(ctx, o.db, "select name, identity from {schema}", func(r *sql.Rows) error { return r.Scan(&name, &id) })
	if err == nil {
		now, err = o.identity(ctx)
	}
	return name, id, now, err
}

// own refuses a database that is another deployment's or a copy, or that a newer
// program has changed in a way that this one does not understand.
func (o *Outbox) own(ctx context.Context) error {
	have, oldest, err := o.version(ctx, o.db)
	if err := compatible(have, oldest, err); err != nil {
		return err
	}
	name, id, now, err := o.bears(ctx)
	if err != nil {
		return err
	}
	if o.opts.Name != "" && name != o.opts.Name {
		return fmt.Errorf("outbox: the database is that of %q, not of %q: see Adopt", name, o.opts.Name)
	}
	if id != now && id != "" {
		return fmt.Errorf("outbox: the database is a copy or was restored; its mails may have been sent: see Adopt")
	}
	return nil
}
