package api

import (
	"io"
	"net/http"
	"time"

	"outvet/internal/gate"
	"outvet/internal/kill"
)

// Options are what the API serves besides checks.
type Options struct {
	Metrics     http.Handler // of GET /metrics; nil for none
	MetricsOpen bool         // to whoever can reach the address, not only to who knows the token
}

// operate adds to mux what is there to watch and to stop outvet.
func (s *server) operate(mux *http.ServeMux, o Options) {
	mux.HandleFunc("GET /healthz", s.health)
	mux.Handle("GET /v1/kill", s.authorised(s.killed))
	mux.Handle("POST /v1/kill", s.authorised(s.kill))
	mux.Handle("POST /v1/kill/lift", s.authorised(s.lift))
	switch {
	case o.Metrics == nil:
	case o.MetricsOpen:
		mux.Handle("GET /metrics", o.Metrics)
	default: // collectors call by the names of services, so any host will do: who rebinds a name has no token
		mux.Handle("GET /metrics", s.known(o.Metrics.ServeHTTP))
	}
}

// health tells, without a token and without a secret, whether outvet can do its
// work. Stopping all calls is part of its work.
func (s *server) health(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	n, fault := s.gate.Killed()
	switch {
	case fault != nil:
		w.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(w, "degraded: the kill switch cannot be read, so no call passes\n")
	case s.gate.Health() != nil:
		w.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(w, "degraded: the record cannot be written\n")
	case n != nil:
		io.WriteString(w, "ok\nthe kill switch is pulled: no call passes\n")
	default:
		io.WriteString(w, "ok\n")
	}
}

// A switchState is the answer to requests about the kill switch.
type switchState struct {
	Killed bool `json:"killed"`
	*kill.Notice
	Fault   string `json:"fault,omitempty"`   // why nobody can say
	Warning string `json:"warning,omitempty"` // it counts, but
}

func stateOf(g *gate.Gate) switchState {
	n, fault := g.Killed()
	st := switchState{Killed: n != nil, Notice: n}
	if fault != nil {
		st.Fault = fault.Error()
	}
	return st
}

func (s *server) killed(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, stateOf(s.gate))
}

// console is how a switch was pulled if the request does not say.
const console = "the console"

func (s *server) kill(w http.ResponseWriter, r *http.Request) {
	c, ok := person(w, r)
	if !ok {
		return
	}
	err := s.gate.Kill(kill.Notice{By: c.By, How: c.How, Why: c.Why, At: time.Now().UTC()})
	st := stateOf(s.gate)
	if err != nil {
		st.Warning = err.Error()
	}
	reply(w, http.StatusOK, st)
}

func (s *server) lift(w http.ResponseWriter, r *http.Request) {
	c, ok := person(w, r)
	if !ok {
		return
	}
	if err := s.gate.Lift(c.By, c.How); err != nil {
		problem(w, http.StatusConflict, err.Error())
		return
	}
	reply(w, http.StatusOK, stateOf(s.gate))
}

// person reads who does what, or answers that it is missing.
func person(w http.ResponseWriter, r *http.Request) (change, bool) {
	var c change
	if !read(w, r, &c) {
		return c, false
	}
	if c.By == "" {
		problem(w, http.StatusBadRequest, `"by" is missing: who does this`)
		return c, false
	}
	if c.How == "" {
		c.How = console
	}
	return c, true
}
