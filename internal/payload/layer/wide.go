package layer

import "bytes"

// leastWide is how many characters make a text of two bytes a character.
const leastWide = 8

// wide opens UTF-16 of either byte order whose characters are ASCII: every
// other byte is zero.
func (f *finder) wide(text []byte) {
	for i := 0; i < len(text); {
		k := bytes.IndexByte(text[i:], 0)
		if k < 0 {
			return
		}
		i += k
		at := i // of the first character, whose zero is before it or behind it
		if i > 0 && class[text[i-1]]&inText != 0 {
			at = i - 1
		}
		zero := i - at
		f.out = f.out[:0]
		for at+1 < len(text) && text[at+zero] == 0 && class[text[at+1-zero]]&inText != 0 {
			f.out = append(f.out, text[at+1-zero])
			at += 2
		}
		if len(f.out) >= leastWide {
			f.give("utf16", at-2*len(f.out), at, f.out, false)
		}
		i = max(i+1, at)
	}
}
