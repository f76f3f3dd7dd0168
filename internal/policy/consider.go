package policy

import (
	"slices"
	"strings"

	"outvet/call"
)

// run asks every layer.
func (e *eval) run() {
	for i, l := range e.p.layers {
		e.layer, e.state = l, &e.states[i]
		e.locate(l.index)
		e.label(i)
		for _, n := range e.near {
			e.sure, e.wide = n.sure, n.node == &l.index.every
			e.ask(n.rules, n.sure)
			for _, d := range n.destinations {
				if !d.port(e.c.Dest.Port) {
					continue
				}
				e.state.away = e.state.away || d.lent && n.sure
				e.ask(d.rules, n.sure)
			}
		}
		e.sure, e.wide = true, true
		e.ask(l.index.any.rules, true)
		if e.host != "" && !e.addr.IsValid() {
			e.ask(l.index.remote.rules, true)
		}
	}
}

// ask considers the rules of a bucket.
func (e *eval) ask(b bucket, sure bool) {
	if b.allow != nil && sure {
		e.askMethods(b.allow, false)
	}
	if b.strict != nil {
		e.askMethods(b.strict, true)
	}
}

func (e *eval) askMethods(m *methods, strict bool) {
	if m.any != nil {
		e.askPaths(m.any, strict)
	}
	switch {
	case strict && e.unread, e.query == ofPeer && m.opens: // it may be any
		for _, p := range m.some {
			e.askPaths(p, true)
		}
	case m.some != nil:
		if p := m.some[e.method]; p != nil {
			e.askPaths(p, strict)
		}
	}
}

func (e *eval) askPaths(p *paths, strict bool) {
	e.visit(&p.open)
	if p.root == nil {
		return
	}
	switch {
	case e.query == ofPeer:
		p.root.all(e)
	case e.path.kind == pathNone:
	case strict && e.path.kind == pathWild:
		p.root.all(e)
	case strict:
		for _, r := range e.path.folded[:e.path.used] {
			p.walk(r, e)
		}
	case e.path.kind == pathClean || e.path.kind == pathSlash:
		p.walk(e.path.plain, e)
	}
}

// visit considers the rules of a group.
func (e *eval) visit(l *group) {
	for i := range l.plain {
		e.consider(&l.plain[i])
	}
	switch {
	case len(l.found) == 0:
	case e.head:
		if l.opens {
			e.considerAll(l.found)
		}
	case e.hard || e.soft:
		e.considerAll(l.found)
	default:
		for _, kind := range e.kinds {
			e.considerAll(l.kinds[kind])
			if slash := strings.IndexByte(kind, '/'); slash >= 0 {
				e.considerAll(l.kinds[kind[:slash+1]])
			}
		}
		if len(e.d.Findings) > 0 {
			e.considerAll(l.loose)
		}
	}
}

func (e *eval) considerAll(entries []entry) {
	for i := range entries {
		e.consider(&entries[i])
	}
}

// consider asks one rule whose host, method and path match already.
func (e *eval) consider(en *entry) {
	r := en.rule
	t := e.conditions(r, en.target)
	if t == no || t != yes && !r.strict || !e.grants(r) {
		return
	}
	if !r.strict && e.path.kind == pathSlash && !r.sureOf(e.path.slash) {
		return
	}
	if r.when != nil {
		if e.head && r.when.late {
			e.may(r)
			return
		}
		e.vars.ask(r)
		if t = e.byExpression(r, t); t == no || t != yes && !r.strict {
			return
		}
	}
	if e.head && r.finding != nil {
		e.may(r)
		return
	}
	v, ok := e.outcome(r)
	if !ok {
		return
	}
	if en.refuse > 0 {
		if !slices.Contains(e.addrRule, r) {
			e.refuse = append(e.refuse, en.refuse)
		}
		return
	}
	switch {
	case !e.foresees(r):
		v.sure = v.sure && t == yes && e.exactly(r)
	case v.verdict != call.Hold:
	case e.wide:
		return // it names nobody: what it would hold is not looked up before
	default:
		v.verdict = call.Allow // what follows is held
	}
	e.named = e.named || r.names()
	if en.admit > 0 && v.sure {
		e.admit = append(e.admit, en.admit)
	}
	if r.strict && r.speaks && r.verdict == call.Hold {
		e.addrRule = append(e.addrRule, r) // it holds by name: its addresses are not refused
	}
	e.speak(r, v)
	if r.quarantine && t == yes && v.why != whyUninspected {
		e.stop(r)
	}
	if !e.head && r.edits() {
		e.edits = insert(e.edits, editor{r, t})
	}
}

// outcome returns what a rule whose head matches says, given findings and what
// was not inspected. ok is false if it does not match after all.
func (e *eval) outcome(r *rule) (v voice, ok bool) {
	v = voice{verdict: r.verdict, rule: r, layer: r.layer, sure: true}
	if !r.speaks {
		v.layer = nil
	}
	ok = true
	if r.finding != nil {
		var f *call.Finding
		if f, ok = e.found(r.finding); ok {
			v.why, v.kind = whyFinding, f.Kind
		} else if v.layer = nil; e.hard && r.strict && r.speaks && r.uninspected == uninspectedUnset && e.hides(r.finding) {
			v.layer, v.why, v.sure, ok = r.layer, whyUninspected, false, true
		}
	}
	if r.uninspected >= uninspectedHold && (e.hard || e.soft) {
		extra := call.Hold
		if r.uninspected == uninspectedBlock {
			extra = call.Block
		}
		if v.layer == nil || extra > v.verdict {
			v = voice{verdict: extra, rule: r, layer: r.layer, why: whyUninspected, sure: v.layer != nil && v.sure}
		}
		ok = true
	}
	return v, ok
}

// exactly reports whether a rule matches host, method and path to the letter.
// Of those that hold or block, the others match too, by a spelling that some
// server may take for the same.
func (e *eval) exactly(r *rule) bool {
	if !r.strict || r.verdict == call.Block {
		return true
	}
	if !e.sure || len(r.methods) > 0 && !slices.Contains(r.methods, e.c.Op.Method) {
		return false
	}
	if r.paths == nil {
		return true
	}
	if e.path.kind != pathClean {
		return false
	}
	for i := range r.doc.paths {
		if r.doc.paths[i].matches(e.path.plain) {
			return true
		}
	}
	return false
}

// found returns the first finding that a condition asks for.
func (e *eval) found(f *findingDoc) (*call.Finding, bool) {
	for i := range e.d.Findings {
		if got := &e.d.Findings[i]; f.matches(got) {
			return got, true
		}
	}
	return nil, false
}

func (f *findingDoc) matches(got *call.Finding) bool {
	if f.score > 0 && got.Score < f.score || f.part != "" && !glob(f.part, got.Part) {
		return false
	}
	for _, k := range f.kinds {
		if glob(k, got.Kind) {
			return true
		}
	}
	return false
}

// hides reports whether what was not inspected could hold what f asks for.
func (e *eval) hides(f *findingDoc) bool {
	fixed, _, _ := strings.Cut(f.part, "*")
	for i := range e.d.Uninspected {
		u := &e.d.Uninspected[i]
		if !u.Windowed && (strings.HasPrefix(u.Part, fixed) || strings.HasPrefix(fixed, u.Part)) {
			return true
		}
	}
	return false
}

// speak counts what a rule says.
func (e *eval) speak(r *rule, v voice) {
	if v.layer == nil {
		return
	}
	s := &e.state.firm
	switch {
	case !v.sure:
		s = &e.state.doubt
	case r.lent:
		s = &e.state.lent
	}
	s[all] = stricter(s[all], v)
	if !r.observe {
		s[enforced] = stricter(s[enforced], v)
	}
}

// stop notes that r puts the session into quarantine.
func (e *eval) stop(r *rule) {
	e.stops[all] = r
	if !r.observe {
		e.stops[enforced] = r
	}
}

// may notes that r may let the call out, depending on the payload.
func (e *eval) may(r *rule) {
	if !r.speaks || r.verdict == call.Block {
		return
	}
	e.state.could[all] = true
	if !r.observe {
		e.state.could[enforced] = true
	}
}

// sureOf reports whether path, another reading of the call's, matches too.
func (r *rule) sureOf(path []byte) bool {
	if r.paths == nil {
		return true
	}
	for i := range r.paths {
		if r.paths[i].matches(path) {
			return true
		}
	}
	return false
}
