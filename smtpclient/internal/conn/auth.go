package conn

import (
	"errors"
	"net/netip"
	"net/smtp"
	"slices"
	"strings"
)

// A Login is how to sign in: not at all, with a user name and a password, or by
// a mechanism of the caller's own.
type Login struct {
	Username, Password string
	Auth               smtp.Auth
}

// mechanism picks PLAIN, which is sent with an initial response (without one
// SES answers "334 Ok", which is not base64), or else LOGIN. It is nil if the
// server offers neither.
func (l Login) mechanism(offered []string, host string) smtp.Auth {
	switch {
	case l.Auth != nil:
		return l.Auth
	case slices.Contains(offered, "PLAIN"):
		return smtp.PlainAuth("", l.Username, l.Password, host)
	case slices.Contains(offered, "LOGIN"):
		return &loginAuth{username: l.Username, password: l.Password}
	}
	return nil
}

// loginAuth is AUTH LOGIN, for servers that do not offer PLAIN. It is not a
// standard; the two prompts come in any wording, so they are counted.
type loginAuth struct {
	username, password string
	step               int
}

func (a *loginAuth) Start(server *smtp.ServerInfo) (string, []byte, error) {
	if !server.TLS && !Loopback(server.Name) {
		return "", nil, errors.New("unencrypted connection")
	}
	a.step = 0
	return "LOGIN", nil, nil
}

func (a *loginAuth) Next(_ []byte, more bool) ([]byte, error) {
	if !more {
		return nil, nil
	}
	a.step++
	switch a.step {
	case 1:
		return []byte(a.username), nil
	case 2:
		return []byte(a.password), nil
	}
	return nil, errors.New("unexpected server challenge")
}

// Loopback reports whether host names this machine without asking DNS.
func Loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
