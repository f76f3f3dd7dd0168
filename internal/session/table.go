package session

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"outvet/call"
)

// Max is how many sessions a table remembers, quarantined ones not counted.
const Max = 10_000

// An Info is what a table knows of one session.
type Info struct {
	ID          call.SessionID `json:"session"`
	Parent      call.SessionID `json:"parent,omitempty"`
	Mark        call.Mark      `json:"mark"`
	Agent       string         `json:"agent,omitempty"`
	First       time.Time      `json:"first"`
	Last        time.Time      `json:"last"`
	Calls       int64          `json:"calls"`
	Quarantined string         `json:"quarantined,omitempty"` // why it may not call
}

// A Table holds the sessions. The zero Table is ready and remembers
// quarantines only while it lives; Open returns one that keeps them. Its
// methods are safe for concurrent use.
type Table struct {
	// mu guards all below; journal writes happen under it, so that the order
	// of the journal is the order of what was done.
	mu      sync.Mutex
	live    map[call.SessionID]*Info
	stopped map[call.SessionID]string
	ends    []func(call.SessionID)
	journal *journal
}

// Touch notes a call of who and reports why it may not call, or "".
func (t *Table) Touch(who *call.Caller, now time.Time) (why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.live[who.Session]
	if s == nil {
		s = t.begin(who, now)
	}
	s.Last = now
	s.Calls++
	return t.why(who)
}

// Stopped reports why who may not call, or "". It counts as no call.
func (t *Table) Stopped(who *call.Caller) (why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.why(who)
}

// why is called under mu.
func (t *Table) why(who *call.Caller) string {
	if why := t.stopped[who.Session]; why != "" || who.Parent == "" {
		return why
	}
	return t.stopped[who.Parent]
}

// begin adds a session, forgetting the one idle the longest when there are too
// many.
func (t *Table) begin(who *call.Caller, now time.Time) *Info {
	if t.live == nil {
		t.live = map[call.SessionID]*Info{}
	}
	if len(t.live) >= Max {
		t.forget()
	}
	s := &Info{ID: who.Session, Parent: who.Parent, Mark: who.SessionMark, Agent: who.Agent.Value, First: now}
	t.live[who.Session] = s
	return s
}

// forget drops the tenth of the sessions that was idle the longest: a batch,
// so that a flood of names does not pay for a search each.
func (t *Table) forget() {
	all := make([]*Info, 0, len(t.live))
	for _, s := range t.live {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *Info) int { return a.Last.Compare(b.Last) })
	for _, s := range all[:len(all)/10+1] {
		delete(t.live, s.ID)
		for _, end := range t.ends {
			end(s.ID)
		}
	}
}

// Quarantine stops the session of who, and, where its name is only claimed,
// the peer that it came from. It counts even when the journal cannot be
// written; the error says that a restart would forget it.
func (t *Table) Quarantine(who *call.Caller, why string) error {
	ids := []call.SessionID{who.Session}
	if who.SessionMark == call.Claimed && who.Parent != "" {
		ids = append(ids, who.Parent)
	}
	return t.Stop(why, ids...)
}

// Stop quarantines sessions by name.
func (t *Table) Stop(why string, ids ...call.SessionID) error {
	if why == "" {
		why = "quarantined"
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped == nil {
		t.stopped = map[call.SessionID]string{}
	}
	var first error
	for _, id := range ids {
		if _, done := t.stopped[id]; done {
			continue
		}
		err := t.note(entry{Session: id, Why: why})
		t.stopped[id] = why
		if err != nil && first == nil {
			first = fmt.Errorf("session: quarantine of %q will not survive a restart: %w", id, err)
		}
	}
	return first
}

// Release lets a session call again. It reports whether it was quarantined. A
// release that cannot be written does not count.
func (t *Table) Release(id call.SessionID) (was bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.journal != nil {
		if _, err := t.replay(); err != nil { // another process may have stopped it a moment ago
			return false, err
		}
	}
	if _, was = t.stopped[id]; !was {
		return false, nil
	}
	if err := t.note(entry{Session: id}); err != nil {
		return true, fmt.Errorf("session: release of %q: %w", id, err)
	}
	t.pardon(id)
	return true, nil
}

// pardon ends a quarantine, and what inspectors held against the session.
func (t *Table) pardon(id call.SessionID) {
	if _, was := t.stopped[id]; !was {
		return
	}
	delete(t.stopped, id)
	for _, end := range t.ends {
		end(id)
	}
}

// List returns the sessions known, the last active first, quarantined ones
// included that have not called since the table was opened.
func (t *Table) List() []Info {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]Info, 0, len(t.live)+len(t.stopped))
	for _, s := range t.live {
		i := *s
		i.Quarantined = t.stopped[s.ID]
		out = append(out, i)
	}
	for id, why := range t.stopped {
		if t.live[id] == nil {
			out = append(out, Info{ID: id, Quarantined: why})
		}
	}
	slices.SortFunc(out, func(a, b Info) int {
		return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.ID, b.ID))
	})
	return out
}

// Close closes the journal.
func (t *Table) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.journal.close()
}
