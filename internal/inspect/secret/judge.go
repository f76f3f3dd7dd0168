package secret

import (
	"bytes"

	"outvet/internal/match"
)

// Scores of findings.
const (
	scoreProved  = 1.0 // a checksum holds, or the value is known
	scoreShape   = 0.9 // the shape is that of one issuer or format
	scoreNamed   = 0.8 // the issuer's name and the shape of its tokens
	scoreGeneric = 0.6 // a name that says secret and a value that may be one
)

// A candidate is a value that passed its rule.
type candidate struct {
	span
	rule  *rule // nil for a known value
	known int
	score float64
}

func (c *candidate) rank() rank {
	if c.rule == nil {
		return rankKnown
	}
	return c.rule.rank
}

// A judge confirms the hits in one text.
type judge struct {
	in    *Inspector
	text  []byte
	parts parts
	found []candidate
}

func (j *judge) rule(r *rule, h match.Hit) {
	part := j.part(h.From)
	switch {
	case len(r.Words) > 0:
		j.named(r, part, span{h.From, min(h.To, part.to)})
	case r.Find != "":
		j.kubernetes(r, part, h.Start)
	default:
		v := span{h.From, h.To}
		if r.Extend != "" {
			v.to = h.End
		}
		v.to = min(v.to, part.to)
		j.shaped(r, part, v)
		if r.again != nil && h.End > part.to {
			j.behind(r, part.to, h.End)
		}
	}
}

// behind judges the first that r finds in each part of text[from:to], over which a hit was prolonged
// beyond its part: the matcher does not report what lies in a hit.
func (j *judge) behind(r *rule, from, to int) {
	for from < to {
		m := r.again.FindSubmatchIndex(j.text[from:to])
		if m == nil {
			return
		}
		at := from + max(m[2*r.Group], m[0])
		part := j.part(at)
		j.shaped(r, part, span{at, min(to, part.to)})
		from = max(from+m[1], part.to) // in its part it is prolonged as any other
	}
}

func (j *judge) part(pos int) span {
	start, end := j.parts.Part(pos)
	return span{max(start, 0), min(end, len(j.text))}
}

// shaped judges a value that a rule found by its shape.
func (j *judge) shaped(r *rule, part, v span) {
	if v.len() <= 0 {
		return
	}
	value := j.text[v.from:v.to]
	proved := false
	if r.proof != nil {
		_, proved = r.proof(value)
	}
	if !proved && !j.free(r, part, v) {
		return
	}
	score := scoreShape
	if r.Generic != "" {
		score = scoreGeneric
	}
	if r.check != nil {
		n, ok := r.check(value)
		if !ok {
			return
		}
		v.to = v.from + n
		value = value[:n]
	}
	if stuffed(value) || r.Entropy > 0 && entropy(value) < r.Entropy {
		return
	}
	if len(r.Near) > 0 && !j.near(r, part, v) || r.Not != "" && published(value) {
		return
	}
	if proved {
		score = scoreProved
	}
	j.add(candidate{span: v, rule: r, score: score})
}

// free reports whether what stands beside v may stand beside a value of r.
func (j *judge) free(r *rule, part, v span) bool {
	if v.from > part.from && r.before.has(j.text[v.from-1]) && !j.parts.Edge(v.from) {
		if !r.marked || wordy(j.text[v.from:v.to]) { // desk-admin-panel-redesign-2026
			return false
		}
	}
	return v.to >= part.to || !r.after.has(j.text[v.to]) || j.parts.Edge(v.to)
}

// near reports whether one of the words of r stands shortly before v, or in
// the path of its part.
func (j *judge) near(r *rule, part, v span) bool {
	const reach = 1024
	before := j.text[max(part.from, v.from-reach):min(part.to, v.to+reach)]
	for _, w := range r.Near {
		if containsFold(before, w) {
			return true
		}
	}
	// Neighbouring fields count too: {"kty": "EC", "d": "…"}.
	first, _ := j.parts.Bounds(part.from)
	before = j.text[max(first, part.from-reach):part.from]
	for _, w := range r.Near {
		if containsFold(before, w) {
			return true
		}
	}
	path := j.parts.Place(v.from, v.to).Part
	for _, w := range r.Near {
		if containsFold([]byte(path), w) {
			return true
		}
	}
	return false
}

func containsFold(b []byte, s string) bool {
	for i := 0; i+len(s) <= len(b); i++ {
		if lower(b[i]) == s[0] && hasFoldPrefix(b[i:], s) {
			return true
		}
	}
	return false
}

// common judges a common word by each rule that knows a word of the name.
func (j *judge) common(word span) {
	part := j.part(word.from)
	word.to = min(word.to, part.to)
	name := nameAround(j.text, part, word)
	for _, r := range j.in.common {
		if w, ok := wordIn(j.text, name, r.Words); ok {
			j.named(r, part, w)
		}
	}
}

// wordIn returns where one of words, in any case, stands in name.
func wordIn(text []byte, name span, words []string) (span, bool) {
	for _, w := range words {
		for i := name.from; i+len(w) <= name.to; i++ {
			if lower(text[i]) == w[0] && hasFoldPrefix(text[i:], w) {
				return span{i, i + len(w)}, true
			}
		}
	}
	return span{}, false
}

// named judges a word that says what value follows.
func (j *judge) named(r *rule, part, word span) {
	name := nameAround(j.text, part, word)
	m := meansNothing
	if r.Generic != "" {
		if m = nameMeans(j.text[name.from:name.to]); m == meansNothing {
			return
		}
	} else if !standsIn(j.text[name.from:name.to], span{word.from - name.from, word.to - name.from}) {
		return
	}
	if name.to == part.to || isBlank(j.text[name.to:part.to]) {
		if a, ok := j.field(part, name, func(a assignment) bool { return j.fits(r, m, a) }); ok {
			j.addNamed(r, a.value)
		}
		return
	}
	for range 4 {
		if a, ok := assigned(j.text, part, name); ok {
			if j.fits(r, m, a) {
				j.addNamed(r, a.value)
			}
			return
		}
		next, ok := nextWord(j.text, part, name.to)
		if !ok || r.Generic != "" && m != meansPassword {
			return
		}
		name.to = next // "Fly access token: …"
	}
}

func isBlank(b []byte) bool { return len(bytes.TrimSpace(b)) == 0 }

// nextWord returns the end of the word that follows pos after one space.
func nextWord(text []byte, part span, pos int) (int, bool) {
	if pos+1 >= part.to || text[pos] != ' ' || !isNameByte(text[pos+1]) || text[pos+1] == '-' {
		return 0, false
	}
	n := pos + 1
	for n < part.to && n-pos < 20 && isNameByte(text[n]) {
		n++
	}
	return n, true
}

func (j *judge) addNamed(r *rule, v span) {
	score := scoreNamed
	if r.Generic != "" {
		score = scoreGeneric
	}
	j.add(candidate{span: v, rule: r, score: score})
}

// fits reports whether the value of a is one that r looks for.
func (j *judge) fits(r *rule, m meaning, a assignment) bool {
	v := j.text[a.value.from:a.value.to]
	switch {
	case hasPrefix(j.text[a.value.to:], ".."): // the writer left out the rest
		return false
	case r.Generic != "":
		return fitsGeneric(r, m, a, v)
	case !r.value.Match(v):
		return false
	case r.check != nil:
		if _, ok := r.check(v); !ok {
			return false
		}
	}
	return !stuffed(v) && (r.Entropy == 0 || entropy(v) >= r.Entropy) && (len(v) >= 36 || !samey(v))
}

// fitsGeneric gives a name to the rule of its meaning: the words of the two
// generic rules overlap (token_password).
func fitsGeneric(r *rule, m meaning, a assignment, v []byte) bool {
	if m == meansPassword {
		if r.Generic != "password" {
			return false
		}
		if a.statement && !a.quoted && !a.data && !a.literal && count(v).other == 0 {
			return false // password = param2;
		}
		return looksPassword(v, a.quoted || a.data) || looksRandom(v)
	}
	if !a.quoted && !a.data && !a.literal && identifier(v) {
		return false // PrivateKey: testP256PrivateKey
	}
	return r.Generic == "token" && looksRandom(v)
}

// samey reports whether all bytes of v are the same.
func samey(v []byte) bool {
	for _, c := range v {
		if c != v[0] {
			return false
		}
	}
	return true
}

// known takes a hit of a known value.
func (j *judge) known(known int, h match.Hit) {
	part := j.part(h.Start)
	v := span{h.Start, min(h.End, part.to)}
	if v.len() > 0 {
		j.add(candidate{span: v, known: known, score: scoreProved})
	}
}

// add keeps the better of candidates that overlap. Hits come in the order of
// the text, so that only the last ones can; report looks at the rest.
func (j *judge) add(c candidate) {
	const recent = 16
	for i := max(0, len(j.found)-recent); i < len(j.found); i++ {
		o := &j.found[i]
		if c.from >= o.to || o.from >= c.to {
			continue
		}
		if better(&c, o) {
			*o = c
		}
		return
	}
	j.found = append(j.found, c)
}

// better reports whether a says more than b about the same text.
func better(a, b *candidate) bool {
	if a.rank() != b.rank() {
		return a.rank() > b.rank()
	}
	if a.score != b.score {
		return a.score > b.score
	}
	return a.len() > b.len()
}
