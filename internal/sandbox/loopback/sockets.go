package loopback

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// Sockets are those of one sealed namespace. Those of a family that the kernel
// does not have are nil.
type Sockets struct {
	TCP4, TCP6 *net.TCPListener
	DNS4, DNS6 *Queries

	diag       *diag // nil where the kernel cannot be asked
	redirected bool  // instead of tproxy
}

// An end is a socket that can be closed, named and sent on.
type end interface {
	Close() error
	SyscallConn() (syscall.RawConn, error)
}

// ends returns the sockets that there are, those of IPv4 first.
func (s *Sockets) ends() []end {
	var all []end
	for _, l := range []*net.TCPListener{s.TCP4, s.TCP6} {
		if l != nil {
			all = append(all, l)
		}
	}
	for _, q := range []*Queries{s.DNS4, s.DNS6} {
		if q != nil {
			all = append(all, q.conn)
		}
	}
	if s.diag != nil {
		all = append(all, s.diag.f)
	}
	return all
}

// Listeners returns the listeners for TCP that there are.
func (s *Sockets) Listeners() []net.Listener {
	var all []net.Listener
	for _, l := range []*net.TCPListener{s.TCP4, s.TCP6} {
		if l != nil {
			all = append(all, l)
		}
	}
	return all
}

// Close closes all sockets. What was accepted stays open. New connections in the
// namespace are refused then: it stays sealed.
func (s *Sockets) Close() error {
	var errs []error
	for _, e := range s.ends() {
		errs = append(errs, e.Close())
	}
	return errors.Join(errs...)
}

// Destination returns the address that the client of c, which a listener of s
// accepted, has dialled.
func (s *Sockets) Destination(c net.Conn) (netip.AddrPort, error) {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("loopback: a %T has no original destination", c)
	}
	local := tcp.LocalAddr().(*net.TCPAddr).AddrPort()
	if s.redirected {
		return original(tcp, local)
	}
	return netip.AddrPortFrom(local.Addr().Unmap(), local.Port()), nil
}
