package policy

import (
	"fmt"
	"slices"
	"strings"

	"outvet/call"
)

// protocolTLS is the protocol of a call whose TLS passes unread.
const protocolTLS = "tls"

// names reports whether calls that the rule matches may pass unread. Only the
// outermost layer can say so: it loosens what every layer relies on. A rule that
// observes acts on nothing, unless all of its layer observes: then its calls
// pass as they would when the layer is enforced.
func (r *rule) names() bool {
	return r.unread && r.layer.number == 0 && (!r.observe || r.layer.observe)
}

// checkUnread reports what a rule that passes TLS unread cannot ask or do.
func (b *builder) checkUnread(r *rule, d *ruleDoc) {
	if !r.speaks || r.verdict != call.Allow {
		b.add(d.at("tls"), "rule %s has tls: passthrough, so its verdict is allow", quote(r.name))
	}
	if len(d.to) == 0 {
		b.add(d.at("tls"), "rule %s has tls: passthrough, but no to: that names the hosts", quote(r.name))
	}
	for _, k := range []struct {
		name string
		set  bool
	}{
		{"protocol", d.protocols != nil}, {"scheme", d.schemes != nil}, {"method", d.methods != nil}, {"path", d.paths != nil},
		{"finding", d.finding != nil}, {"redact", d.redact != ""}, {"strip_headers", d.strip != nil}, {"set_headers", d.set != nil},
		{"uninspected", d.uninspected != ""},
	} {
		if k.set {
			b.add(d.at(k.name), "rule %s passes TLS unread, so %s has no meaning in it", quote(r.name), k.name)
		}
	}
}

// Unread reports whether policy says that TLS to the destination of c, a call
// of protocol tls, passes unread, and would let it pass by its head. Listeners
// end the TLS of all others.
func (p *Policy) Unread(c *call.Call) bool {
	if !p.unread {
		return false
	}
	var d call.Decision
	e := p.begin(c, &d, true)
	defer e.end()
	if e.broken {
		return false
	}
	e.run()
	return e.named && e.combine(enforced).verdict == call.Allow
}

// unnamed refuses TLS that no rule says may pass unread: no default and no
// other rule can allow that.
func (e *eval) unnamed() {
	d := e.d
	*d = call.Decision{
		Verdict: call.Block, Rule: call.RuleDefault, Code: codeDestination,
		Reason:      "Policy does not let TLS to " + e.where() + " pass unread.",
		Findings:    d.Findings,
		Uninspected: d.Uninspected,
		Policy:      e.p.digest,
	}
}

// inside answers a condition on what stands inside TLS that is not read.
func (e *eval) inside(r *rule) truth {
	if r.strict {
		return unknown
	}
	return no
}

// oneOf matches protocol or scheme. Unread TLS may be any of over.
func (e *eval) oneOf(r *rule, want []string, got string, over []string) truth {
	if slices.Contains(want, got) {
		return yes
	}
	if e.unread && slices.ContainsFunc(want, func(w string) bool { return slices.Contains(over, w) }) {
		return e.inside(r)
	}
	return no
}

// Words for what is spoken over TLS.
var (
	protocolsOverTLS = []string{"http", "ws", "grpc", "mcp"}
	schemesOverTLS   = []string{"https", "wss"}
)

// unread warns of a rule that passes more unread than it seems to, or nothing,
// and says which rules no longer see its hosts.
func (l *linter) unread(r *rule) {
	if !r.unread {
		return
	}
	if r.layer.number > 0 {
		l.add(r.at.place, r.name, "tls: passthrough has no effect in this layer: only the outermost lets TLS pass unread")
		return
	}
	if !r.names() {
		l.add(r.at.place, r.name, "tls: passthrough has no effect: a rule that observes lets nothing pass unread")
		return
	}
	for _, t := range r.to {
		if t.anywhere() && len(t.categories)+len(t.trusts) > 0 {
			l.add(r.at.place, r.name, "TLS to every destination of a category or trust passes unread: name the hosts")
		}
		for _, c := range t.cidrs {
			if c.Addr().BitLen()-c.Bits() > 8 {
				l.add(r.at.place, r.name, "TLS to all of %s passes unread: name the hosts", c)
			}
		}
	}
	var blind, asking []string
	for _, layer := range l.p.layers {
		for _, o := range layer.rules {
			switch {
			case !o.strict || !o.meets(r):
			case o.finding != nil && !strings.HasPrefix(o.finding.part, "host") || o.uninspected >= uninspectedHold || o.when != nil && o.when.late, o.edits():
				blind = append(blind, quote(o.name))
			case o.speaks && len(o.methods)+len(o.paths) > 0:
				asking = append(asking, quote(o.name))
			}
		}
	}
	if len(blind) > 0 {
		l.add(r.at.place, r.name, "what passes unread is not seen by %s", someOf(blind))
	}
	if len(asking) > 0 {
		l.add(r.at.place, r.name, "where %s matches nothing passes unread: methods and paths are not known", someOf(asking))
	}
}

func someOf(names []string) string {
	const most = 3
	if len(names) == 1 {
		return "rule " + names[0]
	}
	if len(names) > most {
		return fmt.Sprintf("rules %s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return "rules " + strings.Join(names, ", ")
}

// meets reports whether some host is named by both rules, as far as their
// patterns tell.
func (r *rule) meets(o *rule) bool {
	if r.to == nil {
		return true
	}
	for _, a := range r.hosts() {
		for _, b := range o.hosts() {
			if a == b || a.name == "" || b.name == "" || a.matches(b.name) || b.matches(a.name) {
				return true
			}
		}
	}
	return false
}

// hosts returns the patterns of all targets.
func (r *rule) hosts() []hostPattern {
	var all []hostPattern
	for _, t := range r.to {
		all = append(all, t.hosts...)
		for _, d := range t.destinations {
			all = append(all, d.hosts...)
		}
	}
	return all
}
