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

// A joinable is a field of a row: a span of Text.
type joinable struct {
	from, to int32
	word     bool
}

// A row is a run of neighbouring fields that is not yet joined.
type row struct {
	fields []joinable
	words  int // that it ends with
}

// A column is a value and a hash of its name.
type column struct {
	name uint64
	joinable
	part int32
}

// A tokenKind says what classify made of a part.
type tokenKind uint8

const (
	noToken tokenKind = iota // long, empty, or with white space
	wordToken
	dataToken
)

func (c *Content) tokenOf(p *part) tokenKind {
	if n := p.end - p.start; n == 0 || n > fieldMax || p.form == numberForm {
		return noToken
	}
	return classify(c.Text[p.start:p.end])
}

// joinWire joins what stands on the wire: labels of the host; path, query
// values and body values; field values; names; names and values in turn where
// they are written as pairs.
func (c *Content) joinWire() {
	w := c.work
	n := len(c.parts)
	c.joinHost(n)
	body, header, pairs, names := &w.rows[0], &w.rows[1], &w.rows[2], &w.rows[3]
	w.columns = w.columns[:0]
	for i := range n {
		p := c.parts[i]
		if p.role > key {
			continue
		}
		t := c.tokenOf(&p)
		kind := c.docs[p.doc].kind
		switch {
		case kind == hostDoc:
		case kind == headerDoc, kind == cookieDoc && p.role == value:
			c.extend(header, &p, t)
		case p.role == key:
			c.extend(names, &p, t)
		default:
			c.extend(body, &p, t)
			c.addColumn(i, &p, t)
		}
		if p.form == queryForm {
			c.extend(pairs, &p, t)
		}
	}
	c.endRows()
	c.joinColumns()
}

// joinDocument joins the fields of a derived document, the parts [lo, hi).
func (c *Content) joinDocument(lo, hi int) {
	w := c.work
	w.columns = w.columns[:0]
	for i := lo; i < hi; i++ {
		p := c.parts[i]
		t := c.tokenOf(&p)
		if p.role == key {
			c.extend(&w.rows[3], &p, t)
			continue
		}
		c.extend(&w.rows[0], &p, t)
		c.addColumn(i, &p, t)
	}
	c.endRows()
	c.joinColumns()
}

func (c *Content) endRows() {
	for i := range c.work.rows {
		c.endRow(&c.work.rows[i])
	}
}

// addColumn takes a value that has a name as one of the values of that name.
func (c *Content) addColumn(i int, p *part, t tokenKind) {
	if t == noToken || p.name < 0 {
		return
	}
	w := c.work
	name := &c.parts[p.name]
	hash := maphash.Bytes(w.seed, c.Text[name.start:name.end])
	w.columns = append(w.columns, column{hash, joinable{p.start, p.end, t == wordToken}, int32(i)})
}

// joinColumns joins the values that have the same name, as those of an array of
// objects do.
func (c *Content) joinColumns() {
	w := c.work
	var data uint64 // the names, roughly, of which some value is no word
	for i := range w.columns {
		if !w.columns[i].word {
			data |= 1 << (w.columns[i].name & 63)
		}
	}
	w.columns = slices.DeleteFunc(w.columns, func(x column) bool { return data&(1<<(x.name&63)) == 0 })
	slices.SortFunc(w.columns, func(a, b column) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.part, b.part))
	})
	r := &w.rows[0]
	for i, col := range w.columns {
		if i > 0 && w.columns[i-1].name != col.name {
			c.endRow(r)
		}
		c.add(r, col.joinable)
	}
	c.endRow(r)
}

// joinHost joins the labels of the host, which may carry an encoded text.
func (c *Content) joinHost(n int) {
	if n == 0 || c.docs[c.parts[0].doc].kind != hostDoc {
		return
	}
	p := c.parts[0]
	r := &c.work.rows[0]
	from := p.start
	for i := p.start; i <= p.end; i++ {
		if i == p.end || c.Text[i] == '.' {
			label := part{start: from, end: i}
			c.extend(r, &label, c.tokenOf(&label))
			from = i + 1
		}
	}
	c.endRow(r)
}

// extend takes p into the row, or ends the row. An empty value is passed over.
func (c *Content) extend(r *row, p *part, t tokenKind) {
	if t != noToken {
		c.add(r, joinable{p.start, p.end, t == wordToken})
	} else if p.start != p.end && len(r.fields) > 0 {
		c.endRow(r)
	}
}

func (c *Content) add(r *row, x joinable) {
	if x.word && r.words == len(r.fields) && r.words == wordsEnd {
		copy(r.fields, r.fields[1:]) // words alone: the last few may begin something
		r.fields[wordsEnd-1] = x
		return
	}
	r.fields = append(r.fields, x)
	if !x.word {
		r.words = 0
	} else if r.words++; r.words > wordsMax {
		c.endRow(r)
	}
}

// endRow joins the row, without words at its end, and empties it.
func (c *Content) endRow(r *row) {
	f := r.fields
	if r.words > wordsEnd {
		f = f[:len(f)-(r.words-wordsEnd)]
	}
	words := r.words == len(r.fields)
	r.fields, r.words = r.fields[:0], 0
	if len(f) < 2 || words {
		return
	}
	n := 0
	for _, x := range f {
		n += int(x.to - x.from)
	}
	if n < joinMin {
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

// classify reports whether s is free of white space, and whether it is words:
// letters in runs that are no shorter than three, of one case but for the first
// letter, joined by hyphens and the like or by a capital.
func classify(s []byte) tokenKind {
	word := true
	run, last := 0, uint8(glue)
	for _, b := range s {
		k := class[b]
		switch k {
		case lower:
			run++
		case space:
			return noToken
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
	if word && run >= 3 {
		return wordToken
	}
	return dataToken
}
