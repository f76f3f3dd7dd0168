package wsframe

import (
	"encoding/binary"
	"fmt"
)

// An Opcode says what a frame is (RFC 6455 §5.2).
type Opcode byte

// The opcodes that are defined.
const (
	Continuation Opcode = 0
	Text         Opcode = 1
	Binary       Opcode = 2
	Close        Opcode = 8
	Ping         Opcode = 9
	Pong         Opcode = 10
)

// Control reports whether o is that of a control frame.
func (o Opcode) Control() bool { return o >= Close }

func (o Opcode) known() bool { return o <= Binary || o >= Close && o <= Pong }

// Codes of Close frames (RFC 6455 §7.4.1).
const (
	GoingAway     = 1001
	ProtocolError = 1002
	InvalidData   = 1007
	Refused       = 1008 // "policy violation"
	TooBig        = 1009
	TryAgainLater = 1013
)

// Bounds of frames, in bytes.
const (
	ControlMax = 125            // payload of a control frame
	ReasonMax  = ControlMax - 2 // reason in a Close frame
	headerMax  = 2 + 8 + len(key{})
)

type key = [4]byte

// A Fault is what is wrong with what an endpoint sent.
type Fault struct {
	Code int    // for a Close frame
	Why  string // without any of the payload
}

func (f *Fault) Error() string { return "wsframe: " + f.Why }

func wrong(format string, arg ...any) *Fault {
	return &Fault{ProtocolError, fmt.Sprintf(format, arg...)}
}

// A Header is the head of a frame.
type Header struct {
	Fin        bool
	Compressed bool // RSV1
	Op         Opcode
	Masked     bool
	Key        key // if Masked
	Length     int64
}

// Parse reads the header that b begins with and returns its length, 0 if more
// of b is needed. The error is a *Fault.
func Parse(b []byte) (h Header, n int, err error) {
	if len(b) < 2 {
		return h, 0, nil
	}
	h.Fin, h.Compressed, h.Op = b[0]&0x80 != 0, b[0]&0x40 != 0, Opcode(b[0]&15)
	h.Masked, h.Length = b[1]&0x80 != 0, int64(b[1]&0x7f)
	switch {
	case b[0]&0x30 != 0:
		return h, 0, wrong("a frame has reserved bits set")
	case !h.Op.known():
		return h, 0, wrong("a frame has the reserved opcode %d", h.Op)
	case h.Op.Control() && (h.Length > ControlMax || !h.Fin):
		return h, 0, wrong("a control frame is fragmented or longer than %d bytes", ControlMax)
	}
	n = 2
	switch h.Length {
	case 126:
		if n += 2; len(b) < n {
			return h, 0, nil
		}
		if h.Length = int64(binary.BigEndian.Uint16(b[2:])); h.Length < 126 {
			return h, 0, wrong("the length of a frame is not written as short as it can be")
		}
	case 127:
		if n += 8; len(b) < n {
			return h, 0, nil
		}
		if h.Length = int64(binary.BigEndian.Uint64(b[2:])); h.Length < 1<<16 { // also a set top bit
			return h, 0, wrong("the length of a frame is negative or not written as short as it can be")
		}
	}
	if h.Masked {
		if len(b) < n+len(h.Key) {
			return h, 0, nil
		}
		n += copy(h.Key[:], b[n:])
	}
	return h, n, nil
}

// Append appends h as it stands on the wire.
func (h *Header) Append(dst []byte) []byte {
	first, second := byte(h.Op), byte(0)
	if h.Fin {
		first |= 0x80
	}
	if h.Compressed {
		first |= 0x40
	}
	if h.Masked {
		second = 0x80
	}
	switch {
	case h.Length < 126:
		dst = append(dst, first, second|byte(h.Length))
	case h.Length < 1<<16:
		dst = append(dst, first, second|126)
		dst = binary.BigEndian.AppendUint16(dst, uint16(h.Length))
	default:
		dst = append(dst, first, second|127)
		dst = binary.BigEndian.AppendUint64(dst, uint64(h.Length))
	}
	if h.Masked {
		dst = append(dst, h.Key[:]...)
	}
	return dst
}

// Mask masks b, or unmasks it, in place. from is how many bytes of the frame's
// payload stand before b.
func Mask(b []byte, k [4]byte, from int) {
	for ; len(b) > 0 && from&3 != 0; b, from = b[1:], from+1 {
		b[0] ^= k[from&3]
	}
	wide := uint64(binary.LittleEndian.Uint32(k[:]))
	wide |= wide << 32
	for ; len(b) >= 8; b = b[8:] {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^wide)
	}
	for i := range b {
		b[i] ^= k[i&3]
	}
}

// AppendFrame appends a whole frame, unmasked, as servers send it.
func AppendFrame(dst []byte, op Opcode, payload []byte) []byte {
	h := Header{Fin: true, Op: op, Length: int64(len(payload))}
	return append(h.Append(dst), payload...)
}

// ClosePayload returns the payload of a Close frame. The reason is cut at
// ReasonMax bytes, between characters.
func ClosePayload(code int, reason string) []byte {
	for len(reason) > ReasonMax {
		n := ReasonMax
		for n > 0 && reason[n]&0xc0 == 0x80 {
			n--
		}
		reason = reason[:n]
	}
	return append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...)
}
