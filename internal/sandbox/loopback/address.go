package loopback

import "net/netip"

// Port is where captured connections are accepted.
const Port = 15001

// The addresses of a sealed namespace. Resolver is the one to name in resolv.conf:
// no interface has it, every address is answered.
var (
	Own4     = netip.MustParseAddr("198.19.255.254")
	Own6     = netip.MustParseAddr("fd6f:7574:7665::2")
	Resolver = netip.MustParseAddr("198.19.255.253")
)

// Own reports whether a is an address of the namespace itself. A connection to
// one that reached us was meant for our own listener, or for port 53.
func Own(a netip.Addr) bool {
	a = a.Unmap()
	return a == Own4 || a == Own6 || a.IsLoopback() || a.IsUnspecified()
}
