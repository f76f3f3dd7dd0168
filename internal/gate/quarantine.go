package gate

import (
	"fmt"
	"time"

	"outvet/call"
)

// stopSession quarantines the session of a call, as a rule demands.
func (p *Passage) stopSession(d *call.Decision) {
	g, c := p.g, p.c
	if err := g.Sessions.Quarantine(&c.Caller, d.Reason); err != nil {
		g.warn("quarantine", err)
	}
	err := g.record(&call.Record{Kind: call.Quarantined, ID: c.ID, Time: time.Now().UTC(), Session: p.shown.caller.Session,
		Note: "quarantined by rule " + d.Rule, Decision: &call.Decision{Verdict: call.Block, Rule: d.Rule, At: d.At, Reason: d.Reason}})
	if err != nil {
		g.warn("quarantine", err)
	}
	go g.rejudge() // the other calls of the session; this one may be locked
}

// Quarantine stops a session by hand: by whom and why stands in the record.
func (g *Gate) Quarantine(id call.SessionID, by, why string) error {
	defer g.rejudge()
	if err := g.Sessions.Stop(why, id); err != nil {
		return err
	}
	return g.record(&call.Record{Kind: call.Quarantined, Time: time.Now().UTC(), Session: id, Durable: true,
		Note: "quarantined by " + by, Decision: &call.Decision{Verdict: call.Block, Rule: call.RuleQuarantine, Reason: why, By: by}})
}

// LookSessions takes in the quarantines and releases of other processes that share
// the journal of sessions, and stops what is open of sessions that may not go on.
func (g *Gate) LookSessions() error {
	news, err := g.Sessions.Look()
	if news {
		g.rejudge()
	}
	return err
}

// Release lets a quarantined session call again. It is recorded before it counts.
func (g *Gate) Release(id call.SessionID, by string) error {
	err := g.record(&call.Record{Kind: call.Quarantined, Time: time.Now().UTC(), Session: id, Durable: true,
		Note: "released by " + by, Decision: &call.Decision{Verdict: call.Allow, Rule: call.RuleQuarantine, By: by}})
	if err != nil {
		return err
	}
	was, err := g.Sessions.Release(id)
	if err == nil && !was {
		err = fmt.Errorf("gate: session %q is not quarantined", id)
	}
	return err
}
