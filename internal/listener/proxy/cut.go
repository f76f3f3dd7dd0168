package proxy

import (
	"io"
	"time"
)

// Sever closes, after grace, every connection that is open now, idle ones
// included. The gate has stopped the calls in them; grace is for the answers that
// say so. New connections are taken: their calls are refused. It does not wait.
func (s *Server) Sever(grace time.Duration) {
	s.start.Do(s.setUp)
	var ends []func()
	s.mu.Lock()
	for c := range s.conns {
		ends = append(ends, c.sever)
	}
	for t := range s.live {
		ends = append(ends, func() { t.Conn.Close() })
	}
	for w := range s.talks {
		ends = append(ends, func() {
			if c, ok := w.conn.(io.Closer); ok { // a stream of HTTP/2 ends with its tunnel
				c.Close()
			}
			w.up.Close()
		})
	}
	s.mu.Unlock()
	time.AfterFunc(grace, func() {
		for _, end := range ends {
			end()
		}
	})
}

// sever closes the connection: in order if nothing is said on it, else so that
// nobody takes a cut answer for a whole one.
func (c *conn) sever() {
	if c.idle.Load() {
		c.Conn.Close()
		return
	}
	c.abort()
}
