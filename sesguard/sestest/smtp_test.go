package sestest_test

import (
	"crypto/tls"
	"encoding/base64"
	"io"
	"net/smtp"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

var idShape = regexp.MustCompile(`^0100[0-9a-f]{12}-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}-000000$`)

func TestNetSMTPSendsThroughSTARTTLS(t *testing.T) {
	s := newServer(t)
	c, err := smtp.Dial(s.SMTPAddr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	cfg := s.TLSConfig()
	cfg.ServerName = "127.0.0.1"
	if err := c.StartTLS(cfg); err != nil {
		t.Fatal(err)
	}
	sendWith(t, s, c)
}

func TestNetSMTPSendsThroughTheTLSWrapper(t *testing.T) {
	s := newServer(t)
	conn, err := tls.Dial("tcp", s.SMTPSAddr, s.TLSConfig())
	if err != nil {
		t.Fatal(err)
	}
	c, err := smtp.NewClient(conn, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	sendWith(t, s, c)
}

func sendWith(t *testing.T, s *sestest.Server, c *smtp.Client) {
	t.Helper()
	if err := c.Auth(smtp.PlainAuth("", s.Username, s.Password, "127.0.0.1")); err != nil {
		t.Fatal(err)
	}
	if err := c.Mail(from); err != nil {
		t.Fatal(err)
	}
	if err := c.Rcpt(to); err != nil {
		t.Fatal(err)
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	w.Write([]byte(message))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Quit(); err != nil {
		t.Fatal(err)
	}
	m := wantAccepted(t, s, 1)[0]
	if m.From != from || strings.Join(m.To, " ") != to || string(m.Data) != message || m.Transport != "smtp" {
		t.Errorf("accepted %+v", m)
	}
	if !idShape.MatchString(m.ID) {
		t.Errorf("id %q is not shaped like one of SES's", m.ID)
	}
	if s.Logins() != 1 {
		t.Errorf("%d logins, want 1", s.Logins())
	}
}

func TestSendMailReachesThePlainAddress(t *testing.T) {
	s := newServer(t)
	if err := smtp.SendMail(s.PlainAddr, nil, from, []string{to}, []byte(message)); err != nil {
		t.Fatal(err)
	}
	wantAccepted(t, s, 1)
}

func TestEHLOAnswersAsSESDoes(t *testing.T) {
	s := newServer(t)
	tests := map[string]struct {
		addr   string
		secure bool
		want   string
	}{
		"before STARTTLS": {s.SMTPAddr, false, "email-smtp.amazonaws.com\n8BITMIME\nSTARTTLS\nAUTH PLAIN LOGIN\nOk"},
		"TLS wrapper":     {s.SMTPSAddr, true, "email-smtp.amazonaws.com\n8BITMIME\nAUTH PLAIN LOGIN\nOk"},
		"plain":           {s.PlainAddr, false, "email-smtp.amazonaws.com\n8BITMIME\nAUTH PLAIN LOGIN\nOk"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d := dial(t, s, tt.addr)
			if tt.secure {
				d.secure(s)
			}
			d.expect(220, "email-smtp.amazonaws.com ESMTP SimpleEmailService-")
			if got := d.cmd(250, "", "EHLO client.example.com"); got != tt.want {
				t.Errorf("EHLO: %q", got)
			}
		})
	}
}

func TestSTARTTLSAndAUTHAreRequired(t *testing.T) {
	s := newServer(t)
	d := dial(t, s, s.SMTPAddr)
	d.expect(220, "")
	d.cmd(250, "", "EHLO client.example.com")
	d.cmd(530, "Must issue a STARTTLS command first", "MAIL FROM:<%s>", from)
	d.cmd(530, "Must issue a STARTTLS command first", "AUTH PLAIN %s", plainCredentials(s.Username, s.Password))
	d.startTLS(s)
	d.cmd(503, "", "STARTTLS")
	if text := d.cmd(250, "Ok", "EHLO client.example.com"); strings.Contains(text, "STARTTLS") {
		t.Error("STARTTLS is offered inside TLS")
	}
	d.cmd(530, "Authentication required", "MAIL FROM:<%s>", from)
}

func TestAUTH(t *testing.T) {
	s := newServer(t)
	b64 := base64.StdEncoding.EncodeToString
	good := plainCredentials(s.Username, s.Password)
	user, pass := b64([]byte(s.Username)), b64([]byte(s.Password))
	// Each row is a command followed by the start of its reply.
	tests := map[string][]string{
		"PLAIN":                          {"AUTH PLAIN " + good, "235"},
		"PLAIN in two steps":             {"AUTH PLAIN", "334 Ok", good, "235"},
		"LOGIN":                          {"AUTH LOGIN", "334 VXNlcm5hbWU6", user, "334 UGFzc3dvcmQ6", pass, "235"},
		"LOGIN with initial response":    {"auth login " + user, "334 UGFzc3dvcmQ6", pass, "235"},
		"wrong password, then the right": {"AUTH PLAIN " + plainCredentials(s.Username, "x"), "535 Authentication Credentials Invalid", "AUTH PLAIN " + good, "235"},
		"no base64":                      {"AUTH PLAIN !", "535"},
		"cancelled":                      {"AUTH PLAIN", "334", "*", "535", "NOOP", "250"},
		"unknown mechanism":              {"AUTH CRAM-MD5", "535"},
		"twice":                          {"AUTH PLAIN " + good, "235", "AUTH PLAIN " + good, "503"},
	}
	for name, lines := range tests {
		t.Run(name, func(t *testing.T) {
			d := dial(t, s, s.SMTPSAddr)
			d.secure(s)
			d.expect(220, "")
			d.cmd(250, "", "EHLO client.example.com")
			d.script(lines...)
		})
	}
}

func TestCommandsOutOfOrderAndMalformed(t *testing.T) {
	s := newServer(t)
	s.SetExtensions("XVERP")
	const mail, rcpt = "MAIL FROM:<sender@example.com>", "RCPT TO:<to@example.org>"
	tests := map[string][]string{
		"unknown":                {"FROBNICATE", "502"},
		"empty":                  {"", "502"},
		"control character":      {"NOOP \x01", "500"},
		"HELO":                   {"HELO client.example.com", "250 email-smtp"},
		"HELO without a name":    {"HELO", "501"},
		"EHLO without a name":    {"EHLO", "501"},
		"RCPT without MAIL":      {rcpt, "503"},
		"DATA without MAIL":      {"DATA", "503"},
		"DATA without RCPT":      {mail, "250", "DATA", "503"},
		"DATA with argument":     {mail, "250", rcpt, "250", "DATA now", "501"},
		"MAIL twice":             {mail, "250", mail, "503", "RSET", "250", mail, "250"},
		"EHLO resets":            {mail, "250", "EHLO x", "250", mail, "250"},
		"null sender":            {"MAIL FROM:<>", "501 Invalid MAIL FROM address provided"},
		"sender without domain":  {"MAIL FROM:<sender>", "501 Invalid MAIL FROM address provided"},
		"sender with space":      {"MAIL FROM:<a b@example.com>", "501"},
		"sender without bracket": {"MAIL FROM:sender@example.com", "501"},
		"quoted bracket":         {`MAIL FROM:<"a>b"@example.com>`, "501"},
		"lower case":             {"mail from:<sender@example.com>", "250"},
		"8BITMIME":               {mail + " BODY=8BITMIME", "250"},
		"bad BODY":               {mail + " BODY=9BIT", "501"},
		"SIZE":                   {mail + " SIZE=41943040", "250"},
		"SIZE too large":         {mail + " SIZE=41943041", "552 Message is too long."},
		"SIZE beyond any int":    {mail + " SIZE=99999999999999999999", "552"},
		"bad SIZE":               {mail + " SIZE=1k", "501"},
		"SMTPUTF8":               {mail + " SMTPUTF8", "555"},
		"announced parameter":    {mail + " XVERP", "250"},
		"junk behind the path":   {mail + "x", "501"},
		"empty recipient":        {mail, "250", "RCPT TO:<>", "553 <> address unknown"},
		"broken recipient":       {mail, "250", "RCPT TO:to@example.org", "553"},
		"recipient parameter":    {mail, "250", rcpt + " NOTIFY=NEVER", "555"},
		"STARTTLS not offered":   {"STARTTLS", "503"},
		"VRFY":                   {"VRFY x", "252"},
	}
	for name, lines := range tests {
		t.Run(name, func(t *testing.T) { start(t, s).script(lines...) })
	}
}

func TestABareLFDoesNotEndACommand(t *testing.T) {
	d := start(t, newServer(t))
	d.send("NOOP\n")
	d.expect(500, "")
}

func TestAnEndlessLineEndsTheConnection(t *testing.T) {
	d := start(t, newServer(t))
	d.send("%s", strings.Repeat("x", 4096))
	d.expect(500, "Line too long")
	d.expectEnd()
}

func TestOnlyTheFinalDotEndsAMessage(t *testing.T) {
	const head = "From: sender@example.com\r\nTo: to@example.org\r\n\r\n"
	tests := map[string]struct{ wire, want string }{
		"empty body":              {"", ""},
		"stuffed dots":            {"..\r\n..x\r\n...\r\n", ".\r\n.x\r\n..\r\n"},
		"an unstuffed dot":        {".x\r\n", "x\r\n"},
		"dot between bare LFs":    {"a\n.\nb\r\n", "a\n.\nb\r\n"},
		"dot after bare LF":       {"a\n.\r\nb\r\n", "a\n.\r\nb\r\n"},
		"dot before bare LF":      {"a\r\n.\nb\r\n", "a\r\n\nb\r\n"},
		"dot between bare CRs":    {"a\r.\rb\r\n", "a\r.\rb\r\n"},
		"dot inside a line":       {"a.\r\n", "a.\r\n"},
		"CRLF across two buffers": {strings.Repeat("x", 4095) + "\r\n..\r\n", strings.Repeat("x", 4095) + "\r\n.\r\n"},
		"long line":               {strings.Repeat("x", 10000) + ".\r\n", strings.Repeat("x", 10000) + ".\r\n"},
		"octets of every kind":    {"\x00\xff\xc3\xa4\r\n", "\x00\xff\xc3\xa4\r\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			d := start(t, s)
			d.envelope(from, to)
			io.WriteString(d.conn, head+tt.wire+".\r\n")
			d.expect(250, "Ok")
			if got := wantAccepted(t, s, 1)[0].Data; string(got) != head+tt.want {
				t.Errorf("accepted %q, want %q", got, head+tt.want)
			}
		})
	}
}

func TestHalfAMessageIsNeverAccepted(t *testing.T) {
	wire := message + ".\r\n"
	inMemory(t, func(t *testing.T, s *sestest.Server) {
		for n := range len(wire) {
			d := start(t, s)
			d.envelope(from, to)
			io.WriteString(d.conn, wire[:n])
			d.conn.Close()
			synctest.Wait()
			wantAccepted(t, s, 0)
		}
		d := start(t, s)
		d.envelope(from, to)
		io.WriteString(d.conn, wire)
		d.conn.Close()
		synctest.Wait()
		wantAccepted(t, s, 1)
	})
}

func TestTheFiftyFirstRecipientIsRefusedAfterTheDot(t *testing.T) {
	s := newServer(t)
	for n, want := range map[int]string{50: "250 Ok", 51: "554 Transaction failed: Recipient count exceeds 50."} {
		d := start(t, s)
		d.envelope(from, slices.Repeat([]string{to}, n)...)
		d.send("%s", message)
		d.script(".", want)
	}
}

func TestARefusalAfterTheDotLeavesTheTransactionOpen(t *testing.T) {
	s := newServer(t)
	s.Script(sestest.Pass(), sestest.Refuse(seserrors.RecipientSuppressed))
	d := start(t, s)
	stale := []string{"MAIL FROM:<" + from + ">", "503", "RCPT TO:<" + to + ">", "503", "DATA", "503", "RSET", "250"}
	d.mail("Subject: no sender\r\n\r\n", 554, "Transaction failed: Missing required header 'From'.")
	d.script(stale...)
	d.mail(message, 554, "Message rejected: Address blacklisted.")
	d.script(stale...)
	d.mail(message, 250, "Ok")
	d.mail(message, 250, "Ok") // after a success no RSET is needed
}

func TestPipelinedCommandsAreAnsweredInOrder(t *testing.T) {
	s := newServer(t)
	d := start(t, s)
	d.send("MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nRCPT TO:<>\r\nDATA\r\n%s.\r\nQUIT\r\n", from, to, message)
	for _, want := range []int{250, 250, 553, 354, 250, 221} {
		d.expect(want, "")
	}
	d.expectEnd()
	wantAccepted(t, s, 1)
}

func TestTheSessionLimit(t *testing.T) {
	s := newServer(t)
	s.SetSessionLimit(2)
	d := start(t, s)
	d.mail(message, 250, "Ok")
	d.mail(message, 250, "Ok")
	d.cmd(421, "Connection closed by server. Maximum message count per session reached.", "MAIL FROM:<%s>", from)
	d.expectEnd()
	start(t, s).mail(message, 250, "Ok")
}

func TestTheConnectionLimit(t *testing.T) {
	inMemory(t, func(t *testing.T, s *sestest.Server) {
		s.SetConnectionLimit(1)
		first := start(t, s)
		second := dial(t, s, s.PlainAddr)
		second.expect(421, "Too many concurrent SMTP connections")
		second.expectEnd()
		first.cmd(221, "", "QUIT")
		synctest.Wait()
		start(t, s)
		synctest.Wait()
		if got := s.Connections(); got != (sestest.Connections{Open: 1, Max: 2, Total: 3}) {
			t.Errorf("connections %+v", got)
		}
	})
}

func TestCommandsAreNotedWithoutCredentials(t *testing.T) {
	s := newServer(t)
	d := dial(t, s, s.SMTPSAddr)
	d.secure(s)
	d.expect(220, "")
	d.script("ehlo x", "250",
		"AUTH PLAIN", "334", plainCredentials(s.Username, "secret"), "535",
		"AUTH PLAIN "+plainCredentials(s.Username, s.Password), "235", "QUIT", "221")
	want := []string{"1 EHLO x", "1 AUTH PLAIN", "1 ***", "1 AUTH PLAIN ***", "1 QUIT"}
	if got := s.Commands(); !slices.Equal(got, want) {
		t.Errorf("commands %q, want %q", got, want)
	}
}

func TestCloseEndsEveryConnection(t *testing.T) {
	s := sestest.NewServer()
	d := start(t, s)
	d.envelope(from, to)
	s.Close()
	s.Close()
	if _, err := d.r.ReadLine(); err == nil {
		t.Error("the connection is still served")
	}
	if _, err := s.DialContext(t.Context(), "tcp", s.SMTPAddr); err == nil {
		t.Error("a closed server can be dialled")
	}
	if n := s.Connections().Open; n != 0 {
		t.Errorf("%d connections open", n)
	}
}

func TestSESNamesReachTheServer(t *testing.T) {
	for name, newServer := range map[string]func() *sestest.Server{"loopback": sestest.NewServer, "memory": sestest.NewMemoryServer} {
		t.Run(name, func(t *testing.T) {
			s := newServer()
			defer s.Close()
			for _, port := range []string{"25", "587", "2587"} {
				dial(t, s, "email-smtp.us-east-1.amazonaws.com:"+port).expect(220, "")
			}
			for _, port := range []string{"465", "2465"} {
				c := dial(t, s, "email-smtp.us-east-1.amazonaws.com:"+port)
				cfg := s.TLSConfig()
				cfg.ServerName = "email-smtp.us-east-1.amazonaws.com"
				c.use(tls.Client(c.conn, cfg))
				c.expect(220, "")
			}
			resp, err := s.HTTPClient().Get("https://email.us-east-1.amazonaws.com/v2/email/account")
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		})
	}
}
