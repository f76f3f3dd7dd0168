package match

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// A Pattern is one expression to look for.
type Pattern struct {
	ID     string // unique in its matcher
	Expr   string // syntax of package regexp
	Extend string // a byte class, as between [ and ]: the match is prolonged while bytes are in it
	Group  int    // submatch that is the value looked for; 0 for all of the match
}

// A Hit is one match: Text[Start:End] matched pattern Pattern, and its Group
// is Text[From:To]. A group that took no part in the match is all of it.
type Hit struct {
	Pattern    int // index into the patterns given to New
	Start, End int
	From, To   int
}

// A Matcher looks for a fixed set of patterns. It is immutable and safe for
// concurrent use, with one Scratch a goroutine. The zero Matcher finds nothing.
type Matcher struct {
	patterns []pattern
	literals []literal
	filter   filter
	builder  builder
}

// A pattern is a compiled Pattern.
type pattern struct {
	exact  string // all that it matches, if that is one string; lazy is then nil
	before int    // bytes of a match that may stand before its literal
	group  int
	extend *[256]bool
	lazy   *lazy // of the whole expression
}

// A literal is a string of which each match of its targets contains one.
type literal struct {
	text    string // ASCII letters in lower case
	targets []target
}

// A target is a pattern to be tried where a literal stands.
type target struct {
	pattern int
	dfa     *dfa // of "literal and rest"; nil for an exact pattern
}

// New compiles the patterns. It refuses patterns that break the laws of
// patterns (see the package documentation), naming each and its law. The law
// on the number of states is left to Check.
func New(patterns []Pattern) (*Matcher, error) {
	m := &Matcher{builder: builder{room: memory}}
	index := map[string]int{}
	ids := map[string]bool{}
	var errs []error
	for i, p := range patterns {
		if ids[p.ID] {
			errs = append(errs, fmt.Errorf("match: pattern %q: id used twice", p.ID))
		}
		ids[p.ID] = true
		c, anchors, err := compile(p)
		if err != nil {
			errs = append(errs, fmt.Errorf("match: pattern %q: %w", p.ID, err))
			continue
		}
		m.patterns = append(m.patterns, c)
		m.aim(i, anchors, index)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	m.filter.build(m)
	return m, nil
}

// aim adds the literals of pattern i. Anchors that share a rest share its DFA.
func (m *Matcher) aim(i int, anchors []anchor, index map[string]int) {
	var last *dfa
	for _, a := range anchors {
		n, ok := index[a.literal]
		if !ok {
			n = len(m.literals)
			index[a.literal] = n
			m.literals = append(m.literals, literal{text: a.literal})
		}
		t := target{pattern: i}
		if a.rest != nil {
			if last == nil || last.tree != a.rest {
				last = &dfa{tree: a.rest}
			}
			t.dfa = last
		}
		m.literals[n].targets = append(m.literals[n].targets, t)
	}
}

// A Scratch is the working memory of a scan. The zero value is ready.
type Scratch struct {
	candidates []candidate
	hits       []Hit
	track      track
	left       int // steps
	most       int // candidates
}

// A candidate is a place where a pattern may match: a literal of it stands at
// at, and what follows does not contradict.
type candidate struct{ pattern, at int }

const (
	stepsPerText = 1 << 16
	stepsPerByte = 48

	candidatesPerText = 1 << 13
	bytesPerCandidate = 8

	keep = 1 << 16 // candidates and hits that a Scratch keeps room for
)

// Scan returns the hits in text, in the order of their starts; they are valid until the next
// Scan with s. It allocates nothing beyond the growth of s and of the states
// that a text is the first to need. When a text needs more than its budget of
// steps the error is ErrBudget, which the caller must treat as "not
// inspected"; the hits are then some of those in text.
func (m *Matcher) Scan(text []byte, s *Scratch) ([]Hit, error) {
	s.Begin(len(text))
	return m.Go(text, 0, len(text), s)
}

// Begin begins a scan of several stretches of one text, of which Go reads each as a
// text of its own. size is how many bytes their budget is for.
func (s *Scratch) Begin(size int) { s.reset(size) }

// Go reads text[from:to], behind what was read since Begin, and returns the hits
// in all of it. After an error nothing more can be read.
func (m *Matcher) Go(text []byte, from, to int, s *Scratch) ([]Hit, error) {
	text = text[:to][from:]
	s.candidates = s.candidates[:0]
	m.filter.scan(m, text, s)
	refused := s.left < 0
	if refused {
		s.left = stepsPerText // for what was found so far
	}
	s.most -= len(s.candidates)
	slices.SortFunc(s.candidates, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.pattern, b.pattern), cmp.Compare(a.at, b.at))
	})
	first := len(s.hits)
	m.confirm(text, s)
	hits := s.hits[first:]
	slices.SortFunc(hits, byStart)
	for i := range hits {
		h := &hits[i]
		h.Start, h.End, h.From, h.To = h.Start+from, h.End+from, h.From+from, h.To+from
	}
	if refused || s.left < 0 {
		return s.hits, ErrBudget
	}
	return s.hits, nil
}

func byStart(a, b Hit) int {
	return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.Pattern, b.Pattern))
}

func (s *Scratch) reset(size int) {
	if cap(s.candidates) > keep {
		s.candidates = nil
	}
	if cap(s.hits) > keep {
		s.hits = nil
	}
	s.candidates, s.hits = s.candidates[:0], s.hits[:0]
	s.left = stepsPerText + stepsPerByte*size
	s.most = candidatesPerText + size/bytesPerCandidate
}

// found tries the targets of the literal that stands at at.
func (m *Matcher) found(text []byte, literal, at int, s *Scratch) {
	l := &m.literals[literal]
	for i := range l.targets {
		t := &l.targets[i]
		if t.dfa == nil {
			s.left -= len(l.text)
			if string(text[at:at+len(l.text)]) != m.patterns[t.pattern].exact {
				continue
			}
		} else {
			end, steps := t.dfa.match(&m.builder, text, at)
			s.left -= steps
			if end == dead {
				continue
			}
		}
		if len(s.candidates) == s.most {
			s.left = -1
		}
		if s.left < 0 {
			return
		}
		s.candidates = append(s.candidates, candidate{t.pattern, at})
	}
}

// ErrBudget says that a text was made to cost more than it may.
var ErrBudget = errorString("match: text exceeds its budget of steps")

type errorString string

func (e errorString) Error() string { return string(e) }

// A lazy is a program that is compiled when it is first needed.
type lazy struct {
	once sync.Once
	tree *tree
	prog *program
}

func (l *lazy) get() *program {
	l.once.Do(func() { l.prog, l.tree = newProgram(l.tree), nil })
	return l.prog
}
