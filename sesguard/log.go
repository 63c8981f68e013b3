package sesguard

import (
	"context"
	"log/slog"
	"strings"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/retry"
)

// logRound writes the line of a round that failed. The breaker's refusals have
// their line when it opens.
func (d *delivery) logRound(a retry.Attempt) {
	if d.log == nil || a.Err == nil {
		return
	}
	msg, e := "sesguard: attempt failed", d.failure
	if !d.tried {
		msg, e = "sesguard: no attempt made", seserrors.Classify(a.Err)
	}
	if e.Op == opBreaker {
		return
	}
	advised := a.Again // else the line of the send's end has the advice
	d.line(slog.LevelWarn, msg, e, advised, slog.Duration("took", d.took), slog.Bool("again", a.Again), slog.Duration("wait", a.Wait))
}

// logEnd writes the line of a send that ended without acceptance.
func (d *delivery) logEnd(err error) {
	if d.log == nil || err == nil {
		return
	}
	e := seserrors.Classify(err)
	if d.attempts == 0 && e.Op == opBreaker {
		return
	}
	level, msg := slog.LevelWarn, "sesguard: not accepted"
	if seserrors.IsFatal(err) { // a person is needed
		level = slog.LevelError
	}
	if seserrors.MaybeAccepted(err) { // here too
		level, msg = slog.LevelError, "sesguard: in doubt, may have been accepted"
	}
	after, _ := retry.After(err)
	d.line(level, msg, e, true, slog.Bool("again", false), slog.Duration("retry_after", after))
}

// LogInvalid writes the line of a send that ended before it came to [Guard.Do],
// because its input is invalid: for those who check inputs before they call Do,
// as [Client] does. Without a Logger it does nothing.
func (g *Guard) LogInvalid(ctx context.Context, err error) {
	d := delivery{Guard: g, ctx: ctx}
	d.logEnd(err)
}

// announce tells of a change of the breaker.
func (d *delivery) announce(c change) {
	if c.why == nil {
		return
	}
	level, msg := slog.LevelInfo, "sesguard: breaker closed, the account sends again"
	if c.open {
		level, msg = slog.LevelError, "sesguard: breaker opened, the account refuses every mail"
	}
	d.line(level, msg, c.why, c.open)
	if hook := d.hooks.Breaker; hook != nil {
		hook(c.open, c.why)
	}
}

// line writes what is known of e, without recipients and content, and what to do
// about it if advised is set.
func (d *delivery) line(level slog.Level, msg string, e *seserrors.Error, advised bool, attrs ...slog.Attr) {
	if d.log == nil {
		return
	}
	if d.trackTag != "" && d.info.TrackID != "" {
		attrs = append(attrs, slog.String("track_id", d.info.TrackID))
	}
	attrs = append(attrs, slog.Int("attempt", d.attempts))
	if transport := transportOf(e.Op); transport != "" {
		attrs = append(attrs, slog.String("transport", transport))
	}
	if e.Endpoint != "" {
		attrs = append(attrs, slog.String("endpoint", e.Endpoint))
	}
	attrs = append(attrs,
		slog.String("class", e.Class.String()),
		slog.String("reason", string(e.Reason)),
		slog.Bool("maybe_accepted", e.MaybeAccepted),
		slog.String("error", e.Error()))
	if advised {
		attrs = append(attrs, slog.String("advice", advice(e)))
	}
	d.log.LogAttrs(d.ctx, level, msg, attrs...)
}

// advice is what to do about e. Whatever the reason, nothing is more urgent to
// say of a mail in doubt than that it must not be sent again without a look.
func advice(e *seserrors.Error) string {
	if e.MaybeAccepted {
		return seserrors.ResponseLost.Advice()
	}
	return e.Reason.Advice()
}

// transportOf names the transport as Receipt.Transport does, by what its errors
// say was done; empty for one of the user's own.
func transportOf(op string) string {
	switch {
	case strings.HasPrefix(op, "smtp "):
		return "smtp"
	case strings.HasPrefix(op, "ses "):
		return "api"
	}
	return ""
}
