package outbox

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	stderrors "errors"
)

// version is that of the tables. Migrations only add, so a process of an older
// version goes on beside a newer one, as long as reader, the oldest version that
// understands what the newer one writes, allows it.
const version, reader = 1, 1

// migrations[n] leads from version n to n+1.
var migrations = [version][]string{{
	`create table {schema} (
	one bigint primary key check (one = 1),
	version bigint not null,
	min_reader bigint not null,
	name {text} not null,
	identity {text} not null)`,
	`insert into {schema} (one, version, min_reader, name, identity) values (1, 0, 1, '', '')`,
	`create table {mail} (
	id {text} primary key,
	track {text} not null,
	key {text} not null,
	lane {text} not null,
	grp {text} not null,
	tenant {text} not null,
	sender {text} not null,
	cset {text} not null,
	priority bigint not null,
	state {text} not null,
	owner {text} not null default '',
	claim bigint not null default 0,
	attempts bigint not null default 0,
	recipients bigint not null,
	size bigint not null,
	created bigint not null,
	due bigint not null,
	expires bigint not null,
	changed bigint not null,
	message_id {text} not null default '',
	other_id {text} not null default '',
	seen bigint not null default 0,
	reason {text} not null default '',
	err {text} not null default '') {vacuum}`,
	`create index {index}mail_due on {mail} (priority, lane, due) where state = 'waiting' and owner = ''`,
	// In other words than the claim's, or PostgreSQL, with the statistics of a
	// drained table, takes this index for the claim and reads all that waits.
	`create index {index}mail_expires on {mail} (expires) where state || owner = 'waiting'`,
	`create index {index}mail_owner on {mail} (owner) where owner <> ''`,
	`create index {index}mail_track on {mail} (track)`,
	`create index {index}mail_doubt on {mail} (changed) where state = 'in-doubt'`,
	`create index {index}mail_sent on {mail} (cset, changed) where state = 'sent' and cset <> ''`,
	`create index {index}mail_done on {mail} (changed) where state in ('sent', 'failed', 'expired', 'canceled')`,
	`create table {content} (
	id {text} primary key,
	coding bigint not null,
	mail {blob} not null) {vacuum}`,
	`create table {hold} (
	key {text} primary key,
	reason {text} not null,
	since bigint not null,
	probe bigint not null,
	step bigint not null)`,
	`create table {process} (
	id {text} primary key,
	host {text} not null,
	started bigint not null,
	alive bigint not null)`,
	`create table {rate} (
	key {text} primary key,
	rate double precision not null,
	share double precision not null,
	slowed bigint not null,
	strikes bigint not null,
	free bigint not null,
	until bigint not null,
	room double precision not null,
	spent double precision not null,
	taken double precision not null default 0,
	read bigint not null)`,
	`create view {outbox} as select id, key, grp as "group", sender as "from", tenant, cset as configuration_set, state,
	case priority when 2 then 'urgent' when 1 then 'normal' else 'bulk' end as priority,
	case when state = 'waiting' then owner <> '' end as claimed, attempts, recipients, size,
	{time created}, {time due}, {time expires}, {time changed}, message_id, reason, track as track_id from {mail}`,
	`create view {holds} as select key, reason, {time since}, {time probe}, step from {hold}`,
}}

// Schema returns the statements that bring tables of version from, 0 for none,
// up to date, for a migration tool of one's own: Options.NoMigrate then keeps
// Open from doing it. Database is "postgres" or "sqlite". The prefix of the
// tables is the default one. Each statement is complete and has no parameters;
// run them in one transaction.
func Schema(database string, from int) (statements []string, err error) {
	if database != "postgres" && database != "sqlite" {
		return nil, fmt.Errorf("outbox: no schema for %q, only for postgres and sqlite", database)
	}
	d, err := newDatabase(nil, database == "postgres", "")
	if err != nil {
		return nil, err
	}
	if from < 0 || from > version {
		return nil, fmt.Errorf("outbox: there is no version %d, the newest is %d", from, version)
	}
	return d.migration(from), nil
}

func (d *database) migration(from int) []string {
	var list []string
	for _, step := range migrations[from:] {
		for _, text := range step {
			list = append(list, d.statement(d.times(text)).text)
		}
	}
	if len(list) > 0 {
		list = append(list, d.statement(fmt.Sprintf("update {schema} set version = %d, min_reader = %d", version, reader)).text)
	}
	return list
}

// times writes the columns of times of a view in the database's own form.
func (d *database) times(text string) string {
	for _, column := range []string{"created", "due", "expires", "changed", "since", "probe"} {
		form := fmt.Sprintf("case when %[1]s < %[2]d then strftime('%%Y-%%m-%%d %%H:%%M:%%f', %[1]s / 1e6, 'unixepoch') end as %[1]s", column, never)
		if d.postgres {
			form = fmt.Sprintf("case when %[1]s < %[2]d then to_timestamp(%[1]s / 1e6) end as %[1]s", column, never)
		}
		text = strings.ReplaceAll(text, "{time "+column+"}", form)
	}
	return text
}

// migrate brings the tables up to date, or only looks at their version.
func (d *database) migrate(ctx context.Context, only bool) error {
	have, oldest, err := d.version(ctx, d.db)
	if err == nil && have >= version || only {
		return compatible(have, oldest, err)
	}
	if !d.postgres {
		// Readers and the writer get on, and a commit is one fsync.
		var mode string
		if err := d.db.QueryRowContext(ctx, "pragma journal_mode = wal").Scan(&mode); err != nil {
			return err
		}
	}
	return d.write(ctx, func(x querier) error {
		if d.postgres {
			if _, err := x.ExecContext(ctx, "select pg_advisory_xact_lock(7235419017)"); err != nil {
				return err
			}
			var there bool
			err := d.query(ctx, x, "select to_regclass($1) is not null", func(r *sql.Rows) error { return r.Scan(&there) }, d.prefix+"schema")
			if err != nil {
				return err
			}
			have = 0
			if there {
				have, oldest, err = d.version(ctx, x)
			}
			if err != nil {
				return err
			}
		} else if have, oldest, err = d.version(ctx, x); err != nil {
			have = 0
		}
		if have >= version {
			return compatible(have, oldest, nil)
		}
		for _, text := range d.migration(have) {
			if _, err := x.ExecContext(ctx, text); err != nil {
				return fmt.Errorf("outbox: version %d of the tables: %w", version, err)
			}
		}
		return nil
	})
}

func (d *database) version(ctx context.Context, x querier) (have, oldest int, err error) {
	err = d.query(ctx, x, "select version, min_reader from {schema}", func(r *sql.Rows) error { return r.Scan(&have, &oldest) })
	if err == nil && oldest == 0 {
		err = stderrors.New("outbox: its table is empty")
	}
	return have, oldest, err
}

func compatible(have, oldest int, err error) error {
	switch {
	case err != nil:
		return fmt.Errorf("outbox: the tables cannot be read: %w", err)
	case have < version:
		return fmt.Errorf("outbox: the tables are of version %d, version %d is needed: see Schema", have, version)
	case oldest > version:
		return fmt.Errorf("outbox: the tables are of version %d and need a program of version %d or newer, this one has %d", have, oldest, version)
	}
	return nil
}
