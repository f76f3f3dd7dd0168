package payload

import (
	"sort"
	"sync"
	"unicode/utf8"

	"outvet/call"
	"outvet/internal/payload/layer"
)

// A Content is the decoded text of one call or one window: all parts joined,
// so that one pass reads them all. It is safe for concurrent reading.
//
// Text is valid UTF-8. Each part is followed by one '\n' that belongs to no
// part. Wire parts come first, in the order host, path, query, headers, body;
// derived parts (a layer of encoding opened, neighbouring fields joined) stand
// at the end.
type Content struct {
	Text        []byte
	Uninspected []call.Uninspected

	base   string // path of the body
	lim    Limits
	body   []byte // without content coding
	target string

	coded  bool // body had a content coding
	cut    bool // body is not all of what is on the wire
	stream bool // belongs to a Stream
	idle   bool // released
	offset int64
	seen   int // bytes of body that stood in the window before
	wire   int // bytes of Text that are not derived

	parts []part // by start
	docs  []doc
	nodes []node
	runs  []run // by part, then by out

	cells    []cell // by part
	segments []Segment
	bodyPart int // the first part of the body
	headDone bool
	headHash digest

	work *work
}

// A part is one stretch of Text and how it stands in its document.
type part struct {
	start, end int32
	runs       int32 // index of its first run
	doc        int32
	node       int32 // that it stands in, or root
	name       int32 // the part that holds its name, ^index in an array, or unnamed
	role       role
	form       form
}

const (
	root    = -1
	unnamed = -1 << 31
)

// A role says what a part is in its document.
type role uint8

const (
	value role = iota
	key        // the name of a value
	head       // the header block of a part of a multipart body
	file       // the name of a file
	field      // the name of a header field
	again      // a second reading of a value
)

// A node is an object, an array, or a part of a multipart body.
type node struct {
	node int32 // that it stands in, or root
	name int32 // as of a part
}

// A doc is what parts were read from: a piece of the wire, or a span of Text.
type doc struct {
	kind     docKind
	name     string // of a header field, a layer
	index    int32  // of the value of a header field
	from, to int32  // the span of Text that it is, unless it is of the wire
}

type docKind uint8

const (
	hostDoc docKind = iota
	pathDoc
	queryDoc
	headerDoc
	cookieDoc
	bodyDoc
	layerDoc // Text[from:to] encodes its only part
	jsonDoc  // Text[from:to] is JSON
	joinDoc  // fields that stand elsewhere in Text
)

func (k docKind) derived() bool { return k >= layerDoc }

// A run says that a part, from out on, goes on like its document from in on,
// up to the next run. Where a rune of Text was written with another number of
// bytes, a run begins after it: so positions between runes, and only they, can
// be mapped. The positions of derived documents are those of Text; of a layer,
// they are those of its undecoded bytes.
type run struct{ out, in int32 }

var contents = sync.Pool{New: func() any { return &Content{work: newWork()} }}

func newContent(lim Limits, base string) *Content {
	c := contents.Get().(*Content)
	c.reset(lim, base)
	return c
}

func (c *Content) reset(lim Limits, base string) {
	*c = Content{Text: c.Text[:0], parts: c.parts[:0], docs: c.docs[:0], nodes: c.nodes[:0], runs: c.runs[:0],
		cells: c.cells[:0], segments: c.segments[:0], work: c.work, base: base, lim: lim.orDefault(), stream: c.stream}
	c.work.reset(c)
}

// keep is how many bytes an idle Content may hold, roughly.
const keep = 4 << 20

// Release gives the memory of c back. c must not be used after. Of a Content
// that a Stream returned it does nothing.
func (c *Content) Release() {
	if c.stream || c.idle {
		return
	}
	c.idle = true
	if cap(c.Text)+8*cap(c.runs)+28*cap(c.parts)+cap(c.work.side) > keep {
		return
	}
	clear(c.docs[:cap(c.docs)]) // they hold strings of the call
	c.body, c.target, c.Uninspected, c.lim.Memory = nil, "", nil, nil
	c.work.release()
	contents.Put(c)
}

// Part returns the bounds in Text of the part that holds position pos.
func (c *Content) Part(pos int) (start, end int) {
	if len(c.parts) == 0 {
		return 0, 0
	}
	p := &c.parts[c.partAt(pos)]
	return int(p.start), int(p.end)
}

// Memory returns the memory that c was decoded with, nil if there is none.
func (c *Content) Memory() *Memory { return c.lim.Memory }

// Size returns how many bytes Text would have if nothing of it were left out.
func (c *Content) Size() int {
	n := len(c.Text)
	for i := range c.cells {
		if c.cells[i].gone {
			n += int(c.cells[i].size)
		}
	}
	return n
}

// Head reports whether pos stands in the head of the message, which is host,
// target and header, or in a layer of it. If not, next is the next
// position of Text that may.
func (c *Content) Head(pos int) (next int, ok bool) {
	if len(c.parts) == 0 {
		return len(c.Text), false
	}
	p := c.partAt(pos)
	d := &c.docs[c.parts[p].doc]
	if d.kind == bodyDoc {
		return max(c.wire, pos), false
	}
	for next = int(c.parts[p].end) + 1; d.kind.derived() && d.kind != joinDoc; {
		d = &c.docs[c.parts[c.partAt(int(d.from))].doc]
	}
	return next, d.kind < bodyDoc
}

// partAt returns the part that holds pos; the '\n' after a part counts to it.
func (c *Content) partAt(pos int) int {
	n := sort.Search(len(c.parts), func(i int) bool { return int(c.parts[i].start) > pos })
	return max(n-1, 0)
}

// runsOf returns the runs of part p.
func (c *Content) runsOf(p int) []run {
	if p+1 < len(c.parts) {
		return c.runs[c.parts[p].runs:c.parts[p+1].runs]
	}
	return c.runs[c.parts[p].runs:]
}

// in maps a position of Text between two runes of part p to its document.
func (c *Content) in(p, pos int) int {
	r := c.runsOf(p)
	k := lastRun(r, pos)
	return int(r[k].in) + pos - int(r[k].out)
}

// lastRun returns the run that holds pos.
func lastRun(r []run, pos int) int {
	return max(sort.Search(len(r), func(i int) bool { return int(r[i].out) > pos })-1, 0)
}

// Edge reports whether pos is the start or end of a part or, in a part joined
// of several fields and in the layers of such a part, of one of the fields.
// There a word may begin or end whatever stands beside it. Where a window cuts
// a stream there is no edge.
func (c *Content) Edge(pos int) bool {
	if len(c.parts) == 0 {
		return true
	}
	p := c.partAt(pos)
	at := &c.parts[p]
	switch {
	case pos == int(at.start):
		return c.offset == 0 || p > 0
	case pos == int(at.end):
		return !c.cut || !c.stream || p > 0
	case c.docs[at.doc].kind == joinDoc:
		r := c.runsOf(p)
		return int(r[lastRun(r, pos)].out) == pos
	case c.docs[at.doc].kind == layerDoc:
		return c.edgeBelow(p, pos)
	}
	return false
}

// mapMax is the length up to which a layer is decoded again to see where a
// position in it comes from: each time that somebody asks.
const mapMax = 4 << 10

// mapped reports whether layers of that name change single characters, so that
// a position in one can be mapped.
func mapped(name string) bool {
	switch name {
	case "percent", "escape", "entity", "quoted", "fold":
		return true
	}
	return false
}

// edgeBelow reports whether pos in layer p is an edge of what it was read from,
// if that is joined. In a layer that is too long to be mapped every position
// may be one: better a word too many than a secret too few.
func (c *Content) edgeBelow(p, pos int) bool {
	d := &c.docs[c.parts[p].doc]
	below := c.partAt(int(d.from))
	for c.docs[c.parts[below].doc].kind == layerDoc {
		below = c.partAt(int(c.docs[c.parts[below].doc].from))
	}
	if c.docs[c.parts[below].doc].kind != joinDoc || len(c.runsOf(p)) != 1 || !mapped(d.name) {
		return false
	}
	if d.to-d.from > mapMax {
		return true
	}
	from, _ := layer.Locate(d.name, c.Text[d.from:d.to], pos-int(c.parts[p].start), pos+1-int(c.parts[p].start))
	return c.Edge(int(d.from) + from)
}

// onRunes moves from and to outwards so that no rune is cut.
func (c *Content) onRunes(from, to int) (int, int) {
	for from > 0 && from < len(c.Text) && !utf8.RuneStart(c.Text[from]) {
		from--
	}
	for to < len(c.Text) && !utf8.RuneStart(c.Text[to]) {
		to++
	}
	return from, to
}

// open begins a part. What is appended to Text until close belongs to it.
func (c *Content) open(p part) int {
	p.start, p.runs = int32(len(c.Text)), int32(len(c.runs))
	c.parts = append(c.parts, p)
	return len(c.parts) - 1
}

func (c *Content) close(p int) {
	c.parts[p].end = int32(len(c.Text))
	c.Text = append(c.Text, '\n')
}

func (c *Content) addDoc(d doc) int32 {
	c.docs = append(c.docs, d)
	return int32(len(c.docs) - 1)
}

// room returns how many bytes Text may still grow by.
func (c *Content) room() int { return max(int(c.lim.Text)-len(c.Text), 0) }

// unread reports that part could not be read, because of reason. The list is
// bounded: an attacker must not fill the record with it.
func (c *Content) unread(part, reason string) {
	const most = 16
	switch n := len(c.Uninspected); {
	case n < most-1:
		for _, u := range c.Uninspected {
			if u.Part == part && u.Reason == reason {
				return
			}
		}
		c.Uninspected = append(c.Uninspected, call.Uninspected{Part: part, Reason: reason})
	case n == most-1:
		c.Uninspected = append(c.Uninspected, call.Uninspected{Part: c.base, Reason: "more that could not be read"})
	}
}
