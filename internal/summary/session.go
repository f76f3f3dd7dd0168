package summary

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"outvet/call"
	"outvet/internal/agent"
)

// Options say how a session is told. The zero Options are ready.
type Options struct {
	ID    call.SessionID // whose calls count, and those of its child sessions; "" for all
	Agent string         // as a person calls it, with version; else what the records say
	// Would returns what another policy would have decided on a call, and Strict its
	// name. Nil for no such column.
	Would  func(*call.Record) (v call.Verdict, rule string)
	Strict string
}

// Bounds of what is kept.
const (
	rowsMax = 1000
	openMax = 10_000
)

// A Session gathers the calls of one session. It implements gate.Sink. It is safe
// for concurrent use.
type Session struct {
	o Options

	// mu guards the rest.
	mu          sync.Mutex
	rows        map[key]*Row
	open        map[call.ID]*call.Record
	first, last time.Time
	hosts       map[string]bool
	agents      map[string]int
	total       Totals
}

// A key is what the calls of one row have in common.
type key struct {
	destination, by, rule, finding string
	verdict                        call.Verdict
	observed, edited               bool
	would                          call.Verdict
	kind                           Kind
}

// New returns a session without calls.
func New(o Options) *Session {
	return &Session{o: o, rows: map[key]*Row{}, open: map[call.ID]*call.Record{}, hosts: map[string]bool{}, agents: map[string]int{}}
}

// Write implements gate.Sink.
func (s *Session) Write(r *call.Record) error {
	switch r.Kind {
	case call.Decided:
		if !s.ours(r) {
			return nil
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.open) >= openMax {
			s.add(r, nil)
			return nil
		}
		keep := *r
		keep.Opened = nil
		s.open[r.ID] = &keep
	case call.Closed:
		s.mu.Lock()
		defer s.mu.Unlock()
		if d := s.open[r.ID]; d != nil {
			delete(s.open, r.ID)
			s.add(d, r)
		}
	}
	return nil
}

// Add adds a call of the log: closed is nil for one that is not over.
func (s *Session) Add(decided, closed *call.Record) {
	if decided == nil || !s.ours(decided) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(decided, closed)
}

func (s *Session) ours(r *call.Record) bool {
	return s.o.ID == "" || r.Caller.Session == s.o.ID || r.Caller.Parent == s.o.ID
}

// add counts one call. s.mu is held.
func (s *Session) add(d, c *call.Record) {
	who, dec := d.Caller, call.Decision{}
	if d.Decision != nil {
		dec = *d.Decision
	}
	end := d.Time.Add(d.Took)
	var out call.Outcome
	if c != nil {
		if c.Decision != nil {
			dec = *c.Decision
		}
		if c.Caller.Process.Value != "" {
			who = c.Caller // it was found out late
		}
		if c.Outcome != nil {
			out = *c.Outcome
		}
		end = c.Time
	}
	s.span(d.Time, end)
	k := s.key(d, &dec, &who)
	row := s.row(k, d, &dec, &who)
	row.Calls++
	row.Up += out.Sent
	row.Down += out.Received
	s.count(row, d, &who, out.Sent)
}

func (s *Session) span(from, to time.Time) {
	if s.first.IsZero() || from.Before(s.first) {
		s.first = from
	}
	if to.After(s.last) {
		s.last = to
	}
}

func (s *Session) key(d *call.Record, dec *call.Decision, who *call.Caller) key {
	k := key{by: by(who), verdict: dec.Verdict, observed: dec.Observed, edited: len(dec.Edits) > 0, kind: kindOf(d, dec)}
	k.destination = destination(d, dec, k.kind)
	if dec.Verdict != call.Allow && k.kind != Telemetry { // which is one thing, whatever the rule
		k.rule = dec.Rule
		k.finding = found(dec)
	}
	switch {
	case s.o.Would != nil:
		k.would, _ = s.o.Would(d)
	case dec.Observed:
		k.would = dec.Verdict
	}
	return k
}

func (s *Session) row(k key, d *call.Record, dec *call.Decision, who *call.Caller) *Row {
	if r := s.rows[k]; r != nil {
		return r
	}
	if len(s.rows) >= rowsMax {
		k = key{destination: "other destinations", verdict: k.verdict, observed: k.observed, would: k.would, kind: k.kind}
		if r := s.rows[k]; r != nil {
			return r
		}
		d, who = &call.Record{}, &call.Caller{}
	}
	r := &Row{Kind: k.kind, Destination: k.destination, Host: d.Host, Category: d.Category, By: k.by, ByMark: who.Process.Mark, Verdict: k.verdict,
		Observed: k.observed, Rule: dec.Rule, Finding: k.finding, Edited: k.edited, Would: k.would}
	if who.Process.Value == "" {
		r.ByMark = who.Agent.Mark
	}
	s.rows[k] = r
	return r
}

func (s *Session) count(r *Row, d *call.Record, who *call.Caller, up int64) {
	t := &s.total
	t.Calls++
	t.Up += up
	if r.Kind == Model {
		t.Model++
		t.ModelUp += up
		s.agents[agentOf(who)]++
	} else if len(s.hosts) < openMax {
		s.hosts[d.Host] = true
	}
	switch {
	case r.Observed:
		t.WouldBlock++
	case r.Verdict == call.Block && r.Kind == Telemetry:
		t.Telemetry++
	case r.Verdict == call.Block:
		t.Blocked++
	case r.Verdict == call.Hold:
		t.Held++
	}
	if s.o.Would != nil && !r.Observed && r.Verdict == call.Allow && r.Would != call.Allow {
		t.WouldBlock++
	}
}

// agentOf returns what a caller's agent is called, with its version where it says it.
func agentOf(who *call.Caller) string {
	a := agent.ByProduct(who.Agent.Value)
	if a == nil {
		return who.Agent.Value
	}
	if _, version, ok := strings.Cut(who.Agent.Value, "/"); ok {
		version, _, _ = strings.Cut(version, "/")
		return a.Name + " " + version
	}
	return a.Name
}

// Report returns what is known until now.
func (s *Session) Report() Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.open) > 0 { // they count, but stay open
		t := New(s.o)
		t.rows = map[key]*Row{}
		for k, r := range s.rows {
			copied := *r
			t.rows[k] = &copied
		}
		t.first, t.last, t.total = s.first, s.last, s.total
		for h := range s.hosts {
			t.hosts[h] = true
		}
		for a, n := range s.agents {
			t.agents[a] = n
		}
		for _, d := range s.open {
			t.add(d, nil)
		}
		t.total.Open = len(s.open)
		return t.report()
	}
	return s.report()
}

func (s *Session) report() Report {
	r := Report{Session: s.o.ID, Agent: s.o.Agent, First: s.first, Last: s.last, Totals: s.total, Strict: s.o.Strict}
	r.Hosts = len(s.hosts)
	if r.Agent == "" {
		r.Agent = mostOf(s.agents)
	}
	if !s.first.IsZero() {
		r.Seconds = s.last.Sub(s.first).Seconds()
	}
	r.judged = s.o.Would != nil
	for _, row := range s.rows {
		r.judged = r.judged || row.Observed
		r.Rows = append(r.Rows, *row)
	}
	if r.judged && r.Strict == "" {
		r.Strict = "enforce"
	}
	slices.SortFunc(r.Rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(a.rank(), b.rank()), cmp.Compare(b.Calls, a.Calls), cmp.Compare(a.Destination, b.Destination),
			cmp.Compare(a.By, b.By), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Finding, b.Finding))
	})
	return r
}

func mostOf(names map[string]int) (most string) {
	n := 0
	for name, m := range names {
		if name != "" && (m > n || m == n && name < most) {
			most, n = name, m
		}
	}
	return most
}
