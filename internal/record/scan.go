package record

import (
	"strconv"
	"time"
	"unicode/utf8"

	"outvet/call"
)

// A scanner reads facts of entries as this package writes them: canonical, and
// of what a JSON text may hold only what is common. It is sound, not complete:
// whatever it takes is well-formed, has no doubled keys and has the facts that
// it says; what it does not take, the factReader reads in full
// (FuzzScannerAgreesWithTheDecoder).
type scanner struct {
	b  []byte
	at int
	// session is that of the entry before, to be shared.
	session call.SessionID
}

// maxNesting is deeper than any entry.
const maxNesting = 8

// read returns the facts of an entry, or ok false if it does not take it.
func (s *scanner) read(entry []byte) (f facts, ok bool) {
	if !utf8.Valid(entry) {
		return f, false
	}
	s.b, s.at = entry, 0
	ok = s.object(func(key []byte) bool {
		var v []byte
		switch string(key) {
		case "caller":
			return s.object(func(key []byte) bool {
				if string(key) != "session" {
					return s.value(2)
				}
				v, ok := s.plain()
				if string(v) != string(s.session) {
					s.session = call.SessionID(v)
				}
				f.session = s.session
				return ok
			})
		case "id":
			if v, ok = s.plain(); ok {
				f.id = call.ID(v)
			}
			return ok
		case "kind":
			if v, ok = s.plain(); ok {
				f.kind = kindOf(v)
			}
			return ok
		case "seq":
			start := s.at
			if !s.number() {
				return false
			}
			n, err := strconv.ParseUint(string(s.b[start:s.at]), 10, 64)
			f.seq = n
			return err == nil
		case "time":
			v, ok = s.plain()
			if !ok {
				return false
			}
			t, err := time.Parse(time.RFC3339, string(v))
			f.time = t
			return err == nil
		}
		return s.value(1)
	})
	return f, ok && s.at == len(s.b) && f.kind != ""
}

// kindOf returns b as a kind, without a copy of those that every call has.
func kindOf(b []byte) call.Kind {
	switch string(b) {
	case string(call.Decided):
		return call.Decided
	case string(call.Closed):
		return call.Closed
	}
	return call.Kind(b)
}

// next reports whether the next byte is c, and takes it if so.
func (s *scanner) next(c byte) bool {
	if s.at < len(s.b) && s.b[s.at] == c {
		s.at++
		return true
	}
	return false
}

// object reads an object whose keys ascend and gives member each; member reads
// the value.
func (s *scanner) object(member func(key []byte) bool) bool {
	if !s.next('{') {
		return false
	}
	if s.next('}') {
		return true
	}
	var last []byte
	for first := true; ; first = false {
		key, ok := s.plain()
		if !ok || !first && string(key) <= string(last) || !s.next(':') || !member(key) {
			return false
		}
		last = key
		if s.next('}') {
			return true
		}
		if !s.next(',') {
			return false
		}
	}
}

// value reads any value.
func (s *scanner) value(depth int) bool {
	if s.at == len(s.b) || depth > maxNesting {
		return false
	}
	switch s.b[s.at] {
	case '"':
		_, ok := s.text()
		return ok
	case '{':
		return s.object(func([]byte) bool { return s.value(depth + 1) })
	case '[':
		return s.list(depth)
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	}
	return s.number()
}

func (s *scanner) list(depth int) bool {
	s.at++
	if s.next(']') {
		return true
	}
	for {
		if !s.value(depth + 1) {
			return false
		}
		if s.next(']') {
			return true
		}
		if !s.next(',') {
			return false
		}
	}
}

func (s *scanner) word(w string) bool {
	if len(s.b)-s.at < len(w) || string(s.b[s.at:s.at+len(w)]) != w {
		return false
	}
	s.at += len(w)
	return true
}

// number reads an integer or a decimal fraction.
func (s *scanner) number() bool {
	s.next('-')
	if !s.next('0') && s.digits() == 0 {
		return false
	}
	return !s.next('.') || s.digits() > 0
}

func (s *scanner) digits() (n int) {
	for s.at < len(s.b) && s.b[s.at]-'0' <= 9 {
		s.at++
		n++
	}
	return n
}

// plain reads a string without escapes and returns what is in it.
func (s *scanner) plain() ([]byte, bool) {
	escaped, ok := s.text()
	if !ok || escaped.any {
		return nil, false
	}
	return s.b[escaped.start : s.at-1], true
}

// A span is a string that was read: where its text begins and whether there
// are escapes in it.
type span struct {
	start int
	any   bool
}

// text reads a string. Of escapes it takes those of one letter.
func (s *scanner) text() (t span, ok bool) {
	if !s.next('"') {
		return t, false
	}
	t.start = s.at
	for i := s.at; i < len(s.b); i++ {
		switch c := s.b[i]; {
		case c == '"':
			s.at = i + 1
			return t, true
		case c == '\\':
			t.any = true
			if i++; i == len(s.b) || !escapable(s.b[i]) {
				return t, false
			}
		case c < ' ':
			return t, false
		}
	}
	return t, false
}

func escapable(c byte) bool {
	switch c {
	case '"', '\\', 'b', 'f', 'n', 'r', 't':
		return true
	}
	return false
}
