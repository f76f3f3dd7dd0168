package payload

import (
	"bytes"
	"hash/maphash"
)

const (
	linesSize = 64 << 10 // bytes of a text whose lines are joined
	linesMax  = 1024     // lines of it
	lineMax   = 320      // bytes of a line that is looked into for a string in quotes
)

// joinInside joins what stands inside of one part: texts and attributes of
// markup; lines and cells of a text; what a header field lists.
func (c *Content) joinInside(p part) {
	c.work.columns = c.work.columns[:0]
	switch {
	case p.form == markupForm:
		c.joinMarkup(int(p.start), int(p.end))
	case p.form == headerForm:
		c.joinList(int(p.start), int(p.end))
	case p.form == textForm && int(p.end-p.start) <= linesSize:
		c.joinLines(int(p.start), int(p.end))
	default:
		return
	}
	c.endRows()
	c.joinColumns()
}

// piece takes Text[from:to], without white space around it, into row r. What
// has no letter and no digit, like a brace, is passed over.
func (c *Content) piece(r int, from, to int) (joinable, bool) {
	from, to = c.trim(from, to)
	s := c.Text[from:to]
	if len(s) == 0 || len(s) <= 2 && dumb(s) {
		return joinable{}, false
	}
	p := part{start: int32(from), end: int32(to)}
	t := c.tokenOf(&p)
	c.extend(&c.work.rows[r], &p, t)
	return joinable{from: p.start, to: p.end, word: t == wordToken}, t != noToken
}

// columnPiece takes a piece as one of those that stand under the same name.
func (c *Content) columnPiece(name uint64, x joinable) {
	c.work.columns = append(c.work.columns, column{name, x, x.from})
}

func (c *Content) trim(from, to int) (int, int) {
	for from < to && class[c.Text[from]] == space {
		from++
	}
	for from < to && class[c.Text[to-1]] == space {
		to--
	}
	return from, to
}

// dumb reports whether s, as code is full of it, is brackets and commas.
func dumb(s []byte) bool {
	for _, b := range s {
		if bytes.IndexByte([]byte("{}[]();,"), b) < 0 {
			return false
		}
	}
	return true
}

// joinList joins the elements of the value of a header field, which is a list
// if it has commas (RFC 9110 §5.6.1).
func (c *Content) joinList(from, to int) {
	if bytes.IndexByte(c.Text[from:to], ',') < 0 {
		return
	}
	for i := from; i <= to; i++ {
		if i == to || c.Text[i] == ',' {
			c.piece(headerRow, from, i)
			from = i + 1
		}
	}
}

// joinLines joins the lines of a text: strings in quotes; what stands behind the
// mark of a list; the cells of a table.
func (c *Content) joinLines(from, to int) {
	if bytes.Count(c.Text[from:to], []byte("\n")) > linesMax {
		return
	}
	for from < to {
		end := to
		if k := bytes.IndexByte(c.Text[from:to], '\n'); k >= 0 {
			end = from + k
		}
		if a, z := c.trim(from, end); a < z {
			c.takeLine(a, z)
		}
		from = end + 1
	}
}

// takeLine takes the line Text[from:to], which has no white space around it.
func (c *Content) takeLine(from, to int) {
	if a, z, ok := c.quotation(from, to); ok {
		c.piece(valueRow, a, z)
		return
	}
	if to-from > 2 && bytes.IndexByte(c.Text[from:to], '{') >= 0 {
		c.endRow(&c.work.rows[valueRow]) // events of JSON and the like
		return
	}
	from = c.behindMark(from, to)
	cells := 0
	for i := from; i <= to; i++ {
		if i < to && bytes.IndexByte([]byte(",;|\t"), c.Text[i]) < 0 {
			continue
		}
		if x, ok := c.piece(valueRow, from, i); ok && (cells > 0 || i < to) {
			c.columnPiece(uint64(cells), x)
		}
		cells++
		from = i + 1
	}
}

// quotation returns what stands in quotes in a short line, if that is one
// string: lines with several are data of a kind that is not known here.
func (c *Content) quotation(from, to int) (int, int, bool) {
	s := c.Text[from:to]
	if len(s) > lineMax {
		return 0, 0, false
	}
	a := bytes.IndexAny(s, "\"'`")
	if a < 0 {
		return 0, 0, false
	}
	z := bytes.LastIndexByte(s, s[a])
	if z == a || bytes.IndexByte(s[a+1:z], s[a]) >= 0 {
		return 0, 0, false
	}
	return from + a + 1, from + z, true
}

// behindMark returns where, in a line, the text behind the mark of a list
// begins: "- ", "* ", "1. ", "1) ", "1: ", "# ", "> ".
func (c *Content) behindMark(from, to int) int {
	i := from
	for i < to && class[c.Text[i]] == digit {
		i++
	}
	marks := []byte("-*+#>")
	if i > from {
		marks = []byte(".):")
	}
	if i+1 >= to || bytes.IndexByte(marks, c.Text[i]) < 0 || class[c.Text[i+1]] != space {
		return from
	}
	from, _ = c.trim(i+1, to)
	return from
}

// nameHash stands for the name of a column. Of up to seven bytes it is the name
// itself; a longer one is hashed with a key, so that nobody can make two names
// one.
func (c *Content) nameHash(from, to int) uint64 {
	name := c.Text[from:to]
	if len(name) > 7 {
		return maphash.Bytes(c.work.seed, name)
	}
	h := uint64(len(name) + 1)
	for _, b := range name {
		h = h<<8 | uint64(b)
	}
	return h
}
