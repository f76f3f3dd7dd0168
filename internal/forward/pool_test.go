package forward

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"outvet/call"
)

// counting returns a site and the number of connections it has accepted.
func counting(t testing.TB, h http.Handler) (*site, *atomic.Int32) {
	n := new(atomic.Int32)
	return newSite(t, h, func(s *httptest.Server) {
		s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				n.Add(1)
			}
		}
	}), n
}

var ok = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") })

func TestConnectionsAreReused(t *testing.T) {
	s, conns := counting(t, ok)
	f := s.forwarder(t)
	for _, proto := range []Proto{H1, H2} {
		conns.Store(0)
		for i := range 10 {
			var tr Trace
			get(t, f, proto, request(t, "POST", "https://api.example/", "x").WithContext(WithTrace(t.Context(), &tr)))
			if tr.Reused() != (i > 0) {
				t.Errorf("request %d: reused %v", i, tr.Reused())
			}
		}
		if n := conns.Load(); n != 1 {
			t.Errorf("%d connections for 10 requests", n)
		}
	}
}

// At the default of two idle connections for each host, most of many
// concurrent requests would pay a handshake.
func TestConcurrentClientsPayNoNewHandshakes(t *testing.T) {
	const clients, rounds = 32, 20
	s, conns := counting(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(time.Millisecond) // so that all are under way at once
		io.WriteString(w, "ok")
	}))
	f := s.forwarder(t)
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for range rounds {
				resp, err := f.RoundTrip(request(t, "POST", "https://api.example/", "x"), nil, H1)
				if err != nil {
					t.Error(err)
					return
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	}
	wg.Wait()
	// A request may start a dial and then be served by a connection that fell
	// idle meanwhile: a few more than clients are right.
	if n := conns.Load(); n > 2*clients {
		t.Errorf("%d connections for %d clients", n, clients)
	}
}

func TestConnectionNeverServesAnotherGuard(t *testing.T) {
	s, conns := counting(t, ok)
	f := s.forwarder(t, func(o *Options) {
		o.ConnectTo = nil
		o.Resolver = table{"api.example": addrs("127.0.0.1")}
	})
	url := fmt.Sprintf("https://api.example:%d/", s.port)
	send := func(g *call.Guard, proto Proto) error {
		resp, err := f.RoundTrip(request(t, "GET", url, ""), g, proto)
		if err == nil {
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		return err
	}
	for _, proto := range []Proto{H1, H2} {
		if err := send(loopback, proto); err != nil {
			t.Fatal(err)
		}
		n := conns.Load()
		for _, g := range []*call.Guard{nil, {}, {Admit: prefixes("10.0.0.0/8")}, {Admit: prefixes("127.0.0.0/8"), Refuse: prefixes("127.0.0.1/32"), Rule: "r"}} {
			err := send(g, proto)
			if e := Classify(err); e == nil || e.Type != "destination_ip_prohibited" || e.Status != 403 {
				t.Errorf("guard %+v: %v", g, err)
			}
		}
		same := &call.Guard{Admit: append([]netip.Prefix(nil), loopback.Admit...)}
		if err := send(same, proto); err != nil || conns.Load() != n {
			t.Errorf("an equal guard: %v, %d new connections", err, conns.Load()-n)
		}
	}
}

func TestFlushedConnectionsServeNoFurtherCall(t *testing.T) {
	gate := make(chan struct{})
	s, conns := counting(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		if r.URL.Path == "/slow" {
			<-gate
		}
		io.WriteString(w, "ok")
	}))
	f := s.forwarder(t)
	for _, proto := range []Proto{H1, H2} {
		gate = make(chan struct{})
		conns.Store(0)
		get(t, f, proto, request(t, "GET", "https://api.example/", ""))
		slow, err := f.RoundTrip(request(t, "GET", "https://api.example/slow", ""), nil, proto)
		if err != nil {
			t.Fatal(err)
		}
		f.Flush()
		close(gate)
		if b, err := io.ReadAll(slow.Body); err != nil || string(b) != "ok" {
			t.Errorf("the call under way: %q, %v", b, err)
		}
		slow.Body.Close()
		get(t, f, proto, request(t, "GET", "https://api.example/", ""))
		if n := conns.Load(); n != 2 {
			t.Errorf("%d connections, want one before and one after", n)
		}
		f.Flush()
	}
}

func TestClosedForwarderSendsNothing(t *testing.T) {
	s, conns := counting(t, ok)
	f := s.forwarder(t)
	f.Close()
	_, err := f.RoundTrip(request(t, "GET", "https://api.example/", ""), nil, H1)
	if e := Classify(err); e == nil || e.Err != ErrClosed || conns.Load() != 0 {
		t.Errorf("%v, %d connections", err, conns.Load())
	}
}

func TestServerThatClosesIdleConnectionsCostsNothing(t *testing.T) {
	s, conns := counting(t, ok)
	f := s.forwarder(t)
	for range 5 {
		if _, got := get(t, f, H1, request(t, "GET", "https://api.example/", "")); got != "ok" {
			t.Errorf("got %q", got)
		}
		s.Server.CloseClientConnections() // whether we noticed or not
	}
	if n := conns.Load(); n != 5 {
		t.Errorf("%d connections", n)
	}
}

// A server that takes a POST and hangs up may have acted on it.
func TestPostIsSentOnce(t *testing.T) {
	var posts atomic.Int32
	s, _ := counting(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			posts.Add(1)
			io.Copy(io.Discard, r.Body)
			c, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				c.Close()
			}
		}
	}))
	f := s.forwarder(t)
	get(t, f, H1, request(t, "GET", "https://api.example/", "")) // leaves a connection to reuse
	_, err := f.RoundTrip(request(t, "POST", "https://api.example/", "pay"), nil, H1)
	if e := Classify(err); e == nil || e.Type != "connection_terminated" || e.Status != 502 || posts.Load() != 1 {
		t.Errorf("%v, sent %d times", err, posts.Load())
	}
}

func TestPoolsAreBounded(t *testing.T) {
	f := New(Options{})
	defer f.Close()
	guard := func(i int) *call.Guard {
		return &call.Guard{Admit: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 32)}}
	}
	first := guard(0)
	for i := range 4 * maxKnown {
		f.pool(guard(i))
		f.pool(first) // in use all the time
	}
	if len(f.pools) != maxPools || len(f.byGuard) > maxKnown {
		t.Errorf("%d pools, %d guards", len(f.pools), len(f.byGuard))
	}
	if f.pools[string(guardKey(nil, first))] != f.pool(first) {
		t.Error("a pool in use was closed")
	}
}

func TestPoolOfAKnownGuardDoesNotAllocate(t *testing.T) {
	f := New(Options{})
	defer f.Close()
	for _, g := range []*call.Guard{nil, loopback} {
		if n := testing.AllocsPerRun(100, func() { f.pool(g) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
	}
}

func TestCallWithoutAProxyCostsNoAllocationForOne(t *testing.T) {
	var tr Trace
	f := New(Options{})
	defer f.Close()
	if n := testing.AllocsPerRun(100, func() {
		tr.through("")
		f.opt.Proxies.For("https", "api.example", 443)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	p, err := NewProxies("http://proxy.example", environment("NO_PROXY=a.example,10.0.0.0/8,b.example:443"))
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { p.For("https", "api.example", 443) }); n != 0 {
		t.Errorf("%v allocations to choose a proxy", n)
	}
}

func TestMakingARequestReadyDoesNotAllocate(t *testing.T) {
	f := New(Options{})
	defer f.Close()
	req := request(t, "GET", "https://api.example:8443/v1", "")
	if n := testing.AllocsPerRun(100, func() { f.prepare(req) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestManyCallsAtOnceOverManyGuards(t *testing.T) {
	s, _ := counting(t, ok)
	f := s.forwarder(t)
	guards := []*call.Guard{nil, loopback, {Refuse: prefixes("8.8.8.8/32")}, {Rule: "r"}}
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for j := range 20 {
				if i == 0 && j%5 == 0 {
					f.Flush()
				}
				resp, err := f.RoundTrip(request(t, "GET", "https://api.example/", ""), guards[(i+j)%len(guards)], Proto(j%2))
				if err != nil {
					t.Error(err)
					continue
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	}
	wg.Wait()
}

// Our half and the test server's of an idle connection, together.
func TestIdleConnectionIsSmall(t *testing.T) {
	if testing.Short() {
		t.Skip("opens many connections")
	}
	const n, budget = 64, 100 << 10 // bytes each: two TLS connections with their buffers and goroutines
	var all sync.WaitGroup
	all.Add(n)
	s, conns := counting(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		all.Done()
		all.Wait() // nobody is answered before all have connected
		io.WriteString(w, "ok")
	}))
	f := s.forwarder(t)
	before := inUse()
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			resp, err := f.RoundTrip(request(t, "GET", "https://api.example/", ""), nil, H1)
			if err != nil {
				t.Error(err)
				return
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		})
	}
	wg.Wait()
	if got := conns.Load(); got != n {
		t.Fatalf("%d connections", got)
	}
	each := (inUse() - before) / n
	t.Logf("%d KB each", each>>10)
	if each > budget {
		t.Errorf("%d bytes each, budget %d", each, budget)
	}
}

func inUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

func BenchmarkRoundTrip(b *testing.B) {
	s, _ := counting(b, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, "ok")
	}))
	f := s.forwarder(b)
	body := strings.Repeat("x", 4<<10)
	for proto, name := range map[Proto]string{H1: "h1", H2: "h2"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				req, _ := http.NewRequestWithContext(b.Context(), "POST", "https://api.example/", bytes.NewReader([]byte(body)))
				resp, err := f.RoundTrip(req, nil, proto)
				if err != nil {
					b.Fatal(err)
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	}
}
