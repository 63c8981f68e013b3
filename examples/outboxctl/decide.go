package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sesguard/sesguard-go/sesguard/outbox"
)

func (c *ctl) retry(ctx context.Context, args []string) error {
	return c.each(ctx, args, "retry sends mails again that are failed, expired, canceled or in-doubt", func(r *outbox.Record) (string, error) {
		done := "waits again"
		if r.State == outbox.InDoubt {
			done = "was in doubt and waits again: it comes twice if SES had it"
		}
		return done, c.box.Retry(ctx, r.ID)
	})
}

func (c *ctl) cancel(ctx context.Context, args []string) error {
	return c.each(ctx, args, "cancel takes back mails that are waiting", func(r *outbox.Record) (string, error) {
		return "is canceled", c.box.Cancel(ctx, r.ID)
	})
}

func (c *ctl) erase(ctx context.Context, args []string) error {
	return c.each(ctx, args, "erase is for mails that are failed, expired, canceled, or sent and kept", func(r *outbox.Record) (string, error) {
		return "has no content any more", c.box.Erase(ctx, r.ID)
	})
}

// settle is for mails in doubt alone: one that waits would be lost.
func (c *ctl) settle(ctx context.Context, args []string) error {
	if len(args) > 2 {
		return errors.New("settle takes the ID of one mail and SES's message id")
	}
	messageID := strings.Join(args[min(1, len(args)):], "")
	return c.each(ctx, args[:min(1, len(args))], "settle is for mails that are in-doubt", func(r *outbox.Record) (string, error) {
		if r.State != outbox.InDoubt {
			return "", outbox.ErrState
		}
		return "is sent", c.box.Settle(ctx, r.TrackID, messageID, time.Time{})
	})
}

// each decides on one mail after the other, and tells in the end what was not
// possible. Rule is what the user reads then.
func (c *ctl) each(ctx context.Context, ids []string, rule string, decide func(r *outbox.Record) (done string, err error)) error {
	if len(ids) == 0 {
		return errors.New("say which mails, by their IDs")
	}
	var failed []error
	for _, id := range ids {
		r, err := c.get(ctx, id)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		done, err := decide(r)
		switch {
		case errors.Is(err, outbox.ErrErased):
			err = fmt.Errorf("%s is %s, and its content is erased", id, r.State)
		case errors.Is(err, outbox.ErrState):
			err = fmt.Errorf("%s is %s: %s", id, r.State, rule)
		case err != nil:
			err = fmt.Errorf("%s: %w", id, err)
		default:
			err = c.did(ctx, id, done)
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// did reports a decision: by a sentence, or the record that it left.
func (c *ctl) did(ctx context.Context, id, done string) error {
	if !c.json {
		_, err := fmt.Fprintf(c.out, "%s %s\n", id, done)
		return err
	}
	r, err := c.get(ctx, id)
	if err != nil {
		return err
	}
	return c.encode(jsonRecord(*r))
}

func (c *ctl) get(ctx context.Context, id string) (*outbox.Record, error) {
	r, err := c.box.Get(ctx, id)
	if errors.Is(err, outbox.ErrNotFound) {
		return nil, fmt.Errorf("%s: no such mail; records of finished mails are deleted after a while", id)
	}
	return r, err
}

const holdKeys = "account, from:ADDRESS, set:NAME or tenant:NAME"

func (c *ctl) hold(ctx context.Context, args []string) error {
	if len(args) < 2 {
		return errors.New("hold takes a key (" + holdKeys + ") and a reason, which others will read")
	}
	key, reason := args[0], strings.Join(args[1:], " ")
	if err := c.box.Hold(ctx, key, reason); err != nil {
		return fmt.Errorf("%s: the key of a hold is %s: %w", key, holdKeys, err)
	}
	return c.didHold(key, "is held until somebody releases it")
}

func (c *ctl) release(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("say which hold, by its key: holds lists them")
	}
	var failed []error
	for _, key := range args {
		err := c.box.Release(ctx, key)
		switch {
		case errors.Is(err, outbox.ErrNotFound):
			err = fmt.Errorf("%s is not held: holds lists what is", key)
		case err == nil:
			err = c.didHold(key, "is released")
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

func (c *ctl) didHold(key, done string) error {
	if c.json {
		return c.encode(map[string]string{"Key": key, "Done": done})
	}
	_, err := fmt.Fprintf(c.out, "%s %s\n", key, done)
	return err
}

// adopt is for a database that was restored or moved, which Run refuses.
func (c *ctl) adopt(ctx context.Context, args []string) error {
	if len(args) != 1 || args[0] != "in-doubt" && args[0] != "send" {
		return errors.New("adopt in-doubt: the mails that wait may have been sent since the backup was made; adopt send: they were not. No worker may run meanwhile")
	}
	if err := c.box.Adopt(ctx, args[0] == "in-doubt"); err != nil {
		return err
	}
	if c.json {
		return c.stats(ctx, nil)
	}
	_, err := fmt.Fprintln(c.out, "the database is adopted: workers may start")
	return err
}
