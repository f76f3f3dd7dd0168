package gate

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"outvet/call"
	"outvet/internal/kill"
)

// halting is the kill switch as it bears on calls. The zero value lets calls pass.
type halting struct {
	now atomic.Pointer[halt] // nil while calls may pass

	// mu makes one step of what is done to the switch: in memory, on disk and in
	// the log.
	mu sync.Mutex
}

// A halt is the reason why no call may pass. It is not changed.
type halt struct {
	notice   kill.Notice
	decision call.Decision
	fault    error // nobody pulled the switch: it cannot be looked at
	kept     bool  // it is on disk
	told     bool  // it is in the log
}

// refuse makes d the decision that no call may pass, and reports true, if so.
func (s *halting) refuse(d *call.Decision) bool {
	h := s.now.Load()
	if h == nil {
		return false
	}
	policy := d.Policy
	*d = h.decision
	d.Policy = policy
	return true
}

func pulled(n kill.Notice) halt {
	why := "A person stopped all calls of all agents"
	if n.Why != "" {
		why += ": " + n.Why
	}
	return halt{notice: n, decision: call.Decision{Verdict: call.Block, Rule: call.RuleKill, Code: "killed", Reason: why, By: n.By}}
}

// Killed returns who stopped all calls, nil if they may pass. The reason is an
// error when nobody did but the switch cannot be looked at.
func (g *Gate) Killed() (*kill.Notice, error) {
	h := g.halt.now.Load()
	if h == nil {
		return nil, nil
	}
	return &h.notice, h.fault
}

// Kill stops all calls: those that are open, and all that come until Lift. The
// first reason stands. Calls are stopped before anything is written; an error
// says that the record lacks it or that a restart would forget it.
func (g *Gate) Kill(n kill.Notice) error {
	g.halt.mu.Lock()
	defer g.halt.mu.Unlock()
	if h := g.halt.now.Load(); h != nil && h.fault == nil {
		return nil
	}
	h := pulled(n)
	g.stop(h)
	var err error
	if g.Switch != nil {
		err = g.Switch.Pull(n)
	}
	h.kept = err == nil
	return errors.Join(err, g.tellKill(h))
}

// stop puts h in force and stops what is open.
func (g *Gate) stop(h halt) {
	g.halt.now.Store(&h)
	g.rejudge()
	if g.Logger != nil {
		g.Logger.Warn("all calls are stopped", "by", h.notice.By, "how", h.notice.How, "why", h.notice.Why)
	}
	if g.Cut != nil {
		go g.Cut()
	}
}

// tellKill records h, unless the log has it.
func (g *Gate) tellKill(h halt) error {
	var err error
	if !h.told {
		n := &h.notice
		d := h.decision
		note := fmt.Sprintf("all calls stopped by %s, with %s", n.By, n.How)
		if n.Why != "" {
			note += ": " + n.Why
		}
		err = g.record(&call.Record{Kind: call.Killed, Time: time.Now().UTC(), Durable: true, Decision: &d, Note: note})
		if h.told = err == nil; h.told && g.Switch != nil && h.fault == nil {
			g.Switch.See(true)
		}
	}
	g.halt.now.Store(&h)
	return err
}

// Lift lets calls pass again. It counts only when the switch is off the disk and
// the log has it.
func (g *Gate) Lift(by, how string) error {
	g.halt.mu.Lock()
	defer g.halt.mu.Unlock()
	h := g.halt.now.Load()
	switch {
	case h == nil:
		return errors.New("gate: calls are not stopped")
	case h.fault != nil:
		return fmt.Errorf("gate: nobody can lift the switch: %w", h.fault)
	}
	if g.Switch != nil {
		if err := g.Switch.Lift(); err != nil {
			return err
		}
	}
	return g.lifted(by, how)
}

// lifted records that calls pass again and lets them.
func (g *Gate) lifted(by, how string) error {
	err := g.record(&call.Record{Kind: call.Killed, Time: time.Now().UTC(), Durable: true,
		Note:     fmt.Sprintf("calls let pass again by %s, with %s", by, how),
		Decision: &call.Decision{Verdict: call.Allow, Rule: call.RuleKill, By: by}})
	if err != nil {
		return err
	}
	if g.Switch != nil {
		g.Switch.See(false)
	}
	g.halt.now.Store(nil)
	if g.Logger != nil {
		g.Logger.Warn("calls pass again", "by", by, "how", how)
	}
	return nil
}

// someone is who removed the file: the system does not say.
const someone = "somebody with access to the state directory"

// Look makes what the switch on disk says count. It is called before the first
// call and whenever the disk may have changed (kill.Switch.Watch). What cannot be
// written is tried again at the next look.
func (g *Gate) Look() {
	g.halt.mu.Lock()
	defer g.halt.mu.Unlock()
	n, err := g.Switch.Read()
	h := g.halt.now.Load()
	switch {
	case err != nil:
		g.lookFailed(h, err)
	case n != nil && (h == nil || h.fault != nil):
		next := pulled(*n)
		next.kept = true
		g.stop(next)
		g.looked("record that all calls are stopped", g.tellKill(next))
	case n != nil && h.notice.Why == "" && n.Why != "": // the file was seen before what was written into it
		next := pulled(*n)
		next.kept = true
		g.halt.now.Store(&next)
		g.looked("record why all calls are stopped", g.tellKill(next))
		if g.Logger != nil {
			g.Logger.Warn("why all calls are stopped", "by", n.By, "why", n.Why)
		}
	case n != nil:
		next := *h
		if next.kept = true; !h.kept || !h.told {
			_ = g.tellKill(next) // warned of already
		}
	case h != nil && h.fault != nil:
		g.looked("record that calls pass again", g.lifted("outvet", "the switch that can be read again"))
	case h != nil && h.kept:
		g.looked("record that calls pass again", g.lifted(someone, "the file removed"))
	case h != nil: // not on disk yet
		next := *h
		if next.kept = g.Switch.Pull(h.notice) == nil; next.kept {
			_ = g.tellKill(next)
		}
	case g.Switch.Seen():
		g.looked("record that calls pass again", g.lifted(someone, "the file removed while outvet did not run"))
	}
}

// lookFailed stops all calls because nobody can say whether they may pass.
func (g *Gate) lookFailed(h *halt, err error) {
	switch {
	case h == nil:
		next := halt{fault: err, decision: faulty("read its kill switch", errors.New("no call passes until it can")), kept: true}
		next.notice = kill.Notice{By: "outvet", How: "its fault rule", Why: err.Error(), At: time.Now().UTC()}
		g.stop(next)
		g.looked("read the kill switch", err)
		g.looked("record that all calls are stopped", g.tellKill(next))
	case !h.told:
		_ = g.tellKill(*h)
	}
}

func (g *Gate) looked(what string, err error) {
	if err != nil {
		g.warn("could not "+what, err)
	}
}
