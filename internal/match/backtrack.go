package match

// A track is the memory of a backtracking search: which choices were taken
// where, so that none is taken twice and the work is bounded by the size of
// the program times the length of what is read.
type track struct {
	base  int      // position of the first row
	words int      // uint64s of a row
	seen  []uint64 // a row of bits, by choice, for each position from base
	stack []job
	slots [4]int // start, end, and those of the group
}

// A job is a place to go on at, or a slot to be set back.
type job struct {
	pc  uint32
	pos int
}

const setBack = 1 << 31 // in pc: a slot is set back to pos

// begin prepares searches with p from positions at and after base.
func (t *track) begin(p *program, base int) {
	t.base, t.words = base, (p.alts+63)/64
	t.seen = t.seen[:0]
}

// first reports whether the choice is taken at pos for the first time.
func (t *track) first(choice int32, pos int) bool {
	row := (pos - t.base) * t.words
	for len(t.seen) < row+t.words {
		t.seen = append(t.seen, 0)
	}
	w, bit := &t.seen[row+int(choice>>6)], uint64(1)<<(choice&63)
	if *w&bit != 0 {
		return false
	}
	*w |= bit
	return true
}

// search reports whether p matches text at start, as package regexp would
// match it there: the first match in the order of preference. It returns the
// steps it took; with more than left it gives up.
func (t *track) search(p *program, text []byte, start, group, left int) (ok bool, steps int) {
	t.slots = [4]int{start, -1, -1, -1}
	t.stack = append(t.stack[:0], job{p.start, start})
	for len(t.stack) > 0 {
		j := t.stack[len(t.stack)-1]
		t.stack = t.stack[:len(t.stack)-1]
		if j.pc&setBack != 0 {
			t.slots[j.pc&^setBack] = j.pos
			continue
		}
		pc, pos := j.pc, j.pos
	path:
		for {
			if steps++; steps > left {
				return false, steps
			}
			in := &p.inst[pc]
			switch in.kind {
			case char:
				n, ok := in.matchAt(text, pos)
				if !ok {
					break path
				}
				pos += n
			case alt:
				if !t.first(in.alt, pos) {
					break path
				}
				if in.fork != nil {
					branches := in.fork.at(text, pos)
					if len(branches) == 0 {
						break path
					}
					for i := len(branches) - 1; i > 0; i-- {
						t.stack = append(t.stack, job{branches[i], pos})
					}
					steps += len(branches) - 1
					pc = branches[0]
					continue path
				}
				t.stack = append(t.stack, job{in.arg, pos})
			case capture:
				if slot := int(in.arg) - 2*group; group > 0 && (slot == 0 || slot == 1) {
					t.stack = append(t.stack, job{setBack | uint32(slot+2), t.slots[slot+2]})
					t.slots[slot+2] = pos
				}
			case assert:
				if in.arg&^uint32(around(text, pos)) != 0 {
					break path
				}
			case match:
				t.slots[1] = pos
				return true, steps
			default:
				break path
			}
			pc = in.out
		}
	}
	return false, steps
}
