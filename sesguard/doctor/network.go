package doctor

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/smtpclient"
)

// The ports of SES ("Connecting to an Amazon SES SMTP endpoint").
var sesPorts = []int{587, 2587, 465, 2465, 25}

// place finds out the regions, the host and the port that the settings mean.
func (r *run) place() {
	r.SMTP.Region = strings.ToLower(r.SMTP.Region)
	r.sends, r.port = r.SMTP.Region, r.SMTP.Port
	switch {
	case r.SMTP.Addr != "":
		host, port, err := net.SplitHostPort(r.SMTP.Addr)
		if err != nil {
			host = r.SMTP.Addr
		}
		r.host = strings.ToLower(host)
		r.port, _ = strconv.Atoi(port)
		if labels := strings.Split(r.host, "."); r.isSES() {
			r.sends = labels[slices.IndexFunc(labels, isEndpoint)+1]
		}
	case r.SMTP.Region != "":
		r.host = "email-smtp." + r.SMTP.Region + ".amazonaws.com"
	}
	r.port = cmp.Or(r.port, 587)
	r.sends = cmp.Or(r.sends, r.Region)
	if c, ok := r.API.(interface{ Options() sesv2.Options }); ok {
		r.Region = cmp.Or(c.Options().Region, r.Region)
	}
	r.Region = cmp.Or(r.Region, r.sends)
	r.sends = cmp.Or(r.sends, r.Region)
	if len(r.Ports) == 0 && r.isSES() {
		r.Ports = sesPorts
	}
	if !slices.Contains(r.Ports, r.port) {
		r.Ports = append([]int{r.port}, r.Ports...)
	}
	r.tls = r.SMTP.TLS
	if problem(r.where(r.tls)) != nil {
		r.tls = smtpclient.TLSAuto
	}
}

func isEndpoint(label string) bool { return label == "email-smtp" || label == "email-smtp-fips" }

// isSES reports whether the host is an endpoint of SES's own.
func (r *run) isSES() bool {
	return slices.ContainsFunc(strings.Split(r.host, "."), isEndpoint) &&
		(strings.HasSuffix(r.host, ".amazonaws.com") || strings.HasSuffix(r.host, ".api.aws"))
}

// where returns the settings that say where to connect, with credentials that
// nothing is wrong with.
func (r *run) where(tls smtpclient.TLSMode) smtpclient.Config {
	return smtpclient.Config{Region: r.SMTP.Region, Addr: r.SMTP.Addr, Port: r.SMTP.Port, TLS: tls, DialContext: r.SMTP.DialContext, Username: "x", Password: "x"}
}

// problem returns why smtpclient does not take settings, nil if it does.
func problem(cfg smtpclient.Config) *seserrors.Error {
	c, err := smtpclient.New(cfg)
	if err != nil {
		return seserrors.Classify(err)
	}
	c.Close()
	return nil
}

// setting has the finding fail for what smtpclient says of a setting.
func (f *Finding) setting(e *seserrors.Error) {
	f.fail(e.Reason, strings.Replace(e.Message, "Config.", "SMTP.", 1), "Mend this setting.")
}

// mode tells how a port should begin: as AWS says, or as the settings do.
func (r *run) mode(port int) smtpclient.TLSMode {
	switch {
	case port == 465 || port == 2465:
		return smtpclient.TLSWrapper
	case port != r.port && slices.Contains(sesPorts, port) || r.tls == smtpclient.TLSAuto:
		return smtpclient.TLSStartTLS
	}
	return r.tls
}

// smtp looks at the SMTP interface from here: name, ports, TLS, sign-in.
func (r *run) smtp(ctx context.Context) {
	r.reach(ctx)
	if r.host != "" {
		r.oldKey()
		r.allowList()
	}
	if len(r.usable) > 0 {
		together(func() { r.signIn(ctx) }, func() { r.mtu(ctx) })
	}
}

// reach finds the ports that can be used.
func (r *run) reach(ctx context.Context) {
	defer close(r.reached)
	if r.host == "" {
		r.skip("the settings name no SMTP endpoint: set SMTP.Region or SMTP.Addr", checkEndpoint, checkPorts,
			checkTLSMode, checkCertificate, checkSignIn, checkMTU, checkOldKey, checkAllowList)
		return
	}
	start := time.Now()
	f, doubtful := r.endpoint(ctx)
	if !doubtful && ctx.Err() == nil {
		r.found(start, f)
	}
	var probes []probe
	probing := time.Now()
	if f.Status != Fail || doubtful {
		probes = each(r.Ports, func(port int) probe { return r.probe(ctx, port) })
	}
	if ctx.Err() != nil {
		return
	}
	open := slices.ContainsFunc(probes, func(p probe) bool { return p.open() })
	if doubtful {
		if open {
			f.Status = Warn
		}
		r.found(start, f)
	}
	if f.Status == Fail {
		r.skip("the endpoint is not reached", checkPorts, checkTLSMode, checkCertificate, checkSignIn, checkMTU)
		return
	}
	for _, p := range probes {
		if p.fail == nil {
			r.usable = append(r.usable, p.port)
		}
	}
	r.ports(probing, probes)
	r.tlsMode(probing, probes)
	if !r.certificate(probing, probes) {
		r.usable = nil
	}
	if len(r.usable) == 0 {
		r.skip("no port is open with TLS that is trusted, so nothing secret is said", checkSignIn, checkMTU)
	}
}

func (r *run) allowList() {
	ports := strings.ReplaceAll(strings.Trim(fmt.Sprint(r.Ports), "[]"), " ", ", ")
	r.found(time.Now(), Finding{Check: checkAllowList, Subject: r.host, Status: OK,
		Detail: "a firewall must let out TCP to it, port " + ports + " (one is enough); its addresses change and no list of them exists"})
}

// endpoint looks the host's name up. A verdict is doubtful if only a dial can show
// it: something else may look the name up for this program, or lead it elsewhere.
func (r *run) endpoint(ctx context.Context) (f Finding, doubtful bool) {
	f = Finding{Check: checkEndpoint, Subject: r.host, Status: Fail}
	if e := problem(r.where(smtpclient.TLSAuto)); e != nil {
		f.setting(e)
		return f, false
	}
	if net.ParseIP(r.host) != nil {
		f.Status, f.Detail = OK, "is an address, no name to look up"
		return f, false
	}
	lookup, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	addrs, err := within(lookup, func() ([]string, error) { return r.Resolver.LookupHost(lookup, r.host) })
	local := func(s string) bool {
		ip := net.ParseIP(s)
		return ip.IsLoopback() || ip.IsUnspecified()
	}
	switch noSMTP := problem(smtpclient.Config{Region: r.sends, Username: "x", Password: "x"}); {
	case err == nil && r.isSES() && slices.ContainsFunc(addrs, local):
		f.fail(seserrors.Network, "resolves to "+strings.Join(addrs, ", ")+": to this machine, not to SES", "Look for the name in /etc/hosts, and for a DNS filter.")
		return f, true
	case err == nil:
		f.Status, f.Detail = OK, "resolves to "+strings.Join(addrs[:min(3, len(addrs))], ", ")
		return f, false
	case isNotFound(err) && r.isSES() && noSMTP != nil:
		f.setting(noSMTP)
	case isNotFound(err):
		f.fail(seserrors.NameNotFound, "the name does not exist", "Check the spelling of the region, and that a VPC endpoint's private DNS is on.")
	default:
		f.fail(seserrors.Network, noAnswer("the name", err), "Check this machine's resolver, /etc/resolv.conf, and that UDP and TCP port 53 are open to it.")
	}
	return f, r.SMTP.DialContext != nil
}

// A probe is what one port answered.
type probe struct {
	port int
	fail *failure          // nil: the dialogue came to its end
	leaf *x509.Certificate // nil if none was shown
}

func (r *run) probe(ctx context.Context, port int) probe {
	s, fail := r.open(ctx, port)
	if fail == nil {
		defer s.close()
		return probe{port, nil, s.leaf}
	}
	if fail.kind == silent && r.mode(port) == smtpclient.TLSStartTLS && r.speaksTLS(ctx, port) {
		fail = &failure{swapped, errors.New("it speaks TLS from the first octet")}
	}
	p := probe{port: port, fail: fail}
	if e, ok := errors.AsType[*tls.CertificateVerificationError](fail.err); ok {
		p.leaf = e.UnverifiedCertificates[0]
	}
	return p
}

// speaksTLS reports whether a port that greets nobody waits for TLS.
func (r *run) speaksTLS(ctx context.Context, port int) bool {
	conn, fail := r.dial(ctx, port)
	if fail != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(stepTime / 2))
	fail = (&session{conn: conn}).encrypt(r.tlsConfig())
	return fail == nil || fail.kind == untrusted
}

// open reports whether a connection to the port could be made.
func (p *probe) open() bool { return p.fail == nil || p.fail.kind > unreachable }

func (r *run) configured(probes []probe) *probe {
	return &probes[slices.IndexFunc(probes, func(p probe) bool { return p.port == r.port })]
}

// ports tells which ports are open, and how the others are closed.
func (r *run) ports(start time.Time, probes []probe) {
	byKind := map[trouble][]string{}
	for _, p := range probes {
		kind := none
		if !p.open() {
			kind = p.fail.kind
		}
		byKind[kind] = append(byKind[kind], strconv.Itoa(p.port))
	}
	var parts []string
	for kind, what := range [...]string{none: "open", refused: "refused", dropped: "dropped: no answer within " + stepTime.String(), unreachable: "unreachable"} {
		if ports := byKind[trouble(kind)]; ports != nil {
			parts = append(parts, strings.Join(ports, ", ")+" "+what)
		}
	}
	f := Finding{Check: checkPorts, Subject: r.host, Status: OK, Detail: "port " + strings.Join(parts, "; ")}
	open := byKind[none]
	own := r.configured(probes)
	only25 := len(open) == len(probes)-1 && !slices.Contains(open, "25") && slices.Contains(r.Ports, 25)
	switch {
	case len(open) == len(probes):
	case own.open() && only25:
		f.Detail += "; Amazon EC2 and many networks block port 25, and nobody needs it here"
	case own.open():
		f.warn(f.Detail, "The configured port is open, and only that counts. Open the others if you need them.")
	default:
		f.fail(seserrors.Network, f.Detail, r.portAdvice(own, open, only25))
	}
	r.found(start, f)
}

func (r *run) portAdvice(own *probe, open []string, only25 bool) string {
	switch {
	case only25:
		return "Amazon EC2 blocks port 25 unless asked not to. Use port 587, 2587, 465 or 2465."
	case len(open) > 0 && r.isSES() && !slices.Contains(sesPorts, own.port):
		return fmt.Sprintf("Port %d is none of SES's. Use port %s.", own.port, strings.Join(open, " or "))
	case len(open) > 0:
		return fmt.Sprintf("Port %d is closed from here. Use port %s, or have it opened.", own.port, strings.Join(open, " or "))
	case own.fail.kind == refused:
		return "Something on the way, or the host itself, refuses. Check the host and port, and a firewall or proxy that rejects outgoing mail."
	case own.fail.kind == dropped:
		return "A firewall drops the packets. Check security group, network ACL, route to the Internet or VPC endpoint, and the host's own firewall."
	}
	if op, ok := errors.AsType[*net.OpError](own.fail); ok {
		return "Check this machine's route to the Internet, and a firewall or proxy that rejects outgoing mail: " + words(op)
	}
	return "Look at the error that your DialContext returns."
}

// tlsMode tells whether TLS can be set up the way the settings say.
func (r *run) tlsMode(start time.Time, probes []probe) {
	own := r.configured(probes)
	f := Finding{Check: checkTLSMode, Subject: net.JoinHostPort(r.host, strconv.Itoa(r.port)), Status: Fail}
	var also []string
	for _, p := range probes {
		if p.port != r.port && p.open() && p.fail != nil && (p.fail.kind != untrusted || own.fail == nil) {
			also = append(also, fmt.Sprintf("port %d: %s", p.port, explain[p.fail.kind].short))
		}
	}
	switch e := problem(r.where(r.SMTP.TLS)); {
	case e != nil:
		f.setting(e)
	case !own.open():
		f.Status, f.Detail = Skipped, "the port is closed"
	case own.leaf == nil && own.fail != nil:
		x := explain[own.fail.kind]
		f.Detail, f.Advice, f.Reason = x.short+": "+words(own.fail), x.advice, x.reason
		if e, ok := errors.AsType[*seserrors.Error](own.fail.err); ok {
			f.Reason = e.Reason
		}
	case len(also) > 0:
		f.warn("TLS works on the configured port, but not on others: "+strings.Join(also, "; "), "Only the configured port counts. Look into the others if you need them.")
	default:
		f.Status, f.Detail = OK, r.mode(r.port).String()[len("TLS"):]+" works, as the settings say"
	}
	r.found(start, f)
}

// explain says what troubles of an open port mean.
var explain = map[trouble]struct {
	short, advice string
	reason        seserrors.Reason
}{
	silent:     {"nobody greets", "A proxy or firewall takes the connection and passes nothing on. Let the port through to SES, or use another one.", seserrors.Network},
	swapped:    {"TLS wrapper and STARTTLS are swapped", "Ports 465 and 2465 take the TLS wrapper, 25, 587 and 2587 STARTTLS: mend SMTP.TLS or the port.", seserrors.TLSModeMismatch},
	stuck:      {"the TLS handshake gets no answer", "Large packets get lost, or a firewall stops TLS. Set the MTU of this machine's network interface to 1500, let ICMP \"fragmentation needed\" through, and exempt SES's host from TLS inspection.", seserrors.TLSFailure},
	masked:     {"something intercepts the connection", "A firewall's mail inspection or a virus scanner sits between this machine and SES. Exempt SES's host from it, or use port 465 or 2465.", seserrors.TLSFailure},
	turnedAway: {"the server turns the connection away", "Try again later; if it stays, check the number of connections and a proxy in between.", seserrors.ServiceFailure},
	broken:     {"the connection breaks", "Something on the way ends it. Check proxies and firewalls with TLS inspection, or use another port.", seserrors.TLSFailure},
	untrusted:  {short: "the certificate is not trusted"}, // which another check tells
}
