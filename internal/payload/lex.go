package payload

import (
	le "encoding/binary"
	"math/bits"
)

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

// What the raw content of a string holds besides plain ASCII.
const (
	rawEscape = 1 << iota
	rawHigh
)

// deepest is how many objects and arrays may stand in each other.
const deepest = 10_000

// A lexer reads the tokens of JSON.
type lexer struct {
	s     []byte
	i     int
	stack []level
	comma bool // between this value and the one before a comma must stand
	ahead bool // a comma was read: what closes must not follow
	begun bool // a value was read
}

// lex reads s, JSON values in a row (RFC 8259), and adds their parts. Their
// spans are those of what stands in s, of strings without their quotes: nothing
// is written to Text before all of s is known to be JSON. It reports false if it
// is not; the parts and nodes are then some of those in s.
func (c *Content) lex(s []byte, d, at int32, f form) bool {
	x := lexer{s: s, stack: append(c.work.stack[:0], level{node: at, name: unnamed})}
	ok := x.values(c, d, f)
	c.work.stack = x.stack
	return ok
}

func (x *lexer) values(c *Content, d int32, f form) bool {
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
			if !x.follow(b, k) {
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
		switch {
		case b == '"':
			end, raw := stringEnd(s, i+1)
			if end < 0 {
				return false
			}
			p := part{start: int32(i + 1), end: int32(end), doc: d, node: top.node, name: top.name, form: f, raw: raw}
			x.i = end + 1
			if inside && !top.array && top.name == unnamed {
				p.role = key
				top.name = int32(len(c.parts))
				c.parts = append(c.parts, p)
				if !x.colon() {
					return false
				}
				continue
			}
			if p.start < p.end {
				c.parts = append(c.parts, p)
			}
		case inside && !top.array && top.name == unnamed:
			return false
		case b == '{' || b == '[':
			if len(x.stack) > deepest {
				return false
			}
			c.nodes = append(c.nodes, node{node: top.node, name: top.name})
			top.next()
			x.open(int32(len(c.nodes)-1), b == '[')
			continue
		default:
			n, number := scalarLen(s[i:])
			if n == 0 {
				return false
			}
			if number && (n >= shortNumber || !inside) {
				c.parts = append(c.parts, part{start: int32(i), end: int32(i + n), doc: d, node: top.node, name: top.name, form: numberForm})
			}
			x.i += n
		}
		top.next()
		x.comma = inside
	}
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
func (x *lexer) follow(b byte, kind uint8) bool {
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

// colon reads what stands between a name and its value.
func (x *lexer) colon() bool {
	for x.i < len(x.s) && isSpace[x.s[x.i]] {
		x.i++
	}
	x.i++
	return x.i <= len(x.s) && x.s[x.i-1] == ':'
}

var isSpace = [256]bool{' ': true, '\t': true, '\n': true, '\r': true}

// stringEnd returns where the quote stands that ends the string which begins
// behind the quote before s[i], and what is in it; -1 if it is no string.
func stringEnd(s []byte, i int) (end int, raw uint8) {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	var all uint64
	for {
		for ; i+8 <= len(s); i += 8 {
			v := le.LittleEndian.Uint64(s[i:])
			q, b := v^ones*'"', v^ones*'\\'
			// The lowest bit tells a quote, a backslash or a control character.
			m := ((q-ones)&^q | (b-ones)&^b | (v-ones*' ')&^v) & high
			if m != 0 {
				k := bits.TrailingZeros64(m) >> 3
				all |= v & (1<<(8*k) - 1)
				i += k
				break
			}
			all |= v
		}
		for i < len(s) && s[i] >= ' ' && s[i] != '"' && s[i] != '\\' {
			all |= uint64(s[i])
			i++
		}
		if i == len(s) || s[i] < ' ' {
			return -1, 0
		}
		if s[i] == '"' {
			if all&high != 0 {
				raw |= rawHigh
			}
			return i, raw
		}
		raw |= rawEscape
		n := escapeLen(s[i:])
		if n == 0 {
			return -1, 0
		}
		i += n
	}
}

// escapeLen returns the length of the escape that s begins with, 0 if it is none.
func escapeLen(s []byte) int {
	if len(s) < 2 {
		return 0
	}
	if escaped[s[1]] != 0 {
		return 2
	}
	if s[1] != 'u' || len(s) < 6 || nibble(s[2])|nibble(s[3])|nibble(s[4])|nibble(s[5]) < 0 {
		return 0
	}
	return 6
}

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
	if i = digits(i); i == from || s[from] == '0' && i > from+1 {
		if i == from {
			return 0
		}
		i = from + 1
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
