package terminal

import (
	"encoding/binary"
	"io"
	"unicode/utf8"
)

// A Filter passes what may reach the user's terminal. The zero value is ready.
// It is not safe for concurrent use.
type Filter struct {
	state state
	seq   []byte // the sequence so far, from its ESC on
	over  bool   // it is too long to be let pass
	char  [utf8.UTFMax]byte
	chars int // bytes of a character so far
	modes modes
	asked bool // a question passed since Asked was asked
	held  [kinds]int
}

type state byte

const (
	ground    state = iota
	escape          // ESC and perhaps intermediates
	control         // CSI
	command         // OSC
	commandST       // ESC in an OSC
	text            // DCS and the like: all is held back
	textST          // ESC in it
	palette         // OSC P of the Linux console: seven digits and no end
)

// The controls that have a meaning here.
const (
	enq = 0x05
	bel = 0x07
	can = 0x18
	sub = 0x1a
	esc = 0x1b
	del = 0x7f
)

// A control sequence and a command that are longer are held back.
const (
	controlMax = 256
	commandMax = 1024
)

// Append appends what may pass of p, and of what was held before, to dst. It
// allocates nothing if dst has room.
func (f *Filter) Append(dst, p []byte) []byte {
	for len(p) > 0 {
		if f.state == ground && f.chars == 0 {
			n := f.clean(p)
			dst = append(dst, p[:n]...)
			if p = p[n:]; len(p) == 0 {
				break
			}
		}
		if f.state == text || f.state == command && f.over {
			p = p[f.skip(p):]
			if len(p) == 0 {
				break
			}
		}
		dst = f.step(dst, p[0])
		p = p[1:]
	}
	return dst
}

// clean returns how many bytes at the start of p are whole characters, and whole
// sequences of the most usual kind, that pass as they are.
func (f *Filter) clean(p []byte) int {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	i := 0
	for {
		for i+8 <= len(p) {
			x := binary.LittleEndian.Uint64(p[i:])
			// a byte that is zero in one of these is an ESC or ENQ
			a, b := x^(ones*esc), x^(ones*enq)
			if (x|(a-ones)&^a|(b-ones)&^b)&high != 0 {
				break
			}
			i += 8
		}
		for end := i + 8; ; {
			if i >= len(p) || p[i] == enq {
				return i
			}
			switch {
			case p[i] == esc:
				n := f.usual(p[i:])
				if n == 0 {
					return i
				}
				i += n
				end = i + 8
			case p[i] < utf8.RuneSelf:
				i++
			default:
				r, n := utf8.DecodeRune(p[i:])
				if r == utf8.RuneError && n == 1 || r < 0xa0 {
					return i
				}
				i += n
				end = i + 8 // text of others is full of such
			}
			if i >= end {
				break
			}
		}
	}
}

// usual returns the length of the control sequence at the start of p, if it is
// whole and one that colours, moves or erases; else 0.
func (f *Filter) usual(p []byte) int {
	if len(p) < 3 || p[1] != '[' {
		return 0
	}
	for i, b := range p[2:min(len(p), controlMax)] {
		switch {
		case b >= '0' && b <= ';':
			continue
		case b == 'm':
			f.modes.style = i > 1 || i == 1 && p[2] != '0'
		case b >= 'A' && b <= 'H', b == 'J', b == 'K', b == 'd':
		default:
			return 0
		}
		return i + 3
	}
	return 0
}

// skip returns how many bytes at the start of p are surely within a text that is
// held back.
func (f *Filter) skip(p []byte) int {
	for i, b := range p {
		if b < 0x20 {
			return i
		}
	}
	return len(p)
}

// step takes one byte.
func (f *Filter) step(dst []byte, b byte) []byte {
	if f.chars > 0 || f.state == ground && b >= utf8.RuneSelf {
		return f.character(dst, b)
	}
	switch f.state {
	case ground:
		return f.plain(dst, b)
	case escape:
		return f.escape(dst, b)
	case control:
		return f.control(dst, b)
	case command:
		return f.command(dst, b)
	case text:
		switch b {
		case esc:
			f.state = textST
		case can, sub:
			f.state = ground
		}
		return dst
	case commandST, textST:
		if b == '\\' {
			was := f.state
			f.state = ground
			if was == commandST {
				return f.endCommand(dst, '\\')
			}
			return dst
		}
		f.hold(strings_)
		f.begin()
		return f.escape(dst, b)
	case palette:
		if f.seq = append(f.seq, b); len(f.seq) > 9 || b < '0' { // ESC ] P and seven digits
			f.state = ground
			if b < '0' {
				return f.plain(dst, b)
			}
		}
	}
	return dst
}

func (f *Filter) begin() {
	f.state, f.seq, f.over = escape, append(f.seq[:0], esc), false
}

// plain takes a byte outside of sequences.
func (f *Filter) plain(dst []byte, b byte) []byte {
	switch b {
	case esc:
		f.begin()
	case enq:
		f.hold(reports)
	default:
		dst = append(dst, b)
	}
	return dst
}

// character takes a byte of a character of several, or what should be one.
func (f *Filter) character(dst []byte, b byte) []byte {
	f.char[f.chars] = b
	f.chars++
	c := f.char[:f.chars]
	if !utf8.FullRune(c) {
		return dst
	}
	f.chars = 0
	r, n := utf8.DecodeRune(c)
	switch {
	case r == utf8.RuneError && n == 1:
		dst = utf8.AppendRune(dst, utf8.RuneError)
		var rest [utf8.UTFMax]byte
		for _, b := range rest[:copy(rest[:], c[1:])] {
			dst = f.step(dst, b)
		}
		return dst
	case r < 0xa0:
		f.hold(c1)
		return dst
	}
	return append(dst, c...)
}

// inSequence takes what may stand within any sequence. It reports whether b was
// that.
func (f *Filter) inSequence(dst []byte, b byte) ([]byte, bool) {
	switch {
	case b == esc:
		f.hold(malformed)
		f.begin()
	case b == can || b == sub:
		f.hold(malformed)
		f.state = ground
	case b == enq:
		f.hold(reports)
	case b < 0x20:
		dst = append(dst, b) // terminals obey it at once
	case b == del: // is ignored
	case b >= utf8.RuneSelf:
		f.hold(malformed)
		f.state = ground
		dst = f.step(dst, b)
	default:
		return dst, false
	}
	return dst, true
}

// escape takes a byte after ESC.
func (f *Filter) escape(dst []byte, b byte) []byte {
	dst, done := f.inSequence(dst, b)
	if done {
		return dst
	}
	f.add(b, controlMax)
	if b < 0x30 { // an intermediate: more follows
		return dst
	}
	f.state = ground
	if len(f.seq) == 2 {
		switch b {
		case '[':
			f.state = control
			return dst
		case ']':
			f.state = command
			return dst
		case 'P', 'X', '^', '_', 'k':
			f.state = text
			f.hold(strings_)
			return dst
		}
	}
	if f.over || !mayEscape(f.seq) {
		f.hold(controls)
		return dst
	}
	f.modes.escape(f.seq)
	f.asked = f.asked || b == 'Z'
	return append(dst, f.seq...)
}

func (f *Filter) add(b byte, most int) {
	if len(f.seq) >= most {
		f.over = true
		return
	}
	f.seq = append(f.seq, b)
}

// control takes a byte after CSI.
func (f *Filter) control(dst []byte, b byte) []byte {
	dst, done := f.inSequence(dst, b)
	if done {
		return dst
	}
	f.add(b, controlMax)
	if b < 0x40 {
		return dst
	}
	f.state = ground
	c, ok := parse(f.seq[2:])
	if f.over || !ok {
		f.hold(malformed)
		return dst
	}
	if k := c.kind(); k != 0 {
		f.hold(k)
		return dst
	}
	f.modes.control(c)
	f.asked = f.asked || c.asks()
	return append(dst, f.seq...)
}

// command takes a byte after OSC.
func (f *Filter) command(dst []byte, b byte) []byte {
	switch {
	case b == bel:
		f.state = ground
		return f.endCommand(dst, bel)
	case b == esc:
		f.state = commandST
	case b == can || b == sub:
		f.state = ground
		f.hold(strings_)
	case len(f.seq) == 2 && b == 'R': // the Linux console's own, without an end
		f.state = ground
		f.hold(controls)
	case len(f.seq) == 2 && b == 'P':
		f.state = palette
		f.seq = append(f.seq, b)
		f.hold(controls)
	default:
		f.add(b, commandMax)
	}
	return dst
}

// endCommand lets a command pass, or not. Its end is passed on as it came.
func (f *Filter) endCommand(dst []byte, end byte) []byte {
	k, asks := kindOfCommand(f.seq[2:])
	if k == 0 && f.over {
		k = malformed
	}
	if k != 0 {
		f.hold(k)
		return dst
	}
	f.asked = f.asked || asks
	f.modes.command(f.seq[2:])
	dst = append(dst, f.seq...)
	if end == '\\' {
		dst = append(dst, esc)
	}
	return append(dst, end)
}

// Asked reports whether a question passed since it was called last: an answer
// may come.
func (f *Filter) Asked() bool {
	was := f.asked
	f.asked = false
	return was
}

// A Writer writes to W what may pass.
type Writer struct {
	W io.Writer
	Filter
	buf []byte
}

// Write implements io.Writer. What was held back counts as written.
func (w *Writer) Write(p []byte) (int, error) {
	w.buf = w.Append(w.buf[:0], p)
	if len(w.buf) > 0 {
		if _, err := w.W.Write(w.buf); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}
