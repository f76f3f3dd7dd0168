package layer

import (
	"encoding/binary"
	"math/bits"
)

// Most runs of the base64 alphabet are words, names, paths and digests. What
// follows tells, at a fraction of a character's cost each, that such a run holds
// nothing, and never says so of one that the decoders would emit something of.

// What a run may be, told by one of its windows of fullRun characters.
const (
	mayBase64  = 0x0f // one bit for each alignment
	mayHex     = 0x10
	mayUpper32 = 0x20
	mayLower32 = 0x40
)

// sieve says, by place and character, what a window that holds the character
// there may be.
var sieve = func() (t [4][256]uint8) {
	for at := range t {
		for c := range 256 {
			set := func(yes bool, bit uint8) {
				if yes {
					t[at][c] |= bit
				}
			}
			t[at][c] = lanes64.alive[at][c]
			set(class[c]&inHex != 0, mayHex)
			set(class[c]&inUpper32 != 0, mayUpper32)
			set(class[c]&inLower32 != 0, mayLower32)
		}
	}
	return t
}()

// sift reports what the windows of run may be. It reads a window from its end:
// the character that rules out what is left of it rules out all windows with it.
func sift(run []byte) (may uint8) {
	want := uint8(mayBase64 | mayHex | mayUpper32 | mayLower32)
	for i := 0; i+fullRun <= len(run); {
		w := run[i : i+fullRun : i+fullRun]
		alive, k := want, fullRun-1
		for ; k >= 0; k-- {
			if alive &= sieve[(i+k)&3][w[k]]; alive == 0 {
				break
			}
		}
		if alive == 0 {
			i += k + 1
			continue
		}
		may |= alive
		if want &^= alive; alive&mayBase64 != 0 {
			want &^= mayBase64
		}
		if want == 0 {
			break
		}
	}
	return may
}

// any reports whether next would find something in run.
func (l *lanes) any(run []byte) bool {
	for i := 0; i+fullRun <= len(run); {
		w := run[i : i+fullRun : i+fullRun]
		alive, k := uint8(0xff), fullRun-1
		for ; k >= 0; k-- {
			if alive &= l.alive[(i+k)&l.mask&7][w[k]]; alive == 0 {
				break
			}
		}
		if alive != 0 {
			return true
		}
		i += k + 1
	}
	return false
}

// may64 reports whether run may hold text or compressed bytes that its windows
// do not show: where encoded text begins, or by a magic.
func (f *finder) may64(run []byte) bool {
	if f.begins(group64, run) || mayMagic64(run) ||
		mayZlib64(run, 0) || mayZlib64(run, 1) || mayZlib64(run, 2) || mayZlib64(run, 3) {
		return true
	}
	const all = 0x0101010101010101
	for i, n := 0, 0; i < min(len(run), 256); i += 8 {
		at := min(i, len(run)-8)
		x := binary.LittleEndian.Uint64(run[at:])
		// The separators among the characters of base64 are the underscore and
		// what is below the digits.
		seps := ^((x + 0x50*all) & ((x ^ '_'*all) + 0x7f*all)) & (0x80 * all)
		for seps &= ^uint64(0) << (8 * (i - at)); seps != 0; seps &= seps - 1 {
			first := at + bits.TrailingZeros64(seps)/8 + 1
			if first < min(len(run), nearStart) && n < mostStarts {
				n++
				if f.begins(group64, run[first:]) {
					return true
				}
			}
			if mayZlib64(run, first) {
				return true
			}
		}
	}
	return false
}

// starts has the bytes with which text may begin.
var starts = func() (t [256]bool) {
	for c := range t {
		t[c] = c == 0 || class[c]&inText != 0 || 0xc2 <= c && c <= 0xf4
	}
	return t
}()

// mayStart64 reports whether run may begin with text, by its first bytes.
func mayStart64(run []byte) bool {
	r := run[:8:8]
	v, w := &value64, [6]byte{}
	w[0], w[1], w[2] = v[r[0]]<<2|v[r[1]]>>4, v[r[1]]<<4|v[r[2]]>>2, v[r[2]]<<6|v[r[3]]
	w[3], w[4], w[5] = v[r[4]]<<2|v[r[5]]>>4, v[r[5]]<<4|v[r[6]]>>2, v[r[6]]<<6|v[r[7]]
	return mayStart(&w)
}

// mayStart16 is mayStart64 for hexadecimal digits.
func mayStart16(run []byte) bool {
	r := run[:12:12]
	var w [6]byte
	for k := range w {
		w[k] = value16[r[2*k]]<<4 | value16[r[2*k+1]]
	}
	return mayStart(&w)
}

func mayStart(w *[6]byte) bool {
	for i, c := range w {
		switch {
		case !starts[c]:
			return false
		case c >= 0x80:
			return i+1 == len(w) || w[i+1]&0xc0 == 0x80
		}
	}
	return true
}

// mayZlib64 reports whether run[i:] may begin with the magic of zlib, 0x78, and
// a byte that is less than 0x40 in its upper bits.
func mayZlib64(run []byte, i int) bool {
	return i+least64 <= len(run) && run[i] == 'e' && value64[run[i+1]] < 16
}

// grams64 has, for each two characters that stand side by side in one of
// magics64, a bit that the first has in grams64[0] and the second in grams64[1].
// Of the first three characters of a magic two stand at an even place.
var grams64 = func() (t [2][256]uint16) {
	bit := uint16(1)
	seen := map[string]bool{}
	for _, m := range magics64 {
		for k := range 2 {
			gram := string(m.chars[k : k+2])
			if !seen[gram] {
				seen[gram] = true
				t[0][gram[0]] |= bit
				t[1][gram[1]] |= bit
				bit = bits.RotateLeft16(bit, 1)
			}
		}
	}
	return t
}()

// mayMagic64 reports whether run may hold one of magics64.
func mayMagic64(run []byte) bool {
	if len(run) < leastMagic64 {
		return false
	}
	for i := 0; i+1 < len(run); i += 2 {
		if grams64[0][run[i]]&grams64[1][run[i+1]] != 0 {
			return true
		}
	}
	return false
}

// bytes16 has the bytes that stand, at either alignment, in the first five digits
// of one of magics16. Each has four of them, so one at a multiple of four.
var bytes16 = func() (t [256]bool) {
	for _, m := range magics16 {
		for k := range 4 {
			t[value16[m[k]]<<4|value16[m[k+1]]] = true
		}
	}
	return t
}()

// mayMagic16 reports whether run, of hexadecimal digits, may hold one of
// magics16, or the magic of zlib at its start.
func mayMagic16(run []byte) bool {
	if run[0] == '7' && run[1] == '8' || run[1] == '7' && run[2] == '8' {
		return true
	}
	for i := 0; i+1 < len(run); i += 4 {
		if bytes16[value16[run[i]]<<4|value16[run[i+1]]] {
			return true
		}
	}
	return false
}

// grams32 has the three characters of base32 that stand side by side in the
// first 24 bits of a magic, wherever in a character it begins. Four characters
// lie in those, and so three from an even place on.
var grams32 = func() (t [1 << 15 / 64]uint64) {
	for _, magic := range [2][]byte{gzipMagic, zstdMagic} {
		first := uint32(magic[0])<<16 | uint32(magic[1])<<8 | uint32(magic[2])
		for shift := 0; shift <= 24-15; shift++ {
			gram := first >> shift & (1<<15 - 1)
			t[gram/64] |= 1 << (gram % 64)
		}
	}
	return t
}()

// mayMagic32 reports whether run, of base32, may hold a magic, or that of zlib
// at one of its first places.
func mayMagic32(run []byte) bool {
	for i := 0; i+2 < len(run); i += 2 {
		gram := uint32(value32(run[i]))<<10 | uint32(value32(run[i+1]))<<5 | uint32(value32(run[i+2]))
		if grams32[gram/64]>>(gram%64)&1 != 0 {
			return true
		}
	}
	for i := range min(8, len(run)-1) {
		if value32(run[i]) == 0x78>>3 && value32(run[i+1]) < 4 {
			return true
		}
	}
	return false
}
