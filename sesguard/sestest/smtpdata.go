package sestest

import (
	"bufio"
	"bytes"
)

func (x *session) data(arg string) error {
	switch {
	case !x.open || x.spoiled:
		return x.say(503, "Error: need MAIL command")
	case len(x.mail.To) == 0:
		return x.say(503, "Error: need RCPT command")
	case arg != "":
		return x.say(501, "Error: DATA takes no argument")
	}
	f := x.srv.take(Data, overSMTP)
	effect, err := x.answer(f, 354, "End data with <CR><LF>.<CR><LF>")
	if err != nil || !effect || f != nil && f.kind == reply && f.code != 354 {
		return err
	}
	if f := x.srv.take(body, overSMTP); f != nil {
		return x.cutBody(f.after)
	}
	content, octets, err := x.readData()
	if err != nil {
		return err
	}
	return x.endOfData(content, octets)
}

// readData reads up to the final dot.
func (x *session) readData() (content []byte, octets int, err error) {
	var d dataReader
	for {
		if x.r.Buffered() == 0 {
			x.extendDeadline()
		}
		line, err := x.r.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			return nil, 0, x.hangUp(err)
		}
		if d.take(line) {
			return d.content, d.octets, nil
		}
	}
}

// cutBody closes the connection after so many octets, or at the final dot.
func (x *session) cutBody(after int) error {
	const dot = "\r\n.\r\n"
	tail := "\r\n"
	for range after {
		if x.r.Buffered() == 0 {
			x.extendDeadline()
		}
		c, err := x.r.ReadByte()
		if err != nil {
			return x.hangUp(err)
		}
		if tail += string([]byte{c}); tail == dot {
			break
		}
		if len(tail) == len(dot) {
			tail = tail[1:]
		}
	}
	return x.leave(cut)
}

// A dataReader collects the lines after DATA, without dot-stuffing. Its zero
// value is at the start of a line.
type dataReader struct {
	content []byte
	octets  int // of the message, also those too many to keep
	midLine bool
	cr      bool // the last octet was CR
}

// take adds a line, or a part of one that ends without LF, and reports
// whether it was the final dot. Only CRLF ends a line (RFC 5321 section
// 4.1.1.4): a dot between bare LFs is content.
func (d *dataReader) take(line []byte) (done bool) {
	ends := bytes.HasSuffix(line, []byte("\r\n")) || d.cr && string(line) == "\n"
	if !d.midLine && line[0] == '.' {
		if string(line) == ".\r\n" {
			return true
		}
		line = line[1:]
	}
	d.octets += len(line)
	if d.octets <= MaxMessageSize {
		d.content = append(d.content, line...)
	}
	d.midLine = !ends
	d.cr = len(line) > 0 && line[len(line)-1] == '\r'
	return false
}

// endOfData decides about a message that has arrived whole.
func (x *session) endOfData(content []byte, octets int) error {
	x.mail.Data = content
	f := x.srv.take(EndOfData, overSMTP)
	if f.preventsAcceptance() {
		return x.refuseData(f)
	}
	m := &submission{mail: x.mail, octets: octets}
	m.header, _, m.problem = parseHeader(content)
	id, r := x.srv.submit(m)
	if r != nil {
		x.spoiled = true
		code, text := r.smtp()
		return x.say(code, text)
	}
	x.forget()
	_, err := x.answer(f, 250, "Ok "+id)
	return err
}

// refuseData plays a scripted refusal. Like SES's own it leaves the
// transaction open: the next MAIL draws 503 until RSET.
func (x *session) refuseData(f *Fault) error {
	x.spoiled = true
	if f.kind == refuse {
		m := &submission{mail: x.mail}
		m.header, _, _ = parseHeader(x.mail.Data)
		m.readSESFields()
		code, text := scripted(f.reason, m).smtp()
		return x.say(code, text)
	}
	_, err := x.answer(f, 0, "")
	return err
}
