package payload

// A tokenKind says what classify made of a part.
type tokenKind uint8

const (
	noToken tokenKind = iota // long, empty, or with white space
	wordToken
	dataToken
)

const (
	lower = 1 << iota
	upper
	glue // between words
	digit
	other
	space
)

var class = func() (t [256]uint8) {
	for i := range t {
		switch b := byte(i); {
		case b >= 'a' && b <= 'z':
			t[i] = lower
		case b >= 'A' && b <= 'Z':
			t[i] = upper
		case b >= '0' && b <= '9':
			t[i] = digit
		case b <= ' ' || b == 0x7f:
			t[i] = space
		case b == '_' || b == '-' || b == '.' || b == '/':
			t[i] = glue
		default:
			t[i] = other
		}
	}
	return t
}()

// classify reports whether s is free of white space, and whether it is words:
// letters in runs that are no shorter than three, of one case but for the first
// letter, joined by hyphens and the like or by a capital.
func classify(s []byte) tokenKind {
	state := uint64(afterGlue)
	for _, b := range s {
		state = tokenStates[b] >> (state & 63)
	}
	switch state & 63 {
	case spaced:
		return noToken
	case lower3:
		return wordToken
	}
	return dataToken
}

// The states of classify, as places of six bits in a word of tokenStates.
const (
	afterGlue = 6 * iota
	upper1    // one capital, that may begin a word
	lower1
	lower2
	lower3 // three letters or more
	noWord
	spaced
)

// tokenStates has, for each byte, the state that follows on each state.
var tokenStates = func() (t [256]uint64) {
	for b := range t {
		for state := uint64(afterGlue); state <= spaced; state += 6 {
			t[b] |= tokenState(state, class[b]) << state
		}
	}
	return t
}()

func tokenState(state uint64, kind uint8) uint64 {
	switch {
	case state == spaced || kind == space:
		return spaced
	case state == noWord:
		return noWord
	}
	switch kind {
	case lower:
		if state == upper1 {
			return lower2
		}
		return min(max(state+6, lower1), lower3)
	case upper:
		if state == afterGlue || state == lower3 {
			return upper1
		}
	case glue:
		if state == afterGlue || state == lower3 {
			return afterGlue
		}
	}
	return noWord
}
