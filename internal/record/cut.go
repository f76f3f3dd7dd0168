package record

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"outvet/call"
)

// maxEntry is the longest entry that a bundle of C2SP tlog-tiles can hold.
const maxEntry = 1<<16 - 1

// appendEntryOf appends r as an entry of the log, cut until it fits. What was
// left out is said in the note.
func appendEntryOf(b []byte, r *call.Record) []byte {
	start := len(b)
	long := rough(r) > maxEntry
	if !long {
		b = appendRecord(b, r)
	}
	// With no lists and 48 bytes a text, the longest possible record is far
	// below the limit, so that the last step always fits.
	for _, c := range []cut{{256, 4096}, {64, 1024}, {16, 256}, {0, 48}} {
		if !long && len(b)-start <= maxEntry {
			break
		}
		b = appendRecord(b[:start], c.record(r))
		long = false
	}
	return b
}

// rough returns less than the length of the entry of r, but not much less: so
// that what is far too long is not even encoded.
func rough(r *call.Record) int {
	n := len(r.Target) + len(r.Host) + len(r.Note) + len(r.Caller.Session) + len(r.Caller.Process.Value) + len(r.Caller.Purpose.Value)
	for i := range r.Caller.Roles {
		n += len(r.Caller.Roles[i].Value)
	}
	for i := range r.Caller.Provenance {
		n += len(r.Caller.Provenance[i].Source)
	}
	if d := r.Decision; d != nil {
		n += len(d.Reason) + 40*(len(d.Findings)+len(d.Edits)+len(d.Uninspected))
		for i := range d.Findings {
			n += len(d.Findings[i].Part) + len(d.Findings[i].Kind)
		}
		for i := range d.Edits {
			n += len(d.Edits[i].With) + len(d.Edits[i].Part)
		}
		for i := range d.Uninspected {
			n += len(d.Uninspected[i].Part) + len(d.Uninspected[i].Reason)
		}
	}
	if r.Outcome != nil {
		n += len(r.Outcome.Error)
	}
	return n
}

// A cut bounds what a record may hold.
type cut struct {
	items int // of a list
	bytes int // of a text
}

// record returns a copy of r within the bounds of c. ID and session of a call
// stay: they are short, and entries are joined by them.
func (c cut) record(r *call.Record) *call.Record {
	var left []string
	s := *r
	for _, p := range []*string{&s.Listener, &s.Scheme, &s.Host, &s.Category, &s.Trust, &s.Protocol, &s.Method, &s.Target, &s.Note} {
		*p = c.text(*p)
	}
	s.Parent, s.Grade = call.ID(c.text(string(s.Parent))), call.Grade(c.text(string(s.Grade)))
	s.Kind, s.Session = call.Kind(c.text(string(s.Kind))), call.SessionID(c.text(string(s.Session)))
	s.Caller = c.caller(s.Caller, &left)
	if s.Decision != nil {
		s.Decision = c.decision(*s.Decision, &left)
	}
	if s.Outcome != nil {
		o := *s.Outcome
		o.Address, o.Error, o.Commit, o.Via = c.text(o.Address), c.text(o.Error), c.text(o.Commit), c.text(o.Via)
		s.Outcome = &o
	}
	said := fmt.Sprintf("too long for the log: texts are cut to %d bytes", c.bytes)
	if len(left) > 0 {
		said += ", left out are " + strings.Join(left, ", ")
	}
	if s.Note != "" {
		said = s.Note + " (" + said + ")"
	}
	s.Note = said
	return &s
}

func (c cut) caller(who call.Caller, left *[]string) call.Caller {
	who.Parent = call.SessionID(c.text(string(who.Parent)))
	for _, a := range []*call.Attr{&who.Type, &who.Principal, &who.Agent, &who.Tool, &who.ToolCall, &who.Process, &who.Purpose, &who.Conversation} {
		a.Value = c.text(a.Value)
	}
	who.Roles = head(c, who.Roles, "roles", left, func(a *call.Attr) { a.Value = c.text(a.Value) })
	who.Provenance = head(c, who.Provenance, "sources", left, func(s *call.Source) {
		s.Source, s.Trust = c.text(s.Source), c.text(s.Trust)
	})
	return who
}

func (c cut) decision(d call.Decision, left *[]string) *call.Decision {
	for _, p := range []*string{&d.Rule, &d.At, &d.Layer, &d.Code, &d.Reason, &d.Approvers, &d.By, &d.Policy} {
		*p = c.text(*p)
	}
	d.Findings = head(c, d.Findings, "findings", left, func(f *call.Finding) {
		f.Inspector, f.Kind, f.Part, f.Digest = c.text(f.Inspector), c.text(f.Kind), c.text(f.Part), c.text(f.Digest)
	})
	d.Edits = head(c, d.Edits, "edits", left, func(e *call.Edit) {
		e.Kind, e.Part = call.EditKind(c.text(string(e.Kind))), c.text(e.Part)
		e.Name, e.With, e.Cause, e.Rule = c.text(e.Name), c.text(e.With), c.text(e.Cause), c.text(e.Rule)
	})
	d.Uninspected = head(c, d.Uninspected, "uninspected parts", left, func(u *call.Uninspected) {
		u.Part, u.Reason = c.text(u.Part), c.text(u.Reason)
	})
	return &d
}

// head returns the first items of list, each cut, and notes how many it left
// out of how many.
func head[T any](c cut, list []T, name string, left *[]string, each func(*T)) []T {
	if list == nil {
		return nil
	}
	n := min(len(list), c.items)
	if n < len(list) {
		*left = append(*left, fmt.Sprintf("%d of %d %s", len(list)-n, len(list), name))
	}
	out := append([]T{}, list[:n]...)
	for i := range out {
		each(&out[i])
	}
	return out
}

// text returns s, or its beginning and "…".
func (c cut) text(s string) string {
	if len(s) <= c.bytes {
		return s
	}
	n := c.bytes - len("…")
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
