package forward

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestRootsAreReadFromFilesAndDirectories(t *testing.T) {
	var roots []*x509.Certificate
	for range 40 {
		roots = append(roots, newRoot(t).cert)
	}
	dir := t.TempDir()
	file := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key := []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
	mixed := slices.Concat([]byte("# Issuer: us\r\n"), key, pemOf(roots[1]), []byte("\n\nsome words\n"), pemOf(roots[2]))
	file("d/a.pem", pemOf(roots[0]))
	file("d/b.crt", mixed)
	file("d/c.der", roots[3].Raw)
	file("d/README", []byte("no certificates here"))
	file("d/empty", nil)
	file("d/sub/e.pem", pemOf(roots[4])) // not below
	os.Symlink("a.pem", filepath.Join(dir, "d", "0a1b2c3d.0"))
	os.Symlink("nowhere", filepath.Join(dir, "d", "dangling"))
	for _, tt := range []struct {
		path string
		want []*x509.Certificate
	}{
		{file("many.pem", pemOf(roots...)), roots},
		{file("mixed.pem", mixed), roots[1:3]},
		{file("one.der", roots[3].Raw), roots[3:4]},
		{filepath.Join(dir, "d"), []*x509.Certificate{roots[0], roots[0], roots[1], roots[2], roots[3]}},
	} {
		got, err := ReadRoots(tt.path)
		if err != nil || !slices.EqualFunc(got, tt.want, (*x509.Certificate).Equal) {
			t.Errorf("%s: %d certificates, want %d; %v", tt.path, len(got), len(tt.want), err)
		}
	}
	broken := file("e/bad.pem", []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	file("e/good.pem", pemOf(roots[0]))
	file("f/README", []byte("x"))
	for _, path := range []string{
		filepath.Join(dir, "none.pem"), file("words", []byte("hello")), file("key.pem", key), broken,
		filepath.Join(dir, "e"), // a certificate that cannot be read is not left out in silence
		filepath.Join(dir, "f"),
	} {
		if got, err := ReadRoots(path); err == nil || !strings.HasPrefix(err.Error(), "forward: ") || !strings.Contains(err.Error(), filepath.Base(path)) && !strings.Contains(err.Error(), "bad.pem") {
			t.Errorf("%s: %d certificates, %v", path, len(got), err)
		}
	}
	long := file("long.pem", nil)
	if err := os.Truncate(long, maxRoots+1); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadRoots(long); err == nil || !strings.Contains(err.Error(), "too long") {
		t.Error(err)
	}
}

// A container often has no CA certificates at all.
func TestMachineWithoutRootsSaysSoAndTrustsThoseNamed(t *testing.T) {
	if os.Getenv("FORWARD_TEST_NO_ROOTS") == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), "FORWARD_TEST_NO_ROOTS=1", "SSL_CERT_FILE=/nonexistent/file", "SSL_CERT_DIR=/nonexistent")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	root, other := authority(t, "root", p256(t)), authority(t, "other", p256(t))
	leaf := root.leaf(p256(t), []string{"api.example"}, nil)
	s := newSite(t, http.NotFoundHandler(), func(srv *httptest.Server) { srv.TLS = &tls.Config{Certificates: []tls.Certificate{leaf}} })
	for _, tt := range []struct {
		roots []*x509.Certificate
		says  string
	}{
		{nil, "this machine knows none"},
		{[]*x509.Certificate{other.cert}, "unknown authority"},
		{[]*x509.Certificate{other.cert, root.cert}, ""},
	} {
		f := s.forwarder(t, func(o *Options) { o.Roots = tt.roots })
		resp, err := f.RoundTrip(request(t, "GET", "https://api.example/", ""), nil, H1)
		switch e := Classify(err); {
		case err == nil:
			resp.Body.Close()
			if tt.says != "" {
				t.Errorf("%d roots: passes", len(tt.roots))
			}
		case tt.says == "" || e.Type != "tls_certificate_error" || !strings.Contains(e.Detail, tt.says):
			t.Errorf("%d roots: %+v", len(tt.roots), e)
		}
	}
}
