package layer

import (
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// What a character that is not ASCII may be.
const (
	plain      = iota // itself
	letter            // itself, a letter
	dropped           // shows nothing: controls, joiners, fillers, soft hyphen
	lookalike         // looks like one ASCII character
	compatible        // is a letter or digit in another dress (NFKC)
	accented          // a letter with marks
	mark              // a combining mark
	selector          // a variation selector
	tag               // of the tag characters, which mirror ASCII
	blank             // a space
	wall              // of a script that is written without spaces, or a symbol: ends a word
	special           // folds to several characters
)

// A folding says what a character is, and what it becomes.
type folding struct {
	kind uint8
	to   byte
}

// A foldings is the table of the characters of alphabets, of punctuation and of
// symbols, of which most texts are made, and of the mathematical letters.
type foldings struct {
	low  [lowEnd]folding
	math [mathEnd - mathStart]folding
}

const (
	firstHigh = 0x2000 // below are the alphabets
	lowEnd    = 0x2e80
	mathStart = 0x1d400
	mathEnd   = 0x1d800
)

// of returns the folding of r, which is not ASCII.
func (t *foldings) of(r rune) folding {
	switch {
	case r < lowEnd:
		return t.low[r]
	case mathStart <= r && r < mathEnd:
		return t.math[r-mathStart]
	}
	return highFolding(r)
}

var foldingTable = sync.OnceValue(func() *foldings {
	t := new(foldings)
	for r := rune(0x80); r < firstHigh; r++ {
		if t.low[r] = decomposed(r); t.low[r].kind == plain && unicode.IsLetter(r) {
			t.low[r].kind = letter
		}
	}
	for _, r := range []rune{0xad, 0x34f, 0x61c, 0x115f, 0x1160, 0x17b4, 0x17b5, 0x180b, 0x180c, 0x180d, 0x180e, 0x180f} {
		t.low[r] = folding{kind: dropped}
	}
	for _, r := range []rune{0x85, 0xa0, 0x1680} {
		t.low[r] = folding{blank, ' '}
	}
	for _, l := range lookalikes {
		for _, r := range l.like {
			if r < firstHigh {
				t.low[r] = folding{lookalike, l.ascii}
			}
		}
	}
	for r := rune(firstHigh); r < lowEnd; r++ {
		t.low[r] = highFolding(r)
	}
	for r := rune(mathStart); r < mathEnd; r++ {
		f := decomposed(r)
		// A Greek letter in mathematical dress may look like a Latin one.
		if g, _ := utf8.DecodeRune(decomposition(r)); f.kind == plain && utf8.RuneSelf <= g && g < firstHigh {
			f = t.low[g]
		}
		t.math[r-mathStart] = f
	}
	return t
})

var highLookalikes = sync.OnceValue(func() map[rune]byte {
	m := map[rune]byte{}
	for _, l := range lookalikes {
		for _, r := range l.like {
			if r >= firstHigh {
				m[r] = l.ascii
			}
		}
	}
	return m
})

// decomposed returns the folding of r that follows from its decomposition
// (UAX #15). What stands in Latin-1 in its own right (ª ² º) is plain.
func decomposed(r rune) folding {
	if unicode.Is(unicode.Mn, r) || unicode.Is(unicode.Me, r) {
		return folding{kind: mark}
	}
	if r < 0xc0 {
		return folding{}
	}
	d := decomposition(r)
	if len(d) == 0 {
		return folding{}
	}
	first, n := utf8.DecodeRune(d)
	if first >= utf8.RuneSelf || class[first]&inWord == 0 {
		return folding{}
	}
	if n == len(d) {
		return folding{compatible, byte(first)}
	}
	for rest := d[n:]; len(rest) > 0; {
		m, k := utf8.DecodeRune(rest)
		if !unicode.Is(unicode.Mn, m) {
			return folding{kind: special}
		}
		rest = rest[k:]
	}
	return folding{accented, byte(first)}
}

// decomposition returns the compatibility decomposition of r, nil if it has none.
func decomposition(r rune) []byte {
	var src [utf8.UTFMax]byte
	return norm.NFKD.Properties(src[:utf8.EncodeRune(src[:], r)]).Decomposition()
}

// highFolding is foldings.of from firstHigh on, but for the mathematical letters.
func highFolding(r rune) folding {
	switch {
	case r <= 0x200a, r == 0x202f, r == 0x205f, r == 0x3000, r == 0x2800:
		return folding{blank, ' '}
	case r <= 0x200f, 0x202a <= r && r <= 0x202e, 0x2060 <= r && r <= 0x206f,
		r == 0x3164, r == 0xfeff, r == 0xffa0, 0xfff0 <= r && r <= 0xfffb, 0x1d173 <= r && r <= 0x1d17a:
		return folding{kind: dropped}
	case 0xfe00 <= r && r <= 0xfe0f:
		return folding{selector, byte(r - 0xfe00)}
	case 0xe0100 <= r && r <= 0xe01ef:
		return folding{selector, byte(r - 0xe0100 + 16)}
	case 0xe0000 <= r && r <= 0xe007f:
		return folding{tag, byte(r - 0xe0000)}
	case 0x20d0 <= r && r <= 0x20f0:
		return folding{kind: mark}
	case 0x2e80 <= r && r < 0xa000, 0xac00 <= r && r < 0xd7b0, 0x20000 <= r && r < 0x40000:
		return folding{kind: wall}
	case 0xff01 <= r && r <= 0xff5e:
		c := byte(r - 0xff01 + '!')
		if class[c]&inWord == 0 {
			return folding{lookalike, c}
		}
		return folding{compatible, c}
	case 0x1f130 <= r && r <= 0x1f149, 0x1f150 <= r && r <= 0x1f169, 0x1f170 <= r && r <= 0x1f189:
		return folding{compatible, byte('A' + (r-0x1f130)&31)}
	}
	if c, ok := highLookalikes()[r]; ok {
		return folding{lookalike, c}
	}
	if f := decomposedHigh(r); f.kind != plain || !unicode.IsLetter(r) {
		return f
	}
	return folding{kind: letter}
}

// decomposedHigh tells the letters in other dress among the symbols.
func decomposedHigh(r rune) folding {
	switch {
	case 0x2070 <= r && r < 0x20a0, 0x2100 <= r && r < 0x2190, 0x2460 <= r && r < 0x2500, 0x2776 <= r && r < 0x2794,
		0x2c60 <= r && r < 0x2c80, 0xa700 <= r && r < 0xa800, 0xab30 <= r && r < 0xab70, 0xfb00 <= r && r < 0xfb07,
		0x10780 <= r && r < 0x107c0:
		return decomposed(r)
	case 0x2010 <= r && r < 0x2e80, r >= 0x1f000:
		return folding{kind: wall} // punctuation, symbols, emoji
	}
	return folding{}
}
