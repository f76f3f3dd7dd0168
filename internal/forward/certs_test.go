package forward

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A mint makes certificates with any key and any fault.
type mint struct {
	t    testing.TB
	cert *x509.Certificate
	key  crypto.Signer
}

func p256(t testing.TB) crypto.Signer {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// authority returns one that signs itself.
func authority(t testing.TB, name string, key crypto.Signer, change ...func(*x509.Certificate)) *mint {
	m := &mint{t: t, key: key}
	tmpl := &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	m.cert = m.sign(tmpl, tmpl, key.Public(), change)
	return m
}

// below returns an intermediate authority of m.
func (m *mint) below(name string, change ...func(*x509.Certificate)) *mint {
	key := p256(m.t)
	tmpl := &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	return &mint{m.t, m.sign(tmpl, m.cert, key.Public(), change), key}
}

func (m *mint) sign(tmpl, parent *x509.Certificate, public crypto.PublicKey, change []func(*x509.Certificate)) *x509.Certificate {
	m.t.Helper()
	tmpl.SerialNumber, _ = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 64))
	tmpl.NotBefore, tmpl.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	for _, f := range change {
		f(tmpl)
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, public, m.key)
	if err != nil {
		m.t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		m.t.Fatal(err)
	}
	return c
}

// leaf returns a server's certificate by m, with chain behind it.
func (m *mint) leaf(key crypto.Signer, names []string, chain []*mint, change ...func(*x509.Certificate)) tls.Certificate {
	tmpl := serverFor(names...)
	tmpl.Subject.CommonName = "leaf"
	c := tls.Certificate{Certificate: [][]byte{m.sign(&tmpl, m.cert, key.Public(), change).Raw}, PrivateKey: key}
	for _, i := range chain {
		c.Certificate = append(c.Certificate, i.cert.Raw)
	}
	return c
}

// ask sends a POST to a server that has conf, over both protocols, and returns
// the fault of each, nil for none. The server must not see the body of a call
// that fails.
func ask(t *testing.T, conf *tls.Config, root *x509.Certificate, host string) [2]*Error {
	t.Helper()
	arrived := false
	s := newSite(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { arrived = true }), func(s *httptest.Server) {
		conf.NextProtos = []string{"h2", "http/1.1"}
		s.TLS = conf
	})
	f := s.forwarder(t, func(o *Options) {
		o.Roots = []*x509.Certificate{root}
		o.ConnectTo = []ConnectTo{{Addr: "127.0.0.1", To: s.port}}
	})
	var out [2]*Error
	for _, proto := range []Proto{H1, H2} {
		resp, err := f.RoundTrip(request(t, "POST", "https://"+host+"/", "x"), nil, proto)
		if err == nil {
			resp.Body.Close()
			continue
		}
		out[proto] = Classify(err)
		if arrived {
			t.Error("the server saw the call")
		}
	}
	return out
}

func TestNoBadCertificatePasses(t *testing.T) {
	root, other := authority(t, "root", p256(t)), authority(t, "other", p256(t))
	forged := authority(t, "root", p256(t)) // the same name, another key
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	rsaRoot := authority(t, "rsa root", rsaKey)
	key := p256(t)
	api := []string{"api.example"}
	days := func(from, to int) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().AddDate(0, 0, from), time.Now().AddDate(0, 0, to)
		}
	}
	clients := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }
	mid := root.below("mid")
	expiredMid, clientMid := root.below("old", days(-9, -2)), root.below("clients", clients)
	noCA := root.below("no authority", func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature })
	noSign := root.below("may not sign", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign })
	short := root.below("no more below", func(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = 0, true })
	tooDeep := short.below("too deep")
	permitted := root.below("for others", func(c *x509.Certificate) {
		c.PermittedDNSDomains, c.PermittedDNSDomainsCritical = []string{"other.example"}, true
	})
	excluded := root.below("not for it", func(c *x509.Certificate) {
		c.ExcludedDNSDomains, c.PermittedDNSDomainsCritical = []string{"example"}, true
	})
	sha1 := func(c *x509.Certificate) { c.SignatureAlgorithm = x509.SHA1WithRSA }
	sha1Mid := rsaRoot.below("sha1", sha1)
	critical := func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
	}
	tampered := root.leaf(key, api, nil)
	tampered.Certificate[0] = slices.Clone(tampered.Certificate[0])
	tampered.Certificate[0][len(tampered.Certificate[0])-5] ^= 1
	name := func(n ...string) tls.Certificate { return root.leaf(key, n, nil) }
	self := authority(t, "api.example", key, func(c *x509.Certificate) { c.DNSNames = api })

	for _, tt := range []struct {
		what string
		leaf tls.Certificate
		says string
	}{
		{"expired", root.leaf(key, api, nil, days(-9, -2)), "expired on "},
		{"not yet valid", root.leaf(key, api, nil, days(2, 9)), "valid only from "},
		{"intermediate expired", expiredMid.leaf(key, api, []*mint{expiredMid}), "authority expired on "},
		{"wrong name", name("www.example"), "for another name"},
		{"no name", name(), "for another name"},
		{"name in the subject only", root.leaf(key, nil, nil, func(c *x509.Certificate) { c.Subject.CommonName = "api.example" }), "for another name"},
		{"name below", name("x.api.example"), "for another name"},
		{"name above", name("example"), "for another name"},
		{"wildcard below", name("*.api.example"), "for another name"},
		{"wildcard for all", name("*"), "for another name"},
		{"part of a label", name("ap*.example"), "for another name"},
		{"two wildcards", name("*.*"), "for another name"},
		{"address for a name", root.leaf(key, nil, nil), "for another name"},
		{"unknown authority", other.leaf(key, api, nil), "unknown authority"},
		{"unknown, with its root", other.leaf(key, api, []*mint{other}), "unknown authority"},
		{"forged authority", forged.leaf(key, api, []*mint{forged}), "unknown authority"},
		{"self-signed", tls.Certificate{Certificate: [][]byte{self.cert.Raw}, PrivateKey: key}, "unknown authority"},
		{"intermediate missing", mid.leaf(key, api, nil), "did not send the intermediate"},
		{"another intermediate", mid.leaf(key, api, []*mint{short}), "did not send the intermediate"},
		{"tampered", tampered, "unknown authority"},
		{"for clients", root.leaf(key, api, nil, clients), "not for servers"},
		{"intermediate for clients", clientMid.leaf(key, api, []*mint{clientMid}), "not for servers"},
		{"signed by no authority", noCA.leaf(key, api, []*mint{noCA}), "may not sign"},
		{"signed by who may not sign", noSign.leaf(key, api, []*mint{noSign}), "may not sign"},
		{"chain too deep", tooDeep.leaf(key, api, []*mint{tooDeep, short}), "may not sign"},
		{"authority for other names", permitted.leaf(key, api, []*mint{permitted}), "may not speak for this name"},
		{"authority not for this name", excluded.leaf(key, api, []*mint{excluded}), "may not speak for this name"},
		{"SHA-1", rsaRoot.leaf(key, api, nil, sha1), "broken, such as SHA-1"},
		{"intermediate by SHA-1", sha1Mid.leaf(key, api, []*mint{sha1Mid}), "broken, such as SHA-1"},
		{"unknown critical extension", root.leaf(key, api, nil, critical), "cannot be verified"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			trust := root.cert
			if strings.Contains(tt.what, "SHA-1") {
				trust = rsaRoot.cert
			}
			for proto, e := range ask(t, &tls.Config{Certificates: []tls.Certificate{tt.leaf}}, trust, "api.example") {
				switch {
				case e == nil:
					t.Fatal("passes")
				case e.Type != "tls_certificate_error" || e.Status != 502 || e.Host != "api.example" || !strings.Contains(e.Detail, tt.says):
					t.Errorf("protocol %d: %s %d %q (%v)", proto, e.Type, e.Status, e.Detail, e.Err)
				}
			}
		})
	}
	// A name that looks like an address is no address, and the other way round.
	e := ask(t, &tls.Config{Certificates: []tls.Certificate{root.leaf(key, []string{"127.0.0.1"}, nil, func(c *x509.Certificate) { c.IPAddresses = nil })}}, root.cert, "127.0.0.1")
	if e[0] == nil || !strings.Contains(e[0].Detail, "for another name") {
		t.Errorf("an address as a name: %+v", e[0])
	}
}

func TestGoodCertificatesPass(t *testing.T) {
	root, other := authority(t, "root", p256(t)), authority(t, "other", p256(t))
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, api := p256(t), []string{"api.example"}
	a := root.below("a")
	b := a.below("b")
	c := b.below("c")
	// c again, signed by somebody whom we do not know: a client that follows only
	// one chain fails.
	crossed := &mint{t, other.sign(&x509.Certificate{Subject: c.cert.Subject, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, other.cert, c.key.Public(), nil), c.key}
	old := &mint{t, root.sign(&x509.Certificate{Subject: a.cert.Subject, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, root.cert, a.key.Public(),
		[]func(*x509.Certificate){func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }}), a.key}
	permitted := root.below("for it", func(c *x509.Certificate) {
		c.PermittedDNSDomains, c.PermittedDNSDomainsCritical = []string{"example"}, true
	})
	permittedRange := func(c *x509.Certificate) { c.IPAddresses = nil }
	rsaRoot, edRoot := authority(t, "rsa", rsaKey), authority(t, "ed", ed)
	many := slices.Clone(api)
	for i := range 500 {
		many = append(many, "n"+strconv.Itoa(i)+".example")
	}
	for _, tt := range []struct {
		what string
		leaf tls.Certificate
		root *mint
		host string
	}{
		{"ECDSA", root.leaf(key, api, nil), root, "api.example"},
		{"P-384", root.leaf(p384, api, nil), root, "api.example"},
		{"RSA", rsaRoot.leaf(rsaKey, api, nil), rsaRoot, "api.example"},
		{"RSA-PSS", rsaRoot.leaf(rsaKey, api, nil, func(c *x509.Certificate) { c.SignatureAlgorithm = x509.SHA256WithRSAPSS }), rsaRoot, "api.example"},
		{"Ed25519", edRoot.leaf(ed, api, nil), edRoot, "api.example"},
		{"mixed", rsaRoot.leaf(ed, api, nil), rsaRoot, "api.example"},
		{"long chain", c.leaf(key, api, []*mint{c, b, a}), root, "api.example"},
		{"chain with its root", c.leaf(key, api, []*mint{c, b, a, root}), root, "api.example"},
		{"chain in disorder", c.leaf(key, api, []*mint{a, c, other, b}), root, "api.example"},
		{"cross-signed", c.leaf(key, api, []*mint{crossed, c, b, a}), root, "api.example"},
		{"cross-signed by who is trusted", c.leaf(key, api, []*mint{c, b, a, crossed}), other, "api.example"},
		{"one of two chains expired", b.leaf(key, api, []*mint{b, old, a}), root, "api.example"},
		{"intermediate trusted", c.leaf(key, api, []*mint{c}), b, "api.example"},
		{"wildcard", root.leaf(key, []string{"*.example"}, nil), root, "api.example"},
		{"wildcard below", root.leaf(key, []string{"*.b.example"}, nil), root, "a.b.example"},
		{"upper case", root.leaf(key, []string{"API.Example"}, nil), root, "api.EXAMPLE."},
		{"international", root.leaf(key, []string{"xn--bcher-kva.example"}, nil), root, "XN--bcher-kva.example"},
		{"address", root.leaf(key, nil, nil), root, "127.0.0.1"},
		{"address in another spelling", root.leaf(key, nil, nil), root, "0x7f.1"},
		{"permitted", permitted.leaf(key, api, []*mint{permitted}, permittedRange), root, "api.example"},
		{"many names", root.leaf(key, many, nil), root, "api.example"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
				conf := &tls.Config{Certificates: []tls.Certificate{tt.leaf}, MinVersion: version, MaxVersion: version}
				for proto, e := range ask(t, conf, tt.root.cert, tt.host) {
					if e != nil {
						t.Errorf("protocol %d, TLS %x: %v (%v)", proto, version, e, e.Err)
					}
				}
			}
		})
	}
}

func TestServersWithUnsafeTLSAreRefused(t *testing.T) {
	root := authority(t, "root", p256(t))
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	leaf := root.leaf(rsaKey, []string{"api.example"}, nil)
	stranger := root.leaf(p256(t), []string{"api.example"}, nil)
	stranger.PrivateKey = p256(t) // not that of the certificate
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	for _, tt := range []struct {
		what  string
		conf  *tls.Config
		types []string
		says  string
	}{
		{"TLS 1.0", &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10}, []string{"tls_alert_received", "tls_protocol_error"}, "no TLS that is safe"},
		{"TLS 1.1", &tls.Config{MinVersion: tls.VersionTLS11, MaxVersion: tls.VersionTLS11}, []string{"tls_alert_received", "tls_protocol_error"}, "no TLS that is safe"},
		{"RC4", &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_RC4_128_SHA}}, []string{"tls_alert_received"}, "no method in common"},
		{"3DES", &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA}}, []string{"tls_alert_received"}, "no method in common"},
		{"no forward secrecy", &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}}, []string{"tls_alert_received"}, "no method in common"},
		{"the key of another", &tls.Config{Certificates: []tls.Certificate{stranger}}, []string{"tls_protocol_error", "tls_alert_received"}, "handshake"},
		{"the key of another kind", &tls.Config{Certificates: []tls.Certificate{{Certificate: stranger.Certificate, PrivateKey: ed}}}, []string{"tls_protocol_error", "tls_alert_received", "connection_terminated"}, ""},
		{"client certificate demanded, TLS 1.2", &tls.Config{ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12}, []string{"tls_alert_received"}, "asks for a client certificate"},
		{"client certificate demanded, TLS 1.3", &tls.Config{ClientAuth: tls.RequireAnyClientCert}, []string{"tls_alert_received"}, "asks for a client certificate"},
		{"no such name", &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, io.EOF }}, []string{"tls_alert_received"}, "broke off the TLS handshake"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			if tt.conf.Certificates == nil {
				tt.conf.Certificates = []tls.Certificate{leaf}
			}
			for proto, e := range ask(t, tt.conf, root.cert, "api.example") {
				switch {
				case e == nil:
					t.Fatal("passes")
				case proto == int(H2) && e.Type == "connection_terminated":
					// net/http lost the alert that came after the handshake.
				case !slices.Contains(tt.types, e.Type) || e.Status != 502 || !strings.Contains(e.Detail, tt.says):
					t.Errorf("protocol %d: %s %d %q (%v)", proto, e.Type, e.Status, e.Detail, e.Err)
				}
			}
		})
	}
	if e := ask(t, &tls.Config{Certificates: []tls.Certificate{leaf}, ClientAuth: tls.RequestClientCert}, root.cert, "api.example"); e[0] != nil || e[1] != nil {
		t.Errorf("a client certificate that is only asked for: %v", e)
	}
}

// OpenSSL still makes keys that Go does not.
func TestWeakKeyIsRefused(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "key.pem")
	if out, err := exec.Command(openssl, "req", "-x509", "-newkey", "rsa:768", "-nodes", "-keyout", file, "-out", filepath.Join(dir, "cert.pem"), "-days", "2",
		"-sha256", "-subj", "/CN=x", "-addext", "subjectAltName=DNS:api.example").CombinedOutput(); err != nil {
		t.Skipf("openssl makes no such key: %s", out)
	}
	port := free(t)
	cmd := exec.Command(openssl, "s_server", "-accept", "127.0.0.1:"+strconv.Itoa(int(port)), "-key", file, "-cert", filepath.Join(dir, "cert.pem"), "-cipher", "ALL:@SECLEVEL=0", "-www", "-quiet")
	if err := cmd.Start(); err != nil {
		t.Skip(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	waitFor(t, func() bool {
		c, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(int(port)))
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	roots, err := ReadRoots(filepath.Join(dir, "cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	f := New(Options{Roots: roots, ConnectTo: []ConnectTo{{Addr: "127.0.0.1", To: port}}})
	defer f.Close()
	_, err = f.RoundTrip(request(t, "GET", "https://api.example/", ""), nil, H1)
	if e := Classify(err); e == nil || e.Status != 502 || e.Type != "tls_certificate_error" || !strings.Contains(e.Detail, "too short to be safe") {
		t.Errorf("%+v", e)
	}
}
