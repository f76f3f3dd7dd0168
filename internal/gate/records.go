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
	return nil
}

func (p *Passage) decidedRecord() *call.Record {
	c, d := p.c, p.decided
	return &call.Record{
		Kind: call.Decided, ID: c.ID, Parent: c.Parent, Time: c.Time.UTC(), Took: time.Since(p.start), Inspect: p.inspect,
		Listener: c.Listener, Grade: c.Grade, Caller: c.Caller,
		Scheme: c.Dest.Scheme, Host: p.host, Port: c.Dest.Port, Category: c.Dest.Category, Trust: c.Dest.Trust,
		Protocol: c.Op.Protocol, Method: c.Op.Method, Target: p.target, Size: c.Sent,
		Decision: &d, Durable: d.Verdict == call.Hold,
	}
}

// closed returns the closed record. The decision is in it only when it changed
// under way.
func (p *Passage) closed(o call.Outcome) *call.Record {
	r := &call.Record{
		Kind: call.Closed, ID: p.c.ID, Time: time.Now().UTC(), Took: time.Since(p.start),
		Session: p.c.Caller.Session, Outcome: &o,
	}
	if p.body != nil {
		o.Sent, r.Body = p.body.sum()
	}
	if p.changed {
		d := p.decided
		r.Decision, r.Inspect = &d, p.inspect
	}
	o.Aborted = o.Aborted || p.stopped != nil
	return r
}

// A backlog keeps the records that the log could not take, until it can. All
// of them are of calls that were refused or are over.
type backlog struct {
	// mu keeps the records in the order in which they were added.
	mu      sync.Mutex
	waiting []*call.Record
	lost    int
}

// backlogMax bounds the memory that a broken log costs. Beyond it records are
// counted and their number is recorded.
const backlogMax = 8192

func (b *backlog) add(g *Gate, rs ...*call.Record) error {
	b.mu.Lock()
	if len(b.waiting)+len(rs) > backlogMax {
		b.lost += len(rs)
	} else {
		b.waiting = append(b.waiting, rs...)
	}
	b.mu.Unlock()
	return b.flush(g)
}

// flush writes what waits. It costs a lock when nothing does.
func (b *backlog) flush(g *Gate) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.waiting) > 0 {
		if err := g.Log.Write(b.waiting[0]); err != nil {
			return fmt.Errorf("gate: %d records wait for the log: %w", len(b.waiting)+b.lost, err)
		}
		g.tell(b.waiting[0])
		b.waiting = b.waiting[1:]
	}
	if b.lost > 0 {
		note := fmt.Sprintf("%d records of refused or finished calls were lost while the log could not be written", b.lost)
		if err := g.Log.Write(&call.Record{Kind: call.Stopped, Time: time.Now().UTC(), Note: note}); err != nil {
			return err
		}
		b.lost = 0
	}
	b.waiting = nil
	return nil
}
