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
	word := true
	run, last := 0, uint8(glue)
	for _, b := range s {
		k := class[b]
		switch k {
		case lower:
			run++
		case space:
			return noToken
		case upper:
			if last == upper || last == lower && run < 3 {
				word = false
			}
			run = 1
		case glue:
			if last != glue && run < 3 {
				word = false
			}
			run = 0
		default:
			word = false
		}
		last = k
	}
	if word && run >= 3 {
		return wordToken
	}
	return dataToken
}
