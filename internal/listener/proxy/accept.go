package proxy

import (
	"context"
	"errors"
	"net"
	"time"
)

const (
	// connsDefault bounds the connections of clients that are open at a time.
	connsDefault = 16 << 10
	// acceptWait is for how long nobody is accepted after the system refused.
	acceptWait = 100 * time.Millisecond
)

// Serve answers on l until Shutdown, and then returns nil. Beyond MaxConns
// clients it accepts none until one has gone: those who wait are not refused.
func (s *Server) Serve(l net.Listener) error {
	return s.serveOn(l, nil, func(nc net.Conn, a *arrival) { s.follow(s.serveFront(nc, a, nil), a) })
}

// serveOn lets greet serve what l accepts. With room, something is put into it
// before a connection is accepted; such a listener is elsewhere, so that no call
// could arrive at its address.
func (s *Server) serveOn(l net.Listener, room chan struct{}, greet func(net.Conn, *arrival)) error {
	s.start.Do(s.setUp)
	if !s.listen(l, room == nil) {
		l.Close()
		return nil
	}
	defer s.accepting.Done()
	for {
		if room != nil {
			select {
			case room <- struct{}{}:
			case <-s.deaf:
				return nil
			}
		}
		select {
		case s.slots <- struct{}{}:
		case <-s.deaf:
			return nil
		}
		c, err := l.Accept()
		if err == nil {
			go greet(c, s.arrive(c))
			continue
		}
		<-s.slots
		if room != nil {
			<-room
		}
		select {
		case <-s.deaf:
			return nil
		default:
		}
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		s.log.Error("accept a connection", "err", err) // no descriptors, no memory: it may get better
		select {
		case <-time.After(acceptWait):
		case <-s.deaf:
			return nil
		}
	}
}

// listen notes where the proxy listens. It reports false after Shutdown.
func (s *Server) listen(l net.Listener, own bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isDeaf() {
		return false
	}
	s.listeners = append(s.listeners, l)
	s.accepting.Add(1)
	if a, ok := l.Addr().(*net.TCPAddr); ok && own {
		s.own = append(s.own, a.AddrPort())
	}
	return true
}

// follow serves the tunnel t, nil for none, to its end, or until it is HTTP/2,
// which others serve. The slot of the connection is given back.
func (s *Server) follow(t *tunnel, a *arrival) {
	if t == nil {
		a.begun()
		<-s.slots
		return
	}
	t.serve()
	if !t.h2 { // which begins, or is closed, elsewhere
		a.begun()
	}
}

// serveFront serves a connection to the proxy itself and returns the tunnel that
// it became, if it did.
func (s *Server) serveFront(nc net.Conn, a *arrival, e *Entry) *tunnel {
	c := s.newConn(context.Background(), nc, nil)
	c.arrival, c.entry = a, e
	c.serve()
	return c.tunnel
}
