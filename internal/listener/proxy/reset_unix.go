//go:build unix

package proxy

import (
	"net"
	"syscall"
)

// wasReset returns the error of a connection that the other side has reset, or
// that takes no answer to probes any more.
func wasReset(c *net.TCPConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var code int
	var asked error
	if err := raw.Control(func(fd uintptr) {
		code, asked = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_ERROR)
	}); err != nil {
		return err // closed
	}
	if asked == nil && code != 0 {
		asked = syscall.Errno(code)
	}
	return asked
}
