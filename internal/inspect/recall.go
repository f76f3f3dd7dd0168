package inspect

import (
	"outvet/call"
	"outvet/internal/match"
	"outvet/internal/payload"
)

// A Local inspector finds nothing but by hits of its patterns, and what it makes
// of one follows from the part of the text that the hit begins in, the path of
// that part, and what stands within Reach bytes around it, not beyond the
// segment (Content.Bounds). It reports what it finds at each of its places, also
// where two places have one name: where nothing is reported there is nothing.
// So it need not read again what it has read before among the same neighbours.
type Local interface {
	Matcher
	Reach() int
}

// memorySize bounds what one set of inspectors remembers, in bytes; mostMemories
// bounds the sets.
const (
	memorySize   = 32 << 20
	mostMemories = 4
)

// A Headed inspector looks at the head of a call alone: what was read before of
// bodies does not matter to it.
type Headed interface {
	Inspector
	Headed()
}

// Recall returns lim with the memory of the inspectors that are wanted, if all
// of them are Local: what was read before, in this session, is not read again. A
// Content that was decoded with it must be given to Run with the same wants.
func (s *Set) Recall(lim payload.Limits, c *call.Call, wants func(inspector string) bool) payload.Limits {
	if s == nil {
		return lim
	}
	reach, m := s.local(wants)
	if m == nil && reach > 0 {
		m = s.memory(s.mask(wants), reach)
	}
	lim.Memory, lim.Realm = m, [2]string{string(c.Caller.Parent), string(c.Caller.Session)}
	return lim
}

// local returns the reach of the inspectors that are wanted, 0 if one of them is
// not Local, and their memory if they have one.
func (s *Set) local(wants func(inspector string) bool) (reach int, m *payload.Memory) {
	for i := range s.members {
		if !wants(s.members[i].Name()) {
			continue
		}
		if _, ok := s.members[i].Inspector.(Headed); ok {
			continue
		}
		l, ok := s.members[i].Inspector.(Local)
		if !ok {
			return 0, nil
		}
		reach = max(reach, l.Reach())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return reach, s.memories[s.mask(wants)]
}

// mask has a bit for each member that is wanted.
func (s *Set) mask(wants func(inspector string) bool) (mask uint64) {
	for i := range s.members {
		if wants(s.members[i].Name()) {
			mask |= 1 << i
		}
	}
	return mask
}

func (s *Set) memory(mask uint64, reach int) *payload.Memory {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.memories[mask]
	if m == nil && len(s.memories) < mostMemories && len(s.members) <= 64 {
		if m = payload.NewMemory(memorySize, reach); m != nil {
			if s.memories == nil {
				s.memories = map[uint64]*payload.Memory{}
			}
			s.memories[mask] = m
		}
	}
	return m
}

// remember remembers what was read and in which nothing was found.
func remember(content *payload.Content, hits []match.Hit, found []call.Finding) {
	for _, h := range hits {
		content.Disturb(h.Start, h.End, false)
	}
	for _, f := range found {
		content.Disturb(f.From, f.To, true)
	}
	content.Remember()
}
