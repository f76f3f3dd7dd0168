package layer

import "encoding/binary"

// Classes of bytes.
const (
	inBase64 = 1 << iota // of the standard or the URL alphabet
	inHex
	inUpper32 // of base32
	inLower32
	inText  // printable ASCII, tab, line feed, carriage return
	inWord  // ASCII letter, digit or underscore
	inSpace // ASCII space or control
)

var class = func() (t [256]uint8) {
	for i := range t {
		c := byte(i)
		digit, upper, lower := '0' <= c && c <= '9', 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z'
		set := func(yes bool, bit uint8) {
			if yes {
				t[i] |= bit
			}
		}
		set(digit || upper || lower || c == '+' || c == '/' || c == '-' || c == '_', inBase64)
		set(digit || 'A' <= c && c <= 'F' || 'a' <= c && c <= 'f', inHex)
		set(upper || '2' <= c && c <= '7', inUpper32)
		set(lower || '2' <= c && c <= '7', inLower32)
		set(' ' <= c && c < 0x7f || c == '\t' || c == '\n' || c == '\r', inText)
		set(digit || upper || lower || c == '_', inWord)
		set(c <= ' ' || c == 0x7f, inSpace)
	}
	return t
}()

// next returns the first maximal run, from i on, of at least least bytes that
// all have a class of mask; s is -1 if there is none. It looks first at the
// last byte that a run starting here would need, so that most of a plain text
// is skipped.
func next(b []byte, i int, mask uint8, least int) (s, e int) {
	for i+least <= len(b) {
		w := b[i : i+least]
		k := len(w) - 1
		for k >= 0 && class[w[k]]&mask != 0 {
			k--
		}
		if k >= 0 {
			i += k + 1
			continue
		}
		e = i + least
		for e < len(b) && class[b[e]]&mask != 0 {
			e++
		}
		return i, e
	}
	return -1, -1
}

// highFrom returns the position of the first byte from i on that is not ASCII,
// or -1.
func highFrom(b []byte, i int) int {
	const high = 0x8080808080808080
	for ; i+32 <= len(b); i += 32 {
		c := b[i : i+32 : i+32]
		x := binary.LittleEndian.Uint64(c) | binary.LittleEndian.Uint64(c[8:]) |
			binary.LittleEndian.Uint64(c[16:]) | binary.LittleEndian.Uint64(c[24:])
		if x&high != 0 {
			break
		}
	}
	for ; i < len(b); i++ {
		if b[i] >= 0x80 {
			return i
		}
	}
	return -1
}

// digit returns the value of a hexadecimal digit, 255 if it is none.
func digit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 255
}

// hexValue reads b, hexadecimal digits only, at most eight.
func hexValue(b []byte) (v uint32, ok bool) {
	for _, c := range b {
		d := digit(c)
		if d > 15 {
			return 0, false
		}
		v = v<<4 | uint32(d)
	}
	return v, len(b) > 0 && len(b) <= 8
}
