package payload

import (
	"bytes"
	"io"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// shortNumber is the length below which a number is not a part: it can carry
// little, and there are many.
const shortNumber = 6

// A level is one object or array that is being read.
type level struct {
	node  int32 // itself
	name  int32 // of the next value in it: the part that is its name, or ^index
	array bool
}

// readJSON reads s, one JSON value or several in a row, which stands at in. It
// reports false, and leaves nothing behind, if s is no JSON. Duplicate names
// and invalid UTF-8 are read as they come, for servers differ in what they
// make of them.
func (c *Content) readJSON(s []byte, in int, d, at int32, f form) bool {
	text, parts, runs, nodes := len(c.Text), len(c.parts), len(c.runs), len(c.nodes)
	if bytes.HasPrefix(s, bom) {
		s, in = s[len(bom):], in+len(bom)
	}
	if !c.walk(s, in, d, at, f) {
		c.Text, c.parts, c.runs, c.nodes = c.Text[:text], c.parts[:parts], c.runs[:runs], c.nodes[:nodes]
		return false
	}
	return true
}

func (c *Content) walk(s []byte, in int, d, at int32, f form) bool {
	w := c.work
	w.src = *bytes.NewBuffer(s)
	w.valid = utf8.Valid(s)
	dec := &w.json
	dec.Reset(&w.src, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	stack := append(w.stack[:0], level{node: at, name: unnamed})
	defer func() { w.stack = stack }()
	for n := 0; ; n++ {
		top := &stack[len(stack)-1]
		if len(stack) == 1 && n > 0 && top.name == unnamed {
			top.name = ^int32(1) // the first value has no index, for mostly it is the only one
		}
		switch dec.PeekKind() {
		case '{', '[':
			t, err := dec.ReadToken()
			if err != nil {
				return false
			}
			c.nodes = append(c.nodes, node{node: top.node, name: top.name})
			top.next()
			stack = append(stack, level{node: int32(len(c.nodes) - 1), name: unnamed})
			if t.Kind() == '[' {
				stack[len(stack)-1].name, stack[len(stack)-1].array = ^int32(0), true
			}
		case '}', ']':
			if _, err := dec.ReadToken(); err != nil {
				return false
			}
			stack = stack[:len(stack)-1]
		case '"':
			from := int(dec.InputOffset())
			if _, err := dec.ReadToken(); err != nil {
				return false
			}
			// Between two tokens there is no quote but the one of the second.
			from += bytes.IndexByte(s[from:], '"') + 1
			c.jsonString(s[from:dec.InputOffset()-1], in+from, d, f, top, len(stack) > 1)
		case '0':
			v, err := dec.ReadValue()
			if err != nil {
				return false
			}
			if len(v) >= shortNumber || len(stack) == 1 {
				p := c.open(part{doc: d, node: top.node, name: top.name, form: numberForm})
				c.copyText(v, in+int(dec.InputOffset())-len(v))
				c.close(p)
			}
			top.next()
		default:
			if _, err := dec.ReadToken(); err != nil {
				return err == io.EOF && len(stack) == 1
			}
			top.next()
		}
	}
}

// next says that a value was read.
func (l *level) next() {
	if l.array || l.name < 0 && l.name != unnamed {
		l.name--
	} else {
		l.name = unnamed
	}
}

// jsonString appends the string whose raw content s stands at in.
func (c *Content) jsonString(s []byte, in int, d int32, f form, top *level, inside bool) {
	isKey := inside && !top.array && top.name == unnamed
	if isKey {
		p := c.open(part{doc: d, node: top.node, name: unnamed, role: key, form: f})
		c.unescape(s, in)
		c.close(p)
		top.name = int32(p)
		return
	}
	if len(s) > 0 {
		p := c.open(part{doc: d, node: top.node, name: top.name, form: f})
		c.unescape(s, in)
		c.close(p)
	}
	top.next()
}

// escaped is what the escapes of one letter stand for.
var escaped = [256]byte{'n': '\n', 't': '\t', 'r': '\r', 'b': '\b', 'f': '\f', '"': '"', '\\': '\\', '/': '/'}

// unescape appends the raw content s of a valid JSON string, which stands at in.
func (c *Content) unescape(s []byte, in int) {
	c.mark(in)
	k := bytes.IndexByte(s, '\\')
	if k < 0 && c.work.valid {
		c.Text = append(c.Text, s...)
		return
	}
	valid := c.work.valid
	for ; k >= 0; k = bytes.IndexByte(s, '\\') {
		c.stretch(s[:k], in, valid)
		n := 2
		if b := escaped[s[k+1]]; b != 0 {
			c.Text = append(c.Text, b)
		} else {
			var r rune
			r, n = unicodeEscape(s[k:])
			c.Text = utf8.AppendRune(c.Text, r)
		}
		s, in = s[k+n:], in+k+n
		c.mark(in)
	}
	c.stretch(s, in, valid)
}

func (c *Content) stretch(s []byte, in int, valid bool) {
	if valid {
		c.Text = append(c.Text, s...)
		return
	}
	c.repair(s, in)
}

// unicodeEscape reads the one or two escapes of the form \uXXXX that s begins
// with, and says how long they are. A lone surrogate is U+FFFD.
func unicodeEscape(s []byte) (rune, int) {
	r := hex4(s)
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	if len(s) >= 12 && s[6] == '\\' && s[7] == 'u' {
		if both := utf16.DecodeRune(r, hex4(s[6:])); both != utf8.RuneError {
			return both, 12
		}
	}
	return utf8.RuneError, 6
}

func hex4(s []byte) (r rune) {
	for _, b := range s[2:6] {
		r = r<<4 | rune(nibble(b))
	}
	return r
}
