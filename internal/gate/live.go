package gate

import (
	"context"
	"sync"

	"outvet/call"
)

// open is the calls that were let pass and are not over, so that a change of
// policy or a quarantine reaches them.
type open struct {
	// mu guards calls.
	mu    sync.Mutex
	calls map[*Passage]struct{}
}

func (o *open) add(p *Passage) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.calls == nil {
		o.calls = map[*Passage]struct{}{}
	}
	o.calls[p] = struct{}{}
}

func (o *open) remove(p *Passage) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.calls, p)
}

func (o *open) list() []*Passage {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := make([]*Passage, 0, len(o.calls))
	for p := range o.calls {
		all = append(all, p)
	}
	return all
}

// Context is the context in which the call is carried out: that of Open, ended
// with a *Stopped as its cause when the call may not go on. A listener breaks
// the call off when it ends.
func (p *Passage) Context() context.Context { return p.live }

// rejudge stops the open calls that may not go on.
func (g *Gate) rejudge() {
	for _, p := range g.open.list() {
		if !p.mu.TryLock() {
			go p.rejudge() // a slow disk may hold it up, and not the others
			continue
		}
		p.mu.Unlock()
		p.rejudge()
	}
}

// OpenCalls returns how many calls were let pass and are not over.
func (g *Gate) OpenCalls() int {
	g.open.mu.Lock()
	defer g.open.mu.Unlock()
	return len(g.open.calls)
}

// rejudge stops the call if all are, if its session is quarantined or the head of the policy
// in force refuses it. What stands in its body is judged as it comes.
func (p *Passage) rejudge() {
	r := p.g.rules.Load()
	c := *p.c
	d := call.Decision{Policy: r.policy.Digest()}
	switch why := p.g.Sessions.Stopped(&c.Caller); {
	case p.g.halt.refuse(&d):
	case why != "":
		d = quarantined(why, d.Policy)
	case !r.policy.Head(&c, &d) || d.Observed:
		return
	}
	p.stop(d)
}

// Health returns why the record cannot be written or calls cannot be judged, or
// nil. What waits for the log is tried again: it may be healed.
func (g *Gate) Health() error {
	if h := g.halt.now.Load(); h != nil && h.fault != nil {
		return h.fault
	}
	if err := g.late.flush(g); err != nil {
		return err
	}
	if l, ok := g.Log.(interface{ Health() error }); ok {
		return l.Health()
	}
	return nil
}
