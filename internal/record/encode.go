package record

import (
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"outvet/call"
)

// appendRecord appends r as canonical JSON (RFC 8785): the value that
// encoding/json gives r, keys sorted, no space, one form for every number and
// string. It never fails: text that is not UTF-8 gets U+FFFD in its place, and
// a number that JSON lacks becomes 0. It allocates only to grow b.
func appendRecord(b []byte, r *call.Record) []byte {
	e := encoder{b}
	e.open()
	if !zeroCaller(&r.Caller) {
		e.key("caller")
		e.caller(&r.Caller)
	}
	e.optString("category", r.Category)
	if r.Decision != nil {
		e.key("decision")
		e.decision(r.Decision)
	}
	e.optString("grade", string(r.Grade))
	e.optString("host", r.Host)
	e.optString("id", string(r.ID))
	e.optInt("inspect", int64(r.Inspect))
	e.string("kind", string(r.Kind))
	e.optString("listener", r.Listener)
	e.optString("method", r.Method)
	e.optString("note", r.Note)
	if r.Outcome != nil {
		e.key("outcome")
		e.outcome(r.Outcome)
	}
	e.optString("parent", string(r.Parent))
	e.optInt("port", int64(r.Port))
	e.optString("protocol", r.Protocol)
	e.optString("scheme", r.Scheme)
	e.optUint("seq", r.Seq)
	e.optString("session", string(r.Session))
	e.optInt("size", r.Size)
	e.optString("target", r.Target)
	e.time("time", r.Time)
	e.optInt("took", int64(r.Took))
	e.optString("trust", r.Trust)
	e.close()
	return e.b
}

// zeroCaller reports whether c is what "omitzero" leaves out.
func zeroCaller(c *call.Caller) bool {
	none := call.Attr{}
	return c.Session == "" && c.SessionMark == 0 && c.Parent == "" && c.Roles == nil && c.Provenance == nil &&
		c.Type == none && c.Principal == none && c.Agent == none && c.Tool == none &&
		c.ToolCall == none && c.Process == none && c.Purpose == none
}

func (e *encoder) caller(c *call.Caller) {
	e.open()
	e.attr("agent", c.Agent)
	e.optString("parent", string(c.Parent))
	e.attr("principal", c.Principal)
	e.attr("process", c.Process)
	if len(c.Provenance) > 0 {
		e.list("provenance")
		for _, s := range c.Provenance {
			e.item()
			e.open()
			e.string("mark", s.Mark.String())
			e.string("source", s.Source)
			e.string("trust", s.Trust)
			e.close()
		}
		e.endList()
	}
	e.attr("purpose", c.Purpose)
	if len(c.Roles) > 0 {
		e.list("roles")
		for _, a := range c.Roles {
			e.item()
			e.mark(a)
		}
		e.endList()
	}
	e.string("session", string(c.Session))
	e.string("session_mark", c.SessionMark.String())
	e.attr("tool", c.Tool)
	e.attr("tool_call", c.ToolCall)
	e.attr("type", c.Type)
	e.close()
}

func (e *encoder) attr(key string, a call.Attr) {
	if a != (call.Attr{}) {
		e.key(key)
		e.mark(a)
	}
}

func (e *encoder) mark(a call.Attr) {
	e.open()
	e.string("mark", a.Mark.String())
	e.string("value", a.Value)
	e.close()
}

func (e *encoder) decision(d *call.Decision) {
	e.open()
	e.optString("approvers", d.Approvers)
	e.optString("at", d.At)
	e.optString("by", d.By)
	e.optString("code", d.Code)
	e.edits(d.Edits)
	e.findings(d.Findings)
	e.optBool("irreversible", d.Irreversible)
	e.optString("layer", d.Layer)
	e.optBool("observed", d.Observed)
	e.optString("policy", d.Policy)
	e.optBool("quarantine", d.Quarantine)
	e.optBool("quiet", d.Quiet)
	e.string("reason", d.Reason)
	e.string("rule", d.Rule)
	if len(d.Uninspected) > 0 {
		e.list("uninspected")
		for i := range d.Uninspected {
			u := &d.Uninspected[i]
			e.item()
			e.open()
			e.string("part", u.Part)
			e.string("reason", u.Reason)
			e.optBool("windowed", u.Windowed)
			e.close()
		}
		e.endList()
	}
	e.string("verdict", d.Verdict.String())
	e.close()
}

func (e *encoder) edits(edits []call.Edit) {
	if edits == nil {
		e.null("edits")
		return
	}
	e.list("edits")
	for i := range edits {
		x := &edits[i]
		e.item()
		e.open()
		e.optString("cause", x.Cause)
		e.string("kind", string(x.Kind))
		e.optString("name", x.Name)
		if x.Place != (call.Place{}) {
			e.key("place")
			e.open()
			e.int("end", int64(x.End))
			e.string("part", x.Part)
			e.int("start", int64(x.Start))
			e.close()
		}
		e.optString("rule", x.Rule)
		e.optString("with", x.With)
		e.close()
	}
	e.endList()
}

func (e *encoder) findings(found []call.Finding) {
	if found == nil {
		e.null("findings")
		return
	}
	e.list("findings")
	for i := range found {
		f := &found[i]
		e.item()
		e.open()
		e.optString("digest", f.Digest)
		e.int("end", int64(f.End))
		e.string("inspector", f.Inspector)
		e.string("kind", f.Kind)
		e.string("part", f.Part)
		if f.Score != 0 && !math.IsNaN(f.Score) && !math.IsInf(f.Score, 0) {
			e.key("score")
			e.b = appendFloat(e.b, f.Score)
		}
		e.int("start", int64(f.Start))
		e.close()
	}
	e.endList()
}

func (e *encoder) outcome(o *call.Outcome) {
	e.open()
	e.optBool("aborted", o.Aborted)
	e.optString("address", o.Address)
	e.optString("commit", o.Commit)
	e.optString("error", o.Error)
	e.int("received", o.Received)
	e.int("sent", o.Sent)
	e.optInt("status", int64(o.Status))
	e.optInt("times", o.Times)
	e.optString("via", o.Via)
	e.close()
}

// An encoder writes JSON. Whoever calls it gives the keys of an object in
// their order.
type encoder struct{ b []byte }

func (e *encoder) open()    { e.b = append(e.b, '{') }
func (e *encoder) close()   { e.b = append(e.b, '}') }
func (e *encoder) endList() { e.b = append(e.b, ']') }

func (e *encoder) key(k string) {
	if e.b[len(e.b)-1] != '{' {
		e.b = append(e.b, ',')
	}
	e.b = append(e.b, '"')
	e.b = append(e.b, k...)
	e.b = append(e.b, '"', ':')
}

func (e *encoder) list(k string) {
	e.key(k)
	e.b = append(e.b, '[')
}

func (e *encoder) item() {
	if e.b[len(e.b)-1] != '[' {
		e.b = append(e.b, ',')
	}
}

func (e *encoder) null(k string) {
	e.key(k)
	e.b = append(e.b, "null"...)
}

func (e *encoder) string(k, v string) {
	e.key(k)
	e.b = appendString(e.b, v)
}

func (e *encoder) optString(k, v string) {
	if v != "" {
		e.string(k, v)
	}
}

func (e *encoder) int(k string, v int64) {
	e.key(k)
	e.b = appendInt(e.b, v)
}

func (e *encoder) optInt(k string, v int64) {
	if v != 0 {
		e.int(k, v)
	}
}

func (e *encoder) optUint(k string, v uint64) {
	if v != 0 {
		e.int(k, int64(min(v, math.MaxInt64)))
	}
}

func (e *encoder) optBool(k string, v bool) {
	if v {
		e.key(k)
		e.b = append(e.b, "true"...)
	}
}

func (e *encoder) time(k string, t time.Time) {
	e.key(k)
	t = t.UTC()
	if y := t.Year(); y < 0 || y > 9999 {
		t = time.Time{} // RFC 3339 has no such year
	}
	e.b = append(e.b, '"')
	e.b = t.AppendFormat(e.b, time.RFC3339Nano)
	e.b = append(e.b, '"')
}

// appendInt appends v as RFC 8785 has numbers: beyond 2^53 it is what the
// nearest double prints.
func appendInt(b []byte, v int64) []byte {
	if v > 1<<53 || v < -1<<53 {
		return appendFloat(b, float64(v))
	}
	return strconv.AppendInt(b, v, 10)
}

// appendFloat appends f, which is finite, as ECMAScript prints it.
func appendFloat(b []byte, f float64) []byte {
	if f == 0 {
		return append(b, '0')
	}
	if a := math.Abs(f); a >= 1e-6 && a < 1e21 {
		return strconv.AppendFloat(b, f, 'f', -1, 64)
	}
	b = strconv.AppendFloat(b, f, 'e', -1, 64)
	// Go pads the exponent to two digits, ECMAScript does not: e-09 is e-9.
	if n := len(b); b[n-4] == 'e' && b[n-2] == '0' {
		b[n-2] = b[n-1]
		b = b[:n-1]
	}
	return b
}

const hexDigits = "0123456789abcdef"

// appendString appends s quoted: only what must be escaped is.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c < utf8.RuneSelf && c != '"' && c != '\\' {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				b = append(b, s[start:i]...)
				b = append(b, "\uFFFD"...)
				start = i + 1
			}
			i += n
			continue
		}
		b = append(b, s[start:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\b':
			b = append(b, '\\', 'b')
		case '\f':
			b = append(b, '\\', 'f')
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		start = i
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}
