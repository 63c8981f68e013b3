package doctor

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/smtpclient"
)

// A mode is how a port begins.
type mode uint8

const (
	startTLS mode = iota
	wrapper
	clearText
)

// The ports of SES ("Connecting to an Amazon SES SMTP endpoint").
var sesPorts = []int{587, 2587, 465, 2465, 25}

// Regions with SES's API but without its SMTP interface ("Amazon SES endpoints and
// quotas").
var regionsWithoutSMTP = []string{
	"af-south-1", "ap-south-2", "ap-southeast-3", "ap-southeast-5", "ca-west-1",
	"eu-central-2", "eu-south-1", "il-central-1", "me-central-1", "me-south-1",
}

// place finds out the region, the host and the port that the settings mean.
func (r *run) place() {
	host, port := "", ""
	switch {
	case r.SMTP.Addr != "":
		var err error
		if host, port, err = net.SplitHostPort(r.SMTP.Addr); err != nil {
			host = r.SMTP.Addr
		}
	case r.SMTP.Region != "":
		host, port = "email-smtp."+r.SMTP.Region+".amazonaws.com", strconv.Itoa(r.SMTP.Port)
	}
	r.host = host
	r.port, _ = strconv.Atoi(port)
	r.port = cmp.Or(r.port, 587)
	if labels := strings.Split(host, "."); r.isSES() && len(labels) > 2 {
		at := slices.IndexFunc(labels, func(l string) bool { return strings.HasPrefix(l, "email-smtp") })
		r.Region = cmp.Or(r.Region, r.SMTP.Region, labels[at+1])
	}
	if c, ok := r.API.(interface{ Options() sesv2.Options }); ok {
		r.Region = cmp.Or(r.Region, c.Options().Region)
	}
	if len(r.Ports) == 0 && r.isSES() {
		r.Ports = sesPorts
	}
	if !slices.Contains(r.Ports, r.port) {
		r.Ports = append([]int{r.port}, r.Ports...)
	}
}

// isSES reports whether the host is an endpoint of SES's own.
func (r *run) isSES() bool {
	return slices.ContainsFunc(strings.Split(r.host, "."), func(l string) bool {
		return l == "email-smtp" || l == "email-smtp-fips"
	}) && (strings.HasSuffix(r.host, ".amazonaws.com") || strings.HasSuffix(r.host, ".api.aws"))
}

// mode tells how a port should begin: as AWS says, or as the settings do.
func (r *run) mode(port int) mode {
	switch {
	case port == 465 || port == 2465:
		return wrapper
	case slices.Contains(sesPorts, port):
		if port == r.port && r.SMTP.TLS == smtpclient.TLSNone {
			return clearText
		}
		return startTLS
	case r.SMTP.TLS == smtpclient.TLSWrapper:
		return wrapper
	case r.SMTP.TLS == smtpclient.TLSNone:
		return clearText
	}
	return startTLS
}

// smtp looks at the SMTP interface from here: name, ports, TLS, sign-in.
func (r *run) smtp(ctx context.Context) {
	if r.host == "" {
		r.skip("the settings name no SMTP endpoint: set SMTP.Region or SMTP.Addr", checkEndpoint, checkPorts,
			checkTLSMode, checkCertificate, checkSignIn, checkMTU, checkOldKey, checkAllowList)
		return
	}
	r.allowList()
	r.oldKey()
	if !r.endpoint(ctx) {
		r.skip(r.host+" does not resolve", checkPorts, checkTLSMode, checkCertificate, checkSignIn, checkMTU)
		return
	}
	start := time.Now()
	probes := make([]probe, len(r.Ports))
	var wg sync.WaitGroup
	for i, port := range r.Ports {
		wg.Go(func() { probes[i] = r.probe(ctx, port) })
	}
	wg.Wait()
	if ctx.Err() != nil {
		return
	}
	for _, p := range probes {
		if p.session {
			r.usable = append(r.usable, p.port)
		}
	}
	r.ports(start, probes)
	r.tlsMode(start, probes)
	trusted := r.certificate(start, probes)
	wg.Go(func() { r.signIn(ctx, trusted) })
	wg.Go(func() { r.mtu(ctx) })
	wg.Wait()
}

func (r *run) allowList() {
	var ports []string
	for _, p := range r.Ports {
		ports = append(ports, strconv.Itoa(p))
	}
	r.found(time.Now(), Finding{Check: checkAllowList, Subject: r.host, Status: OK,
		Detail: "a firewall must let out TCP to " + r.host + ", port " + strings.Join(ports, ", ") + " (one is enough); its addresses change and no list of them exists"})
}

// endpoint looks the host's name up.
func (r *run) endpoint(ctx context.Context) bool {
	start := time.Now()
	f := Finding{Check: checkEndpoint, Subject: r.host, Status: OK}
	if net.ParseIP(r.host) != nil {
		f.Detail = "is an address, no name to look up"
		r.found(start, f)
		return true
	}
	if slices.Contains(regionsWithoutSMTP, r.SMTP.Region) && r.SMTP.Addr == "" {
		f.Status, f.Reason = Fail, seserrors.NameNotFound
		f.Detail = "SES has no SMTP interface in " + r.SMTP.Region
		f.Advice = "Send over the API there, or over SMTP in another region, where the identities must be verified too."
		r.found(start, f)
		return false
	}
	lookup, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	addrs, err := r.Resolver.LookupHost(lookup, r.host)
	var dns *net.DNSError
	switch {
	case err == nil:
		f.Detail = "resolves to " + strings.Join(addrs[:min(3, len(addrs))], ", ")
		if n := len(addrs) - 3; n > 0 {
			f.Detail += fmt.Sprintf(" and %d more", n)
		}
	case ctx.Err() != nil:
		return false
	case errors.As(err, &dns) && dns.IsNotFound:
		f.Status, f.Reason = Fail, seserrors.NameNotFound
		f.Detail = "the name does not exist"
		f.Advice = "Check the spelling of the region, and that a VPC endpoint's private DNS is on."
	default:
		f.Status, f.Reason = Fail, seserrors.Network
		f.Detail = "the name could not be looked up: DNS gave no answer"
		f.Advice = "Check this machine's resolver, /etc/resolv.conf, and that UDP and TCP port 53 are open to it."
	}
	if err != nil && r.SMTP.DialContext != nil {
		f.Status = Warn // a proxy may look it up for us
	}
	r.found(start, f)
	return f.Status != Fail
}

// A probe is what one port answered.
type probe struct {
	port    int
	session bool // the dialogue came to its end
	fail    *failure
	chain   []*x509.Certificate
	auth    bool // AUTH PLAIN is offered
}

func (r *run) probe(ctx context.Context, port int) probe {
	p := probe{port: port}
	s, fail := r.open(ctx, port)
	if fail != nil {
		p.fail = fail
		if fail.kind == silent && r.mode(port) == startTLS && r.speaksTLS(ctx, port) {
			p.fail = &failure{swapped, errors.New("it speaks TLS from the first octet")}
		}
		return p
	}
	defer s.close()
	p.session, p.chain = true, s.state.PeerCertificates
	p.auth = strings.Contains(s.extensions["AUTH"], "PLAIN")
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
	s := &session{conn: conn}
	return s.encrypt(r.tlsConfig()) == nil
}

// open reports whether a connection to the port could be made.
func (p *probe) open() bool { return p.fail == nil || p.fail.kind > unreachable }

func (r *run) configured(probes []probe) *probe {
	return &probes[slices.IndexFunc(probes, func(p probe) bool { return p.port == r.port })]
}

// ports tells which ports are open, and how the others are closed.
func (r *run) ports(start time.Time, probes []probe) {
	var open []string
	closed := map[trouble][]string{}
	for _, p := range probes {
		if name := strconv.Itoa(p.port); p.open() {
			open = append(open, name)
		} else {
			closed[p.fail.kind] = append(closed[p.fail.kind], name)
		}
	}
	f := Finding{Check: checkPorts, Subject: r.host, Detail: r.state(open, closed)}
	own := r.configured(probes)
	only25 := len(closed) == 1 && len(open) == len(probes)-1 && !slices.Contains(open, "25") && slices.Contains(r.Ports, 25)
	switch {
	case len(closed) == 0:
		f.Status = OK
	case own.open() && only25:
		f.Status = OK
		f.Detail += "; Amazon EC2 and many networks block port 25, and nobody needs it here"
	case own.open():
		f.Status = Warn
		f.Advice = "The configured port is open, so mail leaves. Open the others only if you need them."
	default:
		f.Status, f.Reason = Fail, seserrors.Network
		f.Advice = r.portAdvice(own, open, only25)
	}
	r.found(start, f)
}

func (r *run) state(open []string, closed map[trouble][]string) string {
	var parts []string
	add := func(ports []string, what string) {
		if len(ports) > 0 {
			parts = append(parts, strings.Join(ports, ", ")+" "+what)
		}
	}
	add(open, "open")
	add(closed[refused], "refused")
	add(closed[dropped], "dropped: no answer within "+stepTime.String())
	add(closed[unreachable], "unreachable")
	return "port " + strings.Join(parts, "; ")
}

func (r *run) portAdvice(own *probe, open []string, only25 bool) string {
	switch {
	case only25:
		return "Amazon EC2 blocks port 25 unless asked not to. Use port 587, 2587, 465 or 2465."
	case len(open) > 0:
		return fmt.Sprintf("Port %d is closed from here. Use port %s, or have it opened.", own.port, strings.Join(open, " or "))
	case own.fail.kind == refused:
		return "Something on the way, or the host itself, refuses. Check the host and port, and a firewall or proxy that rejects outgoing mail."
	case own.fail.kind == dropped:
		return "A firewall drops the packets. Check security group, network ACL, route to the Internet or VPC endpoint, and the host's own firewall."
	}
	return "Check this machine's network and its route to the Internet: " + words(own.fail)
}

// tlsMode tells whether TLS can be set up the way the settings say.
func (r *run) tlsMode(start time.Time, probes []probe) {
	own := r.configured(probes)
	f := Finding{Check: checkTLSMode, Subject: net.JoinHostPort(r.host, strconv.Itoa(r.port)), Status: Fail}
	var also []string
	for _, p := range probes {
		if p.port != r.port && p.open() && !p.session {
			also = append(also, fmt.Sprintf("port %d: %s", p.port, explain[p.fail.kind].short))
		}
	}
	switch {
	case r.swappedSettings():
		f.Detail, f.Reason = "the settings say STARTTLS, but the port speaks TLS from the first octet", seserrors.TLSModeMismatch
		f.Advice = "Use TLSAuto, or port 587 with STARTTLS."
		if r.SMTP.TLS == smtpclient.TLSWrapper {
			f.Detail = "the settings say TLS wrapper, but the port begins in clear text"
			f.Advice = "Use TLSAuto, or port 465 with the TLS wrapper."
		}
	case !own.open():
		f.Status, f.Detail = Skipped, "the port is closed"
	case own.session && len(also) > 0:
		f.Status, f.Detail = Warn, "TLS works on the configured port, but not on others: "+strings.Join(also, "; ")
	case own.session:
		f.Status, f.Detail = OK, map[mode]string{startTLS: "STARTTLS works", wrapper: "the TLS wrapper works", clearText: "clear text, as the settings say"}[r.mode(r.port)]
	default:
		x := explain[own.fail.kind]
		f.Detail, f.Advice, f.Reason = x.short+": "+words(own.fail), x.advice, x.reason
		var e *seserrors.Error
		if errors.As(own.fail.err, &e) {
			f.Reason = e.Reason
		}
	}
	r.found(start, f)
}

// explain says what troubles of an open port mean.
var explain = map[trouble]struct {
	short, advice string
	reason        seserrors.Reason
}{
	silent:     {"nobody greets", "A proxy or firewall takes the connection and passes nothing on. Let the port through to SES, or use another one.", seserrors.Network},
	swapped:    {"TLS wrapper and STARTTLS are swapped", "Ports 465 and 2465 take the TLS wrapper, 25, 587 and 2587 STARTTLS.", seserrors.TLSModeMismatch},
	masked:     {"something intercepts the connection", "A firewall's mail inspection or a virus scanner sits between this machine and SES. Exempt SES's host from it, or use port 465 or 2465.", seserrors.TLSFailure},
	turnedAway: {"the server turns the connection away", "Try again later; if it stays, check the number of connections and a proxy in between.", seserrors.ServiceFailure},
	broken:     {"the connection breaks", "Something on the way ends it. Check proxies and firewalls with TLS inspection, or use another port.", seserrors.TLSFailure},
}
