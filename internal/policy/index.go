package policy

import (
	"net/netip"
	"slices"
	"strings"

	"outvet/call"
)

// An index finds the rules and destinations of a layer that may concern a call.
// What it finds does not depend on how many others there are: hosts, names
// above them and address ranges are looked up by hash, one look for each label
// of the host and each length of prefix in use; methods by hash, paths in a
// trie, kinds of findings by hash.
type index struct {
	exact map[string]*node
	below map[string]*node // *.name
	every node             // *
	any   node             // rules that name no host
	// remote are the holding and blocking rules that name addresses, for calls
	// whose host is a name: they apply once the name is resolved.
	remote node
	cidrs  map[netip.Prefix]*node
	bits   [2][]int // prefix lengths in use, longest first; IPv4, IPv6
}

// A node is what is known of one host pattern or range.
type node struct {
	destinations []*destination
	rules        bucket
}

// A bucket holds rules. Allowing rules are apart: they need one sure reading of
// a call where the others match on any.
type bucket struct {
	allow, strict *methods
}

// methods are rules by method.
type methods struct {
	any  *paths
	some map[string]*paths // in capitals
	// opens reports whether a rule in it allows or holds.
	opens bool
}

// paths are rules by path.
type paths struct {
	open group // without path
	root *step
}

// A step is a place in a path: the segments before it have matched.
type step struct {
	next  map[string]*step
	one   *step    // any segment
	rest  *step    // any number of segments
	globs []*globs // segments with * in them
	here  group    // of paths that end here
}

type globs struct {
	pattern string
	step    *step
}

// A group is the rules of one place.
type group struct {
	plain []entry
	// Rules with a condition on findings: all, by kind or its first segment, and
	// those whose kind begins with *.
	found []entry
	kinds map[string][]entry
	loose []entry
	opens bool // one of found allows or holds
}

// An entry is a rule as found by one of its targets.
type entry struct {
	rule   *rule
	target *target // nil for anywhere
	admit  int     // set of addresses that the rule admits, 0 for none
	refuse int     // set of addresses that the rule refuses once they are known
}

func newIndex() *index {
	return &index{exact: map[string]*node{}, below: map[string]*node{}, cidrs: map[netip.Prefix]*node{}}
}

func (x *index) host(h hostPattern) *node {
	if h.name == "" {
		return &x.every
	}
	m := x.exact
	if h.sub {
		m = x.below
	}
	n := m[h.name]
	if n == nil {
		n = &node{}
		m[h.name] = n
	}
	return n
}

func (x *index) cidr(p netip.Prefix) *node {
	n := x.cidrs[p]
	if n == nil {
		n = &node{}
		x.cidrs[p] = n
		family := &x.bits[0]
		if p.Addr().Is6() {
			family = &x.bits[1]
		}
		if !slices.Contains(*family, p.Bits()) {
			*family = append(*family, p.Bits())
			slices.SortFunc(*family, func(a, b int) int { return b - a })
		}
	}
	return n
}

// addDestination makes a destination findable by its hosts and ranges.
func (x *index) addDestination(d *destination) {
	for _, h := range d.hosts {
		n := x.host(h)
		n.destinations = append(n.destinations, d)
	}
	for _, p := range d.cidrs {
		n := x.cidr(p)
		n.destinations = append(n.destinations, d)
	}
}

// addRule makes a rule findable by its targets. sets numbers sets of addresses.
func (x *index) addRule(r *rule, sets *addressSets) {
	if r.to == nil {
		x.any.rules.add(entry{rule: r})
		return
	}
	for _, t := range r.to {
		if t.anywhere() {
			x.any.rules.add(entry{rule: r, target: t})
			continue
		}
		in := entry{rule: r, target: t}
		if admits(r) {
			in.admit = sets.add(t.cidrs, nil)
		}
		for _, h := range t.hosts {
			x.host(h).rules.add(in)
		}
		for _, p := range t.cidrs {
			x.cidr(p).rules.add(in)
		}
		for _, d := range t.destinations {
			by := entry{rule: r, target: t}
			if admits(r) {
				if d.admit == 0 {
					d.admit = sets.add(d.cidrs, nil)
				}
				by.admit = d.admit
			}
			d.rules.add(by)
		}
		x.addRemote(r, t, sets)
	}
}

// admits reports whether a call that the rule matches may reach the addresses
// that its target names.
func admits(r *rule) bool {
	return r.layer.number == 0 && r.speaks && r.verdict != call.Block && (!r.observe || r.layer.observe)
}

func (x *index) addRemote(r *rule, t *target, sets *addressSets) {
	if !r.speaks || r.verdict == call.Allow || r.observe {
		return
	}
	all := slices.Clone(t.cidrs)
	for _, d := range t.destinations {
		all = append(all, d.cidrs...)
	}
	if len(all) > 0 {
		x.remote.rules.add(entry{rule: r, target: t, refuse: sets.add(all, r)})
	}
}

func (b *bucket) add(e entry) {
	m := &b.strict
	if !e.rule.strict {
		m = &b.allow
	}
	if *m == nil {
		*m = &methods{}
	}
	(*m).add(e)
}

func (m *methods) add(e entry) {
	m.opens = m.opens || e.rule.speaks && e.rule.verdict != call.Block
	if len(e.rule.methods) == 0 {
		if m.any == nil {
			m.any = &paths{}
		}
		m.any.add(e)
		return
	}
	for _, name := range e.rule.methods {
		name = strings.ToUpper(name)
		if m.some == nil {
			m.some = map[string]*paths{}
		}
		if m.some[name] == nil {
			m.some[name] = &paths{}
		}
		m.some[name].add(e)
	}
}

func (p *paths) add(e entry) {
	if len(e.rule.paths) == 0 {
		p.open.add(e)
		return
	}
	for _, pattern := range e.rule.paths {
		if p.root == nil {
			p.root = &step{}
		}
		s := p.root
		for _, seg := range pattern.segs {
			s = s.to(seg)
		}
		s.here.add(e)
	}
}

// to returns the step after a segment of a pattern.
func (s *step) to(seg string) *step {
	switch {
	case seg == "*":
		if s.one == nil {
			s.one = &step{}
		}
		return s.one
	case seg == "**":
		if s.rest == nil {
			s.rest = &step{}
		}
		return s.rest
	case strings.Contains(seg, "*"):
		for _, g := range s.globs {
			if g.pattern == seg {
				return g.step
			}
		}
		g := &globs{seg, &step{}}
		s.globs = append(s.globs, g)
		return g.step
	}
	if s.next == nil {
		s.next = map[string]*step{}
	}
	if s.next[seg] == nil {
		s.next[seg] = &step{}
	}
	return s.next[seg]
}

func (l *group) add(e entry) {
	f := e.rule.finding
	if f == nil {
		l.plain = append(l.plain, e)
		return
	}
	l.found = append(l.found, e)
	l.opens = l.opens || e.rule.speaks && e.rule.verdict != call.Block
	for _, kind := range f.kinds {
		key := kindKey(kind)
		if key == "" {
			l.loose = append(l.loose, e)
			continue
		}
		if l.kinds == nil {
			l.kinds = map[string][]entry{}
		}
		l.kinds[key] = append(l.kinds[key], e)
	}
}

// kindKey returns what a pattern of kinds is indexed by: all of it, its first
// segment with the slash, or "" if that is not fixed.
func kindKey(kind string) string {
	star := strings.IndexByte(kind, '*')
	if star < 0 {
		return kind
	}
	if slash := strings.IndexByte(kind[:star], '/'); slash >= 0 {
		return kind[:slash+1]
	}
	return ""
}

// walk calls visit for the lists whose path matches. path is decoded, begins
// with "/" and is not changed.
func (p *paths) walk(path []byte, e *eval) {
	if p.root != nil {
		p.root.walk(path[1:], true, e)
	}
}

// walk goes on with rest; more says whether it still is a segment, perhaps an
// empty one.
func (s *step) walk(rest []byte, more bool, e *eval) {
	if s.rest != nil {
		s.rest.walkRest(rest, more, e)
	}
	if !more {
		e.visit(&s.here)
		return
	}
	seg, after, again := cutSlash(rest)
	if n := s.next[string(seg)]; n != nil {
		n.walk(after, again, e)
	}
	if s.one != nil && len(seg) > 0 {
		s.one.walk(after, again, e)
	}
	for _, g := range s.globs {
		if glob(g.pattern, seg) {
			g.step.walk(after, again, e)
		}
	}
}

// walkRest goes on after any number of segments, also none.
func (s *step) walkRest(rest []byte, more bool, e *eval) {
	if s.leaf() {
		e.visit(&s.here)
		return
	}
	for {
		s.walk(rest, more, e)
		if !more {
			return
		}
		_, rest, more = cutSlash(rest)
	}
}

func (s *step) leaf() bool {
	return s.next == nil && s.one == nil && s.rest == nil && len(s.globs) == 0
}

// all visits every list below s: what a path that cannot be read may match.
func (s *step) all(e *eval) {
	e.visit(&s.here)
	for _, n := range s.next {
		n.all(e)
	}
	for _, g := range s.globs {
		g.step.all(e)
	}
	if s.one != nil {
		s.one.all(e)
	}
	if s.rest != nil {
		s.rest.all(e)
	}
}
