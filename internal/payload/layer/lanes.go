package layer

import "unicode/utf8"

// A lanes finds where a run of encoded characters may hold text, at every
// alignment at once and without decoding it.
//
// A byte of text has its high bit clear and is rarely a control, and the bits
// that say so stand in few characters: of the four of base64, which make three
// bytes, in the first, second and third. Eight counters in one word, one for
// each alignment, count the characters that would do; any that does not sets
// its counters to zero.
type lanes struct {
	mask  int            // the number of alignments less one; it is a power of two
	keep  [8][256]uint64 // by position and character: 0xff for each alignment that goes on
	alive [8][256]uint8  // the same with a bit for each
}

const (
	eachLane = 0x0101010101010101
	fullLane = 0xf0f0f0f0f0f0f0f0 // a counter has come to 16
	fullRun  = 16

	nearStart  = 64 // characters of a run in which text may begin behind a separator
	mostStarts = 8  // separators that are tried
)

// newLanes returns the lanes of an alphabet of which n characters make a group.
// good says whether a character may stand at a place in its group.
func newLanes(n int, good func(place int, c byte) bool) *lanes {
	l := &lanes{mask: n - 1}
	for at := range n {
		for c := range 256 {
			for lane := range n {
				if good((at-lane+n)%n, byte(c)) {
					l.keep[at][c] |= 0xff << (8 * lane)
					l.alive[at][c] |= 1 << lane
				}
			}
		}
	}
	return l
}

// A count is the counters behind some character of a run.
type count uint64

// next counts from run[k] on until, at some alignment, fullRun characters in a
// row would do. It returns that alignment and the place behind them, or -1 at
// the end of the run.
func (l *lanes) next(run []byte, k int, c count) (lane, end int, _ count) {
	cnt := uint64(c)
	for ; k < len(run); k++ {
		cnt = (cnt + eachLane) & l.keep[k&l.mask&7][run[k]]
		if cnt&fullLane != 0 {
			for lane = 0; cnt>>(8*lane)&0xf0 == 0; lane++ {
			}
			return lane, k + 1, count(cnt &^ (0xff << (8 * lane)))
		}
	}
	return -1, -1, 0
}

// lanes64 knows that the first character holds the upper six bits of the first
// byte, the second the upper four of the second, the third the upper two of the
// third.
var lanes64 = newLanes(4, func(place int, c byte) bool {
	v := value64[c]
	switch {
	case v == bad:
		return false
	case place == 0:
		return v == 0 || v == 2 || v == 3 || 8 <= v && v < 32
	case place == 1:
		return v&15 == 0 || 2 <= v&15 && v&15 < 8
	case place == 2:
		return v&3 < 2
	}
	return true
})

var lanes16 = newLanes(2, func(place int, c byte) bool {
	v := digit(c)
	return v < 16 && (place == 1 || v == 0 || 2 <= v && v < 8)
})

// lanes32 knows in which bit of a character a byte begins.
var lanes32 = newLanes(8, func(place int, c byte) bool {
	if class[c]&(inUpper32|inLower32) == 0 {
		return false
	}
	high := [8]byte{16, 2, 0, 8, 1, 0, 4, 0}
	return value32(c)&high[place] == 0
})

// A group is how many characters make how many bytes.
type group struct {
	lanes        *lanes
	chars, bytes int
	decode       func(dst, run []byte) []byte
}

var (
	group64 = &group{lanes64, 4, 3, decode64}
	group32 = &group{lanes32, 8, 5, decode32}
	group16 = &group{lanes16, 2, 1, decode16}
)

// text emits the regions of text in run. least is the least region.
func (f *finder) text(name string, g *group, run []byte, least int, at span) {
	var done [8]int // what was emitted of each alignment
	emit := func(first int) {
		lane := first & (g.chars - 1)
		a, z := f.region(g, run[first:], least)
		if a < 0 {
			// What was decoded holds nothing, unless it begins at its very end.
			seen := first + len(f.bytes)/g.bytes*g.chars - fullRun - g.chars
			done[lane] = max(done[lane], seen)
			return
		}
		from := first + a*g.chars/g.bytes
		to := min(first+(z*g.chars+g.bytes-1)/g.bytes, len(run))
		if to <= done[lane] {
			return
		}
		done[lane] = to
		if from == 0 && to == len(run) || wordy(f.bytes[a:z], to == len(run)) {
			start, end := at(from, to)
			f.give(name, start, end, f.bytes[a:z], false)
		}
	}
	// Lanes do not see text in which few bytes are ASCII. It is looked for
	// where encoded text begins: at the start of the run, behind a separator.
	if f.begins(g, run) {
		emit(0)
	}
	if g == group64 {
		for first, n := 1, 0; first < min(len(run), nearStart) && n < mostStarts; first++ {
			if isSeparator(run[first-1]) {
				n++
				if f.begins(g, run[first:]) {
					emit(first)
				}
			}
		}
	}
	if !g.lanes.any(run) {
		return
	}
	var c count
	for k := 0; ; {
		var lane, end int
		if lane, end, c = g.lanes.next(run, k, c); lane < 0 {
			return
		}
		k = end
		if end > done[lane] {
			// The first whole group of those that would do, and one before it.
			first := max(end-fullRun-g.chars, 0)
			emit(first + (lane-first%g.chars+g.chars)%g.chars)
		}
	}
}

// begins reports whether run begins with text.
func (f *finder) begins(g *group, run []byte) bool {
	const enough = 18
	if len(run) < fullRun || g == group64 && !mayStart64(run) || g == group16 && !mayStart16(run) {
		return false
	}
	f.bytes = g.decode(f.bytes[:0], run[:min(len(run), (enough*g.chars+g.bytes-1)/g.bytes)])
	b := f.bytes
	if len(b) < leastText {
		return false
	}
	for i := 0; i < len(b); {
		n := textAt(b, i)
		if n == 0 {
			return i >= enough-utf8.UTFMax
		}
		i += n
	}
	return true
}

// region decodes so much of run into f.bytes that the first region of text in
// it is whole.
func (f *finder) region(g *group, run []byte, least int) (a, z int) {
	for n := (48/g.bytes + 1) * g.chars; ; n *= 8 {
		n = min(n, len(run))
		f.bytes = g.decode(f.bytes[:0], run[:n])
		a, z = textRegion(f.bytes, 0, least)
		if a < 0 || n == len(run) || z+maxGap+minAgain < len(f.bytes) {
			return a, z
		}
	}
}
