package forward

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestBadCertificatesAreRefused(t *testing.T) {
	root, other := newRoot(t), newRoot(t)
	dated := func(from, to time.Duration) x509.Certificate {
		c := serverFor("api.example")
		c.NotBefore, c.NotAfter = time.Now().Add(from), time.Now().Add(to)
		return c
	}
	client := serverFor("api.example")
	client.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	plain := issue(t, &root, x509.Certificate{Subject: pkix.Name{CommonName: "not an authority"}, KeyUsage: x509.KeyUsageDigitalSignature})
	commonName := serverFor()
	commonName.Subject.CommonName = "api.example"

	for _, tt := range []struct {
		name string
		leaf issuer
		want string // "" for good
	}{
		{"good", issue(t, &root, serverFor("api.example")), ""},
		{"wildcard", issue(t, &root, serverFor("*.example")), ""},
		{"wrong name", issue(t, &root, serverFor("www.example")), "another name"},
		{"name only in the subject", issue(t, &root, commonName), "another name"},
		{"expired", issue(t, &root, dated(-48*time.Hour, -24*time.Hour)), "expired on " + time.Now().Add(-24*time.Hour).UTC().Format(time.DateOnly)},
		{"not yet", issue(t, &root, dated(24*time.Hour, 48*time.Hour)), "valid only from"},
		{"self-signed", issue(t, nil, serverFor("api.example")), "unknown authority"},
		{"unknown authority", issue(t, &other, serverFor("api.example")), "unknown authority"},
		{"for clients", issue(t, &root, client), "not for servers"},
		{"signed by no authority", issue(t, &plain, serverFor("api.example")), "cannot be verified|not valid|unknown authority"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "secret") }), func(s *httptest.Server) {
				chain := [][]byte{tt.leaf.cert.Raw}
				if tt.name == "signed by no authority" {
					chain = append(chain, plain.cert.Raw)
				}
				s.TLS.Certificates = []tls.Certificate{{Certificate: chain, PrivateKey: tt.leaf.key}}
			})
			f := s.forwarder(t, func(o *Options) { o.Roots = []*x509.Certificate{root.cert} })
			for _, proto := range []Proto{H1, H2} {
				resp, err := f.RoundTrip(request(t, "POST", "https://api.example/", "x"), nil, proto)
				if tt.want == "" {
					if err != nil {
						t.Fatal(err)
					}
					resp.Body.Close()
					continue
				}
				if err == nil {
					t.Fatal("accepted")
				}
				e := Classify(err)
				said := false
				for _, w := range strings.Split(tt.want, "|") {
					said = said || strings.Contains(e.Detail, w)
				}
				if e.Type != "tls_certificate_error" || e.Status != 502 || !said || e.Host != "api.example" {
					t.Errorf("%+v, %v; want %q", e, err, tt.want)
				}
			}
		})
	}
}

func TestAddressIsVerifiedAsAnAddress(t *testing.T) {
	s := newSite(t, http.NotFoundHandler()) // its certificate names 127.0.0.1
	f := s.forwarder(t)
	u := "https://127.0.0.1:" + s.Listener.Addr().String()[len("127.0.0.1:"):]
	resp, err := f.RoundTrip(request(t, "GET", u, ""), loopback, H1)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if _, err := f.RoundTrip(request(t, "GET", u, ""), nil, H1); Classify(err) == nil || Classify(err).Status != 403 {
		t.Errorf("without a guard that admits: %v", err)
	}
}

func TestSystemRootsAreKeptBesideExtraOnes(t *testing.T) {
	root := newRoot(t)
	system, err := x509.SystemCertPool()
	if err != nil {
		t.Skip(err)
	}
	f := New(Options{Roots: []*x509.Certificate{root.cert}})
	defer f.Close()
	system.AddCert(root.cert)
	if !f.roots.Equal(system) {
		t.Error("the roots are not the system's and ours")
	}
	if New(Options{}).roots != nil {
		t.Error("without extra roots the system does not verify by itself")
	}
}

func TestRootsAreReadFromPEM(t *testing.T) {
	root := newRoot(t)
	file := pemOf(root.cert, newRoot(t).cert)
	if got, err := ParseRoots(file); err != nil || len(got) != 2 || !got[0].Equal(root.cert) {
		t.Errorf("%d, %v", len(got), err)
	}
	for _, bad := range []string{"", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		if _, err := ParseRoots([]byte(bad)); err == nil || !strings.HasPrefix(err.Error(), "forward: ") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// Law 4.
func TestNothingTurnsVerificationOff(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range []string{"Insecure" + "SkipVerify", "Verify" + "PeerCertificate", "Proxy" + "FromEnvironment"} {
			if strings.Contains(string(text), word) {
				t.Errorf("%s has %s", name, word)
			}
		}
	}
}
