package payload

import "bytes"

// shortNumber is the length below which a number is not a part: it can carry
// little, and there are many.
const shortNumber = 6

// readJSON reads s, one JSON value or several in a row, which stands at in. It
// reports false, and leaves nothing behind, if s is no JSON. Duplicate names
// and invalid UTF-8 are read as they come, for servers differ in what they
// make of them. Long strings are units, if units may be.
func (c *Content) readJSON(s []byte, in int, d, at int32, f form, units bool) bool {
	text, parts, runs, nodes := len(c.Text), len(c.parts), len(c.runs), len(c.nodes)
	if bytes.HasPrefix(s, bom) {
		s, in = s[len(bom):], in+len(bom)
	}
	if !c.lex(s, in, d, at, f, units) {
		if units {
			c.cells = c.cells[:0]
		}
		c.Text, c.parts, c.runs, c.nodes = c.Text[:text], c.parts[:parts], c.runs[:runs], c.nodes[:nodes]
		return false
	}
	if len(c.cells) > 0 && units && c.remembers(c.body) {
		c.weigh(s, in)
	}
	return true
}
