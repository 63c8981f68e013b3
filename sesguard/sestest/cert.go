package sestest

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
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
	region = cmp.Or(region, DefaultRegion)
	c := &certificates
	c.mu.Lock()
	defer c.mu.Unlock()
	if have, ok := c.byRegion[region]; ok {
		return have
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic("sestest: generate a key: " + err.Error())
	}
	if c.byRegion == nil {
		c.byRegion = map[string]tls.Certificate{}
	}
	c.byRegion[region] = selfSigned(key, "localhost", smtpHost(region), apiHost(region), snsHost(region), memSMTPHost, memAPIHost)
	return c.byRegion[region]
}

// selfSigned makes a certificate for these names, valid from 1970 on, because
// the clock of a testing/synctest bubble starts in the year 2000.
func selfSigned(key crypto.Signer, names ...string) tls.Certificate {
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: names[0], Organization: []string{"sestest, a fake SES"}},
		NotBefore:             time.Unix(0, 0),
		NotAfter:              time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		IsCA:                  true,
		DNSNames:              names,
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic("sestest: create a certificate: " + err.Error())
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic("sestest: parse a certificate: " + err.Error())
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func certPEM(c tls.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})
}
