package forward

import (
	"crypto/x509"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

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
