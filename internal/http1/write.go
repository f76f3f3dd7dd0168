package http1

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
)

// A Framing says how the end of a body that is written is told.
type Framing struct {
	Length  int64 // of the body; -1 for none told
	Chunked bool  // wins over Length
}

// AppendRequest appends the head of a request: target as it is, host, and the
// fields of h in the order and the spelling of names; those that names does not
// tell follow. Where the framing says it, Content-Length or Transfer-Encoding
// take the place that one of them has in names. An error quotes the field or
// word that cannot be written.
func AppendRequest(b []byte, method, target, host string, h http.Header, names []string, f Framing) ([]byte, error) {
	if !Token(method) {
		return nil, fmt.Errorf("http1: method %.40q is no token", method)
	}
	if target == "" || !all(target, targetClass) {
		return nil, fmt.Errorf("http1: target %.80q holds a byte that must be percent-encoded", target)
	}
	if host == "" || !hostBytes(host) {
		return nil, fmt.Errorf("http1: host %.80q is malformed", host)
	}
	b = append(b, method...)
	b = append(b, ' ')
	b = append(b, target...)
	b = append(b, " HTTP/1.1\r\n"...)
	w := writer{h: h, names: names, framing: f, host: host}
	return w.fields(b)
}

// AppendResponse appends the head of an answer in the same way. status is the
// number and the reason, as in http.Response.
func AppendResponse(b []byte, status string, h http.Header, names []string, f Framing) ([]byte, error) {
	if len(status) < 3 || !all(status, valueClass) {
		return nil, fmt.Errorf("http1: status %.40q is malformed", status)
	}
	b = append(b, "HTTP/1.1 "...)
	b = append(b, status...)
	if len(status) == 3 {
		b = append(b, ' ')
	}
	b = append(b, "\r\n"...)
	w := writer{h: h, names: names, framing: f}
	return w.fields(b)
}

// A writer writes fields once each.
type writer struct {
	h       http.Header
	names   []string
	framing Framing
	host    string
	framed  bool // the framing is written
	hosted  bool
	known   int                 // fields of h that names told
	turns   map[string]*turn    // of fields with several values; nil if none came yet
	seen    map[string]struct{} // told already; nil as long as names are few
}

func (w *writer) fields(b []byte) ([]byte, error) {
	var err error
	if w.host != "" && !w.tells("Host") { // where RFC 9110 §7.2 wants it
		b = w.writeHost(b, "Host")
	}
	for i, name := range w.names {
		key := canonical(name)
		switch key {
		case "Host":
			if w.host != "" {
				b = w.writeHost(b, name)
				continue
			}
		case "Content-Length", "Transfer-Encoding":
			if _, ok := w.h[key]; ok && !w.framed {
				w.known++
			}
			b = w.writeFraming(b, name)
			continue
		}
		values := w.h[key]
		if len(values) > 1 {
			values = w.share(key, values)
		} else if values != nil {
			if w.again(i, key) {
				continue // it had more values once
			}
			w.known++
		}
		for _, v := range values {
			if b, err = appendField(b, name, v); err != nil {
				return nil, err
			}
		}
	}
	if b, err = w.others(b); err != nil {
		return nil, err
	}
	if !w.framed {
		b = w.writeFraming(b, "")
	}
	return append(b, "\r\n"...), nil
}

// few is how many names are looked through without a map.
const few = 64

// again reports whether the field of names[i], whose canonical name is key, was
// told before.
func (w *writer) again(i int, key string) bool {
	if len(w.names) <= few {
		return times(w.names[:i], key, key) > 0
	}
	if w.seen == nil {
		w.seen = map[string]struct{}{}
	}
	_, was := w.seen[key]
	w.seen[key] = struct{}{}
	return was
}

// A turn says how many names of one field are to come, and which value is next.
type turn struct{ left, next int }

// share returns the values that the next name of a field with several takes: one
// each, the last name all that are left.
func (w *writer) share(key string, values []string) []string {
	if w.turns == nil {
		w.turns = map[string]*turn{}
		for _, name := range w.names {
			k := canonical(name)
			if len(w.h[k]) < 2 {
				continue
			}
			if w.turns[k] == nil {
				w.turns[k] = &turn{}
				w.known++
			}
			w.turns[k].left++
		}
	}
	t := w.turns[key]
	t.left--
	from := min(t.next, len(values))
	to := min(from+1, len(values))
	if t.left == 0 {
		to = len(values)
	}
	t.next = to
	return values[from:to]
}

// others writes the fields that names did not tell, sorted.
func (w *writer) others(b []byte) ([]byte, error) {
	n := len(w.h) - w.known
	if n == 0 {
		return b, nil
	}
	var err error
	for _, key := range slices.Sorted(maps.Keys(w.h)) {
		if reserved(key) || key == "Host" && w.host != "" || w.tells(key) {
			continue
		}
		for _, v := range w.h[key] {
			if b, err = appendField(b, key, v); err != nil {
				return nil, err
			}
		}
	}
	return b, nil
}

// reserved reports whether a field is written by what the framing says.
func reserved(key string) bool { return key == "Content-Length" || key == "Transfer-Encoding" }

// names_ reports whether names tells the field.
func (w *writer) tells(key string) bool { return times(w.names, key, key) > 0 }

// times counts the names in list that are the one whose canonical form is key.
func times(list []string, name, key string) (n int) {
	for _, s := range list {
		if s == name || len(s) == len(key) && canonical(s) == key {
			n++
		}
	}
	return n
}

func (w *writer) writeHost(b []byte, name string) []byte {
	if w.hosted {
		return b
	}
	w.hosted = true
	return appendRaw(b, name, w.host)
}

// writeFraming writes the framing in the place of the field name.
func (w *writer) writeFraming(b []byte, name string) []byte {
	if w.framed {
		return b
	}
	w.framed = true
	key := canonical(name)
	switch {
	case w.framing.Chunked:
		if key != "Transfer-Encoding" {
			name = "Transfer-Encoding"
		}
		return appendRaw(b, name, "chunked")
	case w.framing.Length >= 0:
		if key != "Content-Length" {
			name = "Content-Length"
		}
		b = append(append(b, name...), ": "...)
		return append(strconv.AppendInt(b, w.framing.Length, 10), "\r\n"...)
	}
	return b
}

func appendField(b []byte, name, value string) ([]byte, error) {
	if !Token(name) {
		return nil, fmt.Errorf("http1: the name of the field %.40q cannot be written", name)
	}
	if !Value(value) {
		return nil, fmt.Errorf("http1: the value of the field %.40q cannot be written", name)
	}
	return appendRaw(b, name, value), nil
}

func appendRaw(b []byte, name, value string) []byte {
	b = append(b, name...)
	b = append(b, ": "...)
	b = append(b, value...)
	return append(b, "\r\n"...)
}

// AppendChunk appends p as one chunk; nothing if it is empty.
func AppendChunk(b, p []byte) []byte {
	if len(p) == 0 {
		return b
	}
	b = append(strconv.AppendUint(b, uint64(len(p)), 16), "\r\n"...)
	return append(append(b, p...), "\r\n"...)
}

// AppendLastChunk appends the end of a body of chunks, with its trailer. Fields
// that may not stand in a trailer are left out.
func AppendLastChunk(b []byte, trailer http.Header) ([]byte, error) {
	b = append(b, "0\r\n"...)
	var err error
	for _, key := range slices.Sorted(maps.Keys(trailer)) {
		if forbidden(key) {
			continue
		}
		for _, v := range trailer[key] {
			if b, err = appendField(b, key, v); err != nil {
				return nil, err
			}
		}
	}
	return append(b, "\r\n"...), nil
}
