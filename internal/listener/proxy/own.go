package proxy

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"outvet/call"
)

// Avoid says that the program itself listens at a: no call leads there, however
// the address is spelt. Serve does the same for its own listener.
func (s *Server) Avoid(a net.Addr) {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return
	}
	at := t.AddrPort()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.own = append(s.own, at)
}

// loopError is why a call that leads back to us is refused.
const loopError = "the connection leads back to the proxy itself"

// loops reports whether d is where this program itself listens, as far as its
// host tells. Names that only the DNS knows are told by where they lead: the
// guard refuses this machine's own addresses, and homeward is asked of what
// was dialled.
func (s *Server) loops(d *call.Dest) bool {
	for _, own := range s.owned() {
		if own.Port() != d.Port {
			continue
		}
		ip, err := netip.ParseAddr(d.Host)
		if err != nil && thisMachine(d.Host) || err == nil && leads(ip, own.Addr()) {
			return true
		}
	}
	return false
}

// homeward reports whether c, a connection that was dialled, ends at this
// program. Both of its ends are looked at: who dials 0.0.0.0 gets there.
func (s *Server) homeward(c net.Conn) bool {
	to, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return false
	}
	at := to.AddrPort()
	for _, own := range s.owned() {
		if own.Port() == at.Port() && leads(at.Addr(), own.Addr()) {
			return true
		}
	}
	return false
}

// reached returns where c leads, for the record: its other end, unless that only
// leads on to addr.
func reached(c net.Conn, addr netip.Addr, port uint16) string {
	if to, ok := c.RemoteAddr().(*net.TCPAddr); ok && to.AddrPort().Addr().Unmap() == addr {
		port = uint16(to.Port)
	}
	return netip.AddrPortFrom(addr, port).String()
}

func (s *Server) owned() []netip.AddrPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.own
}

// leads reports whether ip reaches a socket that listens at own.
func leads(ip, own netip.Addr) bool {
	ip, own = embedded(ip.Unmap().WithZone("")), own.Unmap().WithZone("")
	if ip.IsLoopback() || ip.IsUnspecified() || ip == own {
		return true // all of 127.0.0.0/8: a listener at one of them is asked at another by mistake or on purpose
	}
	if !own.IsUnspecified() {
		return false
	}
	list, err := net.InterfaceAddrs()
	if err != nil {
		return true // nobody knows
	}
	return slices.ContainsFunc(list, func(a net.Addr) bool {
		p, err := netip.ParsePrefix(a.String())
		return err == nil && p.Addr().Unmap().WithZone("") == ip
	})
}

// nat64 holds IPv4 addresses in its last bytes (RFC 6052), as addresses
// compatible with IPv4 (RFC 4291 §2.5.5.1) do.
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

func embedded(ip netip.Addr) netip.Addr {
	b := ip.As16()
	if !ip.Is6() || !nat64.Contains(ip) && slices.ContainsFunc(b[:12], func(c byte) bool { return c != 0 }) || ip.IsLoopback() || ip.IsUnspecified() {
		return ip
	}
	return netip.AddrFrom4([4]byte(b[12:]))
}

// thisMachine reports whether every resolver takes a name for this machine, or
// may: the names of RFC 6761 §6.3, those of common hosts files, and its own.
func thisMachine(name string) bool {
	switch name {
	case "localhost", "localhost.localdomain", "localhost4", "localhost6", "ip6-localhost", "ip6-loopback":
		return true
	}
	if strings.HasSuffix(name, ".localhost") {
		return true
	}
	own, err := os.Hostname()
	own = strings.ToLower(own)
	short, _, _ := strings.Cut(own, ".")
	return err == nil && own != "" && (name == own || name == short)
}
