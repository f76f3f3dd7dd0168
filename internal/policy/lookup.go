package policy

import (
	"slices"

	"outvet/call"
)

// protocolDNS is the protocol of a call that asks for a name.
const protocolDNS = "dns"

// A query says what a call asks of DNS.
type query uint8

const (
	noQuery  query = iota
	ofPeer         // addresses: what comes is a connection, and that will be judged
	ofRecord       // anything else: the question and its answer are all there is
)

func queryOf(c *call.Call) query {
	if c.Op.Protocol != protocolDNS {
		return noQuery
	}
	switch c.Op.Method {
	case "A", "AAAA", "HTTPS", "SVCB":
		return ofPeer
	}
	return ofRecord
}

// ofNames reports whether the rule is about queries themselves.
func (r *rule) ofNames() bool { return slices.Contains(r.protocols, protocolDNS) }

// foresees reports whether r is asked not about the call at hand, which looks an
// address up, but about the connections that may follow it.
func (e *eval) foresees(r *rule) bool { return e.query == ofPeer && !r.ofNames() }

// mayConcern says whether r speaks of a connection to the host whose address is
// looked up. Method, path, port and the like are not known yet: a rule that
// allows or holds some connections admits the look-up, one that blocks only some
// says nothing of it.
func (e *eval) mayConcern(r *rule, t *target) truth {
	if !r.speaks || !e.labelled(t) {
		return no
	}
	who := e.who(r)
	switch {
	case r.verdict != call.Block:
		return truthOf(who != no)
	case len(r.protocols)+len(r.schemes)+len(r.methods)+len(r.paths)+len(r.ports) > 0:
		return no
	}
	return truthOf(who == yes)
}

// byExpression adds what the expression of r says to t.
func (e *eval) byExpression(r *rule, t truth) truth {
	got := r.when.eval(&e.vars)
	switch {
	case !e.foresees(r):
		return min(t, got)
	case got == yes || got != no && r.verdict != call.Block:
		return t
	}
	return no
}

// grants reports whether r can let a query out for anything but an address. It
// must name the host, or queries: who allows requests to anywhere did not mean
// that names are asked of anybody.
func (e *eval) grants(r *rule) bool {
	return e.query != ofRecord || r.verdict == call.Block || !e.wide || r.ofNames()
}

// byQuery returns what the default of a layer means for a query.
func (e *eval) byQuery(v voice) voice {
	switch {
	case v.layer == nil:
	case e.query == ofPeer && v.verdict == call.Hold:
		v.verdict = call.Block // a person has not admitted the name yet
	case e.query == ofRecord && v.verdict == call.Allow:
		v.verdict = call.Block
	}
	return v
}

// mentioned reports whether the layer at hand names the host. e.near holds the
// nodes of its index x.
func (e *eval) mentioned(x *index) bool {
	for _, n := range e.near {
		if n.node != &x.every && n.sure {
			return true
		}
	}
	return false
}
