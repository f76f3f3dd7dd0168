package payload

import (
	le "encoding/binary"
	"math/bits"
	"slices"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	ones = 0x0101010101010101
	high = 0x80 * ones
)

// slack is room for eight bytes and a rune.
const slack = 8 + utf8.UTFMax

// unquote appends the JSON string whose raw content begins at s[i], and marks
// where it goes on behind each escape; s stands at in. It returns where the
// closing quote stands, or -1 if it is no string.
//
// Eight bytes at a time are copied and looked at. What is copied beyond a quote
// or a backslash is overwritten.
func (c *Content) unquote(s []byte, i, in int) int {
	from := len(c.Text)
	dst := c.Text[:cap(c.Text)]
	n, first, begin := from, len(c.runs), i
	var all uint64
	for {
		if n+slack > len(dst) {
			dst = slices.Grow(dst[:n], min(len(s)-i, 4<<10)+slack)
			dst = dst[:cap(dst)]
		}
		var b byte
		switch {
		case i < len(s) && s[i] == '\\': // code is full of \n\t\t
			b = '\\'
		case i+8 <= len(s):
			v := le.LittleEndian.Uint64(s[i:])
			le.LittleEndian.PutUint64(dst[n:], v)
			m := stops(v)
			if m == 0 {
				all |= v
				i, n = i+8, n+8
				continue
			}
			k := bits.TrailingZeros64(m) >> 3
			all |= v & (1<<(8*k) - 1)
			i, n = i+k, n+k
			b = s[i]
		case i < len(s):
			if b = s[i]; b >= ' ' && b != '"' && b != '\\' {
				all |= uint64(b)
				dst[n] = b
				i, n = i+1, n+1
				continue
			}
		default:
			return -1
		}
		if b == '"' {
			break
		}
		if b != '\\' || i+1 == len(s) {
			return -1
		}
		if e := escaped[s[i+1]]; e != 0 {
			dst[n] = e
			i, n = i+2, n+1
		} else {
			r, k := unicodeEscape(s[i:])
			if k == 0 {
				return -1
			}
			i, n = i+k, n+utf8.EncodeRune(dst[n:n+utf8.UTFMax], r)
		}
		c.runs = append(c.runs, run{int32(n), int32(in + i)})
	}
	c.Text = dst[:n]
	if all&high != 0 && !utf8.Valid(c.Text[from:]) {
		c.Text, c.runs = c.Text[:from], c.runs[:first]
		c.unescape(s[begin:i], in+begin)
	}
	return i
}

// stops returns a word whose lowest bit tells the first quote, backslash or
// control character of v; 0 if there is none.
func stops(v uint64) uint64 {
	// Of a byte with its second bit turned, a quote is below 0x21 as controls are.
	return (((v ^ 0x02*ones) - 0x21*ones) | ((v ^ '\\'*ones) - ones)) &^ v & high
}

// escaped is what the escapes of one letter stand for.
var escaped = [256]byte{'n': '\n', 't': '\t', 'r': '\r', 'b': '\b', 'f': '\f', '"': '"', '\\': '\\', '/': '/'}

// unescape is unquote for the raw content s of a valid JSON string that is no
// valid UTF-8, which stands at in: what is invalid is repaired.
func (c *Content) unescape(s []byte, in int) {
	for {
		k := slices.Index(s, '\\')
		if k < 0 {
			c.repair(s, in)
			return
		}
		c.repair(s[:k], in)
		n := 2
		if b := escaped[s[k+1]]; b != 0 {
			c.Text = append(c.Text, b)
		} else {
			var r rune
			r, n = unicodeEscape(s[k:])
			c.Text = utf8.AppendRune(c.Text, r)
		}
		s, in = s[k+n:], in+k+n
		c.mark(in)
	}
}

// unicodeEscape reads the one or two escapes of the form \uXXXX that s begins
// with, and says how long they are; 0 if it begins with none. A lone surrogate is
// U+FFFD.
func unicodeEscape(s []byte) (rune, int) {
	r := unit(s)
	if r < 0 {
		return 0, 0
	}
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	if low := unit(s[6:]); low >= 0 {
		if both := utf16.DecodeRune(r, low); both != utf8.RuneError {
			return both, 12
		}
	}
	return utf8.RuneError, 6
}

// unit returns the unit of UTF-16 that s begins with as \uXXXX, or -1.
func unit(s []byte) rune {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return -1
	}
	r := 0
	for _, b := range s[2:6] {
		r = r<<4 | nibble(b)
	}
	return rune(r) // of what is no digit all bits are set
}
