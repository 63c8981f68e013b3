package sestest

import (
	"bytes"
	"mime"
	"slices"
	"strings"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// A field is one header field, unfolded.
type field struct {
	name, value string
}

type header []field

// get returns the value of the first field of the name.
func (h header) get(name string) string {
	for _, f := range h {
		if strings.EqualFold(f.name, name) {
			return f.value
		}
	}
	return ""
}

func (h header) count(name string) (n int) {
	for _, f := range h {
		if strings.EqualFold(f.name, name) {
			n++
		}
	}
	return n
}

// parseHeader reads a message's header, with CRLF or bare LF line ends, and
// returns the offset of its body. problem is the complaint that SES would
// make.
func parseHeader(data []byte) (h header, bodyAt int, problem string) {
	var lines []string // of the last field's value
	unfold := func() {
		if len(h) > 0 {
			h[len(h)-1].value = strings.Join(lines, " ")
		}
	}
	defer unfold()
	for bodyAt < len(data) {
		line, next := cutLine(data, bodyAt)
		bodyAt = next
		switch {
		case len(line) == 0:
			return h, bodyAt, ""
		case line[0] == ' ' || line[0] == '\t':
			if len(h) == 0 {
				return h, bodyAt, "Empty header names are illegal."
			}
			lines = append(lines, strings.TrimSpace(string(line)))
		default:
			f, problem := parseField(string(line))
			if problem != "" {
				return h, bodyAt, problem
			}
			unfold()
			h, lines = append(h, f), append(lines[:0], f.value)
		}
	}
	return h, bodyAt, ""
}

func cutLine(data []byte, at int) (line []byte, next int) {
	end := bytes.IndexByte(data[at:], '\n')
	if end < 0 {
		return data[at:], len(data)
	}
	return bytes.TrimSuffix(data[at:at+end], []byte("\r")), at + end + 1
}

func parseField(line string) (f field, problem string) {
	name, value, ok := strings.Cut(line, ":")
	name = strings.TrimRight(name, " \t")
	switch {
	case !ok:
		return f, "Expected ':', got 'null'"
	case name == "":
		return f, "Empty header names are illegal."
	case strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return f, "Header name contains illegal character"
	}
	return field{name: name, value: strings.TrimSpace(value)}, ""
}

// single are the fields that SES refuses to see twice in a message ("Amazon
// SES header fields", Amazon SES Developer Guide).
var single = strings.Fields(`Accept-Language acceptLanguage Archived-At Auto-Submitted Bounces-to Comments
	Content-Alternative Content-Base Content-Class Content-Description Content-Disposition Content-Duration
	Content-ID Content-Language Content-Length Content-Location Content-MD5 Content-Transfer-Encoding
	Content-Type Date Delivered-To Disposition-Notification-Options Disposition-Notification-To
	DKIM-Signature DomainKey-Signature Errors-To From Importance In-Reply-To Keywords List-Archive List-Help
	List-Id List-Owner List-Post List-Subscribe List-Unsubscribe List-Unsubscribe-Post Message-Context
	Message-ID MIME-Version Organization Original-From Original-Message-ID Original-Recipient
	Original-Subject Precedence Priority References Reply-To Return-Path Return-Receipt-To Sender
	Solicitation Sensitivity Subject Thread-Index Thread-Topic User-Agent VBR-Info`)

// check makes SES's complaints about a header as a whole.
func (h header) check() *refusal {
	counts := map[string]int{}
	for _, f := range h {
		counts[strings.ToLower(f.name)]++
	}
	for _, name := range single {
		if counts[strings.ToLower(name)] > 1 {
			return refused(seserrors.DuplicateHeader, name)
		}
	}
	if h.count("From") == 0 {
		return refused(seserrors.IllegalHeader, "Missing required header 'From'.")
	}
	if h.count("To")+h.count("Cc")+h.count("Bcc") == 0 {
		return refused(seserrors.IllegalHeader, "Missing required header 'To'.")
	}
	for _, name := range []string{"From", "To"} {
		if h.count(name) > 0 && h.get(name) == "" {
			return refused(seserrors.IllegalHeader, "Empty required header '"+name+"'.")
		}
	}
	return h.checkContentType()
}

func (h header) checkContentType() *refusal {
	value := h.get("Content-Type")
	if value == "" {
		return nil
	}
	if typ, _, _ := strings.Cut(value, ";"); !strings.Contains(typ, "/") {
		return refused(seserrors.IllegalHeader, "Expected MIME type, got "+strings.TrimSpace(typ))
	}
	if _, _, err := mime.ParseMediaType(value); err != nil && err != mime.ErrInvalidMediaParameter {
		return refused(seserrors.IllegalHeader, "Expected '/', got ;")
	}
	return nil
}

// addressFields are those whose addresses SES's parser looks at.
var addressFields = []string{"From", "Sender", "Reply-To", "Return-Path", "To", "Cc", "Bcc"}

func isNamed(name string, names []string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
}

// mailboxes returns the addresses of all fields of these names.
func (h header) mailboxes(names ...string) (all []mailbox, r *refusal) {
	for _, f := range h {
		if !isNamed(f.name, names) {
			continue
		}
		list, r := parseMailboxes(f.value)
		if r != nil {
			return nil, r
		}
		all = append(all, list...)
	}
	return all, nil
}

// without returns the message without the fields of these names.
func without(data []byte, names ...string) []byte {
	out := make([]byte, 0, len(data))
	dropping := false
	for at := 0; at < len(data); {
		line, next := cutLine(data, at)
		if len(line) == 0 {
			return append(out, data[at:]...)
		}
		if line[0] != ' ' && line[0] != '\t' {
			n, _, _ := bytes.Cut(line, []byte(":"))
			dropping = isNamed(string(bytes.TrimRight(n, " \t")), names)
		}
		if !dropping {
			out = append(out, data[at:next]...)
		}
		at = next
	}
	return out
}
