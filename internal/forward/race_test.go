package forward

import (
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"outvet/call"
)

// A road says what becomes of an attempt to connect to an address, "" for what
// the kernel says.
type road map[string]func(context.Context) error

// travel returns a forwarder that goes by r, and the attempts so far.
func (r road) travel(t *testing.T, answer []netip.Addr) (*Forwarder, func() []string) {
	f := New(Options{Resolver: &script{answers: [][]netip.Addr{answer}}})
	t.Cleanup(f.Close)
	var mu sync.Mutex
	var tried []string
	f.dialer.ControlContext = func(ctx context.Context, _, addr string, _ syscall.RawConn) error {
		a := netip.MustParseAddrPort(addr).Addr().String()
		mu.Lock()
		tried = append(tried, a)
		mu.Unlock()
		if way := r[a]; way != nil {
			return way(ctx)
		}
		return nil
	}
	return f, func() []string { mu.Lock(); defer mu.Unlock(); return append([]string(nil), tried...) }
}

func unreachable(context.Context) error { return syscall.ENETUNREACH }
func refusing(context.Context) error    { return syscall.ECONNREFUSED }
func hanging(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

var anywhere = &call.Guard{Admit: prefixes("0.0.0.0/0", "::/0")}

// A machine without IPv6 must not wait for it: what fails at once is followed at
// once, what is silent after 250 ms.
func TestWhatFailsAtOnceIsFollowedAtOnce(t *testing.T) {
	port, _ := listen(t, "127.0.0.1:0")
	answer := addrs("2001:db8::1", "127.0.0.1")
	took := map[string]time.Duration{}
	for name, way := range map[string]func(context.Context) error{"unreachable": unreachable, "refused": refusing, "silent": hanging} {
		for range 3 { // the machine may be busy
			f, tried := road{"2001:db8::1": way}.travel(t, answer)
			begin := time.Now()
			c, a, err := f.Dial(t.Context(), "x.example", port, anywhere)
			if err != nil || a.String() != "127.0.0.1" || len(tried()) != 2 {
				t.Fatalf("%s: %v, %v, tried %v", name, a, err, tried())
			}
			c.Close()
			if d := time.Since(begin); took[name] == 0 || d < took[name] {
				took[name] = d
			}
		}
	}
	if took["silent"] < stagger || took["unreachable"] > took["silent"] || took["refused"] > took["silent"] {
		t.Errorf("took %v", took)
	}
}

// Of several faults the one that says most is told.
func TestTellingFaultIsTold(t *testing.T) {
	for _, tt := range []struct {
		ways road
		typ  string
	}{
		{road{"2001:db8::1": unreachable, "127.0.0.9": refusing}, "connection_refused"},
		{road{"2001:db8::1": refusing, "127.0.0.9": unreachable}, "connection_refused"},
		{road{"2001:db8::1": unreachable, "127.0.0.9": unreachable}, "destination_ip_unroutable"},
		{road{"2001:db8::1": unreachable, "127.0.0.9": hanging}, "connection_timeout"},
	} {
		f, _ := tt.ways.travel(t, addrs("2001:db8::1", "127.0.0.9"))
		f.opt.DialTimeout = 500 * time.Millisecond
		_, _, err := f.Dial(t.Context(), "x.example", 1, anywhere)
		if e := Classify(err); e.Type != tt.typ {
			t.Errorf("%s, want %s: %v", e.Type, tt.typ, err)
		}
	}
}

func TestLoserOfARaceIsClosed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := netip.MustParseAddrPort(l.Addr().String()).Port()
	late, err := net.Listen("tcp", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), port).String())
	if err != nil {
		t.Skip(err)
	}
	defer late.Close()
	won := make(chan struct{})
	f, _ := road{"127.0.0.2": func(context.Context) error { <-won; return nil }}.travel(t, addrs("127.0.0.2", "127.0.0.1"))
	var closed atomic.Bool
	go func() {
		c, err := late.Accept()
		if err == nil {
			io.Copy(io.Discard, c)
			c.Close()
		}
		closed.Store(true)
	}()
	c, a, err := f.Dial(t.Context(), "x.example", port, anywhere)
	if err != nil || a.String() != "127.0.0.1" {
		t.Fatal(a, err)
	}
	defer c.Close()
	close(won)
	time.AfterFunc(100*time.Millisecond, func() { late.Close() }) // if the attempt was given up before it connected
	waitFor(t, closed.Load)
}

func TestNameOfThousandsIsTriedABoundedNumberOfTimes(t *testing.T) {
	var many []netip.Addr
	ways := road{}
	for i := range 5000 {
		a := netip.AddrFrom4([4]byte{93, 184, byte(i >> 8), byte(i)})
		many, ways[a.String()] = append(many, a), refusing
	}
	f, tried := ways.travel(t, many)
	_, _, err := f.Dial(t.Context(), "x.example", 443, nil)
	if e := Classify(err); e.Type != "connection_refused" || len(tried()) != maxAddrs {
		t.Errorf("%d attempts, %v", len(tried()), err)
	}
	many[4999] = netip.MustParseAddr("10.0.0.1") // beyond those that are tried
	f, tried = ways.travel(t, many)
	_, _, err = f.Dial(t.Context(), "x.example", 443, nil)
	if e := Classify(err); e.Status != 403 || len(tried()) > 0 {
		t.Errorf("%d attempts, %v", len(tried()), err)
	}
}

func TestCallThatIsGivenUpTriesNoFurther(t *testing.T) {
	f, tried := road{"127.0.0.2": hanging, "127.0.0.3": hanging, "127.0.0.4": hanging}.travel(t, addrs("127.0.0.2", "127.0.0.3", "127.0.0.4"))
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(30*time.Millisecond, cancel)
	_, _, err := f.Dial(ctx, "x.example", 443, anywhere)
	if e := Classify(err); !strings.Contains(e.Detail, "given up") {
		t.Errorf("%+v", e)
	}
	n := len(tried())
	time.Sleep(2 * stagger)
	if len(tried()) != n {
		t.Errorf("%d attempts after the end", len(tried())-n)
	}
}
