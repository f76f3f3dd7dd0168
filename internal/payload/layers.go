package payload

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"

	"outvet/internal/payload/layer"
)

// A binary is a part that is not text: its bytes are looked into as they are,
// for repaired they would not be what they were.
type binary struct {
	part     int
	from, to int  // in the body, or in work.side
	body     bool // which of the two
}

// derive adds what the parts hold: fields joined, then level by level all layers
// that stand in the wire parts, and all that stand in those.
func (c *Content) derive() {
	if c.wire = len(c.Text); !c.stream {
		c.joinWire()
	}
	c.deriveFrom(0, 0)
	c.segment()
	c.deriveUnits()
}

// deriveFrom derives from the parts from lo on, which have depth.
func (c *Content) deriveFrom(lo, depth int) {
	for ; lo < len(c.parts); depth++ {
		hi := len(c.parts)
		if depth == c.lim.Depth {
			c.tooDeep(lo)
			return
		}
		c.openJSON(lo, hi)
		if depth == 0 {
			if c.work.basic[1] > 0 {
				c.openBasic()
			}
			for i := range c.cells {
				c.work.holes = append(c.work.holes, c.cells[i].part)
			}
		}
		c.look(lo, hi)
		lo = hi
	}
}

// openBasic opens the credentials of the Basic scheme.
func (c *Content) openBasic() {
	from, to := c.work.basic[0], c.work.basic[1]
	if b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(string(c.Text[from:to]), "=")); err == nil {
		c.layerPart("base64", from, to, b)
	}
}

// openJSON reads the parts [lo, hi) that are JSON themselves: the arguments of
// a tool call are.
func (c *Content) openJSON(lo, hi int) {
	unit := 0
	for i := lo; i < hi; i++ {
		for unit < len(c.cells) && int(c.cells[unit].part) < i {
			unit++
		}
		if unit == len(c.cells) || int(c.cells[unit].part) != i {
			c.openJSONPart(i)
		}
	}
}

// openJSONPart reads part i if it is JSON, and reports whether it is.
func (c *Content) openJSONPart(i int) bool {
	p := c.parts[i]
	s := c.Text[p.start:p.end]
	if p.form == joinForm || len(s) < 4 || !nestable(s) {
		return false
	}
	if 4*len(s) > c.room() {
		c.overText(int(p.start))
		return false
	}
	docs, first := len(c.docs), len(c.parts)
	d := c.addDoc(doc{kind: jsonDoc, name: "json", from: p.start, to: p.end})
	if !c.readJSON(s, int(p.start), d, root, jsonForm, false) {
		c.docs = c.docs[:docs]
		return false
	}
	c.work.holes = append(c.work.holes, int32(i))
	c.joinDocument(first, len(c.parts))
	return true
}

// nestable reports whether s may be JSON that hides something from one who
// reads s as text.
func nestable(s []byte) bool {
	if !opens(s[0]) && s[0] > ' ' && s[0] != 0xEF || !looksLikeJSON(s) {
		return false
	}
	// A string alone hides something only by its escapes.
	return s[0] != '"' && bytes.IndexByte(s, '"') >= 0 || bytes.IndexByte(s, '\\') >= 0
}

// look finds the layers of the parts [lo, hi): in the text of all of them at
// once, except for those that were opened as JSON, and in the bytes of those
// that are binary.
func (c *Content) look(lo, hi int) {
	w := c.work
	n := 0
	for n < len(w.binaries) && w.binaries[n].part < hi {
		w.holes = append(w.holes, int32(w.binaries[n].part))
		n++
	}
	slices.Sort(w.holes)
	from, cells := int(c.parts[lo].start), c.cells
	if lo > 0 {
		cells = nil
	}
	for _, h := range w.holes {
		if len(cells) == 0 {
			c.find(from, int(c.parts[h].start), -1, c.Text)
		} else if cells[0].look(c, from, h); h == cells[0].part {
			cells = cells[1:]
		}
		from = int(c.parts[h].end)
	}
	c.find(from, int(c.parts[hi-1].end), -1, c.Text)
	c.uncross()
	for i := range n {
		b := w.binaries[i]
		raw := w.side
		if b.body {
			raw = c.body
		}
		c.find(b.from, b.to, i, raw)
	}
	w.holes = w.holes[:0]
	w.binaries = w.binaries[:copy(w.binaries, w.binaries[n:])]
}

// A crossing is a layer that would run over several parts, which have nothing
// to do with each other.
type crossing struct {
	name     string
	from, to int
}

// lines reports whether the parts from p up to the position to are elements of
// one array: lines of one text.
func (c *Content) lines(p, to int) bool {
	first := &c.parts[p]
	for ; p < len(c.parts) && int(c.parts[p].start) < to; p++ {
		if at := &c.parts[p]; at.name >= 0 || at.name == unnamed || at.node != first.node || at.doc != first.doc {
			return false
		}
	}
	return first.form == jsonForm
}

// uncross finds, part by part, the layers that were taken to run over several.
func (c *Content) uncross() {
	w := c.work
	all := w.crossing
	slices.SortFunc(all, func(a, b crossing) int { return a.from - b.from })
	next := 0
	for i, x := range all {
		for p := max(c.partAt(x.from), next); p < len(c.parts) && int(c.parts[p].start) < x.to; p++ {
			n := i
			for n < len(all) && all[n].from < int(c.parts[p].end) {
				n++
			}
			w.again = all[max(i-4, 0):n]
			c.find(int(c.parts[p].start), int(c.parts[p].end), -1, c.Text)
			next = p + 1
		}
	}
	w.again, w.crossing = nil, all[:0]
}

// find finds the layers of b[from:to], which is Text or the bytes of a binary.
func (c *Content) find(from, to, within int, b []byte) {
	if from >= to {
		return
	}
	w := c.work
	w.at0, w.within, w.cutAt = from, within, -1
	if !layer.Find(b[from:to], c.caps(), w.emit) {
		return
	}
	name := c.base // if the finder did not say where
	if w.cutAt >= 0 {
		name = c.namePart(c.partAt(w.cutAt))
	} else if within >= 0 {
		name = c.namePart(w.binaries[within].part)
	}
	c.unread(name, "an encoded text in it could not be read to its end")
}

// caps bound what is found in one text: by what is left for all.
func (c *Content) caps() layer.Caps {
	return layer.Caps{Ratio: c.lim.Ratio, Bytes: c.room(), Work: &c.work.inflate}
}

// addLayer adds what a layer holds as a part.
func (c *Content) addLayer(l layer.Layer) {
	w := c.work
	from, to := w.at0+l.Start, w.at0+l.End
	if w.within >= 0 {
		b := w.binaries[w.within]
		from, to = c.textAt(b, from), c.textAt(b, to)
	}
	if l.Cut && w.cutAt < 0 {
		w.cutAt = from
	}
	if c.known(from, to) {
		return
	}
	if p := c.partAt(from); to > int(c.parts[p].end) && !c.lines(p, to) {
		w.crossing = append(w.crossing, crossing{l.Name, from, to})
		return
	}
	if w.again != nil && !slices.ContainsFunc(w.again, func(x crossing) bool { return x.name == l.Name && from < x.to && to > x.from }) {
		return
	}
	c.layerPart(l.Name, from, to, l.Text)
}

func (c *Content) layerPart(name string, from, to int, text []byte) {
	w := c.work
	if 3*len(text) > c.room() {
		c.overText(from)
		return
	}
	d := c.addDoc(doc{kind: layerDoc, name: name, from: int32(from), to: int32(to)})
	p := c.open(part{doc: d, node: root, name: unnamed, form: layerForm})
	if utf8.Valid(text) {
		c.mark(0)
		c.Text = append(c.Text, text...)
	} else {
		in := len(w.side)
		w.side = append(w.side, text...)
		w.binaries = append(w.binaries, binary{part: p, from: in, to: len(w.side)})
		c.copyText(text, in)
	}
	c.close(p)
}

// known reports whether the run is in the text for another reason: it lies in
// one field of a joined part, or it is the credentials of the Basic scheme.
func (c *Content) known(from, to int) bool {
	if from >= c.work.basic[0] && to <= c.work.basic[1] {
		return true
	}
	p := c.partAt(from)
	if c.docs[c.parts[p].doc].kind != joinDoc || to > int(c.parts[p].end) {
		return false
	}
	r := c.runsOf(p)
	return lastRun(r, from) == lastRun(r, max(to-1, from))
}

// textAt maps a position in the bytes of a binary to Text.
func (c *Content) textAt(b binary, raw int) int {
	r := c.runsOf(b.part)
	if raw >= b.to {
		return int(c.parts[b.part].end)
	}
	k := max(sort.Search(len(r), func(i int) bool { return int(r[i].in) > raw })-1, 0)
	pos := int(r[k].out) + raw - int(r[k].in)
	if k+1 < len(r) {
		pos = min(pos, int(r[k+1].out))
	}
	return pos
}

// tooDeep reports what is still encoded in the parts from lo on.
func (c *Content) tooDeep(lo int) {
	at := -1
	from := int(c.parts[lo].start)
	layer.Find(c.Text[from:], c.caps(), func(l layer.Layer) {
		if at < 0 && !c.known(from+l.Start, from+l.End) {
			at = from + l.Start
		}
	})
	for _, b := range c.work.binaries {
		if at < 0 && b.part >= lo {
			at = int(c.parts[b.part].start)
		}
	}
	if at >= 0 {
		c.unread(c.namePart(c.partAt(at)), fmt.Sprintf("more than %d nested layers of encoding", c.lim.Depth))
	}
}

func (c *Content) overText(at int) {
	c.unread(c.namePart(c.partAt(at)), fmt.Sprintf("decoded text is over %d bytes", c.lim.Text))
}
