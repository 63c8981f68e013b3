package compare

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"strconv"
)

var sent = []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 77\r\n\r\n" +
	`{"MessageId":"0107017033dbb64d-be13a01e-dbf1-44b7-b876-3622165dacc1-000000"}` + "\n")

// serveAPI answers every HTTP/1.1 request as SendEmail does.
func serveAPI(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReaderSize(conn, 64<<10)
	for {
		length, err := head(r)
		if err != nil {
			return
		}
		if _, err := r.Discard(length); err != nil {
			return
		}
		if _, err := conn.Write(sent); err != nil {
			return
		}
	}
}

// head reads the request line and header and returns the length of the body.
func head(r *bufio.Reader) (length int, err error) {
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			return length, nil
		}
		if name, value, _ := bytes.Cut(line, []byte(":")); bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil || length < 0 {
				return 0, io.ErrUnexpectedEOF
			}
		}
	}
}
