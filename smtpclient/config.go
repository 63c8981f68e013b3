package smtpclient

import (
	"context"
	"crypto/tls"
	"log/slog"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/smtpclient/internal/conn"
)

// A TLSMode says how a connection is encrypted.
type TLSMode uint8

const (
	// TLSAuto is TLSWrapper on ports 465 and 2465 and TLSStartTLS on every
	// other.
	TLSAuto TLSMode = iota
	// TLSStartTLS begins in clear text and upgrades before anything secret is
	// said (RFC 3207). A server that does not offer the upgrade is refused.
	TLSStartTLS
	// TLSWrapper speaks TLS from the first octet (RFC 8314, section 3.3).
	TLSWrapper
	// TLSNone never encrypts. It is for a relay or a mail catcher on this
	// machine: New refuses it for any host that is not a loopback address.
	TLSNone
)

// String returns the name of the mode.
func (m TLSMode) String() string {
	names := [...]string{"TLSAuto", "TLSStartTLS", "TLSWrapper", "TLSNone"}
	if int(m) < len(names) {
		return names[m]
	}
	return "TLSMode(" + strconv.Itoa(int(m)) + ")"
}

// A Config says where the endpoint is, how to sign in, and what the pool may
// do. One of Region and Addr is needed, everything else may be zero. New copies
// it and never changes it.
//
// In limits and timeouts 0 is the default and a negative value is "none".
//
// Printed in any way, with fmt, log/slog or encoding/json, it shows [redacted]
// in place of the password. But fmt calls no methods inside an unexported field
// of a struct of yours: use Credentials there.
type Config struct {
	// Region is an AWS region such as "eu-west-1". It stands for the endpoint
	// email-smtp.REGION.amazonaws.com. Some regions have SES but no SMTP
	// endpoint; New says so.
	Region string

	// Addr is "host:port" of any other endpoint: dual stack, FIPS, VPC or a
	// server on this machine. It wins over Region.
	Addr string

	// Port goes with Region: 25, 587 or 2587 for STARTTLS, 465 or 2465 for the
	// TLS wrapper. Default: 587. Amazon EC2 blocks port 25 unless asked not to.
	Port int

	// TLS defaults to TLSAuto, which fits the port. There is no setting that
	// sends to another machine in clear text.
	TLS TLSMode

	// Username and Password are SMTP credentials: the access key id of an IAM
	// user, and what DerivePassword makes of its secret. They are required with
	// Region, unless there are Credentials; with Addr a client without a user
	// name does not sign in.
	Username, Password string

	// Credentials is asked before each new connection, instead of Username and
	// Password: for secrets that rotate. Its context ends with DialTimeout. It
	// may be called from several goroutines at once, also while sends are
	// refused because the last credentials were wrong, so it should cache.
	Credentials func(ctx context.Context) (username, password string, err error) `json:"-"`

	// TLSConfig is cloned. ServerName defaults to the host that is dialled.
	// InsecureSkipVerify is refused, unless VerifyConnection or
	// VerifyPeerCertificate does the checking or the host is a loopback
	// address.
	TLSConfig *tls.Config `json:"-"`

	// LocalName is said in EHLO. Default: "localhost", as net/smtp does; SES
	// does not look at it.
	LocalName string

	// MaxConns is the most connections that are open at one time. Default: 10,
	// a guess: AWS publishes no limit.
	MaxConns int

	// MaxMessagesPerConn replaces a connection after so many messages, refused
	// ones included. Default: 100; the first report of SES's own, undocumented
	// limit came after 350.
	MaxMessagesPerConn int

	// MaxConnLifetime replaces a connection after this time, give or take a
	// random tenth, so that connections opened together do not close together.
	// A message under way is never cut by it. Default: 5 minutes; AWS advises to
	// reconnect when a connection has been active for some time.
	MaxConnLifetime time.Duration

	// MaxConnIdleTime closes a connection that was not used for this time.
	// Keep it below the server's own limit, 10 seconds at SES. Default: 5 s.
	MaxConnIdleTime time.Duration

	// DialTimeout bounds the whole set-up of a connection: dial, TLS, greeting,
	// EHLO and AUTH together. Default: 30 s.
	DialTimeout time.Duration

	// CommandTimeout bounds the answer to each command. On a connection that
	// was used before, the first answer has at most 10 s, because a line that
	// died silently shows in no other way. Default: 1 minute; RFC 5321, section
	// 4.5.3.2, has up to 5 for servers that think, and SES does not.
	CommandTimeout time.Duration

	// DataTimeout bounds the answer to the message itself. It is long, because
	// giving up there leaves open whether the message was accepted. Default: 10
	// minutes (RFC 5321, section 4.5.3.2.6).
	DataTimeout time.Duration

	// DialContext replaces net.Dialer, for a proxy or a test. What wraps a
	// *net.TCPConn should pass on SyscallConn (syscall.Conn), or each message
	// costs two looks of 100 µs, and SetLinger or NetConn, or the connection
	// cannot be cut with a TCP reset. A connection whose SetDeadline fails, as
	// those through an SSH tunnel, is closed where others are interrupted.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error) `json:"-"`

	// Logger, if not nil, is told at level Debug of connections that open and
	// close, and at level Warn of those that cannot be set up, with the error.
	// No recipient, no password and no message is ever logged. A panic of its
	// handler becomes that of the Send that it was called for, if there is one.
	Logger *slog.Logger `json:"-"`
}

// The regions where SES has an API but no SMTP endpoint, and those where it has
// both ("Amazon Simple Email Service endpoints and quotas"). A region that
// stands in neither may be new: it is dialled.
var (
	withoutEndpoint = []string{
		"af-south-1", "ap-south-2", "ap-southeast-3", "ap-southeast-5", "ca-west-1",
		"eu-central-2", "eu-south-1", "il-central-1", "me-central-1", "me-south-1",
	}
	withEndpoint = []string{
		"ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-southeast-1", "ap-southeast-2",
		"ca-central-1", "eu-central-1", "eu-north-1", "eu-west-1", "eu-west-2", "eu-west-3", "sa-east-1",
		"us-east-1", "us-east-2", "us-gov-east-1", "us-gov-west-1", "us-west-1", "us-west-2",
	}
)

func configError(reason seserrors.Reason, field, problem string) *seserrors.Error {
	return invalid("smtpclient New", reason, "Config."+field+": "+problem)
}

// complete checks c and fills in what is zero. The result is the caller's own.
func (c Config) complete() (Config, *seserrors.Error) {
	checks := []func() *seserrors.Error{c.setAddr, c.setTLS, c.checkTLSConfig, c.checkCredentials, c.checkRest}
	for _, check := range checks {
		if err := check(); err != nil {
			return c, err
		}
	}
	return c, nil
}

func (c *Config) setAddr() *seserrors.Error {
	if c.Addr == "" {
		return c.setRegionAddr()
	}
	host, port, err := net.SplitHostPort(c.Addr)
	if err != nil {
		return configError(seserrors.ConfigInvalid, "Addr", "want \"host:port\", such as email-smtp.eu-west-1.amazonaws.com:587")
	}
	n, err := strconv.Atoi(port)
	if host == "" || err != nil || n < 1 || n > 65535 || !plainASCII(host) {
		return configError(seserrors.ConfigInvalid, "Addr", "want a host name and a port between 1 and 65535")
	}
	c.Port = n
	return nil
}

func (c *Config) setRegionAddr() *seserrors.Error {
	c.Region = strings.ToLower(c.Region)
	switch {
	case c.Region == "":
		return configError(seserrors.ConfigInvalid, "Region", "set it, such as \"eu-west-1\", or set Addr")
	case !regionSyntax(c.Region):
		return configError(seserrors.ConfigInvalid, "Region", "not a region: want a name such as \"eu-west-1\"; a host name goes into Addr")
	case slices.Contains(withoutEndpoint, c.Region):
		return configError(seserrors.NameNotFound, "Region", "SES has no SMTP endpoint in "+c.Region+
			": use the SES API there, or the SMTP endpoint of another region with that region's credentials")
	}
	if c.Port == 0 {
		c.Port = 587
	}
	if !slices.Contains([]int{25, 465, 587, 2465, 2587}, c.Port) {
		return configError(seserrors.ConfigInvalid, "Port", "SES listens on 25, 587 and 2587 (STARTTLS) and on 465 and 2465 (TLS wrapper)")
	}
	c.Addr = net.JoinHostPort("email-smtp."+c.Region+".amazonaws.com", strconv.Itoa(c.Port))
	return nil
}

func regionSyntax(s string) bool {
	return strings.Contains(s, "-") && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

func (c *Config) host() string {
	host, _, _ := net.SplitHostPort(c.Addr)
	return host
}

func wrapperPort(port int) bool { return port == 465 || port == 2465 }

func (c *Config) setTLS() *seserrors.Error {
	if c.TLS == TLSAuto {
		c.TLS = TLSStartTLS
		if wrapperPort(c.Port) {
			c.TLS = TLSWrapper
		}
	}
	switch port := strconv.Itoa(c.Port); {
	case c.TLS > TLSNone:
		return configError(seserrors.ConfigInvalid, "TLS", "unknown mode")
	case c.TLS == TLSWrapper && (c.Port == 25 || c.Port == 587 || c.Port == 2587):
		return configError(seserrors.TLSModeMismatch, "TLS", "port "+port+" speaks STARTTLS: leave TLS at TLSAuto, or use port 465 or 2465")
	case c.TLS != TLSWrapper && wrapperPort(c.Port):
		return configError(seserrors.TLSModeMismatch, "TLS", "port "+port+" speaks TLS from the first octet: leave TLS at TLSAuto, or use port 587 or 2587")
	case c.TLS == TLSNone && !conn.Loopback(c.host()):
		return configError(seserrors.TLSRequired, "TLS", "TLSNone is only for a loopback address: leave TLS at TLSAuto")
	}
	return nil
}

func (c *Config) checkTLSConfig() *seserrors.Error {
	t := c.TLSConfig
	if t != nil && t.InsecureSkipVerify && t.VerifyConnection == nil && t.VerifyPeerCertificate == nil && !conn.Loopback(c.host()) {
		return configError(seserrors.CertificateInvalid, "TLSConfig", "InsecureSkipVerify would give the password to anyone on the way:"+
			" put the server's certificate into RootCAs, or its name into ServerName")
	}
	c.TLSConfig = completeTLS(t, c.host())
	return nil
}

// completeTLS clones t for the host. Record sizes that adapt cost a system call
// for every 1,300 octets; mail gains nothing from them.
func completeTLS(t *tls.Config, host string) *tls.Config {
	if t == nil {
		t = new(tls.Config)
	}
	t = t.Clone()
	if t.ServerName == "" {
		t.ServerName = host
	}
	t.DynamicRecordSizingDisabled = true
	return t
}

func (c *Config) checkCredentials() *seserrors.Error {
	switch {
	case c.Credentials != nil && (c.Username != "" || c.Password != ""):
		return configError(seserrors.ConfigInvalid, "Credentials", "set it or Username and Password, not both")
	case c.Credentials != nil:
		return nil
	case c.Username == "" && c.Password != "":
		return configError(seserrors.ConfigInvalid, "Username", "missing beside a Password: it is the access key id of the IAM user")
	case c.Username == "" && c.Region != "":
		return configError(seserrors.AuthRequired, "Username", "missing, and SES takes no mail without it: set the SMTP user name and password of this region, or Credentials")
	case c.Username != "" && c.Password == "":
		return configError(seserrors.ConfigInvalid, "Password", "missing beside a Username: derive it with smtpclient.DerivePassword from the secret access key")
	}
	if field, problem := checkLogin(c.Username, c.Password); problem != "" {
		return configError(seserrors.CredentialsInvalid, field, problem)
	}
	return nil
}

// checkLogin says which field of a user name and a password cannot work, and
// why. A secret that was read from a file often ends with a line.
func checkLogin(username, password string) (field, problem string) {
	for _, of := range [...]struct{ field, value string }{{"Username", username}, {"Password", password}} {
		switch {
		case strings.TrimSpace(of.value) != of.value:
			return of.field, "begins or ends with white space, as what is read from a file may: trim it"
		case strings.ContainsFunc(of.value, unicode.IsControl):
			return of.field, "holds a control character"
		}
	}
	return "Username", temporary(username, password)
}

// temporary says why credentials from STS cannot work, or "". Their access key
// ids start with ASIA (IAM User Guide, "IAM identifiers", unique id prefixes);
// their session token has no place in SMTP and is far longer than any password.
func temporary(username, password string) string {
	const fix = ": SES accepts only the long-term access key of an IAM user over SMTP; create SMTP credentials in the SES console, or use the SES API"
	switch {
	case len(username) == 20 && strings.HasPrefix(username, "ASIA"):
		return "an access key id that starts with ASIA belongs to temporary credentials" + fix
	case len(password) > 200:
		return "the password looks like the session token of temporary credentials" + fix
	}
	return ""
}

func (c *Config) checkRest() *seserrors.Error {
	if c.LocalName == "" {
		c.LocalName = "localhost"
	}
	if !plainASCII(c.LocalName) {
		return configError(seserrors.ConfigInvalid, "LocalName", "want a host name or an address literal in ASCII")
	}
	if c.DialContext == nil {
		c.DialContext = new(net.Dialer).DialContext
	}
	c.MaxConns = limit(c.MaxConns, 10, math.MaxInt32)
	c.MaxMessagesPerConn = limit(c.MaxMessagesPerConn, 100, math.MaxInt)
	c.MaxConnLifetime = limit(c.MaxConnLifetime, 5*time.Minute, 0)
	c.MaxConnIdleTime = limit(c.MaxConnIdleTime, 5*time.Second, 0)
	c.DialTimeout = limit(c.DialTimeout, 30*time.Second, 0)
	c.CommandTimeout = limit(c.CommandTimeout, time.Minute, 0)
	c.DataTimeout = limit(c.DataTimeout, 10*time.Minute, 0)
	return nil
}

// limit reads a field: 0 is def, negative is none.
func limit[T int | time.Duration](v, def, none T) T {
	switch {
	case v < 0:
		return none
	case v == 0:
		return def
	}
	return v
}

// line is what a connection needs to know.
func (c *Config) line() conn.Config {
	mode := map[TLSMode]conn.TLS{TLSStartTLS: conn.STARTTLS, TLSWrapper: conn.Wrapper, TLSNone: conn.None}[c.TLS]
	return conn.Config{
		Addr: c.Addr, TLS: mode, TLSConfig: c.TLSConfig, LocalName: c.LocalName, Dial: c.DialContext,
		CommandTimeout: c.CommandTimeout, DataTimeout: c.DataTimeout,
	}
}

// plainASCII reports whether s is printable ASCII without space.
func plainASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}
