package proxy

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"outvet/call"
)

// hearTime is how long Shutdown waits for clients that were accepted to say what
// they want. Whoever made a connection before the end is not refused: behind a
// socket that outlives us, one restart after the other fails no call.
const hearTime = time.Second

// An arrival is a client's connection until the first request or raw connection
// in it has begun, which Shutdown then waits for. A nil arrival is over.
type arrival struct {
	s       *Server
	over    atomic.Bool
	witness call.Witness // of who made it; nil for nobody
}

// arrive notes that a connection was accepted.
func (s *Server) arrive(nc net.Conn) *arrival {
	s.fresh.Add(1)
	a := &arrival{s: s}
	if s.Witness != nil {
		a.witness = s.Witness(nc)
	}
	return a
}

// who returns who knows what made the connection, or nil.
func (a *arrival) who() call.Witness {
	if a == nil {
		return nil
	}
	return a.witness
}

// begun notes that something has begun in it, or that it is over.
func (a *arrival) begun() {
	if a != nil && !a.over.Swap(true) {
		a.s.fresh.Add(-1)
	}
}

// begun notes that the request to which w answers has begun.
func begun(w http.ResponseWriter, t *tunnel) {
	if t != nil {
		t.arrival.begun()
	} else if res, ok := w.(*response); ok {
		res.c.arrival.begun()
	}
}

// hearOut stops to accept and waits, a little, until something has begun in all
// connections that were.
func (s *Server) hearOut(ctx context.Context) {
	s.mu.Lock()
	if !s.isDeaf() {
		close(s.deaf)
	}
	for _, l := range s.listeners {
		l.Close()
	}
	s.mu.Unlock()
	s.accepting.Wait() // what was accepted is counted
	for end := time.Now().Add(hearTime); s.fresh.Load() > 0 && time.Now().Before(end) && ctx.Err() == nil; {
		time.Sleep(time.Millisecond)
	}
}

// isDeaf reports whether Shutdown has begun.
func (s *Server) isDeaf() bool {
	select {
	case <-s.deaf:
		return true
	default:
		return false
	}
}
