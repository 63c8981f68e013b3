package sesguard

// A Receipt says that SES has accepted a message. It does not say that the
// message was delivered: bounces and complaints arrive through SES's event
// publishing, under the same MessageID.
type Receipt struct {
	MessageID      string // SES's id of the message, the same kind over SMTP and the API. Empty if an SMTP server gave none
	Transport      string // "smtp" or "api"
	Region         string // of SES, such as "eu-west-1"; empty if it is not known, as behind a relay
	TrackID        string // the mail's own id, if it was sent as a tag: see Options.TrackTag
	Attempts       int    // how often the message was handed to the transport; 1 for a transport used alone
	MaybeDuplicate bool   // an earlier attempt may have been accepted too; only with retry.Policy.AllowDuplicates
}

// HeaderID returns what stands in the Message-ID header of the mail that
// recipients get, whatever the Message said: SES writes its own there. An answer
// to the mail has it in In-Reply-To, and so should a later mail of the same
// thread. It is empty if MessageID or Region is.
func (r *Receipt) HeaderID() string {
	switch {
	case r.MessageID == "" || r.Region == "":
		return ""
	case r.Region == "us-east-1":
		return "<" + r.MessageID + "@email.amazonses.com>"
	}
	return "<" + r.MessageID + "@" + r.Region + ".amazonses.com>"
}
