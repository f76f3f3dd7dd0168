//go:build !unix

package forward

import "net"

// A liveness cannot tell here whether a server has closed an idle connection: a
// request that finds it closed goes again where it may.
type liveness struct{}

func (*liveness) of(net.Conn)        {}
func (*liveness) open(*h1Conn) bool  { return true }
func (*liveness) alive(*h1Conn) bool { return true }
