package compare

import (
	"bytes"
	"crypto/tls"
	"net"
)

// smtpReader reads into one buffer and hands out lines.
type smtpReader struct {
	conn net.Conn
	buf  []byte
	r, w int
}

func (s *smtpReader) line() ([]byte, error) {
	for {
		if i := bytes.IndexByte(s.buf[s.r:s.w], '\n'); i >= 0 {
			line := s.buf[s.r : s.r+i+1]
			s.r += i + 1
			return line, nil
		}
		if err := s.fill(); err != nil {
			return nil, err
		}
	}
}

func (s *smtpReader) fill() error {
	copy(s.buf, s.buf[s.r:s.w])
	s.r, s.w = 0, s.w-s.r
	n, err := s.conn.Read(s.buf[s.w:])
	s.w += n
	return err
}

// discard reads to the end of a message. The client waits for the answer then,
// so only the last octets of what has come need to be looked at.
func (s *smtpReader) discard() error {
	for !bytes.HasSuffix(s.buf[s.r:s.w], []byte("\r\n.\r\n")) {
		s.r = max(s.r, s.w-4)
		if err := s.fill(); err != nil {
			return err
		}
	}
	s.r, s.w = 0, 0
	return nil
}

var (
	ok        = []byte("250 Ok\r\n")
	accepted  = []byte("250 Ok 0107017033dbb64d-be13a01e-dbf1-44b7-b876-3622165dacc1-000000\r\n")
	goOn      = []byte("354 End data with <CR><LF>.<CR><LF>\r\n")
	signedIn  = []byte("235 Authentication successful.\r\n")
	goodbye   = []byte("221 Bye\r\n")
	extension = "250-8BITMIME\r\n250-AUTH PLAIN LOGIN\r\n250 Ok\r\n"
)

// serveSMTP speaks as much SMTP as the clients here use.
func serveSMTP(conn net.Conn, config *tls.Config) {
	s := &smtpReader{conn: conn, buf: make([]byte, 256<<10)}
	defer func() { s.conn.Close() }()
	hello := "250-sink\r\n"
	s.conn.Write([]byte("220 sink ESMTP\r\n"))
	var replies []byte // to what came in one piece
	for {
		line, err := s.line()
		if err != nil {
			return
		}
		starttls, quit := false, false
		switch line[0] &^ 0x20 {
		case 'E', 'H':
			replies = append(append(replies, hello...), "250-STARTTLS\r\n"+extension...)
		case 'A':
			replies = append(replies, signedIn...)
		case 'D':
			s.conn.Write(append(replies, goOn...))
			if s.discard() != nil {
				return
			}
			replies = append(replies[:0], accepted...)
		case 'S':
			replies, starttls = append(replies, "220 Ready\r\n"...), true
		case 'Q':
			replies, quit = append(replies, goodbye...), true
		default:
			replies = append(replies, ok...)
		}
		if s.r == s.w {
			s.conn.Write(replies)
			replies = replies[:0]
		}
		if quit {
			return
		}
		if starttls {
			s.conn = tls.Server(s.conn, config)
		}
	}
}
