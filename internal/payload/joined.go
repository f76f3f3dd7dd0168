package payload

import (
	"cmp"
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
	turn     turn
}

// A turn says what a field is in a row of JSON names and values in turn.
type turn uint8

const (
	noTurn    turn = iota // a value, or a field of another row
	named                 // a name as people give them
	strangely             // a name that may carry data
)

// The rows that joinWire keeps.
const (
	valueRow = iota
	headerRow
	pairRow // names and values of query and form in turn
	nameRow
	turnRow   // names and values of JSON in turn
	acrossRow // the end of the header and the beginning of the body
	fileRow   // names of files
	rowCount
)

const (
	acrossHead = 8    // fields of the header that a row across begins with
	acrossMax  = 1024 // fields of a row across
)

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

// bucket is one of 64 by name.
func (x *column) bucket() uint64 { return x.name * 0x9E3779B97F4A7C15 >> 58 }

func (c *Content) tokenOf(p *part) tokenKind {
	if n := p.end - p.start; n == 0 || n > fieldMax || p.form == numberForm {
		return noToken
	}
	return classify(c.Text[p.start:p.end])
}

// joinWire joins what stands on the wire: labels of the host; path, query
// values and body values; field values, and what a field holds in a list; names;
// names and values in turn; names of files; what a text or markup is made of.
func (c *Content) joinWire() {
	w := c.work
	n := len(c.parts)
	c.joinHost(n)
	w.columns, w.texts = w.columns[:0], w.texts[:0]
	across := &w.rows[acrossRow]
	for i := range n {
		p := c.parts[i]
		t := c.tokenOf(&p)
		kind := c.docs[p.doc].kind
		switch {
		case p.role == file:
			c.extend(&w.rows[fileRow], &p, t)
		case p.role > key, kind == hostDoc:
			continue
		case kind == headerDoc, kind == cookieDoc && p.role == value:
			c.extend(&w.rows[headerRow], &p, t)
			c.startAcross(&p, t)
			if kind == headerDoc {
				w.texts = append(w.texts, int32(i))
			}
		case p.role == key:
			c.extend(&w.rows[nameRow], &p, t)
			c.takeTurn(&p, t)
		default:
			c.extend(&w.rows[valueRow], &p, t)
			c.takeTurn(&p, t)
			c.addColumn(i, &p, t)
			if kind == bodyDoc && len(across.fields) > 0 {
				if c.extend(across, &p, t); len(across.fields) >= acrossMax {
					c.endRow(across)
				}
			}
			if p.form == textForm || p.form == markupForm {
				w.texts = append(w.texts, int32(i))
			}
		}
		if p.form == queryForm && p.role <= key {
			c.extend(&w.rows[pairRow], &p, t)
		}
	}
	c.endRows()
	c.joinColumns()
	for _, i := range w.texts {
		c.joinInside(c.parts[i])
	}
}

// startAcross takes a field of the header, if it is no word, as one of the last
// ones, with which the row across begins.
func (c *Content) startAcross(p *part, t tokenKind) {
	if t != dataToken {
		return
	}
	r := &c.work.rows[acrossRow]
	if len(r.fields) == acrossHead {
		r.fields = r.fields[:copy(r.fields, r.fields[1:])]
	}
	r.fields = append(r.fields, joinable{from: p.start, to: p.end})
}

// takeTurn takes a name of JSON, or a value that has one, into their row.
func (c *Content) takeTurn(p *part, t tokenKind) {
	if p.form != jsonForm && p.form != goneForm || p.role == value && p.name < 0 {
		return
	}
	r := &c.work.rows[turnRow]
	if t == noToken || p.role == value {
		c.extend(r, p, t)
		return
	}
	x := joinable{from: p.start, to: p.end, word: t == wordToken, turn: named}
	if s := c.Text[p.start:p.end]; !x.word && (len(s) != 2 || class[s[0]] != lower || class[s[1]] != lower) {
		x.turn = strangely // but not "id", "to" and the like
	}
	c.add(r, x)
}

// joinDocument joins the fields of a derived document, the parts [lo, hi).
func (c *Content) joinDocument(lo, hi int) {
	w := c.work
	w.columns = w.columns[:0]
	for i := lo; i < hi; i++ {
		p := c.parts[i]
		t := c.tokenOf(&p)
		c.takeTurn(&p, t)
		if p.role == key {
			c.extend(&w.rows[nameRow], &p, t)
			continue
		}
		c.extend(&w.rows[valueRow], &p, t)
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
	name := &c.parts[p.name]
	x := joinable{from: p.start, to: p.end, word: t == wordToken}
	c.work.columns = append(c.work.columns, column{c.nameHash(int(name.start), int(name.end)), x, int32(i)})
}

// joinColumns joins the values that have the same name, as those of an array of
// objects do.
func (c *Content) joinColumns() {
	w := c.work
	var data uint64 // the names, roughly, of which some value is no word
	for i := range w.columns {
		if !w.columns[i].word {
			data |= 1 << w.columns[i].bucket()
		}
	}
	w.columns = slices.DeleteFunc(w.columns, func(x column) bool { return data>>x.bucket()&1 == 0 })
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
		c.add(r, joinable{from: p.start, to: p.end, word: t == wordToken})
	} else if (p.start != p.end || p.form == goneForm) && len(r.fields) > 0 {
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

// endRow joins the row, without words at its end, and empties it. If words
// stand between what is none, it is joined without these, too.
func (c *Content) endRow(r *row) {
	f := r.fields
	if r.words > wordsEnd {
		f = f[:len(f)-(r.words-wordsEnd)]
	}
	words := r.words == len(r.fields)
	r.fields, r.words = r.fields[:0], 0
	if len(f) < 2 || words || !turns(f) {
		return
	}
	c.join(f)
	first, last := 0, len(f)-1
	for f[first].word {
		first++
	}
	for f[last].word {
		last--
	}
	f = f[first : last+1]
	if n := len(f); n > 2 {
		if f = slices.DeleteFunc(f, func(x joinable) bool { return x.word }); len(f) < n {
			c.join(f)
		}
	}
}

// turns reports whether f, if it is of names and values in turn, has names
// that may carry data: of every two at least one, and not much shorter than the
// values.
func turns(f []joinable) bool {
	all, strange, data := 0, 0, 0
	for _, x := range f {
		n := int(x.to - x.from)
		switch x.turn {
		case strangely:
			strange++
			all++
			data += 4 * n
		case named:
			all++
		default:
			data -= n
		}
	}
	return all == 0 || 2*strange >= all && data >= 0
}

// join adds the joined part of f.
func (c *Content) join(f []joinable) {
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
