package layer

import (
	"bytes"
	"errors"
	"io"

	"outvet/internal/payload/inflate"
)

const (
	// workPerByte and perTry bound the work on magics: bytes read and inflated,
	// and what a try costs that comes to nothing at once, as most do.
	workPerByte = 4
	perTry      = 1 << 10

	ratioFrom = 1 << 20 // bytes out before the ratio counts
)

// compressed opens what begins with a magic. Where it ends is not known, so it
// reaches to the end of the text. In random bytes magics stand by chance: what
// bounds a text of nothing else is the work and not their number.
func (f *finder) compressed(text []byte) {
	at := 0
	if inflate.Magic(text) == "" {
		if at = highFrom(text, 0); at < 0 {
			return
		}
		at = max(at-1, 0) // a magic has its first high byte at 0 or 1
	}
	m := newMagics(text)
	for k := m.next(at); k >= 0; k = m.next(k + 2) {
		out, _, err := f.inflate(f.out[:0], text[k:])
		f.out = out
		if errors.Is(err, errWork) {
			f.cut = true
			return
		}
		if f.holdsLittle(len(text)-k, err) {
			f.excerpt()
		}
		f.give(inflate.Magic(text[k:]), k, len(text), f.out, errors.Is(err, inflate.ErrSize))
	}
}

// holdsLittle reports whether only an excerpt of f.out, which comes of size bytes, is emitted:
// of large binaries, of what is mostly repeats, and of what was damaged, which
// may never have been compressed.
func (f *finder) holdsLittle(size int, err error) bool {
	n := len(f.out)
	switch {
	case n > ratioFrom && n/f.caps.Ratio > size:
		return true
	case err == nil && n <= leastExcerpt, err != nil && n < leastPiece:
		return err != nil
	}
	return !areText(f.out)
}

var errWork = errors.New("layer: no work is left")

// inflate appends to dst what b, which begins with a magic, holds, and counts
// the work. read is how long it is.
func (f *finder) inflate(dst, b []byte) (out []byte, read int, err error) {
	coding := inflate.Magic(b)
	if coding == "zlib" {
		coding = "deflate"
	}
	if f.work -= perTry; f.work <= 0 {
		return dst, 0, errWork
	}
	n := len(dst)
	out, read, err = inflate.Front(dst, coding, b, f.work)
	f.work -= read + len(out) - n
	return out, read, err
}

// leastProbe is so much of a run as shows whether it goes on as it begins.
const leastProbe = 1 << 10

// begun reports whether b, which begins with a magic and goes on, may be
// compressed: it comes to something before it is damaged.
func (f *finder) begun(b []byte) bool {
	var err error
	f.inner, _, err = f.inflate(f.inner[:0], b)
	return err == nil || len(f.inner) >= leastPiece || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errWork)
}

// A magicFinder finds the magics in a text, from its start to its end. That of
// zlib is looked for where its second byte cannot be text, or at the start.
type magicFinder struct {
	text []byte
	at   [4]int // where each stands next; len(text) if nowhere
}

var magics = [...][]byte{gzipMagic, zstdMagic, {0x78, 0x9c}, {0x78, 0xda}}

func newMagics(text []byte) magicFinder {
	m := magicFinder{text: text}
	for i := range m.at {
		m.at[i] = -1
	}
	return m
}

// next returns where the first magic from i on begins, or -1. i must not
// become less.
func (m *magicFinder) next(i int) int {
	if i == 0 && inflate.Magic(m.text) != "" {
		return 0
	}
	best := len(m.text)
	for n, magic := range magics {
		at := m.at[n]
		if at < i {
			for at = i; at < len(m.text); at++ {
				k := bytes.IndexByte(m.text[min(at+1, len(m.text)):], magic[1])
				if k < 0 {
					at = len(m.text)
					break
				}
				if at += k; m.text[at] == magic[0] && inflate.Magic(m.text[at:]) != "" {
					break
				}
			}
			m.at[n] = at
		}
		best = min(best, at)
	}
	if best == len(m.text) {
		return -1
	}
	return best
}
