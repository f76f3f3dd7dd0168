package forward

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"outvet/call"
)

// A nameserver is a DNS server on loopback, over UDP and TCP, whose owner is
// hostile.
type nameserver struct {
	t   testing.TB
	udp net.PacketConn
	tcp net.Listener

	mu    sync.Mutex                                         // all below
	asked []string                                           // over UDP, "A name.", in order
	zone  map[string]func(nth int) []dnsmessage.ResourceBody // by "A name."; nil for no such name
	late  time.Duration
	cut   bool // over UDP every answer is truncated
	turns map[string]int
}

func newNameserver(t testing.TB) *nameserver {
	t.Helper()
	var udp net.PacketConn
	var tcp net.Listener
	for range 20 { // a port that is free in both
		var err error
		if udp, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if tcp, err = net.Listen("tcp", udp.LocalAddr().String()); err == nil {
			break
		}
		udp.Close()
	}
	if tcp == nil {
		t.Fatal("no port is free for both UDP and TCP")
	}
	s := &nameserver{t: t, udp: udp, tcp: tcp, zone: map[string]func(int) []dnsmessage.ResourceBody{}, turns: map[string]int{}}
	var wg sync.WaitGroup
	wg.Go(func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := udp.ReadFrom(buf)
			if err != nil {
				return
			}
			if a := s.answer(buf[:n], true); a != nil {
				udp.WriteTo(a, from)
			}
		}
	})
	wg.Go(func() {
		for {
			c, err := tcp.Accept()
			if err != nil {
				return
			}
			var size [2]byte
			c.SetDeadline(time.Now().Add(5 * time.Second))
			if _, err := io.ReadFull(c, size[:]); err == nil {
				q := make([]byte, binary.BigEndian.Uint16(size[:]))
				if _, err := io.ReadFull(c, q); err == nil {
					if a := s.answer(q, false); a != nil {
						c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(a))), a...))
					}
				}
			}
			c.Close()
		}
	})
	t.Cleanup(func() { udp.Close(); tcp.Close(); wg.Wait() })
	return s
}

// resolver is the system's own way of asking, pointed at s. What it still asks
// at the end of the test fails.
func (s *nameserver) resolver() *net.Resolver {
	ctx, cancel := context.WithCancel(context.Background())
	s.t.Cleanup(cancel)
	return &net.Resolver{PreferGo: true, Dial: func(_ context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		c, err := d.DialContext(ctx, network, s.udp.LocalAddr().String())
		if err == nil {
			context.AfterFunc(ctx, func() { c.Close() })
		}
		return c, err
	}}
}

// change changes s while it serves.
func (s *nameserver) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *nameserver) answer(q []byte, udp bool) []byte {
	var p dnsmessage.Parser
	head, err := p.Start(q)
	if err != nil {
		return nil
	}
	question, err := p.Question()
	if err != nil {
		return nil
	}
	key := strings.TrimPrefix(question.Type.String(), "Type") + " " + question.Name.String()
	s.mu.Lock()
	if udp {
		s.asked = append(s.asked, key)
	}
	records, known := s.zone[key]
	_, other := s.zone[map[bool]string{true: "A", false: "AAAA"}[question.Type == dnsmessage.TypeAAAA]+" "+question.Name.String()]
	nth := s.turns[key]
	s.turns[key]++
	late, cut := s.late, s.cut
	s.mu.Unlock()
	if late > 0 {
		time.Sleep(late)
	}
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: head.ID, Response: true, RecursionAvailable: true, RecursionDesired: true}, Questions: []dnsmessage.Question{question}}
	switch {
	case udp && cut:
		m.Truncated = true
	case known:
		name := question.Name
		for _, body := range records(nth) {
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET, TTL: 0}, Body: body})
			if c, ok := body.(*dnsmessage.CNAMEResource); ok {
				name = c.CNAME
			}
		}
	case !other: // else the name is there, not this type
		m.RCode = dnsmessage.RCodeNameError
	}
	b, err := m.Pack()
	if err != nil {
		s.t.Error(err)
		return nil
	}
	if udp && len(b) > 1232 {
		m.Answers, m.Truncated = nil, true
		b, _ = m.Pack()
	}
	return b
}

// bodies returns the records of addresses, of the family of the first.
func bodies(list ...string) (out []dnsmessage.ResourceBody) {
	for _, s := range list {
		if a := netip.MustParseAddr(s); a.Is4() {
			out = append(out, &dnsmessage.AResource{A: a.As4()})
		} else {
			out = append(out, &dnsmessage.AAAAResource{AAAA: a.As16()})
		}
	}
	return out
}

// always gives the same answer, in turn the next one.
func always(list ...string) func(int) []dnsmessage.ResourceBody {
	return func(int) []dnsmessage.ResourceBody { return bodies(list...) }
}

func inTurn(answers ...[]string) func(int) []dnsmessage.ResourceBody {
	return func(n int) []dnsmessage.ResourceBody { return bodies(answers[n%len(answers)]...) }
}

func cname(to string, then ...string) func(int) []dnsmessage.ResourceBody {
	return func(int) []dnsmessage.ResourceBody {
		return append([]dnsmessage.ResourceBody{&dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName(to)}}, bodies(then...)...)
	}
}

// wire is what a test watches: 127.0.0.1 may be reached, 127.0.0.2 may not and
// has a trip wire, on one port.
func wire(t *testing.T) (port uint16, g *call.Guard, tripped func() int32) {
	t.Helper()
	for range 20 {
		port = free(t)
		in, err1 := net.Listen("tcp", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port).String())
		out, err2 := net.Listen("tcp", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), port).String())
		if err1 != nil || err2 != nil {
			for _, l := range []net.Listener{in, out} {
				if l != nil {
					l.Close()
				}
			}
			continue
		}
		in.Close()
		out.Close()
		_, _ = listen(t, in.Addr().String())
		_, n := listen(t, out.Addr().String())
		return port, &call.Guard{Admit: prefixes("127.0.0.1/32")}, n.Load
	}
	t.Skip("127.0.0.2 is no address here")
	return 0, nil, nil
}

// Whoever owns a name may answer anything, and something else the next time: a
// connection is made to an address that was judged, or not at all.
func TestRebindingServerReachesNothingThatWasNotJudged(t *testing.T) {
	port, g, tripped := wire(t)
	for _, tt := range []struct {
		name  string
		zone  map[string]func(int) []dnsmessage.ResourceBody
		first string // what the first call gets: the address, or "refused"
		next  string // what the second gets
	}{
		{"alternating, TTL 0", map[string]func(int) []dnsmessage.ResourceBody{"A x.example.": inTurn([]string{"127.0.0.1"}, []string{"127.0.0.2"})}, "127.0.0.1", "refused"},
		{"inside first", map[string]func(int) []dnsmessage.ResourceBody{"A x.example.": inTurn([]string{"127.0.0.2"}, []string{"127.0.0.1"})}, "refused", "127.0.0.1"},
		{"both at once", map[string]func(int) []dnsmessage.ResourceBody{"A x.example.": always("127.0.0.1", "127.0.0.2")}, "refused", "refused"},
		{"both, other order", map[string]func(int) []dnsmessage.ResourceBody{"A x.example.": always("127.0.0.2", "127.0.0.1")}, "refused", "refused"},
		{"inside by IPv6 only", map[string]func(int) []dnsmessage.ResourceBody{"A x.example.": always("127.0.0.1"), "AAAA x.example.": always("::1")}, "refused", "refused"},
		{"mapped", map[string]func(int) []dnsmessage.ResourceBody{"AAAA x.example.": always("::ffff:127.0.0.2")}, "refused", "refused"},
		{"mapped beside", map[string]func(int) []dnsmessage.ResourceBody{"A x.example.": always("127.0.0.1"), "AAAA x.example.": always("::ffff:127.0.0.2")}, "refused", "refused"},
		{"mapped and admitted", map[string]func(int) []dnsmessage.ResourceBody{"AAAA x.example.": always("::ffff:127.0.0.1")}, "127.0.0.1", "127.0.0.1"},
		{"NAT64", map[string]func(int) []dnsmessage.ResourceBody{"AAAA x.example.": always("64:ff9b::7f00:2")}, "refused", "refused"},
		{"6to4", map[string]func(int) []dnsmessage.ResourceBody{"AAAA x.example.": always("2002:7f00:2::")}, "refused", "refused"},
		{"compatible", map[string]func(int) []dnsmessage.ResourceBody{"AAAA x.example.": always("::127.0.0.2")}, "refused", "refused"},
		{"metadata", map[string]func(int) []dnsmessage.ResourceBody{"A x.example.": always("169.254.169.254")}, "refused", "refused"},
		{"unspecified", map[string]func(int) []dnsmessage.ResourceBody{"A x.example.": always("0.0.0.0")}, "refused", "refused"},
		{"CNAME to inside", map[string]func(int) []dnsmessage.ResourceBody{"A x.example.": cname("metadata.internal.", "127.0.0.2"), "AAAA x.example.": cname("metadata.internal.")}, "refused", "refused"},
		{"CNAME to localhost", map[string]func(int) []dnsmessage.ResourceBody{"A x.example.": cname("localhost.", "127.0.0.2")}, "refused", "refused"},
		{"CNAME, then admitted", map[string]func(int) []dnsmessage.ResourceBody{"A x.example.": cname("y.example.", "127.0.0.1"), "AAAA x.example.": cname("y.example.")}, "127.0.0.1", "127.0.0.1"},
		{"thousands, one of them inside", map[string]func(int) []dnsmessage.ResourceBody{"A x.example.": thousands("127.0.0.2")}, "refused", "refused"},
		{"thousands that are admitted", map[string]func(int) []dnsmessage.ResourceBody{"A x.example.": thousands("127.0.0.1")}, "127.0.0.1", "127.0.0.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newNameserver(t)
			s.change(func() { s.zone = tt.zone })
			f := New(Options{Resolver: s.resolver()})
			defer f.Close()
			for i, want := range []string{tt.first, tt.next} {
				c, a, err := f.Dial(t.Context(), "x.example", port, g)
				got := "refused"
				var r *Refused
				switch {
				case err == nil:
					got = a.String()
					if c.RemoteAddr().String() != netip.AddrPortFrom(a, port).String() {
						t.Errorf("said %v, went to %v", a, c.RemoteAddr())
					}
					c.Close()
				case !errors.As(err, &r):
					got = err.Error()
				}
				if got != want {
					t.Errorf("call %d: %s, want %s", i+1, got, want)
				}
			}
			// One look-up a call: one question for each family.
			s.change(func() {
				if n := len(s.asked); n != 4 {
					t.Errorf("%d questions for two calls: %q", n, s.asked)
				}
			})
			if n := tripped(); n > 0 {
				t.Fatalf("%d connections to an address that is refused", n)
			}
		})
	}
}

// thousands answers with many copies of 127.0.0.1 and last at the end.
func thousands(last string) func(int) []dnsmessage.ResourceBody {
	return func(int) []dnsmessage.ResourceBody {
		var list []string
		for range 3000 { // an answer has at most 64 KB
			list = append(list, "127.0.0.1")
		}
		return bodies(append(list, last)...)
	}
}

func TestSlowAndBrokenDNSEndsInAClearError(t *testing.T) {
	slow := newNameserver(t)
	slow.change(func() { slow.late = 300 * time.Millisecond })
	f := New(Options{Resolver: slow.resolver(), DialTimeout: 100 * time.Millisecond})
	defer f.Close()
	_, _, err := f.Dial(t.Context(), "x.example", 1, loopback)
	if e := Classify(err); e.Type != "dns_timeout" || e.Status != 504 {
		t.Errorf("slow: %+v", e)
	}
	s := newNameserver(t)
	s.change(func() { s.zone["A x.example."] = always("127.0.0.1") })
	long := New(Options{Resolver: s.resolver()})
	defer long.Close()
	_, _, err = long.Dial(t.Context(), "none.example", 1, loopback)
	if e := Classify(err); e.Type != "dns_error" || e.Detail != "there is no such name in the DNS" {
		t.Errorf("no such name: %+v", e)
	}
	port, g, tripped := wire(t)
	s.change(func() { s.cut = true }) // over UDP; the whole answer comes over TCP
	c, _, err := long.Dial(t.Context(), "x.example", port, g)
	if err != nil {
		t.Fatalf("truncated: %v", err)
	}
	c.Close()
	s.change(func() { s.zone["A x.example."] = always("127.0.0.2") })
	if _, _, err := long.Dial(t.Context(), "x.example", port, g); Classify(err).Status != 403 || tripped() > 0 {
		t.Errorf("truncated: %v", err)
	}
}

// A connection that is kept must not become the way to another address: the
// name has moved, and the pool serves only who was judged alike.
func TestKeptConnectionDoesNotOutliveTheGuard(t *testing.T) {
	var hits sync.Map
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits.Store(r.URL.Path, true)
	}))
	defer origin.Close()
	port := origin.Listener.Addr().(*net.TCPAddr).Port
	s := newNameserver(t)
	s.change(func() { s.zone["A x.example."] = always("127.0.0.1") })
	f := New(Options{Resolver: s.resolver()})
	defer f.Close()
	url := "http://x.example:" + strings.Split(origin.Listener.Addr().String(), ":")[1]
	send := func(path string, g *call.Guard) error {
		resp, err := f.RoundTrip(request(t, "GET", url+path, ""), g, H1)
		if err == nil {
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		return err
	}
	if err := send("/first", loopback); err != nil {
		t.Fatal(port, err)
	}
	// Another guard may not use what the first one opened.
	if err := send("/other", nil); Classify(err).Status != 403 {
		t.Error(err)
	}
	// A new policy flushes: the same words are judged anew, at the next address.
	f.Flush()
	s.change(func() { s.zone["A x.example."] = always("10.0.0.1") })
	if err := send("/moved", &call.Guard{Admit: loopback.Admit}); Classify(err).Status != 403 {
		t.Error(err)
	}
	for _, path := range []string{"/other", "/moved"} {
		if _, ok := hits.Load(path); ok {
			t.Errorf("%s arrived", path)
		}
	}
}
