package forward

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"outvet/call"
	"outvet/internal/hostname"
)

const (
	// maxPools bounds how many guards have connections at a time. A policy has
	// one guard for each rule that names addresses.
	maxPools = 256
	// maxKnown bounds how many guards are known by identity.
	maxKnown = 1024

	readBuffer  = 4 << 10
	writeBuffer = 8 << 10 // a head and a body of 4 KB leave in one write
	maxHead     = 1 << 20 // of an answer
	pingAfter   = 30 * time.Second
	pingTimeout = 15 * time.Second
	window      = 1 << 20 // what a server may send on a stream ahead of its reader
	continueFor = time.Second
)

// A pool holds the connections opened under guards that say the same. A
// connection never serves a call of another pool: its address was judged by
// this one's guard only.
type pool struct {
	opening opening // of HTTP/2
	noH2    told    // by servers: scheme and host
	h1      *h1Pool
	h2      *http.Transport
	h2c     *http.Transport // HTTP/2 in the clear, for clients that speak it so
	used    atomic.Uint64   // Forwarder.clock at the last use
	over    atomic.Bool     // no further call comes here
}

// pool returns the pool of g. It does not allocate for a guard that was seen.
func (f *Forwarder) pool(g *call.Guard) *pool {
	f.mu.RLock()
	p := f.byGuard[g]
	f.mu.RUnlock()
	if p == nil {
		p = f.newPool(g)
	}
	p.used.Store(f.clock.Add(1))
	return p
}

func (f *Forwarder) newPool(g *call.Guard) *pool {
	key := string(guardKey(nil, g))
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.pools[key]
	if p == nil {
		if len(f.pools) >= maxPools {
			f.evict()
		}
		p = &pool{h1: f.newH1(g), h2: f.newTransport(g), h2c: f.newCleartext(g)}
		p.h2.DialTLSContext = f.dialH2(g, p.h1)
		f.pools[key] = p
	}
	if len(f.byGuard) >= maxKnown {
		clear(f.byGuard)
	}
	f.byGuard[g] = p
	return p
}

// evict closes the pool unused for longest. f.mu is held.
func (f *Forwarder) evict() {
	var oldest *pool
	var key string
	for k, p := range f.pools {
		if oldest == nil || p.used.Load() < oldest.used.Load() {
			oldest, key = p, k
		}
	}
	delete(f.pools, key)
	for g, p := range f.byGuard {
		if p == oldest {
			delete(f.byGuard, g)
		}
	}
	oldest.close()
}

// close closes what is idle. As no call comes to p any more, busy connections
// are closed when they fall idle: a Transport keeps none between
// CloseIdleConnections and its next call.
func (p *pool) close() {
	p.over.Store(true)
	p.h1.close()
	p.h2.CloseIdleConnections()
	p.h2c.CloseIdleConnections()
}

// newTLS returns how TLS is spoken to servers.
func (f *Forwarder) newTLS() *tls.Config {
	return &tls.Config{
		RootCAs:            f.roots,
		ClientSessionCache: tls.NewLRUClientSessionCache(256),
		// Records of full size from the start: each costs a system call.
		DynamicRecordSizingDisabled: true,
	}
}

// newH1 returns a pool of HTTP/1.1 connections dialled under g.
func (f *Forwarder) newH1(g *call.Guard) *h1Pool {
	p := &h1Pool{f: f, guard: g, tls: f.newTLS(), idle: map[h1Key][]*h1Conn{}}
	p.tls.NextProtos = []string{"http/1.1"} // as clients offer it
	return p
}

// newTransport returns a transport that dials under g and offers HTTP/2, and
// HTTP/1.1 to servers without it.
func (f *Forwarder) newTransport(g *call.Guard) *http.Transport {
	t := &http.Transport{
		Proxy:                  nil, // see Options.Proxies
		DialContext:            f.dialUnder(g),
		TLSClientConfig:        f.newTLS(),
		TLSHandshakeTimeout:    f.opt.TLSTimeout,
		ResponseHeaderTimeout:  f.opt.HeaderTimeout,
		ExpectContinueTimeout:  continueFor,
		IdleConnTimeout:        f.opt.IdleTimeout,
		MaxIdleConnsPerHost:    f.opt.MaxIdlePerHost,
		MaxIdleConns:           f.opt.MaxIdle,
		MaxResponseHeaderBytes: maxHead,
		DisableCompression:     true,
		ReadBufferSize:         readBuffer,
		WriteBufferSize:        writeBuffer,
		Protocols:              new(http.Protocols),
		HTTP2: &http.HTTP2Config{
			SendPingTimeout:           pingAfter,
			PingTimeout:               pingTimeout,
			MaxReceiveBufferPerStream: window,
		},
	}
	t.Protocols.SetHTTP1(true)
	t.Protocols.SetHTTP2(true)
	return t
}

// dialUnder returns a function that dials as Dial does under g.
func (f *Forwarder) dialUnder(g *call.Guard) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, _, addr string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, hostname.Malformed(addr, "it has no port")
		}
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return nil, hostname.Malformed(addr, "its port is no port")
		}
		c, _, err := f.dialTo(ctx, dest{scheme: "https", host: host, port: uint16(n), guard: g})
		return c, err
	}
}
