package forward

import (
	"context"
	"net/netip"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"outvet/call"
)

func TestSilentDNSDelaysACallThroughAProxyLittle(t *testing.T) {
	s, _ := counting(t, ok)
	x := newExit(t, "", map[string]string{"api.example:443": s.Listener.Addr().String()}, nil)
	var asked atomic.Int32
	f := through(t, x.url("http"), func(o *Options) { o.Resolver, o.DialTimeout = counted{silent{}, &asked}, time.Hour })
	for range 3 {
		c, _, err := f.Dial(t.Context(), "api.example", 443, nil) // would last for an hour
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("%d look-ups", n)
	}
	// Where the policy asks about addresses, so do we, each time.
	f.opt.DialTimeout = 10 * time.Millisecond
	for range 2 {
		if _, _, err := f.Dial(t.Context(), "api.example", 443, &call.Guard{Refuse: prefixes("8.0.0.0/8")}); Classify(err).Status != 403 {
			t.Error(err)
		}
	}
	if n := asked.Load(); n != 3 {
		t.Errorf("%d look-ups", n)
	}
	// A name that is unknown at once is asked about again: it may be made.
	asked.Store(0)
	f = through(t, x.url("http"), func(o *Options) { o.Resolver = counted{unknown{}, &asked} })
	for range 3 {
		c, _, err := f.Dial(t.Context(), "api.example", 443, nil)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	if n := asked.Load(); n != 3 {
		t.Errorf("%d look-ups", n)
	}
}

// counted counts look-ups.
type counted struct {
	Resolver
	n *atomic.Int32
}

func (c counted) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	c.n.Add(1)
	return c.Resolver.LookupNetIP(ctx, network, host)
}

func TestSilenceIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s silence
		s.heard("a")
		if !s.about("a") || s.about("b") {
			t.Error("not remembered")
		}
		time.Sleep(silenceFor + time.Second)
		if s.about("a") {
			t.Error("remembered for too long")
		}
		for i := range 3 * silenceMax {
			s.heard(strconv.Itoa(i))
		}
		if len(s.names) > silenceMax {
			t.Errorf("%d names", len(s.names))
		}
	})
}
