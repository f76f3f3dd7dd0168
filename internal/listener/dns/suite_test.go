package dns_test

import (
	"context"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"

	wire "github.com/miekg/dns"

	"outvet/internal/forward"
	"outvet/internal/listener/dns"
	"outvet/internal/listener/listenertest"
)

// TestSuite makes the calls of the listener suite as queries that are passed on.
// That a client is gone shows nowhere: it has sent one packet.
func TestSuite(t *testing.T) {
	for _, network := range []string{"udp", "tcp"} {
		t.Run(network, func(t *testing.T) {
			listenertest.Run(t, listenertest.Options{Session: session1, NoBody: true, Without: []string{"client gone"}}, func(t *testing.T, c listenertest.Case) (res listenertest.Result) {
				r := rigOf(t, c.Gate, &log{})
				var arrived atomic.Bool
				r.up.reply(func(q *wire.Msg) *wire.Msg {
					arrived.Store(true)
					if c.Arrived != nil {
						c.Arrived()
					}
					return new(wire.Msg).SetReply(q)
				})
				if c.Down {
					r.up.down(t)
				}
				addr := r.addr
				if network == "tcp" {
					addr = r.tcp.Addr().String()
				}
				m := exchange(t, network, addr, listenertest.Host, wire.TypeTXT)
				_, text := told(m)
				res.Told = wire.RcodeToString[m.Rcode] + " " + text
				r.end(t)
				res.Arrived = arrived.Load()
				return res
			})
		})
	}
}

// TestSuiteOfAddresses makes them as look-ups of a client without a sandbox: what
// arrives, arrives at the resolver of this machine. Where a connection would be
// held, its look-up is not.
func TestSuiteOfAddresses(t *testing.T) {
	listenertest.Run(t, listenertest.Options{Session: session1, NoBody: true, Without: []string{"client gone", "held"}}, func(t *testing.T, c listenertest.Case) (res listenertest.Result) {
		var arrived atomic.Bool
		f := forward.New(forward.Options{Resolver: asking(func(string) ([]netip.Addr, error) {
			if c.Down {
				return nil, &net.DNSError{Err: "nobody there", IsTimeout: true}
			}
			arrived.Store(true)
			if c.Arrived != nil {
				c.Arrived()
			}
			return []netip.Addr{netip.MustParseAddr("93.184.216.34")}, nil
		})})
		defer f.Close()
		r := rigOf(t, c.Gate, &log{}, func(s *dns.Server) { s.Names, s.Upstream = nil, f })
		m := r.ask(t, listenertest.Host, wire.TypeA)
		_, text := told(m)
		res.Told = wire.RcodeToString[m.Rcode] + " " + text
		r.end(t)
		res.Arrived = arrived.Load()
		if got := len(m.Answer) > 0; got && !res.Arrived {
			t.Error("an address is told that nobody gave")
		}
		return res
	})
}

// asking is a resolver that asks f.
type asking func(host string) ([]netip.Addr, error)

func (f asking) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) { return f(host) }
