package payload

import (
	"io"
	"net/http"

	"outvet/call"
)

// A Message is what one call would send, as it stands on the wire. The gate
// edits it in place: after an allowing decision it is what may leave.
type Message struct {
	Host   string      // as the caller wrote it, without port; inspected, never edited
	Target string      // path and query as on the wire, "" if the protocol has none
	Header http.Header // end-to-end fields only; nil if the protocol has none
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
	Text  int64 // decoded bytes of all parts and layers together; 8 × Body, at least 16 MiB
}

// Decode decodes the head of m (host, target, header) and body, the whole of
// the wire body (nil if there is none or it is read in windows). It does not
// keep or change m. The Content refers to body, which must not be changed
// while the Content lives.
func Decode(m *Message, body []byte, lim Limits) *Content { panic("not written") }

// A Content is the decoded text of one call or one window: all parts joined,
// so that one pass reads them all.
//
// Text is valid UTF-8. Each part is followed by one '\n' that belongs to no
// part. Wire parts come first, in the order host, path, query, headers, body;
// derived parts (a layer of encoding opened, homoglyphs folded, neighbouring
// fields joined) follow the part they come from or stand at the end.
type Content struct {
	Text        []byte
	Uninspected []call.Uninspected
}

// Place says where the span [from, to) of Text stands. A span that runs over
// the end of its part is cut there. Naming costs time and memory; ask only for
// what was found.
func (c *Content) Place(from, to int) call.Place { panic("not written") }

// Part returns the bounds in Text of the part that holds position pos.
func (c *Content) Part(pos int) (start, end int) { panic("not written") }

// Edge reports whether pos is the start or end of a part or, in a part joined
// of several fields, of one of the fields. There a word may begin or end
// whatever stands beside it.
func (c *Content) Edge(pos int) bool { panic("not written") }

// Apply makes the edits and returns the wire body. m is changed in place
// (Target and Header); where the body changes in length, so does
// m.Length, and a Content-Length header. body is the same that was decoded. An
// edit that cannot be made is an error: the call must not leave without it.
func (c *Content) Apply(m *Message, body []byte, edits []call.Edit) ([]byte, error) {
	panic("not written")
}

// A Stream reads a body that is too long to inspect whole, or that has no end,
// as windows that overlap. Bytes leave only after the window that they stand in
// was inspected together with what follows them.
//
//	for {
//		c, err := s.Next()     // decoded text of the next window
//		...inspect c, decide...
//		b, err := s.Emit(edits) // wire bytes that may leave now
//	}
type Stream struct{}

// NewStream returns a Stream over head, the wire bytes that were already read,
// followed by m.Body.
func NewStream(m *Message, head []byte, lim Limits) *Stream { panic("not written") }

// Next returns the next window. It returns what has arrived rather than wait
// for a full window. At the end it returns io.EOF, after a last window.
func (s *Stream) Next() (*Content, error) { panic("not written") }

// Emit makes the edits in the window that Next returned and returns the wire
// bytes that may leave now: all but the overlap. Edits keep the length: they
// mask. On a compressed stream no edit can be made.
func (s *Stream) Emit(edits []call.Edit) ([]byte, error) { panic("not written") }
