package dns_test

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"outvet/call"
	"outvet/internal/forward"
	"outvet/internal/gate"
	"outvet/internal/listener/dns"
	"outvet/internal/policy"
	"outvet/internal/session"
	"outvet/internal/synthetic"
)

// A log keeps records.
type log struct {
	mu sync.Mutex
	rs []call.Record
}

func (l *log) Write(r *call.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rs = append(l.rs, *r)
	return nil
}

// of returns the records of a kind, those of calls.
func (l *log) of(k call.Kind) (out []call.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.rs {
		if r.Kind == k {
			out = append(out, r)
		}
	}
	return out
}

// An upstream is a real name server on loopback, over UDP and TCP, with what it
// was asked.
type upstream struct {
	addr netip.AddrPort

	down func(testing.TB) // takes it from the network

	mu     sync.Mutex
	asked  []wire.Msg
	answer func(q *wire.Msg) *wire.Msg // nil for a TXT record
}

func newUpstream(t testing.TB) *upstream {
	t.Helper()
	u := &upstream{}
	var pc net.PacketConn
	var l net.Listener
	for range 20 { // a port that is free over both
		var err error
		if pc, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if l, err = net.Listen("tcp", pc.LocalAddr().String()); err == nil {
			break
		}
		pc.Close()
	}
	if l == nil {
		t.Fatal("no port is free over both UDP and TCP")
	}
	u.addr = pc.LocalAddr().(*net.UDPAddr).AddrPort()
	u.down = func(testing.TB) { pc.Close(); l.Close() }
	for _, s := range []*wire.Server{{PacketConn: pc, Handler: u}, {Listener: l, Handler: u}} {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go s.ActivateAndServe()
		<-started
		t.Cleanup(func() { s.Shutdown() })
	}
	return u
}

func (u *upstream) ServeDNS(w wire.ResponseWriter, q *wire.Msg) {
	u.mu.Lock()
	u.asked = append(u.asked, *q.Copy())
	f := u.answer
	u.mu.Unlock()
	r := new(wire.Msg).SetReply(q)
	if f != nil {
		r = f(q)
	} else if q.Question[0].Qtype == wire.TypeTXT {
		r.Answer = []wire.RR{&wire.TXT{Hdr: wire.RR_Header{Name: q.Question[0].Name, Rrtype: wire.TypeTXT, Class: wire.ClassINET, Ttl: 60}, Txt: []string{"hello"}}}
	}
	if _, udp := w.RemoteAddr().(*net.UDPAddr); udp && q.IsEdns0() != nil {
		r.Truncate(int(q.IsEdns0().UDPSize()))
	}
	w.WriteMsg(r)
}

// reply makes f answer from now on.
func (u *upstream) reply(f func(q *wire.Msg) *wire.Msg) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.answer = f
}

func (u *upstream) questions() []wire.Msg {
	u.mu.Lock()
	defer u.mu.Unlock()
	return append([]wire.Msg(nil), u.asked...)
}

// A rig is a server on loopback.
type rig struct {
	*dns.Server
	log  *log
	up   *upstream
	addr string
	tcp  net.Listener
}

const session1 = "run-1"

func newRig(t testing.TB, text string, change ...func(*dns.Server)) *rig {
	t.Helper()
	l := &log{}
	g := &gate.Gate{Sessions: &session.Table{}, Log: l}
	install(t, g, text)
	return rigOf(t, g, l, change...)
}

func rigOf(t testing.TB, g *gate.Gate, l *log, change ...func(*dns.Server)) *rig {
	t.Helper()
	up := newUpstream(t)
	f := forward.New(forward.Options{NameServers: []netip.AddrPort{up.addr}})
	t.Cleanup(f.Close)
	s := &dns.Server{Gate: g, Upstream: f, Names: &synthetic.Table{}, Grade: call.Sealed,
		Caller: func(net.Addr) call.Caller { return call.Caller{Session: session1, SessionMark: call.Observed} }}
	for _, c := range change {
		c(s)
	}
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Serve(pc); err != nil {
			t.Error(err)
		}
	})
	wg.Go(func() {
		for {
			c, err := tcp.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { s.ServeConn(c) })
		}
	})
	r := &rig{s, l, up, pc.LocalAddr().String(), tcp}
	t.Cleanup(func() { r.end(t); tcp.Close(); wg.Wait() })
	return r
}

func (r *rig) end(t testing.TB) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := r.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}

func install(t testing.TB, g *gate.Gate, text string) {
	t.Helper()
	p, err := policy.Load(context.Background(), policy.Options{Text: []byte(text), Name: "rig.yaml", Untested: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Install(p, nil, "rig"); err != nil {
		t.Fatal(err)
	}
}

// ask asks over UDP, with EDNS.
func (r *rig) ask(t testing.TB, name string, kind uint16) *wire.Msg {
	t.Helper()
	return exchange(t, "udp", r.addr, name, kind)
}

func exchange(t testing.TB, network, addr, name string, kind uint16) *wire.Msg {
	t.Helper()
	m := new(wire.Msg).SetQuestion(wire.Fqdn(name), kind)
	m.SetEdns0(4096, true)
	c := &wire.Client{Net: network, Timeout: 15 * time.Second, UDPSize: 4096}
	a, _, err := c.Exchange(m, addr)
	if err != nil {
		t.Fatalf("%s %d: %v", name, kind, err)
	}
	return a
}

// told returns the text and code of the extended error.
func told(m *wire.Msg) (code uint16, text string) {
	if o := m.IsEdns0(); o != nil {
		for _, x := range o.Option {
			if e, ok := x.(*wire.EDNS0_EDE); ok {
				return e.InfoCode, e.ExtraText
			}
		}
	}
	return 0xffff, ""
}

// addresses returns those of an answer.
func addresses(m *wire.Msg) (out []netip.Addr) {
	for _, r := range m.Answer {
		switch r := r.(type) {
		case *wire.A:
			a, _ := netip.AddrFromSlice(r.A.To4())
			out = append(out, a)
		case *wire.AAAA:
			a, _ := netip.AddrFromSlice(r.AAAA)
			out = append(out, a)
		}
	}
	return out
}

// A resolver knows the addresses of a few names.
type resolver map[string]string

func (z resolver) LookupNetIP(_ context.Context, _, host string) (out []netip.Addr, err error) {
	for _, s := range strings.Fields(z[host]) {
		out = append(out, netip.MustParseAddr(s))
	}
	if out == nil {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return out, nil
}
