package payload

import (
	"bytes"
	"unicode/utf8"
)

// mark notes that Text goes on like the document from in on.
func (c *Content) mark(in int) {
	c.runs = append(c.runs, run{int32(len(c.Text)), int32(in)})
}

// copyText appends s, which stands at in. Each maximal stretch of invalid
// UTF-8 becomes one U+FFFD. It reports whether there was none.
func (c *Content) copyText(s []byte, in int) bool {
	c.mark(in)
	if utf8.Valid(s) {
		c.Text = append(c.Text, s...)
		return true
	}
	c.repair(s, in)
	return false
}

// repair is copyText for what is not valid, without the first mark.
func (c *Content) repair(s []byte, in int) {
	from := 0
	for i := 0; i < len(s); {
		if s[i] < utf8.RuneSelf {
			i++
			continue
		}
		if _, n := utf8.DecodeRune(s[i:]); n > 1 {
			i += n
			continue
		}
		c.Text = append(c.Text, s[from:i]...)
		i += invalid(s[i:])
		c.Text = append(c.Text, "\uFFFD"...)
		c.mark(in + i)
		from = i
	}
	c.Text = append(c.Text, s[from:]...)
}

// invalid returns the length of the stretch of invalid UTF-8 that s begins with.
func invalid(s []byte) int {
	i := 1
	for i < len(s) && s[i] >= utf8.RuneSelf {
		if _, n := utf8.DecodeRune(s[i:]); n > 1 {
			break
		}
		i++
	}
	return i
}

// percentText appends s, which stands at in, with %XX decoded and, if plus, '+'
// as a space. What is no escape stays as it is.
func (c *Content) percentText(s []byte, in int, plus bool) {
	escaped := bytes.IndexByte(s, '%') >= 0
	if !escaped && (!plus || bytes.IndexByte(s, '+') < 0) {
		c.copyText(s, in)
		return
	}
	w := c.work
	w.bytes, w.at = w.bytes[:0], w.at[:0]
	for i := 0; i < len(s); {
		w.at = append(w.at, int32(in+i))
		b, n := s[i], 1
		switch {
		case b == '+' && plus:
			b = ' '
		case b == '%' && i+2 < len(s) && nibble(s[i+1]) >= 0 && nibble(s[i+2]) >= 0:
			b, n = byte(nibble(s[i+1])<<4|nibble(s[i+2])), 3
		}
		w.bytes = append(w.bytes, b)
		i += n
	}
	w.at = append(w.at, int32(in+len(s)))
	c.decodedText(w.bytes, w.at)
}

// decodedText appends b, of which byte i was written from at[i] up to at[i+1].
func (c *Content) decodedText(b []byte, at []int32) {
	c.mark(int(at[0]))
	for i := 0; i < len(b); {
		_, n := utf8.DecodeRune(b[i:])
		if n == 1 && b[i] >= utf8.RuneSelf {
			i += invalid(b[i:])
			c.Text = append(c.Text, "\uFFFD"...)
			c.mark(int(at[i]))
			continue
		}
		c.Text = append(c.Text, b[i:i+n]...)
		if int(at[i+n]-at[i]) != n {
			c.mark(int(at[i+n]))
		}
		i += n
	}
}

func nibble(b byte) int {
	switch {
	case b >= '0' && b <= '9':
		return int(b - '0')
	case b|0x20 >= 'a' && b|0x20 <= 'f':
		return int(b|0x20-'a') + 10
	}
	return -1
}
