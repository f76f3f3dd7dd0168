package layer

import "bytes"

// leastPairs is how many separated pairs of hexadecimal digits are decoded.
const leastPairs = 8

// pairs opens pairs of digits with a separator between them: 41:42:43, or
// 0x41, 0x42.
func (f *finder) pairs(text []byte) {
	// Eight pairs and their separators are 23 bytes, so that some three of
	// them that begin at a multiple of 16 are two digits and a separator.
	done := 0
	for i := 0; i+3 <= len(text); i += 16 {
		w := text[i : i+3 : i+3]
		x, y, z := inPair[w[0]], inPair[w[1]], inPair[w[2]]
		if x+y+z != 1 {
			continue
		}
		sep := i + int(y+2*z)
		if at := firstPair(text, done, sep); at >= 0 && manyPairs(text, at, text[sep]) {
			if end := f.pairsFrom(text, at, text[sep]); end > 0 {
				done = end
				i = max(i, end&^15-16)
			}
		}
	}
	for _, x := range [2]byte{'x', 'X'} {
		for i := 1; i < len(text); {
			k := bytes.IndexByte(text[i:], x)
			if k < 0 {
				break
			}
			i += k
			if text[i-1] == '0' && pairAt(text, i+1) {
				i = max(i, f.prefixed(text, i-1))
			}
			i++
		}
	}
}

// inPair is 0 for a hexadecimal digit, 1 for a separator of pairs, and more
// than the two for other bytes.
var inPair = func() (t [256]uint8) {
	for i := range t {
		switch c := byte(i); {
		case class[c]&inHex != 0:
		case isSeparator(c):
			t[i] = 1
		default:
			t[i] = 4
		}
	}
	return t
}()

func isSeparator(c byte) bool {
	switch c {
	case ':', '-', '.', ',', ';', '_', '|', ' ', '\t', '\n', '/', '+', '~', '*', '#', '$', '=', '&':
		return true
	}
	return false
}

// pairAt reports whether two hexadecimal digits stand at text[i].
func pairAt(text []byte, i int) bool {
	return i >= 0 && i+2 <= len(text) && class[text[i]]&class[text[i+1]]&inHex != 0
}

// firstPair returns the start of the first of the pairs that lead to the
// separator at sep, not before floor; -1 if there is none.
func firstPair(text []byte, floor, sep int) int {
	at := sep - 2
	if at < floor || !pairAt(text, at) {
		return -1
	}
	for at-3 >= floor && text[at-1] == text[sep] && pairAt(text, at-3) {
		at -= 3
	}
	return at
}

// nextPair returns where a pair may stand behind the one that ends at text[end],
// or -1.
func nextPair(text []byte, end int, sep byte) int {
	if end < len(text) && text[end] == sep {
		return end + 1
	}
	return lineBreak(text, end)
}

// manyPairs reports whether leastPairs pairs stand from text[at] on.
func manyPairs(text []byte, at int, sep byte) bool {
	for n := 0; at >= 0 && pairAt(text, at); at = nextPair(text, at+2, sep) {
		if n++; n == leastPairs {
			return true
		}
	}
	return false
}

// pairsFrom emits the pairs from text[at] on with the separator sep, or a line
// break in its place, and returns their end; 0 if they are too few.
func (f *finder) pairsFrom(text []byte, at int, sep byte) int {
	f.bytes, f.lines = f.bytes[:0], f.lines[:0]
	i, end := at, at
	for i >= 0 && pairAt(text, i) {
		if n := len(f.bytes); n == 0 || i != end+1 || text[end] != sep {
			f.lines = append(f.lines, line{n, i})
		}
		f.bytes = append(f.bytes, digit(text[i])<<4|digit(text[i+1]))
		end = i + 2
		i = nextPair(text, end, sep)
	}
	if len(f.bytes) < leastPairs {
		return 0
	}
	place := func(k int) int {
		l := f.lineOf(k)
		return l.from + 3*(k-l.at)
	}
	f.regions("hex", true, leastPairs, func(a, z int) (int, int) { return place(a), place(z-1) + 2 })
	return end
}

// prefixed emits the pairs from text[at] on that are written 0x41, 0x42, and
// returns their end; 0 if they are too few.
func (f *finder) prefixed(text []byte, at int) int {
	f.bytes, f.lines = f.bytes[:0], f.lines[:0]
	end := 0
	for i := at; i+4 <= len(text) && text[i] == '0' && text[i+1] == text[at+1] && pairAt(text, i+2); {
		f.lines = append(f.lines, line{len(f.bytes), i})
		f.bytes = append(f.bytes, digit(text[i+2])<<4|digit(text[i+3]))
		end = i + 4
		for i = end; i < min(end+64, len(text)) && (class[text[i]]&inSpace != 0 || isSeparator(text[i])); i++ {
		}
	}
	if len(f.bytes) < leastPairs {
		return 0
	}
	f.regions("hex", true, leastPairs, func(a, z int) (int, int) { return f.lines[a].from, f.lines[z-1].from + 4 })
	return end
}
