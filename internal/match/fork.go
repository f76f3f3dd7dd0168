package match

import "slices"

// A fork is an alternation of many branches, such as one of words. Which of
// them can go on with a byte is known beforehand, so that the others cost
// nothing where that byte stands.
type fork struct {
	of   [128]uint8 // by byte: the set of branches
	sets [][]uint32 // each in the order of preference; the first has all
}

// leastFork is how many branches make a fork.
const leastFork = 4

// forks finds those of p: at each choice that is not itself a branch of one.
func (p *program) forks() {
	inner, outer := make([]bool, len(p.inst)), make([]bool, len(p.inst))
	outer[p.start] = true
	for i := range p.inst {
		switch in := &p.inst[i]; in.kind {
		case alt:
			inner[in.out], inner[in.arg] = true, true
		case char, capture, assert:
			outer[in.out] = true
		}
	}
	for i := range p.inst {
		if p.inst[i].kind != alt || inner[i] && !outer[i] {
			continue
		}
		if all := p.branches(uint32(i), nil, map[uint32]bool{}); len(all) >= leastFork {
			p.inst[i].fork = p.newFork(all)
		}
	}
}

// branches appends what the choices from pc on lead to. A choice that is met
// again adds nothing, as it does in a search.
func (p *program) branches(pc uint32, all []uint32, seen map[uint32]bool) []uint32 {
	in := &p.inst[pc]
	if in.kind != alt {
		return append(all, pc)
	}
	if seen[pc] {
		return all
	}
	seen[pc] = true
	return p.branches(in.arg, p.branches(in.out, all, seen), seen)
}

// newFork returns the fork to all, branches in the order of preference.
func (p *program) newFork(all []uint32) *fork {
	f := &fork{sets: [][]uint32{all}}
	firsts := make([]firstSet, len(all))
	for i, pc := range all {
		firsts[i] = p.first(pc, map[uint32]bool{})
	}
	for c := range byte(128) {
		set := []uint32{}
		for i, pc := range all {
			if firsts[i].has(c) {
				set = append(set, pc)
			}
		}
		n := slices.IndexFunc(f.sets, func(s []uint32) bool { return slices.Equal(s, set) })
		if n < 0 {
			n = len(f.sets)
			f.sets = append(f.sets, set)
		}
		f.of[c] = uint8(n)
	}
	return f
}

// at returns the branches that may go on at text[pos:].
func (f *fork) at(text []byte, pos int) []uint32 {
	if pos < len(text) && text[pos] < 128 {
		return f.sets[f.of[text[pos]]]
	}
	return f.sets[0]
}

// A firstSet has the ASCII bytes that can be read first; all, if nothing may be.
type firstSet [2]uint64

func (s firstSet) has(c byte) bool { return s[c>>6&1]>>(c&63)&1 != 0 }

func (p *program) first(pc uint32, seen map[uint32]bool) (s firstSet) {
	if seen[pc] {
		return s
	}
	seen[pc] = true
	switch in := &p.inst[pc]; in.kind {
	case char:
		return in.ascii
	case alt:
		a, b := p.first(in.out, seen), p.first(in.arg, seen)
		return firstSet{a[0] | b[0], a[1] | b[1]}
	case capture, assert:
		return p.first(in.out, seen)
	case match:
		return firstSet{1<<64 - 1, 1<<64 - 1}
	}
	return s
}
