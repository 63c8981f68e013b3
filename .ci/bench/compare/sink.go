package compare

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"sync/atomic"
	"time"
)

// The sink is this program started again as a child: servers that read, throw
// away and answer, so that what is measured is the client. A process of its
// own keeps its CPU time, memory and garbage out of the figures.

// Ports of the sink. Those named delayed answer after one round trip time.
const (
	smtpPlain      = "smtp plain"
	smtpTLS        = "smtp tls"
	smtpTLSDelayed = "smtp tls delayed"
	apiTLS         = "api tls"
	apiTLSDelayed  = "api tls delayed"
)

// An introduction is what the sink says first.
type introduction struct {
	Addr        map[string]string // by port
	Certificate []byte            // DER
}

// A sink is the parent's hold on the child.
type sink struct {
	introduction
	cmd    *exec.Cmd
	ask    io.WriteCloser
	answer *json.Decoder
}

func startSink(rtt time.Duration) (*sink, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s := &sink{cmd: exec.Command(self, "compare", "-sink", "-rtt", rtt.String())}
	s.cmd.Stderr = os.Stderr
	if s.ask, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	s.answer = json.NewDecoder(out)
	return s, s.answer.Decode(&s.introduction)
}

// dials asks how many connections each port has accepted so far.
func (s *sink) dials(port string) (int64, error) {
	if _, err := io.WriteString(s.ask, "count\n"); err != nil {
		return 0, err
	}
	var counts map[string]int64
	err := s.answer.Decode(&counts)
	return counts[port], err
}

func (s *sink) stop() {
	s.ask.Close() // the child ends with its input
	s.cmd.Wait()
}

// tlsConfig trusts the sink and nothing else.
func (s *sink) tlsConfig() *tls.Config {
	cert, err := x509.ParseCertificate(s.Certificate)
	if err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}
}

// runSink is the child. It ends when its standard input does.
func runSink(rtt time.Duration) error {
	config, der, err := selfSigned()
	if err != nil {
		return err
	}
	link := newLink(rtt)
	ports := map[string]func(net.Conn){
		smtpPlain:      func(c net.Conn) { serveSMTP(c, config) },
		smtpTLS:        func(c net.Conn) { serveSMTP(tls.Server(c, config), config) },
		smtpTLSDelayed: func(c net.Conn) { serveSMTP(tls.Server(link.conn(c), config), config) },
		apiTLS:         func(c net.Conn) { serveAPI(tls.Server(c, config)) },
		apiTLSDelayed:  func(c net.Conn) { serveAPI(tls.Server(link.conn(c), config)) },
	}
	hello := introduction{Addr: make(map[string]string), Certificate: der}
	counts := make(map[string]*atomic.Int64)
	for name, serve := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		hello.Addr[name], counts[name] = l.Addr().String(), new(atomic.Int64)
		go accept(l, counts[name], serve)
	}
	return converse(hello, counts)
}

// converse introduces the sink and answers every line with the counts.
func converse(hello introduction, counts map[string]*atomic.Int64) error {
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(hello); err != nil {
		return err
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		now := make(map[string]int64, len(counts))
		for name, n := range counts {
			now[name] = n.Load()
		}
		if err := out.Encode(now); err != nil {
			return err
		}
	}
	return nil
}

func accept(l net.Listener, count *atomic.Int64, serve func(net.Conn)) {
	for {
		c, err := l.Accept()
		if err != nil {
			fmt.Fprintln(os.Stderr, "compare: sink:", err)
			return
		}
		count.Add(1)
		go serve(c)
	}
}

func selfSigned() (*tls.Config, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, nil, err
	}
	cert := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	return &tls.Config{Certificates: []tls.Certificate{cert}}, der, nil
}
