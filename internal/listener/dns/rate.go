package dns

import (
	"sync"
	"time"

	"outvet/call"
)

const (
	rateDefault = 500  // questions a second
	sharesMax   = 1024 // sessions that are counted
	busyMax     = 64   // questions and connections of one session at a time
)

// shares are what each session takes of the server: questions a second that need a
// decision, with twice as many in store, and questions and connections that are
// not over. The zero value is ready.
type shares struct {
	// mu guards bySession and what is in it.
	mu        sync.Mutex
	bySession map[call.SessionID]*share
}

type share struct {
	left float64
	at   time.Time
	busy int
}

// take reports whether the session may have one more question, or with rate 0 one
// more connection. What it got must be given back.
func (r *shares) take(id call.SessionID, rate int, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.bySession[id]
	if s == nil {
		if s = r.add(id, now); s == nil {
			return false
		}
	}
	if rate > 0 {
		most := float64(2 * rate)
		if s.left < 0 {
			s.left = most
		}
		s.left = min(s.left+now.Sub(s.at).Seconds()*float64(rate), most)
		s.at = now
		if s.left < 1 {
			return false
		}
	}
	if s.busy >= busyMax {
		return false
	}
	if rate > 0 {
		s.left--
	}
	s.busy++
	return true
}

// add makes room for a session, nil if all others are busy. Who is forgotten has
// a full store.
func (r *shares) add(id call.SessionID, now time.Time) *share {
	if r.bySession == nil {
		r.bySession = map[call.SessionID]*share{}
	}
	for old, s := range r.bySession {
		if len(r.bySession) < sharesMax {
			break
		}
		if s.busy == 0 {
			delete(r.bySession, old)
		}
	}
	if len(r.bySession) >= sharesMax {
		return nil
	}
	s := &share{left: -1, at: now}
	r.bySession[id] = s
	return s
}

func (r *shares) give(id call.SessionID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bySession[id].busy--
}

// sharer names whose share it is: names that a client gives itself have none each.
func sharer(who *call.Caller) call.SessionID {
	if who.SessionMark == call.Claimed && who.Parent != "" {
		return who.Parent
	}
	return who.Session
}

// may reports whether who may ask something that needs a decision. Then give
// must be called when it is answered.
func (s *Server) may(who *call.Caller) bool {
	if s.shares.take(sharer(who), s.Rate, time.Now()) {
		return true
	}
	s.drop("questions of one session")
	return false
}
