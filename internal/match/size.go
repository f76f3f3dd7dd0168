package match

import "regexp/syntax"

type tree = syntax.Regexp

// endless is the length in bytes of what has no bound.
const endless = 1 << 20

// The two runes outside ASCII that fold to an ASCII letter. Texts come without
// them (the payload folds them), so literals need not know them.
const (
	longS  = '\u017f'
	kelvin = '\u212a'
)

// shortest returns the least number of bytes that t matches.
func shortest(t *tree) int {
	switch t.Op {
	case syntax.OpLiteral:
		n := 0
		for _, r := range t.Rune {
			n += width(r)
		}
		return n
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return 1
	case syntax.OpCapture, syntax.OpPlus:
		return shortest(t.Sub[0])
	case syntax.OpConcat:
		n := 0
		for _, s := range t.Sub {
			n += shortest(s)
		}
		return n
	case syntax.OpAlternate:
		n := endless
		for _, s := range t.Sub {
			n = min(n, shortest(s))
		}
		return n
	case syntax.OpRepeat:
		return t.Min * shortest(t.Sub[0])
	}
	return 0
}

// longest returns the greatest number of bytes that t matches.
func longest(t *tree) int {
	switch t.Op {
	case syntax.OpLiteral:
		n := 0
		for _, r := range t.Rune {
			if t.Flags&syntax.FoldCase != 0 && r > 127 {
				n += 4
			} else {
				n += width(r)
			}
		}
		return n
	case syntax.OpCharClass:
		for i := 0; i < len(t.Rune); i += 2 {
			lo, hi := t.Rune[i], t.Rune[i+1]
			if hi > 127 && !(lo == hi && (lo == longS || lo == kelvin)) {
				return 4
			}
		}
		return 1
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return 4
	case syntax.OpCapture, syntax.OpQuest:
		return longest(t.Sub[0])
	case syntax.OpConcat:
		n := 0
		for _, s := range t.Sub {
			n = min(endless, n+longest(s))
		}
		return n
	case syntax.OpAlternate:
		n := 0
		for _, s := range t.Sub {
			n = max(n, longest(s))
		}
		return n
	case syntax.OpStar, syntax.OpPlus:
		return times(longest(t.Sub[0]), endless)
	case syntax.OpRepeat:
		if t.Max < 0 {
			return times(longest(t.Sub[0]), endless)
		}
		return times(longest(t.Sub[0]), t.Max)
	}
	return 0
}

func times(n, count int) int { return min(endless, n*count) }

func width(r rune) int { return len(string(r)) }

// assertion reports whether t matches no byte but demands something of the
// bytes around it.
func assertion(t *tree) bool {
	switch t.Op {
	case syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText,
		syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return true
	}
	return false
}
