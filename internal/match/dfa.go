package match

import (
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
)

// A dfa answers "can this expression match here?". It may say yes where package
// regexp says no, never the reverse: all runes outside ASCII are one symbol,
// and where it ran out of states it says maybe. It needs valid UTF-8: it steps
// at the first byte of a rune and skips the others.
//
// Its states are built when a text first needs them and are never changed
// after, so that any number of goroutines may walk them. What all dfas of a
// matcher may take together is bounded by builder.room.
type dfa struct {
	once    sync.Once
	tree    *tree // until the program is compiled
	prog    *program
	symbol  [256]uint8 // of a byte; skip for one that continues a rune
	sample  []byte     // a byte of each symbol; of runes outside ASCII 0x80
	initial [4]*state  // by the side before
	known   map[string]*state
}

type state struct {
	end    verdict
	before side // of its next byte, as far as the program asks
	accept bool // at the end of the text
	pcs    []uint32
	next   []atomic.Pointer[state] // by symbol; nil where not yet built
}

type verdict uint8

const (
	alive verdict = iota
	dead          // no match
	accepted
	maybe // out of states
)

var (
	stateDead     = &state{end: dead}
	stateAccepted = &state{end: accepted}
	stateMaybe    = &state{end: maybe}
)

const (
	skip   = 255
	beyond = 0x80 // stands for all runes outside ASCII
	memory = 8 << 20
)

// A builder builds the states of all dfas of one matcher.
type builder struct {
	mu   sync.Mutex
	room int // bytes that states may still take

	seen  []uint32 // by pc: the round in which it was visited
	round uint32
	stack []uint32
	pcs   []uint32
	key   []byte
}

// match walks the dfa from text[at:] to the first verdict and counts its steps.
// The verdict is never alive.
func (d *dfa) match(b *builder, text []byte, at int) (verdict, int) {
	d.once.Do(func() { d.begin(b) })
	s := d.initial[edge]
	if at > 0 {
		s = d.initial[sideOf(text[at-1])]
	}
	if s.end != alive {
		return s.end, 1
	}
	for i, c := range text[at:] {
		k := d.symbol[c]
		if k == skip {
			continue
		}
		n := s.next[k].Load()
		if n == nil {
			n = b.step(d, s, k)
		}
		if n.end != alive {
			return n.end, i + 1
		}
		s = n
	}
	if s.accept {
		return accepted, len(text) - at
	}
	return dead, len(text) - at
}

// begin compiles the program and makes the initial states.
func (d *dfa) begin(b *builder) {
	b.mu.Lock()
	defer b.mu.Unlock()
	d.prog = newProgram(d.tree)
	d.tree = nil
	d.symbols()
	d.known = map[string]*state{}
	for before := range d.initial {
		b.pcs = append(b.pcs[:0], d.prog.start)
		d.initial[before] = b.state(d, d.prog.sees(side(before)))
	}
}

// symbols puts characters that no instruction tells apart into one class.
func (d *dfa) symbols() {
	var sets [][2]uint64
	for i := range d.prog.inst {
		if in := &d.prog.inst[i]; in.kind == char && !slices.Contains(sets, in.ascii) {
			sets = append(sets, in.ascii)
		}
	}
	class := [128]uint8{}
	count := 1
	split := func(in func(c byte) bool) {
		type part struct {
			class uint8
			in    bool
		}
		parts := map[part]uint8{}
		for c := range byte(128) {
			p := part{class[c], in(c)}
			n, ok := parts[p]
			if !ok {
				n = uint8(len(parts))
				parts[p] = n
			}
			class[c] = n
		}
		count = len(parts)
	}
	for _, set := range sets {
		split(func(c byte) bool { return set[c>>6]>>(c&63)&1 != 0 })
	}
	if d.prog.words {
		split(word)
	}
	if d.prog.lines {
		split(func(c byte) bool { return c == '\n' })
	}
	d.sample = make([]byte, count, count+1)
	for c := range 128 {
		d.symbol[c] = class[c]
		d.sample[class[c]] = byte(c)
	}
	for c := 128; c < 256; c++ {
		d.symbol[c] = skip
		if c >= 0xC0 {
			d.symbol[c] = uint8(count)
		}
	}
	d.sample = append(d.sample, beyond)
}

// step builds the transition of s by symbol k.
func (b *builder) step(d *dfa, s *state, k uint8) *state {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := s.next[k].Load(); n != nil {
		return n
	}
	n := b.follow(d, s, d.sample[k])
	s.next[k].Store(n)
	return n
}

func (b *builder) follow(d *dfa, s *state, c byte) *state {
	after := other
	if c != beyond {
		after = sideOf(c)
	}
	if b.closure(d.prog, s, after) {
		return stateAccepted
	}
	b.round++
	out := b.pcs[:0]
	for _, pc := range b.pcs {
		in := &d.prog.inst[pc]
		if c == beyond && !in.beyond || c != beyond && !in.has(c) || b.seen[in.out] == b.round {
			continue
		}
		b.seen[in.out] = b.round
		out = append(out, in.out)
	}
	b.pcs = out
	return b.state(d, d.prog.sees(after))
}

// state returns the state of b.pcs after side before.
func (b *builder) state(d *dfa, before side) *state {
	if len(b.pcs) == 0 {
		return stateDead
	}
	slices.Sort(b.pcs)
	b.key = append(b.key[:0], byte(before))
	for _, pc := range b.pcs {
		b.key = binary.LittleEndian.AppendUint32(b.key, pc)
	}
	if s, ok := d.known[string(b.key)]; ok {
		return s
	}
	const fixed = 200 // bytes of a state, its entry in the map and what is lost to rounding
	size := fixed + 8*len(b.pcs) + 8*len(d.sample)
	if len(d.known) >= maxStates || b.room < size {
		return stateMaybe
	}
	b.room -= size
	s := &state{before: before, pcs: slices.Clone(b.pcs), next: make([]atomic.Pointer[state], len(d.sample))}
	s.accept = b.closure(d.prog, s, edge)
	d.known[string(b.key)] = s
	return s
}

// closure sets b.pcs to the instructions of kind char that s reaches without
// reading, and reports whether it reaches a match.
func (b *builder) closure(p *program, s *state, after side) (matched bool) {
	if len(b.seen) < len(p.inst) {
		b.seen, b.round = make([]uint32, len(p.inst)), 0
	}
	b.round++
	flags := holds(s.before, after)
	b.pcs = b.pcs[:0]
	b.stack = append(b.stack[:0], s.pcs...)
	for len(b.stack) > 0 {
		pc := b.stack[len(b.stack)-1]
		b.stack = b.stack[:len(b.stack)-1]
		if b.seen[pc] == b.round {
			continue
		}
		b.seen[pc] = b.round
		switch in := &p.inst[pc]; in.kind {
		case alt:
			b.stack = append(b.stack, in.arg, in.out)
		case capture:
			b.stack = append(b.stack, in.out)
		case assert:
			if in.arg&^uint32(flags) == 0 {
				b.stack = append(b.stack, in.out)
			}
		case match:
			matched = true
		case char:
			b.pcs = append(b.pcs, pc)
		}
	}
	return matched
}

// complete builds all states, up to the limit, and returns their number.
func (d *dfa) complete() int {
	b := &builder{room: 1 << 40}
	d.once.Do(func() { d.begin(b) })
	var todo []*state
	seen := map[*state]bool{}
	add := func(s *state) {
		if s.end == alive && !seen[s] {
			seen[s] = true
			todo = append(todo, s)
		}
	}
	for _, s := range d.initial {
		add(s)
	}
	for len(todo) > 0 && len(d.known) < maxStates {
		s := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for k := range d.sample {
			add(b.step(d, s, uint8(k)))
		}
	}
	return len(d.known)
}

// followers adds to may the bytes that can be read next after all of text,
// whatever stood before it. What follows a whole match may be anything.
func (d *dfa) followers(b *builder, text []byte, may *[256]bool) {
	d.once.Do(func() { d.begin(b) })
	for _, s := range d.initial {
		for i := 0; i < len(text) && s.end == alive; i++ {
			if k := d.symbol[text[i]]; k != skip {
				s = b.step(d, s, k)
			}
		}
		if s.end == dead {
			continue
		}
		for c := range may {
			k := d.symbol[c]
			may[c] = may[c] || s.end != alive || k != skip && b.step(d, s, k).end != dead
		}
	}
}
