package loopback

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"

	"outvet/internal/sockdiag"
)

// A diag asks the kernel about sockets inside the namespace. A nil one knows
// nothing.
type diag struct {
	mu sync.Mutex // one question at a time
	s  *sockdiag.Socket
	f  *os.File // of s
}

// Orphaned reports whether the client's end of c, which a listener of s accepted,
// is held by no program any more. What cannot be asked is taken for held.
func (s *Sockets) Orphaned(c net.Conn) bool {
	server, ok := c.LocalAddr().(*net.TCPAddr)
	client, ok2 := c.RemoteAddr().(*net.TCPAddr)
	if !ok || !ok2 || s.diag == nil {
		return false
	}
	to := server.AddrPort()
	if s.redirected {
		var err error
		if to, err = s.Destination(c); err != nil {
			return false
		}
	}
	inode, err := s.Inode(client.AddrPort(), to)
	return err == nil && inode == 0
}

// Inode returns the inode of the socket inside that is connected from client to
// server, 0 if no program holds it any more (sockdiag.Socket.Inode).
func (s *Sockets) Inode(client, server netip.AddrPort) (uint64, error) {
	if s.diag == nil {
		return 0, errors.ErrUnsupported
	}
	s.diag.mu.Lock()
	defer s.diag.mu.Unlock()
	return s.diag.s.Inode(client, server)
}
