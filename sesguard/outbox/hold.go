package outbox

import (
	"context"
	"database/sql"
	"maps"
	"slices"
	"strings"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// The keys of holds: AccountHold keeps all mails, the others are a prefix and
// the address, name or tenant of those that they keep.
const (
	AccountHold = "account"
	FromHold    = "from:"   // and the author's address, in lower case
	SetHold     = "set:"    // and the name of the configuration set
	TenantHold  = "tenant:" // and the name of the tenant
)

// laneSeparator stands in no address and no name.
const laneSeparator = "\x1f"

// A Hold keeps mails from being sent, because SES refuses them all for a reason
// that is not theirs, or because a person wants it. It is one row, whatever it
// keeps.
type Hold struct {
	Key    string // AccountHold, or FromHold, SetHold or TenantHold and a name
	Reason string // of the refusal, or a person's
	Since  time.Time
	Probe  time.Time // when one mail tries whether it is over; zero: a person must release it
}

type heldBy struct {
	Hold
	step int64
}

// holdSet is the holds by key.
type holdSet map[string]heldBy

func (o *database) holds(ctx context.Context, x querier) (holdSet, error) {
	set := holdSet{}
	err := o.query(ctx, x, "select key, reason, since, probe, step from {hold}", func(r *sql.Rows) error {
		var h heldBy
		var since, probe int64
		err := r.Scan(&h.Key, &h.Reason, &since, &probe, &h.step)
		h.Since = at(since)
		if probe < never {
			h.Probe = at(probe)
		}
		set[h.Key] = h
		return err
	})
	return set, err
}

func (set holdSet) list() []Hold {
	var list []Hold
	for _, key := range slices.Sorted(maps.Keys(set)) {
		list = append(list, set[key].Hold)
	}
	return list
}

// keys are those of the holds that would keep the mails of a lane.
func keys(lane string) []string {
	list := []string{AccountHold}
	part := strings.Split(lane, laneSeparator) // group, tenant, author, configuration set
	for i, prefix := range []string{1: TenantHold, 2: FromHold, 3: SetHold} {
		if prefix != "" && i < len(part) && part[i] != "" {
			list = append(list, prefix+part[i])
		}
	}
	return list
}

// on are the keys of the holds that keep the mails of a lane.
func (set holdSet) on(lane string) []string {
	return slices.DeleteFunc(keys(lane), func(key string) bool { _, held := set[key]; return !held })
}

func (set holdSet) text(lane string) string {
	list := set.on(lane)
	for i, key := range list {
		list[i] = key + ": " + set[key].Reason
	}
	return strings.Join(list, ", ")
}

// holdWait is the time to the nth probe of a hold, from 1.
func holdWait(key string, reason seserrors.Reason, n int64) time.Duration {
	first, last := time.Minute, 15*time.Minute // SES's own checks of an identity take minutes
	switch {
	case reason == seserrors.DailyQuotaExceeded: // the window of 24 hours rolls on
		first, last = 20*time.Minute, 20*time.Minute
	case key == AccountHold:
		first, last = 5*time.Second, 8*time.Minute
	}
	return min(first<<min(max(n, 1)-1, 10), last)
}

// hold writes a refusal's hold. The refusal of its probe makes the next one come
// later; that of a mail that was under way when it began changes nothing.
func (o *database) hold(ctx context.Context, x querier, key string, reason seserrors.Reason, probe string, step int64) (added bool, err error) {
	wait := holdWait(key, reason, 1).Microseconds()
	n, err := o.exec(ctx, x, "insert into {hold} (key, reason, since, probe, step) values ($1, $2, {now}, {now} + $3, 1) on conflict (key) do nothing",
		key, string(reason), wait)
	if err != nil || n > 0 || key != probe {
		return n > 0, err
	}
	wait = holdWait(key, reason, step+1).Microseconds()
	_, err = o.exec(ctx, x, "update {hold} set reason = $2, probe = {now} + $3, step = $4 where key = $1 and step = $5 and probe < $6",
		key, string(reason), wait, step+1, step, never)
	return false, err
}

// Hold keeps all mails of key from being sent until Release: AccountHold, or
// FromHold, SetHold or TenantHold and a name. Reason is shown. Nothing probes it.
// Mails that a process has taken already still go out.
func (o *Outbox) Hold(ctx context.Context, key, reason string) error {
	if !validHold(key) {
		return &seserrors.Error{Op: "outbox hold", Class: seserrors.Invalid, Reason: seserrors.InvalidParameter, Message: "there is no such hold"}
	}
	_, err := o.update(ctx, `insert into {hold} (key, reason, since, probe, step) values ($1, $2, {now}, $3, 0)
		on conflict (key) do update set reason = $2, since = {now}, probe = $3, step = 0`, holdKey(key), reason, never)
	return err
}

// Release ends the hold of key, whoever began it: ErrNotFound if there is none.
// A refusal may begin it anew.
func (o *Outbox) Release(ctx context.Context, key string) error {
	n, err := o.update(ctx, "delete from {hold} where key = $1", holdKey(key))
	if err == nil && n == 0 {
		return ErrNotFound
	}
	o.nudge()
	return err
}

func validHold(key string) bool {
	if key == AccountHold {
		return true
	}
	return slices.ContainsFunc([]string{FromHold, SetHold, TenantHold}, func(p string) bool {
		return strings.HasPrefix(key, p) && len(key) > len(p) && isText(key)
	})
}

// holdKey is key as it is stored.
func holdKey(key string) string {
	if strings.HasPrefix(key, FromHold) {
		return strings.ToLower(key)
	}
	return key
}
