package terminal

import (
	"bytes"
	"strconv"
)

// modes are what a command has changed and not put back.
type modes struct {
	on      []int // private modes that are off by themselves
	off     []int // those that are on by themselves
	pushed  bool  // keyboard flags
	keys    bool  // modifyOtherKeys
	keypad  bool
	insert  bool
	margins bool
	shape   bool
	style   bool
	charset bool
	newline bool
	colours uint32 // of which 1<<n is set: 0 the palette, 1 special, 10 to 19 text, ground, cursor …
}

// command follows what an OSC does to the colours: a command could leave them so
// that what we say after it cannot be read.
func (m *modes) command(s []byte) {
	number, rest, _ := bytes.Cut(s, []byte(";"))
	n, err := strconv.Atoi(string(number))
	switch {
	case err != nil || bytes.IndexByte(rest, '?') >= 0:
	case n == 4 || n == 5:
		m.colours |= 1 << (n - 4)
	case n >= 10 && n <= 19:
		m.colours |= 1 << n
	case (n == 104 || n == 105) && len(rest) == 0:
		m.colours &^= 1 << (n - 104)
	case n >= 110 && n <= 119:
		m.colours &^= 1 << (n - 100)
	}
}

// most bounds the list of modes: there are not so many.
const mostModes = 64

// restored are the private modes that Reset puts back, in its order: what types
// into the user's shell first.
var restored = []int{9, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1015, 1016, 2004, 2031, 2048, 2026, 1, 66, 5, 6, 69, 1049, 1047, 47}

// onByDefault are those that are on in a terminal that nobody has changed.
var onByDefault = []int{7, 25}

func (m *modes) escape(seq []byte) {
	switch last := seq[len(seq)-1]; {
	case len(seq) == 2 && last == '=':
		m.keypad = true
	case len(seq) == 2 && last == '>':
		m.keypad = false
	case len(seq) == 2 && last == 'c':
		*m = modes{colours: m.colours}
	case len(seq) == 3 && seq[1] == '(':
		m.charset = last != 'B'
	case len(seq) == 3 && seq[1] == ')' && last != 'B':
		m.charset = true // SO may have switched to it
	}
}

func (m *modes) control(c csi) {
	switch {
	case c.prefix == '?' && (c.final == 'h' || c.final == 'l') && c.inter == "":
		c.numbers(func(n int) { m.set(n, c.final == 'h') })
	case c.prefix == '>' && c.final == 'u':
		m.pushed = true
	case c.prefix == '=' && c.final == 'u':
		m.pushed = true
	case c.prefix == '<' && c.final == 'u':
		m.pushed = false
	case c.prefix == '>' && (c.final == 'm' || c.final == 'n'):
		m.keys = len(c.params) > 2 && c.final == 'm'
	case c.prefix == 0 && c.inter == " " && c.final == 'q':
		m.shape = c.first() > 0
	case c.prefix == 0 && c.inter == "!" && c.final == 'p':
		on := m.on
		*m = modes{on: on, pushed: m.pushed, colours: m.colours}
	case c.prefix != 0 || c.inter != "":
	case c.final == 'm':
		m.style = len(c.params) > 0 && string(c.params) != "0"
	case c.final == 'r':
		m.margins = len(c.params) > 0
	case c.final == 'h' || c.final == 'l':
		c.numbers(func(n int) {
			switch n {
			case 4:
				m.insert = c.final == 'h'
			case 20:
				m.newline = c.final == 'h'
			}
		})
	}
}

func (m *modes) set(n int, on bool) {
	list, add := &m.on, on
	for _, d := range onByDefault {
		if n == d {
			list, add = &m.off, !on
		}
	}
	for i, have := range *list {
		if have == n {
			if !add {
				*list = append((*list)[:i], (*list)[i+1:]...)
			}
			return
		}
	}
	if add && len(*list) < mostModes {
		*list = append(*list, n)
	}
}

// Reset returns what puts the terminal in order after a command that left it
// otherwise, and forgets an incomplete sequence. For one that put everything back
// it is empty.
func (f *Filter) Reset() []byte {
	var b []byte
	m := &f.modes
	has := func(list []int, n int) bool {
		for _, l := range list {
			if l == n {
				return true
			}
		}
		return false
	}
	private := func(n int, end byte) {
		b = append(strconv.AppendInt(append(b, esc, '[', '?'), int64(n), 10), end)
	}
	add := func(changed bool, s string) {
		if changed {
			b = append(b, s...)
		}
	}
	add(m.pushed, "\x1b[<16u") // of this screen
	for _, n := range restored {
		if has(m.on, n) {
			private(n, 'l')
		}
	}
	add(m.pushed && (has(m.on, 1049) || has(m.on, 1047) || has(m.on, 47)), "\x1b[<16u") // of the other
	for _, n := range onByDefault {
		if has(m.off, n) {
			private(n, 'h')
		}
	}
	add(m.keys, "\x1b[>4m")
	add(m.keypad, "\x1b>")
	add(m.insert, "\x1b[4l")
	add(m.newline, "\x1b[20l")
	for n := range 20 {
		if m.colours&(1<<n) != 0 {
			b = append(strconv.AppendInt(append(b, esc, ']'), int64(104+n-n/10*4), 10), bel)
		}
	}
	add(m.margins, "\x1b7\x1b[r\x1b8")
	add(m.shape, "\x1b[0 q")
	add(m.charset, "\x0f\x1b(B")
	add(m.style, "\x1b[m")
	f.state, f.chars, f.modes = ground, 0, modes{}
	return b
}
