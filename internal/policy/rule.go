package policy

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"outvet/call"
)

// A truth is the answer of a condition. An allowing rule and one that sets
// headers need yes; one that strips headers needs alleged: somebody says so. A
// rule that holds, blocks or redacts is satisfied by unknown.
type truth uint8

const (
	no truth = iota
	unknown
	alleged
	yes
)

func (t truth) String() string { return [...]string{"no", "unknown", "only claimed", "yes"}[t] }

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

// A rule is one rule, compiled.
type rule struct {
	layer *layer
	index int // in its layer
	name  string
	at    spot
	doc   *ruleDoc

	to []*target // nil for anywhere

	verdict call.Verdict
	speaks  bool // gives a verdict
	strict  bool // holds, blocks or only edits: what is not known satisfies it
	observe bool
	lent    bool // delegated: a verdict of an inner layer replaces it
	unread  bool // allows TLS that nobody reads, and nothing else

	protocols, methods, schemes []string
	ports                       []uint16
	paths                       []pathPattern // nil for any
	sessions, agents            []string
	caller                      *callerCond
	tool                        *toolCond
	finding                     *findingDoc
	when                        *expr

	uninspected uninspected
	redact      string // "", mask or remove
	strip       []string
	set         []header
	quarantine  bool

	approvers string
	said      string // reason of an allowing decision
}

// An uninspected says what a rule does about what could not be inspected.
type uninspected uint8

const (
	uninspectedUnset uninspected = iota
	uninspectedAllow
	uninspectedHold
	uninspectedBlock
)

// A target is one alternative of a rule's to:.
type target struct {
	hosts        []hostPattern
	cidrs        []netip.Prefix
	destinations []*destination
	categories   []string
	trusts       []string
}

// anywhere reports whether the target names no hosts, addresses or
// destinations.
func (t *target) anywhere() bool {
	return len(t.hosts) == 0 && len(t.cidrs) == 0 && len(t.destinations) == 0
}

// A destination is a named set of hosts and addresses, with what is known of
// them.
type destination struct {
	name            string
	at              place
	hosts           []hostPattern
	cidrs           []netip.Prefix
	ports           []uint16
	category, trust string
	credentials     []string
	lent, used      bool
	borrowed        bool   // of an outer layer, for the rules of this one
	rules           bucket // rules that name it
	admit           int    // number of its cidrs as a set that can be admitted, from 1
}

func (d *destination) port(p uint16) bool {
	return len(d.ports) == 0 || slices.Contains(d.ports, p)
}

// A layer is one source of rules with all that it includes.
type layer struct {
	name       string
	number     int // from 0, outermost
	observe    bool
	fallback   call.Verdict
	hasDefault bool
	defaultAt  spot
	types      map[string]call.Verdict

	rules        []*rule
	destinations []*destination
	tools        map[string]string // tool to class
	index        *index
	anyMethod    bool        // an allowing or holding rule names no host, but a method or path
	docs         []*document // for lint
}

// edits reports whether the rule changes calls.
func (r *rule) edits() bool { return r.redact != "" || len(r.strip) > 0 || len(r.set) > 0 }

// compile fills a rule from its document. Targets are resolved apart.
func (b *builder) compile(r *rule) {
	d := r.doc
	r.at = spotOf(d.at("name"))
	r.protocols, r.methods, r.schemes, r.ports = d.protocols, d.methods, d.schemes, d.ports
	r.sessions, r.agents, r.caller, r.tool, r.finding = d.sessions, d.agents, d.caller, d.tool, d.finding
	r.redact, r.strip, r.set, r.quarantine = d.redact, d.strip, d.set, d.quarantine
	r.observe = b.observe || d.mode == "observe" || d.mode == "" && r.layer.observe
	r.speaks = d.verdict != ""
	if r.speaks {
		r.verdict = verdictOf(d.verdict)
	}
	switch d.uninspected {
	case "allow":
		r.uninspected = uninspectedAllow
	case "hold":
		r.uninspected = uninspectedHold
	case "block":
		r.uninspected = uninspectedBlock
	}
	r.strict = !r.speaks || r.verdict != call.Allow
	if d.quarantine && !r.speaks {
		r.speaks, r.verdict = true, call.Block
	}
	b.check(r, d)
	if r.unread = d.tls != ""; r.unread {
		b.checkUnread(r, d)
		r.protocols = []string{protocolTLS}
	}
	r.paths = d.paths
	if slices.ContainsFunc(d.paths, pathPattern.every) {
		r.paths = nil
	}
	if r.strict {
		folded := make([]pathPattern, len(r.paths))
		for i := range r.paths {
			folded[i] = r.paths[i].fold()
		}
		r.paths = folded
	}
	if len(r.paths) == 0 {
		r.paths = nil
	}
	if d.when.v != "" {
		r.when = b.expr(d.when)
	}
	if r.unread && r.when != nil && r.when.late {
		b.add(d.when.at, "when: rule %s passes TLS unread, so its expression cannot ask for findings or call.sent", quote(r.name))
	}
	if d.approvers != nil {
		r.approvers = d.approvers.String()
	}
	if r.said = d.reason; r.said == "" {
		r.said = "Rule " + strconv.Quote(r.name) + " allows it."
	}
}

// check reports what makes no sense together.
func (b *builder) check(r *rule, d *ruleDoc) {
	if !r.speaks && !r.edits() && r.uninspected < uninspectedHold {
		b.add(d.at("name"), "rule %s does nothing: give it a verdict, redact, strip_headers, set_headers, quarantine or uninspected", quote(r.name))
	}
	if r.redact != "" && r.finding == nil {
		b.add(d.at("redact"), "rule %s redacts, but has no finding: that says what", quote(r.name))
	}
	if r.quarantine && r.speaks && r.verdict != call.Block {
		b.add(d.at("quarantine"), "rule %s stops the session, so its verdict cannot be %s", quote(r.name), d.verdict)
	}
	if r.uninspected == uninspectedAllow && r.finding == nil && d.when.v == "" {
		b.add(d.at("uninspected"), "rule %s: uninspected: allow has no effect without finding:", quote(r.name))
	}
	if d.approvers != nil && !(r.speaks && r.verdict == call.Hold) && r.uninspected != uninspectedHold {
		b.add(d.at("approvers"), "rule %s has approvers, but holds nothing", quote(r.name))
	}
	for i, h := range r.strip {
		if slices.Contains(r.strip[:i], h) {
			b.add(d.at("strip_headers"), "rule %s strips header %s twice", quote(r.name), quote(h))
		}
		if slices.ContainsFunc(r.set, func(s header) bool { return s.name == h }) {
			b.add(d.at("set_headers"), "rule %s both strips and sets header %s", quote(r.name), quote(h))
		}
	}
}

func verdictOf(s string) call.Verdict {
	var v call.Verdict
	_ = v.UnmarshalText([]byte(s)) // it never fails: an unknown word is block
	return v
}

// String says who may decide, for the record and the approver.
func (a *approversDoc) String() string {
	var parts []string
	add := func(what string, who []string) {
		if len(who) > 0 {
			parts = append(parts, what+" "+strings.Join(who, ", "))
		}
	}
	add("groups", a.groups)
	add("users", a.users)
	if a.count > 0 {
		parts = append(parts, "count "+strconv.FormatInt(a.count, 10))
	}
	if a.timeout > 0 {
		parts = append(parts, "timeout "+a.timeout.String())
	}
	add("escalate", a.escalate)
	return strings.Join(parts, "; ")
}
