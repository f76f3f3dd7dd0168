package payload

import "sort"

// A long string that is a member of an object of a JSON body is a unit: what it
// encodes is derived from it alone, and stands behind all else in Text, in a
// segment of its own.

// unitMin is how many bytes of text make a unit.
const unitMin = 320

// A Segment is a stretch of Text that is read by itself: what stands in another
// one has nothing to do with it.
type Segment struct {
	From, To int
	cell     int32 // that it is derived from, or -1
}

// Segments returns the stretches of Text that are to be read, in their order.
// What stands in none was read before, with the same neighbours, and nothing was
// found (see Memory).
func (c *Content) Segments() []Segment { return c.segments }

// Bounds returns the bounds of the segment that holds position pos, or pos twice.
func (c *Content) Bounds(pos int) (from, to int) {
	if i := c.segmentAt(pos); i < len(c.segments) && c.segments[i].From <= pos {
		return c.segments[i].From, c.segments[i].To
	}
	return pos, pos
}

// segmentAt returns the first segment that ends behind pos.
func (c *Content) segmentAt(pos int) int {
	return sort.Search(len(c.segments), func(i int) bool { return c.segments[i].To > pos })
}

// segment says which of what was derived so far, all but that of units, is to be
// read.
func (c *Content) segment() {
	from := 0
	for i := range c.cells {
		x := &c.cells[i]
		if !x.gone {
			continue
		}
		start, end := c.cellBounds(i)
		if start-from > 1 {
			c.segments = append(c.segments, Segment{from, start, -1})
		}
		from = end - 1 // with the line feed behind the string
	}
	if from < len(c.Text) {
		c.segments = append(c.segments, Segment{from, len(c.Text), -1})
	}
}

// cellBounds returns the bounds in Text of cell i, with the line feed at its end.
func (c *Content) cellBounds(i int) (from, to int) {
	from = int(c.parts[c.bodyPart].start)
	if i > 0 {
		from = int(c.parts[c.cells[i-1].part].end) + 1
	}
	return from, int(c.parts[c.cells[i].part].end) + 1
}

// deriveUnits opens what the units hold, each by itself.
func (c *Content) deriveUnits() {
	for i := range c.cells {
		x := &c.cells[i]
		if x.gone {
			continue
		}
		from, first, work := len(c.Text), len(c.parts), c.work.inflate
		p := c.parts[x.part]
		if !c.openJSONPart(int(x.part)) {
			c.find(int(p.start), int(p.end), -1, c.Text)
		}
		c.work.holes = c.work.holes[:0]
		if len(c.parts) == first {
			continue
		}
		c.deriveFrom(first, 1)
		c.segments = append(c.segments, Segment{from, len(c.Text), int32(i)})
		x.costly = work != c.work.inflate || len(c.Text)-from > 4*int(p.end-p.start)
	}
}
