// Package smtpclient sends mail to one SMTP endpoint of Amazon SES, over a pool
// of connections that it opens, signs in, replaces and closes by itself. It
// makes one attempt and says exactly what became of it; when to try again is
// the business of its callers.
//
// # Start
//
// [New] checks a [Config] and dials nothing. Every field but the place and the
// credentials may stay zero:
//
//	c, err := smtpclient.New(smtpclient.Config{
//		Region:   "eu-west-1",
//		Username: accessKeyID, // of an IAM user
//		Password: smtpclient.DerivePassword(secretAccessKey, "eu-west-1"),
//	})
//	if err != nil {
//		return err // names the field and the remedy
//	}
//	defer c.Close()
//	if err := c.Ping(ctx); err != nil {
//		return err // the settings do not work
//	}
//
// SES's SMTP credentials belong to one region and come from the long-term key
// of an IAM user; [DerivePassword] derives them. Temporary credentials do not work
// over SMTP and are refused by name.
//
// # Encryption
//
// Ports 25, 587 and 2587 begin in clear text and upgrade with STARTTLS, ports
// 465 and 2465 speak TLS from the first octet; [TLSAuto] knows which. Without
// TLS and a certificate for the host that was dialled nothing secret is said: a
// server that does not offer STARTTLS is refused, and so is one whose answer to
// STARTTLS has clear text behind it. [TLSNone] exists for relays and mail
// catchers on this machine.
//
// # Send
//
// [Client.Send] takes an envelope and anything with a WriteTo method, such as a
// *bytes.Reader. The message is streamed: dots are stuffed and bare CR and LF
// become CRLF on the way, through one buffer of 64 KB. A message that has an
// Open method is opened when there is a connection for it.
//
//	reply, err := c.Send(ctx, "news@example.com", []string{"ann@example.net"}, msg)
//
// The [Reply] holds SES's id of the message. One refused recipient fails the
// whole message, for all of them.
//
// # What an error means
//
// Every error of Send and Ping is a *seserrors.Error. Its Class says what can be
// done, its Reason why, and its MaybeAccepted whether the server may have
// accepted the message all the same. Doubt depends on the stage alone, never on
// the words of an error:
//
//	failure at                                 in doubt  connection, and then
//	waiting, dial, TLS, greeting, EHLO, AUTH   no        dropped; a dial that only its waiter gave up goes on and is pooled
//	an old connection turns out to be dead     no        dropped; redialled once, silently, in the same slot
//	SES's session limit, before the body       no        the same; on a new connection an ordinary retryable error
//	MAIL, RCPT or DATA refused                 no        kept, RSET comes first the next time; after 421 dropped
//	body unreadable, write error, context ends no        the TCP connection is cut: no dot, no RSET, no QUIT
//	the write that ends the message, or no     YES       cut
//	usable answer after it
//	refused after the end of the message       no        kept, RSET comes first the next time; after 421 dropped
//	accepted with 250 or 251                   success   kept or recycled; nothing after it is an error
//
// Doubt begins when the write starts that carries the last octet of CRLF.CRLF.
// Directly before it the context is alive, the message and the line are without
// error, and the server has said nothing yet: an answer that came early would
// be taken for the answer to the message, so it is looked for wherever it may
// wait. An orderly end of a connection inside a message would make some servers
// accept half a mail, so it is cut with a TCP reset.
//
// "Dead" is any failure on a connection that was used before, up to the first
// octet of the message: the end of the stream, a timeout, 421, SES's 451 for an
// idle connection, 503 for a transaction that an earlier mail left open. The
// context's end and any other complete answer count as they are.
//
// Failures of set-up are never Rejected or Invalid, since no message was looked
// at. One that every other dial would meet too (an account without SES, wrong
// credentials the second time in a row) is remembered for 5 seconds, doubling up
// to a minute: all senders get it at once, and one dial at a time finds out
// whether it has passed. Other credentials from Config.Credentials are tried at
// once.
//
// Too many connections, or any 421 in place of a greeting, beside others of this
// client, makes their number the ceiling for a while: sends wait for one of
// those, and one more is tried after 5 seconds, doubling up to a minute. Without
// any other connection it is remembered like the rest. Within a second of a QUIT
// it teaches nothing, because the connection that ended may still count: the
// send waits.
//
// # Recycling
//
// SES closes connections that idle for about 10 seconds, limits the messages of
// one connection, and replaces the machines behind its load balancer. So a
// connection is replaced after MaxMessagesPerConn messages, after
// MaxConnLifetime and after MaxConnIdleTime, whichever comes first, checked when
// it is taken and when it is given back. Idle connections are closed within a
// second of their time. There are never more than MaxConns, those that say QUIT
// included. [Client.Stats] counts each reason.
//
// # Limits
//
//	answer to a command    CommandTimeout, 1 min; the first on an old connection at most 10 s
//	set-up                 DialTimeout, 30 s for all of it
//	a body that stands     3 min, RFC 5321, section 4.5.3.2.5
//	answer to the message  DataTimeout, 10 min, section 4.5.3.2.6
//	QUIT                   1 s
//	line of a message      998 octets, section 4.5.3.1.6
//	message                40 MB, or what the server says in SIZE (RFC 1870) if that is less; "Service quotas in Amazon SES"
//	line of a reply        4,096 octets (512 in section 4.5.3.1.5), 16 KB for all lines
//
// Commands go one by one, each after the answer to the one before: Amazon SES
// does not offer PIPELINING.
//
// # End
//
// [Client.Shutdown] finishes what is under way, [Client.Close] cuts it. Both are
// told by [ErrClosed] in the errors that follow.
//
// # net/smtp
//
// [SendMail] has the signature of net/smtp's, for code that has one line to
// change. It never speaks in clear text to another machine, knows no error
// after 250, and returns errors that can be understood.
//
// Specifications: RFC 5321 (SMTP), 3207 (STARTTLS), 8314 (TLS wrapper), 4954
// (AUTH), 4616 (PLAIN), 6152 (8BITMIME), 1870 (SIZE), 3463 (enhanced status
// codes). What SES does is in "Using the Amazon SES SMTP interface to send email"
// and "Amazon SES SMTP issues" of its Developer Guide.
package smtpclient
