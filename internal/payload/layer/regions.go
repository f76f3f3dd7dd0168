package layer

import (
	"bytes"

	"outvet/internal/payload/inflate"
)

var (
	gzipMagic = []byte{0x1f, 0x8b, 8}
	zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}
)

// regions emits what can be read of f.bytes, the content of a run: text, and
// everything from a magic on. span says where a part of f.bytes stands. head
// says that f.bytes begins where the run does.
func (f *finder) regions(name string, head bool, least int, span func(a, z int) (start, end int)) {
	b := f.bytes
	n := len(b)
	if m := magicAt(b); m >= 0 {
		n = m
	}
	for i := 0; ; {
		a, z := textRegion(b[:n], i, least)
		if a < 0 {
			break
		}
		i = z
		if !(head && a == 0 && z == len(b)) && !wordy(b[a:z], z == len(b)) {
			continue
		}
		start, end := span(a, z)
		f.give(name, start, end, b[a:z], false)
	}
	if n < len(b) {
		start, end := span(n, len(b))
		f.give(name, start, end, b[n:], false)
	} else if inflate.Magic(b) == "zlib" {
		start, end := span(0, len(b))
		f.give(name, start, end, b, false)
	}
}

// wordy decides over text that is only a piece of what a run holds: short ones
// must be mostly words, and in ASCII unless they end where the run does.
func wordy(b []byte, last bool) bool {
	if len(b) >= 24 {
		return true
	}
	n, zeros := 0, 0
	for _, c := range b {
		switch {
		case c == 0:
			zeros++
		case class[c]&inWord != 0, c == ' ', c == '-', c == '.', last && c >= 0x80:
			n++
		}
	}
	if zeros < len(b)/2 {
		zeros = 0 // not of two bytes a character
	}
	return 4*n >= 3*(len(b)-zeros)
}

// magicAt returns where in b a magic stands that is long enough to be looked
// for anywhere, or -1.
func magicAt(b []byte) int {
	i, k := bytes.Index(b, gzipMagic), bytes.Index(b, zstdMagic)
	if i < 0 || k >= 0 && k < i {
		return k
	}
	return i
}
