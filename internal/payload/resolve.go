package payload

import (
	"bytes"
	"container/heap"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"outvet/internal/payload/layer"
)

// A cut replaces the span [from, to) of Text.
type cut struct {
	from, to int
	with     string
}

// A splice replaces the span [from, to) of a wire document; with is written as
// it must stand there.
type splice struct {
	doc      int32
	from, to int
	with     string
}

// cuts is a heap of cuts, the last of Text first. What is derived stands after
// what it is derived from, so that all cuts of a part are known when it is its
// turn.
type cuts []cut

func (h cuts) Len() int           { return len(h) }
func (h cuts) Less(i, j int) bool { return h[i].from > h[j].from }
func (h cuts) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *cuts) Push(x any)        { *h = append(*h, x.(cut)) }
func (h *cuts) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}

// A resolver carries cuts down to the wire.
type resolver struct {
	c     *Content
	cuts  cuts
	wire  []splice
	plain bool // write what replaces as it is; for records
}

// resolve carries cuts down to the wire. What it returns is sorted by document
// and place and does not overlap.
func (c *Content) resolve(all []cut, plain bool) ([]splice, error) {
	r := &resolver{c: c, plain: plain}
	for _, x := range all {
		if x.from < 0 || x.to > len(c.Text) || x.from >= x.to || len(c.parts) == 0 {
			return nil, fmt.Errorf("payload: no text from %d to %d to edit", x.from, x.to)
		}
		p := c.partAt(x.from)
		x.to = min(x.to, int(c.parts[p].end))
		if x.from >= x.to {
			return nil, fmt.Errorf("payload: no text from %d to %d to edit", x.from, x.to)
		}
		x.from, x.to = c.onRunes(x.from, x.to)
		heap.Push(&r.cuts, x)
	}
	var mine []cut
	for r.cuts.Len() > 0 {
		p := c.partAt(r.cuts[0].from)
		mine = mine[:0]
		for r.cuts.Len() > 0 && r.cuts[0].from >= int(c.parts[p].start) {
			mine = append(mine, heap.Pop(&r.cuts).(cut))
		}
		slices.Reverse(mine)
		if err := r.part(p, mergeCuts(mine)); err != nil {
			return nil, err
		}
	}
	return mergeSplices(r.wire), nil
}

// mergeCuts joins overlapping cuts of one part, sorted by place.
func mergeCuts(s []cut) []cut {
	out := s[:1]
	for _, x := range s[1:] {
		if last := &out[len(out)-1]; x.from < last.to {
			last.to = max(last.to, x.to)
			if last.with == "" {
				last.with = x.with
			}
			continue
		}
		out = append(out, x)
	}
	return out
}

func mergeSplices(s []splice) []splice {
	slices.SortStableFunc(s, func(a, b splice) int {
		if a.doc != b.doc {
			return int(a.doc) - int(b.doc)
		}
		return a.from - b.from
	})
	var out []splice
	for _, x := range s {
		if n := len(out); n > 0 && out[n-1].doc == x.doc && x.from < out[n-1].to {
			last := &out[n-1]
			if last.with == "" {
				last.with = x.with
			}
			last.to = max(last.to, x.to)
			continue
		}
		out = append(out, x)
	}
	return out
}

// part carries the cuts of part p one step down.
func (r *resolver) part(p int, mine []cut) error {
	c := r.c
	at := &c.parts[p]
	switch at.form {
	case hostForm:
		if !r.plain {
			return fmt.Errorf("payload: the host cannot be edited")
		}
	case joinForm:
		for _, x := range mine {
			r.fields(p, x)
		}
		return nil
	case layerForm:
		d := &c.docs[at.doc]
		origin := layer.OriginOf(d.name, c.Text[d.from:d.to])
		for _, x := range mine {
			from, to := r.locate(p, x, origin)
			r.span(from, to, x.with)
		}
		return nil
	case numberForm:
		r.put(p, int(at.start), int(at.end), r.number(p, mine))
		return nil
	}
	for _, x := range mine {
		with := x.with
		if !r.plain {
			with = at.form.write(with)
		}
		r.put(p, x.from, x.to, with)
	}
	return nil
}

// locate returns the span of Text that encodes the cut x of layer p: where
// single characters were written otherwise those of the cut, else all.
func (r *resolver) locate(p int, x cut, origin layer.Origin) (from, to int) {
	c := r.c
	at, d := &c.parts[p], &c.docs[c.parts[p].doc]
	if len(c.runsOf(p)) != 1 { // it was repaired: positions are not those of the layer
		return int(d.from), int(d.to)
	}
	a, b := x.from-int(at.start), x.to-int(at.start)
	if c.docs[c.parts[c.partAt(int(d.from))].doc].kind == joinDoc {
		if from, to, ok := groups(d.name, c.Text[d.from:d.to], c.Text[at.start:at.end], a, b); ok {
			return int(d.from) + from, int(d.from) + to
		}
	}
	from, to = origin.Locate(a, b)
	return int(d.from) + from, int(d.from) + to
}

// groups returns the digits of run, which encodes text, that hold text[from:to].
// It is for joined parts: a run may reach into fields that have nothing to do
// with what was found.
func groups(name string, run, text []byte, from, to int) (start, end int, ok bool) {
	bytesOf, digitsOf := 1, 2
	decode := func(s []byte) ([]byte, error) { return hex.AppendDecode(nil, s) }
	if name == "base64" {
		bytesOf, digitsOf = 3, 4
		decode = func(s []byte) ([]byte, error) { return base64.RawStdEncoding.AppendDecode(nil, plain64(s)) }
	} else if name != "hex" {
		return 0, 0, false
	}
	first, last := from/bytesOf, (to+bytesOf-1)/bytesOf
	start, end = first*digitsOf, min(last*digitsOf, len(run))
	if start >= end {
		return 0, 0, false
	}
	got, err := decode(run[start:end])
	want := text[first*bytesOf : min(last*bytesOf, len(text))]
	return start, end, err == nil && bytes.HasPrefix(got, want)
}

// plain64 returns s in the standard alphabet without padding.
func plain64(s []byte) []byte {
	return bytes.Map(func(r rune) rune {
		switch r {
		case '-':
			return '+'
		case '_':
			return '/'
		case '=':
			return -1
		}
		return r
	}, s)
}

// put replaces a span of part p in its document.
func (r *resolver) put(p, from, to int, with string) {
	c := r.c
	d := c.parts[p].doc
	from, to = c.in(p, from), c.in(p, to)
	if c.docs[d].kind.derived() {
		r.span(from, to, with)
		return
	}
	if k := c.docs[d].kind; k == queryDoc || k == pathDoc {
		d = c.targetDoc()
	}
	r.wire = append(r.wire, splice{d, from, to, with})
}

// targetDoc returns the one document that stands for path and query.
func (c *Content) targetDoc() int32 {
	return int32(slices.IndexFunc(c.docs, func(d doc) bool { return d.kind == pathDoc }))
}

// span replaces a span of Text that may run over several parts: in the first
// by with, in the others by nothing.
func (r *resolver) span(from, to int, with string) {
	c := r.c
	from, to = c.onRunes(from, to)
	for p := c.partAt(from); p < len(c.parts) && int(c.parts[p].start) < to; p++ {
		x := cut{max(from, int(c.parts[p].start)), min(to, int(c.parts[p].end)), with}
		if x.from < x.to {
			heap.Push(&r.cuts, x)
			with = ""
		}
	}
}

// fields carries a cut of the joined part p to the fields that it touches.
func (r *resolver) fields(p int, x cut) {
	runs := r.c.runsOf(p)
	for k := lastRun(runs, x.from); k < len(runs) && int(runs[k].out) < x.to; k++ {
		end := int(r.c.parts[p].end)
		if k+1 < len(runs) {
			end = int(runs[k+1].out)
		}
		move := int(runs[k].in) - int(runs[k].out)
		r.span(max(x.from, int(runs[k].out))+move, min(x.to, end)+move, x.with)
		x.with = ""
	}
}

// number returns the number p with its cuts made, as a string.
func (r *resolver) number(p int, mine []cut) string {
	c := r.c
	var b strings.Builder
	pos := int(c.parts[p].start)
	b.WriteByte('"')
	for _, x := range mine {
		b.Write(c.Text[pos:x.from])
		b.WriteString(jsonForm.write(x.with))
		pos = x.to
	}
	b.Write(c.Text[pos:c.parts[p].end])
	b.WriteByte('"')
	return b.String()
}

// splices makes the edits in b, which must be sorted and apart.
func splices(b []byte, edits []splice) ([]byte, error) {
	var out []byte
	pos := 0
	for _, e := range edits {
		if e.from < pos || e.to < e.from || e.to > len(b) {
			return nil, fmt.Errorf("payload: bytes %d to %d are not in the message that was decoded", e.from, e.to)
		}
		out = append(append(out, b[pos:e.from]...), e.with...)
		pos = e.to
	}
	return append(out, b[pos:]...), nil
}
