package ca

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// serve answers TLS on a loopback port until the test ends and returns its
// address.
func serve(t testing.TB, conf *tls.Config) string {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", conf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.Copy(c, c)
			}()
		}
	}()
	return l.Addr().String()
}

func trust(a *Authority) *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.Certificate())
	return p
}

// dial says hello and waits for an echo, so that session tickets arrive.
func dial(t testing.TB, addr string, conf *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	c, err := tls.Dial("tcp", addr, conf)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer c.Close()
	if _, err := c.Write([]byte("x")); err != nil {
		return tls.ConnectionState{}, err
	}
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		return tls.ConnectionState{}, err
	}
	return c.ConnectionState(), nil
}

func TestProtocolIsWhatTheClientOffers(t *testing.T) {
	a := open(t, t.TempDir())
	addr := serve(t, a.TLSConfig(nil))
	for _, tt := range []struct {
		offer []string
		want  string
	}{
		{[]string{"h2", "http/1.1"}, "h2"},
		{[]string{"http/1.1"}, "http/1.1"},
		{[]string{"h2"}, "h2"},
		{nil, ""},
		{[]string{"mqtt"}, ""}, // a protocol of its own: no failed handshake
	} {
		s, err := dial(t, addr, &tls.Config{RootCAs: trust(a), ServerName: "api.example", NextProtos: tt.offer})
		if err != nil || s.NegotiatedProtocol != tt.want {
			t.Errorf("offer %v: got %q, %v; want %q", tt.offer, s.NegotiatedProtocol, err, tt.want)
		}
	}
}

func TestHostIsTheOneThatNextNames(t *testing.T) {
	a := open(t, t.TempDir())
	addr := serve(t, a.TLSConfig(func(h *tls.ClientHelloInfo) (string, error) {
		switch h.ServerName {
		case "":
			return "192.0.2.1", nil // as of a tunnel to an address
		case "other.example":
			return "", errors.New("not the host of the tunnel")
		}
		return h.ServerName, nil
	}))
	if _, err := dial(t, addr, &tls.Config{RootCAs: trust(a), ServerName: "192.0.2.1"}); err != nil {
		t.Error(err)
	}
	if _, err := dial(t, addr, &tls.Config{RootCAs: trust(a), ServerName: "other.example"}); err == nil {
		t.Error("an error of next did not end the handshake")
	}
	// No name at all is refused by default.
	addr = serve(t, a.TLSConfig(nil))
	if _, err := dial(t, addr, &tls.Config{RootCAs: trust(a), ServerName: "192.0.2.1"}); err == nil {
		t.Error("got a certificate for no name")
	}
}

func TestResumedSessionAsksNextAgain(t *testing.T) {
	a := open(t, t.TempDir())
	var refuse atomic.Bool
	addr := serve(t, a.TLSConfig(func(h *tls.ClientHelloInfo) (string, error) {
		if refuse.Load() {
			return "", errors.New("no longer")
		}
		return h.ServerName, nil
	}))
	conf := &tls.Config{RootCAs: trust(a), ServerName: "api.example", ClientSessionCache: tls.NewLRUClientSessionCache(4)}
	for i := range 2 {
		s, err := dial(t, addr, conf)
		if err != nil || s.DidResume != (i == 1) {
			t.Fatalf("connection %d: resumed %v, %v", i, s.DidResume, err)
		}
	}
	refuse.Store(true)
	if _, err := dial(t, addr, conf); err == nil {
		t.Error("a resumed session went past next")
	}
}

// Programs that are not Go must accept what we serve; Python from 3.13 on, and
// this script on any, checks certificates by the letter of RFC 5280.
func TestOtherClientsAcceptALeaf(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "hello "+r.Host)
	})}
	srv.TLSConfig = a.TLSConfig(func(h *tls.ClientHelloInfo) (string, error) {
		if h.ServerName == "" {
			host, _, err := net.SplitHostPort(h.Conn.LocalAddr().String())
			return host, err
		}
		return h.ServerName, nil
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go srv.ServeTLS(l, "", "")
	defer srv.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	pem := filepath.Join(dir, certFile)

	const script = `
import ssl, sys, urllib.request
c = ssl.create_default_context(cafile=sys.argv[1])
c.verify_flags |= ssl.VERIFY_X509_STRICT
print(urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=c)).open(sys.argv[2]).read().decode())
`
	for _, host := range []string{"localhost", "127.0.0.1"} {
		url := "https://" + host + ":" + port + "/"
		for _, args := range [][]string{
			{"curl", "-sS", "--noproxy", "*", "--cacert", pem, url},
			{"python3", "-c", script, pem, url},
		} {
			if _, err := exec.LookPath(args[0]); err != nil {
				t.Logf("no %s here", args[0])
				continue
			}
			cmd := exec.Command(args[0], args[1:]...)
			cmd.Env = append(os.Environ(), "PYTHONNOUSERSITE=1")
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.HasPrefix(string(out), "hello "+host) {
				t.Errorf("%s %s: %v: %s", args[0], host, err, out)
			}
		}
	}
}

func BenchmarkHandshake(b *testing.B) {
	a := open(b, b.TempDir())
	addr := serve(b, a.TLSConfig(nil))
	conf := &tls.Config{RootCAs: trust(a), ServerName: "api.example"}
	for b.Loop() {
		if _, err := dial(b, addr, conf); err != nil {
			b.Fatal(err)
		}
	}
}
