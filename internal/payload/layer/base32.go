package layer

// base32 opens the runs of base32 in text[s:e], a run of the base64 alphabet,
// at all eight alignments.
func (f *finder) base32(text []byte, s, e int) {
	for _, mask := range [2]uint8{inUpper32, inLower32} {
		for i := s; ; {
			a, z := next(text[:e], i, mask, least64)
			if a < 0 {
				break
			}
			i = z
			for off := range 8 {
				from := a + off
				f.bytes = decode32(f.bytes[:0], text[from:z])
				f.regions("base32", off == 0, min(leastText, (z-a)*5/8), func(a, b int) (int, int) {
					start, end := from+a*8/5, min(from+(b*8+4)/5, z)
					if end == z {
						end = padded(text, z, 6)
					}
					return start, end
				})
			}
		}
	}
}

// decode32 appends what run holds: characters of base32 in any case.
func decode32(dst, run []byte) []byte {
	var bits uint64
	n := 0
	for _, c := range run {
		v := c - '2' + 26
		if c >= 'A' {
			v = c&^0x20 - 'A'
		}
		bits = bits<<5 | uint64(v)
		if n += 5; n >= 8 {
			n -= 8
			dst = append(dst, byte(bits>>n))
		}
	}
	return dst
}
