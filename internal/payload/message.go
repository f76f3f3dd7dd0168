package payload

import (
	"io"
	"math"
	"net/http"
	"strings"
)

// A Message is what one call would send, as it stands on the wire. The gate
// edits it in place: after an allowing decision it is what may leave.
type Message struct {
	Host   string      // as the caller wrote it, without port; inspected, never edited
	Target string      // path and query as on the wire, "" if the protocol has none
	Header http.Header // end-to-end fields only; nil if the protocol has none
	Names  []string    // of the fields of Header, as they were spelt; nil if that is not known
	Body   io.Reader   // nil for none
	Length int64       // of Body in bytes, -1 if not known
	// Endless says that the peer may wait for answers before Body ends
	// (gRPC, a raw connection): never wait for its end.
	Endless bool
}

// Limits bound what decoding may cost. The zero value of a field means its
// default. What exceeds a bound is reported as Uninspected, never dropped in
// silence.
type Limits struct {
	Body  int64 // bytes of a body that is inspected whole; 8 MiB
	Depth int   // nested layers of encoding; 6
	Ratio int   // of decompressed to compressed size, once over 1 MiB; 200
	Text  int64 // decoded bytes of all parts and layers together; 8 × Body, at least 16 MiB, at most 1 GiB

	Memory *Memory   // of what was read before; nil for none
	Realm  [2]string // what is remembered is known in the same realm alone
}

// textMax is the most that offsets of 32 bits can address, with room to spare.
const textMax = 1 << 30

// orDefault returns l with its defaults filled in.
func (l Limits) orDefault() Limits {
	if l.Body <= 0 {
		l.Body = 8 << 20
	}
	if l.Depth <= 0 {
		l.Depth = 6
	}
	if l.Ratio <= 0 {
		l.Ratio = 200
	}
	if l.Text <= 0 {
		if l.Text = 8 * l.Body; l.Text/8 != l.Body {
			l.Text = math.MaxInt64
		}
		l.Text = max(l.Text, 16<<20)
	}
	l.Text = min(l.Text, textMax)
	return l
}

// Decode decodes the head of m (host, target, header) and body, the whole of
// the wire body (nil if there is none or it is read in windows). It does not
// keep or change m. The Content refers to body, which must not be changed
// while the Content lives.
func Decode(m *Message, body []byte, lim Limits) *Content {
	c := newContent(lim, "body")
	c.readHead(m)
	if body != nil {
		c.readBody(codingOf(m), m.Header.Get("Content-Type"), body)
	}
	c.derive()
	return c
}

// codingOf returns the codings of the body, of which each may have its own field.
func codingOf(m *Message) string { return strings.Join(m.Header.Values("Content-Encoding"), ",") }

// DecodeText decodes one message of a long-lived stream: a WebSocket frame, a
// gRPC message. Its parts are named below path. Apply of the Content takes a
// nil Message.
func DecodeText(path string, b []byte, lim Limits) *Content {
	c := newContent(lim, path)
	c.readBody("", "", b)
	c.derive()
	return c
}
