package outbox

import (
	"context"
	"database/sql"
	"fmt"
)

// A session is where one transaction after the other is written. On SQLite it
// keeps a connection and its prepared statements, because preparing one takes
// longer than running it. The zero value but for the database is ready to use,
// by one goroutine.
type session struct {
	*database
	conn     *sql.Conn
	restore  func()
	prepared map[string]*sql.Stmt
}

func (s *session) write(ctx context.Context, f func(querier) error) error {
	if s.postgres {
		return s.writePostgres(ctx, f)
	}
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-s.turn }()
	err := s.transact(ctx, f)
	if err != nil || s.db.Stats().MaxOpenConnections == 1 { // others need it too
		s.close()
	}
	return err
}

func (s *session) transact(ctx context.Context, f func(querier) error) error {
	if s.conn == nil {
		if err := s.connect(ctx); err != nil {
			return err
		}
	}
	done := false
	defer func() {
		if !done { // also when begin failed: it may have happened before its context ended
			s.conn.ExecContext(context.WithoutCancel(ctx), "rollback")
		}
	}()
	if _, err := s.conn.ExecContext(ctx, "begin immediate"); err != nil {
		return err
	}
	if err := f(s); err != nil {
		return err
	}
	_, err := s.conn.ExecContext(context.WithoutCancel(ctx), "commit")
	done = err == nil
	return err
}

func (s *session) connect(ctx context.Context) (err error) {
	if s.conn, err = s.db.Conn(ctx); err != nil {
		return err
	}
	s.prepared = map[string]*sql.Stmt{}
	if s.restore, err = durable(ctx, s.conn); err != nil {
		s.close()
	}
	return err
}

// close gives the connection back.
func (s *session) close() {
	if s.conn == nil {
		return
	}
	for _, p := range s.prepared {
		p.Close()
	}
	if s.restore != nil {
		s.restore()
	}
	s.conn.Close()
	s.conn, s.restore = nil, nil
}

// prepare returns a statement of the session. Once a transaction has the lock,
// nothing is left to wait for, so its statements do without what watches a
// context.
func (s *session) prepare(text string) (*sql.Stmt, error) {
	p, ok := s.prepared[text]
	if !ok {
		var err error
		if p, err = s.conn.PrepareContext(context.Background(), text); err != nil {
			return nil, err
		}
		s.prepared[text] = p
	}
	return p, nil
}

func (s *session) ExecContext(_ context.Context, text string, args ...any) (sql.Result, error) {
	p, err := s.prepare(text)
	if err != nil {
		return nil, err
	}
	return p.ExecContext(context.Background(), args...)
}

func (s *session) QueryContext(_ context.Context, text string, args ...any) (*sql.Rows, error) {
	p, err := s.prepare(text)
	if err != nil {
		return nil, err
	}
	return p.QueryContext(context.Background(), args...)
}

// durable makes conn's commits wait for the disk and its statements for other
// writers. Both are settings of a connection, which belongs to the user's pool:
// restore gives it back as it was.
func durable(ctx context.Context, conn *sql.Conn) (restore func(), err error) {
	var before []string
	for _, setting := range []struct {
		name  string
		least int
	}{{"synchronous", 2}, {"busy_timeout", 10_000}} { // 2 is FULL
		var is int
		if err := conn.QueryRowContext(ctx, "pragma "+setting.name).Scan(&is); err != nil {
			return nil, err
		}
		if is >= setting.least {
			continue
		}
		if _, err := conn.ExecContext(ctx, fmt.Sprintf("pragma %s = %d", setting.name, setting.least)); err != nil {
			return nil, err
		}
		before = append(before, fmt.Sprintf("pragma %s = %d", setting.name, is))
	}
	return func() {
		for _, text := range before {
			conn.ExecContext(context.WithoutCancel(ctx), text)
		}
	}, nil
}
