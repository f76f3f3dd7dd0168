//go:build unix

package forward

import (
	"net"
	"syscall"
	"time"
)

// A liveness tells whether the server has closed an idle connection, without
// a goroutine that waits for it.
type liveness struct {
	raw  syscall.RawConn
	peek func(fd uintptr) bool
	n    int
	err  error
}

// of prepares l for a connection, below any TLS.
func (l *liveness) of(c net.Conn) {
	s, ok := c.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return
	}
	l.raw = raw
	l.peek = func(fd uintptr) bool {
		var b [1]byte
		l.n, _, l.err = syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return true
	}
}

// open reports whether nothing has come that says otherwise.
func (l *liveness) open(*h1Conn) bool {
	if l.raw == nil {
		return true
	}
	if l.raw.Read(l.peek) != nil {
		return false
	}
	return l.err == syscall.EAGAIN || l.err == syscall.EINTR || l.err == nil && l.n > 0
}

// alive reports whether c can be used. What has come on an idle connection may
// be tickets of TLS, which are read; a byte of an answer that nobody asked for
// makes it useless, also one that came with the answer before and waits in the
// buffers of TLS, where the system does not see it.
func (l *liveness) alive(c *h1Conn) bool {
	if !l.open(c) {
		return false
	}
	came := l.raw != nil && l.err == nil
	if !c.key.secure {
		return !came
	}
	if came {
		return c.silent(time.Now().Add(time.Millisecond))
	}
	return c.silent(time.Unix(1, 0)) // what is buffered, and no more
}
