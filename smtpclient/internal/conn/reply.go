package conn

import (
	"bufio"
	"bytes"
	"errors"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// maxReply bounds the text of one reply over all its lines. RFC 5321, section
// 4.5.3.1.5, allows 512 octets a line; a line may fill the reader's buffer of
// 4096 here.
const maxReply = 16 << 10

// errReply is the cause when the server does not speak SMTP.
var (
	errReply     = errors.New("malformed reply")
	errReplyLong = errors.New("reply is too long")
	errReplyMix  = errors.New("reply with mixed codes")
)

// A replyReader reads one reply at a time, in place: neither a reply that fits
// the reader's buffer nor a long one allocates once the buffers have grown. An
// interrupted read goes on where it stopped.
type replyReader struct {
	code int
	text []byte // of the reply so far; valid until the next reply is begun
	open bool   // between the lines of a reply
}

// read reads a reply. After a timeout, resume goes on with the same one.
func (r *replyReader) read(br *bufio.Reader) error {
	r.code, r.open = 0, false
	r.text = r.text[:0]
	return r.resume(br)
}

func (r *replyReader) resume(br *bufio.Reader) error {
	for {
		line, err := readLine(br)
		if err != nil {
			return err
		}
		more, err := r.add(line)
		if err != nil || !more {
			return err
		}
	}
}

// readLine returns the next whole line without its end. What has come of a line
// stays in br until the rest is there.
func readLine(br *bufio.Reader) ([]byte, error) {
	for seen := 0; ; {
		buf, _ := br.Peek(br.Buffered())
		if i := bytes.IndexByte(buf[seen:], '\n'); i >= 0 {
			br.Discard(seen + i + 1)
			return bytes.TrimSuffix(buf[:seen+i], crlf[:1]), nil
		}
		if seen = len(buf); seen == br.Size() {
			return nil, errReplyLong
		}
		if _, err := br.Peek(seen + 1); err != nil {
			return nil, err
		}
	}
}

// add takes a line in and reports whether another must follow.
func (r *replyReader) add(line []byte) (more bool, err error) {
	code, more, text, ok := parseReplyLine(line)
	switch {
	case !ok:
		return false, errReply
	case r.open && code != r.code:
		return false, errReplyMix
	case len(r.text)+len(text) >= maxReply:
		return false, errReplyLong
	}
	if r.open {
		r.text = append(r.text, '\n')
	}
	r.text = append(r.text, text...)
	r.code, r.open = code, more
	return more, nil
}

// parseReplyLine takes "250", "250 text" and "250-text" apart (RFC 5321,
// section 4.2).
func parseReplyLine(line []byte) (code int, more bool, text []byte, ok bool) {
	if len(line) < 3 || line[0] < '1' || line[0] > '5' || !digit(line[1]) || !digit(line[2]) {
		return 0, false, nil, false
	}
	code = int(line[0]-'0')*100 + int(line[1]-'0')*10 + int(line[2]-'0')
	if len(line) == 3 {
		return code, false, nil, true
	}
	if line[3] != ' ' && line[3] != '-' {
		return 0, false, nil, false
	}
	return code, line[3] == '-', line[4:], true
}

func digit(b byte) bool { return '0' <= b && b <= '9' }

// class is the first digit of the code.
func (r *replyReader) class() int { return r.code / 100 }

// refusal is the reply as an error. It is never in doubt: a complete 4yz or 5yz
// says that the server did not take the message.
func (r *replyReader) refusal(op string, hide secrets) *seserrors.Error {
	return seserrors.FromSMTP(op, r.code, hide.clean(string(r.text)))
}

// unexpected is the error for a reply that is well formed and makes no sense
// where it stands.
func (r *replyReader) unexpected(op string, hide secrets) *seserrors.Error {
	e := protocolError(op, "unexpected reply: "+hide.clean(string(r.text)))
	e.Code = r.code
	return e
}
