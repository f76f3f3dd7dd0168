package filter

import (
	"regexp"
	"strings"
	"time"
	"unicode"

	"outvet/call"
)

// A node is a part of an expression.
type node interface {
	match(r *row, now time.Time) bool
	// sql returns a condition that has a value of true or false for every
	// row. If exact, it is true for a row if and only if match is, or !match
	// if not is set; otherwise it is true for all those rows and for others.
	sql(q *query, not bool) (exact bool)
	write(b *strings.Builder)
}

type (
	allOf    []node
	anyOf    []node
	negated  struct{ n node }
	anywhere struct{ text string }
	term     struct {
		field  int
		op     string
		value  string // as written
		folded string // of ":"
		re     *regexp.Regexp
		n      int64
		age    bool // n is an age in ns
	}
)

// Match reports whether a call fits, given its decided and its closed record;
// either may be nil. Ages are counted from now.
func (e Expr) Match(decided, closed *call.Record, now time.Time) bool {
	return e.root == nil || e.root.match(rowOf(decided, closed), now)
}

// All reports whether every call matches.
func (e Expr) All() bool { return e.root == nil }

// String returns an expression that parses to the same one.
func (e Expr) String() string {
	if e.root == nil {
		return ""
	}
	var b strings.Builder
	e.root.write(&b)
	return b.String()
}

func (a allOf) match(r *row, now time.Time) bool {
	for _, n := range a {
		if !n.match(r, now) {
			return false
		}
	}
	return true
}

func (a anyOf) match(r *row, now time.Time) bool {
	for _, n := range a {
		if n.match(r, now) {
			return true
		}
	}
	return false
}

func (n negated) match(r *row, now time.Time) bool { return !n.n.match(r, now) }

func (a anywhere) match(r *row, _ time.Time) bool {
	return strings.Contains(fold(r.all), fold(a.text))
}

func (t *term) match(r *row, now time.Time) bool {
	f := fields[t.field]
	v := r.text[t.field]
	switch t.op {
	case ":":
		return t.equals(f, fold(v))
	case "~":
		return t.finds(f, v)
	}
	if !r.has[t.field] {
		return false
	}
	n, with := r.number[t.field], t.n
	if t.age {
		n = now.UnixNano() - n
	}
	switch t.op {
	case ">":
		return n > with
	case "<":
		return n < with
	case ">=":
		return n >= with
	}
	return n <= with
}

// equals reports whether v, folded, is what the term asks for.
func (t *term) equals(f field, v string) bool {
	switch {
	case f.kind == list && t.folded != "":
		for one := range strings.SplitSeq(strings.Trim(v, listSep), listSep) {
			if v != "" && glob(t.folded, one) {
				return true
			}
		}
		return false
	case t.isTail(f):
		return strings.HasSuffix(v, t.folded)
	}
	return glob(t.folded, v)
}

// minTail is how much of the end of an ID must be given.
const minTail = 4

func (t *term) isTail(f field) bool {
	return f.kind == tail && len(t.folded) >= minTail && !strings.Contains(t.folded, "*")
}

func (t *term) finds(f field, v string) bool {
	if f.kind != list {
		return t.re.MatchString(v)
	}
	for one := range strings.SplitSeq(strings.Trim(v, listSep), listSep) {
		if v != "" && t.re.MatchString(one) {
			return true
		}
	}
	return false
}

func (a allOf) write(b *strings.Builder) {
	for i, n := range a {
		if i > 0 {
			b.WriteByte(' ')
		}
		group(b, n)
	}
}

func (a anyOf) write(b *strings.Builder) {
	for i, n := range a {
		if i > 0 {
			b.WriteString(" | ")
		}
		group(b, n)
	}
}

func (n negated) write(b *strings.Builder) {
	b.WriteByte('!')
	group(b, n.n)
}

// group writes n, in parentheses if it has several parts.
func group(b *strings.Builder, n node) {
	switch n.(type) {
	case allOf, anyOf:
		b.WriteByte('(')
		n.write(b)
		b.WriteByte(')')
	default:
		n.write(b)
	}
}

func (a anywhere) write(b *strings.Builder) { quote(b, a.text) }

func (t *term) write(b *strings.Builder) {
	b.WriteString(fields[t.field].name)
	b.WriteString(t.op)
	if t.value != "" && strings.IndexFunc(t.value, func(r rune) bool {
		return unicode.IsSpace(r) || strings.ContainsRune(`()|"\`, r)
	}) < 0 {
		b.WriteString(t.value)
		return
	}
	quote(b, t.value)
}

func quote(b *strings.Builder, s string) {
	b.WriteByte('"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	b.WriteByte('"')
}
