package secret

import (
	"slices"

	"outvet/call"
)

// Kinds of credentials of no known issuer, by how they are sent.
const (
	bearerKind = "credential/bearer"
	basicKind  = "credential/basic"
	apiKeyKind = "credential/api-key"
)

// report turns candidates into findings, in the order of the text. What stands
// in a layer and is also visible where the layer was found is reported once.
func (in *Inspector) report(d *call.Dest, j *judge) []call.Finding {
	slices.SortFunc(j.found, func(a, b candidate) int { return a.from - b.from })
	out := make([]call.Finding, 0, len(j.found))
	for i := range j.found {
		c := &j.found[i]
		f := call.Finding{Inspector: in.Name(), Place: j.parts.Place(c.from, c.to), Score: c.score}
		f.Kind = in.kind(d, c, j, f.Part)
		if c.rule == nil {
			f.Digest = in.digest(in.known[c.known].Value)
		} else {
			f.Digest = in.digest(j.text[c.from:c.to])
		}
		out = appendOnce(out, f)
	}
	return out
}

// appendOnce drops f if the same value was reported at the same place.
func appendOnce(out []call.Finding, f call.Finding) []call.Finding {
	for i := range out {
		o := &out[i]
		if o.Part == f.Part && o.Digest == f.Digest && o.Start < f.End && f.Start < o.End {
			return out
		}
	}
	return append(out, f)
}

// kind names a finding: at home it is a credential, else a secret.
func (in *Inspector) kind(d *call.Dest, c *candidate, j *judge, part string) string {
	if c.rule == nil {
		k := &in.known[c.known]
		h := home{Hosts: k.Home}
		if in.atHome(d, "known/"+k.Name, &h, part) {
			return "credential/known/" + k.Name
		}
		return "secret/known/" + k.Name
	}
	if !in.atHome(d, c.rule.Name, &c.rule.Home, part) {
		return "secret/" + c.rule.Name
	}
	if !c.rule.Home.Self {
		return "credential/" + c.rule.Name
	}
	switch c.rule.Name {
	case "basic-authorization":
		return basicKind
	case "jwt", "authorization-header":
		return bearerKind
	case "generic-password", "generic-assignment":
		return apiKeyKind
	}
	return "credential/" + c.rule.Name
}
