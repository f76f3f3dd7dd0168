package forward

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
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
	Proxies   *Proxies            // that calls leave through; nil for none

	NameServers []netip.AddrPort // that Ask asks; nil for those of /etc/resolv.conf

	DialTimeout   time.Duration // to look up and connect; 0 for 10 s
	TLSTimeout    time.Duration // of a handshake; 0 for 10 s
	HeaderTimeout time.Duration // from the request's end to the answer's head; 0 for none: models think long
	IdleTimeout   time.Duration // of a connection without calls; 0 for 90 s

	MaxIdlePerHost int // idle connections kept for one scheme, host, port, guard and Proto; 0 for 64
	MaxIdle        int // … for one guard and Proto; 0 for 1,024
}

// A Forwarder carries admitted calls upstream. It is safe for concurrent use.
type Forwarder struct {
	opt    Options
	roots  *x509.CertPool // nil for the system's
	dialer net.Dialer
	own    own
	closed atomic.Bool

	listeners atomic.Pointer[[]netip.AddrPort] // of ours: see Avoid
	sessions  tls.ClientSessionCache           // of TLS with upstream proxies
	silence   silence
	pins      pins

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
	return &Forwarder{opt: o, roots: rootPool(o.Roots), sessions: tls.NewLRUClientSessionCache(16), pools: map[string]*pool{}, byGuard: map[*call.Guard]*pool{}}
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

// Flush closes the idle connections and lets none of the busy ones serve a
// further call. It is for a change of policy or of the network.
func (f *Forwarder) Flush() {
	f.mu.Lock()
	old := f.pools
	f.pools, f.byGuard = map[string]*pool{}, map[*call.Guard]*pool{}
	f.mu.Unlock()
	f.pins.clear()
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
