package gate

import (
	"fmt"
	"sync"
	"time"

	"outvet/call"
)

// recordDecided writes the decided record.
func (p *Passage) recordDecided() error {
	if err := p.g.late.flush(p.g); err != nil {
		return err
	}
	r := p.decidedRecord()
	if err := p.g.Log.Write(r); err != nil {
		return err
	}
	p.g.tell(r)
	p.record = r
	return nil
}

func (p *Passage) decidedRecord() *call.Record {
	c, d := p.c, recorded(p.decided)
	return &call.Record{
		Kind: call.Decided, ID: c.ID, Parent: c.Parent, Time: c.Time.UTC(), Took: time.Since(p.start), Inspect: p.inspect,
		Listener: c.Listener, Grade: c.Grade, Caller: p.shown.caller,
		Scheme: c.Dest.Scheme, Host: p.shown.host, Port: c.Dest.Port, Category: c.Dest.Category, Trust: c.Dest.Trust,
		Protocol: c.Op.Protocol, Method: p.shown.method, Target: p.shown.target, Size: c.Sent,
		Decision: &d, Durable: d.Verdict == call.Hold || d.Irreversible,
	}
}

// closed returns the closed record. The decision is in it only when it changed
// under way.
func (p *Passage) closed(o call.Outcome) *call.Record {
	p.inspectEnd(&o)
	r := &call.Record{
		Kind: call.Closed, ID: p.c.ID, Time: time.Now().UTC(), Took: time.Since(p.start),
		Session: p.shown.caller.Session, Outcome: &o,
		Opened: p.record, Inspected: p.inspected,
	}
	if p.body != nil {
		o.Sent, r.Body = p.body.sum()
	}
	if p.unheard {
		if p.testify(p.g.rules.Load(), closedSince); !p.unheard {
			r.Caller = p.shown.caller
		}
	}
	if p.changed {
		d := recorded(p.decided)
		r.Decision, r.Inspect = &d, p.inspect
	}
	o.Aborted = o.Aborted || p.stopped != nil
	return r
}

// recorded returns d as the record holds it: lists are never null, and what a
// header is set to stays out, since it may be a credential of the policy's.
func recorded(d call.Decision) call.Decision {
	if d.Findings == nil {
		d.Findings = []call.Finding{}
	}
	edits := make([]call.Edit, len(d.Edits))
	for i, e := range d.Edits {
		if e.Kind == call.SetHeader {
			e.With = ""
		}
		edits[i] = e
	}
	d.Edits = edits
	return d
}

// A backlog keeps the records that the log could not take, until it can. All
// of them are of calls that were refused or are over.
type backlog struct {
	// mu keeps the records in the order in which they were added.
	mu      sync.Mutex
	waiting []story
	lost    int
	again   *time.Timer // tries while no call does; nil before the first fault
}

// againEvery is how often what waits is tried while there are no calls.
const againEvery = time.Second

// A story is what the log still has to be told of one call.
type story struct {
	decided *call.Record // nil if the log has it
	closed  *call.Record
}

// tell writes the story. A decided record that the log refuses may have reached
// it before a sync failed; then the closed one, which holds the decision too, is
// taken.
func (s *story) tell(g *Gate) error {
	if s.decided != nil {
		err := g.Log.Write(s.decided)
		if err != nil {
			if g.Log.Write(s.closed) == nil {
				g.tell(s.closed)
				return nil
			}
			return err
		}
		g.tell(s.decided)
		s.decided = nil
	}
	if err := g.Log.Write(s.closed); err != nil {
		return err
	}
	g.tell(s.closed)
	return nil
}

// backlogMax bounds the memory that a broken log costs, in calls. Beyond it they
// are counted and their number is recorded.
const backlogMax = 4096

func (b *backlog) add(g *Gate, s story) error {
	b.mu.Lock()
	if len(b.waiting) >= backlogMax {
		b.lost++
	} else {
		b.waiting = append(b.waiting, s)
	}
	if b.again == nil {
		b.again = time.AfterFunc(againEvery, func() {
			if b.flush(g) != nil {
				b.again.Reset(againEvery)
			}
		})
	} else {
		b.again.Reset(againEvery)
	}
	b.mu.Unlock()
	return b.flush(g)
}

// Settle writes the records that wait for the log. It is for the end, before
// the log is closed; while calls come and go, the gate does it by itself.
func (g *Gate) Settle() error {
	g.late.mu.Lock()
	if g.late.again != nil {
		g.late.again.Stop()
	}
	g.late.mu.Unlock()
	return g.late.flush(g)
}

// flush writes what waits. It costs a lock when nothing does.
func (b *backlog) flush(g *Gate) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.waiting) > 0 {
		if err := b.waiting[0].tell(g); err != nil {
			return fmt.Errorf("gate: %d calls wait for the log: %w", len(b.waiting)+b.lost, err)
		}
		b.waiting = b.waiting[1:]
	}
	if b.lost > 0 {
		note := fmt.Sprintf("%d refused or finished calls were not recorded while the log could not be written", b.lost)
		if err := g.Log.Write(&call.Record{Kind: call.SessionSet, Time: time.Now().UTC(), Note: note}); err != nil {
			return err
		}
		b.lost = 0
	}
	b.waiting = nil
	return nil
}
