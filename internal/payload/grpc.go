package payload

import (
	"bufio"
	"bytes"
	be "encoding/binary" // binary is a word of this package
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"outvet/call"
	"outvet/internal/payload/inflate"
)

// A Malformed is the error of a stream that cannot be read as what it says it
// is. Nothing more of it may leave.
type Malformed struct{ Why string }

func (e *Malformed) Error() string { return "payload: " + e.Why }

const (
	grpcPrefix = 5 // a flag and the length, before each message
	grpcKeep   = 64 << 10
	grpcBatch  = 16 << 10 // bytes of small messages that are read together
)

// messages reads a stream of gRPC: its messages one by one, whole and inflated,
// before a byte of them leaves. So no half of a secret leaves, and none is found
// late because its message came in pieces. It costs the peers nothing: who waits
// for an answer has sent a whole message.
//
// What is redacted keeps its length, so that the fields around it stay right. A
// compressed message that is edited leaves without compression.
type messages struct {
	src    *bufio.Reader
	coding string // of compressed messages
	ctype  string // of a message
	flags  byte   // that may be set before a message; 1 says that it is compressed

	codingField string

	n          int    // messages
	wire       []byte // of the messages in hand, prefixes included
	text       []byte // a compressed one inflated, after room for a prefix
	compressed bool
	whole      bool // text is all of it
	spans      []span
	fields     []span // of one message; memory for the next
}

type span struct{ from, to int }

// newMessages returns nil if m is no gRPC.
func newMessages(m *Message, head []byte) *messages {
	mt, _ := contentType(m.Header.Get("Content-Type"))
	sub, ok := strings.CutPrefix(mt, "application/grpc")
	g := &messages{flags: 1, codingField: "grpc-encoding"}
	switch {
	case strings.HasPrefix(mt, "application/connect+"):
		sub, ok = strings.TrimPrefix(mt, "application/connect"), true
		g.flags, g.codingField = 1|2, "connect-content-encoding" // 2 is an end, with a message
	case strings.HasPrefix(sub, "-web") && !strings.HasPrefix(sub, "-web-text"):
		sub, g.flags = strings.TrimPrefix(sub, "-web"), 1|0x80 // which is a trailer
	}
	if !ok || !m.Endless || sub != "" && sub[0] != '+' {
		return nil // gRPC-Web in base64, or something else
	}
	g.coding = strings.TrimSpace(strings.Join(m.Header[http.CanonicalHeaderKey(g.codingField)], ","))
	if strings.EqualFold(g.coding, "identity") {
		g.coding = ""
	}
	if sub != "" && sub != "+proto" {
		g.ctype = "application/" + sub[1:]
	}
	var r io.Reader = bytes.NewReader(head)
	if m.Body != nil {
		r = io.MultiReader(r, m.Body)
	}
	g.src = bufio.NewReaderSize(r, 4<<10)
	return g
}

// ByMessage reports whether the body of m is read message by message, each of
// them whole.
func ByMessage(m *Message) bool { return newMessages(m, nil) != nil && codingOf(m) == "" }

// next reads a message, or several small ones that have arrived.
func (g *messages) next(s *Stream) (*Content, error) {
	if cap(g.wire) > grpcKeep {
		g.wire = nil
	}
	if cap(g.text) > grpcKeep {
		g.text = nil
	}
	if s.Lend != nil && g.wire == nil {
		s.Lend(0) // what was held has left
	}
	g.wire, g.spans = g.wire[:0], g.spans[:0]
	first := g.n + 1
	for {
		if err := g.read(s); err != nil {
			return nil, err
		}
		if g.compressed || !g.another() {
			break
		}
	}
	c := s.c
	c.reset(s.lim, "body/message/"+strconv.Itoa(first))
	c.body = g.wire
	if g.compressed {
		g.inflate(c, &s.lim)
	}
	d := c.addDoc(doc{kind: bodyDoc})
	for _, m := range g.spans {
		if g.ctype != "" {
			c.readTyped(g.ctype, m.from, m.to, d, root, 0)
		} else if m.from < m.to {
			c.readPlain(m.from, m.to, d, root, unnamed, value, textForm)
		}
	}
	for _, m := range g.spans {
		g.fields = c.readProto(g.fields[:0], m.from, m.to, d)
	}
	c.derive()
	return c, nil
}

// another reports whether one more message has arrived that is small and not
// compressed.
func (g *messages) another() bool {
	if g.src.Buffered() < grpcPrefix || len(g.wire) > grpcBatch {
		return false
	}
	p, err := g.src.Peek(grpcPrefix)
	return err == nil && p[0] == 0 && uint64(be.BigEndian.Uint32(p[1:])) <= uint64(g.src.Buffered()-grpcPrefix)
}

// read appends one message to wire.
func (g *messages) read(s *Stream) error {
	p, err := g.src.Peek(grpcPrefix)
	switch {
	case err == io.EOF && len(p) > 0:
		return &Malformed{"a gRPC stream ends within the prefix of a message"}
	case err != nil:
		return err
	case p[0]&^g.flags != 0:
		return &Malformed{fmt.Sprintf("the flag of gRPC message %d is %#x", g.n+1, p[0])}
	}
	g.n++
	size := int64(be.BigEndian.Uint32(p[1:]))
	if size > s.lim.Body {
		return &Malformed{fmt.Sprintf("gRPC message %d is %d bytes long, more than the %d that are inspected whole", g.n, size, s.lim.Body)}
	}
	g.compressed = p[0]&1 != 0
	g.wire = append(g.wire, p...)
	g.src.Discard(grpcPrefix) // it was peeked at: no error
	from := len(g.wire)
	to := from + int(size)
	for len(g.wire) < to { // memory is taken as bytes arrive, not as they are announced
		if len(g.wire) == cap(g.wire) {
			room := min(max(2*cap(g.wire), 4<<10), to)
			if s.Lend != nil && !s.Lend(int64(room)) {
				return &Malformed{"no memory is left to hold a gRPC message of this length"}
			}
			g.wire = append(make([]byte, 0, room), g.wire...)
		}
		n, err := io.ReadFull(g.src, g.wire[len(g.wire):min(cap(g.wire), to)])
		g.wire = g.wire[:len(g.wire)+n]
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return &Malformed{fmt.Sprintf("gRPC message %d ends after %d of %d bytes", g.n, len(g.wire)-from, size)}
		}
		if err != nil {
			return err
		}
	}
	g.spans = append(g.spans, span{from, to})
	return nil
}

// inflate makes the text of the compressed message in hand the body of c. What
// cannot be inflated is read as it stands.
func (g *messages) inflate(c *Content, lim *Limits) {
	m := g.wire[grpcPrefix:]
	g.whole = false
	switch {
	case len(m) == 0:
		g.whole = true
		return
	case g.coding == "":
		c.unread(c.base, "it is compressed, and "+g.codingField+" does not say how")
		return
	case !inflate.Known(g.coding):
		c.unread(c.base, fmt.Sprintf("%s %q is not known", g.codingField, clip(g.coding)))
		return
	}
	text := append(g.text[:0], make([]byte, grpcPrefix)...)
	text, err := inflate.Append(text, g.coding, m, int(lim.Body), lim.Ratio)
	switch g.whole = err == nil; {
	case errors.Is(err, inflate.ErrSize):
		c.unread(c.base, fmt.Sprintf("decompressed it is over %d bytes", lim.Body))
	case errors.Is(err, inflate.ErrRatio):
		c.unread(c.base, fmt.Sprintf("decompressed it is over %d times its size on the wire", lim.Ratio))
	case err != nil:
		c.unread(c.base, fmt.Sprintf("%s %q is damaged", g.codingField, clip(g.coding)))
		if len(text) == grpcPrefix {
			return // the wire bytes are read instead: they may be plain text
		}
	}
	g.text = text
	c.body, c.cut = text, !g.whole
	g.spans[0] = span{grpcPrefix, len(text)}
}

// emit makes the edits in the messages in hand and returns them as they may
// leave.
func (g *messages) emit(s *Stream, edits []call.Edit) ([]byte, error) {
	if len(edits) == 0 {
		return g.wire, nil
	}
	if g.compressed && !g.whole {
		return nil, errors.New("payload: a gRPC message that was not read to its end cannot be edited")
	}
	var all []cut
	for _, e := range edits {
		if e.Kind != call.Redact {
			return nil, errors.New("payload: the head of a stream has left and cannot be edited")
		}
		all = append(all, cut{from: e.From, to: e.To})
	}
	splices, err := s.c.resolve(all, false)
	if err != nil {
		return nil, err
	}
	b := s.c.body
	for _, w := range splices {
		for i := w.from; i < w.to; i++ {
			b[i] = '*'
		}
	}
	if g.compressed {
		b[0] = g.wire[0] &^ 1
		be.BigEndian.PutUint32(b[1:], uint32(len(b)-grpcPrefix))
	}
	return b, nil
}

const (
	protoDepth  = 10
	protoFields = 1 << 12 // that are read apart, of one message
)

// readProto reads fields of the protobuf message body[from:to] for themselves
// where a letter stands beside them that is none of theirs: the length before
// a text or the tag behind it may look like part of a word. It returns mem.
func (c *Content) readProto(mem []span, from, to int, d int32) []span {
	spans, ok := protoSpans(mem, c.body, from, to, protoDepth)
	if !ok {
		return spans
	}
	for i, f := range spans {
		if i == protoFields || c.room() < f.to-f.from {
			c.unread(c.base, "it has more fields than are read apart")
			break
		}
		c.readPlain(f.from, f.to, d, root, unnamed, value, textForm)
	}
	return spans
}

// protoSpans appends the fields with bytes of the message b[at:to], and those of
// the messages in them, whose borders may be taken for text, one more
// than are read at most. ok is false if it is no message.
func protoSpans(spans []span, b []byte, at, to, depth int) (out []span, ok bool) {
	for at < to {
		tag, n := be.Uvarint(b[at:to])
		if n <= 0 || tag>>3 == 0 || tag>>3 > 1<<29-1 {
			return spans, false
		}
		at += n
		switch tag & 7 {
		case 0:
			if _, n = be.Uvarint(b[at:to]); n <= 0 {
				return spans, false
			}
			at += n
		case 1:
			at += 8
		case 5:
			at += 4
		case 3, 4: // groups, whose fields stand like others
		case 2:
			size, n := be.Uvarint(b[at:to])
			if n <= 0 || size > uint64(to-at-n) {
				return spans, false
			}
			at += n
			end := at + int(size)
			if at < end && len(spans) <= protoFields && (!apart(b[at-1]) || end < len(b) && !apart(b[end])) {
				spans = append(spans, span{at, end})
			}
			if depth > 0 {
				if in, ok := protoSpans(spans, b, at, end, depth-1); ok {
					spans = in
				}
			}
			at = end
		default:
			return spans, false
		}
	}
	return spans, at == to
}

// apart reports whether no word goes on over b.
func apart(b byte) bool {
	return b <= ' ' || b == '"' || b == '\'' || b == '(' || b == ')' || b == ',' || b == ';' || b == '<' || b == '>'
}
