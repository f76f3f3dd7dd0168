package policy

import (
	"net/netip"
	"slices"
	"sync"

	"outvet/call"
)

// addressSets are the sets of addresses that rules admit or refuse, numbered
// from 1, and the guards made of them so far. Guards are shared, so that the
// usual decision allocates none.
type addressSets struct {
	all []addressSet

	// mu guards made.
	mu   sync.RWMutex
	made map[guardKey]*call.Guard
}

type addressSet struct {
	prefixes []netip.Prefix
	refuses  *rule // nil if it admits
}

const (
	guardKeyLen = 8
	guardsMax   = 1024 // kept; more are made anew each time
)

// A guardKey is the numbers of up to eight sets, ascending, each once.
type guardKey [guardKeyLen]int32

func (s *addressSets) add(p []netip.Prefix, refuses *rule) int {
	if len(p) == 0 {
		return 0
	}
	s.all = append(s.all, addressSet{p, refuses})
	return len(s.all)
}

// guard returns the guard of the sets admit and refuse, which it sorts.
func (s *addressSets) guard(admit, refuse []int) *call.Guard {
	slices.Sort(admit)
	slices.Sort(refuse)
	admit, refuse = slices.Compact(admit), slices.Compact(refuse)
	if len(admit)+len(refuse) > guardKeyLen {
		return s.make(admit, refuse)
	}
	var key guardKey
	n := 0
	for _, ids := range [2][]int{admit, refuse} {
		for _, id := range ids {
			key[n] = int32(id)
			n++
		}
	}
	s.mu.RLock()
	g := s.made[key]
	s.mu.RUnlock()
	if g != nil {
		return g
	}
	g = s.make(admit, refuse)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.made) < guardsMax {
		if s.made == nil {
			s.made = map[guardKey]*call.Guard{}
		}
		s.made[key] = g
	}
	return g
}

func (s *addressSets) make(admit, refuse []int) *call.Guard {
	g := &call.Guard{}
	for _, id := range admit {
		g.Admit = append(g.Admit, s.all[id-1].prefixes...)
	}
	for _, id := range refuse {
		set := s.all[id-1]
		g.Refuse = append(g.Refuse, set.prefixes...)
		if g.Rule == "" {
			g.Rule = set.refuses.name
		}
	}
	return g
}
