package outbox

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	stderrors "errors"
)

// never is a time that does not come, in microseconds.
const never = int64(1) << 62

// A database is the user's database and its dialect. Times in it are
// microseconds since 1970: PostgreSQL's own clock, or Go's on SQLite, which has
// only the host's.
type database struct {
	db       *sql.DB
	postgres bool
	prefix   string
	names    *strings.Replacer
	turn     chan struct{} // SQLite has one writer. A channel, not a lock: its holder waits for the disk
	texts    sync.Map      // of string to statement
}

// A statement is the text that the database gets. Where the host's clock counts,
// the time is the last parameter.
type statement struct {
	text  string
	clock bool
}

type querier interface {
	Execer
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

var (
	parameter = regexp.MustCompile(`\$(\d+)`)
	validName = regexp.MustCompile(`^([A-Za-z_]\w{0,62}\.)?[A-Za-z_]\w{0,40}$`)
)

func newDatabase(db *sql.DB, postgres bool, prefix string) (*database, error) {
	if prefix == "" {
		prefix = "sesguard_"
	}
	if !validName.MatchString(prefix) {
		return nil, fmt.Errorf("outbox: the prefix %q is no name of tables", prefix)
	}
	d := &database{db: db, postgres: postgres, prefix: prefix, turn: make(chan struct{}, 1)}
	d.names = d.vocabulary()
	return d, nil
}

// detect asks which database this is. PostgreSQL's question comes first, since
// SQLite's would stand as an error in a server's log.
func detect(ctx context.Context, db *sql.DB) (postgres bool, err error) {
	var version string
	first := db.QueryRowContext(ctx, "select current_setting('server_version_num')").Scan(&version)
	if first == nil {
		if n, _ := strconv.Atoi(version); n < 120000 {
			return true, fmt.Errorf("outbox: PostgreSQL 12 or newer is needed, this is %s", version)
		}
		return true, nil
	}
	if err := db.QueryRowContext(ctx, "select sqlite_version()").Scan(&version); err != nil {
		return false, fmt.Errorf("outbox: neither PostgreSQL nor SQLite answers: %w", stderrors.Join(first, err))
	}
	var major, minor int
	if _, err := fmt.Sscanf(version, "%d.%d", &major, &minor); err != nil || major < 3 || major == 3 && minor < 38 {
		return false, fmt.Errorf("outbox: SQLite 3.38 or newer is needed, this is %s", version)
	}
	return false, nil
}

// vocabulary is where the dialects differ.
func (d *database) vocabulary() *strings.Replacer {
	_, bare, qualified := strings.Cut(d.prefix, ".")
	if !qualified {
		bare = d.prefix
	}
	words := []string{"{index}", bare}
	for _, table := range []string{"mail", "content", "hold", "process", "rate", "schema", "outbox", "holds"} {
		words = append(words, "{"+table+"}", d.prefix+table)
	}
	if d.postgres {
		return strings.NewReplacer(append(words,
			// The statement's time, which is constant while it runs: an index
			// condition. The limiter needs the time after it got its row's lock.
			"{now}", "(extract(epoch from statement_timestamp())*1000000)::bigint",
			"{clock}", "(extract(epoch from clock_timestamp())*1000000)::bigint",
			"{max}", "greatest", "{min}", "least",
			"{text}", `text collate "C"`, "{blob}", "bytea",
			"{vacuum}", "with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0)",
			"{array}", "= any(array(", "{end}", "))",
			"{skip}", "for update skip locked",
		)...)
	}
	return strings.NewReplacer(append(words,
		"{clock}", "{now}", "{max}", "max", "{min}", "min",
		"{text}", "text", "{blob}", "blob", "{vacuum}", "",
		"{array}", "in (", "{end}", ")", "{skip}", "",
	)...)
}

// statement translates a text. One that begins with {rows i text, c bigint} is
// for each: b.i and b.c are the values of a row, {from} stands where they join,
// and "id {among}" is true for all values of the first: it makes PostgreSQL use
// the index, also in a plan that it made while the table was small.
func (d *database) statement(text string) statement {
	if s, ok := d.texts.Load(text); ok {
		return s.(statement)
	}
	s := statement{text: text}
	if rest, ok := strings.CutPrefix(text, "{rows "); ok {
		columns, rest, _ := strings.Cut(rest, "}")
		s.text = d.rows(strings.Split(columns, ", "), rest)
	}
	s.text = d.names.Replace(s.text)
	if !d.postgres {
		last := 0
		s.text = parameter.ReplaceAllStringFunc(s.text, func(p string) string {
			n, _ := strconv.Atoi(p[1:])
			last = max(last, n)
			return "+?" + p[1:] // bare, SQLite may plan anew for each value
		})
		s.clock = strings.Contains(s.text, "{now}")
		s.text = strings.ReplaceAll(s.text, "{now}", "+?"+strconv.Itoa(last+1))
	}
	d.texts.Store(text, s)
	return s
}

// rows makes the values b.… of a statement: columns of a table that PostgreSQL
// reads from JSON, whatever arrays the driver knows, or SQLite's parameters.
func (d *database) rows(columns []string, text string) string {
	var list []string
	for n, column := range columns {
		name, kind, _ := strings.Cut(column, " ")
		if !d.postgres {
			text = strings.ReplaceAll(text, "b."+name, fmt.Sprintf("$%d", n+1))
		}
		list = append(list, fmt.Sprintf("cast(v->>%d as %s) as %s", n, kind, name))
	}
	if !d.postgres {
		return strings.NewReplacer("{from}", "", "{among}", "= $1").Replace(text)
	}
	table := fmt.Sprintf("(select %s from jsonb_array_elements(cast(cast($1 as text) as jsonb)) as e(v)) as b", strings.Join(list, ", "))
	return strings.NewReplacer("{from}", "from "+table, "{among}", "= any(array(select b.i from "+table+"))").Replace(text)
}

// each runs a statement for all rows: on PostgreSQL at once; on SQLite one after
// the other, since there is no round trip to save, and to read JSON takes longer
// than an update.
func (d *database) each(ctx context.Context, x querier, text string, rows [][]any, result func(*sql.Rows) error) error {
	if len(rows) == 0 {
		return nil
	}
	if d.postgres {
		data, err := json.Marshal(rows)
		if err != nil {
			return err
		}
		return d.query(ctx, x, text, result, string(data))
	}
	for _, row := range rows {
		if err := d.query(ctx, x, text, result, row...); err != nil {
			return err
		}
	}
	return nil
}

// exec runs a statement and returns how many rows it changed.
func (d *database) exec(ctx context.Context, x Execer, text string, args ...any) (int64, error) {
	text, args = d.bind(text, args)
	result, err := x.ExecContext(ctx, text, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// query runs a statement and calls row for each row.
func (d *database) query(ctx context.Context, x querier, text string, row func(*sql.Rows) error, args ...any) error {
	text, args = d.bind(text, args)
	rows, err := x.QueryContext(ctx, text, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// bind returns what the database gets.
func (d *database) bind(text string, args []any) (string, []any) {
	s := d.statement(text)
	if s.clock {
		args = append(slices.Clip(args), time.Now().UnixMicro())
	}
	return s.text, args
}

func nothing(*sql.Rows) error { return nil }

// update runs a statement in a transaction of its own.
func (d *database) update(ctx context.Context, text string, args ...any) (n int64, err error) {
	err = d.write(ctx, func(x querier) error {
		n, err = d.exec(ctx, x, text, args...)
		return err
	})
	return n, err
}

// write runs f in a transaction that is on the disk when write returns nil.
// After another result the transaction may or may not have happened.
func (d *database) write(ctx context.Context, f func(querier) error) error {
	s := session{database: d}
	defer s.close()
	return s.write(ctx, f)
}

func (d *database) writePostgres(ctx context.Context, f func(querier) error) error {
	tx, err := d.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	const wait = "select set_config('synchronous_commit', 'on', true) where current_setting('synchronous_commit') in ('off', 'local', 'remote_write')"
	if _, err := tx.ExecContext(ctx, wait); err != nil {
		return err
	}
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}
