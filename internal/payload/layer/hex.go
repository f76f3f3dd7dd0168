package layer

import (
	"bytes"

	"outvet/internal/payload/inflate"
)

// hex opens the runs of hexadecimal digits in run, which is of the base64
// alphabet.
func (f *finder) hex(run []byte, at span) {
	for i := 0; ; {
		a, z := next(run, i, inHex, least64)
		if a < 0 {
			return
		}
		i = z
		f.digits(run[a:z], func(from, to int) (int, int) { return at(a+from, a+to) })
	}
}

// digits opens run, which is hexadecimal digits.
func (f *finder) digits(run []byte, at span) {
	least := leastText
	if len(run)%2 == 0 {
		least = min(least, len(run)/2)
	}
	f.text("hex", group16, run, least, at)
	if mayMagic16(run) {
		f.magic16(run, at)
	}
}

// areHex reports whether b is hexadecimal digits.
func areHex(b []byte) bool {
	for k := len(b) - 1; k >= 0; k-- {
		if class[b[k]]&inHex == 0 {
			return false
		}
	}
	return true
}

// magic16 opens compressed bytes at either alignment of run.
func (f *finder) magic16(run []byte, at span) {
	for _, magic := range magics16 {
		if k := bytes.Index(run, magic); k >= 0 {
			f.bytes = decode16(f.bytes[:0], run[k:])
			start, end := at(k, k+2*len(f.bytes))
			f.give("hex", start, end, f.bytes, false)
		}
	}
	for off := range 2 {
		f.bytes = decode16(f.bytes[:0], run[off:off+6])
		if inflate.Magic(f.bytes) == "zlib" {
			f.bytes = decode16(f.bytes[:0], run[off:])
			start, end := at(off, off+2*len(f.bytes))
			f.give("hex", start, end, f.bytes, false)
		}
	}
}

var magics16 = [][]byte{[]byte("1f8b08"), []byte("1F8B08"), []byte("28b52ffd"), []byte("28B52FFD")}

// decode16 appends what run holds.
func decode16(dst, run []byte) []byte {
	for i := 0; i+1 < len(run); i += 2 {
		dst = append(dst, value16[run[i]]<<4|value16[run[i+1]])
	}
	return dst
}

// value16 holds the values of the digits.
var value16 = func() (t [256]uint8) {
	for c := range t {
		t[c] = digit(byte(c))
	}
	return t
}()
