package layer

import (
	"unicode/utf16"
	"unicode/utf8"
)

// backslash is the union of the escapes of JSON, JavaScript, C, Python, shell
// and Markdown.
var backslash = &escape{name: "escape", lead: '\\', next: afterBackslash, read: readBackslash}

var afterBackslash = bytesOf("ntrvuUx\"'\\/_-=+:@~\n\r")

func readBackslash(dst, b []byte, i int) ([]byte, int, int) {
	if i+1 >= len(b) {
		return dst, 0, 0
	}
	switch c := b[i+1]; c {
	case 'n', 't', 'r', 'f', 'v', 'b', 'a':
		return append(dst, controls[c]), 2, ifWord(b, i+2, strong)
	case '"':
		return append(dst, c), 2, medium
	case '\'':
		return append(dst, c), 2, light
	case '\\':
		return append(dst, c), 2, weightOfBackslash(b, i+2)
	case '/':
		if isWord(b, i-1) && isWord(b, i+2) {
			return append(dst, c), 2, strong
		}
		return append(dst, c), 2, light
	case '_', '-', '=', '+', ':', '@', '~':
		if isWord(b, i-1) && isWord(b, i+2) {
			return append(dst, c), 2, strong
		}
	case '\n', '\r':
		if from := lineBreak(b, i+1); from > 0 && i > 0 && class[b[i-1]]&inSpace == 0 && from < len(b) && class[b[from]]&inSpace == 0 {
			return dst, i + 2 + lineFeed(c) - i, strong
		}
	case 'u', 'U', 'x':
		return readCode(dst, b, i)
	case '0', '1', '2', '3':
		return readOctal(dst, b, i)
	}
	return dst, 0, 0
}

// weightOfBackslash is the weight of an escaped backslash before b[i]: it may
// begin an escape in its turn. Of a run of backslashes only the last can, so
// that a line drawn with them holds nothing, however often it is halved.
func weightOfBackslash(b []byte, i int) int {
	if i+1 < len(b) && b[i] == '\\' {
		i++
	}
	if i == len(b) {
		return none
	}
	switch b[i] {
	case 'n', 't', 'r', 'u', 'x', '"', '/', '_', '0', '1':
		return strong
	case '\\':
		return none // the next pair tells
	}
	if afterBackslash[b[i]] {
		return light
	}
	return none
}

// lineFeed is the length of the line feed behind c.
func lineFeed(c byte) int {
	if c == '\r' {
		return 1
	}
	return 0
}

var controls = [256]byte{'n': '\n', 't': '\t', 'r': '\r', 'f': '\f', 'v': '\v', 'b': '\b', 'a': '\a'}

// readCode reads \u0041, \u{41}, \U00000041, \x41 and \x{41}.
func readCode(dst, b []byte, i int) ([]byte, int, int) {
	if i+3 < len(b) && b[i+2] == '{' {
		k := i + 3
		for k < len(b) && k < i+11 && class[b[k]]&inHex != 0 {
			k++
		}
		v, ok := hexValue(b[i+3 : k])
		if !ok || k >= len(b) || b[k] != '}' || v > utf8.MaxRune {
			return dst, 0, 0
		}
		return utf8.AppendRune(dst, rune(v)), k + 1 - i, weightOf(rune(v))
	}
	if b[i+1] == 'u' {
		r, n := readUnits(b, i, '\\')
		return appendIf(dst, r, n), n, weightOf(r)
	}
	n := 10
	if b[i+1] == 'x' {
		n = 4
	}
	if i+n > len(b) {
		return dst, 0, 0
	}
	v, ok := hexValue(b[i+2 : i+n])
	if !ok || v > utf8.MaxRune {
		return dst, 0, 0
	}
	if n == 4 {
		return append(dst, byte(v)), n, weightOf(rune(v))
	}
	return utf8.AppendRune(dst, rune(v)), n, weightOf(rune(v))
}

func appendIf(dst []byte, r rune, n int) []byte {
	if n == 0 {
		return dst
	}
	return utf8.AppendRune(dst, r)
}

// readUnits reads the one or two units of UTF-16 that b[i:] writes as lead,
// 'u' and four digits each. A surrogate alone is U+FFFD. n is 0 if there is
// none.
func readUnits(b []byte, i int, lead byte) (r rune, n int) {
	if i+6 > len(b) {
		return 0, 0
	}
	v, ok := hexValue(b[i+2 : i+6])
	if !ok {
		return 0, 0
	}
	r = rune(v)
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	if i+12 <= len(b) && b[i+6] == lead && b[i+7]|0x20 == 'u' {
		if low, ok := hexValue(b[i+8 : i+12]); ok {
			if full := utf16.DecodeRune(r, rune(low)); full != utf8.RuneError {
				return full, 12
			}
		}
	}
	return utf8.RuneError, 6
}

// readOctal reads three octal digits, and \0 alone.
func readOctal(dst, b []byte, i int) ([]byte, int, int) {
	v, n := 0, 0
	for k := i + 1; k < len(b) && k < i+4 && '0' <= b[k] && b[k] <= '7'; k++ {
		v, n = v<<3|int(b[k]-'0'), n+1
	}
	if n == 3 {
		return append(dst, byte(v)), 4, weightOf(rune(v))
	}
	if n == 1 && v == 0 {
		return append(dst, 0), 2, weak
	}
	return dst, 0, 0
}

// weightOf is the weight of a character written by its number.
func weightOf(r rune) int {
	switch {
	case r < 0x80 && class[r]&inText != 0:
		return strong
	case r < 0xa0:
		return weak
	}
	return medium
}

// isWord reports whether a character of a word stands at b[i].
func isWord(b []byte, i int) bool {
	return i >= 0 && i < len(b) && class[b[i]]&(inWord|inBase64) != 0
}

func ifWord(b []byte, i, weight int) int {
	if isWord(b, i) {
		return weight
	}
	return none
}
