package forward

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"outvet/call"
	"outvet/internal/http1"
)

// reapEvery is how often idle connections are looked at.
const reapEvery = 10 * time.Second

// An h1Pool sends requests over HTTP/1.1 and keeps connections for the next ones.
// All that a request needs happens on the goroutine of its caller: there is none
// for a connection.
type h1Pool struct {
	f     *Forwarder
	guard *call.Guard
	tls   *tls.Config

	// mu guards the rest. No connection in idle is used by anybody.
	mu   sync.Mutex
	idle map[h1Key][]*h1Conn // last used last
	n    int                 // in idle
	over bool
	reap *time.Timer // nil when idle is empty
}

// An h1Key says whom a connection can serve.
type h1Key struct {
	secure  bool
	upgrade bool   // in clear text, to leave HTTP: an upstream proxy would not let it
	host    string // canonical
	port    uint16
}

// scheme returns what DialFor is to dial for.
func (k *h1Key) scheme() string {
	switch {
	case k.secure:
		return "https"
	case k.upgrade:
		return "ws"
	}
	return "http"
}

// An h1Conn is a connection that carries one request at a time.
type h1Conn struct {
	net.Conn
	pool  *h1Pool
	key   h1Key
	r     http1.Reader
	addr  netip.AddrPort
	proxy *absolute // the upstream proxy at its other end, which wants absolute targets; nil for none
	via   string    // see Via
	live  liveness
	used  time.Time     // at its last use's end
	keep  time.Duration // for how long after it the server keeps it, as far as it says; 0 if it does not
}

// abort closes the connection without a word to the server.
func (c *h1Conn) abort() {
	if t, ok := c.Conn.(*tls.Conn); ok {
		t.NetConn().Close()
		return
	}
	c.Close()
}

// stale reports whether the connection was idle for too long: the server may be
// closing it just now, and a POST that meets that is lost.
func (c *h1Conn) stale(now time.Time) bool {
	idle := now.Sub(c.used)
	return idle >= c.pool.f.opt.IdleTimeout || c.keep > 0 && idle >= c.keep-keepMargin
}

// silent reports whether nothing was said on the connection by that time, not
// counting what TLS says to itself. A time in the past looks at what was read
// from the system already.
func (c *h1Conn) silent(until time.Time) bool {
	c.SetReadDeadline(until)
	defer c.SetReadDeadline(time.Time{})
	var b [1]byte
	n, err := c.Conn.Read(b[:])
	return n == 0 && os.IsTimeout(err)
}

// keepMargin is how long before its time a connection is given up.
const keepMargin = time.Second

// heed notes how long the server keeps the connection: Keep-Alive: timeout=5.
func (c *h1Conn) heed(h http.Header) {
	for _, v := range h["Keep-Alive"] {
		for word := range strings.SplitSeq(v, ",") {
			if n, ok := strings.CutPrefix(strings.TrimSpace(word), "timeout="); ok {
				if s, err := strconv.ParseUint(n, 10, 16); err == nil {
					c.keep = max(time.Duration(s)*time.Second, 1)
				}
			}
		}
	}
}

// keyOf returns what req needs of a connection.
func keyOf(req *http.Request, host string) (h1Key, error) {
	k := h1Key{secure: req.URL.Scheme == "https", host: host, port: 80}
	if k.secure {
		k.port = 443
	} else {
		k.upgrade = req.Header.Get("Upgrade") != ""
	}
	if p := portOf(req.URL.Host); p != "" {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return k, errPort
		}
		k.port = uint16(n)
	}
	return k, nil
}

var errPort = &unsendable{errors.New("its port is no port")}

// get returns a connection for k, and whether it served a call before.
func (p *h1Pool) get(ctx context.Context, k h1Key) (c *h1Conn, reused bool, err error) {
	for {
		if c := p.pop(k); c == nil {
			c, err := p.dial(ctx, k)
			return c, false, err
		} else if !c.stale(time.Now()) && c.live.alive(c) {
			return c, true, nil
		} else {
			c.Close()
		}
	}
}

func (p *h1Pool) pop(k h1Key) *h1Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.idle[k]
	if len(list) == 0 {
		return nil
	}
	c := list[len(list)-1]
	list[len(list)-1] = nil
	if list = list[:len(list)-1]; len(list) == 0 {
		delete(p.idle, k) // hosts come and go
	} else {
		p.idle[k] = list
	}
	p.n--
	return c
}

// put keeps c for the next call, if there is room.
func (p *h1Pool) put(c *h1Conn) {
	c.used = time.Now()
	p.mu.Lock()
	list := p.idle[c.key]
	if p.over || p.n >= p.f.opt.MaxIdle || len(list) >= p.f.opt.MaxIdlePerHost {
		p.mu.Unlock()
		c.Close()
		return
	}
	p.idle[c.key] = append(list, c)
	p.n++
	if p.reap == nil {
		p.reap = time.AfterFunc(min(reapEvery, p.f.opt.IdleTimeout), p.clean)
	}
	p.mu.Unlock()
}

// clean closes connections that were idle for too long or that the server
// closed.
func (p *h1Pool) clean() {
	var dead []*h1Conn
	now := time.Now()
	p.mu.Lock()
	for k, list := range p.idle {
		keep := list[:0]
		for _, c := range list {
			if c.stale(now) || !c.live.open(c) {
				dead = append(dead, c)
			} else {
				keep = append(keep, c)
			}
		}
		clear(list[len(keep):])
		if p.idle[k] = keep; len(keep) == 0 {
			delete(p.idle, k)
		}
	}
	if p.n -= len(dead); p.n == 0 {
		p.reap = nil
	} else {
		p.reap.Reset(min(reapEvery, p.f.opt.IdleTimeout))
	}
	p.mu.Unlock()
	for _, c := range dead {
		c.Close()
	}
}

// close closes what is idle. Connections in use are closed after it.
func (p *h1Pool) close() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.n, p.over = map[h1Key][]*h1Conn{}, 0, true
	if p.reap != nil {
		p.reap.Stop()
		p.reap = nil
	}
	p.mu.Unlock()
	for _, list := range idle {
		for _, c := range list {
			c.Close()
		}
	}
}

// dial opens a connection for k.
func (p *h1Pool) dial(ctx context.Context, k h1Key) (*h1Conn, error) {
	conn, addr, err := p.f.DialFor(ctx, k.scheme(), k.host, k.port, p.guard)
	if err != nil {
		return nil, err
	}
	c := p.connOf(k, conn, addr)
	if k.secure {
		if c.Conn, err = p.f.handshake(ctx, conn, p.tls, k.host); err != nil {
			conn.Close()
			return nil, err
		}
	}
	c.r.Src = c.Conn
	return c, nil
}

// connOf returns the connection for k that conn, which leads to addr, becomes.
func (p *h1Pool) connOf(k h1Key, conn net.Conn, addr netip.Addr) *h1Conn {
	c := &h1Conn{Conn: conn, pool: p, key: k, addr: netip.AddrPortFrom(addr, k.port)}
	if a, err := netip.ParseAddrPort(conn.RemoteAddr().String()); err == nil {
		c.addr = a
	}
	c.via = Via(conn)
	c.proxy, _ = conn.(*absolute)
	c.live.of(conn)
	return c
}

// errHandshakeTime is why a handshake that takes too long is given up.
var errHandshakeTime = errors.New("TLS handshake timeout")

// roundTrip sends req, whose host is canonical.
func (p *h1Pool) roundTrip(req *http.Request, host string, tr *Trace) (*http.Response, error) {
	k, err := keyOf(req, host)
	if err != nil {
		closeBody(req)
		return nil, err
	}
	for {
		x := &h1Exchange{req: req, trace: tr}
		if err := x.prepare(); err != nil {
			closeBody(req)
			return nil, err
		}
		c, reused, err := p.get(req.Context(), k)
		if err != nil {
			x.release()
			closeBody(req)
			return nil, err
		}
		tr.through(c.via)
		tr.connected(c.addr, reused)
		x.c = c
		resp, err := x.run()
		if err == nil {
			return resp, nil
		}
		if !reused || !x.repeatable(err) {
			return nil, err
		}
		if req, err = rewound(req); err != nil {
			return nil, err
		}
	}
}

// rewound returns req with its body from the start.
func rewound(req *http.Request) (*http.Request, error) {
	if req.Body == nil || req.Body == http.NoBody {
		return req, nil
	}
	body, err := req.GetBody()
	if err != nil {
		return nil, err
	}
	again := *req
	again.Body = body
	return &again, nil
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		req.Body.Close()
	}
}
