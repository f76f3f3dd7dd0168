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
		if !slices.ContainsFunc(want, func(w Hit) bool { return g.Pattern == w.Pattern && ref.explains(w, g) }) {
			t.Errorf("%s: not in the reference: %+v %.200q in %.300q, want %+v", ref.patterns[g.Pattern].ID, g, text[g.Start:g.End], text, want)
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

// explains reports whether w is a reason for hit g.
func (ref reference) explains(w, g Hit) bool {
	if ref.patterns[g.Pattern].Extend != "" {
		return w.Start < g.End && g.Start < w.End
	}
	return ref.covers(g, w)
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
	if testing.Short() || raceEnabled {
		rounds = 500
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

// decoded reports whether text is as the payload hands it over, and short
// enough for the reference.
func decoded(text []byte) bool {
	return len(text) < 4096 && utf8.Valid(text) && !bytes.ContainsAny(text, "\u017f\u212a")
}

// FuzzEqualsReference compares over all shapes together and over two of them:
// what one pattern adds to the filter must not hide another.
func FuzzEqualsReference(f *testing.F) {
	m, ref := matcher(f, shapes), newReference(shapes)
	r := rand.New(rand.NewSource(1))
	for i, p := range shapes {
		f.Add([]byte(sample(r, p)), uint8(i), uint8(i+1))
		f.Add([]byte(noise(r, sample(r, p))), uint8(i), uint8(0))
	}
	var s Scratch
	f.Fuzz(func(t *testing.T, text []byte, a, b uint8) {
		if !decoded(text) {
			t.Skip()
		}
		got, err := m.Scan(text, &s)
		if err != nil {
			t.Skip()
		}
		want := ref.scan(text)
		ref.compare(t, want, got, text)

		x, y := int(a)%len(shapes), int(b)%len(shapes)
		if x == y {
			return
		}
		two := matcher(t, []Pattern{shapes[x], shapes[y]})
		var of []Hit
		for _, h := range got {
			switch h.Pattern {
			case x:
				h.Pattern = 0
			case y:
				h.Pattern = 1
			default:
				continue
			}
			of = append(of, h)
		}
		slices.SortFunc(of, byStart)
		if got, _ := two.Scan(text, &s); !slices.Equal(got, of) {
			t.Errorf("%s, %s: alone %+v, among all %+v in %.300q", shapes[x].ID, shapes[y].ID, got, of, text)
		}
	})
}

// FuzzPattern compares one pattern of any expression that is accepted.
func FuzzPattern(f *testing.F) {
	r := rand.New(rand.NewSource(1))
	for _, p := range shapes {
		f.Add(p.Expr, p.Extend, p.Group, noise(r, sample(r, p))+sample(r, p))
	}
	var s Scratch
	f.Fuzz(func(t *testing.T, expr, extend string, group int, text string) {
		ps := []Pattern{{ID: "p", Expr: expr, Extend: extend, Group: group}}
		if len(text) > 4096 || len(expr) > 200 || strings.ContainsAny(expr, "\u017f\u212a") {
			t.Skip()
		}
		m, err := New(ps)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "match: pattern \"p\": ") {
				t.Error(err)
			}
			t.Skip()
		}
		if _, err := m.Scan([]byte(text), &s); err != nil {
			t.Skip()
		}
		ref := newReference(ps)
		for _, text := range []string{text, sample(r, ps[0]), noise(r, sample(r, ps[0])) + text} {
			if !decoded([]byte(text)) {
				continue
			}
			got, err := m.Scan([]byte(text), &s)
			if err != nil {
				continue
			}
			ref.compare(t, ref.scan([]byte(text)), got, []byte(text))
		}
	})
}
