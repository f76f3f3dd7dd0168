package match

import (
	"bytes"
	"math/rand"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// A reference is package regexp, one pattern after the other over all of the text.
type reference struct {
	patterns []Pattern
	re       []*regexp.Regexp
}

func newReference(ps []Pattern) reference {
	ref := reference{patterns: ps}
	for _, p := range ps {
		ref.re = append(ref.re, regexp.MustCompile(p.Expr))
	}
	return ref
}

func (ref reference) scan(text []byte) (out []Hit) {
	for i, re := range ref.re {
		for _, l := range re.FindAllSubmatchIndex(text, -1) {
			g := 2 * ref.patterns[i].Group
			h := Hit{i, l[0], l[1], l[g], l[g+1]}
			if h.From < 0 {
				h.From, h.To = h.Start, h.End
			}
			out = append(out, h)
		}
	}
	return out
}

// compare demands that each hit of the reference is among ours or, of patterns
// that prolong, is covered by one of ours, and that ours beyond them overlap
// one of the reference.
func (ref reference) compare(t testing.TB, want, got []Hit, text []byte) {
	t.Helper()
	for _, w := range want {
		p := ref.patterns[w.Pattern]
		if !slices.ContainsFunc(got, func(g Hit) bool { return g.Pattern == w.Pattern && ref.covers(g, w) }) {
			t.Errorf("%s: missing %+v %.200q in %.300q, got %+v", p.ID, w, text[w.Start:w.End], text, got)
		}
	}
	for _, g := range got {
		if !slices.ContainsFunc(want, func(w Hit) bool { return g.Pattern == w.Pattern && w.Start < g.End && g.Start < w.End }) {
			t.Errorf("%s: not in the reference: %+v %.200q in %.300q", ref.patterns[g.Pattern].ID, g, text[g.Start:g.End], text)
		}
	}
	for i, g := range got {
		if i > 0 && g.Start < got[i-1].Start {
			t.Errorf("hits are not in the order of their starts: %+v", got)
		}
		if g.Start > g.From || g.From > g.To || g.To > g.End {
			t.Errorf("%s: group outside of the match: %+v", ref.patterns[g.Pattern].ID, g)
		}
	}
}

// covers reports whether hit g is what is expected for w.
func (ref reference) covers(g, w Hit) bool {
	p := ref.patterns[w.Pattern]
	if p.Extend != "" {
		return g.Start < w.End && g.End >= w.End && (g.Start != w.Start || g.From == w.From && g.To >= w.To)
	}
	// a lazy lead is not part of a hit where a group is asked for
	return g.End == w.End && g.From == w.From && g.To == w.To && (g.Start == w.Start || p.Group > 0 && g.Start > w.Start)
}

func TestEqualsReferenceOnOrdinaryText(t *testing.T) {
	m, ref := matcher(t, shapes), newReference(shapes)
	r := rand.New(rand.NewSource(1))
	var s Scratch
	n := 0
	for range 6 {
		for _, text := range [][]byte{
			[]byte(piece(r, codeText(t), 4096)),
			chat(t, r, 4096, false),
			planted(t, r, shapes, 8192),
		} {
			want := ref.scan(text)
			n += len(want)
			got, err := m.Scan(text, &s)
			if err != nil {
				t.Error(err)
			}
			ref.compare(t, want, got, text)
		}
	}
	t.Logf("%d hits", n)
}

func TestEqualsReferenceOnNoise(t *testing.T) {
	m, ref := matcher(t, shapes), newReference(shapes)
	r := rand.New(rand.NewSource(1))
	var s Scratch
	rounds, n := 2500, 0
	if testing.Short() {
		rounds = 200
	}
	for range rounds {
		var b strings.Builder
		for range 1 + r.Intn(4) {
			b.WriteString(noise(r, sample(r, shapes[r.Intn(len(shapes))])))
		}
		text := []byte(b.String())
		want := ref.scan(text)
		n += len(want)
		got, err := m.Scan(text, &s)
		if err != nil {
			t.Fatal(err)
		}
		ref.compare(t, want, got, text)
		if t.Failed() {
			t.FailNow()
		}
	}
	t.Logf("%d hits", n)
}

// decoded reports whether text is as the payload hands it over.
func decoded(text []byte) bool {
	return utf8.Valid(text) && !bytes.ContainsAny(text, "\u017f\u212a")
}

func FuzzEqualsReference(f *testing.F) {
	m, ref := matcher(f, shapes), newReference(shapes)
	r := rand.New(rand.NewSource(1))
	for _, p := range shapes {
		f.Add([]byte(sample(r, p)))
		f.Add([]byte(noise(r, sample(r, p))))
	}
	var s Scratch
	f.Fuzz(func(t *testing.T, text []byte) {
		if !decoded(text) {
			t.Skip()
		}
		got, err := m.Scan(text, &s)
		if err != nil {
			t.Skip()
		}
		ref.compare(t, ref.scan(text), got, text)
	})
}
