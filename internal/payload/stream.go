package payload

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"outvet/call"
	"outvet/internal/payload/inflate"
)

const (
	windowMax  = 64 << 10 // decoded bytes of a window, its overlap included
	overlap    = 4 << 10  // decoded bytes of a window that stand in the next one again
	overlapMax = 16 << 10 // the same, where it would cut a word
	gulp       = 4 << 10  // bytes that are read at once for a decompressor
	// lag is how far, in decoded bytes, a decompressor may be behind what it
	// has read: a block of zstd is 128 KiB.
	lag = 160 << 10
)

// A Stream reads a body that is too long to inspect whole, or that has no end,
// as windows that overlap. Bytes leave only after the window that they stand in
// was inspected together with what follows them.
//
//	for {
//		c, err := s.Next()     // decoded text of the next window
//		...inspect c, decide...
//		b, err := s.Emit(edits) // wire bytes that may leave now
//	}
//
// A Stream is for one goroutine. The Content and the bytes that it returns are
// good until the next call of Next; Release of that Content does nothing.
//
// Of an Endless message nothing is held back, for its sender may wait for an
// answer before it sends more. The windows overlap all the same: what is split
// over two reads is found with its second half, which then does not leave.
type Stream struct {
	c       *Content
	src     io.Reader // decoded
	raw     *tap      // of a compressed stream
	closer  io.Closer
	endless bool

	buf  []byte // decoded bytes that are not done with
	base int64  // place of buf in the decoded stream
	size int    // of the window in buf; the rest is part of a rune
	seen int    // bytes at the head of buf that stood in the window before
	next int    // where in buf the next window begins
	left int    // bytes at the head of buf that have left already
	err  error  // of src, or io.EOF

	// Lend is asked for the memory of a message that is held whole: size bytes in
	// all. It reports false if there is none. It may be nil, and is set before Next.
	Lend func(size int64) bool

	grpc    *messages // nil if it is no gRPC
	coding  string    // of a compressed stream
	problem string    // why the coding cannot be read
	tell    bool      // no window has said the problem yet
	wire    wireTurn  // of a compressed stream that is endless
	past    []byte    // the last wire bytes of such a stream that left
	lim     Limits
}

// A wireTurn says which of the two windows is next that each read of an endless
// compressed stream has: the decoded text, and the wire bytes as they came. They
// leave at once, and a decompressor may have read over the end of its stream.
type wireTurn int

const (
	wireLater wireTurn = iota // the text is next
	wireDue                   // the wire bytes are next
	wireShown                 // they are in the window that Next returned
)

// NewStream returns a Stream over head, the wire bytes that were already read,
// followed by m.Body.
func NewStream(m *Message, head []byte, lim Limits) *Stream {
	s := &Stream{endless: m.Endless, lim: lim.orDefault(), buf: make([]byte, 0, windowMax)}
	s.c = &Content{work: newWork(), stream: true}
	s.src = bytes.NewReader(head)
	if m.Body != nil {
		s.src = io.MultiReader(s.src, m.Body)
	}
	coding := codingOf(m)
	if s.grpc = newMessages(m, head); s.grpc != nil && coding == "" {
		return s
	}
	s.grpc = nil
	if c := strings.TrimSpace(coding); c == "" || strings.EqualFold(c, "identity") {
		return s
	}
	tap := &tap{r: s.src}
	r, err := inflate.Reader(coding, tap, s.lim.Ratio)
	if err != nil {
		s.problem = "content coding is not known"
		return s
	}
	s.raw, s.src, s.closer, s.coding = tap, r, r, coding
	return s
}

// Next returns the next window. It returns what has arrived rather than wait
// for a full window. At the end it returns io.EOF, after a last window.
func (s *Stream) Next() (*Content, error) {
	if s.grpc != nil {
		return s.grpc.next(s)
	}
	if s.wire == wireDue {
		return s.asWire(), nil
	}
	s.drop()
	s.seen = len(s.buf)
	if err := s.fill(); err != nil {
		return nil, err
	}
	if s.raw != nil {
		s.raw.out = s.base + int64(len(s.buf))
	}
	s.size = len(s.buf)
	if s.err == nil && !s.endless {
		s.size = wholeRunes(s.buf)
	}
	s.decode(min(s.seen, s.size))
	return s.c, nil
}

// drop forgets what is before the next window.
func (s *Stream) drop() {
	s.left = max(s.left-s.next, 0)
	s.base += int64(s.next)
	s.buf = s.buf[:copy(s.buf, s.buf[s.next:])]
	s.next = 0
}

// fill reads what has arrived, at least a byte or the end.
func (s *Stream) fill() error {
	if s.damaged() {
		s.asItCame()
	}
	if s.err != nil {
		return s.end()
	}
	for range 100 {
		n, err := s.src.Read(s.buf[len(s.buf):windowMax])
		s.buf = s.buf[:len(s.buf)+n]
		s.err = err
		switch {
		case n > 0:
			return nil
		case s.damaged():
			s.asItCame()
		case err != nil:
			return s.end()
		}
	}
	return io.ErrNoProgress
}

// damaged reports whether the decompressor gave up, not its source.
func (s *Stream) damaged() bool {
	return s.err != nil && s.err != io.EOF && s.raw != nil && s.raw.err == nil
}

// asItCame reads on without the decompressor that gave up: the windows from
// here on are wire bytes, which may be plain text, and say why they are.
func (s *Stream) asItCame() {
	s.problem = undecoded(s.err, s.coding, 0, s.lim.Ratio)
	_ = s.closer.Close()
	rest := bytes.Clone(s.raw.held[s.raw.sent:])
	s.src = io.MultiReader(bytes.NewReader(rest), s.raw.r)
	s.base += int64(len(s.buf))
	s.buf = append(s.buf[:0], s.past...)
	s.seen, s.left = len(s.buf), len(s.buf)
	s.raw, s.closer, s.err, s.tell = nil, nil, nil, true
}

// asWire returns the window of the wire bytes that are about to leave.
func (s *Stream) asWire() *Content {
	s.wire = wireShown
	c := s.c
	c.reset(s.lim, "body")
	c.body, c.cut = append(bytes.Clone(s.past), s.raw.held[s.raw.sent:]...), true
	c.offset, c.seen = s.base, len(s.past)
	if len(c.body) > 0 {
		c.readPlain(0, len(c.body), c.addDoc(doc{kind: bodyDoc}), root, unnamed, value, textForm)
	}
	c.derive()
	return c
}

// end is reached when nothing new can come. What was inspected but held back
// leaves with a last window.
func (s *Stream) end() error {
	if s.err == io.EOF && (len(s.buf) > s.left || s.raw != nil && len(s.raw.held) > s.raw.sent || s.tell) {
		return nil
	}
	if s.closer != nil {
		_ = s.closer.Close()
		s.closer = nil
	}
	return s.err
}

// wholeRunes returns the length of b without a rune that is cut at its end.
func wholeRunes(b []byte) int {
	for k := 1; k <= min(utf8.UTFMax-1, len(b)); k++ {
		if c := b[len(b)-k]; utf8.RuneStart(c) {
			if !utf8.FullRune(b[len(b)-k:]) && len(b) > k {
				return len(b) - k
			}
			break
		}
	}
	return len(b)
}

// decode decodes the window buf[:size].
func (s *Stream) decode(seen int) {
	c := s.c
	c.reset(s.lim, "body")
	c.body = s.buf[:s.size]
	c.offset, c.seen, c.cut = s.base, seen, s.err == nil
	if s.problem != "" {
		c.unread("body", s.problem)
		s.tell = false
	}
	if s.size > 0 {
		c.readPlain(0, s.size, c.addDoc(doc{kind: bodyDoc}), root, unnamed, value, textForm)
	}
	c.derive()
}

// Emit makes the edits in the window that Next returned and returns the wire
// bytes that may leave now: all but the overlap. Edits keep the length: each
// byte of the span becomes '*', whatever the edit says. A span that has left
// already, or that stands in a compressed stream, cannot be edited; that is an
// error, and nothing may leave any more.
func (s *Stream) Emit(edits []call.Edit) ([]byte, error) {
	if s.grpc != nil {
		return s.grpc.emit(s, edits)
	}
	if err := s.mask(edits); err != nil {
		return nil, err
	}
	if s.wire == wireShown {
		s.wire = wireLater
		out := s.raw.take(0, true)
		s.past = append(s.past, out...)
		s.past = s.past[:copy(s.past, s.past[max(len(s.past)-overlap, 0):])]
		return out, nil
	}
	done := s.err == io.EOF
	s.next = s.size
	if !done {
		s.next = overlapFrom(s.buf[:s.size])
	}
	switch {
	case s.raw == nil:
	case !s.endless:
		return s.raw.take(s.base+int64(s.next), done), nil
	default:
		s.wire = wireDue
		return nil, nil
	}
	to := s.next
	if s.endless {
		to = s.size
	}
	if done {
		to = len(s.buf)
		s.next = to
	}
	out := s.buf[min(s.left, to):to]
	s.left = max(s.left, to)
	return out, nil
}

// overlapFrom returns where the overlap of window b begins: not within a rune,
// and if it can be avoided not within a word.
func overlapFrom(b []byte) int {
	from := max(len(b)-overlap, 0)
	least := max(len(b)-overlapMax, 0)
	for i := from; i > least; i-- {
		if k := class[b[i-1]]; k == space || k == other && b[i-1] != '+' && b[i-1] != '=' && b[i-1] != '%' && b[i-1] < utf8.RuneSelf {
			return i
		}
	}
	for from > 0 && from > len(b)-overlap-utf8.UTFMax && !utf8.RuneStart(b[from]) {
		from--
	}
	return from
}

// mask makes the edits in buf.
func (s *Stream) mask(edits []call.Edit) error {
	if len(edits) == 0 {
		return nil
	}
	if s.raw != nil {
		return errors.New("payload: a compressed stream cannot be edited")
	}
	var all []cut
	for _, e := range edits {
		if e.Kind != call.Redact {
			return errors.New("payload: the head of a stream has left and cannot be edited")
		}
		all = append(all, cut{from: e.From, to: e.To})
	}
	wire, err := s.c.resolve(all, false)
	if err != nil {
		return err
	}
	for _, w := range wire {
		if w.from < s.left {
			return errors.New("payload: a part of a stream that has left cannot be edited")
		}
		for i := w.from; i < w.to; i++ {
			s.buf[i] = '*'
		}
	}
	return nil
}

// Offset returns where, in the decoded stream, the window begins; 0 if c is not
// a window.
func (c *Content) Offset() int64 { return c.offset }

// Repeated reports whether the span [from, to) of a window stood whole in the
// window before it, where it was inspected already.
func (c *Content) Repeated(from, to int) bool {
	if c.seen == 0 || from < 0 || from >= to || to > len(c.Text) {
		return false
	}
	wire, err := c.resolve([]cut{{from: from, to: to}}, true)
	if err != nil {
		return false
	}
	for _, w := range wire {
		if w.to > c.seen {
			return false
		}
	}
	return true
}

// A tap keeps the bytes that a decompressor reads until what they decode to was
// inspected.
type tap struct {
	r    io.Reader
	held []byte // read by the decompressor, not yet left
	sent int    // bytes of held that left with the last take
	at   []tapped
	out  int64 // decoded bytes that were returned
	err  error // of r, if that is not io.EOF
}

// tapped says that the decompressor asked for more when it had been given the
// first n bytes of held and had returned out bytes.
type tapped struct {
	n   int
	out int64
}

// Read implements io.Reader for the decompressor.
func (t *tap) Read(b []byte) (int, error) {
	t.at = append(t.at, tapped{len(t.held), t.out})
	n, err := t.r.Read(b[:min(len(b), gulp)])
	t.held = append(t.held, b[:n]...)
	if err != nil && err != io.EOF {
		t.err = err
	}
	return n, err
}

// take returns the bytes that decode to no more than the first inspected bytes
// of the stream, or all.
func (t *tap) take(inspected int64, all bool) []byte {
	t.forget()
	n, k := 0, 0
	for k < len(t.at) && t.at[k].out+lag <= inspected {
		n, k = t.at[k].n, k+1
	}
	if all {
		n, k = len(t.held), len(t.at)
	}
	t.at = t.at[:copy(t.at, t.at[k:])]
	t.sent = n
	return t.held[:n]
}

// forget drops the bytes that have left.
func (t *tap) forget() {
	t.held = t.held[:copy(t.held, t.held[t.sent:])]
	for i := range t.at {
		t.at[i].n = max(t.at[i].n-t.sent, 0)
	}
	t.sent = 0
}
