package match

import "unicode/utf8"

// stepCost is what a step of the backtracking search counts, in steps of a DFA.
const stepCost = 2

// confirm makes hits of the candidates, which are in the order of their
// patterns and places.
func (m *Matcher) confirm(text []byte, s *Scratch) {
	for i := 0; i < len(s.candidates) && s.left >= 0; {
		j := i + 1
		for j < len(s.candidates) && s.candidates[j].pattern == s.candidates[i].pattern {
			j++
		}
		m.confirmPattern(text, s, s.candidates[i:j])
		i = j
	}
}

// confirmPattern confirms the candidates of one pattern. As package regexp
// does over the whole text, it takes the leftmost match and goes on behind it.
func (m *Matcher) confirmPattern(text []byte, s *Scratch, cs []candidate) {
	n := cs[0].pattern
	p := &m.patterns[n]
	from, reach := 0, 0 // where the next match may begin; how far hits were prolonged
	for i, c := range cs {
		if c.at < from || i > 0 && c.at == cs[i-1].at {
			continue
		}
		h, ok := p.matchAround(text, s, max(from, c.at-p.before), c.at)
		if s.left < 0 {
			return
		}
		if !ok {
			continue
		}
		h.Pattern, from = n, h.End
		if h.End <= reach {
			continue // all of it is in a prolonged hit
		}
		if p.extend != nil {
			p.prolong(text, s, &h)
			reach = h.End
		}
		s.hits = append(s.hits, h)
	}
}

// matchAround returns the leftmost match that begins between from and at.
func (p *pattern) matchAround(text []byte, s *Scratch, from, at int) (Hit, bool) {
	if p.lazy == nil {
		end := at + len(p.exact)
		return Hit{Start: at, End: end, From: at, To: end}, true
	}
	prog, t := p.lazy.get(), &s.track
	t.begin(prog, from)
	for ; from <= at; from++ {
		if !utf8.RuneStart(text[from]) {
			continue
		}
		ok, steps := t.search(prog, text, from, p.group, s.left/stepCost)
		if s.left -= steps * stepCost; s.left < 0 {
			return Hit{}, false
		}
		if ok {
			h := Hit{Start: t.slots[0], End: t.slots[1], From: t.slots[2], To: t.slots[3]}
			if h.From < 0 || h.To < 0 {
				h.From, h.To = h.Start, h.End
			}
			return h, true
		}
	}
	return Hit{}, false
}

// prolong moves the end of h behind the bytes of the class, and the end of its
// group with it if they are the same.
func (p *pattern) prolong(text []byte, s *Scratch, h *Hit) {
	end := h.End
	for end < len(text) && p.extend[text[end]] {
		end++
	}
	s.left -= end - h.End
	if h.To == h.End {
		h.To = end
	}
	h.End = end
}
