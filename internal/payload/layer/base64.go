package layer

import "outvet/internal/payload/inflate"

// least64 is the shortest run of base64, hex or base32 that is decoded.
const least64 = 16

// A line is one line of a run: run[at:] goes on like text[from:].
type line struct{ at, from int }

// bad marks a character that is not of the alphabet.
const bad = 0xff

// value64 holds the values of both alphabets.
var value64 = func() (t [256]uint8) {
	for i := range t {
		t[i] = bad
	}
	const std = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for i := range len(std) {
		t[std[i]] = uint8(i)
	}
	t['-'], t['_'] = 62, 63
	return t
}()

// runs finds what is written in runs of the base64 alphabet, which are also
// those of hex and base32.
func (f *finder) runs(text []byte) {
	for i := 0; ; {
		s, e := next(text, i, inBase64, least64)
		if s < 0 {
			return
		}
		f.hex(text, s, e)
		f.base32(text, s, e)
		i = f.base64(text, s, e)
	}
}

// base64 opens the run text[s:e], joined with the lines that follow it, and
// returns where the search goes on. What stands in front of the encoded
// characters may be of the same alphabet, so all four alignments are read.
func (f *finder) base64(text []byte, s, e int) int {
	run, end := f.join(text, s, e)
	for phase := range 4 {
		span := func(a, z int) (int, int) {
			from, to := phase+a*8/6, min(phase+(z*8+5)/6, len(run))
			return f.place(from), f.after(text, to, len(run), end)
		}
		f.bytes = decode64(f.bytes[:0], run[phase:])
		f.regions("base64", phase == 0, leastText, span)
	}
	f.zlib64(text, run, end)
	return end
}

// zlib64 opens zlib that begins behind a separator within the first characters
// of a run. Its magic is too short to be looked for everywhere.
func (f *finder) zlib64(text, run []byte, end int) {
	for i := 1; i < min(len(run)-least64+1, 256); i++ {
		if run[i] != 'e' || class[run[i-1]]&inWord != 0 && run[i-1] != '_' {
			continue
		}
		f.bytes = decode64(f.bytes[:0], run[i:min(i+8, len(run))])
		if inflate.Magic(f.bytes) == "zlib" {
			f.bytes = decode64(f.bytes[:0], run[i:])
			f.give("base64", f.place(i), f.after(text, len(run), len(run), end), f.bytes, false)
			return
		}
	}
}

// decode64 appends what run holds. The bits of a last character that make no
// byte are dropped.
func decode64(dst, run []byte) []byte {
	i := 0
	for ; i+4 <= len(run); i += 4 {
		v := uint32(value64[run[i]])<<18 | uint32(value64[run[i+1]])<<12 | uint32(value64[run[i+2]])<<6 | uint32(value64[run[i+3]])
		dst = append(dst, byte(v>>16), byte(v>>8), byte(v))
	}
	switch len(run) - i {
	case 2:
		dst = append(dst, value64[run[i]]<<2|value64[run[i+1]]>>4)
	case 3:
		dst = append(dst, value64[run[i]]<<2|value64[run[i+1]]>>4, value64[run[i+1]]<<4|value64[run[i+2]]>>2)
	}
	return dst
}

// join returns the run text[s:e] with the lines of base64 that follow it: lines
// of the same length, and a last one that is shorter and ends its line.
func (f *finder) join(text []byte, s, e int) (run []byte, end int) {
	f.lines = append(f.lines[:0], line{0, s})
	width := e - s
	end = e
	for {
		from := lineBreak(text, end)
		if from < 0 {
			break
		}
		to := from
		for to < len(text) && to-from <= width && class[text[to]]&inBase64 != 0 {
			to++
		}
		n := to - from
		if n == 0 || n > width || n < width && !endsLine(text, to) {
			break
		}
		if len(f.lines) == 1 {
			f.run = append(f.run[:0], text[s:e]...)
		}
		f.lines = append(f.lines, line{len(f.run), from})
		f.run = append(f.run, text[from:to]...)
		end = to
		if n < width {
			break
		}
	}
	if len(f.lines) == 1 {
		return text[s:e], e
	}
	return f.run, end
}

// lineBreak returns where the line after text[i:] begins, behind its
// indentation, if text[i:] begins with a line break; otherwise -1.
func lineBreak(text []byte, i int) int {
	if i < len(text) && text[i] == '\r' {
		i++
	}
	if i >= len(text) || text[i] != '\n' {
		return -1
	}
	i++
	for k := 0; k < 64 && i < len(text) && (text[i] == ' ' || text[i] == '\t'); k++ {
		i++
	}
	return i
}

// endsLine reports whether a line of base64 may end at text[i].
func endsLine(text []byte, i int) bool {
	if i >= len(text) {
		return true
	}
	switch text[i] {
	case '=', '\n', '\r', '"', '\'', '`', '<', ')', '\\':
		return true
	}
	return false
}

// place returns where in the text the character at of the run stands.
func (f *finder) place(at int) int {
	l := f.lineOf(at)
	return l.from + at - l.at
}

// lineOf returns the last line that begins at or before at.
func (f *finder) lineOf(at int) line {
	lo, hi := 0, len(f.lines)-1
	for lo < hi {
		mid := (lo + hi + 1) / 2
		if f.lines[mid].at <= at {
			lo = mid
		} else {
			hi = mid - 1
		}
	}
	return f.lines[lo]
}

// after returns the end in the text of the part of the run before to, with the
// padding if that is all of it.
func (f *finder) after(text []byte, to, n, end int) int {
	if to < n {
		return f.place(to-1) + 1
	}
	return padded(text, end, 2)
}

// padded returns the end of the padding, at most most characters, at text[end:].
func padded(text []byte, end, most int) int {
	for ; most > 0 && end < len(text) && text[end] == '='; most-- {
		end++
	}
	return end
}
