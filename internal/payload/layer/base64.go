package layer

import (
	"bytes"
	"slices"

	"outvet/internal/payload/inflate"
)

// least64 is the shortest run of base64, hex or base32 that is decoded.
const least64 = 16

// A line is one line of a run: run[at:] goes on like text[from:].
type line struct{ at, from int }

// leastMagic64 is the shortest run of base64 in which compressed bytes are
// looked for anywhere.
const leastMagic64 = 24

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

// A span says where a part of a run stands in the text.
type span func(from, to int) (start, end int)

// runs finds what is written in runs of the base64 alphabet, which are also
// those of hex and base32. What stands in front of the encoded characters may be
// of the same alphabet, so every alignment is read.
func (f *finder) runs(text []byte) {
	for i := 0; ; {
		s, e := next(text, i, inBase64, least64)
		if s < 0 {
			return
		}
		run, end := text[s:e], e
		if f.lines = append(f.lines[:0], line{0, s}); e < len(text) && (text[e] == '\n' || text[e] == '\r') {
			run, end = f.join(text, s, e)
		}
		at := func(from, to int) (int, int) {
			return f.place(from), f.after(text, to, len(run), end)
		}
		f.open(run, at)
		i = end
	}
}

// open opens what is written in run.
func (f *finder) open(run []byte, at span) {
	allHex := areHex(run)
	if allHex {
		f.digits(run, at)
		// It is a digest, most often; base64 of text has other letters.
		if len(run) >= 2*least64 {
			return
		}
	}
	may := sift(run)
	if may&mayHex != 0 && !allHex {
		f.hex(run, at)
	}
	if may&(mayUpper32|mayLower32) != 0 {
		f.base32(run, at)
	}
	if may&mayBase64 != 0 || f.may64(run) {
		f.base64(run, at)
	}
}

// base64 opens a run of base64.
func (f *finder) base64(run []byte, at span) {
	magic, skip := f.magic64(run)
	f.text("base64", group64, run[:magic], leastText, at)
	if magic < len(run) {
		f.bytes = decode64(f.bytes[:0], run[magic:])
		start, end := at(magic, len(run))
		f.give("base64", start, end, f.bytes[min(skip, len(f.bytes)):], false)
	}
	f.zlib64(run, at)
}

// magics64 are what the magics of gzip and zstd become at each place in a
// group: at is that of the group from there, skip the bytes of it in front.
var magics64 = []struct {
	chars    []byte
	at, skip int
}{
	{[]byte("H4sI"), 0, 0}, {[]byte("+LC"), -2, 1}, {[]byte("-LC"), -2, 1}, {[]byte("fiw"), -3, 2},
	{[]byte("KLUv"), 0, 0}, {[]byte("i1L"), -2, 1}, {[]byte("otS"), -3, 2},
}

// magic64 returns the group of run in which compressed bytes begin, and how
// many bytes of it stand before them; len(run) if there are none.
func (f *finder) magic64(run []byte) (at, skip int) {
	best, skip := len(run), 0
	if len(run) < leastMagic64 {
		return best, 0
	}
	var buf [9]byte
	for _, m := range magics64 {
		for i := 0; i < best; {
			k := bytes.Index(run[i:best], m.chars)
			if k < 0 {
				break
			}
			i += k
			if from := i + m.at; from >= 0 {
				head := decode64(buf[:0], run[from:min(from+12, len(run))])
				if inflate.Magic(head[min(m.skip, len(head)):]) != "" && f.begun64(run[from:], m.skip) {
					best, skip = from, m.skip
					break
				}
			}
			i++
		}
	}
	return best, skip
}

// begun64 is begun for run, less the first skip bytes that it holds.
func (f *finder) begun64(run []byte, skip int) bool {
	f.bytes = decode64(f.bytes[:0], run[:min(len(run), leastProbe)])
	return f.begun(f.bytes[skip:])
}

// zlib64 opens zlib that begins at the start of a run, or behind a separator
// within its first characters. Its magic is too short to be looked for
// everywhere.
func (f *finder) zlib64(run []byte, at span) {
	for i := 0; i < min(len(run)-least64+1, 256); i++ {
		if run[i] != 'e' || i > 3 && !isSeparator(run[i-1]) {
			continue
		}
		f.bytes = decode64(f.bytes[:0], run[i:min(i+8, len(run))])
		if inflate.Magic(f.bytes) == "zlib" {
			f.bytes = decode64(f.bytes[:0], run[i:])
			start, end := at(i, len(run))
			f.give("base64", start, end, f.bytes, false)
			return
		}
	}
}

// decode64 appends what run holds, and so much of a last group as is there. Its
// bits that make no byte are dropped.
func decode64(dst, run []byte) []byte {
	i, n := 0, len(dst)
	dst = slices.Grow(dst, len(run)/4*3+2)
	out := dst[:n+len(run)/4*3]
	for ; i+4 <= len(run); i += 4 {
		r, o := run[i:i+4:i+4], out[n:n+3:n+3]
		v := uint32(value64[r[0]])<<18 | uint32(value64[r[1]])<<12 | uint32(value64[r[2]])<<6 | uint32(value64[r[3]])
		o[0], o[1], o[2] = byte(v>>16), byte(v>>8), byte(v)
		n += 3
	}
	dst = out
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
	for k := 0; k < 6 && end < len(text) && text[end] == '='; k++ {
		end++
	}
	return end
}
