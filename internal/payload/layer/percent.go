package layer

import (
	"bytes"
	"unicode/utf8"
)

// percent is the encoding of URLs (RFC 3986 §2.1), with the %uXXXX that
// browsers once wrote. '+' stays: a form parser owns it.
var percent = &escape{name: "percent", lead: '%', next: bytesOf("uU"), read: readPercent}

func readPercent(dst, b []byte, i int) ([]byte, int, int) {
	if i+1 < len(b) && b[i+1]|0x20 == 'u' {
		if r, n := readUnits(b, i, '%'); n > 0 {
			return utf8.AppendRune(dst, r), n, strong
		}
		return dst, 0, 0
	}
	if !pairAt(b, i+1) {
		return dst, 0, 0
	}
	c := digit(b[i+1])<<4 | digit(b[i+2])
	weight := weak
	switch {
	case class[c]&inText != 0:
		weight = strong
	case c >= 0x80:
		weight = medium
	}
	return append(dst, c), 3, weight
}

// quoted is quoted-printable (RFC 2045 §6.7).
var quoted = &escape{name: "quoted", lead: '=', next: bytesOf("\r\n"), read: readQuoted, is: isQuoted}

// isQuoted tells quoted-printable from names and values, as status=200 dur=174ms:
// it escapes the equals sign itself, breaks lines, or escapes several in a row;
// or nearly all of its equals signs begin an escape as it should be written, and
// text comes of it.
func isQuoted(run, out []byte) bool {
	const inRow, nearly = 4, 8
	good, all, row, next := 0, 0, 0, -1
	for i := 0; ; i++ {
		k := bytes.IndexByte(run[i:], '=')
		if k < 0 {
			break
		}
		if i += k; i != next {
			row = 0
		}
		all++
		switch rest := run[i+1:]; {
		case len(rest) > 0 && (rest[0] == '\n' || rest[0] == '\r'):
			return true
		case pairAt(rest, 0):
			if row++; row == inRow || rest[0] == '3' && rest[1]|0x20 == 'd' {
				return true
			}
			next = i + 3
			if isUpper16(rest[0]) && isUpper16(rest[1]) {
				good++
			}
		}
	}
	return good*nearly >= all*(nearly-1) && areText(out)
}

func isUpper16(c byte) bool { return '0' <= c && c <= '9' || 'A' <= c && c <= 'F' }

func readQuoted(dst, b []byte, i int) ([]byte, int, int) {
	if pairAt(b, i+1) {
		c := digit(b[i+1])<<4 | digit(b[i+2])
		weight := weak
		switch {
		case c == '=':
			weight = strong // what says that this is quoted-printable
		case class[c]&inText != 0, c >= 0x80:
			weight = light
		}
		return append(dst, c), 3, weight
	}
	k := i + 1
	if k < len(b) && b[k] == '\r' {
		k++
	}
	if k+1 >= len(b) || b[k] != '\n' || class[b[k+1]]&inSpace != 0 || i > 0 && b[i-1] == '=' {
		return dst, 0, 0
	}
	if i == 0 || class[b[i-1]]&inSpace != 0 {
		return dst, k + 1 - i, light // it splits no word
	}
	return dst, k + 1 - i, strong
}
