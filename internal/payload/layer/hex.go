package layer

// hex opens the runs of hexadecimal digits in text[s:e], a run of the base64
// alphabet, at both alignments.
func (f *finder) hex(text []byte, s, e int) {
	for i := s; ; {
		a, z := next(text[:e], i, inHex, least64)
		if a < 0 {
			return
		}
		i = z
		for off := range 2 {
			from, to := a+off, z-(z-a-off)&1
			f.bytes = f.bytes[:0]
			for k := from; k < to; k += 2 {
				f.bytes = append(f.bytes, digit(text[k])<<4|digit(text[k+1]))
			}
			least := leastText
			if from == a && to == z {
				least = min(least, (z-a)/2)
			}
			f.regions("hex", from == a, least, func(a, z int) (int, int) { return from + 2*a, from + 2*z })
		}
	}
}
