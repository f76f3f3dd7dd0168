package dns

import (
	"fmt"
	"net"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// Listen opens UDP and TCP at addr, on one port: port 0 picks one that is free in
// both. Replies over UDP come from the address that was asked, also where addr
// is of all interfaces. 0.0.0.0 is all of IPv4 and :: all of IPv6; no host is
// 0.0.0.0.
func Listen(addr string) (net.PacketConn, net.Listener, error) {
	const tries = 20
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, nil, fmt.Errorf("dns: %q is no HOST:PORT: %w", addr, err)
	}
	family := "4" // one, since a socket of both replies to IPv4 from any address
	if ip := net.ParseIP(host); ip != nil && ip.To4() == nil {
		family = "6"
	}
	for i := range tries {
		l, err := net.Listen("tcp"+family, addr)
		if err != nil {
			return nil, nil, fmt.Errorf("dns: %w", err)
		}
		pc, err := net.ListenPacket("udp"+family, l.Addr().String())
		if err == nil {
			if pc, err = replying(pc.(*net.UDPConn)); err == nil {
				return pc, l, nil
			}
		}
		l.Close()
		if port != "0" || i == tries-1 {
			return nil, nil, fmt.Errorf("dns: %w", err)
		}
	}
	return nil, nil, nil // not reached
}

// A socket is of all addresses of one family or both.
type socket struct {
	*net.UDPConn
	v4 *ipv4.PacketConn
	v6 *ipv6.PacketConn
}

// A peer is who asked, and under which address of ours.
type peer struct {
	*net.UDPAddr
	asked net.IP
}

// replying returns a connection that replies from the address that was asked.
func replying(c *net.UDPConn) (net.PacketConn, error) {
	local := c.LocalAddr().(*net.UDPAddr)
	if !local.IP.IsUnspecified() {
		return c, nil
	}
	s := &socket{UDPConn: c}
	if local.IP.To4() != nil {
		s.v4 = ipv4.NewPacketConn(c)
		return s, s.v4.SetControlMessage(ipv4.FlagDst, true)
	}
	s.v6 = ipv6.NewPacketConn(c)
	return s, s.v6.SetControlMessage(ipv6.FlagDst, true)
}

// ReadFrom implements net.PacketConn.
func (s *socket) ReadFrom(b []byte) (n int, from net.Addr, err error) {
	var asked net.IP
	if s.v4 != nil {
		var cm *ipv4.ControlMessage
		if n, cm, from, err = s.v4.ReadFrom(b); cm != nil {
			asked = cm.Dst
		}
	} else {
		var cm *ipv6.ControlMessage
		if n, cm, from, err = s.v6.ReadFrom(b); cm != nil {
			asked = cm.Dst
		}
	}
	if u, ok := from.(*net.UDPAddr); ok {
		from = peer{u, asked}
	}
	return n, from, err
}

// WriteTo implements net.PacketConn.
func (s *socket) WriteTo(b []byte, to net.Addr) (int, error) {
	p, ok := to.(peer)
	if !ok {
		return s.UDPConn.WriteTo(b, to)
	}
	if s.v4 != nil {
		return s.v4.WriteTo(b, &ipv4.ControlMessage{Src: p.asked}, p.UDPAddr)
	}
	return s.v6.WriteTo(b, &ipv6.ControlMessage{Src: p.asked}, p.UDPAddr)
}
