package payload

import "bytes"

// joinMarkup joins what XML or HTML in Text[from:to] is made of, each kind by
// itself: texts of elements with CDATA sections, values of attributes, comments,
// names that are no words. Texts are joined by the name of the element before
// them, too, and values by that of their attribute. Nothing is expected of the
// markup: where it is broken, the rest is text. Character references are left
// for the layers.
func (c *Content) joinMarkup(from, to int) {
	element := uint64(0)
	comments, sections := true, true // are closed, as far as is known
	for i := from; i < to; {
		k := bytes.IndexByte(c.Text[i:to], '<')
		if k < 0 {
			break
		}
		k += i
		s := c.Text[k:to]
		if comments && bytes.HasPrefix(s, commentMark) {
			end := c.past(k+len(commentMark), to, "-->")
			if comments = end > 0; comments {
				c.text(element, from, k)
				c.piece(commentRow, k+len(commentMark), end-3)
				from, i = end, end
				continue
			}
		}
		if sections && bytes.HasPrefix(s, sectionMark) {
			end := c.past(k+len(sectionMark), to, "]]>")
			if sections = end > 0; sections {
				c.text(element, from, k)
				c.text(element, k+len(sectionMark), end-3)
				from, i = end, end
				continue
			}
		}
		if len(s) < 2 || !begins(s[1]) {
			i = k + 1 // a '<' that is text
			continue
		}
		c.text(element, from, k)
		var name uint64
		if name, i = c.tag(k+1, to); s[1] != '/' {
			element = name
		}
		from = i
	}
	c.text(element, from, to)
}

var (
	commentMark = []byte("<!--")
	sectionMark = []byte("<![CDATA[")
)

// The rows of what markup is made of. When they are needed, those of the
// message are joined already.
const (
	textRow      = valueRow
	attributeRow = headerRow
	markupRow    = nameRow
	commentRow   = fileRow
)

// begins reports whether b can stand behind the '<' of a tag, a declaration or
// an instruction.
func begins(b byte) bool {
	return class[b]&(lower|upper) != 0 || b >= 0x80 || bytes.IndexByte([]byte("/!?_:"), b) >= 0
}

// past returns where, from i on, mark ends, or -1.
func (c *Content) past(i, to int, mark string) int {
	if i > to {
		return -1
	}
	k := bytes.Index(c.Text[i:to], []byte(mark))
	if k < 0 {
		return -1
	}
	return i + k + len(mark)
}

func (c *Content) text(element uint64, from, to int) {
	if x, ok := c.piece(textRow, from, to); ok {
		c.columnPiece(element, x)
	}
}

// tag takes the attributes of the tag whose name begins at i. It returns the
// name and where the tag ends; of one that is not closed, where its last
// attribute does.
func (c *Content) tag(i, to int) (uint64, int) {
	name := i
	for i++; i < to && !endsName(c.Text[i]); i++ {
	}
	element := c.nameHash(name, i)
	c.markupName(name, i)
	for i < to && c.Text[i] != '>' {
		if b := c.Text[i]; class[b] == space || b == '/' || b == '=' || b == '"' || b == '\'' || b == '?' {
			i++
			continue
		}
		if c.Text[i] == '<' {
			return element, i // the one before was not closed
		}
		name := i
		for i++; i < to && !endsName(c.Text[i]) && c.Text[i] != '='; i++ {
		}
		attribute := c.nameHash(name, i)
		c.markupName(name, i)
		for i < to && class[c.Text[i]] == space {
			i++
		}
		if i >= to || c.Text[i] != '=' {
			continue
		}
		for i++; i < to && class[c.Text[i]] == space; i++ {
		}
		var from, end int
		from, end, i = c.attribute(i, to)
		if x, ok := c.piece(attributeRow, from, end); ok {
			c.columnPiece(attribute, x)
		}
	}
	return element, min(i+1, to)
}

// attribute returns the value of an attribute that begins at i, with quotes or
// without them, and what is behind it. A quote that is not closed is none.
func (c *Content) attribute(i, to int) (from, end, next int) {
	if i < to && (c.Text[i] == '"' || c.Text[i] == '\'') {
		if k := bytes.IndexByte(c.Text[i+1:to], c.Text[i]); k >= 0 {
			return i + 1, i + 1 + k, i + k + 2
		}
		i++
	}
	from = i
	for i < to && class[c.Text[i]] != space && c.Text[i] != '>' {
		i++
	}
	return from, i, i
}

func endsName(b byte) bool { return class[b] == space || b == '/' || b == '>' || b == '<' }

// markupName takes a name if it may carry data. Those that are short are many.
func (c *Content) markupName(from, to int) {
	if to-from >= 3 && classify(c.Text[from:to]) == dataToken {
		c.piece(markupRow, from, to)
	}
}

// looksLikeMarkup reports whether s begins like XML or HTML.
func looksLikeMarkup(s []byte) bool {
	s = bytes.TrimSpace(bytes.TrimPrefix(s, bom))
	return len(s) > 2 && s[0] == '<' && begins(s[1]) && bytes.IndexByte(s, '>') >= 0
}
