package smtpclient

import (
	"io"
	"strconv"
	"strings"
	"unicode"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/smtpclient/internal/conn"
)

// maxPath bounds an address. RFC 5321, section 4.5.3.1, has 64 octets before
// the @ and 255 after it.
const maxPath = 64 + 1 + 255

// checkMail refuses what must not reach a server.
func checkMail(from string, to []string, msg io.WriterTo) *seserrors.Error {
	if msg == nil {
		return invalid(opOpen, seserrors.ContentUnreadable, "message is nil")
	}
	if sized, ok := msg.(interface{ Len() int }); ok && sized.Len() > conn.MaxMessage {
		return invalid(opOpen, seserrors.MessageTooLong, "message is longer than 40 MB")
	}
	if err := checkAddr("from", from); err != nil {
		return err
	}
	if len(to) == 0 {
		return invalid("smtp RCPT", seserrors.NoRecipients, "no recipients")
	}
	for _, addr := range to {
		if err := checkAddr("to", addr); err != nil {
			err.Recipients = []string{addr}
			return err
		}
	}
	return nil
}

// checkAddr lets only through what cannot end the path or the line it stands
// in: "a@b> SIZE=1" would add a parameter, a CRLF a command.
func checkAddr(field, addr string) *seserrors.Error {
	at := strings.LastIndexByte(addr, '@')
	switch {
	case strings.ContainsFunc(addr, func(r rune) bool { return r > unicode.MaxASCII }):
		return invalid("smtp envelope", seserrors.NonASCIIAddress, field+": address "+shown(addr)+" is not ASCII: write the domain in Punycode")
	case !plainASCII(addr), strings.ContainsAny(addr, "<>"):
		return invalid("smtp envelope", seserrors.IllegalAddress, field+": address "+shown(addr)+" holds a space, a control character or an angle bracket: want a bare address")
	case at < 1 || at == len(addr)-1:
		return invalid("smtp envelope", seserrors.IllegalAddress, field+": address "+shown(addr)+" is not of the form local@domain")
	case len(addr) > maxPath:
		return invalid("smtp envelope", seserrors.IllegalAddress, field+": address "+shown(addr)+" is too long")
	}
	return nil
}

// shown is an offending value as an error may show it: quoted, and cut short.
func shown(s string) string {
	const most = 60
	if len(s) > most {
		return strconv.Quote(s[:most]) + "..."
	}
	return strconv.Quote(s)
}

func invalid(op string, reason seserrors.Reason, message string) *seserrors.Error {
	return &seserrors.Error{Op: op, Class: seserrors.Invalid, Reason: reason, Message: message}
}
