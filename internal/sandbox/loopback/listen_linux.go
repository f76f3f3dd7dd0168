package loopback

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"outvet/internal/sockdiag"
)

// backlog is how many connections may wait to be accepted.
const backlog = 4096

// An option of a socket is set to one.
type option struct{ level, name int }

// listen makes the sockets, in the namespace of the calling thread.
func listen(way capture, six bool) (*Sockets, error) {
	s := &Sockets{redirected: way.redirected}
	families := []int{unix.AF_INET}
	if six {
		families = append(families, unix.AF_INET6)
	}
	for _, f := range families {
		if err := s.listenTCP(f); err != nil {
			s.Close()
			return nil, err
		}
	}
	for _, f := range families {
		if err := s.listenUDP(f); err != nil {
			s.Close()
			return nil, err
		}
	}
	if fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG); err == nil { // else nobody is asked
		err = s.takeDiag(fd)
		unix.Close(fd)
		if err != nil {
			s.Close()
			return nil, err
		}
	}
	return s, nil
}

// listenTCP makes the listener of a family. SO_REUSEADDR lets us follow ourselves
// while connections of before linger; it lets nobody else in, since we listen.
func (s *Sockets) listenTCP(family int) error {
	opts := []option{{unix.SOL_SOCKET, unix.SO_REUSEADDR}}
	var at unix.Sockaddr
	in4, in6 := &unix.SockaddrInet4{Port: Port}, &unix.SockaddrInet6{Port: Port}
	if s.redirected {
		in4.Addr, in6.Addr = [4]byte{127, 0, 0, 1}, [16]byte{15: 1}
	}
	if family == unix.AF_INET6 {
		at, opts = in6, append(opts, option{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY})
		if !s.redirected {
			opts = append(opts, option{unix.SOL_IPV6, unix.IPV6_TRANSPARENT})
		}
	} else {
		at = in4
		if !s.redirected {
			opts = append(opts, option{unix.SOL_IP, unix.IP_TRANSPARENT})
		}
	}
	f, err := socket(family, unix.SOCK_STREAM, at, opts)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Listen(int(f.Fd()), backlog); err != nil {
		return fmt.Errorf("loopback: listen on TCP port %d: %w", Port, err)
	}
	return s.take(f)
}

// listenUDP makes the socket of a family for queries.
func (s *Sockets) listenUDP(family int) error {
	var at unix.Sockaddr = &unix.SockaddrInet4{Port: 53}
	opts := []option{{unix.IPPROTO_IP, unix.IP_PKTINFO}}
	if family == unix.AF_INET6 {
		at = &unix.SockaddrInet6{Port: 53}
		opts = []option{{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY}, {unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO},
			{unix.IPPROTO_IPV6, unix.IPV6_FREEBIND}} // else no answer leaves from an address that no interface has
	}
	f, err := socket(family, unix.SOCK_DGRAM, at, opts)
	if err != nil {
		return err
	}
	defer f.Close()
	return s.take(f)
}

func socket(family, kind int, at unix.Sockaddr, opts []option) (*os.File, error) {
	what, port := "TCP", Port
	if kind == unix.SOCK_DGRAM {
		what, port = "UDP", 53
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("loopback: socket for %s: %w", what, err)
	}
	for _, o := range opts {
		if err := unix.SetsockoptInt(fd, o.level, o.name, 1); err != nil {
			unix.Close(fd)
			return nil, fmt.Errorf("loopback: option %d of a socket for %s: %w", o.name, what, err)
		}
	}
	if err := unix.Bind(fd, at); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("loopback: bind %s port %d: %w", what, port, err)
	}
	return os.NewFile(uintptr(fd), what), nil
}

// take makes of f, which stays the caller's to close, one of the sockets.
func (s *Sockets) take(f *os.File) error {
	fd := int(f.Fd())
	family, err1 := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	kind, err2 := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err1 != nil || err2 != nil {
		return fmt.Errorf("loopback: a descriptor is no socket: %w", err1)
	}
	if family == unix.AF_NETLINK {
		return s.takeDiag(fd)
	}
	six := family == unix.AF_INET6
	if kind == unix.SOCK_STREAM {
		l, err := net.FileListener(f)
		if err != nil {
			return fmt.Errorf("loopback: %w", err)
		}
		tcp, ok := l.(*net.TCPListener)
		if !ok || tcp.Addr().(*net.TCPAddr).Port != Port || six && s.TCP6 != nil || !six && s.TCP4 != nil {
			l.Close()
			return fmt.Errorf("loopback: an unexpected listener at %s", l.Addr())
		}
		if six {
			s.TCP6 = tcp
		} else {
			s.TCP4 = tcp
		}
		return nil
	}
	p, err := net.FilePacketConn(f)
	if err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	udp, ok := p.(*net.UDPConn)
	if !ok || udp.LocalAddr().(*net.UDPAddr).Port != 53 || six && s.DNS6 != nil || !six && s.DNS4 != nil {
		p.Close()
		return fmt.Errorf("loopback: an unexpected socket at %s", p.LocalAddr())
	}
	if six {
		s.DNS6 = &Queries{udp}
	} else {
		s.DNS4 = &Queries{udp}
	}
	return nil
}

// takeDiag makes of fd, which stays the caller's, the socket that asks about others.
func (s *Sockets) takeDiag(fd int) error {
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	f := os.NewFile(uintptr(own), "sock_diag")
	d, err := sockdiag.Use(f)
	if err != nil {
		return err
	}
	if s.diag != nil {
		d.Close()
		return errors.New("loopback: an unexpected second socket of netlink")
	}
	s.diag = &diag{s: d, f: f}
	return nil
}
