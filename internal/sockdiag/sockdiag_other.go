//go:build !linux

package sockdiag

import (
	"errors"
	"net/netip"
	"os"
)

// ErrNone says that there is no such socket.
var ErrNone = errors.New("there is no such socket")

// A Socket does not exist here.
type Socket struct{}

// Open returns an error: other systems cannot be asked so.
func Open() (*Socket, error) { return nil, errors.ErrUnsupported }

// Use returns an error.
func Use(f *os.File) (*Socket, error) { return nil, errors.Join(errors.ErrUnsupported, f.Close()) }

// Close does nothing.
func (*Socket) Close() error { return nil }

// Inode returns an error.
func (*Socket) Inode(_, _ netip.AddrPort) (uint64, error) { return 0, errors.ErrUnsupported }
