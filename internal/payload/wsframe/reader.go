package wsframe

import (
	"bufio"
	"encoding/binary"
	"io"
	"slices"
	"unicode/utf8"
)

const (
	buffer    = 4 << 10  // bytes read ahead
	keep      = 64 << 10 // bytes that a Reader holds between messages
	framesMax = 16 << 10 // of one message, whose bounds are kept
)

// A Message is one that came whole.
type Message struct {
	Op         Opcode // not Continuation
	Compressed bool   // Payload must be inflated to be read
	Payload    []byte // unmasked; the caller may change it
	Frames     []int  // where in Payload each of its frames ends; the last of very many may be joined
}

// A Reader reads what a client sends. Its exported fields are set before the
// first Next. It belongs to one goroutine.
type Reader struct {
	R       io.Reader
	Deflate bool // permessage-deflate was agreed on
	Max     int64
	// Grow, if not nil, is asked before the payload takes more memory than 64
	// KiB, with the size in bytes it will then have. An error of it ends Next.
	Grow func(size int64) error

	br    *bufio.Reader
	order order
	op    Opcode
	coded bool
	data  []byte
	ends  []int
	over  bool // data was handed out
	ctl   [ControlMax]byte
	one   [1]int
}

// Next returns the next message, or the control frame that stands inside it.
// It is valid until the next call. The error is a *Fault, io.EOF between
// messages, io.ErrUnexpectedEOF inside one, or that of the connection.
func (r *Reader) Next() (Message, error) {
	if r.br == nil {
		r.br = bufio.NewReaderSize(r.R, buffer)
		r.order.masked, r.order.deflate = true, r.Deflate
	}
	if r.over {
		r.over = false
		if cap(r.data) > keep {
			r.data = nil
		}
		r.data, r.ends = r.data[:0], r.ends[:0]
	}
	for {
		h, err := r.header()
		if err != nil {
			return Message{}, err
		}
		if h.Op.Control() {
			return r.control(&h)
		}
		if err := r.fragment(&h); err != nil {
			return Message{}, err
		}
		if h.Fin {
			return r.whole()
		}
	}
}

// header reads a header and checks that it may come now.
func (r *Reader) header() (Header, error) {
	for n := 2; ; {
		b, err := r.br.Peek(n)
		h, used, bad := Parse(b)
		switch {
		case bad != nil:
			return h, bad
		case used > 0:
			r.br.Discard(used)
			return h, r.order.take(&h)
		case err == io.EOF && (len(b) > 0 || r.order.inside):
			return h, io.ErrUnexpectedEOF
		case err != nil:
			return h, err
		}
		n = min(max(n, len(b))+1, headerMax)
	}
}

// control reads the payload of a control frame.
func (r *Reader) control(h *Header) (Message, error) {
	b := r.ctl[:h.Length]
	if err := r.full(b); err != nil {
		return Message{}, err
	}
	Mask(b, h.Key, 0)
	if h.Op == Close {
		if err := checkClose(b); err != nil {
			return Message{}, err
		}
	}
	r.one[0] = len(b)
	return Message{Op: h.Op, Payload: b, Frames: r.one[:]}, nil
}

// checkClose holds the payload of a Close frame to RFC 6455 §5.5.1 and §7.4.
func checkClose(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if len(b) == 1 {
		return wrong("a Close frame has half a code")
	}
	switch code := binary.BigEndian.Uint16(b); {
	case code < 1000, code == 1004, code == 1005, code == 1006, code > 1014 && code < 3000, code >= 5000:
		return wrong("a Close frame has the code %d, which is not for the wire", code)
	case !utf8.Valid(b[2:]):
		return &Fault{InvalidData, "the reason of a Close frame is not UTF-8"}
	}
	return nil
}

// fragment reads the payload of a data frame. Memory doubles as bytes arrive.
func (r *Reader) fragment(h *Header) error {
	if h.Op != Continuation {
		r.op, r.coded = h.Op, h.Compressed
	}
	if h.Length > r.Max-int64(len(r.data)) {
		return &Fault{TooBig, "a message is longer than can be inspected"}
	}
	start := len(r.data)
	for left := int(h.Length); left > 0; {
		if len(r.data) == cap(r.data) {
			more := min(left, max(len(r.data), buffer))
			if size := int64(len(r.data) + more); r.Grow != nil && size > keep {
				if err := r.Grow(size); err != nil {
					return err
				}
			}
			r.data = slices.Grow(r.data, more)
		}
		n := min(left, cap(r.data)-len(r.data))
		b := r.data[len(r.data) : len(r.data)+n]
		if err := r.full(b); err != nil {
			return err
		}
		r.data = r.data[:len(r.data)+n]
		left -= n
	}
	Mask(r.data[start:], h.Key, 0)
	if len(r.ends) == framesMax {
		r.ends = r.ends[:framesMax-1]
	}
	r.ends = append(r.ends, len(r.data))
	return nil
}

func (r *Reader) full(b []byte) error {
	_, err := io.ReadFull(r.br, b)
	if err == io.EOF && len(b) > 0 {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// whole returns the message that is complete.
func (r *Reader) whole() (Message, error) {
	r.over = true
	if r.op == Text && !r.coded && !utf8.Valid(r.data) {
		return Message{}, NotText
	}
	return Message{Op: r.op, Compressed: r.coded, Payload: r.data, Frames: r.ends}, nil
}

// NotText is the fault of text that is not UTF-8. Whoever inflates a message
// looks for it there.
var NotText = &Fault{InvalidData, "a message of text is not UTF-8"}
