package payload

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"outvet/call"
)

// Place says where the span [from, to) of Text stands. A span that runs over
// the end of its part is cut there, and one that stands in one field of a
// joined part is said to stand in that field. Naming costs time and memory; ask
// only for what was found.
func (c *Content) Place(from, to int) call.Place {
	if len(c.parts) == 0 {
		return call.Place{Part: c.base}
	}
	from, to = c.settle(from, to)
	p := c.partAt(from)
	start := int(c.parts[p].start)
	if c.docs[c.parts[p].doc].kind == joinDoc {
		start = c.firstField(p, from)
	}
	at := call.Place{Part: c.name(from, to), Start: from - start, End: to - start, From: from, To: to}
	if c.stream && c.docs[c.parts[p].doc].kind == bodyDoc {
		at.Start, at.End = at.Start+int(c.offset), at.End+int(c.offset)
	}
	return at
}

// Root returns where, in Text, the part begins that pos stands in or is derived
// from: one of the wire, or one of fields joined.
func (c *Content) Root(pos int) int {
	if len(c.parts) == 0 {
		return 0
	}
	p := &c.parts[c.partAt(pos)]
	for d := &c.docs[p.doc]; d.kind.derived() && d.kind != joinDoc; d = &c.docs[p.doc] {
		p = &c.parts[c.partAt(int(d.from))]
	}
	return int(p.start)
}

// settle cuts a span to its part and moves it to where it really stands.
func (c *Content) settle(from, to int) (int, int) {
	for {
		p := c.partAt(from)
		from = min(max(from, int(c.parts[p].start)), int(c.parts[p].end))
		to = max(min(to, int(c.parts[p].end)), from)
		if c.docs[c.parts[p].doc].kind != joinDoc || from == to {
			return from, to
		}
		r := c.runsOf(p)
		k := lastRun(r, from)
		if k != lastRun(r, to-1) {
			return from, to
		}
		move := int(r[k].in) - int(r[k].out)
		from, to = from+move, to+move
	}
}

// firstField returns where, in the joined part p, the field that holds pos begins.
func (c *Content) firstField(p, pos int) int {
	r := c.runsOf(p)
	return int(r[lastRun(r, pos)].out)
}

// pathMax bounds a path in bytes: nesting is bounded far beyond what is of use
// in a record.
const pathMax = 1 << 10

// name returns the path of the span [from, to), without its middle if it is long.
func (c *Content) name(from, to int) string {
	b := c.appendName(nil, from, to)
	if len(b) > pathMax {
		b = append(append(b[:pathMax/2:pathMax/2], "..."...), b[len(b)-pathMax/2:]...)
	}
	return strings.ToValidUTF8(string(b), "\uFFFD")
}

// namePart returns the path of part p.
func (c *Content) namePart(p int) string {
	return c.name(int(c.parts[p].start), int(c.parts[p].end))
}

func (c *Content) appendName(b []byte, from, to int) []byte {
	p, last := c.partAt(from), c.partAt(max(to-1, from))
	several := false // fields, which stand in one part
	if c.docs[c.parts[p].doc].kind == joinDoc {
		r := c.runsOf(p)
		from, to = int(r[lastRun(r, from)].in), int(r[lastRun(r, max(min(to, int(c.parts[p].end))-1, from))].in)
		p, last = c.partAt(from), c.partAt(to)
		several = from != to && c.docs[c.parts[p].doc].kind != hostDoc
	}
	if b = c.appendPath(b, p); p != last || several {
		b = append(b, '+')
		b = c.appendPath(b, last)
	}
	return b
}

func (c *Content) appendPath(b []byte, p int) []byte {
	at := &c.parts[p]
	b = c.appendDoc(b, &c.docs[at.doc])
	b = c.appendNode(b, at.node)
	switch at.role {
	case key, field:
		return append(b, "/(key)"...)
	case head:
		return append(b, "/(head)"...)
	case file:
		return append(b, "/(filename)"...)
	}
	return c.appendSegment(b, at.name)
}

func (c *Content) appendDoc(b []byte, d *doc) []byte {
	switch d.kind {
	case hostDoc:
		return append(b, "host"...)
	case pathDoc:
		return append(b, "path"...)
	case queryDoc:
		return append(b, "query"...)
	case cookieDoc:
		return append(b, "cookie"...)
	case headerDoc:
		if b = append(b, "header"...); d.index < 0 {
			return b
		}
		return appendWord(append(b, '/'), []byte(d.name), true)
	case layerDoc, jsonDoc:
		b = c.appendName(b, int(d.from), int(d.to))
		return append(append(b, '#'), d.name...)
	}
	return append(b, c.base...)
}

func (c *Content) appendNode(b []byte, n int32) []byte {
	if n == root {
		return b
	}
	b = c.appendNode(b, c.nodes[n].node)
	return c.appendSegment(b, c.nodes[n].name)
}

func (c *Content) appendSegment(b []byte, name int32) []byte {
	switch {
	case name == unnamed:
		return b
	case name < 0:
		return strconv.AppendInt(append(b, '/'), int64(^name), 10)
	}
	p := &c.parts[name]
	return appendWord(append(b, '/'), c.Text[p.start:p.end], false)
}

// nameMax is the length from which on a name is no name but data.
const nameMax = 64

// appendWord appends a name as a segment of a path. Names stand in records, so
// what may be a secret rather than a name is not written out.
func appendWord(b, name []byte, low bool) []byte {
	if len(name) > nameMax || dense(name) {
		return append(b, "(name)"...)
	}
	for _, x := range name {
		switch {
		case low && x >= 'A' && x <= 'Z':
			b = append(b, x|0x20)
		case x <= ' ' || x == 0x7f || x == '/' || x == '#' || x == '%' || x == '+' || x == '(' || x == ')':
			b = append(b, '%', "0123456789ABCDEF"[x>>4], "0123456789ABCDEF"[x&15])
		default:
			b = append(b, x)
		}
	}
	return b
}

// dense reports whether name holds a run of 16 or more letters and digits that
// looks like no words: with digits among them, or mostly of capitals.
func dense(name []byte) bool {
	run, digits, capitals := 0, 0, 0
	for i := 0; i <= len(name); i++ {
		var k uint8 = space
		if i < len(name) {
			if name[i] >= utf8.RuneSelf {
				continue
			}
			k = class[name[i]]
		}
		switch k {
		case lower:
			run++
		case upper:
			run, capitals = run+1, capitals+1
		case digit:
			run, digits = run+1, digits+1
		case other:
			run++
		default:
			if run >= 16 && (digits > 0 || 2*capitals > run) {
				return true
			}
			run, digits, capitals = 0, 0, 0
		}
	}
	return false
}
