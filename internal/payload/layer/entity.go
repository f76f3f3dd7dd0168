package layer

import (
	"unicode/utf8"
)

// entity is the character references of HTML and XML: by number, with or
// without semicolon, and by the names of ASCII characters and of the spaces and
// joiners that may stand in a word.
var entity = &escape{name: "entity", lead: '&', next: bytesOf("#ghijklmnopqrstuvwxyzGHIJKLMNOPQRSTUVWXYZ"), read: readEntity}

const longestEntity = 24 // leading zeros are allowed, not many

func readEntity(dst, b []byte, i int) ([]byte, int, int) {
	if i+3 > len(b) {
		return dst, 0, 0
	}
	if b[i+1] == '#' {
		return readNumber(dst, b, i)
	}
	k := i + 1
	for k < len(b) && k < i+longestEntity && class[b[k]]&inWord != 0 && b[k] != '_' {
		k++
	}
	closed := k < len(b) && b[k] == ';'
	if closed {
		if r, ok := entities[string(b[i+1:k])]; ok {
			return utf8.AppendRune(dst, r), k + 1 - i, strong
		}
		return dst, 0, 0
	}
	// Browsers take some of the names without a semicolon, and go on behind them.
	for _, name := range bareEntities {
		if n := i + 1 + len(name); n <= k && string(b[i+1:n]) == name {
			return utf8.AppendRune(dst, entities[name]), n - i, medium
		}
	}
	return dst, 0, 0
}

func readNumber(dst, b []byte, i int) ([]byte, int, int) {
	k, base := i+2, uint32(10)
	if b[k]|0x20 == 'x' {
		k, base = k+1, 16
	}
	start, v := k, uint32(0)
	for ; k < len(b) && k < i+longestEntity; k++ {
		d := uint32(digit(b[k]))
		if d >= base || v > utf8.MaxRune {
			break
		}
		v = v*base + d
	}
	if k == start || v == 0 || v > utf8.MaxRune {
		return dst, 0, 0
	}
	if k < len(b) && b[k] == ';' {
		k++
	}
	return utf8.AppendRune(dst, rune(v)), k - i, strong
}

var bareEntities = []string{"amp", "AMP", "lt", "LT", "gt", "GT", "quot", "QUOT", "nbsp", "shy"}

var entities = map[string]rune{
	"amp": '&', "AMP": '&', "lt": '<', "LT": '<', "gt": '>', "GT": '>', "quot": '"', "QUOT": '"', "apos": '\'',
	"Tab": '\t', "NewLine": '\n', "excl": '!', "num": '#', "dollar": '$', "percnt": '%', "lpar": '(', "rpar": ')',
	"ast": '*', "midast": '*', "plus": '+', "comma": ',', "period": '.', "sol": '/', "colon": ':', "semi": ';',
	"equals": '=', "quest": '?', "commat": '@', "lsqb": '[', "lbrack": '[', "bsol": '\\', "rsqb": ']', "rbrack": ']',
	"Hat": '^', "lowbar": '_', "UnderBar": '_', "grave": '`', "DiacriticalGrave": '`', "lcub": '{', "lbrace": '{',
	"verbar": '|', "vert": '|', "VerticalLine": '|', "rcub": '}', "rbrace": '}', "nbsp": ' ', "NonBreakingSpace": ' ',
	"ensp": ' ', "emsp": ' ', "thinsp": ' ', "hyphen": '-', "dash": '-', "shy": 0xad, "zwj": 0x200d, "zwnj": 0x200c,
	"ZeroWidthSpace": 0x200b, "NoBreak": 0x2060, "lrm": 0x200e, "rlm": 0x200f,
}
