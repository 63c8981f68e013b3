package errors

// Classify returns what any error means; nil for nil. It goes by evidence, in
// this order:
//
//   - an [*Error] in the tree, or one that an error of the tree shows to errors.As;
//   - a bare [Class] or [Reason], which says what SES's words would have said,
//     and nothing about doubt;
//   - an answer: a *textproto.Error, or an error of the AWS SDK (see [FromAPI]);
//   - an I/O error by its type, of net, crypto/tls, crypto/x509, syscall, io or
//     context;
//   - a complete reply of SES in the text of an error of any other type, code
//     and words together, as libraries leave it that flatten errors with %v. A
//     text that also tells of a lost connection is Unknown and in doubt, and one
//     in which a refusal for good follows a reply to try again is Unknown.
//
// Each may be wrapped or joined however deeply. What is left is Unknown: no
// other words are looked at.
//
// In a tree of several errors the first *Error decides, outermost first; a
// *Error anywhere that may have been accepted puts the whole in doubt. Where
// the tree holds none, an I/O, timeout or context error leaves doubt, because
// nothing says how far the message came, unless the error proves that nothing
// was sent: a failed dial, name lookup, certificate check or TLS handshake, a
// proxy that refused, credentials that could not be got.
//
// The result may be the very *Error that the tree holds: do not change it. And
// do not return it as an error without a test: a nil *Error in a variable of
// type error is not nil.
//
// It is safe for concurrent use. Of a text over 16 KiB it looks at the first
// and the last 8 KiB.
func Classify(err error) *Error { return classify("", err) }

// IsRetryable reports whether the same request may work later and cannot
// duplicate a mail: the class is Throttled, QuotaExceeded or Unavailable and
// nothing is in doubt. It is false for nil.
//
// Of every error that is not nil exactly one holds: [MaybeAccepted],
// IsRetryable, [IsFatal], or that its class is Canceled.
func IsRetryable(err error) bool {
	e := Classify(err)
	return e != nil && !e.MaybeAccepted && e.class().Retryable()
}

// IsFatal reports whether the request or the account must be revised before
// another try can work, as after a 5yz reply. It is false for nil, for a
// canceled send and while it is in doubt whether the message was accepted.
func IsFatal(err error) bool {
	e := Classify(err)
	return e != nil && !e.MaybeAccepted && !e.class().Retryable() && e.class() != Canceled
}

// MaybeAccepted reports whether SES may have accepted the message although no
// success was seen, so that sending it again may duplicate it. It looks
// through the whole tree of the error. It is false for nil.
func MaybeAccepted(err error) bool {
	e := Classify(err)
	return e != nil && e.MaybeAccepted
}

// classify is Classify with the op for an error that has none.
func classify(op string, err error) *Error {
	if err == nil {
		return nil
	}
	var v evidence
	v.look(err)
	if v.own != nil {
		return v.fromOwn(op)
	}
	if op == "" && v.operation != "" {
		op = "ses " + v.operation
	}
	e := &Error{Op: op, Err: err}
	switch {
	case v.credentials:
		v.fromCredentials(e)
	case v.reply != nil:
		e.Code = v.reply.Code
		e.fromReply(cleanReply(v.reply.Msg))
	case v.api && v.answer.known():
		e.fromAnswer(v.answer)
	case v.failed:
		v.fromConnection(e)
	case !v.bare:
		e.fromText(textOf(err))
	}
	if v.joined && v.risky { // the refusal of one attempt proves nothing about another
		e.MaybeAccepted = true
	}
	if v.bare {
		v.asSaid(e)
	}
	return e
}

// fromOwn returns the first *Error of the tree: itself when nothing is to be
// added.
func (v *evidence) fromOwn(op string) *Error {
	e := v.own
	class := e.class()
	if e.MaybeAccepted == v.doubt && e.Class == class && (e.Op != "" || op == "") {
		return e
	}
	c := *e
	c.Class, c.MaybeAccepted = class, v.doubt
	if c.Op == "" {
		c.Op = op
	}
	return &c
}

// asSaid gives e the bare Class and Reason of the tree. What the rest of the
// tree says is kept where it explains that class, and so is its doubt.
func (v *evidence) asSaid(e *Error) {
	switch {
	case v.reason != "":
		e.Reason = v.reason
	case e.Reason == "" || e.Class != v.class:
		e.Reason = Unrecognized
	}
	e.Class = v.class
}

// textOf returns the text of an error, "" if its method panics.
func textOf(err error) (text string) {
	defer func() { _ = recover() }()
	return err.Error()
}
