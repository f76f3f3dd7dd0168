package dns_test

import (
	"net"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"outvet/internal/listener/dns"
)

func TestRepliesComeFromTheAddressThatWasAsked(t *testing.T) {
	for listen, ask := range map[string][]string{"0.0.0.0:0": {"127.0.0.1", "127.0.0.2", "127.9.8.7"}, ":0": {"127.9.8.7"}, "[::]:0": {"::1"}, "127.0.0.3:0": {"127.0.0.3"}} {
		pc, l, err := dns.Listen(listen)
		if err != nil {
			t.Logf("%s: %v", listen, err) // a machine without IPv6
			continue
		}
		r := newRig(t, "version: 1\ndefault: allow\n")
		go r.Serve(pc)
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go r.ServeConn(c)
			}
		}()
		t.Cleanup(func() { l.Close() })
		_, port, _ := net.SplitHostPort(l.Addr().String())
		for _, ip := range ask {
			addr := net.JoinHostPort(ip, port)
			if ip == "::1" {
				if c, err := net.DialTimeout("tcp", addr, time.Second); err != nil {
					continue
				} else {
					c.Close()
				}
			}
			for _, network := range []string{"udp", "tcp"} { // the client's socket is connected: it takes replies of addr alone
				if m := exchange(t, network, addr, "www.example.com", wire.TypeA); len(m.Answer) != 1 {
					t.Errorf("%s %s: %v", network, addr, m)
				}
			}
		}
	}
	if _, _, err := dns.Listen("192.0.2.1:53"); err == nil {
		t.Error("it listens at an address that is not of this machine")
	}
}
