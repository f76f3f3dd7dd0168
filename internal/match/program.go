package match

import (
	"regexp/syntax"
	"unicode/utf8"
)

// A program is an expression as package regexp compiles it, with the ASCII
// characters of each instruction as bits.
type program struct {
	inst  []inst
	start uint32
	alts  int // number of instructions of kind alt
	words bool
	lines bool // whether it asserts something about words, about lines or the ends of the text
}

type inst struct {
	kind     kind
	ascii    [2]uint64
	beyond   bool // whether a rune outside ASCII may match
	alt      int32
	fork     *fork // of an alternation of many branches
	out, arg uint32
	runes    *syntax.Inst
}

type kind uint8

const (
	fail kind = iota
	alt
	char
	capture
	assert
	match
)

func newProgram(t *tree) *program {
	compiled, err := syntax.Compile(t.Simplify())
	if err != nil {
		panic("match: " + err.Error()) // syntax.Compile has no errors
	}
	p := &program{inst: make([]inst, len(compiled.Inst)), start: uint32(compiled.Start)}
	var last *inst // of kind char: repeats make many of the same
	for i := range compiled.Inst {
		from, to := &compiled.Inst[i], &p.inst[i]
		to.out, to.arg = from.Out, from.Arg
		switch from.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			to.kind, to.alt = alt, int32(p.alts)
			p.alts++
		case syntax.InstCapture:
			to.kind = capture
		case syntax.InstNop:
			to.kind, to.arg = capture, noSlot
		case syntax.InstEmptyWidth:
			to.kind = assert
			f := syntax.EmptyOp(from.Arg)
			p.words = p.words || f&(syntax.EmptyWordBoundary|syntax.EmptyNoWordBoundary) != 0
			p.lines = p.lines || f&^(syntax.EmptyWordBoundary|syntax.EmptyNoWordBoundary) != 0
		case syntax.InstMatch:
			to.kind = match
		case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
			if last == nil || !sameRunes(last.runes, from) {
				last = &inst{kind: char, runes: from, beyond: matchesBeyond(from)}
				for c := range 128 {
					if from.MatchRune(rune(c)) {
						last.ascii[c>>6] |= 1 << (c & 63)
					}
				}
			}
			to.kind, to.runes, to.beyond, to.ascii = char, last.runes, last.beyond, last.ascii
		}
	}
	p.forks()
	return p
}

// noSlot is the slot of an instruction that captures nothing.
const noSlot = 1 << 30

// sameRunes reports whether a and b match the same, as copies that a repeat
// made do.
func sameRunes(a, b *syntax.Inst) bool {
	if a.Op != b.Op || len(a.Rune) != len(b.Rune) || len(a.Rune) > 0 && &a.Rune[0] != &b.Rune[0] {
		return false
	}
	return (a.Op != syntax.InstRune && a.Op != syntax.InstRune1) || a.Arg == b.Arg
}

// matchesBeyond reports whether i may match a rune outside ASCII.
func matchesBeyond(i *syntax.Inst) bool {
	switch i.Op {
	case syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
		return true
	}
	if len(i.Rune) == 1 { // that rune, or what it folds to
		r := i.Rune[0]
		return r > 127 || i.MatchRune(longS) || i.MatchRune(kelvin)
	}
	for k := 1; k < len(i.Rune); k += 2 {
		if i.Rune[k] > 127 {
			return true
		}
	}
	return false
}

func (i *inst) has(c byte) bool { return i.ascii[c>>6&1]>>(c&63)&1 != 0 }

// word reports whether c is a word character for \b.
func word(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '_'
}

// What stands beside a position, as far as assertions see it.
type side uint8

const (
	other  side = iota
	edge        // start or end of the text
	letter      // a word character
	newline
)

func sideOf(c byte) side {
	switch {
	case word(c):
		return letter
	case c == '\n':
		return newline
	}
	return other
}

// sees forgets what p does not ask about, so that it has fewer states.
func (p *program) sees(s side) side {
	switch s {
	case edge, newline:
		if !p.lines {
			return other
		}
	case letter:
		if !p.words {
			return other
		}
	}
	return s
}

// holds returns the assertions that hold between two sides.
func holds(before, after side) syntax.EmptyOp {
	var f syntax.EmptyOp
	switch before {
	case edge:
		f |= syntax.EmptyBeginText | syntax.EmptyBeginLine
	case newline:
		f |= syntax.EmptyBeginLine
	}
	switch after {
	case edge:
		f |= syntax.EmptyEndText | syntax.EmptyEndLine
	case newline:
		f |= syntax.EmptyEndLine
	}
	if (before == letter) != (after == letter) {
		return f | syntax.EmptyWordBoundary
	}
	return f | syntax.EmptyNoWordBoundary
}

// around returns the assertions that hold at position i of text.
func around(text []byte, i int) syntax.EmptyOp {
	before, after := edge, edge
	if i > 0 {
		before = sideOf(text[i-1])
	}
	if i < len(text) {
		after = sideOf(text[i])
	}
	return holds(before, after)
}

// matchAt reports whether i matches the character at text[at:], and its length.
func (i *inst) matchAt(text []byte, at int) (int, bool) {
	if at >= len(text) {
		return 0, false
	}
	if c := text[at]; c < utf8.RuneSelf {
		return 1, i.has(c)
	}
	if !i.beyond {
		return 0, false
	}
	r, n := utf8.DecodeRune(text[at:])
	return n, i.runes.MatchRune(r)
}
