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
		sep := -1
		for k := i; k < i+3; k++ {
			if class[text[k]]&inHex == 0 {
				if sep >= 0 {
					sep = -1
					break
				}
				sep = k
			}
		}
		if sep < 0 || !isSeparator(text[sep]) {
			continue
		}
		if at := firstPair(text, done, sep); at >= 0 {
			if end := f.pairsFrom(text, at, text[sep]); end > 0 {
				done = end
				i = max(i, end&^15-16)
			}
		}
	}
	for _, prefix := range prefixes {
		for i := 0; i < len(text); {
			k := bytes.Index(text[i:], prefix)
			if k < 0 {
				break
			}
			i += k
			i = max(i+2, f.prefixed(text, i))
		}
	}
}

var prefixes = [][]byte{[]byte("0x"), []byte("0X")}

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
		if end < len(text) && text[end] == sep {
			i = end + 1
		} else {
			i = lineBreak(text, end)
		}
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
