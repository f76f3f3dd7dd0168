package dns

import (
	"sync"
	"time"

	"outvet/call"
)

const (
	rateDefault = 500  // questions a second
	ratesMax    = 1024 // sessions that are counted
)

// rates counts the questions of each session that need a decision. Each has
// twice its rate in store. The zero value is ready.
type rates struct {
	// mu guards bySession.
	mu        sync.Mutex
	bySession map[call.SessionID]*stock
}

type stock struct {
	left float64
	at   time.Time
}

// take reports whether the session has something left.
func (r *rates) take(id call.SessionID, rate int, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.bySession[id]
	if s == nil {
		if r.bySession == nil {
			r.bySession = map[call.SessionID]*stock{}
		}
		for old := range r.bySession { // any: who is forgotten has a full store
			if len(r.bySession) < ratesMax {
				break
			}
			delete(r.bySession, old)
		}
		s = &stock{left: float64(2 * rate), at: now}
		r.bySession[id] = s
	}
	s.left = min(s.left+now.Sub(s.at).Seconds()*float64(rate), float64(2*rate))
	s.at = now
	if s.left < 1 {
		return false
	}
	s.left--
	return true
}

// may reports whether who may ask something that needs a decision.
func (s *Server) may(who *call.Caller) bool {
	id := who.Session
	if who.SessionMark == call.Claimed && who.Parent != "" {
		id = who.Parent // names that a client gives itself have no store each
	}
	if s.rates.take(id, s.Rate, time.Now()) {
		return true
	}
	s.drop("questions a second")
	return false
}
