package smtpclient

import (
	"errors"
	"net/smtp"
	"slices"
	"strings"
)

// loginAuth is AUTH LOGIN, for servers that do not offer PLAIN. It is not a
// standard; the two prompts come in any wording, so they are counted.
type loginAuth struct {
	username, password string
	step               int
}

func (a *loginAuth) Start(server *smtp.ServerInfo) (string, []byte, error) {
	if !server.TLS && !loopback(server.Name) {
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

// A login is how to sign in: nothing, a user name and password, or the caller's
// own mechanism.
type login struct {
	username, password string
	auth               smtp.Auth
}

func (l login) none() bool { return l.username == "" && l.auth == nil }

// mechanism picks PLAIN, which net/smtp sends with an initial response (without
// one SES answers "334 Ok", which is not base64), or else LOGIN. It is nil if
// the server offers neither.
func (l login) mechanism(offered, host string) smtp.Auth {
	mechs := strings.Fields(strings.ToUpper(offered))
	switch {
	case l.auth != nil:
		return l.auth
	case slices.Contains(mechs, "PLAIN"):
		return smtp.PlainAuth("", l.username, l.password, host)
	case slices.Contains(mechs, "LOGIN"):
		return &loginAuth{username: l.username, password: l.password}
	}
	return nil
}

// A watchedAuth remembers when the mechanism itself gives up, such as PlainAuth
// on a line without TLS. That is no trouble of the network and does not pass.
type watchedAuth struct {
	smtp.Auth
	err error
}

func (a *watchedAuth) Start(server *smtp.ServerInfo) (string, []byte, error) {
	mech, resp, err := a.Auth.Start(server)
	a.err = err
	return mech, resp, err
}

func (a *watchedAuth) Next(fromServer []byte, more bool) ([]byte, error) {
	resp, err := a.Auth.Next(fromServer, more)
	a.err = err
	return resp, err
}
