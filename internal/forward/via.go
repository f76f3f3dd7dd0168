package forward

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"outvet/call"
)

// lookTime bounds the look-up of a name that an upstream proxy looks up anyway:
// in many networks the DNS of inside knows no name of outside.
const lookTime = time.Second

// errProxyTime is why a proxy that does not answer is given up.
var errProxyTime = errors.New("the server did not answer in time")

// dialVia connects to t through px. Like a direct connection it is judged by
// addresses, as far as they are known here: px looks the name up once more. If
// this side does not know the name at all, nothing is known; a guard that
// refuses ordinary addresses is then not satisfied.
func (f *Forwarder) dialVia(ctx context.Context, px *Proxy, t dest) (net.Conn, netip.Addr, error) {
	addrs, err := f.look(ctx, px, t)
	if err != nil {
		return nil, netip.Addr{}, err
	}
	if r := f.judge(ctx, addrs, t); r != nil {
		return nil, netip.Addr{}, r
	}
	if len(addrs) > 0 && !slices.ContainsFunc(addrs, func(a netip.Addr) bool { return !a.IsLoopback() && !f.own.has(a) }) {
		return race(ctx, &f.dialer, addrs, t.port) // on this machine: px would look on its own
	}
	via := px.String()
	to := t.host
	switch {
	case !px.looksUp():
		to = addrs[0].String()
	case len(addrs) == 0:
		via += " (the name was looked up there)"
		if demanding(t.guard) {
			return nil, netip.Addr{}, unknowable(t.guard)
		}
	}
	c, addr, err := f.reach(ctx, px)
	if err != nil {
		return nil, addr, &proxyFault{from: px.from, err: err}
	}
	r := &relayed{Conn: c, via: via}
	if t.absolute && (px.kind == httpProxy || px.kind == httpsProxy) {
		return &absolute{r, px}, addr, nil
	}
	stop := closeAt(ctx, f.opt.DialTimeout, c)
	if px.kind == httpProxy || px.kind == httpsProxy {
		r.rest, err = connect(c, to, t.port, px.authorization())
	} else {
		err = connectSOCKS(c, to, t.port, px.login)
	}
	if over := stop(); over != nil {
		err = over
	}
	if err != nil {
		c.Close()
		var p *proxyFault
		if !errors.As(err, &p) {
			p = &proxyFault{err: err}
		}
		p.from, p.login = px.from, px.login != nil
		return nil, addr, p
	}
	return r, addr, nil
}

// look returns the addresses of t as this side knows them, none if px is to
// look them up.
func (f *Forwarder) look(ctx context.Context, px *Proxy, t dest) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(t.host); err == nil {
		return []netip.Addr{a}, nil
	}
	limit := f.opt.DialTimeout
	if px.looksUp() {
		limit = min(limit, lookTime)
		if !demanding(t.guard) && f.silence.about(t.host) {
			return nil, nil
		}
	}
	short, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	addrs, err := f.resolve(short, t.host)
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil && px.looksUp():
		if short.Err() != nil {
			f.silence.heard(t.host)
		}
		return nil, nil
	}
	return addrs, err
}

// demanding reports whether g refuses addresses that would pass without it, so
// that nothing is known of an address that is not known. To refuse special ones,
// as any preset does, says no more than is said without a guard.
func demanding(g *call.Guard) bool {
	return g != nil && slices.ContainsFunc(g.Refuse, ordinary)
}

// unknowable is the refusal of a name that cannot be judged.
func unknowable(g *call.Guard) *Refused {
	rule := g.Rule
	if rule == "" {
		rule = call.RuleAddress
	}
	return &Refused{Rule: rule, Why: "the policy refuses some addresses, and only the upstream proxy knows which one this name has"}
}

// reach connects to px itself, which the operator named: its address may be
// any but one of our own listeners.
func (f *Forwarder) reach(ctx context.Context, px *Proxy) (net.Conn, netip.Addr, error) {
	dial, cancel := context.WithTimeoutCause(ctx, f.opt.DialTimeout, errDialTime)
	defer cancel()
	addrs, err := f.resolve(dial, px.host)
	if err != nil {
		return nil, netip.Addr{}, err
	}
	for _, a := range addrs {
		if f.loops(netip.AddrPortFrom(a, px.port)) {
			return nil, a, errLoop
		}
	}
	c, addr, err := race(dial, &f.dialer, addrs, px.port)
	if err != nil {
		return nil, addr, because(dial, err)
	}
	if px.kind != httpsProxy {
		return c, addr, nil
	}
	secure := tls.Client(c, &tls.Config{RootCAs: f.roots, ServerName: px.host, NextProtos: []string{"http/1.1"}, ClientSessionCache: f.sessions})
	shake, over := context.WithTimeoutCause(ctx, f.opt.TLSTimeout, errHandshakeTime)
	defer over()
	if err := secure.HandshakeContext(shake); err != nil {
		c.Close()
		return nil, addr, because(shake, err)
	}
	return secure, addr, nil
}

// because adds to err why ctx is over, if it is.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return errors.Join(cause, err)
	}
	return err
}

// closeAt ends reads and writes of c when ctx is over or limit has passed. stop
// ends that, and returns why c was ended, if so.
func closeAt(ctx context.Context, limit time.Duration, c net.Conn) (stop func() error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errProxyTime)
	ended := make(chan struct{})
	watch := context.AfterFunc(ctx, func() {
		c.SetDeadline(time.Unix(1, 0))
		close(ended)
	})
	return func() error {
		defer cancel()
		if watch() {
			return nil
		}
		<-ended
		return context.Cause(ctx)
	}
}

// A relayed connection leads to an upstream proxy, and through it to a server.
type relayed struct {
	net.Conn
	rest []byte // of the server, came together with the proxy's answer
	via  string
}

// Read implements io.Reader.
func (c *relayed) Read(p []byte) (int, error) {
	if len(c.rest) > 0 {
		n := copy(p, c.rest)
		c.rest = c.rest[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// WriteTo implements io.WriterTo, so that the kernel may copy what it can.
func (c *relayed) WriteTo(w io.Writer) (n int64, err error) {
	if len(c.rest) > 0 {
		m, err := w.Write(c.rest)
		n, c.rest = int64(m), c.rest[m:]
		if err != nil {
			return n, err
		}
	}
	m, err := io.Copy(w, c.Conn)
	return n + m, err
}

// SyscallConn implements syscall.Conn, so that it can be seen whether the proxy
// has closed an idle connection.
func (c *relayed) SyscallConn() (syscall.RawConn, error) {
	below := c.Conn
	if t, ok := below.(*tls.Conn); ok {
		below = t.NetConn()
	}
	if s, ok := below.(syscall.Conn); ok {
		return s.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

// CloseWrite says that no more will be written.
func (c *relayed) CloseWrite() error {
	if h, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return nil
}

// Via returns the proxy, without credentials.
func (c *relayed) Via() string { return c.via }

// An absolute connection leads to an upstream proxy that takes HTTP requests
// with a target in absolute form, for the host that was dialled and no other.
type absolute struct {
	*relayed
	px *Proxy
}

// AbsoluteForm returns the value of the field Proxy-Authorization that each
// request carries, "" for none.
func (c *absolute) AbsoluteForm() (authorization string) { return c.px.authorization() }

// refusal is the error that an answer 407 on c is: only the proxy gives it, and
// what it asks for is not for the agent. header is the answer's.
func (c *absolute) refusal(header http.Header) error {
	head := "HTTP/1.1 407 \r\n"
	for _, v := range header["Proxy-Authenticate"] {
		head += "Proxy-Authenticate: " + v + "\r\n"
	}
	a, _ := parseAnswer([]byte(head + "\r\n"))
	f := faultLogin(a.schemes)
	f.from, f.login = c.px.from, c.px.login != nil
	return f
}

// Via returns the upstream proxy that c goes through, "" for none. It looks
// below TLS.
func Via(c net.Conn) string {
	for c != nil {
		if v, ok := c.(interface{ Via() string }); ok {
			return v.Via()
		}
		t, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		c = t.NetConn()
	}
	return ""
}

// through hears what Via says of the connection.
func (t *Trace) through(via string) {
	if via != "" {
		kept := via // else each call without a proxy would cost an allocation
		t.via.Store(&kept)
	}
}

// Via returns the upstream proxy that the request went through, "" for none.
// Trace.Address is then that of the proxy.
func (t *Trace) Via() string {
	if v := t.via.Load(); v != nil {
		return *v
	}
	return ""
}
