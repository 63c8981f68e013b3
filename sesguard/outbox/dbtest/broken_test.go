package dbtest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	stderrors "errors"
	"strings"

	"github.com/sesguard/sesguard-go/sesguard"
)

// A tap stands between the outbox and the database: it looks at statements, or
// changes them to see that the tests notice.
type tap struct {
	statement func(conn driver.Conn, query string) string // what is run; nil: what is to be
	lost      func(query string) bool                     // whether nobody hears the answer of what was run; nil: never
}

func (t tap) before(conn driver.Conn, query string) string {
	if t.statement == nil {
		return query
	}
	return t.statement(conn, query)
}

var errNoAnswer = stderrors.New("the answer was lost")

func (t tap) after(query string, err error) error {
	if err == nil && t.lost != nil && t.lost(query) {
		return errNoAnswer
	}
	return err
}

type tapped struct {
	inner  driver.Driver
	source string
	tap    tap
}

// openTapped opens p with tap in between.
func openTapped(p place, tap tap) (*sql.DB, error) {
	db, err := sql.Open(p.driver, p.source)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	return sql.OpenDB(tapped{db.Driver(), p.source, tap}), nil
}

func (d tapped) Driver() driver.Driver { return d.inner }

func (d tapped) Connect(context.Context) (driver.Conn, error) {
	conn, err := d.inner.Open(d.source)
	if err != nil {
		return nil, err
	}
	return tappedConn{conn, d.tap}, nil
}

type tappedConn struct {
	driver.Conn
	tap tap
}

func (c tappedConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, c.tap.before(c.Conn, query), args)
}

func (c tappedConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	result, err := c.Conn.(driver.ExecerContext).ExecContext(ctx, c.tap.before(c.Conn, query), args)
	return result, c.tap.after(query, err)
}

// Prepare taps each run of the statement, not only this call.
func (c tappedConn) Prepare(query string) (driver.Stmt, error) { return tappedStmt{c, query}, nil }

type tappedStmt struct {
	conn  tappedConn
	query string
}

func (s tappedStmt) Close() error { return nil }

func (s tappedStmt) NumInput() int { return -1 }

func (s tappedStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return s.conn.QueryContext(ctx, s.query, args)
}

func (s tappedStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return s.conn.ExecContext(ctx, s.query, args)
}

// Exec and Query are those of drivers without contexts.
func (s tappedStmt) Exec([]driver.Value) (driver.Result, error) { return nil, driver.ErrSkip }

func (s tappedStmt) Query([]driver.Value) (driver.Rows, error) { return nil, driver.ErrSkip }

func (c tappedConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	c.tap.before(c.Conn, "begin")
	tx, err := c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
	return tappedTx{tx, c}, err
}

// A tappedTx is that of PostgreSQL's drivers. On SQLite the outbox writes commit
// as a statement.
type tappedTx struct {
	driver.Tx
	conn tappedConn
}

func (tx tappedTx) Commit() error {
	tx.conn.tap.before(tx.conn.Conn, "commit")
	return tx.conn.tap.after("commit", tx.Tx.Commit())
}

func (c tappedConn) CheckNamedValue(v *driver.NamedValue) error {
	if checker, ok := c.Conn.(driver.NamedValueChecker); ok {
		return checker.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

func isMark(query string) bool {
	return strings.HasPrefix(query, "update sesguard_mail as m set state = 'sending'")
}

func isResult(query string) bool {
	return strings.HasPrefix(query, "update sesguard_mail") && strings.Contains(query, "other_id = case")
}

// withoutMark makes a mark that finds its mails and changes nothing. The result
// after the call is then the first that the database hears of the attempt.
func withoutMark(_ driver.Conn, query string) string {
	if !isMark(query) {
		return query
	}
	_, condition, _ := strings.Cut(query, " where ")
	condition, _, _ = strings.Cut(condition, " returning")
	query = "select m.id from sesguard_mail as m where " + condition
	return query + " and ?4 > 0" // the clock, which is not used any more
}

func isClaim(query string) bool {
	return strings.Contains(query, "set owner = ") && strings.Contains(query, "claim + 1")
}

// plainClaim is the statement that PostgreSQL runs once for each row.
func plainClaim(claim string) string {
	_, rest, ok := strings.Cut(claim, "with c as materialized (")
	if !ok {
		return claim
	}
	inner, rest, _ := strings.Cut(rest, ")\n\t\tupdate")
	return "update" + strings.Replace(rest, "= any(array(select id from c))", "in ("+inner+")", 1)
}

// markAfter writes the mark when SES has answered.
func markAfter(db *sql.DB, transport sesguard.Transport) sesguard.Transport {
	return sesguard.TransportFunc(func(ctx context.Context, m *sesguard.Mail) (*sesguard.Receipt, error) {
		receipt, err := transport.Attempt(ctx, m)
		db.ExecContext(ctx, "update sesguard_mail set state = 'sending', attempts = attempts + 1 where track = ?1", m.TrackID())
		return receipt, err
	})
}
