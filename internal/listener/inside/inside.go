package inside

import (
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"outvet/call"
)

// Bounds of what a command may ask.
const (
	connsMax   = 16 // at a time; others wait in the socket
	perSecond  = 50
	burst      = 100
	headerMax  = 4 << 10 // bytes, to which net/http adds as much again
	timeAtMost = 2 * time.Second
)

// A Status is what a session may know of itself.
type Status struct {
	Session call.SessionID `json:"session"`
	Grade   call.Grade     `json:"grade"`
	Policy  string         `json:"policy"`
	Observe bool           `json:"observe,omitempty"` // nothing is blocked
	Calls   uint64         `json:"calls"`
	Blocked uint64         `json:"blocked"`
	Waiting uint64         `json:"waiting"` // for a human
}

// A Server answers one sandbox. Its fields are set before Serve.
type Server struct {
	Status Status // without the counts
	Calls  *Ledger

	rate rate
	http http.Server
}

// Serve answers at l until it is closed.
func (s *Server) Serve(l net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", s.status)
	mux.HandleFunc("GET /v1/calls/{id}", s.call)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusNotFound, "known are GET /v1/status and GET /v1/calls/ID; nothing can be changed from inside a sandbox")
	})
	s.http.Handler = s.limited(mux)
	s.http.ReadTimeout, s.http.WriteTimeout, s.http.IdleTimeout = timeAtMost, timeAtMost, timeAtMost
	s.http.MaxHeaderBytes = headerMax
	s.http.ErrorLog = log.New(io.Discard, "", 0) // what a command does wrong, it is told
	err := s.http.Serve(&narrow{Listener: l, slots: make(chan struct{}, connsMax)})
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Close ends all that is under way.
func (s *Server) Close() error { return s.http.Close() }

// limited refuses what is too much or too large.
func (s *Server) limited(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !s.rate.take(time.Now()):
			w.Header().Set("Retry-After", "1")
			w.Header().Set("Connection", "close")
			refuse(w, http.StatusTooManyRequests, "too many questions: ask again in a second")
		case r.ContentLength != 0:
			w.Header().Set("Connection", "close") // or net/http would read the body
			refuse(w, http.StatusRequestEntityTooLarge, "a question has no body")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	st := s.Status
	st.Calls, st.Blocked, st.Waiting = s.Calls.counts()
	reply(w, http.StatusOK, st)
}

func (s *Server) call(w http.ResponseWriter, r *http.Request) {
	a, err := s.Calls.find(r.PathValue("id"))
	switch {
	case errors.Is(err, errUnknown):
		refuse(w, http.StatusNotFound, err.Error())
	case err != nil:
		refuse(w, http.StatusBadRequest, err.Error())
	default:
		reply(w, http.StatusOK, a)
	}
}

func refuse(w http.ResponseWriter, status int, detail string) {
	reply(w, status, map[string]string{"detail": detail})
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // a client that is gone needs no answer
}

// A rate is a bucket of tokens. The zero rate is full.
type rate struct {
	// mu guards the rest.
	mu   sync.Mutex
	used float64
	at   time.Time
}

// take reports whether one more may be asked now.
func (r *rate) take(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.at.IsZero() {
		r.used = max(0, r.used-now.Sub(r.at).Seconds()*perSecond)
	}
	r.at = now
	if r.used+1 > burst {
		return false
	}
	r.used++
	return true
}

// A narrow listener has so many connections at a time.
type narrow struct {
	net.Listener
	slots chan struct{}
}

func (n *narrow) Accept() (net.Conn, error) {
	n.slots <- struct{}{} // each connection ends by its time-outs, so that this does, too
	c, err := n.Listener.Accept()
	if err != nil {
		<-n.slots
		return nil, err
	}
	return &slot{Conn: c, free: sync.OnceFunc(func() { <-n.slots })}, nil
}

// A slot is a connection that makes room when it is closed.
type slot struct {
	net.Conn
	free func()
}

func (s *slot) Close() error {
	defer s.free()
	return s.Conn.Close()
}
