// Package retry says when a mail that Amazon SES did not take may be tried
// again, and tries it again.
//
// # The schedule
//
// AWS documents one: after a temporary refusal try again in 5 seconds, then in
// 10, then in 30; if that third retry does not succeed, wait 20 minutes and
// repeat the process (Amazon SES Developer Guide, "SMTP response codes returned
// by Amazon SES"). The zero [Schedule] is exactly that. Its jitter only ever
// lengthens a wait, so nothing is tried earlier than documented, and a hundred
// senders that were refused together do not come back together.
//
// # The policy
//
// A [Policy] decides by the class of the failure, as
// github.com/sesguard/sesguard-go/errors gives it:
//
//	Throttled, Unavailable   again, after the schedule's next wait
//	QuotaExceeded            again, after Schedule.Pause each time: the quota is a
//	                         rolling 24-hour window, which 5 seconds do not move
//	clock-skew               again at once, and only once: the AWS SDK has
//	                         corrected its clock from the refusal
//	MaybeAccepted            not again, unless AllowDuplicates: the mail might be
//	                         sent twice
//	everything else          not again: the message, the account or the settings
//	                         must change first
//
// The zero Policy is ready for use: AWS's schedule for up to an hour, each mail
// at most once.
//
// # Two ways to use it
//
// [Do] runs an operation, waits and repeats, in the caller's goroutine. It does
// not wait for what cannot be: when the next wait does not fit before the
// context's deadline it returns at once, and [After] tells when to come back.
//
// [Policy.Next] never waits: it tells a queue, which keeps its own count and its
// own time, whether and when to deliver a job again.
//
// A queue handles the error of a send in this order:
//
//  1. In doubt (seserrors.MaybeAccepted): park it. Only a person, or SES's own
//     delivery events, can tell whether the mail went out.
//  2. Next says again: requeue the job after the wait. That comes before the
//     next, because clock-skew is fatal and yet cured by one more attempt.
//  3. Fatal with the scope of a sender, of the account or of the connection (a
//     wrong host or port): hold the job and pause the queue. The next jobs fail
//     the same way and none of them is at fault.
//  4. Otherwise: dead-letter it.
//
// # Beside cenkalti/backoff
//
// Waits come from github.com/cenkalti/backoff/v4 and fit into it: [Do] drives
// backoff.RetryNotifyWithData, [Schedule.BackOff] is a backoff.BackOff for code
// that already calls backoff.Retry, and [Policy.NewBackOff] puts any other
// BackOff in the schedule's place. backoff.Retry repeats every error that is not
// marked permanent, also one that would double a mail; [Policy.Permanent] marks
// what must not be repeated.
//
// Schedules and policies are plain values: nothing in this package changes them,
// and they may be shared by goroutines.
package retry
