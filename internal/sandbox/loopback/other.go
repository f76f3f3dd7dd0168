//go:build !linux

package loopback

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
)

const controlMax = 128

// Open returns an error: only Linux has network namespaces.
func Open() (*Sockets, error) { return nil, errors.ErrUnsupported }

// Attach returns an error: only Linux has network namespaces.
func Attach(string, ...netip.Addr) (*Sockets, error) { return nil, errors.ErrUnsupported }

// Send returns an error.
func (s *Sockets) Send(syscall.Conn) error { return errors.ErrUnsupported }

// Receive returns an error.
func Receive(syscall.Conn) (*Sockets, error) { return nil, errors.ErrUnsupported }

func original(*net.TCPConn, netip.AddrPort) (netip.AddrPort, error) {
	return netip.AddrPort{}, errors.ErrUnsupported
}

func asked([]byte) netip.Addr      { return netip.Addr{} }
func answerFrom(netip.Addr) []byte { return nil }
