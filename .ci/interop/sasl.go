package main

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"net"
	"strings"
)

// serveAuth answers Postfix's questions about passwords on a socket, in the
// protocol of Dovecot's authentication service (version 1.1), so that no Dovecot
// need be set up. The one account is user with the password pass.
func serveAuth(socket string) error {
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	go func() {
		for n := 1; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go answerAuth(c, n)
		}
	}()
	return nil
}

func answerAuth(c net.Conn, n int) {
	defer c.Close()
	fmt.Fprintf(c, "VERSION\t1\t1\nMECH\tPLAIN\tplaintext\nMECH\tLOGIN\tplaintext\nSPID\t1\nCUID\t%d\nCOOKIE\t%032x\nDONE\n", n, n)
	logins := make(map[string]string) // request → user name; "" before it was told
	for in := bufio.NewScanner(c); in.Scan(); {
		fields := strings.Split(in.Text(), "\t")
		if len(fields) < 3 || fields[0] != "AUTH" && fields[0] != "CONT" {
			continue
		}
		id, response := fields[1], ""
		if i := strings.Index(in.Text(), "\tresp="); i >= 0 {
			response = decode64(in.Text()[i+len("\tresp="):])
		}
		user, known := logins[id]
		switch {
		case fields[0] == "AUTH" && fields[2] == "PLAIN":
			verdict(c, id, response == "\x00user\x00pass" || response == "user\x00user\x00pass")
		case fields[0] == "AUTH":
			logins[id] = response
			ask(c, id, map[bool]string{true: "Password:", false: "Username:"}[response != ""])
		case known && user == "":
			logins[id] = decode64(fields[2])
			ask(c, id, "Password:")
		case known:
			delete(logins, id)
			verdict(c, id, user == "user" && decode64(fields[2]) == "pass")
		}
	}
}

func decode64(s string) string {
	b, _ := base64.StdEncoding.DecodeString(s)
	return string(b)
}

func ask(c net.Conn, id, prompt string) {
	fmt.Fprintf(c, "CONT\t%s\t%s\n", id, base64.StdEncoding.EncodeToString([]byte(prompt)))
}

func verdict(c net.Conn, id string, good bool) {
	if good {
		fmt.Fprintf(c, "OK\t%s\tuser=user\n", id)
		return
	}
	fmt.Fprintf(c, "FAIL\t%s\tuser=user\n", id)
}
