package policy

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"outvet/call"
)

// An Explanation says why a call got its decision: every rule, what it asks
// and what the call has.
type Explanation struct {
	Decision call.Decision `json:"decision"`
	Category string        `json:"category"`
	Trust    string        `json:"trust"`
	Path     string        `json:"path"` // how sure the path is read: clean, two readings, unclear
	Rules    []Considered  `json:"rules"`
}

// A Considered is one rule as seen for one call.
type Considered struct {
	Rule    string  `json:"rule"`
	Layer   string  `json:"layer"`
	At      string  `json:"at"`
	Verdict string  `json:"verdict,omitempty"` // "" if the rule only edits
	Mode    string  `json:"mode"`
	Matched bool    `json:"matched"`
	Fields  []Field `json:"fields"`
}

// A Field is one condition of a rule.
type Field struct {
	Name   string `json:"name"`
	Want   string `json:"want"`
	Got    string `json:"got"`
	Answer string `json:"answer"` // yes, no, unknown, only claimed
}

// Explain asks every rule one by one, without the index. d holds findings and
// uninspected parts, if any. It writes no field of c or d.
func (p *Policy) Explain(c *call.Call, d call.Decision) Explanation {
	own := *c
	x := Explanation{Decision: d}
	p.Decide(&own, &x.Decision)
	x.Category, x.Trust = own.Dest.Category, own.Dest.Trust
	e := p.begin(&own, &d, false)
	defer e.end()
	x.Path = [...]string{"none", "clean", "two readings", "unclear", "unclear"}[e.path.kind]
	if e.broken {
		return x
	}
	for i, l := range p.layers {
		e.layer, e.state = l, &e.states[i]
		e.locate(l.index)
		e.label(i)
		for _, r := range l.rules {
			x.Rules = append(x.Rules, e.explain(r))
		}
	}
	return x
}

// explain asks one rule field by field.
func (e *eval) explain(r *rule) Considered {
	out := Considered{Rule: r.name, Layer: r.layer.name, At: r.at.text, Mode: modeOf(r.observe)}
	if r.speaks {
		out.Verdict = r.verdict.String()
	}
	t := yes
	add := func(name, want, got string, answer truth) {
		t = min(t, answer)
		out.Fields = append(out.Fields, Field{name, want, got, answer.String()})
	}
	c := e.c
	if r.to != nil {
		add("to", wantTo(r.to), e.gotTo(), e.toIs(r))
	}
	e.explainOp(r, add)
	who := &c.Caller
	for _, a := range []struct {
		name string
		want []string
		got  call.Attr
	}{{"session", r.sessions, who.Type}, {"agent", r.agents, who.Agent}} {
		if a.want != nil {
			add(a.name, strings.Join(a.want, ", "), gotAttr(a.got), attrIs(a.got, a.want))
		}
	}
	if r.caller != nil {
		want := append(append(append([]string(nil), r.caller.principals...), r.caller.roles...), r.caller.purposes...)
		add("caller", strings.Join(want, ", "), gotAttr(who.Principal), callerIs(who, r.caller))
	}
	if r.tool != nil {
		add("tool", strings.Join(append(append([]string(nil), r.tool.names...), r.tool.classes...), ", "), gotAttr(e.tool), e.toolIs(r.tool))
	}
	if r.when != nil {
		e.vars.ask(r)
		add("when", r.when.text, "", r.when.eval(&e.vars))
	}
	out.Matched = t == yes || r.strict && t != no
	if !out.Matched {
		return out
	}
	v, ok := e.outcome(r)
	if r.finding != nil {
		answer := truthOf(ok)
		if v.why == whyUninspected {
			answer = unknown
		}
		out.Fields = append(out.Fields, Field{"finding", strings.Join(r.finding.kinds, ", "), e.gotFindings(), answer.String()})
	}
	out.Matched = ok
	return out
}

func (e *eval) explainOp(r *rule, add func(name, want, got string, answer truth)) {
	c := e.c
	if e.foresees(r) {
		add("connection", "any that may follow", "not known yet", e.mayConcern(r, nil))
		return
	}
	if r.unread {
		add("tls", "passthrough", c.Op.Protocol, truthOf(e.unread))
	} else {
		for _, f := range []struct {
			name string
			want []string
			got  string
			over []string
		}{{"protocol", r.protocols, c.Op.Protocol, protocolsOverTLS}, {"scheme", r.schemes, c.Dest.Scheme, schemesOverTLS}} {
			if len(f.want) > 0 {
				add(f.name, strings.Join(f.want, ", "), f.got, e.oneOf(r, f.want, f.got, f.over))
			}
		}
	}
	if len(r.methods) > 0 {
		add("method", strings.Join(r.methods, ", "), c.Op.Method, e.methodIs(r))
	}
	if len(r.ports) > 0 {
		is, want := false, make([]string, len(r.ports))
		for i, p := range r.ports {
			is, want[i] = is || p == c.Dest.Port, strconv.Itoa(int(p))
		}
		add("port", strings.Join(want, ", "), strconv.Itoa(int(c.Dest.Port)), truthOf(is))
	}
	if r.paths != nil {
		want := make([]string, len(r.paths))
		for i := range r.paths {
			want[i] = r.paths[i].text
		}
		add("path", strings.Join(want, ", "), clip(c.Op.Target), e.pathIs(r))
	}
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

// methodIs is the definition of method:.
func (e *eval) methodIs(r *rule) truth {
	if e.unread {
		return e.inside(r)
	}
	is := contains(r.methods, e.c.Op.Method)
	for _, m := range r.methods {
		is = is || r.strict && strings.ToUpper(m) == e.method
	}
	return truthOf(is)
}

// toIs is the definition of to:, without the index.
func (e *eval) toIs(r *rule) truth {
	best := no
	for _, t := range r.to {
		l := &e.state.labels
		if len(t.categories) > 0 && !contains(t.categories, l.category) || len(t.trusts) > 0 && !contains(t.trusts, l.trust) {
			continue
		}
		best = max(best, e.targetIs(r, t))
	}
	return best
}

func (e *eval) targetIs(r *rule, t *target) truth {
	if t.anywhere() {
		return yes
	}
	best := e.among(r, t.hosts, t.cidrs)
	for _, d := range t.destinations {
		if d.port(e.c.Dest.Port) {
			best = max(best, e.among(r, d.hosts, d.cidrs))
		}
	}
	return best
}

// among says whether the host of the call is one of hosts or in one of cidrs.
// An address that the host only perhaps stands for counts for strict rules. A
// range of addresses says nothing of a name: the guard looks at it once the
// name is resolved.
func (e *eval) among(r *rule, hosts []hostPattern, cidrs []netip.Prefix) truth {
	if e.host == "" {
		return no
	}
	best := no
	for _, h := range hosts {
		if h.matches(e.host) && (!h.sub || !e.addr.IsValid()) {
			return yes
		}
		for _, a := range e.doubt {
			if r.strict && h.name == a.String() {
				best = alleged
			}
		}
	}
	for _, p := range cidrs {
		if e.addr.IsValid() && p.Contains(e.addr) {
			return yes
		}
		for _, a := range e.doubt {
			if r.strict && p.Contains(a) {
				best = alleged
			}
		}
	}
	return best
}

// pathIs is the definition of path:.
func (e *eval) pathIs(r *rule) truth {
	any := func(path []byte) bool {
		for i := range r.paths {
			if r.paths[i].matches(path) {
				return true
			}
		}
		return false
	}
	switch {
	case e.path.kind == pathNone:
		return no
	case r.strict && e.path.kind == pathWild:
		return unknown
	case r.strict:
		for _, path := range e.path.folded[:e.path.used] {
			if any(path) {
				if e.path.kind == pathClean {
					return yes
				}
				return alleged
			}
		}
		return no
	case e.path.kind == pathClean:
		return truthOf(any(e.path.plain))
	case e.path.kind == pathSlash:
		return truthOf(any(e.path.plain) && any(e.path.slash))
	}
	return no
}

func wantTo(to []*target) string {
	var all []string
	for _, t := range to {
		var one []string
		for _, h := range t.hosts {
			one = append(one, h.String())
		}
		for _, c := range t.cidrs {
			one = append(one, c.String())
		}
		for _, d := range t.destinations {
			one = append(one, "@"+d.name)
		}
		for _, c := range t.categories {
			one = append(one, "category "+c)
		}
		for _, c := range t.trusts {
			one = append(one, "trust "+c)
		}
		all = append(all, clip(strings.Join(one, " ")))
	}
	return strings.Join(all, ", ")
}

func (e *eval) gotTo() string {
	return fmt.Sprintf("%s (category %s, trust %s)", e.host, e.state.labels.category, e.state.labels.trust)
}

func gotAttr(a call.Attr) string {
	if a.Value == "" {
		return "nothing known"
	}
	return clip(a.Value) + " (" + a.Mark.String() + ")"
}

func (e *eval) gotFindings() string {
	if len(e.d.Findings) == 0 {
		return "nothing"
	}
	var kinds []string
	for i := range e.d.Findings {
		if k := e.d.Findings[i].Kind; !contains(kinds, k) {
			kinds = append(kinds, k)
		}
	}
	return strings.Join(kinds, ", ")
}
