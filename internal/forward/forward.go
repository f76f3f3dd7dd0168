package forward

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"outvet/call"
)

// A Resolver looks names up. *net.Resolver is one.
type Resolver interface {
	// LookupNetIP returns the addresses of host; network is "ip".
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Options of a Forwarder. The zero Options are those of production.
type Options struct {
	Roots     []*x509.Certificate // trusted besides the system's roots
	ConnectTo []ConnectTo         // the first that fits counts
	Resolver  Resolver            // nil for the system's

	DialTimeout   time.Duration // to look up and connect; 0 for 10 s
	TLSTimeout    time.Duration // of a handshake; 0 for 10 s
	HeaderTimeout time.Duration // from the request's end to the answer's head; 0 for none: models think long
	IdleTimeout   time.Duration // of a connection without calls; 0 for 90 s

	MaxIdlePerHost int // idle connections kept for one scheme, host, port, guard and Proto; 0 for 64
	MaxIdle        int // … for one guard and Proto; 0 for 1,024
}

// A Proto is what the client speaks; the server is offered the like.
type Proto uint8

// The protocols.
const (
	H1 Proto = iota // HTTP/1.1 alone is offered
	H2              // HTTP/2 is offered before HTTP/1.1
)

// ProtoOf returns what the client that sent r speaks.
func ProtoOf(r *http.Request) Proto {
	if r.ProtoMajor == 2 {
		return H2
	}
	return H1
}

// A Forwarder carries admitted calls upstream. It is safe for concurrent use.
type Forwarder struct {
	opt    Options
	roots  *x509.CertPool // nil for the system's
	dialer net.Dialer
	own    own
	closed atomic.Bool

	// mu makes pools and byGuard change together.
	mu      sync.RWMutex
	pools   map[string]*pool      // by what the guard says
	byGuard map[*call.Guard]*pool // guards are immutable: known ones need no reading
	clock   atomic.Uint64         // counts uses of pools
}

// New returns a Forwarder. It dials nothing before it is asked to.
func New(o Options) *Forwarder {
	if o.Resolver == nil {
		o.Resolver = net.DefaultResolver
	}
	for _, d := range []struct {
		opt *time.Duration
		def time.Duration
	}{{&o.DialTimeout, 10 * time.Second}, {&o.TLSTimeout, 10 * time.Second}, {&o.IdleTimeout, 90 * time.Second}} {
		if *d.opt <= 0 {
			*d.opt = d.def
		}
	}
	if o.MaxIdlePerHost <= 0 {
		o.MaxIdlePerHost = 64
	}
	if o.MaxIdle <= 0 {
		o.MaxIdle = 1024
	}
	return &Forwarder{opt: o, roots: rootPool(o.Roots), pools: map[string]*pool{}, byGuard: map[*call.Guard]*pool{}}
}

// rootPool returns the system's roots and extra ones, nil for the system's alone.
func rootPool(extra []*x509.Certificate) *x509.CertPool {
	if len(extra) == 0 {
		return nil
	}
	p, err := x509.SystemCertPool()
	if err != nil { // a machine without roots still trusts the extra ones
		p = x509.NewCertPool()
	}
	for _, c := range extra {
		p.AddCert(c)
	}
	return p
}

// ParseRoots returns the certificates of a PEM file, at least one.
func ParseRoots(data []byte) ([]*x509.Certificate, error) {
	var roots []*x509.Certificate
	for {
		var b *pem.Block
		if b, data = pem.Decode(data); b == nil {
			break
		}
		if b.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			return nil, fmt.Errorf("forward: root certificate %d: %w", len(roots)+1, err)
		}
		roots = append(roots, c)
	}
	if roots == nil {
		return nil, errors.New("forward: no certificate in PEM form among the roots")
	}
	return roots, nil
}

// RoundTrip sends req to the host of its URL, over a connection whose address g
// admits, and returns the answer as it comes. It takes req over: its header
// must not be used until the response's body is closed, and the body is closed
// even on errors. req.Context bounds the whole call, the answer's body included.
// An error is an *Error; of reading the answer's body, Classify makes one.
//
// What goes out is what req says: req.Host, the target (URL.Opaque if it is
// set, byte for byte), the header as it is, the body, the trailer. Of a request
// that has none, no User-Agent and no Accept-Encoding is added. Hop-by-hop
// fields are the caller's to remove, except Connection and Upgrade of an
// upgrade, for whose 101 the response's body is an io.ReadWriteCloser.
func (f *Forwarder) RoundTrip(req *http.Request, g *call.Guard, proto Proto) (*http.Response, error) {
	host, err := f.prepare(req)
	if err != nil {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, fault(err, host)
	}
	p := f.pool(g)
	t := p.h1
	if proto == H2 && req.Header.Get("Upgrade") == "" { // HTTP/2 has no upgrades
		t = p.h2
	}
	resp, err := t.RoundTrip(req)
	if p.over.Load() { // flushed meanwhile: what t opened since is closed with the call
		p.close()
	}
	if err != nil {
		return nil, fault(err, host)
	}
	if resp.Body != http.NoBody && resp.StatusCode != http.StatusSwitchingProtocols {
		resp.Body = &body{resp.Body, req.Context()}
	}
	return resp, nil
}

// A body is an answer's body. A call that is given up closes its connection;
// the server may see that and end its answer in good order before we stop
// reading. body does not let a cut answer pass for a whole one.
type body struct {
	io.ReadCloser
	ctx context.Context
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF && b.ctx.Err() != nil {
		err = context.Cause(b.ctx)
	}
	return n, err
}

var errScheme = errors.New("unsupported protocol scheme")

// prepare makes req ready to go and returns its canonical host.
func (f *Forwarder) prepare(req *http.Request) (string, error) {
	if f.closed.Load() {
		return "", ErrClosed
	}
	u := req.URL
	if u == nil || u.Scheme != "https" && u.Scheme != "http" {
		return "", errScheme
	}
	name, port := u.Host, ""
	if i := strings.LastIndexByte(name, ':'); i >= 0 && i > strings.LastIndexByte(name, ']') {
		name, port = name[:i], name[i:]
	}
	host, err := CanonicalHost(name)
	if err != nil {
		return "", err
	}
	if host != name && "["+host+"]" != name {
		if req.Host == "" {
			req.Host = u.Host
		}
		c := *u
		c.Host = host + port
		if strings.IndexByte(host, ':') >= 0 {
			c.Host = "[" + host + "]" + port
		}
		req.URL = &c
	}
	if _, ok := req.Header["User-Agent"]; !ok {
		if req.Header == nil {
			req.Header = http.Header{}
		}
		req.Header["User-Agent"] = nil // net/http would name itself
	}
	return host, nil
}

// Flush closes the idle connections and lets none of the busy ones serve a
// further call. It is for a change of policy or of the network.
func (f *Forwarder) Flush() {
	f.mu.Lock()
	old := f.pools
	f.pools, f.byGuard = map[string]*pool{}, map[*call.Guard]*pool{}
	f.mu.Unlock()
	for _, p := range old {
		p.close()
	}
}

// Close closes the idle connections; later calls fail with ErrClosed. Calls
// under way go on: their contexts end them.
func (f *Forwarder) Close() {
	f.closed.Store(true)
	f.Flush()
}
