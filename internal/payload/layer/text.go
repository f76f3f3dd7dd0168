package layer

import "unicode/utf8"

const (
	leastText = 12 // bytes of text in a run that are worth a layer
	maxGap    = 8  // bytes that are no text between two stretches of one region
	minAgain  = 4  // bytes of text behind such a gap
)

// textRegion returns the next region of text in b, from i on: leastText bytes
// of text without a break, with what hangs together with them over gaps of
// other bytes. s is -1 if there is none. A zero byte neither makes nor breaks a
// text, so that text of two bytes a character is one.
func textRegion(b []byte, i, least int) (s, e int) {
	s, e = stretch(b, i, least)
	if s < 0 {
		return -1, -1
	}
	for e < len(b) {
		a, z := stretch(b[:min(len(b), e+maxGap+4*minAgain)], e, minAgain)
		if a < 0 || a-e > maxGap {
			break
		}
		// The end of what was looked at is not the end of the stretch.
		for z < len(b) {
			n := textAt(b, z)
			if n == 0 {
				break
			}
			z += n
		}
		e = z
	}
	return s, e
}

// stretch returns the first maximal stretch of text, from i on, that has least
// bytes which are not zero.
func stretch(b []byte, i, least int) (s, e int) {
	for i < len(b) {
		n := textAt(b, i)
		if n == 0 {
			i++
			continue
		}
		s, e = i, i
		count := 0
		for n > 0 {
			if b[e] != 0 {
				count += n
			}
			e += n
			for e < len(b) && class[b[e]]&inText != 0 {
				count, e = count+1, e+1
			}
			if e >= len(b) {
				break
			}
			n = textAt(b, e)
		}
		for s < e && b[s] == 0 {
			s++
		}
		if count >= least && 2*count >= e-s-1 {
			return s, e
		}
		i = e
	}
	return -1, -1
}

// textAt returns how many bytes of text stand at b[i]: one of printable ASCII
// or zero, or those of one rune, or none.
func textAt(b []byte, i int) int {
	c := b[i]
	if class[c]&inText != 0 || c == 0 {
		return 1
	}
	if c < 0x80 {
		return 0
	}
	if r, n := utf8.DecodeRune(b[i:]); r != utf8.RuneError && r >= 0xa0 {
		return n
	}
	return 0
}
