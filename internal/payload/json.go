package payload

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// shortNumber is the length below which a number is not a part: it can carry
// little, and there are many.
const shortNumber = 6

// readJSON reads s, one JSON value or several in a row, which stands at in. It
// reports false, and leaves nothing behind, if s is no JSON. Duplicate names
// and invalid UTF-8 are read as they come, for servers differ in what they
// make of them.
func (c *Content) readJSON(s []byte, in int, d, at int32, f form) bool {
	if bytes.HasPrefix(s, bom) {
		s, in = s[len(bom):], in+len(bom)
	}
	parts, nodes := len(c.parts), len(c.nodes)
	if !c.lex(s, d, at, f) {
		c.parts, c.nodes = c.parts[:parts], c.nodes[:nodes]
		return false
	}
	c.write(parts, s, in)
	return true
}

// write gives the parts from first on, which lex left as spans of s, their text.
func (c *Content) write(first int, s []byte, in int) {
	text, runs := c.Text, c.runs
	for i := first; i < len(c.parts); i++ {
		p := &c.parts[i]
		raw, at := s[p.start:p.end], in+int(p.start)
		p.start, p.runs = int32(len(text)), int32(len(runs))
		runs = append(runs, run{p.start, int32(at)})
		if p.raw == 0 {
			text = append(text, raw...)
		} else {
			c.Text, c.runs = text, runs
			c.unescape(raw, at, p.raw&rawHigh == 0 || utf8.Valid(raw))
			text, runs = c.Text, c.runs
		}
		p.end = int32(len(text))
		text = append(text, '\n')
	}
	c.Text, c.runs = text, runs
}

// escaped is what the escapes of one letter stand for.
var escaped = [256]byte{'n': '\n', 't': '\t', 'r': '\r', 'b': '\b', 'f': '\f', '"': '"', '\\': '\\', '/': '/'}

// unescape appends the raw content s of a valid JSON string, which stands at
// in, behind its first mark.
func (c *Content) unescape(s []byte, in int, valid bool) {
	for {
		k := bytes.IndexByte(s, '\\')
		if k < 0 {
			c.stretch(s, in, valid)
			return
		}
		c.stretch(s[:k], in, valid)
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

func (c *Content) stretch(s []byte, in int, valid bool) {
	if valid {
		c.Text = append(c.Text, s...)
		return
	}
	c.repair(s, in)
}

// unicodeEscape reads the one or two escapes of the form \uXXXX that s begins
// with, and says how long they are. A lone surrogate is U+FFFD.
func unicodeEscape(s []byte) (rune, int) {
	r := hex4(s)
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	if len(s) >= 12 && s[6] == '\\' && s[7] == 'u' {
		if both := utf16.DecodeRune(r, hex4(s[6:])); both != utf8.RuneError {
			return both, 12
		}
	}
	return utf8.RuneError, 6
}

func hex4(s []byte) (r rune) {
	for _, b := range s[2:6] {
		r = r<<4 | rune(nibble(b))
	}
	return r
}
