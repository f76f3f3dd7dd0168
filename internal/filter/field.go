package filter

import (
	"strconv"
	"strings"
	"time"

	"outvet/call"
)

// A kind says how a field compares.
type kind uint8

const (
	text kind = iota
	list      // several texts, none empty
	number
	moment
	tail // a text that also equals its end
)

// A field is a word of the language and the column that holds it.
type field struct {
	name string
	kind kind
	col  string
}

// Fields, in the order in which they are shown.
const (
	hostField = iota
	pathField
	methodField
	protoField
	statusField
	verdictField
	ruleField
	modeField
	agentField
	sessionField
	toolField
	classField
	categoryField
	findingField
	byField
	bytesField
	newField
	timeField
	idField
	fieldCount
)

// fields is never written.
var fields = [fieldCount]field{
	hostField:     {"host", text, "host"},
	pathField:     {"path", text, "path"},
	methodField:   {"method", text, "method"},
	protoField:    {"proto", text, "proto"},
	statusField:   {"status", number, "status"},
	verdictField:  {"verdict", text, "verdict"},
	ruleField:     {"rule", text, "rule"},
	modeField:     {"mode", text, "mode"},
	agentField:    {"agent", text, "agent"},
	sessionField:  {"session", text, "session"},
	toolField:     {"tool", text, "tool"},
	classField:    {"class", text, "class"},
	categoryField: {"category", text, "category"},
	findingField:  {"finding", list, "finding"},
	byField:       {"by", text, "approver"},
	bytesField:    {"bytes", number, "bytes"},
	newField:      {"new", text, "new"},
	timeField:     {"time", moment, "time"},
	idField:       {"id", tail, "id"},
}

// Fields returns the names of the fields.
func Fields() []string {
	var out []string
	for _, f := range fields {
		out = append(out, f.name)
	}
	return out
}

func fieldNamed(name string) (int, bool) {
	for i, f := range fields {
		if f.name == name {
			return i, true
		}
	}
	return 0, false
}

// A row holds the values of one call, by index of the field. Match and the
// index of the log see the same row, so that they cannot disagree about what a
// call is.
type row struct {
	text   [fieldCount]string // of a list: each value between newlines
	number [fieldCount]int64
	has    [fieldCount]bool // the number is known
	all    string           // where text terms look
}

// listSep stands before, between and after the values of a list.
const listSep = "\n"

func rowOf(d, c *call.Record) *row {
	r := &row{}
	first := d // the record that describes the call
	if first == nil {
		first = c
	}
	if first == nil {
		return r
	}
	set := func(i int, v string) { r.text[i] = clean(v) }
	set(hostField, first.Host)
	set(pathField, first.Target)
	set(methodField, first.Method)
	set(protoField, first.Protocol)
	who := &first.Caller
	if c != nil && c.Caller.Process.Value != "" {
		who = &c.Caller // it was found out late
	}
	set(agentField, who.Agent.Value)
	set(sessionField, string(first.Caller.Session))
	set(toolField, first.Caller.Tool.Value)
	set(categoryField, first.Category)
	set(idField, string(first.ID))
	r.decision(d, c, set)
	r.numbers(first, c)
	all := []string{
		first.Host, first.Target, first.Method, who.Agent.Value, who.Process.Value, string(first.Caller.Session),
		first.Caller.Tool.Value, first.Caller.Principal.Value, first.Category, string(first.ID), first.Note,
	}
	if dec := decisionOf(d, c); dec != nil {
		all = append(all, dec.Rule, dec.Reason)
	}
	if c != nil && c.Outcome != nil {
		all = append(all, c.Outcome.Error)
	}
	r.all = clean(strings.Join(all, listSep)) + r.text[findingField]
	return r
}

func (r *row) decision(d, c *call.Record, set func(i int, v string)) {
	dec := decisionOf(d, c)
	if dec == nil {
		return
	}
	set(verdictField, dec.Verdict.String())
	set(ruleField, dec.Rule)
	set(byField, dec.By)
	mode := "enforce"
	if dec.Observed {
		mode = "observe"
	}
	set(modeField, mode)
	var kinds []string
	for _, rec := range []*call.Record{d, c} {
		if rec != nil && rec.Decision != nil {
			for _, f := range rec.Decision.Findings {
				if f.Kind != "" {
					kinds = append(kinds, strings.ReplaceAll(f.Kind, listSep, " "))
				}
			}
		}
	}
	if len(kinds) > 0 {
		set(findingField, listSep+strings.Join(kinds, listSep)+listSep)
	}
}

// decisionOf returns the decision that counts: a closed record has one only
// if what was decided changed on the way.
func decisionOf(d, c *call.Record) *call.Decision {
	if c != nil && c.Decision != nil {
		return c.Decision
	}
	if d != nil {
		return d.Decision
	}
	return nil
}

func (r *row) numbers(first, c *call.Record) {
	set := func(i int, v int64, text string) {
		r.number[i], r.has[i], r.text[i] = v, true, text
	}
	switch {
	case c != nil && c.Outcome != nil:
		set(bytesField, c.Outcome.Sent, strconv.FormatInt(c.Outcome.Sent, 10))
		if s := int64(c.Outcome.Status); s != 0 {
			set(statusField, s, strconv.FormatInt(s, 10))
		}
	case first.Size >= 0:
		set(bytesField, first.Size, strconv.FormatInt(first.Size, 10))
	}
	t := first.Time.UTC()
	set(timeField, t.UnixNano(), t.Format(time.RFC3339))
}

// clean returns s as a database compares it: SQLite ends a pattern match at a
// zero byte and wants UTF-8.
func clean(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// fold returns s with the letters of ASCII in lower case.
func fold(s string) string {
	for i := range len(s) {
		if c := s[i]; 'A' <= c && c <= 'Z' {
			b := []byte(s)
			for j := i; j < len(b); j++ {
				if 'A' <= b[j] && b[j] <= 'Z' {
					b[j] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}

// glob reports whether s fits the pattern p, in which * stands for any
// characters. Both are folded. The time is linear in len(s) for each star.
func glob(p, s string) bool {
	head, rest, star := strings.Cut(p, "*")
	if !star {
		return p == s
	}
	if !strings.HasPrefix(s, head) {
		return false
	}
	s = s[len(head):]
	for {
		part, more, star := strings.Cut(rest, "*")
		if !star {
			return strings.HasSuffix(s, part)
		}
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s, rest = s[i+len(part):], more
	}
}
