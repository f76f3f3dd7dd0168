package payload

import (
	"bytes"
	"sort"
)

// A cell is a unit with what stands before it since the unit before.
type cell struct {
	part   int32  // the unit
	from   int    // of its raw content in the body
	to     int    // where the quote stands that ends it
	text   digest // of its raw content
	all    digest // of the cell and where it stands in its document
	size   int32  // of the unit, decoded; -1 if it was not read before
	known  bool   // nothing was found in it, among the same neighbours
	quiet  bool   // nothing is derived from what stands before the unit
	gone   bool   // the unit is not in Text
	costly bool   // what the unit holds took more than its share to open
	window digest // of the cell and its neighbours
	whole  bool   // window was made
	loud   bool   // something is derived from what stands before the unit

	disturbed bool // something was found in it
	barred    bool // it is not remembered
}

// smallest is the body from which on a Memory is asked, mostPart the share of
// what Text may hold up to which it is: the limits shall be met with it where they
// are without it.
const (
	smallest = 8 << 10
	mostPart = 16
)

// remembers reports whether body is read with a Memory.
func (c *Content) remembers(body []byte) bool {
	return c.lim.Memory != nil && len(body) >= smallest && len(body) <= int(c.lim.Text)/mostPart
}

// rawEnd returns where the string ends whose raw content begins at s[i], if it
// is as long as a unit; otherwise -1.
func rawEnd(s []byte, i int) int {
	j := i
	for {
		k := bytes.IndexByte(s[j:], '"')
		if k < 0 {
			return -1
		}
		j += k
		n := 0
		for j-n > i && s[j-n-1] == '\\' {
			n++
		}
		if n&1 == 0 {
			break
		}
		j++
	}
	return j
}

// recall looks whether the string whose raw content begins at x.i+1 is known,
// and takes it as a part without text if so.
func (x *lexer) recall(p part) bool {
	from := x.i + 1
	end := rawEnd(x.s, from)
	if end-from < unitMin {
		return false
	}
	c := x.c
	m := c.lim.Memory
	d := c.work.hasher.hash(m, x.s[from:end])
	facts, ok := m.knowsString(d)
	if x.text, x.size = d, -1; ok {
		x.size = facts.size
	}
	if !ok || x.before < m.reach { // near to the head it is read in any case
		return false
	}
	p.form = goneForm
	c.runs = append(c.runs, run{int32(len(c.Text)), int32(x.in + from)})
	p.runs = int32(len(c.runs) - 1)
	p.start, p.end = int32(len(c.Text)), int32(len(c.Text))
	c.Text = append(c.Text, '\n')
	c.parts = append(c.parts, p)
	x.cell(from, end, true)
	x.i = end + 1
	return true
}

// cell adds the part that was read last as a unit.
func (x *lexer) cell(from, to int, gone bool) {
	c := x.c
	u := cell{part: int32(len(c.parts) - 1), from: from, to: to, size: -1}
	if m := c.lim.Memory; x.memory {
		u.text, u.size, u.gone = x.text, x.size, gone
		p := &c.parts[u.part]
		x.before += int(max(u.size, p.end-p.start))
		before := 0
		if n := len(c.cells); n > 0 {
			before = c.cells[n-1].to
		}
		b := appendUint(append(c.work.bytes[:0], u.text[:]...), from-before)
		b = append(b, x.s[before:from]...)
		if b, u.barred = x.path(b); !u.barred {
			u.all = c.work.hasher.hash(m, b)
		}
		c.work.bytes = b
	}
	c.cells = append(c.cells, u)
}

// path appends where in its document the string stands that is read. It is too
// long if it would cost much to make for each of many strings.
func (x *lexer) path(b []byte) (_ []byte, tooLong bool) {
	const levels, size = 32, 2 << 10
	c, from := x.c, len(b)
	if len(x.stack) > levels {
		return b, true
	}
	segment := func(n int32) bool {
		if b = appendUint(b, int(n)); n < 0 {
			return true
		}
		name := &c.parts[n]
		b = appendUint(b[:len(b)-8], int(name.end-name.start))
		if len(b)-from+int(name.end-name.start) > size {
			return false
		}
		b = append(b, c.Text[name.start:name.end]...)
		return true
	}
	for i := 1; i < len(x.stack); i++ {
		if !segment(c.nodes[x.stack[i].node].name) {
			return b, true
		}
	}
	return b, !segment(x.stack[len(x.stack)-1].name)
}

// weigh says which units were read before among the same neighbours, and takes
// back those that stand near to what was not.
func (c *Content) weigh(s []byte, in int) {
	m := c.lim.Memory
	for i := range c.cells {
		if x := &c.cells[i]; x.size >= 0 {
			if x.whole = c.see(i); x.whole {
				facts, ok := m.knowsCell(x.window)
				x.known, x.quiet = ok, facts.quiet
			}
		}
	}
	// What is within reach of the head, of the end, or of what is not known is read.
	for near, i := 0, 0; i < len(c.cells); i++ {
		near = c.near(i, near)
	}
	for near, i := 0, len(c.cells)-1; i >= 0; i-- {
		near = c.near(i, near)
	}
	for i := range c.cells {
		if x := &c.cells[i]; c.parts[x.part].form == goneForm && !x.gone {
			c.restore(i, s, in)
			break
		}
	}
}

// near takes cell i back if less than reach bytes are between it and what is
// not known, which are near. It returns how many are between that and the next.
func (c *Content) near(i, near int) int {
	x := &c.cells[i]
	if !x.known {
		x.gone = false
		return 0
	}
	if near < c.lim.Memory.reach {
		x.gone = false
	}
	return near + int(x.size)
}

// see makes the window of cell i: its neighbours on both sides, as far as reach,
// and before the first cell the head. It reports false if one of them is not
// known, or if what follows the body is among them.
func (c *Content) see(i int) bool {
	m := c.lim.Memory
	b := c.work.bytes[:0]
	n, k := 0, i-1
	for ; k >= 0 && n < m.reach; k-- {
		if c.cells[k].size < 0 || c.cells[k].barred {
			return false
		}
		n += int(c.cells[k].size)
		b = append(b, c.cells[k].all[:]...)
	}
	if n < m.reach {
		b = append(append(b, "head"...), c.headDigest()...)
	}
	b = appendUint(b, len(b))
	for n, k = 0, i; n < m.reach || k == i; k++ {
		if k == len(c.cells) || c.cells[k].size < 0 || c.cells[k].barred {
			return false
		}
		if k > i {
			n += int(c.cells[k].size)
		}
		b = append(b, c.cells[k].all[:]...)
	}
	c.work.bytes = b
	c.cells[i].window = c.work.hasher.hash(m, b)
	return true
}

// headDigest returns the hash of the text before the body.
func (c *Content) headDigest() []byte {
	if !c.headDone {
		c.headDone, c.headHash = true, c.work.hasher.hash(c.lim.Memory, c.Text[:c.parts[c.bodyPart].start])
	}
	return c.headHash[:]
}

// restore writes the units from cell first on that are not gone after all, and
// what stands behind each of them again. s is the body, which stands at in.
func (c *Content) restore(first int, s []byte, in int) {
	w := c.work
	p0 := int(c.cells[first].part)
	at, r0 := c.parts[p0].start, c.parts[p0].runs
	w.held = append(w.held[:0], c.Text[at:]...)
	w.heldRuns = append(w.heldRuns[:0], c.runs[r0:]...)
	c.Text, c.runs = c.Text[:at], c.runs[:r0]
	for p, k := p0, first; p < len(c.parts); p++ {
		x := &c.parts[p]
		start, end := x.start-at, x.end-at
		runs := w.heldRuns[x.runs-r0:]
		if p+1 < len(c.parts) {
			runs = w.heldRuns[x.runs-r0 : c.parts[p+1].runs-r0]
		}
		x.start, x.runs = int32(len(c.Text)), int32(len(c.runs))
		move := x.start - (start + at)
		for _, r := range runs {
			c.runs = append(c.runs, run{r.out + move, r.in})
		}
		if k < len(c.cells) && int(c.cells[k].part) == p {
			if u := &c.cells[k]; x.form == goneForm && !u.gone {
				x.form = jsonForm
				c.unquote(s, u.from, in)
			}
			k++
		}
		c.Text = append(c.Text, w.held[start:end]...)
		x.end = int32(len(c.Text))
		c.Text = append(c.Text, '\n')
	}
}

// look finds the layers in Text[from:] up to part h, which is a hole in or at the end of cell x.
func (x *cell) look(c *Content, from int, h int32) {
	if x.known && x.quiet {
		return
	}
	before := len(c.parts) + len(c.work.crossing)
	c.find(from, int(c.parts[h].start), -1, c.Text)
	if len(c.parts)+len(c.work.crossing) != before {
		x.loud = true
	}
}

// Seen reports whether the span [from, to) of Text stands in text that was read
// before among the same neighbours, and in which nothing was found.
func (c *Content) Seen(from, to int) bool {
	i := c.cellAt(from)
	if i < 0 || !c.cells[i].known {
		return false
	}
	for ; i < len(c.cells) && c.cells[i].known; i++ {
		if _, end := c.cellBounds(i); to <= end {
			return true
		}
	}
	return false
}

// cellAt returns the cell that holds pos; -1 if there is none.
func (c *Content) cellAt(pos int) int {
	if len(c.cells) == 0 || pos < int(c.parts[c.bodyPart].start) {
		return -1
	}
	i := sort.Search(len(c.cells), func(i int) bool { return int(c.parts[c.cells[i].part].end) >= pos })
	if i == len(c.cells) {
		return -1
	}
	return i
}

// Disturb says that something was found in the span [from, to) of Text: what
// stands within reach of it is not remembered, for it may be what made a finding
// of it. If found is false, a pattern matched there which came to nothing: then
// it matters only if it crosses a bound of a cell.
func (c *Content) Disturb(from, to int, found bool) {
	if len(c.cells) == 0 || c.lim.Memory == nil {
		return
	}
	if to <= int(c.parts[c.bodyPart].start) {
		return // what is within reach of the head is read in any case
	}
	if found {
		for i := c.segmentAt(from); i < len(c.segments) && c.segments[i].From < to; i++ {
			if s := &c.segments[i]; s.cell >= 0 {
				c.disturb(int(s.cell))
			}
		}
		from, to = max(from-c.lim.Memory.reach, 0), to+c.lim.Memory.reach
	}
	if from >= c.wire {
		return
	}
	first := c.cellAt(from)
	if first < 0 && from < int(c.parts[c.cells[0].part].end) {
		first = 0 // it begins in the head
	}
	for i := first; i >= 0 && i < len(c.cells); i++ {
		start, end := c.cellBounds(i)
		if start >= to {
			break
		}
		if from < end && (found || from < start || to > end) {
			c.cells[i].disturbed = true
		}
	}
}

// disturb says that something was found in what is derived from cell i.
func (c *Content) disturb(i int) {
	x := &c.cells[i]
	if !x.disturbed {
		x.disturbed = true
		p := &c.parts[x.part]
		c.Disturb(int(p.start), int(p.end), true)
	}
}

// Remember remembers all in which nothing was found. The caller has said what
// disturbed it, and that all of the content was read.
func (c *Content) Remember() {
	m := c.lim.Memory
	if m == nil || len(c.cells) == 0 || !c.remembers(c.body) || len(c.Uninspected) > 0 {
		return
	}
	for i := range c.cells {
		if x := &c.cells[i]; x.size < 0 {
			p := &c.parts[x.part]
			x.size = p.end - p.start
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range c.cells {
		x := &c.cells[i]
		if x.disturbed || x.costly || x.known || x.barred {
			continue
		}
		m.strings.put(x.text, stringFacts{x.size}, m.most)
		if x.whole || c.see(i) {
			m.cells.put(x.window, cellFacts{quiet: !x.loud}, m.most)
		}
	}
}
