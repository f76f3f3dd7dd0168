package layer

import "bytes"

// An escape is an encoding of single characters.
type escape struct {
	name string
	lead byte       // with which each begins
	next *[256]bool // what may stand behind it
	// read decodes what begins at b[i], a lead, and appends it to dst. n is
	// its length, 0 if it is no escape. weight says how much it may hide.
	read func(dst, b []byte, i int) (out []byte, n, weight int)
	// is tells whether a run that may hide something is of this encoding and
	// not of ordinary text; out is what it decodes to. nil if each is.
	is func(run, out []byte) bool
}

// bytesOf returns the table of the bytes of s, and of the hexadecimal digits.
func bytesOf(s string) *[256]bool {
	t := new([256]bool)
	for c := range t {
		t[c] = class[c]&inHex != 0
	}
	for i := range len(s) {
		t[s[i]] = true
	}
	return t
}

// Weights of escapes. A run is emitted if those in it add up to strong.
const (
	none   = 0 // opening it shows nothing new
	weak   = 1
	light  = 2
	medium = 4
	strong = 8
)

const (
	reach = 512 // bytes of context that a run takes on each side
	apart = 128 // bytes between two escapes of one run that may hold spaces
)

// rewrite emits the runs of text that hold escapes of one kind.
func (f *finder) rewrite(e *escape, text []byte) {
	p, n, w := f.nextEscape(e, text, 0)
	for floor := 0; p >= 0; {
		start := wordStart(text, floor, p)
		f.out, f.at = f.out[:0], f.at[:0]
		f.copy(text, start, p)
		f.replace(p)
		end, sum := p+n, w
		for {
			if p, n, w = f.nextEscape(e, text, end); p < 0 || !near(text, end, p) {
				break
			}
			f.copy(text, end, p)
			f.replace(p)
			end, sum = p+n, sum+w
		}
		limit := len(text)
		if p >= 0 {
			limit = p
		}
		floor = wordEnd(text, end, limit)
		if sum >= strong {
			f.copy(text, end, floor)
			if e.is == nil || e.is(text[start:floor], f.out) {
				f.give(e.name, start, floor, f.out, false)
			}
		}
	}
}

// copy appends text[from:to] to what is emitted.
func (f *finder) copy(text []byte, from, to int) {
	f.out = append(f.out, text[from:to]...)
	if f.tracks {
		for ; from < to; from++ {
			f.at = append(f.at, from)
		}
	}
}

// replace appends f.small, which stands for what is at p.
func (f *finder) replace(p int) {
	f.out = append(f.out, f.small...)
	if f.tracks {
		for range f.small {
			f.at = append(f.at, p)
		}
	}
}

// nextEscape decodes the first escape from i on into f.small and returns its
// place; p is -1 if there is none.
func (f *finder) nextEscape(e *escape, text []byte, i int) (p, n, weight int) {
	for i < len(text) {
		k := bytes.IndexByte(text[i:], e.lead)
		if k < 0 {
			break
		}
		i += k
		if i+1 == len(text) {
			break
		}
		if e.next[text[i+1]] {
			if f.small, n, weight = e.read(f.small[:0], text, i); n > 0 {
				return i, n, weight
			}
		}
		i++
	}
	return -1, 0, 0
}

// near reports whether an escape at p belongs to the run that reaches to end.
func near(text []byte, end, p int) bool {
	return p-end <= apart || p-end <= 2*reach && wordEnd(text, end, p) == p
}

// wordStart returns where the word around p begins, not before floor.
func wordStart(text []byte, floor, p int) int {
	for floor = max(floor, p-reach); p > floor && class[text[p-1]]&inSpace == 0; p-- {
	}
	return p
}

// wordEnd returns where the word around p ends, not behind limit.
func wordEnd(text []byte, p, limit int) int {
	for limit = min(limit, p+2*reach); p < limit && class[text[p]]&inSpace == 0; p++ {
	}
	return p
}
