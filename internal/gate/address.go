package gate

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"outvet/call"
	"outvet/internal/forward"
)

// Prohibited makes the call a refused one because the address that its name
// resolved to is not to be reached: the guard of the decision says so, which
// could be applied only after the decision admitted the look-up.
func (p *Passage) Prohibited(r *forward.Refused) call.Decision {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := &p.decided
	d.Verdict, d.Rule, d.Code, d.Observed = call.Block, r.Rule, "destination_ip_prohibited", false
	d.At, d.Layer = "", "" // they are those of what admitted the look-up
	host := p.shown.host
	switch a, err := netip.ParseAddr(host); {
	case !r.Addr.IsValid():
		d.Reason = fmt.Sprintf("%s may not be reached from here: %s.", host, r.Why)
	case err == nil && a.Unmap() == r.Addr.Unmap():
		d.Reason = fmt.Sprintf("%s is an address that may not be reached from here (%s).", host, r.Why)
	default:
		d.Reason = fmt.Sprintf("%s resolves to an address that may not be reached from here (%s).", host, r.Why)
	}
	p.changed = true
	p.Decision = *d
	return *d
}

// Located applies the guard of an allowed call to a host that is an address, or
// this machine by its name, and returns the decision. It is for those who ask
// and do not dial: what a name resolves to is known only once it may be looked
// up.
func (p *Passage) Located() call.Decision {
	host := p.c.Dest.Host
	a, err := netip.ParseAddr(host)
	if host == "localhost" || strings.HasSuffix(host, ".localhost") { // RFC 6761 §6.3
		a, err = netip.AddrFrom4([4]byte{127, 0, 0, 1}), nil
	}
	if err != nil || p.Verdict != call.Allow {
		return p.Decision
	}
	if r, ok := errors.AsType[*forward.Refused](forward.Check(a, p.Guard)); ok {
		return p.Prohibited(r)
	}
	return p.Decision
}
