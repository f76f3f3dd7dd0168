package secret

import (
	"fmt"
	"slices"

	"outvet/call"
)

// mostFindings bounds the findings of one text. More of them are an error: a
// part of them would leave the rest to be sent.
const mostFindings = 10_000

// report turns candidates into findings, in the order of the text. What stands
// in a layer and is also visible where the layer was found is reported once.
func (in *Inspector) report(d *call.Dest, j *judge) ([]call.Finding, error) {
	found := distinct(j.found)
	if len(found) > mostFindings {
		return nil, fmt.Errorf("secret: %d findings in one text, the most is %d", len(found), mostFindings)
	}
	out := make([]call.Finding, 0, len(found))
	seen := map[[2]string][]int{} // by part and digest
	for i := range found {
		c := &found[i]
		f := call.Finding{Inspector: in.Name(), Place: j.parts.Place(c.from, c.to), Score: c.score}
		f.Kind = in.kind(d, c, f.Part)
		if c.rule == nil {
			f.Digest = in.digest(in.known[c.known].Value)
		} else {
			f.Digest = in.digest(j.text[c.from:c.to])
		}
		key := [2]string{f.Part, f.Digest}
		if !overlapsOne(out, seen[key], f.Place) {
			seen[key] = append(seen[key], len(out))
			out = append(out, f)
		}
	}
	return out, nil
}

// distinct sorts candidates by place and of those that overlap keeps the best.
func distinct(found []candidate) []candidate {
	slices.SortStableFunc(found, func(a, b candidate) int { return a.from - b.from })
	out := found[:0]
	for _, c := range found {
		if n := len(out); n > 0 && c.from < out[n-1].to {
			if better(&c, &out[n-1]) {
				out[n-1] = c
			}
			continue
		}
		out = append(out, c)
	}
	return out
}

// overlapsOne reports whether place overlaps one of the findings at indexes.
func overlapsOne(out []call.Finding, indexes []int, place call.Place) bool {
	for _, i := range indexes[max(0, len(indexes)-8):] {
		if out[i].Start < place.End && place.Start < out[i].End {
			return true
		}
	}
	return false
}

// kind names a finding: at home it is a credential, else a secret.
func (in *Inspector) kind(d *call.Dest, c *candidate, part string) string {
	name, h := "", home{}
	if c.rule == nil {
		k := &in.known[c.known]
		name, h = "known/"+k.Name, home{Hosts: k.Home}
	} else {
		name, h = c.rule.Name, c.rule.Home
	}
	if !in.atHome(d, name, &h, part) {
		return "secret/" + name
	}
	if h.Self {
		name = sentAs(name)
	}
	return "credential/" + name
}

// sentAs names a credential of no known issuer by how it is sent.
func sentAs(name string) string {
	switch name {
	case "basic-authorization":
		return "basic"
	case "jwt", "authorization-header":
		return "bearer"
	case "generic-password", "generic-assignment":
		return "api-key"
	}
	return name
}
