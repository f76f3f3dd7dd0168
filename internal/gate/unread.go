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
