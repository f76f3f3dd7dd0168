package loopback

import (
	"net"
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
	s.diag.mu.Lock()
	defer s.diag.mu.Unlock()
	to := server.AddrPort()
	if s.redirected {
		var err error
		if to, err = s.Destination(c); err != nil {
			return false
		}
	}
	inode, err := s.diag.s.Inode(client.AddrPort(), to)
	return err == nil && inode == 0
}
