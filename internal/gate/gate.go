package gate

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"outvet/call"
	"outvet/internal/inspect"
	"outvet/internal/kill"
	"outvet/internal/payload"
	"outvet/internal/policy"
	"outvet/internal/session"
)

// A Sink takes records. Write must not keep r.
type Sink interface {
	Write(r *call.Record) error
}

// A Gate decides calls. Its exported fields are set before use and not changed
// after; Install may be called at any time. A Gate is safe for concurrent use.
type Gate struct {
	Sessions *session.Table
	Log      Sink   // what it cannot take does not leave
	Sinks    []Sink // others: metrics, live view; what they cannot take is logged and lost
	Limits   payload.Limits
	Memory   *Memory       // for bodies that are held whole; nil for no bound
	Patience time.Duration // how long a body of unknown length may pause before it is read in windows; 1 s
	Logger   *slog.Logger
	Switch   *kill.Switch // where a kill is kept; nil for as long as the process lives
	Cut      func()       // called on a kill, on a goroutine of its own: closes what has no call in it

	rules atomic.Pointer[rules]
	late  backlog
	open  open
	halt  halting
}

// rules is what calls are judged by. It is replaced as one, so that no call
// sees one policy and the inspectors of another.
type rules struct {
	policy   *policy.Policy
	set      *inspect.Set
	harmless words
}

// Install puts a policy with its inspectors in force, for every call that is
// opened from now on and for every window of those under way. Calls under way
// that it refuses by their head are stopped.
func (g *Gate) Install(p *policy.Policy, set *inspect.Set, note string) error {
	g.rules.Store(&rules{policy: p, set: set})
	defer g.rejudge()
	return g.record(&call.Record{Kind: call.PolicySet, Time: time.Now().UTC(), Note: note,
		Decision: &call.Decision{Policy: p.Digest()}})
}

// Policy returns the policy in force.
func (g *Gate) Policy() *policy.Policy { return g.rules.Load().policy }

// Open decides c, of which m is the payload (nil for none). It sets c.ID and
// c.Time where they are zero and c.Sent. When the Passage allows, m holds what may leave:
// target and header as edited, and a Body that inspects what was not yet
// inspected. Open reads from m.Body and must have returned before others do.
func (g *Gate) Open(ctx context.Context, c *call.Call, m *payload.Message) *Passage {
	start := time.Now()
	if c.Time.IsZero() {
		c.Time = start
	}
	if c.ID == "" {
		c.ID = call.NewID(start)
	}
	if m == nil {
		m = &payload.Message{Host: c.Dest.Host}
	}
	p := &Passage{g: g, c: c, m: m, ctx: ctx, start: start, shown: shown{c.Caller, c.Op.Method, c.Op.Target, c.Dest.Host}}
	r := g.rules.Load()
	p.rules = r
	p.decide(r)
	if c.Witness != nil {
		p.testify(r, decidedSince)
	}
	if p.decided.Quarantine && !p.decided.Observed {
		p.stopSession(&p.decided)
		p.seal()
	}
	if err := p.recordDecided(); err != nil {
		p.fault("record the call", err)
		p.late, p.changed = true, true
	}
	p.enforce()
	p.live, p.cut = context.WithCancelCause(ctx)
	if p.Verdict == call.Allow {
		g.open.add(p)
		if g.rules.Load() != r || g.halt.now.Load() != nil || g.Sessions.Stopped(&c.Caller) != "" {
			p.rejudge() // something changed while this call was judged
		}
	}
	return p
}

// Foresee returns the verdict that c would get by its head alone, if none of its
// payload spoke against it. It decides nothing and records nothing: a listener
// asks it what is worth waiting for, before it knows what a client wants.
func (g *Gate) Foresee(c call.Call) call.Verdict {
	var d call.Decision
	if g.halt.now.Load() != nil {
		return call.Block
	}
	if g.rules.Load().policy.Head(&c, &d); d.Observed {
		return call.Allow
	}
	return d.Verdict
}

// fault makes the decision that our machinery, not the policy, said no.
func (p *Passage) fault(what string, err error) {
	p.g.warn("could not "+what, err)
	p.decided = call.Decision{
		Verdict: call.Block, Rule: call.RuleFault, Code: "fault",
		Reason:      "outvet could not " + what + ". It was not sent.",
		Findings:    p.decided.Findings,
		Uninspected: append(p.decided.Uninspected, call.Uninspected{Reason: "could not " + what + ": " + err.Error()}),
		Policy:      p.decided.Policy,
	}
}

func (g *Gate) warn(what string, err error) {
	if g.Logger != nil {
		g.Logger.Error(what, "err", err)
	}
}

// record writes an event that belongs to no call.
func (g *Gate) record(r *call.Record) error {
	if err := g.Log.Write(r); err != nil {
		return fmt.Errorf("gate: record: %w", err)
	}
	g.tell(r)
	return nil
}

func (g *Gate) tell(r *call.Record) {
	for _, s := range g.Sinks {
		if err := s.Write(r); err != nil {
			g.warn("a sink lost a record", err)
		}
	}
}
