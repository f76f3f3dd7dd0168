package http1

import (
	"fmt"
	"net/http"
	"net/textproto"
	"strings"
)

// An Error says what is wrong with a message. Nothing after it on the connection
// can be understood.
type Error struct {
	Status int    // for the client, of a request: 400, 417, 431, 501 or 505
	Why    string // quotes nothing, and so may be recorded
	Saw    string // what was seen there, for the other side; "" if that says nothing
}

// Error quotes nothing: errors go into logs and records.
func (e *Error) Error() string { return "http1: " + e.Why }

// Say returns what is wrong for the one who wrote the message: it quotes it.
func (e *Error) Say() string {
	if e.Saw == "" {
		return e.Why
	}
	return fmt.Sprintf("%s: %.60q", e.Why, e.Saw)
}

func bad(why string) *Error { return &Error{Status: http.StatusBadRequest, Why: why} }

// badly is bad with what was seen.
func badly(why, saw string) *Error { return &Error{http.StatusBadRequest, why, saw} }

// classes of bytes.
const (
	tokenClass  = 1 << iota // may stand in a name (RFC 9110 §5.6.2)
	valueClass              // may stand in a value (RFC 9110 §5.5)
	targetClass             // may stand in a target: visible ASCII
)

var classes = func() (t [256]byte) {
	for c := range t {
		b := byte(c)
		switch {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9', strings.IndexByte("!#$%&'*+-.^_`|~", b) >= 0:
			t[c] |= tokenClass
		}
		if b == '\t' || b >= ' ' && b != 0x7f {
			t[c] |= valueClass
		}
		if b > ' ' && b < 0x7f {
			t[c] |= targetClass
		}
	}
	return t
}()

// all reports whether every byte of s is of the class.
func all(s string, class byte) bool {
	for i := range len(s) {
		if classes[s[i]]&class == 0 {
			return false
		}
	}
	return true
}

// Token reports whether s is a token, as methods and names of fields are.
func Token(s string) bool { return s != "" && all(s, tokenClass) }

// Value reports whether s may be the value of a field.
func Value(s string) bool { return all(s, valueClass) }

// trim removes the white space around a value.
func trim(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// lower reports whether s is want, a word in lower case, in any case.
func lower(s, want string) bool {
	if len(s) != len(want) {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != want[i] {
			return false
		}
	}
	return true
}

// canonical returns the form in which http.Header holds a name.
func canonical(name string) string { return textproto.CanonicalMIMEHeaderKey(name) }

// length reads a Content-Length: digits and nothing else, 18 at most.
func length(s string) (int64, bool) {
	if s == "" || len(s) > 18 {
		return 0, false
	}
	var n int64
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = 10*n + int64(s[i]-'0')
	}
	return n, true
}

// Lists reports whether a field, a list of words, has word (in lower case).
func Lists(h http.Header, field, word string) bool {
	for _, v := range h[field] {
		for {
			w, rest, more := strings.Cut(v, ",")
			if lower(trim(w), word) {
				return true
			}
			if !more {
				break
			}
			v = rest
		}
	}
	return false
}
