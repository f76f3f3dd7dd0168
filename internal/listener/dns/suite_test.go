package dns_test

import (
	"sync/atomic"
	"testing"

	wire "github.com/miekg/dns"

	"outvet/internal/listener/listenertest"
)

// TestSuite makes the calls of the listener suite as queries that are passed on.
// That a client is gone shows nowhere: it has sent one packet.
func TestSuite(t *testing.T) {
	for _, network := range []string{"udp", "tcp"} {
		t.Run(network, func(t *testing.T) {
			listenertest.Run(t, listenertest.Options{Session: session1, NoBody: true, Unseen: true}, func(t *testing.T, c listenertest.Case) (res listenertest.Result) {
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
