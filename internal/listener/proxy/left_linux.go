package proxy

import (
	"encoding/binary"
	"net"
	"net/netip"
	"syscall"
)

// Of sock_diag(7): the message that asks for one socket, and the answer.
const (
	netlinkDiag  = 4  // NETLINK_SOCK_DIAG
	diagByFamily = 20 // SOCK_DIAG_BY_FAMILY
	diagAsk      = 16 + 56
	diagAnswer   = 16 + 72
	diagInode    = 16 + 68 // in the answer
)

// orphaned reports whether the other end of c is a socket of this machine that no
// program holds any more: the client closed it, or ended. A socket whose sending
// alone was ended still has its holder. What cannot be asked is taken for held.
func orphaned(c *net.TCPConn) bool {
	here, ok := c.LocalAddr().(*net.TCPAddr)
	there, ok2 := c.RemoteAddr().(*net.TCPAddr)
	if !ok || !ok2 {
		return false
	}
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, netlinkDiag)
	if err != nil {
		return false
	}
	defer syscall.Close(fd)
	patience := syscall.NsecToTimeval(watchAfter.Nanoseconds()) // the kernel answers before Sendto returns
	if syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &patience) != nil ||
		syscall.Sendto(fd, diagRequest(there.AddrPort(), here.AddrPort()), 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}) != nil {
		return false
	}
	var b [1024]byte
	n, _, err := syscall.Recvfrom(fd, b[:], 0)
	if err != nil || n < diagAnswer || binary.NativeEndian.Uint16(b[4:]) != diagByFamily {
		return false // also: there is no such socket here
	}
	return binary.NativeEndian.Uint32(b[diagInode:]) == 0
}

// diagRequest asks for the socket that is bound to from and connected to to.
func diagRequest(from, to netip.AddrPort) []byte {
	b := make([]byte, diagAsk)
	binary.NativeEndian.PutUint32(b, diagAsk)
	binary.NativeEndian.PutUint16(b[4:], diagByFamily)
	binary.NativeEndian.PutUint16(b[6:], syscall.NLM_F_REQUEST)
	src, dst := from.Addr().Unmap(), to.Addr().Unmap()
	b[16] = syscall.AF_INET
	if src.Is6() {
		b[16] = syscall.AF_INET6
	}
	b[17] = syscall.IPPROTO_TCP
	binary.NativeEndian.PutUint32(b[20:], 1<<32-1) // in any state
	binary.BigEndian.PutUint16(b[24:], from.Port())
	binary.BigEndian.PutUint16(b[26:], to.Port())
	copy(b[28:44], src.AsSlice())
	copy(b[44:60], dst.AsSlice())
	for i := 64; i < diagAsk; i++ { // INET_DIAG_NOCOOKIE
		b[i] = 0xff
	}
	return b
}
