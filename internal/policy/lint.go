package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"

	"outvet/call"
)

// A Problem is something in a policy that loads but may not mean what its
// author thinks.
type Problem struct {
	At      string `json:"at"` // file:line
	Rule    string `json:"rule,omitempty"`
	Message string `json:"message"`

	place place
}

// Lint returns the problems of the policy, in the order of its files.
func (p *Policy) Lint() []Problem {
	l := &linter{p: p}
	for _, layer := range p.layers {
		for _, r := range layer.rules {
			l.wide(r)
			l.dead(r)
			l.doubts(r)
			l.unread(r)
		}
		l.shadowed(layer)
		l.unused(layer)
		l.reserved(layer)
	}
	l.untested()
	slices.SortStableFunc(l.found, func(a, b Problem) int {
		return cmp.Or(strings.Compare(a.place.file, b.place.file), cmp.Compare(a.place.line, b.place.line))
	})
	return l.found
}

type linter struct {
	p     *Policy
	found []Problem
}

func (l *linter) add(at place, rule, format string, args ...any) {
	if strings.HasPrefix(at.file, presetPrefix) {
		return // what is shipped is our concern
	}
	l.found = append(l.found, Problem{at.String(), rule, fmt.Sprintf(format, args...), at})
}

// wide warns of rules that allow more than they seem to.
func (l *linter) wide(r *rule) {
	if !r.speaks || r.verdict != call.Allow {
		return
	}
	narrow := len(r.methods)+len(r.paths)+len(r.ports)+len(r.schemes)+len(r.sessions)+len(r.agents) > 0 ||
		r.tool != nil || r.caller != nil || r.when != nil || len(r.protocols) > 0
	switch {
	case r.to == nil && r.finding != nil && !narrow:
		l.add(r.at.place, r.name, "it allows a call to anywhere as soon as one part of it contains the finding: give it a to:")
	case r.to == nil:
		l.add(r.at.place, r.name, "it allows calls to anywhere: give it a to:")
	}
	for _, t := range r.to {
		for _, h := range t.hosts {
			if h.name == "" && len(t.trusts)+len(t.categories) == 0 {
				l.add(r.at.place, r.name, `it allows calls to anywhere: its to: is "*"`)
			}
			if h.sub && shared(h.name) {
				l.add(r.at.place, r.name, "anybody can get a name below %s: it allows calls to strangers", h.name)
			}
		}
		if t.anywhere() && slices.Contains(t.trusts, Unlabelled) {
			l.add(r.at.place, r.name, "it allows calls to every destination that nobody labelled")
		}
	}
	if r.layer.hasDefault && r.layer.fallback == call.Allow && r.layer.number == 0 && len(r.layer.types) == 0 && !r.unread && !r.edits() && r.uninspected < uninspectedHold && !namesAddresses(r) {
		l.add(r.at.place, r.name, "it has no effect: the default allows what it allows")
	}
}

func namesAddresses(r *rule) bool {
	for _, t := range r.to {
		if len(t.cidrs) > 0 {
			return true
		}
		for _, d := range t.destinations {
			if len(d.cidrs) > 0 {
				return true
			}
		}
	}
	return false
}

// dead warns of rules that cannot match.
func (l *linter) dead(r *rule) {
	path := len(r.paths) > 0
	for _, proto := range r.protocols {
		if path && (proto == "dns" || proto == "tcp" || proto == "connect" || proto == "mcp" || proto == "udp") && len(r.protocols) == 1 {
			l.add(r.at.place, r.name, "it matches nothing: calls of protocol %s have no path", proto)
		}
	}
	if r.tool != nil && len(r.tool.classes) > 0 {
		known := false
		for _, layer := range l.p.layers[:r.layer.number+1] {
			for _, class := range layer.tools {
				known = known || slices.Contains(r.tool.classes, class)
			}
		}
		if !known && !r.strict {
			l.add(r.at.place, r.name, "it matches nothing: no tool under tools: is of class %s", strings.Join(r.tool.classes, ", "))
		}
	}
}

// doubts warns of what reads otherwise than it works.
func (l *linter) doubts(r *rule) {
	for i := range r.doc.paths {
		p := &r.doc.paths[i]
		if p.every() && len(r.doc.paths) > 1 {
			l.add(r.at.place, r.name, "path /** matches every path: the others have no effect")
		}
	}
	if r.doc.irreversible && r.speaks && r.verdict == call.Block {
		l.add(r.at.place, r.name, "irreversible has no effect on a rule that blocks")
	}
	if r.doc.quiet && !r.strict {
		l.add(r.at.place, r.name, "quiet has no effect on a rule that allows")
	}
	if r.layer.number > 0 && r.verdict == call.Allow && r.speaks && namesAddresses(r) {
		l.add(r.at.place, r.name, "addresses named in an inner layer are not admitted: only the outermost can do that")
	}
}

// shadowed warns of rules that another one makes pointless: it matches
// whatever they match and is at least as strict.
func (l *linter) shadowed(layer *layer) {
	const most = 2000 // beyond, comparing all pairs takes too long
	if len(layer.rules) > most {
		return
	}
	for _, a := range layer.rules {
		if !a.speaks || a.unread || a.edits() || a.uninspected != uninspectedUnset || a.lent || a.quarantine {
			continue
		}
		for _, b := range layer.rules {
			if a != b && b.speaks && b.verdict >= a.verdict && !b.lent && b.observe == a.observe && covers(b, a) && (b.verdict > a.verdict || !covers(a, b) || b.index < a.index) {
				l.add(a.at.place, a.name, "it has no effect: rule %q (%s) matches all that it matches and is as strict", b.name, b.at.text)
				break
			}
		}
	}
}

// covers reports whether b surely matches whatever a matches.
func covers(b, a *rule) bool {
	if b.when != nil || b.tool != nil || b.caller != nil || b.sessions != nil || b.agents != nil || b.finding != nil {
		return false
	}
	if b.strict != a.strict && b.paths != nil {
		return false
	}
	return within(a.methods, b.methods) && within(a.protocols, b.protocols) && within(a.schemes, b.schemes) &&
		within(a.ports, b.ports) && pathsWithin(a, b) && toWithin(a.to, b.to)
}

// within reports whether every one of a is in b; an empty list is all.
func within[T comparable](a, b []T) bool {
	if len(b) == 0 {
		return true
	}
	for _, x := range a {
		if !slices.Contains(b, x) {
			return false
		}
	}
	return len(a) > 0
}

func pathsWithin(a, b *rule) bool {
	if b.paths == nil {
		return true
	}
	for _, p := range a.paths {
		if !slices.ContainsFunc(b.paths, func(q pathPattern) bool { return slices.Equal(p.segs, q.segs) }) {
			return false
		}
	}
	return a.paths != nil
}

func toWithin(a, b []*target) bool {
	if b == nil {
		return true
	}
	if a == nil {
		return false
	}
	for _, t := range a {
		if !slices.ContainsFunc(b, func(u *target) bool { return targetWithin(t, u) }) {
			return false
		}
	}
	return true
}

func targetWithin(t, u *target) bool {
	if t.anywhere() && !u.anywhere() || !within(t.categories, u.categories) || !within(t.trusts, u.trusts) {
		return false
	}
	if u.anywhere() {
		return true
	}
	for _, h := range t.hosts {
		if !slices.ContainsFunc(u.hosts, func(g hostPattern) bool { return g == h || g.name == "" || g.sub && g.matches(h.name) }) {
			return false
		}
	}
	for _, d := range t.destinations {
		if !slices.Contains(u.destinations, d) {
			return false
		}
	}
	for _, c := range t.cidrs {
		if !slices.Contains(u.cidrs, c) {
			return false
		}
	}
	return true
}

// unused warns of destinations that nothing names and that label nothing.
func (l *linter) unused(layer *layer) {
	for _, d := range layer.destinations {
		if !d.used && d.category == "" && d.trust == "" && len(d.credentials) == 0 && !d.borrowed {
			l.add(d.at, "", "destination %q is not used", d.name)
		}
		if layer.number > 0 && len(d.credentials) > 0 {
			l.add(d.at, "", "credentials of destination %q have no effect: only the outermost layer says where credentials are at home", d.name)
		}
	}
}

// reserved warns of what is read but not enforced yet.
func (l *linter) reserved(layer *layer) {
	for _, doc := range layer.docs {
		for i := range doc.budgets {
			l.add(doc.budgets[i].at("name"), "", "budget %q is not enforced yet", doc.budgets[i].name)
		}
		for _, t := range doc.sessionTypes {
			if len(t.v.budgets) > 0 {
				l.add(t.v.at("budgets"), "", "the budgets of session type %q are not enforced yet", t.name)
			}
		}
		for _, t := range doc.tools {
			if t.v.endpoint != "" || t.v.arguments != "" {
				l.add(t.at, "", "endpoint and arguments of tool %q are not enforced yet", t.name)
			}
		}
		for i := range doc.secrets {
			if s := &doc.secrets[i]; layer.number > 0 && len(s.home) > 0 {
				l.add(s.at("home"), "", "home of secret %q has no effect: only the outermost layer says where credentials are at home", s.name)
			}
		}
	}
}

// untested warns of a policy without tests, and of one that tests only one side.
func (l *linter) untested() {
	if len(l.p.layers) == 0 || len(l.p.layers[0].docs) == 0 {
		return
	}
	top := l.p.layers[0].docs[0]
	at := place{top.file, 1, 1}
	var allow, refuse bool
	for _, t := range l.p.tests {
		allow, refuse = allow || t.want == call.Allow, refuse || t.want != call.Allow
	}
	switch {
	case !allow && !refuse:
		l.add(at, "", "the policy has no tests")
	case !allow:
		l.add(at, "", "no test says what must be allowed")
	case !refuse:
		l.add(at, "", "no test says what must be held or blocked")
	}
}

// shared reports whether names directly below name belong to different owners.
func shared(name string) bool {
	suffix, _ := publicsuffix.PublicSuffix(name)
	return suffix == name
}
