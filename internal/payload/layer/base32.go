package layer

import "outvet/internal/payload/inflate"

// base32 opens the runs of base32 in run, which is of the base64 alphabet.
func (f *finder) base32(run []byte, at span) {
	for _, mask := range [2]uint8{inUpper32, inLower32} {
		for i := 0; ; {
			a, z := next(run, i, mask, least64)
			if a < 0 {
				break
			}
			i = z
			within := func(from, to int) (int, int) { return at(a+from, a+to) }
			f.text("base32", group32, run[a:z], min(leastText, (z-a)*5/8), within)
			if z-a > 2*least64 && mayMagic32(run[a:z]) {
				f.magic32(run[a:z], within)
			}
		}
	}
}

// magic32 opens compressed bytes at any alignment of run.
func (f *finder) magic32(run []byte, at span) {
	for off := range min(8, len(run)-2*least64) {
		f.bytes = decode32(f.bytes[:0], run[off:])
		k := magicAt(f.bytes)
		if inflate.Magic(f.bytes) != "" {
			k = 0
		}
		if k >= 0 {
			start, end := at(off+k*8/5, len(run))
			f.give("base32", start, end, f.bytes[k:], false)
		}
	}
}

// decode32 appends what run holds: characters of base32 in any case.
func decode32(dst, run []byte) []byte {
	var bits uint64
	n := 0
	for _, c := range run {
		bits = bits<<5 | uint64(value32(c))
		if n += 5; n >= 8 {
			n -= 8
			dst = append(dst, byte(bits>>n))
		}
	}
	return dst
}

// value32 returns the value of a character of base32 in any case.
func value32(c byte) byte {
	if c >= 'A' {
		return c&^0x20 - 'A'
	}
	return c - '2' + 26
}
