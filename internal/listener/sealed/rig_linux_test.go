package sealed_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
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
	"outvet/internal/listener/sealed"
	"outvet/internal/policy"
	"outvet/internal/sandbox/loopback"
	"outvet/internal/sandbox/loopback/loopbacktest"
	"outvet/internal/session"
)

const (
	host     = listenertest.Host
	session1 = call.SessionID("box-1")
	allow    = "version: 1\ndefault: allow\n"
)

// names are stand-ins, as the resolver would have told them.
type names map[netip.Addr]string

// Name implements sealed.Names.
func (n names) Name(a netip.Addr) (string, bool) { s, ok := n[a]; return s, ok }

var standIns = names{
	netip.MustParseAddr("198.18.0.1"): host, netip.MustParseAddr("2001:2::c612:1"): host,
	netip.MustParseAddr("198.18.0.2"): "raw.example", netip.MustParseAddr("198.18.0.3"): "other.example",
	netip.MustParseAddr("198.18.0.4"): "no host",
}

// A rig is a sandbox before an origin, all real.
type rig struct {
	t       testing.TB
	room    *loopbacktest.Room
	origin  *httptest.Server // TLS, HTTP/1.1 and HTTP/2
	plain   *httptest.Server // in the clear, HTTP/2 by prior knowledge, too
	raw     net.Listener     // leads from raw.example, whatever the port
	roots   *x509.CertPool
	ca      string         // file of the same
	origins *x509.CertPool // the authority of the origin
	server  *proxy.Server
	box     *sealed.Sandbox
	gate    *gate.Gate
	log     *records
}

var inspectors = sync.OnceValues(func() (*inspect.Set, error) {
	in, err := secret.New(secret.Options{})
	if err != nil {
		return nil, err
	}
	return inspect.NewSet(in)
})

// newRig starts a rig whose origin answers by h, and whose raw server by raw. g may
// be nil: then the policy is text.
func newRig(t testing.TB, h http.HandlerFunc, raw func(net.Conn), g *gate.Gate, text string, tune ...func(*rig)) *rig {
	t.Helper()
	r := &rig{t: t, log: &records{}, gate: g, room: loopbacktest.New(t)}
	if g == nil {
		r.gate = &gate.Gate{Sessions: &session.Table{}, Log: r.log}
		r.install(text)
	}
	up := r.startOrigin(h)
	r.startRaw(raw)
	dir := t.TempDir()
	a, err := ca.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	r.ca, r.roots = filepath.Join(dir, "ca.pem"), x509.NewCertPool()
	pem, err := os.ReadFile(r.ca)
	if err != nil {
		t.Fatal(err)
	}
	r.roots.AppendCertsFromPEM(pem)
	for _, port := range []uint16{21, 22, 25, 587, 5432, 6379, 9418, 4444} {
		up.ConnectTo = append(up.ConnectTo, connectTo("raw.example", port, r.raw.Addr()))
	}
	up.ConnectTo = append(up.ConnectTo, connectTo("93.184.216.34", 4444, r.raw.Addr()))
	f := forward.New(up)
	t.Cleanup(f.Close)
	r.server = &proxy.Server{Gate: r.gate, Upstream: f, Authority: a}
	r.box = &sealed.Sandbox{Proxy: r.server, Names: standIns, Grade: call.Sealed,
		Caller: call.Caller{Session: session1, SessionMark: call.Observed}}
	for _, f := range tune {
		f(r)
	}
	r.serve()
	return r
}

func (r *rig) startOrigin(h http.HandlerFunc) forward.Options {
	a, err := ca.Open(r.t.TempDir())
	if err != nil {
		r.t.Fatal(err)
	}
	r.origins = x509.NewCertPool()
	r.origins.AddCert(a.Certificate())
	leaf, err := a.Leaf(host)
	if err != nil {
		r.t.Fatal(err)
	}
	if h == nil {
		h = func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto+" "+r.Host) }
	}
	r.origin = httptest.NewUnstartedServer(h)
	r.origin.EnableHTTP2 = true
	r.origin.TLS = &tls.Config{Certificates: []tls.Certificate{*leaf}}
	r.origin.StartTLS()
	r.plain = httptest.NewUnstartedServer(h)
	r.plain.Config.Protocols = new(http.Protocols)
	r.plain.Config.Protocols.SetHTTP1(true)
	r.plain.Config.Protocols.SetUnencryptedHTTP2(true)
	r.plain.Start()
	r.t.Cleanup(func() { r.origin.Close(); r.plain.Close() })
	o := forward.Options{Roots: []*x509.Certificate{a.Certificate()}, ConnectTo: []forward.ConnectTo{connectTo(host, 80, r.plain.Listener.Addr())}}
	for _, port := range []uint16{443, 8443, 22, 53} {
		o.ConnectTo = append(o.ConnectTo, connectTo(host, port, r.origin.Listener.Addr()))
	}
	return o
}

func (r *rig) startRaw(serve func(net.Conn)) {
	var err error
	if r.raw, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { r.raw.Close() })
	go func() {
		for {
			c, err := r.raw.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(loopbacktest.Patience))
				if serve != nil {
					serve(c)
				}
			}()
		}
	}()
}

func connectTo(host string, port uint16, a net.Addr) forward.ConnectTo {
	ap := netip.MustParseAddrPort(a.String())
	return forward.ConnectTo{Host: host, Port: port, Addr: ap.Addr().String(), To: ap.Port()}
}

func (r *rig) serve() {
	var err error
	r.room.Do(func() { r.box.Sockets, err = loopback.Open() })
	if err != nil {
		r.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- r.box.Serve() }()
	r.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		r.server.Shutdown(ctx)
		r.box.Sockets.Close()
		if err := <-done; err != nil {
			r.t.Error(err)
		}
	})
}

// client returns a client in the sandbox that believes to talk to address.
func (r *rig) client(address string, tune func(*http.Transport)) *http.Client {
	t := &http.Transport{
		DialContext: func(_ context.Context, _, target string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(target)
			if err != nil {
				return nil, err
			}
			return r.room.Dial(net.JoinHostPort(address, port))
		},
		TLSClientConfig: &tls.Config{RootCAs: r.roots}, DisableCompression: true,
	}
	if tune != nil {
		tune(t)
	}
	r.t.Cleanup(t.CloseIdleConnections)
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// dial connects from within the sandbox.
func (r *rig) dial(to string) *net.TCPConn {
	r.t.Helper()
	c, err := r.room.Dial(to)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(loopbacktest.Patience))
	return c
}

func (r *rig) install(text string) {
	r.t.Helper()
	set, err := inspectors()
	if err != nil {
		r.t.Fatal(err)
	}
	p, err := policy.Load(r.t.Context(), policy.Options{Text: []byte(text), Name: "test.yaml", Untested: true})
	if err != nil {
		r.t.Fatal(err)
	}
	if err := r.gate.Install(p, set, "test"); err != nil {
		r.t.Fatal(err)
	}
}

// records keeps records in memory.
type records struct {
	mu sync.Mutex // guards rs
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

// wait returns the pairs of the n calls that were made, in the order of their
// decisions.
func (l *records) wait(t testing.TB, n int) []pair {
	t.Helper()
	for end := time.Now().Add(loopbacktest.Patience); ; time.Sleep(2 * time.Millisecond) {
		var pairs []pair
		at, closed := map[call.ID]int{}, 0
		l.mu.Lock()
		for _, r := range l.rs {
			switch r.Kind {
			case call.Decided:
				at[r.ID] = len(pairs)
				pairs = append(pairs, pair{decided: r})
			case call.Closed:
				pairs[at[r.ID]].closed = r
				closed++
			}
		}
		l.mu.Unlock()
		if closed == n && len(pairs) == n {
			return pairs
		}
		if time.Now().After(end) || len(pairs) > n {
			t.Fatalf("%d calls decided and %d closed, want %d", len(pairs), closed, n)
		}
	}
}
