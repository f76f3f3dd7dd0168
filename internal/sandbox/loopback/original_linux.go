package loopback

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// soOriginalDst is the option by which a redirected connection tells where it was
// meant to go, SO_ORIGINAL_DST and IP6T_SO_ORIGINAL_DST.
const soOriginalDst = 80

// original asks the kernel where a redirected connection was meant to go. x/sys
// has no function for it; those for other options read as many bytes.
func original(c *net.TCPConn, local netip.AddrPort) (netip.AddrPort, error) {
	var a netip.AddrPort
	err := control(c, func(fd int) error {
		if local.Addr().Unmap().Is4() {
			m, err := unix.GetsockoptIPv6Mreq(fd, unix.SOL_IP, soOriginalDst)
			if err == nil { // a sockaddr_in: family, port, address
				b := m.Multiaddr
				a = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), binary.BigEndian.Uint16(b[2:]))
			}
			return err
		}
		m, err := unix.GetsockoptIPv6MTUInfo(fd, unix.SOL_IPV6, soOriginalDst)
		if err == nil { // a sockaddr_in6
			port := binary.NativeEndian.AppendUint16(nil, m.Addr.Port)
			a = netip.AddrPortFrom(netip.AddrFrom16(m.Addr.Addr).Unmap(), binary.BigEndian.Uint16(port))
		}
		return err
	})
	if err != nil {
		return a, fmt.Errorf("loopback: ask for the original destination: %w", err)
	}
	return a, nil
}

// controlMax is more than the control messages of a datagram take.
const controlMax = 128

// asked returns the address to which a datagram was sent, the zero one if oob does
// not tell.
func asked(oob []byte) netip.Addr {
	for len(oob) >= unix.CmsgLen(0) {
		h, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			break
		}
		switch {
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(data) >= 12:
			return netip.AddrFrom4([4]byte(data[8:12])) // after the index and the local address
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= 16:
			return netip.AddrFrom16([16]byte(data[:16]))
		}
		oob = rest
	}
	return netip.Addr{}
}

// answerFrom returns the control message for a datagram that is to come from a.
func answerFrom(a netip.Addr) []byte {
	switch {
	case a.Is4():
		return unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: a.As4()})
	case a.Is6():
		return unix.PktInfo6(&unix.Inet6Pktinfo{Addr: a.As16()})
	}
	return nil
}
