package policy

import (
	"net/netip"
	"slices"
	"strings"

	"outvet/call"
	"outvet/internal/hostname"
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
	unread bool     // TLS that nobody reads: what is in it is not known
	query  query    // what it asks of DNS
	wide   bool     // the node at hand is of no host in particular
	named  bool     // a rule says that it may pass so
	hard   bool     // something is not inspected at all
	soft   bool     // something is inspected in windows
	kinds  []string // of the findings, each once

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
	e.unread, e.named, e.query = c.Op.Protocol == protocolTLS, false, queryOf(c)
	e.kinds = e.kinds[:0]
	if !head {
		for i := range d.Findings {
			if kind := d.Findings[i].Kind; !slices.Contains(e.kinds, kind) {
				e.kinds = append(e.kinds, kind)
			}
		}
		for i := range d.Uninspected {
			e.hard = e.hard || !d.Uninspected[i].Windowed && !e.unread // that it is not read is what the naming rule says
			e.soft = e.soft || d.Uninspected[i].Windowed
		}
	}
	e.readHost()
	e.method = c.Op.Method
	if !isUpper(e.method) {
		e.method = strings.ToUpper(e.method)
	}
	e.path.kind, e.path.used = pathNone, 0
	switch {
	case e.unread:
		e.path.kind = pathWild // it may have any
	case hasPath(c):
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
	case "dns", "mcp", "tcp", "tls", "udp", "connect":
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
	name, err := hostname.Canonical(e.host)
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
