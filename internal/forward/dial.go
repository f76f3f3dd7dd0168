package forward

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"outvet/call"
	"outvet/internal/hostname"
)

const (
	// stagger is how long an attempt to connect may take before the next
	// address is tried beside it (RFC 8305 §8, connection attempt delay).
	stagger = 250 * time.Millisecond
	// maxAddrs bounds how many addresses of one name are tried.
	maxAddrs = 16
	// ownFresh is for how long the list of this machine's addresses is believed.
	ownFresh = 10 * time.Second
)

// errDialTime is why a dial that takes too long is given up.
var errDialTime = errors.New("the server did not accept the connection in time")

// A dest is where a connection is to go.
type dest struct {
	scheme   string // "http", "https", or "tcp" for a raw connection
	absolute bool   // an upstream proxy may take requests in absolute form
	host     string // canonical
	port     uint16
	named    bool // by ConnectTo: special addresses are admitted
	guard    *call.Guard
}

// Dial makes a raw connection to host and port and returns it with the address
// it goes to. host may have any spelling. It is looked up once, every address is
// judged by g (nil for the default), and if one is refused nothing is dialled:
// a name that points inside and outside at once has something in mind. Only
// judged addresses are dialled, as addresses, IPv6 and IPv4 in turn, each 250 ms
// after the one before. An error is an *Error.
//
// Addresses of this machine's own interfaces are special, too.
//
// Where Options.Proxies says so the connection goes through an upstream proxy:
// the address is then that of the proxy, and Via names it.
func (f *Forwarder) Dial(ctx context.Context, host string, port uint16, g *call.Guard) (net.Conn, netip.Addr, error) {
	return f.DialFor(ctx, "tcp", host, port, g)
}

// DialFor is Dial for what will be spoken: "http", "ws" (HTTP in clear text that
// is to be upgraded, RFC 6455 §4.1), "https" or "tcp". The connection is as it
// was dialled, without TLS. One for "http" may lead to an upstream proxy that
// takes requests; it has the method
//
//	AbsoluteForm() (authorization string)
//
// and then each request on it has its target in absolute form and, unless
// authorization is empty, the field Proxy-Authorization.
func (f *Forwarder) DialFor(ctx context.Context, scheme, host string, port uint16, g *call.Guard) (net.Conn, netip.Addr, error) {
	return f.dialTo(ctx, dest{scheme: scheme, absolute: scheme == "http", host: host, port: port, guard: g})
}

func (f *Forwarder) dialTo(ctx context.Context, t dest) (net.Conn, netip.Addr, error) {
	if f.closed.Load() {
		return nil, netip.Addr{}, fault(ErrClosed, t.host)
	}
	h, err := hostname.Canonical(t.host)
	if err != nil {
		return nil, netip.Addr{}, Classify(err)
	}
	t.host = h
	c, a, err := f.dial(ctx, t)
	if err != nil {
		return nil, netip.Addr{}, fault(err, h)
	}
	return c, a, nil
}

func (f *Forwarder) dial(ctx context.Context, t dest) (net.Conn, netip.Addr, error) {
	called := t
	t.host, t.port, t.named = redirect(f.opt.ConnectTo, t.host, t.port)
	if px := f.opt.Proxies.For(called.scheme, called.host, called.port); px != nil && f.opt.Proxies.For(t.scheme, t.host, t.port) != nil {
		return f.dialVia(ctx, px, t)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, f.opt.DialTimeout, errDialTime)
	defer cancel()
	addrs, err := f.resolve(ctx, t.host)
	if err == nil {
		if r := f.judge(ctx, addrs, t); r != nil {
			return nil, netip.Addr{}, r
		}
		var c net.Conn
		var a netip.Addr
		if c, a, err = race(ctx, &f.dialer, addrs, t.port); err == nil {
			return c, a, nil
		}
	}
	var dns *net.DNSError
	if cause := context.Cause(ctx); cause != nil && !errors.As(err, &dns) {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	return nil, netip.Addr{}, err
}

// judge returns why t, which has addrs, may not be reached, nil if it may.
func (f *Forwarder) judge(ctx context.Context, addrs []netip.Addr, t dest) *Refused {
	for _, a := range addrs {
		if r := refused(a, t.guard, t.named); r != nil {
			return r
		}
		if !t.named && f.own.has(a) && (t.guard == nil || !holds(t.guard.Admit, a)) {
			return &Refused{Addr: a, Rule: call.RuleAddress, Why: "this machine itself"}
		}
	}
	if !t.named && f.isProxy(ctx, addrs, t) {
		r := &Refused{Rule: call.RuleAddress, Why: "the upstream proxy itself"}
		if len(addrs) > 0 {
			r.Addr = addrs[0]
		}
		return r
	}
	return nil
}

// resolve returns the addresses of a canonical host in the order to try them,
// at least one, IPv4-mapped ones as IPv4.
func (f *Forwarder) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	if told := f.pins.get(host, time.Now()); told != nil {
		return told, nil
	}
	found, err := f.opt.Resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, &net.DNSError{Err: "no addresses", Name: host, IsNotFound: true}
	}
	for i, a := range found {
		found[i] = a.Unmap()
	}
	return found, nil
}

// alternate returns the first maxAddrs of addrs, each once, the two families in
// turn, beginning with that of the first.
func alternate(addrs []netip.Addr) []netip.Addr {
	var first, second []netip.Addr
	for _, a := range addrs {
		list := &first
		if a.Is4() != addrs[0].Is4() {
			list = &second
		}
		if !slices.Contains(*list, a) && len(*list) < maxAddrs {
			*list = append(*list, a)
		}
	}
	out := make([]netip.Addr, 0, len(first)+len(second))
	for i := range max(len(first), len(second)) {
		if i < len(first) {
			out = append(out, first[i])
		}
		if i < len(second) {
			out = append(out, second[i])
		}
	}
	return out[:min(len(out), maxAddrs)]
}

// race connects to the first of addrs that answers.
func race(ctx context.Context, d *net.Dialer, addrs []netip.Addr, port uint16) (net.Conn, netip.Addr, error) {
	type result struct {
		conn *net.TCPConn
		addr netip.Addr
		err  error
	}
	connect := func(a netip.Addr) result {
		c, err := d.DialTCP(ctx, "tcp", netip.AddrPort{}, netip.AddrPortFrom(a, port))
		return result{c, a, err}
	}
	if addrs = alternate(addrs); len(addrs) == 1 {
		r := connect(addrs[0])
		if r.err != nil {
			return nil, r.addr, r.err
		}
		return r.conn, r.addr, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan result, len(addrs)) // holds all, so that no attempt hangs
	next := time.NewTimer(0)
	defer next.Stop()
	var firstErr error
	for started, running := 0, 0; ; {
		select {
		case <-next.C:
			if started == len(addrs) {
				break
			}
			a := addrs[started]
			started, running = started+1, running+1
			go func() { results <- connect(a) }()
			next.Reset(stagger)
		case r := <-results:
			running--
			if r.err == nil {
				go func() { // those that come too late
					for range running {
						if r := <-results; r.err == nil {
							r.conn.Close()
						}
					}
				}()
				return r.conn, r.addr, nil
			}
			if firstErr == nil || noRoute(firstErr) { // many machines have no IPv6: that says little
				firstErr = r.err
			}
			if running == 0 && started == len(addrs) {
				return nil, r.addr, firstErr
			}
			next.Reset(0)
		}
	}
}

// own knows the addresses of this machine's interfaces. Those of public
// networks are not special by themselves, yet what listens there was not meant
// for an agent on the same machine.
type own struct {
	mu    sync.Mutex // addrs belong to read
	addrs []netip.Addr
	read  time.Time
}

func (o *own) has(a netip.Addr) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if now := time.Now(); o.read.IsZero() || now.Sub(o.read) > ownFresh {
		o.read = now
		if list, err := net.InterfaceAddrs(); err == nil { // else keep the old list
			o.addrs = o.addrs[:0]
			for _, ifa := range list {
				if p, err := netip.ParsePrefix(ifa.String()); err == nil {
					o.addrs = append(o.addrs, p.Addr().Unmap().WithZone(""))
				}
			}
		}
	}
	return slices.Contains(o.addrs, a)
}
