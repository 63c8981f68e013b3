package sesguard

import (
	"io"
	"time"
)

// A Message is one mail: who gets it, what it says, and what SES does with it.
// It is plain data. Nothing in this package writes to a Message or to what it
// points to, so a copy with some fields changed is a new Message:
//
//	m := base
//	m.To = []string{"user@example.com"}
//
// A Message may be sent by several goroutines at once, unless Raw or an
// attachment's Open cannot be used so. What is wrong with a Message is found by
// [Build], before anything is sent, and all of it is reported in one
// *ValidationError.
//
// Addresses are in the forms that [ParseAddress] takes, one in each string.
// No text may hold CR, LF, NUL or another control character, except Text, HTML
// and the content of attachments.
type Message struct {
	// From is the author's address. It is required, and it is the identity that
	// SES must have verified.
	From string

	// ReturnPath is where bounces go: the envelope sender. Empty: From.
	ReturnPath string

	// To, Cc and Bcc are the recipients. SES takes 50 in one message, all three
	// lists together; the same address twice is one recipient (the domain is
	// compared without regard to case). Bcc recipients stand in the envelope
	// only. Without To the mail says "To: undisclosed-recipients:;", since SES
	// wants a To header.
	To, Cc, Bcc []string

	// ReplyTo is where answers go. Empty: to From.
	ReplyTo []string

	// Subject may hold any Unicode text on one line. Empty: no Subject header.
	Subject string

	// Text and HTML are the body, in UTF-8. With both, the reader's program
	// chooses. CRLF, LF and CR all end a line. Both empty is an empty text.
	Text, HTML string

	// Date is the date of the mail. Zero: the time of Send. SES writes its own.
	Date time.Time

	// Alternatives are further forms of the body, of which the reader's program
	// shows one: the last that it understands. They stand behind HTML.
	Alternatives []Alternative

	// Attachments follow the body, or are shown in it: see Attachment. SES takes
	// 500 parts in one message, the body counted.
	Attachments []Attachment

	// Headers are further header fields: see Header.
	Headers []Header

	// ConfigurationSet names a configuration set of SES: letters, digits, _ and
	// -, at most 64. Empty: the identity's default, if it has one.
	ConfigurationSet string

	// Tags go with SES's events about this mail.
	Tags []Tag

	// FromARN and ReturnPathARN are the identities of another account whose
	// sending authorization policy lets this one send as From and ReturnPath.
	FromARN, ReturnPathARN string

	// Tenant names the SES tenant for which this mail is sent: letters, digits,
	// _ and -, at most 64.
	Tenant string

	// List has SES handle subscriptions to a contact list.
	List *List

	// Raw is a whole message, header and body, built elsewhere: a bytes.Buffer,
	// a go-mail *Msg. Build reads it once. The octets of a *bytes.Buffer or
	// *bytes.Reader are not copied and must not change as long as the Mail, or
	// the Send, is under way. The envelope (From, ReturnPath, To, Cc, Bcc) and the
	// fields that SES reads still apply, while Subject, Text, HTML, Alternatives,
	// Attachments, Headers and ReplyTo must be empty. Date is not used.
	//
	// Tags in its own X-SES-MESSAGE-TAGS header are those of [Mail.Tags].
	//
	// A bare CR or LF in it becomes CRLF, and a missing CRLF at its end is
	// added; nothing else is changed. It must have a From header and no Bcc
	// header, no header twice that SES takes only once, only ASCII in the header,
	// no line longer than 998 octets and no NUL.
	Raw io.WriterTo
}

// An Alternative is a further form of a Message's body. An invitation is the
// form of type text/calendar; method=REQUEST whose Content has the same METHOD
// (RFC 6047 §2.4): readers then show it as one. For those that do not, attach the
// file too.
type Alternative struct {
	// ContentType is a text type, with its parameters. The charset is utf-8 and
	// need not be given.
	ContentType string

	// Content is text in UTF-8. CRLF, LF and CR all end a line.
	Content string
}

// An Attachment is a file that goes with a Message. Exactly one of Content and
// Open is set. The file is written in base64, so it needs 37 % more than its
// size of the 40 MB that SES takes.
type Attachment struct {
	// Name is the file name, without folders, at most 255 octets of any Unicode
	// text. It is required unless ContentID is set. SES refuses the extensions of
	// programs and scripts (its page "Unsupported attachment types"), and so they
	// are refused here.
	Name string

	// ContentType is the media type, with parameters if it has any. Empty:
	// chosen by the extension of Name from a short fixed list, otherwise
	// application/octet-stream. The types message/* and multipart/* are refused:
	// they may not be written in base64 (RFC 2046 §5.2.1, RFC 2045 §6.4).
	ContentType string

	// ContentID makes the file part of the HTML body, which shows it by
	// <img src="cid:logo"> for the ContentID "logo". It is a name of letters,
	// digits and .-_+=$!~, and one @ may stand in it. One
	// without an @ would be the same in every mail, and some readers would show
	// another one's picture: it is completed, in the header and in the HTML.
	// Without HTML the file is an ordinary attachment that has this id. So is a
	// file of text, since some readers make inline text a part of the body; the
	// HTML may still refer to it.
	ContentID string

	// Content is the file. It is not copied, and must not change as long as the
	// Mail, or the Send, is under way. An empty file is []byte{}, not nil.
	Content []byte

	// Open opens the file to be streamed: it is never held in memory. It is
	// called before anything of the mail is sent, once for each time that the mail
	// is read, which may be several for one attempt over the API, and the reader
	// is closed. It must give the same content each time. It and the reader's
	// methods run in a goroutine of their own, one at a time; a send whose context
	// ends does not wait for them. A file that cannot be opened or read ends the
	// attempt with an error of Class Invalid and Reason content-unreadable;
	// nothing is accepted then.
	Open func() (io.ReadCloser, error)
}

// A Header is one further header field. The fields that a Message sets itself
// are refused (From, To, Cc, Bcc, Reply-To, Subject, Date, MIME-Version,
// Content-*, Return-Path, Resent-*, and each X-SES-* that has a field), and so
// is a second one of those that SES takes only once.
//
// Value is one line and is folded where single spaces stand. White space
// around it is dropped. It may not be empty. Unicode text is written as
// encoded-words, but not in the parts of a field that are for machines, where it
// is refused. Fields with a syntax of their own are held to it:
//
//	Sender, Errors-To, Return-Receipt-To, Bounces-To      one address
//	Disposition-Notification-To, Mail-Followup-To,
//	Mail-Reply-To, Original-From                          addresses
//	In-Reply-To, References, Message-ID                   <left@right>, as Receipt.HeaderID returns
//	List-Unsubscribe and the like, Archived-At            <https://…>, <mailto:…>: see Unsubscribe
//	List-ID                                               a name, and <id>
//	Keywords                                              words with commas between them
//
// SES replaces a Message-ID with its own: recipients see that of
// [Receipt.HeaderID].
type Header struct{ Name, Value string }

// A Tag is a name and a value that SES repeats in its events. Names are ASCII
// letters, digits, _ and -; values also . and @. Both have 1 to 255 characters,
// and no name stands twice.
type Tag struct{ Name, Value string }

// A List has SES add unsubscribe links and headers for a contact list, and
// refuse those who left it. ContactList is required; Topic is optional. Both
// are letters, digits, _ and -, at most 64.
type List struct{ ContactList, Topic string }

// WriteTo writes the mail as its recipients get it, header and body with CRLF
// line ends: what is sent over both transports, but for the X-SES-* lines that
// SMTP adds and SES takes out. Boundaries derive from the content, so the same
// Message with a Date gives the same octets each time.
//
// The error is that of [Build] or of [Mail.WriteTo]. Raw is used up, if it is of
// such a kind.
func (m *Message) WriteTo(w io.Writer) (int64, error) {
	mail, err := Build(m)
	if err != nil {
		return 0, err
	}
	return mail.WriteTo(w)
}
