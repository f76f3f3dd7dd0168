package match

import (
	"regexp/syntax"
	"slices"
	"unicode"
)

// An anchor is one of a set of literals of which every match of an expression
// contains one.
type anchor struct {
	literal string // ASCII letters in lower case
	before  int    // bytes of the match that may stand before the literal
	after   int    // bytes of the match that may stand after the literal
	rest    *tree  // what can be found where the literal begins: at least all that the expression allows
}

// What an expression is taken apart into at one place: at most so many
// literals, none by way of a class of more characters.
const (
	most      = 64
	mostClass = 24
)

// anchorsOf returns the set of anchors of t that is expected to be met least
// often in harmless text, or nil if there is none.
func anchorsOf(t *tree) []anchor {
	switch t.Op {
	case syntax.OpCapture:
		return anchorsOf(t.Sub[0])
	case syntax.OpConcat:
		return anchorsOfConcat(t)
	case syntax.OpAlternate:
		return rarer(anchorsOfStrings(t), anchorsOfAlternate(t))
	case syntax.OpPlus:
		return repeated(t, endless)
	case syntax.OpRepeat:
		if s := anchorsOfStrings(t); s != nil {
			return s
		}
		if t.Min > 0 {
			return repeated(t, longest(t))
		}
		return nil
	}
	return anchorsOfStrings(t)
}

func anchorsOfStrings(t *tree) []anchor {
	if s := stringsOf(t); s != nil {
		return anchorsAt(s, 0, 0, t)
	}
	return nil
}

func anchorsOfAlternate(t *tree) []anchor {
	var all []anchor
	for _, s := range t.Sub {
		a := anchorsOf(s)
		if a == nil {
			return nil
		}
		all = append(all, a...)
	}
	return all
}

// repeated returns the anchors of what t repeats; any number of repetitions
// may stand around the one that holds the literal.
func repeated(t *tree, size int) []anchor {
	more := &tree{Op: syntax.OpStar, Sub: t.Sub[:1]}
	as := anchorsOf(t.Sub[0])
	for i := range as {
		as[i].before, as[i].after = size, size
		as[i].rest = concat(as[i].rest, more)
	}
	return as
}

// anchorsOfConcat tries each run of elements that are finite sets of strings,
// and each other element by itself.
func anchorsOfConcat(t *tree) []anchor {
	after := make([]int, len(t.Sub)+1) // after[i]: bytes from element i to the end
	for i := len(t.Sub) - 1; i >= 0; i-- {
		after[i] = min(endless, after[i+1]+longest(t.Sub[i]))
	}
	var best []anchor
	before := 0
	for i, sub := range t.Sub {
		from := i // what is asserted where the literal begins belongs to its rest
		for from > 0 && assertion(t.Sub[from-1]) {
			from--
		}
		rest := concat(t.Sub[from:]...)
		run := stringsOf(sub)
		if run == nil {
			best = rarer(best, within(t, from, i, before, after[i+1]))
		}
		for j := i + 1; run != nil; j++ {
			best = rarer(best, anchorsAt(run, before, after[j], rest))
			if j == len(t.Sub) {
				break
			}
			run = cross(run, stringsOf(t.Sub[j]))
		}
		before = min(endless, before+longest(sub))
	}
	return best
}

// anchorsAt returns the anchors of a run of strings, nil if one is too short.
func anchorsAt(run []string, before, after int, rest *tree) []anchor {
	set := make([]anchor, 0, len(run))
	for _, s := range run {
		if len(s) < 2 {
			return nil
		}
		set = append(set, anchor{s, before, after, rest})
	}
	return set
}

// within returns the anchors of element i of t, seen from all of t. The
// elements between from and i assert something.
func within(t *tree, from, i, before, after int) []anchor {
	set := anchorsOf(t.Sub[i])
	rests := map[*tree]*tree{} // anchors that shared a rest go on sharing it
	for k := range set {
		a := &set[k]
		rest := rests[a.rest]
		if rest == nil {
			rest = concat(append([]*tree{a.rest}, t.Sub[i+1:]...)...)
			if a.before == 0 {
				rest = concat(append(append([]*tree{}, t.Sub[from:i]...), rest)...)
			}
			rests[a.rest] = rest
		}
		a.before, a.after, a.rest = min(endless, a.before+before), min(endless, a.after+after), rest
	}
	return set
}

func concat(ts ...*tree) *tree { return &tree{Op: syntax.OpConcat, Sub: ts} }

// rarer returns the set that costs less; the earlier one if they are equal.
func rarer(a, b []anchor) []anchor {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case cost(b) < cost(a):
		return b
	}
	return a
}

// cost estimates how often a set of anchors is met, and what that costs. A set
// that breaks a law is worse than any that does not.
func cost(set []anchor) int {
	const perLiteral, perStart, lawless = 4, 1, 1 << 30
	n := 0
	for _, a := range set {
		n += perLiteral + frequency(a.literal) + perStart*min(a.before, span)
		if a.before > span || a.after > span {
			n += lawless
		}
	}
	return n
}

// stringsOf returns the strings t matches, ASCII letters in lower case, nil if
// they are too many or t asserts something.
func stringsOf(t *tree) []string {
	switch t.Op {
	case syntax.OpEmptyMatch:
		return []string{""}
	case syntax.OpLiteral:
		return stringsOfLiteral(t)
	case syntax.OpCharClass:
		return stringsOfClass(t)
	case syntax.OpCapture:
		return stringsOf(t.Sub[0])
	case syntax.OpQuest:
		if s := stringsOf(t.Sub[0]); s != nil {
			return cross([]string{""}, append(s, ""))
		}
	case syntax.OpAlternate:
		var all []string
		for _, sub := range t.Sub {
			s := stringsOf(sub)
			if s == nil {
				return nil
			}
			all = append(all, s...)
		}
		return cross([]string{""}, all)
	case syntax.OpConcat:
		all := []string{""}
		for _, sub := range t.Sub {
			if all = cross(all, stringsOf(sub)); all == nil {
				return nil
			}
		}
		return all
	case syntax.OpRepeat:
		if t.Min != t.Max {
			return nil
		}
		one, all := stringsOf(t.Sub[0]), []string{""}
		for range t.Min {
			if all = cross(all, one); all == nil {
				return nil
			}
		}
		return all
	}
	return nil
}

func stringsOfLiteral(t *tree) []string {
	if t.Flags&syntax.FoldCase == 0 {
		return []string{lower(string(t.Rune))}
	}
	all := []string{""}
	for _, r := range t.Rune {
		if r < 128 {
			all = cross(all, []string{lower(string(r))})
			continue
		}
		forms := []string{lower(string(r))}
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			forms = append(forms, lower(string(f)))
		}
		if all = cross(all, forms); all == nil {
			return nil
		}
	}
	return all
}

func stringsOfClass(t *tree) []string {
	var all []string
	for i := 0; i < len(t.Rune); i += 2 {
		lo, hi := t.Rune[i], t.Rune[i+1]
		if len(all)+int(hi-lo) > mostClass {
			return nil
		}
		for r := lo; r <= hi; r++ {
			if r != longS && r != kelvin {
				all = append(all, lower(string(r)))
			}
		}
	}
	return cross([]string{""}, all)
}

// cross returns each of a followed by each of b, each once; nil if they are
// none or too many.
func cross(a, b []string) []string {
	var out []string
	for _, x := range a {
		for _, y := range b {
			s := x + y
			if slices.Contains(out, s) {
				continue
			}
			if len(out) == most {
				return nil
			}
			out = append(out, s)
		}
	}
	return out
}

// lower lowers the ASCII letters of s.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
