//go:build !unix

package forward

import (
	"net"
	"time"
)

// A liveness cannot tell here whether a server has closed an idle connection: a
// request that finds it closed goes again where it may.
type liveness struct{}

func (*liveness) of(net.Conn)       {}
func (*liveness) open(*h1Conn) bool { return true }

// alive looks at what waits within TLS at least.
func (*liveness) alive(c *h1Conn) bool { return !c.key.secure || c.silent(time.Unix(1, 0)) }
