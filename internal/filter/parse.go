package filter

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bounds of an expression.
const (
	maxLen   = 4096 // bytes
	maxDepth = 128  // of parentheses and negations
	maxTerms = 256
)

// An Error says what is wrong with an expression, and where.
type Error struct {
	Column int // from 1, in characters
	What   string
}

// Error gives column and reason.
func (e *Error) Error() string { return fmt.Sprintf("filter: column %d: %s", e.Column, e.What) }

// An Expr is a parsed expression. The zero Expr matches every call. It is
// immutable and safe for concurrent use.
type Expr struct{ root node }

// Parse reads an expression. An empty one matches every call. The error is an
// *Error.
func Parse(s string) (Expr, error) {
	if len(s) > maxLen {
		return Expr{}, &Error{1, fmt.Sprintf("longer than %d bytes", maxLen)}
	}
	if i := strings.IndexFunc(s, func(r rune) bool { return r == 0 || r == utf8.RuneError }); i >= 0 {
		return Expr{}, (&parser{src: s}).errorAt(i, "not a text character")
	}
	p := &parser{src: s}
	p.space()
	if p.pos == len(s) {
		return Expr{}, nil
	}
	n, err := p.or(0)
	if err != nil {
		return Expr{}, err
	}
	if p.pos < len(s) {
		return Expr{}, p.errorAt(p.pos, `")" closes nothing`)
	}
	return Expr{n}, nil
}

type parser struct {
	src   string
	pos   int
	terms int
}

func (p *parser) errorAt(pos int, format string, a ...any) error {
	return &Error{utf8.RuneCountInString(p.src[:pos]) + 1, fmt.Sprintf(format, a...)}
}

func (p *parser) space() {
	for p.pos < len(p.src) {
		r, n := utf8.DecodeRuneInString(p.src[p.pos:])
		if !unicode.IsSpace(r) {
			return
		}
		p.pos += n
	}
}

// peek returns the byte at the position, or 0 at the end.
func (p *parser) peek() byte {
	if p.pos == len(p.src) {
		return 0
	}
	return p.src[p.pos]
}

func (p *parser) or(depth int) (node, error) {
	n, err := p.and(depth)
	if err != nil {
		return nil, err
	}
	all := anyOf{n}
	for p.peek() == '|' {
		p.pos++
		if n, err = p.and(depth); err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	if len(all) == 1 {
		return all[0], nil
	}
	return all, nil
}

func (p *parser) and(depth int) (node, error) {
	var all allOf
	for {
		p.space()
		if c := p.peek(); c == 0 || c == ')' || c == '|' {
			break
		}
		n, err := p.not(depth)
		if err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	switch len(all) {
	case 0:
		return nil, p.errorAt(p.pos, "a term is missing, as in host:github.com")
	case 1:
		return all[0], nil
	}
	return all, nil
}

func (p *parser) not(depth int) (node, error) {
	if depth > maxDepth {
		return nil, p.errorAt(p.pos, "nested deeper than %d", maxDepth)
	}
	switch p.peek() {
	case '!':
		p.pos++
		p.space()
		n, err := p.not(depth + 1)
		if err != nil {
			return nil, err
		}
		return negated{n}, nil
	case '(':
		start := p.pos
		p.pos++
		n, err := p.or(depth + 1)
		if err != nil {
			return nil, err
		}
		if p.peek() != ')' {
			return nil, p.errorAt(start, `"(" is not closed`)
		}
		p.pos++
		return n, nil
	}
	return p.term()
}

func (p *parser) term() (node, error) {
	start := p.pos
	if p.terms++; p.terms > maxTerms {
		return nil, p.errorAt(start, "more than %d terms", maxTerms)
	}
	if p.peek() == '"' {
		s, err := p.value()
		return anywhere{s}, err
	}
	for p.pos < len(p.src) && isLetter(p.src[p.pos]) {
		p.pos++
	}
	name := p.src[start:p.pos]
	op := p.op()
	if op == "" {
		p.pos = start
		word, err := p.value()
		if err == nil && word == "" {
			err = p.errorAt(start, "a term is missing, as in host:github.com")
		}
		return anywhere{word}, err
	}
	if name == "" {
		return nil, p.errorAt(start, "a field is missing before %q", op)
	}
	i, ok := fieldNamed(fold(name))
	if !ok {
		return nil, p.errorAt(start, "unknown field %q%s", name, nearest(name))
	}
	at := p.pos
	v, err := p.value()
	if err != nil {
		return nil, err
	}
	if p.pos == at {
		return nil, p.errorAt(at, `a value is missing after %s%s; "" stands for none`, fields[i].name, op)
	}
	n, err := newTerm(i, op, v)
	if err != nil {
		return nil, p.errorAt(at, "%s%s: %v", fields[i].name, op, err)
	}
	return n, nil
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' || c == '_' }

// op reads an operator, or nothing.
func (p *parser) op() string {
	for _, op := range []string{":", "~", ">=", "<=", ">", "<"} {
		if strings.HasPrefix(p.src[p.pos:], op) {
			p.pos += len(op)
			return op
		}
	}
	return ""
}

// value reads a word or a quoted text.
func (p *parser) value() (string, error) {
	start := p.pos
	if p.peek() != '"' {
		for p.pos < len(p.src) {
			r, n := utf8.DecodeRuneInString(p.src[p.pos:])
			if unicode.IsSpace(r) || strings.ContainsRune(`()|"`, r) {
				break
			}
			p.pos += n
		}
		return p.src[start:p.pos], nil
	}
	var b strings.Builder
	for p.pos++; p.pos < len(p.src); p.pos++ {
		switch c := p.src[p.pos]; c {
		case '"':
			p.pos++
			return b.String(), nil
		case '\\':
			if next := p.src[p.pos+1:]; next != "" && (next[0] == '"' || next[0] == '\\') {
				p.pos++
				c = next[0]
			}
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
	return "", p.errorAt(start, "the quote is not closed")
}

// newTerm checks a term and reads its value.
func newTerm(i int, op, v string) (node, error) {
	f := fields[i]
	t := &term{field: i, op: op, value: v}
	switch {
	case op == "~":
		re, err := regexp.Compile(v)
		if err != nil {
			return nil, fmt.Errorf("%q is not a regular expression", v)
		}
		t.re = re
	case op == ":":
		t.folded = fold(v)
		if f.kind == number && v != "" && !strings.Contains(v, "*") {
			n, err := parseNumber(v)
			if err != nil {
				return nil, err
			}
			t.folded = strconv.FormatInt(n, 10)
		}
	case f.kind == number:
		n, err := parseNumber(v)
		if err != nil {
			return nil, err
		}
		t.n = n
	case f.kind == moment:
		return t, t.parseTime(v)
	default:
		return nil, fmt.Errorf("only status, bytes and time can be compared, use %s:", f.name)
	}
	return t, nil
}

// parseNumber reads a whole number with an optional unit.
func parseNumber(s string) (int64, error) {
	digits := strings.TrimRight(fold(s), "kmgi")
	unit := int64(1)
	switch fold(s)[len(digits):] {
	case "":
	case "k":
		unit = 1e3
	case "m":
		unit = 1e6
	case "g":
		unit = 1e9
	case "ki":
		unit = 1 << 10
	case "mi":
		unit = 1 << 20
	case "gi":
		unit = 1 << 30
	default:
		return 0, fmt.Errorf("%q is not a number", s)
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n > (1<<63-1)/unit || n < -(1<<63-1)/unit {
		return 0, fmt.Errorf("%q is not a number, as in 404, 10k or 5mi", s)
	}
	return n * unit, nil
}

// parseTime reads an age or a point in time.
func (t *term) parseTime(s string) error {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateOnly} {
		if at, err := time.Parse(layout, s); err == nil {
			t.n = at.UnixNano()
			return nil
		}
	}
	if s != "" {
		units := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}
		unit, ok := units[s[len(s)-1]|0x20]
		n, err := strconv.ParseInt(s[:len(s)-1], 10, 32)
		if ok && err == nil && n >= 0 && n <= int64(maxAge/unit) {
			t.age, t.n = true, n*int64(unit)
			return nil
		}
	}
	return fmt.Errorf("%q is neither an age (30m, 2h, 7d) nor a time (2026-11-20, 2026-11-20T10:30)", s)
}

// maxAge keeps ages within what a time in nanoseconds can hold.
const maxAge = 100 * 365 * 24 * time.Hour

// nearest returns a hint if a field has nearly that name.
func nearest(name string) string {
	best, at := "", max((len(name)+1)/3, 1)+1
	for _, f := range Fields() {
		if d := distance(fold(name), f); d < at {
			best, at = f, d
		}
	}
	if best == "" {
		return "; fields are " + strings.Join(Fields(), " ")
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// distance is the number of changes that make b of a: a letter put in, left
// out or replaced, or two neighbours swapped.
func distance(a, b string) int {
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		for j := range d[i] {
			switch {
			case i == 0 || j == 0:
				d[i][j] = i + j
				continue
			case a[i-1] == b[j-1]:
				d[i][j] = d[i-1][j-1]
			default:
				d[i][j] = 1 + min(d[i-1][j-1], d[i-1][j], d[i][j-1])
			}
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}
