package outbox

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"strings"
	"sync"
	"time"
)

// A tap stands between the outbox and the database and counts.
type tap struct {
	mu         sync.Mutex
	statements int
	ofRate     int             // on the limiter's row
	commits    int             // of changes or claims
	claims     []time.Duration // from the first statement of a claim to the end of its commit
}

// open opens p with the tap in between.
func (t *tap) open(p place) (*sql.DB, error) {
	db, err := sql.Open(p.Driver, p.Source)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	return sql.OpenDB(connector{db.Driver(), p.Source, t}), nil
}

type connector struct {
	inner  driver.Driver
	source string
	tap    *tap
}

func (c connector) Driver() driver.Driver { return c.inner }

func (c connector) Connect(context.Context) (driver.Conn, error) {
	inner, err := c.inner.Open(c.source)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: inner, tap: c.tap}, nil
}

type conn struct {
	driver.Conn
	tap     *tap
	claimed time.Time // when the claim of this transaction began
}

// before notes a statement.
func (c *conn) before(query string) {
	c.tap.mu.Lock()
	defer c.tap.mu.Unlock()
	c.tap.statements++
	if strings.Contains(query, "sesguard_rate") {
		c.tap.ofRate++
	}
	if strings.HasPrefix(query, "select") && strings.Contains(query, "from sesguard_hold") {
		c.claimed = time.Now()
	}
}

// committed notes the end of a transaction.
func (c *conn) committed() {
	c.tap.mu.Lock()
	defer c.tap.mu.Unlock()
	c.tap.commits++
	if !c.claimed.IsZero() {
		c.tap.claims = append(c.tap.claims, time.Since(c.claimed))
		c.claimed = time.Time{}
	}
}

func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.before(query)
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
}

func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	c.before(query)
	if query == "commit" {
		defer c.committed()
	}
	return c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
}

func (c *conn) CheckNamedValue(v *driver.NamedValue) error {
	if checker, ok := c.Conn.(driver.NamedValueChecker); ok {
		return checker.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

func (c *conn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	inner, err := c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
	return tx{inner, c}, err
}

type tx struct {
	driver.Tx
	conn *conn
}

func (t tx) Commit() error {
	defer t.conn.committed()
	return t.Tx.Commit()
}

func (c *conn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	inner, err := c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
	return stmt{inner, c, query}, err
}

type stmt struct {
	driver.Stmt
	conn  *conn
	query string
}

func (s stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	s.conn.before(s.query)
	return s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
}

func (s stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	s.conn.before(s.query)
	return s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
}
