package policy

import (
	"strings"

	"outvet/call"
)

// combine returns the voice that decides on track t: the strictest over all
// layers, where the default of a layer speaks if none of its rules did. In the
// head the default keeps silent while a rule that depends on the payload could
// still speak.
func (e *eval) combine(t track) voice {
	var best voice
	inner := false // a rule of an inner layer spoke
	for i := len(e.states) - 1; i >= 0; i-- {
		s, l := &e.states[i], e.p.layers[i]
		v := s.firm[t]
		if !inner {
			v = stricter(v, s.lent[t])
		}
		spoke := s.firm[t].layer != nil || s.lent[t].layer != nil
		if !spoke && !s.could[t] && !(s.away && inner) && (t == all || !l.observe) {
			v = e.byQuery(l.byDefault(&e.c.Caller.Type))
		}
		v = stricter(v, s.doubt[t])
		best = stricter(best, v)
		inner = inner || spoke || s.could[t]
	}
	return best
}

// byDefault returns what the layer says where no rule speaks. A type of
// session that is only claimed can make it stricter, never laxer.
func (l *layer) byDefault(session *call.Attr) voice {
	v := voice{verdict: l.fallback, layer: l}
	if !l.hasDefault {
		v.layer = nil
	}
	if own, ok := l.types[session.Value]; ok && (session.Mark > call.Claimed || v.layer == nil || own > l.fallback) {
		v.verdict, v.layer = own, l
	}
	return v
}

// decide completes the decision once every layer was asked.
func (e *eval) decide() {
	acts, full := e.combine(enforced), e.combine(all)
	switch {
	case acts.verdict != call.Allow || e.edited():
		// What is enforced must stay in force, and an observed decision has no
		// effect at all: a stricter one of observing rules is not reported.
		e.settle(acts, false)
	case full.verdict != call.Allow || len(e.edits) > 0:
		e.settle(full, true)
	case acts.layer == nil:
		e.settle(full, false)
	default:
		e.settle(acts, false)
	}
}

// edited reports whether an enforcing rule edits the call.
func (e *eval) edited() bool {
	for i := range e.edits {
		if !e.edits[i].rule.observe {
			return true
		}
	}
	return false
}

// settle writes the decision.
func (e *eval) settle(v voice, observed bool) {
	d := e.d
	d.Verdict, d.Observed, d.Policy = v.verdict, observed, e.p.digest
	d.Rule, d.At, d.Layer, d.Code, d.Reason = call.RuleDefault, "", "", "", ""
	d.Approvers, d.By, d.Edits, d.Guard, d.Quarantine = "", "", nil, nil, false
	d.Quiet, d.Irreversible = false, false
	if v.layer != nil {
		d.Layer = v.layer.name
		d.At = v.layer.defaultAt.text
	}
	if v.rule != nil {
		d.Rule, d.At = v.rule.name, v.rule.at.text
		d.Quiet, d.Irreversible = v.rule.doc.quiet, v.rule.doc.irreversible
	}
	t := enforced
	if observed {
		t = all
	}
	d.Quarantine = v.verdict == call.Block && e.stops[t] != nil
	d.Code, d.Reason = e.say(v)
	if v.verdict == call.Hold {
		d.Approvers = v.rule.approversOf()
	}
	if v.verdict != call.Block {
		if len(e.edits) > 0 {
			d.Edits = e.collect(observed)
		}
	}
	if len(e.admit)+len(e.refuse) > 0 && (observed || v.verdict != call.Block) {
		d.Guard = e.p.sets.guard(e.admit, e.refuse)
	}
}

func (r *rule) approversOf() string {
	if r == nil {
		return ""
	}
	return r.approvers
}

// unreadable refuses a call whose host is neither a name nor an address: no
// rule could say anything of it.
func (e *eval) unreadable() {
	d := e.d
	e.c.Dest.Category, e.c.Dest.Trust, e.c.Dest.Credentials = Unlabelled, Unlabelled, nil
	*d = call.Decision{
		Verdict: call.Block, Rule: call.RuleDefault, Code: codeDestination,
		Reason:      "The host of this request is neither a name nor an address that can be looked up.",
		Findings:    d.Findings,
		Uninspected: d.Uninspected,
		Policy:      e.p.digest,
	}
}

// collect returns the edits of the rules that matched: of the enforcing ones,
// or of all if the decision is only observed. A header that one rule strips and
// another sets is stripped; of two that set it the outer layer's, then the
// earlier, counts.
func (e *eval) collect(observed bool) []call.Edit {
	var out []call.Edit
	at := map[call.Place]int{}
	for _, ed := range e.edits {
		if ed.rule.observe && !observed {
			continue
		}
		out = e.redactions(out, ed.rule, at)
		for _, name := range ed.rule.strip {
			if ed.sure >= alleged && !edited(out, name) {
				out = append(out, call.Edit{Kind: call.StripHeader, Name: name, Rule: ed.rule.name})
			}
		}
	}
	for _, ed := range e.edits {
		if ed.rule.observe && !observed || ed.sure != yes {
			continue
		}
		for _, h := range ed.rule.set {
			if !edited(out, h.name) {
				out = append(out, call.Edit{Kind: call.SetHeader, Name: h.name, With: h.value, Rule: ed.rule.name})
			}
		}
	}
	return out
}

func edited(edits []call.Edit, header string) bool {
	for i := range edits {
		if edits[i].Name == header && edits[i].Kind != call.Redact {
			return true
		}
	}
	return false
}

// redactions adds an edit for each finding that r redacts. at says where the
// edit of a place stands: a finding is redacted once; removing wins over masking.
// A finding about the call as a whole has no place to redact.
func (e *eval) redactions(out []call.Edit, r *rule, at map[call.Place]int) []call.Edit {
	if r.redact == "" {
		return out
	}
	for i := range e.d.Findings {
		f := &e.d.Findings[i]
		if f.Part == "" || !r.finding.matches(f) {
			continue
		}
		j, known := at[f.Place]
		switch {
		case !known:
			at[f.Place] = len(out)
			out = append(out, call.Edit{Kind: call.Redact, Place: f.Place, With: mask(f.Kind), Cause: f.Kind, Rule: r.name})
			j = len(out) - 1
		case r.redact == "mask":
			continue
		}
		if r.redact == "remove" {
			out[j].With, out[j].Rule = "", r.name
		}
	}
	return out
}

func mask(kind string) string { return "[redacted:" + kind + "]" }

// Codes of refusals; the words are part of the answers to clients.
const (
	codeDestination = "destination_not_allowed"
	codeMethod      = "method_not_allowed"
	codeTool        = "tool_not_allowed"
	codeSecret      = "secret_found"
	codePersonal    = "personal_data_found"
	codeSchema      = "schema_violation"
	codeTooLarge    = "body_too_large"
	codePending     = "approval_pending"
	codeQuarantined = "quarantined"
)

// say returns the code and the reason of a verdict.
func (e *eval) say(v voice) (code, reason string) {
	switch {
	case v.verdict == call.Allow && v.rule != nil:
		return "", v.rule.said
	case v.verdict == call.Allow:
		return "", "Policy allows what no rule forbids."
	}
	code = e.code(v)
	own := ""
	if v.rule != nil {
		own = v.rule.doc.reason
	}
	return code, e.sentence(v, code, own)
}

func (e *eval) code(v voice) string {
	switch {
	case v.rule != nil && v.rule.quarantine:
		return codeQuarantined
	case v.verdict == call.Hold:
		return codePending
	case v.why == whyUninspected:
		return codeTooLarge
	case v.why == whyFinding:
		return codeOfKind(v.kind)
	case e.c.Op.Protocol == "mcp" || v.rule != nil && v.rule.tool != nil:
		return codeTool
	case v.rule == nil && e.known(v.layer):
		return codeMethod
	case v.rule != nil && v.rule.to != nil && (len(v.rule.methods) > 0 || len(v.rule.paths) > 0):
		return codeMethod
	}
	return codeDestination
}

func codeOfKind(kind string) string {
	switch segment, _, _ := strings.Cut(kind, "/"); segment {
	case "personal":
		return codePersonal
	case "dns":
		return codeDestination
	case "schema":
		return codeSchema
	}
	return codeSecret
}

// known reports whether an allowing or holding rule of the layer names the
// destination, whatever it asks of method and path.
func (e *eval) known(l *layer) bool {
	e.locate(l.index)
	opens := func(b *bucket) bool { return b.allow != nil || b.strict != nil && b.strict.opens }
	for _, n := range e.near {
		if opens(&n.rules) {
			return true
		}
		for _, d := range n.destinations {
			if opens(&d.rules) {
				return true
			}
		}
	}
	return l.anyMethod
}
