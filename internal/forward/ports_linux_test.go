package forward

import (
	"net"
	"net/netip"
	"os"
	"testing"

	"outvet/call"
	"outvet/internal/sandbox/loopback/loopbacktest"
)

// TestALocalPortServesManyDestinations leaves the kernel two local ports and makes
// two connections to each of two servers: ports are only used up towards one.
func TestALocalPortServesManyDestinations(t *testing.T) {
	r := loopbacktest.New(t)
	if out, err := r.Run("ip", "link", "set", "lo", "up"); err != nil {
		t.Fatal(out, err)
	}
	f := New(Options{})
	defer f.Close()
	here := &call.Guard{Admit: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	r.Do(func() {
		if err := os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte("40000 40001"), 0); err != nil {
			t.Error(err)
			return
		}
		for _, at := range []string{"127.0.0.1:7001", "127.0.0.1:7002"} {
			l, err := net.Listen("tcp", at)
			if err != nil {
				t.Error(err)
				return
			}
			defer l.Close()
			for range 2 {
				c, _, err := f.Dial(t.Context(), "127.0.0.1", netip.MustParseAddrPort(at).Port(), here)
				if err != nil {
					t.Errorf("%s: %v", at, err)
					return
				}
				defer c.Close()
			}
		}
	})
}
