package gate

import "outvet/call"

// unreadMax bounds what the record of one call says of what was not read.
const unreadMax = 16

// noteUnread keeps for the closed record what could not be read in a window or a
// message that policy let pass, each reason once. mu is held.
func (p *Passage) noteUnread(unread []call.Uninspected) {
	for _, u := range unread {
		known := len(p.decided.Uninspected) >= unreadMax
		for i := range p.decided.Uninspected {
			known = known || p.decided.Uninspected[i].Reason == u.Reason
		}
		if !known {
			p.decided.Uninspected = append(p.decided.Uninspected, u)
			p.changed = true
		}
	}
}

// Hidden says that from here on the payload of a raw connection cannot be read,
// and why. The policy in force decides over that: the error is a *Stopped when
// nothing more may leave.
func (p *Passage) Hidden(why string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped != nil {
		return p.stopped
	}
	policy := p.g.rules.Load().policy
	c := *p.c
	d := call.Decision{Uninspected: []call.Uninspected{{Part: "body", Reason: why}}, Policy: policy.Digest()}
	policy.Decide(&c, &d)
	p.noteUnread(d.Uninspected)
	if d.Verdict != call.Allow && !d.Observed {
		return p.stopLocked(d)
	}
	return nil
}
