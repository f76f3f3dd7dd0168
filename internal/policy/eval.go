package policy

import (
	"net/netip"
	"slices"
	"strings"

	"outvet/call"
)

// An eval is the working memory of one decision. It is pooled.
type eval struct {
	p *Policy
	c *call.Call
	d *call.Decision

	head   bool // nothing is known of the payload yet
	host   string
	addr   netip.Addr   // of a host that is an address
	doubt  []netip.Addr // that the host perhaps stands for
	broken bool         // the host is neither a name nor an address
	method string       // in capitals
	path   readings
	hard   bool // something is not inspected at all
	soft   bool // something is inspected in windows

	tool     call.Attr
	sure     bool // of the node at hand
	layer    *layer
	state    *layerState
	states   []layerState
	near     []near
	edits    []editor
	stops    [2]*rule // that quarantines the session
	admit    []int
	refuse   []int
	addrRule []*rule
	vars     variables
}

// A near is a node that the host of the call falls in, most specific first.
// Where the host is only perhaps the one meant (an unusual spelling of an
// address) it counts for holding and blocking rules alone.
type near struct {
	*node
	sure bool
}

// A track is one way of deciding: with the enforcing rules alone, or with all.
type track uint8

const (
	enforced track = iota
	all
)

// A voice is a verdict with who gave it. Its zero value is silence.
type voice struct {
	verdict call.Verdict
	rule    *rule  // nil for the default
	layer   *layer // nil for silence
	why     why
	kind    string // of the finding
	// sure: the rule matches beyond doubt. A voice that is not sure can only
	// tighten; it does not take the place of a default.
	sure bool
}

// A why says which condition made a rule match, for the code of a refusal.
type why uint8

const (
	whyRule why = iota
	whyFinding
	whyUninspected
)

// layerState is what the rules of one layer have said so far.
type layerState struct {
	labels labels
	firm   [2]voice
	lent   [2]voice // of rules that an inner layer may replace
	doubt  [2]voice // of rules that match only because something is not known
	could  [2]bool  // a rule that depends on the payload may still allow or hold
	away   bool     // the destination is delegated
}

// An editor is a rule that edits the call, and how sure it is that it matches.
type editor struct {
	rule *rule
	sure truth
}

// insert keeps editors in the order of layers and rules, each once.
func insert(all []editor, ed editor) []editor {
	at := len(all)
	for at > 0 {
		switch o := all[at-1].rule; {
		case o == ed.rule:
			all[at-1].sure = max(all[at-1].sure, ed.sure)
			return all
		case o.layer.number < ed.rule.layer.number || o.layer == ed.rule.layer && o.index < ed.rule.index:
			return slices.Insert(all, at, ed)
		}
		at--
	}
	return slices.Insert(all, 0, ed)
}

// stricter returns the stricter of two voices; of equal ones a rule before a
// default, then the outer layer, then the earlier rule.
func stricter(a, b voice) voice {
	switch {
	case b.layer == nil:
		return a
	case a.layer == nil || b.verdict > a.verdict:
		return b
	case b.verdict < a.verdict:
		return a
	case a.rule == nil || b.rule == nil:
		if a.rule == nil && (b.rule != nil || b.layer.number < a.layer.number) {
			return b
		}
		return a
	case b.layer.number != a.layer.number:
		if b.layer.number < a.layer.number {
			return b
		}
		return a
	case b.rule.index < a.rule.index:
		return b
	}
	return a
}

// begin takes an eval from the pool and reads the call.
func (p *Policy) begin(c *call.Call, d *call.Decision, head bool) *eval {
	e, _ := p.pool.Get().(*eval)
	if e == nil {
		e = &eval{states: make([]layerState, len(p.layers))}
	}
	e.p, e.c, e.d, e.head = p, c, d, head
	clear(e.states)
	e.edits, e.admit, e.refuse, e.addrRule = e.edits[:0], e.admit[:0], e.refuse[:0], e.addrRule[:0]
	e.hard, e.soft, e.stops = false, false, [2]*rule{}
	if !head {
		for i := range d.Uninspected {
			e.hard = e.hard || !d.Uninspected[i].Windowed
			e.soft = e.soft || d.Uninspected[i].Windowed
		}
	}
	e.readHost()
	e.method = c.Op.Method
	if !isUpper(e.method) {
		e.method = strings.ToUpper(e.method)
	}
	e.path.kind = pathNone
	if hasPath(c) {
		e.path.read(c.Op.Target, true)
	}
	e.tool = c.Caller.Tool
	if c.Op.Protocol == "mcp" && c.Op.Method == "tools/call" {
		e.tool = call.Attr{Value: c.Op.Target, Mark: call.Observed}
	}
	e.vars.reset(e)
	return e
}

// end gives e back.
func (e *eval) end() {
	p := e.p
	e.p, e.c, e.d, e.layer, e.state = nil, nil, nil, nil, nil
	clear(e.near[:cap(e.near)])
	p.pool.Put(e)
}

// hasPath reports whether the target of a call is a path.
func hasPath(c *call.Call) bool {
	switch c.Op.Protocol {
	case "http", "ws", "grpc":
		return true
	case "dns", "mcp", "tcp", "udp", "connect":
		return false
	}
	return strings.HasPrefix(c.Op.Target, "/")
}

func isUpper(s string) bool {
	for i := 0; i < len(s); i++ {
		if 'a' <= s[i] && s[i] <= 'z' || s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// readHost sets host, addr and doubt.
func (e *eval) readHost() {
	e.readName()
	e.doubt = e.doubt[:0]
	if a, ok := inner(e.addr); ok {
		e.doubt = append(e.doubt, a)
	}
	if !e.addr.IsValid() && e.host != "" {
		if a, ok := numeric(e.host); ok {
			e.doubt = append(e.doubt, a)
		}
	}
	for _, a := range e.c.Dest.Addrs {
		e.doubt = append(e.doubt, a.WithZone("").Unmap())
	}
}

func (e *eval) readName() {
	e.host, e.addr, e.broken = e.c.Dest.Host, netip.Addr{}, false
	if e.host == "" {
		return
	}
	if a, ok := literal(e.host); ok {
		e.addr = a
		if s := e.host; s[len(s)-1] == ']' || strings.IndexByte(s, ':') >= 0 {
			e.host = a.String()
		}
		return
	}
	if plainName(e.host) {
		return
	}
	name, err := canonical(e.host)
	if err != nil {
		e.broken = true
		return
	}
	e.host = name
	if a, ok := literal(name); ok {
		e.addr = a
	}
}

// locate fills near with the nodes of the layer that the host falls in.
func (e *eval) locate(x *index) {
	e.near = e.near[:0]
	if e.host == "" {
		return
	}
	e.nearHost(x, e.host, true)
	if e.addr.IsValid() {
		e.nearAddr(x, e.addr, true)
	}
	for _, a := range e.doubt {
		e.nearAddr(x, a, false)
		if len(x.exact) > 0 {
			e.nearHost(x, a.String(), false)
		}
	}
	e.near = append(e.near, near{&x.every, true})
}

func (e *eval) nearHost(x *index, host string, sure bool) {
	if n := x.exact[host]; n != nil {
		e.near = append(e.near, near{n, sure})
	}
	if len(x.below) == 0 || !sure || e.addr.IsValid() {
		return
	}
	for rest := host; ; {
		dot := strings.IndexByte(rest, '.')
		if dot < 0 {
			return
		}
		rest = rest[dot+1:]
		if n := x.below[rest]; n != nil {
			e.near = append(e.near, near{n, sure})
		}
	}
}

func (e *eval) nearAddr(x *index, a netip.Addr, sure bool) {
	family := x.bits[0]
	if a.Is6() {
		family = x.bits[1]
	}
	for _, bits := range family {
		p, err := a.Prefix(bits)
		if err != nil {
			continue
		}
		if n := x.cidrs[p]; n != nil {
			e.near = append(e.near, near{n, sure})
		}
	}
}

// run asks every layer.
func (e *eval) run() {
	for i, l := range e.p.layers {
		e.layer, e.state = l, &e.states[i]
		e.locate(l.index)
		e.label(i)
		for _, n := range e.near {
			e.sure = n.sure
			e.ask(n.rules, n.sure)
			for _, d := range n.destinations {
				if !d.port(e.c.Dest.Port) {
					continue
				}
				e.state.away = e.state.away || d.lent && n.sure
				e.ask(d.rules, n.sure)
			}
		}
		e.sure = true
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
	if m.some != nil {
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
		for i := range e.d.Findings {
			kind := e.d.Findings[i].Kind
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
	if t == no || t != yes && !r.strict {
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
		e.vars.lenient = r.uninspected == uninspectedAllow
		if t = min(t, r.when.eval(&e.vars)); t == no || t != yes && !r.strict {
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
	v.sure = v.sure && t == yes && e.exactly(r)
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
