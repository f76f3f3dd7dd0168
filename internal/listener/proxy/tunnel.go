package proxy

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"outvet/call"
	"outvet/internal/answer"
	"outvet/internal/hostname"
	"outvet/internal/payload"
)

// A tunnel is the client's connection after a CONNECT, or a request of SOCKS.
type tunnel struct {
	net.Conn
	s       *Server
	pre     []byte // read already, not yet given to Read
	host    string // canonical
	port    uint16
	caller  call.Caller
	secure  bool   // TLS ends here
	sni     string // the server name that TLS asked for, if it is not host
	kept    string // why its TLS ends here although policy lets it pass unread
	shown   bool   // the hello was understood and a certificate of ours picked
	alerted bool   // the client was told by an alert why it goes no further
	veiled  bool   // the client offered to encrypt its hello (ECH)

	ctx     context.Context
	cancel  context.CancelFunc
	calls   atomic.Int64 // recorded in it
	idle    atomic.Bool  // waiting to learn what it is for
	ready   bool         // TLS stands
	met     time.Time    // since when
	h2      bool         // it carries HTTP/2
	asked   atomic.Bool  // something came on it that should be a request, or HTTP/2
	arrival *arrival
	entry   *Entry // by which it came; nil for the proxy's own port
	fault   string // why nothing in it became a call; written before Close
	once    sync.Once
}

type tunnelKey struct{}

// tunnelOf returns the tunnel below a connection that the inner server got.
func tunnelOf(c net.Conn) *tunnel {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	return c.(*tunnel)
}

// connect answers a CONNECT and serves what comes through it.
func (s *Server) connect(w http.ResponseWriter, r *http.Request) {
	host, port, ok := authority(r.Host)
	if !ok || strings.Contains(r.RequestURI, "@") || w.(*response).q.Body != nil {
		w.(*response).closing = true
		p := malformed("CONNECT " + r.Host + " does not name a host and a port, and nothing else")
		s.say(w, r, answer.Fault(r, nil, *p, nil), false).close()
		return
	}
	res := w.(*response) // CONNECT comes over HTTP/1.1 alone
	if res.c.foreign(res.q.Field, host) {
		s.contradict(w, r, host, port)
		return
	}
	c := res.c
	nc, ahead := c.takeOver()
	t := s.tunnel(nc, ahead, host, port, c.entry.caller(r))
	if t == nil {
		return
	}
	t.arrival, t.entry = c.arrival, c.entry
	c.tunnel = t // which is served when this request is over
	if _, err := nc.Write([]byte("HTTP/1.1 200 Connection established\r\n\r\n")); err != nil {
		t.fault = "the client went away"
	}
}

// contradict refuses and records a CONNECT whose field Host names another host.
func (s *Server) contradict(w http.ResponseWriter, r *http.Request, host string, port uint16) {
	res := w.(*response)
	const why = "the field Host of the CONNECT names another host"
	t := &tunnel{host: host, port: port, caller: res.c.entry.caller(r), entry: res.c.entry, arrival: res.c.arrival}
	p := s.Gate.Open(r.Context(), t.call("connect", "CONNECT"), nil)
	res.closing = true
	s.say(w, r, answer.Fault(r, nil, *misdirected(why), nil), false).close()
	s.closed(p.Close(call.Outcome{Status: http.StatusMisdirectedRequest, Error: why}))
}

// nested refuses and records a CONNECT that comes through a tunnel: whatever it
// names would have to be judged by the rules of the host of the tunnel.
func (x *exchange) nested() {
	const why = "a tunnel was asked for inside a tunnel"
	to := &tunnel{host: x.t.host, port: x.t.port, caller: x.t.caller, entry: x.t.entry, arrival: x.t.arrival}
	if host, port, ok := authority(x.r.Host); ok {
		to.host, to.port = host, port
	}
	x.c, x.m = to.call("connect", "CONNECT"), &payload.Message{Host: to.host}
	claims(&x.c.Caller, x.r.Header)
	x.open()
	x.out.Error = why
	x.fail(*malformed(why + ": CONNECT to the proxy itself"))
}

// tunnel makes a tunnel of conn, of which pre was read already. It closes conn and
// returns nil when no tunnel may begin any more.
func (s *Server) tunnel(conn net.Conn, pre []byte, host string, port uint16, who call.Caller) *tunnel {
	t := &tunnel{Conn: conn, s: s, host: host, port: port, caller: who}
	if len(pre) > 0 {
		t.pre = pre
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.idle.Store(true)
	if !s.enter(t) {
		t.cancel()
		conn.Close()
		return nil
	}
	return t
}

// serve finds out what the tunnel is for. It returns once somebody else serves
// it or it is closed.
func (t *tunnel) serve() {
	if t.fault != "" {
		t.refuse()
		t.Close()
		return
	}
	never := func() bool { return false }
	peek := t.s.Peek
	if greets(t.port) {
		peek = min(peek, greetTime)
	}
	k := t.sniff(time.Now().Add(peek), never)
	if k == kindSilent && !greets(t.port) && t.s.Gate.Foresee(*t.call("tcp", "connect")) != call.Allow {
		k = t.sniff(time.Now().Add(helloTime), never) // it is slow, or means what is not allowed
	}
	if k == kindSilent && t.s.isDeaf() {
		t.fault = "the proxy was shut down"
		t.Close()
		return
	}
	if k == kindRaw || k == kindSilent {
		k = t.relay(k == kindSilent)
	}
	switch k {
	case kindTLS:
		if !t.pass() {
			t.serveTLS()
		}
	case kindSSL2:
		t.alert(alertProtocolVersion)
		part(t.Conn)
		t.fault = tooOld
		t.Close()
	case kindHTTP:
		if t.h2 = t.priorKnowledge(); t.h2 {
			t.hand(t)
			return
		}
		t.serveHTTP(t)
	default:
		if k == kindGone {
			t.fault = leftEarly
		}
		t.Close()
	}
}

// hand gives c, t or TLS over it, to the server of HTTP/2.
func (t *tunnel) hand(c net.Conn) {
	t.idle.Store(false)
	if !t.s.tunnels.push(c) {
		t.fault = "the proxy was shut down"
		t.Close()
	}
}

// serveTLS ends the TLS that the client begins.
func (t *tunnel) serveTLS() {
	t.secure = true
	head := t.pre
	c := tls.Server(t, t.s.tls)
	ctx, cancel := context.WithTimeout(t.ctx, helloTime)
	err := c.HandshakeContext(ctx)
	cancel()
	if err != nil {
		t.fault = t.handshakeFault(err, head)
		t.Close()
		return
	}
	state := c.ConnectionState()
	t.h2 = state.NegotiatedProtocol == "h2"
	if name := state.ServerName; name != "" {
		if h, err := hostname.Canonical(name); err != nil || h != t.host {
			t.sni = ascii(name, sniMax)
		}
		if t.sni != "" && t.veiled {
			t.fault = "the client hid the name that it means from all but the server (ECH), and then did not trust who answered: " +
				"turn ECH off in it, or keep HTTPS records of the DNS from it"
		}
	}
	t.ready, t.met = true, time.Now()
	if t.h2 {
		t.hand(c)
	} else {
		t.serveHTTP(c)
	}
}

// serveHTTP serves HTTP/1.1 on c, which is t or TLS over it.
func (t *tunnel) serveHTTP(c net.Conn) {
	t.idle.Store(false)
	t.s.newConn(t.ctx, c, t).serve()
}

// misspoke records what came in place of a request.
func (t *tunnel) misspoke(why string) {
	t.calls.Add(1)
	p := t.s.Gate.Open(context.Background(), t.call("connect", "CONNECT"), nil)
	t.s.closed(p.Close(call.Outcome{Error: why}))
}

// certificate answers a TLS client. The name that it asks for counts, so that
// a client whose name differs from its CONNECT can read the refusal.
func (s *Server) certificate(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
	t := h.Conn.(*tunnel)
	t.shown, t.veiled = true, slices.Contains(h.Extensions, extEncrypted)
	name := strings.TrimSuffix(h.ServerName, ".")
	if name == "" {
		name = t.host
	}
	return s.Authority.Leaf(name)
}

// extEncrypted is the extension of an encrypted hello (RFC 9849).
const extEncrypted = 0xfe0d

// forOldHTTP serves clients that offer no protocol but HTTP/1.0 by ALPN.
func (s *Server) forOldHTTP(h *tls.ClientHelloInfo) (*tls.Config, error) {
	offers := func(p string) bool { return slices.Contains(h.SupportedProtos, p) }
	if !offers("http/1.0") || offers("http/1.1") || offers("h2") {
		return nil, nil
	}
	c := s.tls.Clone()
	c.NextProtos = []string{"http/1.0"}
	return c, nil
}

// Read implements net.Conn.
func (t *tunnel) Read(b []byte) (int, error) {
	if len(t.pre) > 0 {
		n := copy(b, t.pre)
		if t.pre = t.pre[n:]; len(t.pre) == 0 {
			t.pre = nil
		}
		return n, nil
	}
	return t.Conn.Read(b)
}

// CloseWrite ends what the client reads, if the connection can.
func (t *tunnel) CloseWrite() error { return closeWrite(t.Conn) }

func closeWrite(c net.Conn) error {
	if cw, ok := c.(interface{ CloseWrite() error }); ok {
		return cw.CloseWrite()
	}
	return nil
}

// spare reports whether the tunnel was made in advance and not needed, as
// clients do that make several connections at once: nothing was attempted.
func (t *tunnel) spare() bool {
	return t.ready && (t.h2 || !t.asked.Load()) && (t.sni == "" || !t.veiled)
}

// abandon closes a tunnel of which it is not known where it should lead, because
// of err. Nothing is recorded.
func (t *tunnel) abandon(err error) {
	t.fault = err.Error()
	t.Conn.Close()
	t.once.Do(func() {
		t.cancel()
		t.s.leave(t)
	})
}

// Close implements net.Conn. A tunnel in which no call was made is recorded,
// unless it is a spare one.
func (t *tunnel) Close() error {
	err := t.Conn.Close()
	t.once.Do(func() {
		t.cancel()
		t.arrival.begun()
		if t.calls.Load() > 0 || t.spare() && !t.fled() {
			t.s.leave(t)
			return
		}
		if t.doubtful() {
			go func() { // its client may be about to call on another connection
				t.s.wait(doubtTime)
				t.s.recordUnused(t)
				t.s.leave(t)
			}()
			return
		}
		t.s.recordUnused(t)
		t.s.leave(t)
	})
	return err
}
