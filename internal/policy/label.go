package policy

import (
	_ "embed"
	"slices"
	"strings"
	"sync"

	"outvet/call"
)

// Unlabelled is the category and the trust of what nobody labelled. It is a
// value like others: a rule that means it says it.
const Unlabelled = "unknown"

// labels say what a destination is, as one layer sees it.
type labels struct {
	category, trust string
	credentials     []string
}

//go:embed data/category.txt
var categoryText string

// A mark is one line of the shipped table of categories.
type mark struct {
	path     string // prefix of the path in lower case, or ""
	category string
}

// categories returns the shipped table: marks by host; they hold for all names
// below it too.
var categories = sync.OnceValue(func() map[string][]mark {
	table := map[string][]mark{}
	for line := range strings.Lines(categoryText) {
		if line, _, _ = strings.Cut(line, "#"); strings.TrimSpace(line) == "" {
			continue
		}
		f := strings.Fields(line)
		for _, where := range f[1:] {
			host, path, ok := strings.Cut(where, "/")
			if ok {
				path = "/" + path
			}
			table[host] = append(table[host], mark{path, f[0]})
		}
	}
	for _, marks := range table { // the longest path first
		slices.SortStableFunc(marks, func(a, b mark) int { return len(b.path) - len(a.path) })
	}
	return table
})

// label sets the labels of layer i: its own, else those of the layer around
// it, else those of the shipped table. What an inner layer says of a
// destination counts in its own rules only.
func (e *eval) label(i int) {
	l := &e.state.labels
	for _, n := range e.near {
		if !n.sure {
			continue
		}
		var level labels
		for _, d := range n.destinations {
			if d.port(e.c.Dest.Port) {
				level.join(d)
			}
		}
		if l.category == "" {
			l.category = level.category
		}
		if l.trust == "" {
			l.trust = level.trust
		}
		switch {
		case len(l.credentials) == 0:
			l.credentials = level.credentials
		case len(level.credentials) > 0:
			l.credentials = slices.Concat(l.credentials, level.credentials)
		}
	}
	if i > 0 {
		outer := &e.states[i-1].labels
		if l.category == "" {
			l.category = outer.category
		}
		if l.trust == "" {
			l.trust = outer.trust
		}
		return
	}
	if l.category == "" {
		l.category = e.shipped()
	}
	if l.trust == "" {
		l.trust = Unlabelled
	}
	dest := &e.c.Dest
	dest.Category, dest.Trust, dest.Credentials = l.category, l.trust, l.credentials
	dest.Named = e.mentioned(e.layer.index)
}

// join adds what d says. Of two that are equally near, the least trust counts
// and the first category.
func (l *labels) join(d *destination) {
	if l.category == "" {
		l.category = d.category
	}
	if d.trust != "" && (l.trust == "" || distrust(d.trust) > distrust(l.trust)) {
		l.trust = d.trust
	}
	switch {
	case len(l.credentials) == 0:
		l.credentials = d.credentials
	case len(d.credentials) > 0:
		l.credentials = slices.Concat(l.credentials, d.credentials)
	}
}

func distrust(s string) int {
	return slices.Index([]string{"internal", "first_party", "third_party", Unlabelled}, s)
}

// shipped returns the category that the shipped table knows.
func (e *eval) shipped() string {
	table := categories()
	for host := e.host; host != ""; {
		for _, m := range table[host] {
			if m.path == "" || e.under(m.path) {
				return m.category
			}
		}
		dot := strings.IndexByte(host, '.')
		if dot < 0 || e.addr.IsValid() {
			break
		}
		host = host[dot+1:]
	}
	return Unlabelled
}

// under reports whether any reading of the path begins with prefix.
func (e *eval) under(prefix string) bool {
	if e.path.kind == pathWild {
		return true
	}
	for _, r := range e.path.folded[:e.path.used] {
		if len(r) >= len(prefix) && string(r[:len(prefix)]) == prefix {
			return true
		}
	}
	return false
}

// conditions says whether the conditions of r hold that need no payload and
// that no index answers.
func (e *eval) conditions(r *rule, t *target) truth {
	if e.foresees(r) {
		return e.mayConcern(r, t)
	}
	c := e.c
	out := yes
	if len(r.protocols) > 0 {
		out = e.oneOf(r, r.protocols, c.Op.Protocol, protocolsOverTLS)
	}
	if len(r.schemes) > 0 {
		out = min(out, e.oneOf(r, r.schemes, c.Dest.Scheme, schemesOverTLS))
	}
	if e.unread && len(r.methods)+len(r.paths) > 0 {
		out = min(out, e.inside(r))
	}
	if out == no ||
		len(r.ports) > 0 && !slices.Contains(r.ports, c.Dest.Port) ||
		!r.strict && len(r.methods) > 0 && !slices.Contains(r.methods, c.Op.Method) {
		return no
	}
	if !e.labelled(t) {
		return no
	}
	return min(out, e.who(r))
}

// labelled reports whether the destination has a category and a trust that the
// target asks for.
func (e *eval) labelled(t *target) bool {
	if t == nil {
		return true
	}
	l := &e.state.labels
	return (len(t.categories) == 0 || slices.Contains(t.categories, l.category)) &&
		(len(t.trusts) == 0 || slices.Contains(t.trusts, l.trust))
}

// who answers the conditions on the caller.
func (e *eval) who(r *rule) truth {
	c, out := e.c, yes
	if r.sessions != nil {
		out = min(out, attrIs(c.Caller.Type, r.sessions))
	}
	if r.agents != nil {
		out = min(out, attrIs(c.Caller.Agent, r.agents))
	}
	if r.tool != nil {
		out = min(out, e.toolIs(r.tool))
	}
	if r.caller != nil {
		out = min(out, callerIs(&c.Caller, r.caller))
	}
	return out
}

// attrIs matches an attribute. One that is missing or only claimed is unknown,
// or alleged if the claim would match.
func attrIs(a call.Attr, patterns []string) truth {
	if a.Value == "" {
		return unknown
	}
	is := false
	for _, p := range patterns {
		is = is || glob(p, a.Value)
	}
	switch {
	case a.Mark > call.Claimed:
		return truthOf(is)
	case is:
		return alleged
	}
	return unknown
}

func callerIs(who *call.Caller, c *callerCond) truth {
	out := yes
	if c.principals != nil {
		out = min(out, attrIs(who.Principal, c.principals))
	}
	if c.purposes != nil {
		out = min(out, attrIs(who.Purpose, c.purposes))
	}
	if c.roles == nil {
		return out
	}
	role, known := no, false
	for _, r := range who.Roles {
		role = max(role, attrIs(r, c.roles))
		known = known || r.Mark > call.Claimed
	}
	if !known && role == no {
		role = unknown
	}
	return min(out, role)
}

// toolIs matches the tool by name and class. The class of a tool that no layer
// names is unknown.
func (e *eval) toolIs(c *toolCond) truth {
	out := yes
	if c.names != nil {
		out = attrIs(e.tool, c.names)
	}
	if c.classes == nil {
		return out
	}
	for i := e.layer.number; i >= 0; i-- {
		if class := e.p.layers[i].tools[e.tool.Value]; class != "" {
			return min(out, attrIs(call.Attr{Value: class, Mark: e.tool.Mark}, c.classes))
		}
	}
	return min(out, unknown)
}
