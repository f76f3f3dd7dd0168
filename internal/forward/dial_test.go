package forward

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"outvet/call"
)

// listen accepts on addr and counts.
func listen(t testing.TB, addr string) (port uint16, accepted *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Skipf("cannot listen on %s: %v", addr, err)
	}
	t.Cleanup(func() { l.Close() })
	accepted = new(atomic.Int32)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted.Add(1)
			c.Close()
		}
	}()
	return netip.MustParseAddrPort(l.Addr().String()).Port(), accepted
}

// A script of answers stands in for a DNS server that changes its mind.
type script struct {
	mu      sync.Mutex // answers are used up in order
	answers [][]netip.Addr
	asked   []string
}

func (s *script) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, host)
	a := s.answers[0]
	if len(s.answers) > 1 {
		s.answers = s.answers[1:]
	}
	return slices.Clone(a), nil
}

// dialled returns a dialer that notes where it connects to, and refuses.
func dialled(to *[]string) net.Dialer {
	var mu sync.Mutex
	return net.Dialer{ControlContext: func(_ context.Context, _, addr string, _ syscall.RawConn) error {
		mu.Lock()
		defer mu.Unlock()
		*to = append(*to, addr)
		return errors.New("not in a test")
	}}
}

func TestRebindingNameReachesOnlyTheCheckedAddress(t *testing.T) {
	port, accepted := listen(t, "127.0.0.1:0")
	r := &script{answers: [][]netip.Addr{addrs("93.184.216.34"), addrs("127.0.0.1")}}
	f := New(Options{Resolver: r})
	defer f.Close()
	var to []string
	f.dialer = dialled(&to)
	if _, _, err := f.Dial(t.Context(), "rebind.example", port, nil); err == nil {
		t.Fatal("connected")
	}
	if want := []string{netip.AddrPortFrom(netip.MustParseAddr("93.184.216.34"), port).String()}; !slices.Equal(to, want) || len(r.asked) != 1 {
		t.Errorf("dialled %v after %d look-ups", to, len(r.asked))
	}
	// The second answer is judged anew.
	_, _, err := f.Dial(t.Context(), "rebind.example", port, nil)
	var refused *Refused
	if !errors.As(err, &refused) || refused.Addr != netip.MustParseAddr("127.0.0.1") || len(to) != 1 || accepted.Load() != 0 {
		t.Errorf("%v; dialled %v", err, to)
	}
}

func TestNameWithOneRefusedAddressIsRefused(t *testing.T) {
	for _, answer := range [][]netip.Addr{
		addrs("93.184.216.34", "127.0.0.1"), addrs("127.0.0.1", "93.184.216.34"), addrs("2606:4700::1", "::ffff:10.0.0.1"),
	} {
		f := New(Options{Resolver: &script{answers: [][]netip.Addr{answer}}})
		var to []string
		f.dialer = dialled(&to)
		_, _, err := f.Dial(t.Context(), "both.example", 443, nil)
		var e *Error
		if !errors.As(err, &e) || e.Type != "destination_ip_prohibited" || e.Status != 403 || len(to) > 0 {
			t.Errorf("%v: %v; dialled %v", answer, err, to)
		}
		f.Close()
	}
}

func TestMalformedHostIsNotLookedUp(t *testing.T) {
	r := &script{answers: [][]netip.Addr{addrs("93.184.216.34")}}
	f := New(Options{Resolver: r})
	defer f.Close()
	for _, h := range []string{"", "a b", "1.2.3.4.5", "user@host", "%31", "fe80::1%lo", "a:80"} {
		_, _, err := f.Dial(t.Context(), h, 80, nil)
		var e *Error
		if !errors.As(err, &e) || e.Status != 400 {
			t.Errorf("%q: %v", h, err)
		}
	}
	if len(r.asked) > 0 {
		t.Errorf("asked for %q", r.asked)
	}
}

func TestAddressIsDialledInAnySpelling(t *testing.T) {
	port, accepted := listen(t, "127.0.0.1:0")
	f := New(Options{Resolver: &script{}})
	defer f.Close()
	hosts := []string{"127.0.0.1", "0x7f.1", "2130706433", "[::ffff:127.0.0.1]", "127.1.", "１２７.0.0.1"}
	for _, h := range hosts {
		c, a, err := f.Dial(t.Context(), h, port, loopback)
		if err != nil || a != netip.MustParseAddr("127.0.0.1") {
			t.Fatalf("%s: %v, %v", h, a, err)
		}
		if got := c.RemoteAddr().String(); got != netip.AddrPortFrom(a, port).String() {
			t.Errorf("%s: connected to %v", h, got)
		}
		c.Close()
		if _, _, err := f.Dial(t.Context(), h, port, nil); err == nil {
			t.Errorf("%s: reached without a guard that admits", h)
		}
	}
	waitFor(t, func() bool { return int(accepted.Load()) == len(hosts) })
}

// waitFor waits until ok, at most a few seconds.
func waitFor(t testing.TB, ok func() bool) {
	t.Helper()
	for range 500 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("waited in vain")
}

func TestThisMachineIsRefused(t *testing.T) {
	f := New(Options{})
	defer f.Close()
	// As if an interface had a public address.
	f.own.addrs, f.own.read = addrs("93.184.216.34"), time.Now()
	var to []string
	f.dialer = dialled(&to)
	_, _, err := f.Dial(t.Context(), "93.184.216.34", 80, nil)
	var r *Refused
	if !errors.As(err, &r) || !strings.Contains(r.Why, "this machine") || len(to) > 0 {
		t.Errorf("%v; dialled %v", err, to)
	}
	f.Dial(t.Context(), "93.184.216.34", 80, &call.Guard{Admit: prefixes("93.184.216.34/32")})
	if len(to) != 1 {
		t.Errorf("admitted, yet dialled %v", to)
	}
	// The list is really read.
	f.own.read = time.Time{}
	if !f.own.has(netip.MustParseAddr("127.0.0.1")) || f.own.has(netip.MustParseAddr("93.184.216.34")) {
		t.Errorf("own addresses %v", f.own.addrs)
	}
}

func TestConnectToAdmitsWhatItNamesUnlessThePolicyRefuses(t *testing.T) {
	port, accepted := listen(t, "127.0.0.1:0")
	to, err := ParseConnectTo("api.example:443:127.0.0.1:" + strconv.Itoa(int(port)))
	if err != nil {
		t.Fatal(err)
	}
	r := &script{answers: [][]netip.Addr{addrs("127.0.0.1")}}
	f := New(Options{Resolver: r, ConnectTo: []ConnectTo{to, {Host: "port.example", To: port}}})
	defer f.Close()
	c, _, err := f.Dial(t.Context(), "API.example.", 443, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	waitFor(t, func() bool { return accepted.Load() == 1 })
	if len(r.asked) > 0 {
		t.Errorf("asked for %v", r.asked)
	}
	for _, tt := range []struct {
		host string
		port uint16
		g    *call.Guard
	}{
		{"api.example", 443, &call.Guard{Refuse: prefixes("127.0.0.0/8"), Rule: "no"}}, // refusing wins
		{"api.example", 80, nil},   // another port
		{"www.example", 443, nil},  // another host
		{"port.example", 443, nil}, // only the port was named, not the address
	} {
		var refused *Refused
		if _, _, err := f.Dial(t.Context(), tt.host, tt.port, tt.g); !errors.As(err, &refused) {
			t.Errorf("%s:%d: %v", tt.host, tt.port, err)
		}
	}
}

func TestFamiliesAlternate(t *testing.T) {
	for _, tt := range []struct{ in, want []netip.Addr }{
		{addrs("::1", "::2", "::3", "1.1.1.1", "1.1.1.2"), addrs("::1", "1.1.1.1", "::2", "1.1.1.2", "::3")},
		{addrs("1.1.1.1", "::1", "1.1.1.1"), addrs("1.1.1.1", "::1")},
		{addrs("1.1.1.1"), addrs("1.1.1.1")},
	} {
		if got := alternate(tt.in); !slices.Equal(got, tt.want) {
			t.Errorf("%v: %v", tt.in, got)
		}
	}
	var many []netip.Addr
	for i := range 100 {
		many = append(many, netip.AddrFrom4([4]byte{1, 1, 1, byte(i)}))
	}
	if n := len(alternate(many)); n != maxAddrs {
		t.Errorf("%d addresses are tried", n)
	}
}

func TestDeadAddressDoesNotStopTheOthers(t *testing.T) {
	port, _ := listen(t, "127.0.0.1:0")
	f := New(Options{Resolver: &script{answers: [][]netip.Addr{addrs("127.0.0.2", "::1", "127.0.0.3", "127.0.0.1")}}})
	defer f.Close()
	c, a, err := f.Dial(t.Context(), "many.example", port, loopback)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if a != netip.MustParseAddr("127.0.0.1") || !strings.HasPrefix(c.RemoteAddr().String(), "127.0.0.1:") {
		t.Errorf("went to %v", a)
	}
}

func TestSilentAddressIsOvertaken(t *testing.T) {
	port, _ := listen(t, "127.0.0.1:0")
	f := New(Options{Resolver: &script{answers: [][]netip.Addr{addrs("127.0.0.2", "127.0.0.1")}}})
	defer f.Close()
	f.dialer.ControlContext = func(ctx context.Context, _, addr string, _ syscall.RawConn) error {
		if strings.HasPrefix(addr, "127.0.0.2:") {
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}
	c, a, err := f.Dial(t.Context(), "slow.example", port, loopback)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if a != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("went to %v", a)
	}
}

func TestDialGivesUp(t *testing.T) {
	silent := func(ctx context.Context, _, _ string, _ syscall.RawConn) error { <-ctx.Done(); return ctx.Err() }
	for _, answer := range [][]netip.Addr{addrs("127.0.0.1"), addrs("127.0.0.1", "127.0.0.2")} {
		f := New(Options{Resolver: &script{answers: [][]netip.Addr{answer}}, DialTimeout: 50 * time.Millisecond})
		f.dialer.ControlContext = silent
		_, _, err := f.Dial(t.Context(), "silent.example", 443, loopback)
		if e := Classify(err); e.Type != "connection_timeout" || e.Status != 504 {
			t.Errorf("%+v: %v", e, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, _, err = f.Dial(ctx, "silent.example", 443, loopback)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		f.Close()
		if _, _, err = f.Dial(t.Context(), "silent.example", 443, loopback); !errors.Is(err, ErrClosed) {
			t.Errorf("closed: %v", err)
		}
	}
}
