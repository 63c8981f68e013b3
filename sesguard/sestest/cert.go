package sestest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"sync"
	"time"
)

var certificates struct {
	mu       sync.Mutex
	byRegion map[string]tls.Certificate
}

// certificate returns the certificate of the servers of a region, made once a
// process: a key for each of many servers would cost more than what they
// serve.
func certificate(region string) tls.Certificate {
	c := &certificates
	c.mu.Lock()
	defer c.mu.Unlock()
	if have, ok := c.byRegion[region]; ok {
		return have
	}
	made, err := makeCertificate(certTemplate(region))
	if err != nil {
		panic("sestest: make a certificate: " + err.Error())
	}
	if c.byRegion == nil {
		c.byRegion = map[string]tls.Certificate{}
	}
	c.byRegion[region] = made
	return made
}

func makeCertificate(template *x509.Certificate) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}

// Certificates are valid from 1970 on, because the clock of a testing/synctest
// bubble starts in the year 2000.
var notBefore, notAfter = time.Unix(0, 0), time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)

func certTemplate(region string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "sestest", Organization: []string{"sestest, a fake SES"}},
		NotBefore:             notBefore,
		NotAfter:              notAfter,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		IsCA:                  true,
		DNSNames:              []string{"localhost", smtpHost(region), apiHost(region), snsHost(region), memSMTPHost, memAPIHost},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
}
