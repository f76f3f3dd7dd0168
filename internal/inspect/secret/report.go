package secret

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"outvet/call"
)

// mostFindings bounds the findings of one text. More of them are an error: a
// part of them would leave the rest to be sent.
const mostFindings = 10_000

// report turns candidates into findings, in the order of the text, each value
// once at each place.
func (in *Inspector) report(d *call.Dest, j *judge) ([]call.Finding, error) {
	found := distinct(j.found)
	if len(found) > mostFindings {
		return nil, fmt.Errorf("secret: %d findings in one text, the most is %d", len(found), mostFindings)
	}
	out := make([]call.Finding, 0, len(found))
	for i := range found {
		c := &found[i]
		f := call.Finding{Inspector: in.Name(), Place: j.parts.Place(c.from, c.to), Score: c.score}
		f.Kind = in.kind(d, c, f.Part)
		value := j.text[c.from:c.to]
		if c.rule == nil {
			value = in.known[c.known].Value
		}
		f.Digest = in.digest(value)
		out = append(out, f)
	}
	if len(out) > 1 {
		out = j.once(out)
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

// sight is what two findings must have in common to be two sights of one value:
// where on the wire the part begins (two may have one name), its name, and the value.
type sight struct {
	root         int
	part, digest string
}

// once drops findings that are a second sight of another: the same span, which
// Place moved out of a joined part; a join around a value that stands whole in
// one of its fields; and text that was also read as JSON, in which the field
// says more than the text.
func (j *judge) once(all []call.Finding) []call.Finding {
	at := map[sight]int{}       // finding by part and digest, the last one
	inJSON := map[sight]int{}   // number of them in JSON that the part holds
	whole := map[string][]int{} // findings by the part of the wire, joins left out
	for i, f := range all {
		if strings.Contains(f.Part, "+") {
			continue
		}
		whole[wirePart(f.Part)] = append(whole[wirePart(f.Part)], i)
		for p := f.Part; ; {
			k := strings.LastIndex(p, "#json")
			if k < 0 {
				break
			}
			p = p[:k]
			inJSON[sight{j.parts.Root(f.From), p, f.Digest}]++
		}
	}
	out := all[:0:0]
	for _, f := range all {
		key := sight{j.parts.Root(f.From), f.Part, f.Digest}
		if k, ok := at[key]; ok && out[k].Start < f.End && f.Start < out[k].End {
			continue
		}
		if joinsAround(&f, all, whole, j.text) || inJSON[key] > 0 && inJSON[key] >= j.occurrences(f.Place) {
			continue
		}
		at[key] = len(out)
		out = append(out, f)
	}
	return out
}

// wirePart returns the part of the wire that a layer was found in.
func wirePart(part string) string {
	if i := strings.IndexByte(part, '#'); i >= 0 {
		return part[:i]
	}
	return part
}

// joinsAround reports whether f spans several fields but its value holds one
// that was found whole in the first or last of them.
func joinsAround(f *call.Finding, all []call.Finding, whole map[string][]int, text []byte) bool {
	if !strings.Contains(f.Part, "+") {
		return false
	}
	const most = 64
	for field := range strings.SplitSeq(f.Part, "+") {
		indexes := whole[wirePart(field)]
		for _, i := range indexes[:min(len(indexes), most)] {
			if o := &all[i]; bytes.Contains(text[f.From:f.To], text[o.From:o.To]) {
				return true
			}
		}
	}
	return false
}

// occurrences counts how often the value at p stands in its own part.
func (j *judge) occurrences(p call.Place) int {
	part := j.part(p.From)
	return bytes.Count(j.text[part.from:part.to], j.text[p.From:p.To])
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
	case "generic-password", "generic-assignment", "generic-option":
		return "api-key"
	}
	return name
}
