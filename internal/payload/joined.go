package payload

import (
	"cmp"
	"hash/maphash"
	"slices"
)

// What is split over neighbouring fields of a request is one string again in a
// joined part. Only short values without white space are joined, and of these
// only runs that are not made of words alone, so that ordinary traffic, in
// which such values are "user", "text" and "object", pays next to nothing.
const (
	fieldMax = 256 // bytes of a value that is joined
	wordsMax = 6   // words in a row that end a run
	wordsEnd = 3   // words kept at both ends of a run
	joinMin  = 8   // bytes of a joined part
)

// A joinable is a field of a run: a span of Text.
type joinable struct {
	from, to int32
	word     bool
}

// A column is a value and a hash of its name.
type column struct {
	name uint64
	part int32
}

// joinWire joins what stands on the wire: labels of the host; path, query
// values and body values; field values; names; names and values in turn where
// they are written as pairs.
func (c *Content) joinWire() {
	n := len(c.parts)
	kinds := func(ks ...docKind) func(*part) bool {
		return func(p *part) bool { return slices.Contains(ks, c.docs[p.doc].kind) }
	}
	c.joinHost(n)
	c.join(0, n, value, kinds(pathDoc, queryDoc, bodyDoc))
	c.join(0, n, value, kinds(headerDoc, cookieDoc))
	c.join(0, n, key, kinds(queryDoc, bodyDoc))
	c.joinColumns(0, n)
	c.joinPairs(n)
}

// joinDocument joins the fields of a derived document.
func (c *Content) joinDocument(lo, hi int) {
	all := func(*part) bool { return true }
	c.join(lo, hi, value, all)
	c.join(lo, hi, key, all)
	c.joinColumns(lo, hi)
}

// join joins the parts [lo, hi) that have the role and belong.
func (c *Content) join(lo, hi int, r role, belongs func(*part) bool) {
	c.work.fields = c.work.fields[:0]
	for i := lo; i < hi; i++ {
		p := &c.parts[i]
		if p.role == r && p.form != numberForm && belongs(p) {
			c.joinPart(p)
		}
	}
	c.endRun()
}

// joinPairs joins names and values in turn.
func (c *Content) joinPairs(n int) {
	c.work.fields = c.work.fields[:0]
	for i := range n {
		if p := &c.parts[i]; p.form == queryForm && p.role <= key {
			c.joinPart(p)
		}
	}
	c.endRun()
}

// joinColumns joins the values that have the same name, as those of an array of
// objects do.
func (c *Content) joinColumns(lo, hi int) {
	w := c.work
	w.columns = w.columns[:0]
	for i := lo; i < hi; i++ {
		p := &c.parts[i]
		if p.role != value || p.name < 0 || p.form == numberForm || p.end-p.start > fieldMax {
			continue
		}
		name := &c.parts[p.name]
		w.columns = append(w.columns, column{maphash.Bytes(w.seed, c.Text[name.start:name.end]), int32(i)})
	}
	slices.SortFunc(w.columns, func(a, b column) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.part, b.part))
	})
	w.fields = w.fields[:0]
	for i, col := range w.columns {
		if i > 0 && w.columns[i-1].name != col.name {
			c.endRun()
		}
		c.joinPart(&c.parts[col.part])
	}
	c.endRun()
}

// joinHost joins the labels of the host, which may carry an encoded text.
func (c *Content) joinHost(n int) {
	if n == 0 || c.docs[c.parts[0].doc].kind != hostDoc {
		return
	}
	c.work.fields = c.work.fields[:0]
	p := c.parts[0]
	from := p.start
	for i := p.start; i <= p.end; i++ {
		if i == p.end || c.Text[i] == '.' {
			c.joinSpan(from, i)
			from = i + 1
		}
	}
	c.endRun()
}

func (c *Content) joinPart(p *part) { c.joinSpan(p.start, p.end) }

// joinSpan takes a field into the run, or ends the run.
func (c *Content) joinSpan(from, to int32) {
	if from == to {
		return
	}
	token, word := false, false
	if to-from <= fieldMax {
		token, word = classify(c.Text[from:to])
	}
	if !token {
		c.endRun()
		return
	}
	c.work.fields = append(c.work.fields, joinable{from, to, word})
	if n := len(c.work.fields); n > wordsMax && allWords(c.work.fields[n-wordsMax-1:]) {
		c.endRun()
	}
}

func allWords(f []joinable) bool {
	for _, x := range f {
		if !x.word {
			return false
		}
	}
	return true
}

// endRun joins the run, without words at its ends, and begins a new one.
func (c *Content) endRun() {
	f := c.work.fields
	c.work.fields = f[:0]
	for len(f) > wordsEnd && allWords(f[:wordsEnd+1]) {
		f = f[1:]
	}
	for len(f) > wordsEnd && allWords(f[len(f)-wordsEnd-1:]) {
		f = f[:len(f)-1]
	}
	n := 0
	for _, x := range f {
		n += int(x.to - x.from)
	}
	if len(f) < 2 || n < joinMin || allWords(f) {
		return
	}
	if n > c.room() {
		c.overText(int(f[0].from))
		return
	}
	d := c.addDoc(doc{kind: joinDoc, from: f[0].from, to: f[len(f)-1].to})
	p := c.open(part{doc: d, node: root, name: unnamed, form: joinForm})
	for _, x := range f {
		c.mark(int(x.from))
		c.Text = append(c.Text, c.Text[x.from:x.to]...)
	}
	c.close(p)
}

const (
	lower = 1 << iota
	upper
	glue // between words
	digit
	other
	space
)

var class = func() (t [256]uint8) {
	for i := range t {
		switch b := byte(i); {
		case b >= 'a' && b <= 'z':
			t[i] = lower
		case b >= 'A' && b <= 'Z':
			t[i] = upper
		case b >= '0' && b <= '9':
			t[i] = digit
		case b <= ' ' || b == 0x7f:
			t[i] = space
		case b == '_' || b == '-' || b == '.' || b == '/':
			t[i] = glue
		default:
			t[i] = other
		}
	}
	return t
}()

// classify reports whether s has no white space, and whether it is words:
// letters in runs that are no shorter than three, of one case but for the first
// letter, joined by hyphens and the like or by a capital.
func classify(s []byte) (token, word bool) {
	word = true
	run, last := 0, uint8(glue)
	for _, b := range s {
		k := class[b]
		switch k {
		case space:
			return false, false
		case lower:
			run++
		case upper:
			if last == upper || last == lower && run < 3 {
				word = false
			}
			run = 1
		case glue:
			if last != glue && run < 3 {
				word = false
			}
			run = 0
		default:
			word = false
		}
		last = k
	}
	return true, word && run >= 3
}
