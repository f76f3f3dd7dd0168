package payload

// A level is one object or array that is being read.
type level struct {
	node  int32 // itself
	name  int32 // of the next value in it: the part that is its name, or ^index
	array bool
}

// next says that a value was read.
func (l *level) next() {
	if l.array || l.name < 0 && l.name != unnamed {
		l.name--
	} else {
		l.name = unnamed
	}
}

// deepest is how many objects and arrays may stand in each other.
const deepest = 10_000

// A lexer reads JSON into a Content.
type lexer struct {
	c     *Content
	s     []byte
	in    int // where s stands
	i     int // what is read of it
	doc   int32
	form  form
	stack []level
	comma bool // between this value and the one before a comma must stand
	ahead bool // a comma was read: what closes must not follow
	begun bool // a value was read

	units  bool   // long strings are units
	memory bool   // which may be known
	text   digest // of the raw content of the one that is read
	size   int32  // of its text, if it is known, or -1
	before int    // bytes of text of the units before it
}

// lex reads s, JSON values in a row (RFC 8259), which stands at in. It reports
// false if it is none; what it added is then some of what is in s.
func (c *Content) lex(s []byte, in int, d, at int32, f form, units bool) bool {
	x := lexer{c: c, s: s, in: in, doc: d, form: f, units: units, memory: units && c.remembers(c.body), stack: append(c.work.stack[:0], level{node: at, name: unnamed})}
	ok := x.values()
	c.work.stack = x.stack
	return ok
}

func (x *lexer) values() bool {
	s := x.s
	for {
		i := x.i
		for i < len(s) && isSpace[s[i]] {
			i++
		}
		if x.i = i; i == len(s) {
			return len(x.stack) == 1
		}
		b := s[i]
		if k := follows[b]; k != isValue {
			if !x.follow(k) {
				return false
			}
			continue
		}
		if x.comma {
			return false
		}
		x.ahead = false
		top := &x.stack[len(x.stack)-1]
		inside := len(x.stack) > 1
		if !inside {
			if x.begun && top.name == unnamed {
				top.name = ^int32(1) // the first value has no index, for mostly it is the only one
			}
			x.begun = true
		}
		if inside && !top.array && top.name == unnamed {
			if b != '"' || !x.name(top) {
				return false
			}
			continue
		}
		switch b {
		case '"':
			if !x.string(part{doc: x.doc, node: top.node, name: top.name, form: x.form}) {
				return false
			}
		case '{', '[':
			if len(x.stack) > deepest {
				return false
			}
			x.c.nodes = append(x.c.nodes, node{node: top.node, name: top.name})
			top.next()
			x.open(int32(len(x.c.nodes)-1), b == '[')
			continue
		default:
			n, number := scalarLen(s[i:])
			if n == 0 {
				return false
			}
			if number && (n >= shortNumber || !inside) {
				p := x.c.open(part{doc: x.doc, node: top.node, name: top.name, form: numberForm})
				x.c.copyText(s[i:i+n], x.in+i)
				x.c.close(p)
			}
			x.i += n
		}
		top.next()
		x.comma = inside
	}
}

// name reads a name and the colon behind it.
func (x *lexer) name(top *level) bool {
	n := int32(len(x.c.parts))
	if !x.string(part{doc: x.doc, node: top.node, name: unnamed, role: key, form: x.form}) {
		return false
	}
	top.name = n
	for x.i < len(x.s) && isSpace[x.s[x.i]] {
		x.i++
	}
	x.i++
	return x.i <= len(x.s) && x.s[x.i-1] == ':'
}

// string reads the string that begins with the quote at x.i as p. An empty one is
// no part, unless it is a name.
func (x *lexer) string(p part) bool {
	c := x.c
	unit := x.units && p.name >= 0
	if unit && x.memory && x.recall(p) {
		return true
	}
	text, runs, from := len(c.Text), len(c.runs), x.i+1
	p.start, p.runs = int32(text), int32(runs)
	c.runs = append(c.runs, run{p.start, int32(x.in + from)})
	end := c.unquote(x.s, from, x.in)
	if end < 0 {
		return false
	}
	x.i = end + 1
	if len(c.Text) == text && p.role != key {
		c.runs = c.runs[:runs]
		return true
	}
	p.end = int32(len(c.Text))
	c.Text = append(c.Text, '\n')
	c.parts = append(c.parts, p)
	if unit && end-from >= unitMin && p.end-p.start >= unitMin {
		x.cell(from, end, false)
	}
	return true
}

// open begins the object or array n.
func (x *lexer) open(n int32, array bool) {
	l := level{node: n, name: unnamed, array: array}
	if array {
		l.name = ^int32(0)
	}
	x.stack = append(x.stack, l)
	x.i++
}

// What a byte outside of strings begins.
const (
	isValue = iota
	isComma
	closesObject
	closesArray
)

var follows = [256]uint8{',': isComma, '}': closesObject, ']': closesArray}

// follow reads a comma or the end of an object or array.
func (x *lexer) follow(kind uint8) bool {
	x.i++
	if kind == isComma {
		ok := x.comma
		x.comma, x.ahead = false, true
		return ok
	}
	top := &x.stack[len(x.stack)-1]
	if len(x.stack) == 1 || x.ahead || top.array != (kind == closesArray) || !top.array && top.name != unnamed {
		return false
	}
	x.stack = x.stack[:len(x.stack)-1]
	x.comma = len(x.stack) > 1
	return true
}

var isSpace = [256]bool{' ': true, '\t': true, '\n': true, '\r': true}

// scalarLen returns the length of the number or literal that s begins with, 0
// if it is none.
func scalarLen(s []byte) (n int, number bool) {
	for _, l := range [...]string{"true", "false", "null"} {
		if len(s) >= len(l) && string(s[:len(l)]) == l {
			return len(l), false
		}
	}
	return numberLen(s), true
}

// numberLen returns the length of the number that s begins with, 0 if it is none.
func numberLen(s []byte) int {
	digits := func(i int) int {
		for i < len(s) && class[s[i]] == digit {
			i++
		}
		return i
	}
	i := 0
	if i < len(s) && s[i] == '-' {
		i++
	}
	from := i
	if i < len(s) && s[i] == '0' {
		i++ // a digit behind it would begin another number
	} else if i = digits(i); i == from {
		return 0
	}
	if i < len(s) && s[i] == '.' {
		end := digits(i + 1)
		if end == i+1 {
			return 0
		}
		i = end
	}
	if i < len(s) && s[i]|0x20 == 'e' {
		at := i + 1
		if at < len(s) && (s[at] == '+' || s[at] == '-') {
			at++
		}
		end := digits(at)
		if end == at {
			return 0
		}
		i = end
	}
	return i
}
