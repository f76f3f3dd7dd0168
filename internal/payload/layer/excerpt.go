package layer

import (
	"encoding/binary"
	"hash/maphash"
	"unicode/utf8"

	"outvet/internal/payload/inflate"
)

const (
	leastExcerpt = 64 << 10 // bytes of a binary that is not emitted whole
	leastPiece   = 8        // bytes of text that are worth a piece
	leastInner   = 1 << 10  // bytes that something compressed in it holds, if that is damaged and no text

	period      = 24 // is one of 1, 2, 3, 4, 6, 8, 12 bytes too: of pixels and of samples
	leastRepeat = 48 // bytes of repeats that are left out
)

// excerpt makes of f.out, which was inflated, what can be read of it: its
// stretches of text and what is compressed in it again, a line feed between two.
// Of what repeats itself, as the pixels of an area do, one time is left.
func (f *finder) excerpt() {
	b := f.out
	f.bytes = f.bytes[:0]
	if f.seen == nil {
		f.seen, f.seed = new([1 << 12]uint64), maphash.MakeSeed()
	}
	clear(f.seen[:])
	m := newMagics(b)
	for i := 0; i < len(b); {
		s, e := repeats(b, i)
		if i = f.pieces(&m, i, s); i < e {
			i = e
			if e < len(b) {
				i -= period // it may belong to what follows
			}
		}
	}
	f.out, f.bytes = f.bytes, f.out
}

// pieces appends those of m.text[i:to] to f.bytes and returns their end, which
// is beyond to if something compressed is.
func (f *finder) pieces(m *magicFinder, i, to int) int {
	for k := m.next(i); k >= 0 && k < to; k = m.next(k + 2) {
		var read int
		var err error
		f.inner, read, err = f.inflate(f.inner[:0], m.text[k:])
		if err == errWork || err == inflate.ErrSize {
			f.cut = true
		}
		a, _ := textRegion(f.inner[:min(len(f.inner), leastInner)], 0, leastPiece)
		if err == nil || a >= 0 || len(f.inner) >= leastInner {
			f.texts(m.text[:k], i)
			f.piece(m.text[k : k+read])
			if i = k + read; i >= to {
				return i
			}
			k = i - 2
		}
	}
	f.texts(m.text[:to], i)
	return to
}

// texts appends the stretches of text in b[i:] to f.bytes.
func (f *finder) texts(b []byte, i int) {
	for i < len(b) {
		a, z := textRegion(b, i, leastPiece)
		if a < 0 {
			return
		}
		f.piece(b[a:z])
		i = z
	}
}

// piece appends b, unless the same was appended not long ago: what is drawn on
// a screen comes again in each row.
func (f *finder) piece(b []byte) {
	h := maphash.Bytes(f.seed, b)
	if at := h % uint64(len(f.seen)); f.seen[at] == h {
		return
	} else {
		f.seen[at] = h
	}
	if len(f.bytes) > 0 {
		f.bytes = append(f.bytes, '\n')
	}
	f.bytes = append(f.bytes, b...)
}

// repeats returns the next stretch of b, from i on, whose bytes are those that
// stand period before them; both are len(b) if there is none.
func repeats(b []byte, i int) (s, e int) {
	word := func(at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }
	first := i + period
	for at := first; at+8 <= len(b); at += leastRepeat / 2 {
		if word(at) != word(at-period) {
			continue
		}
		for s = at; s > first && b[s-1] == b[s-1-period]; s-- {
		}
		for e = at + 8; e+8 <= len(b) && word(e) == word(e-period); e += 8 {
		}
		for ; e < len(b) && b[e] == b[e-period]; e++ {
		}
		if e-s >= leastRepeat {
			return s, e
		}
	}
	return len(b), len(b)
}

// areText reports whether b is text from end to end, terminal colours included.
func areText(b []byte) bool {
	for i := 0; i < len(b); {
		switch c := b[i]; {
		case c < utf8.RuneSelf:
			if class[c]&inText == 0 && c != '\f' && c != '\v' && c != '\b' && c != 0x1b {
				return false
			}
			i++
		default:
			n := textAt(b, i)
			if n == 0 {
				return false
			}
			i += n
		}
	}
	return true
}
