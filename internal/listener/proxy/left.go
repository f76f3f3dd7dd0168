package proxy

import (
	"net"

	"outvet/internal/sockdiag"
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
	s, err := sockdiag.Open()
	if err != nil {
		return false
	}
	defer s.Close()
	inode, err := s.Inode(there.AddrPort(), here.AddrPort())
	return err == nil && inode == 0
}
