package forward

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"outvet/call"
)

// unknown is a DNS of inside: it knows no name of outside.
type unknown struct{}

func (unknown) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

func TestCallsGoThroughEveryKindOfProxy(t *testing.T) {
	root := newRoot(t)
	leaf := issue(t, &root, serverFor("proxy.example"))
	secure := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.cert.Raw}, PrivateKey: leaf.key}}}
	s, conns := counting(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(w, r.Body)
		fmt.Fprintf(w, " %s %s", r.Proto, r.Host)
	}))
	names := map[string]string{"api.example:443": s.Listener.Addr().String()}
	for _, scheme := range []string{"http", "https", "socks5h"} {
		for _, login := range []string{"", "us er:p@ss:wörd"} {
			var over *tls.Config
			if scheme == "https" {
				over = secure
			}
			x := newExit(t, login, names, over)
			url := scheme + "://" + x.address()
			if login != "" {
				url = scheme + "://us%20er:p%40ss%3Aw%C3%B6rd@" + x.address()
			}
			f := through(t, url, func(o *Options) { o.Roots = []*x509.Certificate{s.root.cert, root.cert} })
			for _, proto := range []Proto{H1, H2} {
				conns.Store(0)
				for i := range 5 {
					var tr Trace
					_, got := get(t, f, proto, request(t, "POST", "https://api.example/", "x").WithContext(WithTrace(t.Context(), &tr)))
					want := "x HTTP/1.1 api.example"
					if proto == H2 {
						want = "x HTTP/2.0 api.example"
					}
					if got != want || tr.Reused() != (i > 0) {
						t.Errorf("%s %v, request %d: %q, reused %v", scheme, proto, i, got, tr.Reused())
					}
					if tr.Address().String() != x.address() || tr.Via() != scheme+"://"+x.address()+" (the name was looked up there)" {
						t.Errorf("%s: the trace says %v, %q", scheme, tr.Address(), tr.Via())
					}
				}
				if n := conns.Load(); n != 1 {
					t.Errorf("%s %v: %d connections for 5 requests", scheme, proto, n)
				}
			}
			if asked, n := x.seen(); n != 2 || !slices.Equal(asked, []string{"api.example:443", "api.example:443"}) || x.missing > 0 {
				t.Errorf("%s: %d connections for %q", scheme, n, asked)
			}
		}
	}
}

// socks5 without h is for who looks names up himself: law 1 holds to the end.
func TestSOCKS5IsGivenTheCheckedAddress(t *testing.T) {
	s, _ := counting(t, ok)
	x := newExit(t, "", map[string]string{"93.184.216.34:443": s.Listener.Addr().String(), "[2606:4700::1]:443": s.Listener.Addr().String()}, nil)
	r := &script{answers: [][]netip.Addr{addrs("93.184.216.34"), addrs("2606:4700::1"), addrs("10.0.0.1")}}
	f := through(t, x.url("socks5"), func(o *Options) { o.Resolver, o.Roots = r, []*x509.Certificate{s.root.cert} })
	for range 2 {
		var tr Trace
		get(t, f, H1, request(t, "GET", "https://api.example/", "").WithContext(WithTrace(t.Context(), &tr)))
		if strings.Contains(tr.Via(), "looked up") {
			t.Error(tr.Via())
		}
		f.Flush()
	}
	_, err := f.RoundTrip(request(t, "GET", "https://api.example/", ""), nil, H1)
	if e := Classify(err); e.Type != "destination_ip_prohibited" {
		t.Error(err)
	}
	if asked, _ := x.seen(); !slices.Equal(asked, []string{"93.184.216.34:443", "[2606:4700::1]:443"}) || len(r.asked) != 3 {
		t.Errorf("asked %q after %d look-ups", asked, len(r.asked))
	}
	f = through(t, x.url("socks5"))
	if _, _, err := f.Dial(t.Context(), "api.example", 443, nil); Classify(err).Type != "dns_error" {
		t.Errorf("an unknown name: %v", err)
	}
}

func TestRawConnectionPassesAProxyBothWays(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	served := make(chan string, 8)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, "220 ready\r\n") // speaks first: the proxy may send it with its answer
			b, _ := io.ReadAll(c)
			served <- string(b)
			io.WriteString(c, "bye")
			c.Close()
		}
	}()
	for _, scheme := range []string{"http", "socks5h"} {
		x := newExit(t, "u:p", map[string]string{"raw.example:25": l.Addr().String()}, nil)
		f := through(t, x.url(scheme))
		c, a, err := f.Dial(t.Context(), "raw.example", 25, nil)
		if err != nil {
			t.Fatal(err)
		}
		if a.String() != "127.0.0.1" || !strings.HasPrefix(Via(c), scheme+"://127.0.0.1:") || strings.Contains(Via(c), "p@") {
			t.Errorf("address %v, via %q", a, Via(c))
		}
		io.WriteString(c, "hello")
		c.(interface{ CloseWrite() error }).CloseWrite()
		if b, err := io.ReadAll(c); err != nil || string(b) != "220 ready\r\nbye" {
			t.Errorf("%s: %q, %v", scheme, b, err)
		}
		if got := <-served; got != "hello" {
			t.Errorf("%s: the server got %q", scheme, got)
		}
		c.Close()
	}
}

// What a server says at once may come in one packet with the proxy's answer.
func TestBytesBehindTheAnswerAreTheServers(t *testing.T) {
	for _, split := range []int{1, 7, 1 << 20} {
		p := answering(t, "HTTP/1.0 100\n\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nSSH-2.0-x\r\n", split)
		f := through(t, "http://"+p)
		for _, read := range []func(net.Conn) string{
			func(c net.Conn) string { b, _ := io.ReadAll(io.MultiReader(c)); return string(b) },
			func(c net.Conn) string { var b strings.Builder; io.Copy(&b, c); return b.String() },
		} {
			c, _, err := f.Dial(t.Context(), "raw.example", 22, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := read(c); got != "SSH-2.0-x\r\n" {
				t.Errorf("split after %d: read %q", split, got)
			}
			c.Close()
		}
	}
}

// answering serves answer to everyone, in pieces, and then closes. It returns its
// address.
func answering(t testing.TB, answer string, piece int) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
					return
				}
				for b := []byte(answer); len(b) > 0; {
					n := min(piece, len(b))
					if _, err := c.Write(b[:n]); err != nil {
						return
					}
					b = b[n:]
				}
				c.(*net.TCPConn).CloseWrite()
				io.Copy(io.Discard, c)
			}()
		}
	}()
	return l.Addr().String()
}

func TestIdleConnectionThatTheProxyClosedCostsNothing(t *testing.T) {
	s, conns := counting(t, ok)
	x := newExit(t, "", map[string]string{"api.example:443": s.Listener.Addr().String()}, nil)
	f := through(t, x.url("http"), func(o *Options) { o.Roots = []*x509.Certificate{s.root.cert} })
	for range 5 {
		if _, got := get(t, f, H1, request(t, "POST", "https://api.example/", "pay")); got != "ok" {
			t.Errorf("got %q", got)
		}
		s.Server.CloseClientConnections()
		idle := f.pool(nil).h1
		waitFor(t, func() bool { // until it can be seen: a POST is not sent twice
			idle.mu.Lock()
			defer idle.mu.Unlock()
			for _, list := range idle.idle {
				for _, c := range list {
					if c.live.alive(c) {
						return false
					}
				}
			}
			return true
		})
	}
	if n := conns.Load(); n != 5 {
		t.Errorf("%d connections", n)
	}
}

// Where ConnectTo leads elsewhere, the proxy is asked for that, and either name
// may go without.
func TestConnectToIsAskedOfTheProxy(t *testing.T) {
	s, _ := counting(t, ok)
	x := newExit(t, "", map[string]string{"edge.example:8443": s.Listener.Addr().String()}, nil)
	to := func(o *Options) {
		o.Roots = []*x509.Certificate{s.root.cert}
		o.ConnectTo = []ConnectTo{{Host: "api.example", Addr: "edge.example", To: 8443}}
	}
	f := through(t, x.url("http"), to)
	get(t, f, H1, request(t, "GET", "https://api.example/", ""))
	if asked, _ := x.seen(); !slices.Equal(asked, []string{"edge.example:8443"}) {
		t.Errorf("asked for %q", asked)
	}
	for _, direct := range []string{"api.example", "edge.example", "edge.example:8443"} {
		p, err := NewProxies(x.url("http"), environment("NO_PROXY="+direct))
		if err != nil {
			t.Fatal(err)
		}
		f := through(t, "none", to, func(o *Options) { o.Proxies = p })
		if _, _, err := f.Dial(t.Context(), "api.example", 443, nil); Classify(err).Type != "dns_error" {
			t.Errorf("NO_PROXY=%s: %v", direct, err)
		}
	}
}

func TestDestinationsBehindAProxyAreJudged(t *testing.T) {
	x := newExit(t, "", nil, nil)
	known := table{"inside.example": addrs("10.0.0.1"), "both.example": addrs("93.184.216.34", "127.0.0.1"), "out.example": addrs("93.184.216.34")}
	for _, scheme := range []string{"http", "socks5h", "socks5"} {
		f := through(t, x.url(scheme), func(o *Options) { o.Resolver = known })
		for _, host := range []string{"inside.example", "both.example", "10.0.0.1", "169.254.169.254", "0x7f.1", "[::ffff:10.0.0.1]", "[64:ff9b::a00:1]"} {
			_, _, err := f.Dial(t.Context(), host, 443, nil)
			var r *Refused
			if !errors.As(err, &r) {
				t.Errorf("%s %s: %v", scheme, host, err)
			}
		}
		no := &call.Guard{Refuse: prefixes("93.184.0.0/16"), Rule: "not there"}
		var r *Refused
		if _, _, err := f.Dial(t.Context(), "out.example", 443, no); !errors.As(err, &r) || r.Rule != "not there" {
			t.Errorf("%s: %v", scheme, err)
		}
	}
	if asked, n := x.seen(); n > 0 {
		t.Errorf("%d connections for %q", n, asked)
	}
}

// A rule about addresses cannot be judged where nobody here knows them.
func TestUnknownAddressIsRefusedIfThePolicyRefusesAny(t *testing.T) {
	s, _ := counting(t, ok)
	x := newExit(t, "", map[string]string{"api.example:443": s.Listener.Addr().String()}, nil)
	for name, r := range map[string]Resolver{"not found": unknown{}, "failing": fails{&net.DNSError{Err: "server misbehaving", IsTemporary: true}}, "silent": silent{}} {
		f := through(t, x.url("http"), func(o *Options) { o.Resolver = onlyFor{x, r} })
		g := &call.Guard{Refuse: prefixes("169.254.169.254/32", "93.184.216.0/24"), Rule: "not there"}
		_, _, err := f.Dial(t.Context(), "api.example", 443, g)
		var refused *Refused
		if e := Classify(err); !errors.As(err, &refused) || refused.Rule != "not there" || e.Status != 403 || !strings.Contains(e.Detail, "only the upstream proxy knows") {
			t.Errorf("%s: %+v", name, e)
		}
		if _, n := x.seen(); n != 0 {
			t.Errorf("%s: the proxy was asked", name)
		}
	}
	f := through(t, x.url("http"))
	for _, g := range []*call.Guard{{Admit: prefixes("10.0.0.0/8")}, {Refuse: prefixes("169.254.169.254/32", "fd00:ec2::254/128", "10.0.0.0/8"), Rule: "what is refused anyway"}} {
		c, _, err := f.Dial(t.Context(), "api.example", 443, g)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
}

// silent is a DNS that does not answer.
type silent struct{}

func (silent) LookupNetIP(ctx context.Context, _, host string) ([]netip.Addr, error) {
	<-ctx.Done()
	return nil, &net.DNSError{Err: "i/o timeout", Name: host, IsTimeout: true}
}

// onlyFor asks r for all but the proxy's own name.
type onlyFor struct {
	x *exit
	r Resolver
}

func (o onlyFor) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if host == "proxy.example" {
		return addrs("127.0.0.1"), nil
	}
	return o.r.LookupNetIP(ctx, network, host)
}

func TestWhatIsOnThisMachineIsDialledWithoutTheProxy(t *testing.T) {
	port, accepted := listen(t, "127.0.0.1:0")
	x := newExit(t, "", nil, nil)
	f := through(t, x.url("http"), func(o *Options) {
		o.Resolver = table{"localhost": addrs("127.0.0.1"), "dev.localhost": addrs("127.0.0.1"), "mine.example": addrs("127.0.0.1")}
		o.ConnectTo = []ConnectTo{{Host: "api.example", Addr: "127.0.0.1", To: port}}
	})
	hosts := []string{"127.0.0.1", "0x7f.1", "localhost", "dev.localhost", "mine.example", "api.example"}
	for _, h := range hosts {
		c, _, err := f.Dial(t.Context(), h, port, loopback)
		if err != nil {
			t.Fatalf("%s: %v", h, err)
		}
		if Via(c) != "" {
			t.Errorf("%s goes via %s", h, Via(c))
		}
		c.Close()
	}
	waitFor(t, func() bool { return int(accepted.Load()) == len(hosts) })
	if _, n := x.seen(); n > 0 {
		t.Errorf("the proxy has %d connections", n)
	}
}

// Who could talk to the proxy as its client could go anywhere.
func TestProxyItselfIsNoDestination(t *testing.T) {
	x := newExit(t, "", nil, nil)
	port := netip.MustParseAddrPort(x.address()).Port()
	p, err := NewProxies(fmt.Sprintf("http://proxy.example:%d", port), func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	f := New(Options{Proxies: p, Resolver: table{"proxy.example": addrs("93.184.216.34"), "alias.example": addrs("93.184.216.34")}})
	defer f.Close()
	var to []string
	f.dialer = dialled(&to)
	for _, h := range []string{"proxy.example", "PROXY.example.", "alias.example", "93.184.216.34"} {
		for _, g := range []*call.Guard{nil, {Admit: prefixes("0.0.0.0/0")}} {
			_, _, err := f.Dial(t.Context(), h, port, g)
			var r *Refused
			if !errors.As(err, &r) || r.Why != "the upstream proxy itself" {
				t.Errorf("%s: %v", h, err)
			}
		}
	}
	if len(to) > 0 {
		t.Errorf("dialled %v", to)
	}
	f.Dial(t.Context(), "proxy.example", port+1, nil) // another port is another service
	if len(to) == 0 {
		t.Error("all of the proxy's machine is closed")
	}
}

func TestLoopToOurselvesIsRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	for _, host := range []string{"127.0.0.1", "localhost", "0.0.0.0"} {
		f := through(t, "http://"+host+":"+port)
		if err := f.Avoid(l.Addr()); err == nil || !strings.Contains(err.Error(), "outvet itself") {
			t.Errorf("%s: %v", host, err)
		}
	}
	// A name tells only when it is looked up.
	f := through(t, "http://proxy.example:"+port, func(o *Options) { o.Resolver = onlyFor{nil, unknown{}} })
	if err := f.Avoid(l.Addr()); err != nil {
		t.Error(err)
	}
	_, _, err = f.Dial(t.Context(), "api.example", 443, nil)
	if e := Classify(err); e.Type != "proxy_loop_detected" || e.Status != 502 {
		t.Errorf("%+v", e)
	}
	every, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer every.Close()
	_, port, _ = net.SplitHostPort(every.Addr().String())
	if err := through(t, "http://127.0.0.1:"+port).Avoid(every.Addr()); err == nil {
		t.Error("a listener on all addresses is not seen")
	}
	if err := through(t, "http://127.0.0.1:"+port).Avoid(l.Addr()); err != nil {
		t.Error(err)
	}
}

func TestConnectionThroughAProxyNeverServesAnotherGuard(t *testing.T) {
	s, conns := counting(t, ok)
	x := newExit(t, "", map[string]string{"api.example:443": s.Listener.Addr().String()}, nil)
	f := through(t, x.url("http"), func(o *Options) { o.Roots = []*x509.Certificate{s.root.cert} })
	for _, proto := range []Proto{H1, H2} {
		conns.Store(0)
		for _, g := range []*call.Guard{nil, {Admit: prefixes("10.0.0.0/8")}, nil} {
			resp, err := f.RoundTrip(request(t, "GET", "https://api.example/", ""), g, proto)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		_, err := f.RoundTrip(request(t, "GET", "https://api.example/", ""), &call.Guard{Refuse: prefixes("8.0.0.0/8"), Rule: "r"}, proto)
		if e := Classify(err); e == nil || e.Status != 403 {
			t.Errorf("a guard that cannot be judged: %v", err)
		}
		if n := conns.Load(); n != 2 {
			t.Errorf("%d connections for two guards", n)
		}
		f.Flush()
		get(t, f, proto, request(t, "GET", "https://api.example/", ""))
		if n := conns.Load(); n != 3 {
			t.Errorf("%d connections after Flush", n)
		}
	}
}

func TestManyCallsAtOnceThroughAProxy(t *testing.T) {
	s, _ := counting(t, ok)
	x := newExit(t, "u:p", map[string]string{"api.example:443": s.Listener.Addr().String()}, nil)
	f := through(t, x.url("http"), func(o *Options) { o.Roots = []*x509.Certificate{s.root.cert} })
	var failed atomic.Int32
	done := make(chan struct{})
	for i := range 16 {
		go func() {
			defer func() { done <- struct{}{} }()
			for j := range 10 {
				resp, err := f.RoundTrip(request(t, "GET", "https://api.example/", ""), nil, Proto((i+j)%2))
				if err != nil {
					failed.Add(1)
					t.Error(err)
					continue
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		}()
	}
	for range 16 {
		<-done
	}
}
