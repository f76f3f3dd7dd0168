package match

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// A filter finds literals. A literal is represented by trigrams, folded to one
// case (every byte |0x20, which folds a few other bytes too: what is found is
// compared, and the DFA reads the real bytes). Only every second position of a
// text is looked at, so two trigrams stand for each literal, one at an even and
// one at an odd place in it; a literal of two or three bytes borrows the bytes
// that can stand beside it.
type filter struct {
	bits    [1 << (filterBits - 6)]uint64 // 32 KiB: stays in the caches next to the processor
	slots   []slot                        // open addressing by trigram
	entries []entry
	folded  []string // by literal
}

type slot struct {
	trigram uint32 // 0 for none: a folded trigram is never 0
	from    uint32 // in entries
}

type entry struct {
	first   uint64 // the first bytes of the literal, folded, at most eight
	literal int32
	offset  int16 // of the trigram from the start of the literal; may be -1
	bytes   uint8 // in first
	last    bool  // of its trigram
}

// begins reports whether text begins as the literal of e does.
func (e *entry) begins(text []byte) bool {
	if len(text) < 8 {
		return len(text) >= int(e.bytes) // what follows compares all of it
	}
	unlike := binary.LittleEndian.Uint64(text) | 0x2020202020202020 ^ e.first
	return unlike<<(64-8*e.bytes) == 0
}

const (
	hashBits   = 16 // of trigrams.bin
	filterBits = 18 // few enough trigrams share one: each that does costs a misprediction
	hashMul    = 0x9E3779B1
	foldBits   = 0x202020
)

func trigram(a, b, c byte) uint32 {
	return uint32(a) | uint32(b)<<8 | uint32(c)<<16 | foldBits
}

func trigramOf(s string) uint32 { return trigram(s[0], s[1], s[2]) }

func hash(g uint32) uint32 { return g * hashMul >> (32 - hashBits) }

func filterHash(g uint32) uint32 { return g * hashMul >> (32 - filterBits) }

// A load collects the entries of a filter that is being built.
type load map[uint32][]entry

func (l load) add(g uint32, s string, literal, offset int) {
	e := entry{literal: int32(literal), offset: int16(offset), bytes: uint8(min(len(s), 8))}
	var first [8]byte
	copy(first[:], fold(s))
	e.first = binary.LittleEndian.Uint64(first[:])
	if !slices.Contains(l[g], e) {
		l[g] = append(l[g], e)
	}
}

func (f *filter) build(m *Matcher) {
	l := load{}
	for i := range m.literals {
		s := m.literals[i].text
		f.folded = append(f.folded, fold(s))
		if len(s) > 3 {
			for odd := range 2 {
				at := l.rarest(s, odd)
				l.add(trigramOf(s[at:]), s, i, at)
			}
			continue
		}
		m.borrow(l, i)
	}
	size := 1
	for size < 2*len(l) {
		size *= 2
	}
	f.slots = make([]slot, size)
	for g, es := range l {
		h := filterHash(g)
		f.bits[h>>6] |= 1 << (h & 63)
		es[len(es)-1].last = true
		f.slots[f.slot(g)] = slot{g, uint32(len(f.entries))}
		f.entries = append(f.entries, es...)
	}
}

// farthest is how far from its start a trigram of a literal is looked for.
const farthest = 1 << 10

// rarest returns where in s, at odd places or at even ones, the trigram stands
// that costs least: rare in ordinary text, and not already that of many literals.
func (l load) rarest(s string, odd int) (best int) {
	const perEntry = 16
	least := 1 << 30
	for p := odd; p+3 <= min(len(s), farthest); p += 2 {
		g := trigramOf(s[p:])
		if n := common(g) + perEntry*len(l[g]); n < least {
			best, least = p, n
		}
	}
	return best
}

// borrow adds the trigrams of a literal of two or three bytes.
func (m *Matcher) borrow(l load, i int) {
	s := m.literals[i].text
	last := len(s) - 2
	var before, behind []uint32
	for c := range 256 {
		before = append(before, trigram(byte(c), s[0], s[1]))
	}
	for c, may := range m.followers(i) {
		if may {
			behind = append(behind, trigram(s[last], s[last+1], byte(c)))
		}
	}
	if len(s) == 3 {
		l.add(trigramOf(s), s, i, 0)
		if met(before) < met(behind) {
			behind = nil
		} else {
			before = nil
		}
	}
	for _, g := range before {
		l.add(g, s, i, -1)
	}
	for _, g := range behind {
		l.add(g, s, i, last)
	}
}

// met estimates how often one of gs is met.
func met(gs []uint32) (n int) {
	slices.Sort(gs)
	for _, g := range slices.Compact(gs) {
		n += common(g)
	}
	return n
}

// followers returns the bytes that some target of the literal may see behind
// it, whatever stands before and in whatever case the literal is written.
func (m *Matcher) followers(i int) (may [256]bool) {
	l := &m.literals[i]
	for _, t := range l.targets {
		for cases := range 1 << len(l.text) {
			text := []byte(l.text)
			for k, c := range text {
				if cases>>k&1 == 1 && 'a' <= c && c <= 'z' {
					text[k] = c - 'a' + 'A'
				}
			}
			for c := range may {
				may[c] = may[c] || t.dfa == nil
			}
			if t.dfa != nil {
				t.dfa.followers(&m.builder, text, &may)
			}
		}
	}
	return may
}

// fold folds s as the filter does.
func fold(s string) string {
	b := []byte(s)
	for i := range b {
		b[i] |= 0x20
	}
	return string(b)
}

// slot returns the slot of g, or the free one where it would be.
func (f *filter) slot(g uint32) uint32 {
	mask := uint32(len(f.slots) - 1)
	i := g * hashMul >> 8 & mask
	for f.slots[i].trigram != 0 && f.slots[i].trigram != g {
		i = (i + 1) & mask
	}
	return i
}

// scan hands each literal in text to m.found.
func (f *filter) scan(m *Matcher, text []byte, s *Scratch) {
	i := 0
	for ; i+32 <= len(text) && s.left >= 0; i += 16 {
		a, b := f.block((*[16]byte)(text[i:])), f.block((*[16]byte)(text[i+8:]))
		if a|b == 0 {
			continue
		}
		for hits := a | b<<4; hits != 0; hits &= hits - 1 {
			f.resolve(m, text, i+2*bits.TrailingZeros64(hits), s)
		}
	}
	for ; i+3 <= len(text) && s.left >= 0; i++ {
		if f.bit(trigram(text[i], text[i+1], text[i+2]))&1 != 0 {
			f.resolve(m, text, i, s)
		}
	}
}

// block looks up the trigrams at 0, 2, 4 and 6; its result has a bit for each.
func (f *filter) block(p *[16]byte) uint64 {
	v := binary.LittleEndian.Uint64(p[:]) | 0x2020202020202020
	w := binary.LittleEndian.Uint64(p[6:]) | 0x2020202020202020
	a := f.bit(uint32(v) & 0xffffff)
	b := f.bit(uint32(v>>16) & 0xffffff)
	c := f.bit(uint32(v>>32) & 0xffffff)
	d := f.bit(uint32(w) & 0xffffff)
	return a&1 | b&1<<1 | c&1<<2 | d&1<<3
}

// bit returns a word whose lowest bit tells whether g may stand for a literal.
func (f *filter) bit(g uint32) uint64 {
	h := filterHash(g)
	return f.bits[h>>6] >> (h & 63)
}

// resolve compares the literals that have the trigram at text[i:].
func (f *filter) resolve(m *Matcher, text []byte, i int, s *Scratch) {
	g := trigram(text[i], text[i+1], text[i+2])
	sl := f.slots[f.slot(g)]
	s.left--
	if sl.trigram != g {
		return
	}
	for k := int(sl.from); ; k++ {
		e := &f.entries[k]
		s.left--
		if at := i - int(e.offset); at >= 0 && at < len(text) && e.begins(text[at:]) {
			f.compare(m, text, at, e, s)
		}
		if e.last {
			return
		}
	}
}

// compare compares the literal of e, and hands it to m.found.
func (f *filter) compare(m *Matcher, text []byte, at int, e *entry, s *Scratch) {
	l := f.folded[e.literal]
	if at+len(l) > len(text) {
		return
	}
	k := 0
	for k < len(l) && text[at+k]|0x20 == l[k] {
		k++
	}
	s.left -= k
	if k == len(l) {
		m.found(text, int(e.literal), at, s)
	}
}
