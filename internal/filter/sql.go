package filter

import (
	"strconv"
	"strings"
	"time"

	"outvet/call"
)

// Columns returns the columns that [Expr.SQL] asks for and [Values] fills, as
// a CREATE TABLE of SQLite defines them.
func Columns() []string {
	var out []string
	for _, f := range fields {
		switch f.kind {
		case number:
			out = append(out, f.col+" INTEGER")
		case moment:
			out = append(out, f.col+" INTEGER NOT NULL", f.col+"_text TEXT NOT NULL")
		default:
			out = append(out, f.col+" TEXT NOT NULL")
		}
	}
	return append(out, "everything TEXT NOT NULL")
}

// Values returns the values of the columns for a call, given its decided and
// its closed record; either may be nil.
func Values(decided, closed *call.Record) []any {
	r := rowOf(decided, closed)
	var out []any
	for i, f := range fields {
		switch {
		case f.kind == moment:
			out = append(out, r.number[i], r.text[i])
		case f.kind != number:
			out = append(out, r.text[i])
		case r.has[i]:
			out = append(out, r.number[i])
		default:
			out = append(out, nil)
		}
	}
	return append(out, r.all)
}

// SQL returns a condition over the columns, and its arguments in the order of
// their "?". Every call that matches satisfies it. If exact, no other call
// does; otherwise ask Match as well. Ages are counted from now.
func (e Expr) SQL(now time.Time) (where string, args []any, exact bool) {
	if e.root == nil {
		return "1", nil, true
	}
	q := &query{now: now}
	exact = e.root.sql(q, false)
	return q.b.String(), q.args, exact
}

type query struct {
	b    strings.Builder
	args []any
	now  time.Time
}

func (q *query) say(not bool, cond string, args ...any) bool {
	if not {
		cond = "NOT (" + cond + ")"
	}
	q.b.WriteString(cond)
	q.args = append(q.args, args...)
	return true
}

func (q *query) join(nodes []node, not bool, word string) bool {
	exact := true
	q.b.WriteByte('(')
	for i, n := range nodes {
		if i > 0 {
			q.b.WriteString(word)
		}
		if !n.sql(q, not) {
			exact = false
		}
	}
	q.b.WriteByte(')')
	return exact
}

func (a allOf) sql(q *query, not bool) bool {
	if not {
		return q.join(a, not, " OR ")
	}
	return q.join(a, not, " AND ")
}

func (a anyOf) sql(q *query, not bool) bool {
	if not {
		return q.join(a, not, " AND ")
	}
	return q.join(a, not, " OR ")
}

func (n negated) sql(q *query, not bool) bool { return n.n.sql(q, !not) }

func (a anywhere) sql(q *query, not bool) bool {
	return q.say(not, `everything LIKE ? ESCAPE '\'`, "%"+escape(a.text)+"%")
}

func (t *term) sql(q *query, not bool) bool {
	f := fields[t.field]
	switch t.op {
	case ":":
		return t.sqlEquals(q, f, not)
	case "~":
		q.b.WriteString("1")
		return false
	}
	with, op := t.n, t.op
	if t.age {
		// An age below n is a time above now - n.
		with = q.now.UnixNano() - t.n
		op = map[string]string{">": "<", "<": ">", ">=": "<=", "<=": ">="}[op]
	}
	return q.say(not, "("+f.col+" IS NOT NULL AND "+f.col+" "+op+" ?)", with)
}

func (t *term) sqlEquals(q *query, f field, not bool) bool {
	col, v := f.col, t.folded
	switch {
	case f.kind == number && v == "":
		return q.say(not, col+" IS NULL")
	case f.kind == number && !strings.Contains(v, "*"):
		n, _ := strconv.ParseInt(v, 10, 64)
		return q.say(not, "("+col+" IS NOT NULL AND "+col+" = ?)", n)
	case f.kind == number:
		return q.say(not, "IFNULL(CAST("+col+" AS TEXT), '') LIKE ? ESCAPE '\\'", pattern(v))
	case f.kind == moment:
		return q.say(not, col+"_text LIKE ? ESCAPE '\\'", pattern(v))
	case f.kind == list && v != "":
		return q.oneOf(col, v, not)
	case t.isTail(f):
		return q.say(not, col+" LIKE ? ESCAPE '\\'", "%"+escape(v))
	case strings.Contains(v, "*"):
		return q.say(not, col+" LIKE ? ESCAPE '\\'", pattern(v))
	}
	return q.say(not, col+" = ? COLLATE NOCASE", v)
}

// oneOf asks whether one value of a list fits a glob.
func (q *query) oneOf(col, glob string, not bool) bool {
	head, star := strings.CutSuffix(glob, "*")
	switch {
	case !strings.Contains(head, "*") && star:
		return q.say(not, col+` LIKE ? ESCAPE '\'`, "%"+listSep+escape(head)+"%")
	case !star && !strings.Contains(glob, "*"):
		return q.say(not, col+` LIKE ? ESCAPE '\'`, "%"+listSep+escape(glob)+listSep+"%")
	case not:
		q.b.WriteString("1")
	default:
		// A star may reach over to the next value here, but not in Match.
		q.say(false, col+` LIKE ? ESCAPE '\'`, "%"+listSep+pattern(glob)+listSep+"%")
	}
	return false
}

// pattern turns a glob into a pattern of LIKE.
func pattern(glob string) string { return strings.ReplaceAll(escape(glob), "*", "%") }

func escape(s string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(s)
}
