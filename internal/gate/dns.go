package gate

import (
	"fmt"
	"net/url"

	"outvet/call"
	"outvet/internal/hostname"
	"outvet/internal/payload"
)

// DNS describes a query for records of the type kind ("A", "TXT", "TYPE65280").
// name is canonical; one that is no host name, as policy will find, is as it is
// to be shown.
func DNS(name, kind string) (*call.Call, *payload.Message) {
	c := &call.Call{
		Dest: call.Dest{Scheme: "dns", Host: name, Port: 53},
		Op:   call.Op{Protocol: "dns", Method: kind, Target: name},
	}
	return c, &payload.Message{Host: name}
}

// askedDNS describes the query that dns://NAME stands for.
func askedDNS(kind string, u *url.URL) (*call.Call, *payload.Message, error) {
	if u.User != nil || u.Port() != "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" {
		return nil, nil, fmt.Errorf("url %q: of a query only TYPE dns://NAME can be asked", u.Redacted())
	}
	host, err := hostname.Canonical(u.Hostname())
	if err != nil {
		return nil, nil, fmt.Errorf("url %q: %w", u.Redacted(), err)
	}
	c, m := DNS(host, kind)
	return c, m, nil
}

// weigh decides again for a call that the head refuses already and that has
// nothing but a head: what was found in it counts, and may quarantine.
func (p *Passage) weigh(r *rules) {
	if p.m.Body == nil && len(p.decided.Findings) > 0 && p.decided.Rule != call.RuleFault {
		r.policy.Decide(p.c, &p.decided)
	}
}

// Rest says that the call is over in all but its record, which waits for more of
// the same: nothing can be stopped any more. It reports false if the call was
// stopped before.
func (p *Passage) Rest() bool {
	p.g.open.remove(p)
	return p.Stopped() == nil
}

// Stands reports whether the same call would be let pass again as it was: by the
// same policy, with nobody and nothing stopped since.
func (p *Passage) Stands() bool {
	return p.g.rules.Load() == p.rules && p.g.halt.now.Load() == nil && p.g.Sessions.Stopped(&p.c.Caller) == ""
}
