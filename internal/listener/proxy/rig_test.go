package proxy_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"outvet/call"
	"outvet/internal/ca"
	"outvet/internal/forward"
	"outvet/internal/gate"
	"outvet/internal/inspect"
	"outvet/internal/inspect/secret"
	"outvet/internal/listener/listenertest"
	"outvet/internal/listener/proxy"
	"outvet/internal/policy"
	"outvet/internal/session"
)

const host = listenertest.Host

// A rig is a proxy between a client and an origin, all real, on loopback.
type rig struct {
	t      testing.TB
	origin *httptest.Server // TLS, HTTP/1.1 and HTTP/2
	plain  *httptest.Server // the same in the clear
	addr   string           // of the proxy
	ca     string           // file with the proxy's authority
	roots  *x509.CertPool   // the same
	// upstreamRoot is the authority of the origin.
	upstreamRoot *x509.Certificate
	server       *proxy.Server
	gate         *gate.Gate
	log          *records
}

// allow lets everything pass.
const allow = "version: 1\ndefault: allow\n"

// inspectors compiles the inspectors of all rigs once: it takes most of the
// time of a rig.
var inspectors = sync.OnceValues(func() (*inspect.Set, error) {
	in, err := secret.New(secret.Options{})
	if err != nil {
		return nil, err
	}
	return inspect.NewSet(in)
})

// newRig starts a rig whose origin answers by h. g may be nil: then the policy
// is text. tune changes the server before it serves.
func newRig(t testing.TB, h http.HandlerFunc, g *gate.Gate, text string, tune ...func(*proxy.Server)) *rig {
	t.Helper()
	r := &rig{t: t, log: &records{}, gate: g}
	if g == nil {
		r.gate = &gate.Gate{Sessions: &session.Table{}, Log: r.log}
		r.install(t, text)
	}
	r.startOrigin(h)
	for _, f := range tune {
		f(r.server)
	}
	r.startProxy()
	return r
}

func (r *rig) startOrigin(h http.HandlerFunc) {
	// The origin's certificate is of an authority of its own.
	dir := r.t.TempDir()
	a, err := ca.Open(dir)
	if err != nil {
		r.t.Fatal(err)
	}
	r.upstreamRoot = a.Certificate()
	leaf, err := a.Leaf(host)
	if err != nil {
		r.t.Fatal(err)
	}
	r.origin = httptest.NewUnstartedServer(h)
	r.origin.EnableHTTP2 = true
	r.origin.TLS = &tls.Config{Certificates: []tls.Certificate{*leaf}}
	r.origin.StartTLS()
	r.plain = httptest.NewServer(h)
	r.t.Cleanup(func() { r.origin.Close(); r.plain.Close() })
	upstream := forward.New(forward.Options{
		Roots: []*x509.Certificate{a.Certificate()},
		ConnectTo: []forward.ConnectTo{
			connectTo(host, 443, r.origin.Listener.Addr()), connectTo(host, 80, r.plain.Listener.Addr()),
		},
	})
	r.t.Cleanup(upstream.Close)
	r.server = &proxy.Server{Gate: r.gate, Upstream: upstream}
}

func connectTo(host string, port uint16, a net.Addr) forward.ConnectTo {
	ap := netip.MustParseAddrPort(a.String())
	return forward.ConnectTo{Host: host, Port: port, Addr: ap.Addr().String(), To: ap.Port()}
}

func (r *rig) startProxy() {
	dir := r.t.TempDir()
	a, err := ca.Open(dir)
	if err != nil {
		r.t.Fatal(err)
	}
	r.ca, r.server.Authority = filepath.Join(dir, "ca.pem"), a
	pem, err := os.ReadFile(r.ca)
	if err != nil {
		r.t.Fatal(err)
	}
	r.roots = x509.NewCertPool()
	r.roots.AppendCertsFromPEM(pem)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	r.addr = l.Addr().String()
	done := make(chan error, 1)
	go func() { done <- r.server.Serve(l) }()
	r.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		r.server.Shutdown(ctx)
		if err := <-done; err != nil {
			r.t.Error(err)
		}
	})
}

// client returns a client that goes through the proxy.
func (r *rig) client(h2 bool) *http.Client {
	t := &http.Transport{
		Proxy:             http.ProxyURL(&url.URL{Scheme: "http", Host: r.addr}),
		TLSClientConfig:   &tls.Config{RootCAs: r.roots},
		ForceAttemptHTTP2: h2, DisableCompression: true, MaxIdleConnsPerHost: 64,
	}
	if !h2 {
		t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	}
	r.t.Cleanup(t.CloseIdleConnections)
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// dial opens a tunnel through the proxy.
func (r *rig) dial(target string) net.Conn {
	r.t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := c.Write([]byte("CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\n\r\n")); err != nil {
		r.t.Fatal(err)
	}
	const ok = "HTTP/1.1 200 Connection established\r\n\r\n"
	buf := make([]byte, len(ok))
	for n := 0; n < len(ok); {
		m, err := c.Read(buf[n:])
		if n += m; err != nil {
			r.t.Fatalf("CONNECT %s: %q, %v", target, buf[:n], err)
		}
	}
	if string(buf) != ok {
		r.t.Fatalf("CONNECT %s: %q", target, buf)
	}
	return c
}

// dialTLS opens a tunnel and TLS in it, with HTTP/1.1.
func (r *rig) dialTLS(target, name string) *tls.Conn {
	c := tls.Client(r.dial(target), &tls.Config{RootCAs: r.roots, ServerName: name, NextProtos: []string{"http/1.1"}})
	if err := c.Handshake(); err != nil {
		r.t.Fatal(err)
	}
	return c
}

// records keeps records in memory.
type records struct {
	mu sync.Mutex
	rs []call.Record
}

// Write implements gate.Sink.
func (l *records) Write(r *call.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rs = append(l.rs, *r)
	return nil
}

// A pair is the two records of a call.
type pair struct{ decided, closed call.Record }

// late is what the record of a tunnel says whose client, on a busy machine, spoke
// when it was taken for a raw connection.
const late = "the client spoke late"

// wait returns the pairs of n calls, in the order of their decisions, when all
// of them are closed. A client that spoke late is not counted twice, unless no
// other call is there.
func (l *records) wait(t testing.TB, n int) []pair {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		var pairs []pair
		at := map[call.ID]int{}
		closed := 0
		l.mu.Lock()
		for _, r := range l.rs {
			switch r.Kind {
			case call.Decided:
				at[r.ID] = len(pairs)
				pairs = append(pairs, pair{decided: r})
			case call.Closed:
				if i, ok := at[r.ID]; !ok || pairs[i].closed.ID != "" {
					t.Errorf("a closed record too many: %+v", r)
				} else {
					pairs[i].closed = r
					closed++
				}
			}
		}
		l.mu.Unlock()
		if closed == n && len(pairs) == n {
			return pairs
		}
		spoke := slices.DeleteFunc(slices.Clone(pairs), func(p pair) bool {
			return p.closed.Outcome != nil && strings.HasPrefix(p.closed.Outcome.Error, late)
		})
		if closed == len(pairs) && len(spoke) == n {
			return spoke
		}
		if time.Now().After(end) || closed == len(pairs) && len(spoke) > n {
			for _, p := range pairs {
				t.Logf("%s %s %s: %s %s, %+v", p.decided.Protocol, p.decided.Method, p.decided.Target, p.decided.Decision.Verdict, p.decided.Decision.Rule, p.closed.Outcome)
			}
			t.Fatalf("%d calls decided and %d closed, want %d", len(pairs), closed, n)
		}
	}
}

// install puts the policy of text in force.
func (r *rig) install(t testing.TB, text string) {
	t.Helper()
	set, err := inspectors()
	if err != nil {
		t.Fatal(err)
	}
	p, err := policy.Load(t.Context(), policy.Options{Text: []byte(text), Name: "test.yaml", Untested: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.gate.Install(p, set, "test"); err != nil {
		t.Fatal(err)
	}
}
