package dnstunnel

// Allowances.
const (
	allowUnknown = 128 * bit
	allowNamed   = 32 << 10 * bit
	allowKnown   = 64 << 10 * bit
	allowSession = 1024 * bit // all unknown domains together
)

// Bounds of one session.
const (
	seenMax    = 2048 // names in each of two generations
	domainsMax = 1024
	bitsMax    = 1 << 30 // where counting ends
)

// An account is what was said to one domain.
type account struct {
	tried bits // said and refused
	over  bool
}

// A session is the ledger of one session.
type session struct {
	// now and before are the names that were asked for, in two generations, and
	// whether they were found to be over an allowance. A name that is in neither any
	// more costs again.
	now, before map[uint64]bool

	domains map[uint64]account
	rest    account // of the unknown domains beyond domainsMax together
	spent   bits    // on unknown domains
	refused bits    // of them, since all together were over

	used uint64 // when, by the ledger's count
}

// A class is what kind of domain a name belongs to.
type class uint8

const (
	unknown class = iota
	named
	known
)

func (c class) allowance() bits {
	switch c {
	case named:
		return allowNamed
	case known:
		return allowKnown
	}
	return allowUnknown
}

// again tells of a name that was charged before: which allowance it is over, ""
// if none, and how far.
func (s *session) again(name, domain uint64, c class) (kind string, score float64, seen bool) {
	over, seen := s.seen(name)
	if !over {
		return "", 0, seen
	}
	a, kept := s.domains[domain]
	if !kept {
		a = s.rest
	}
	kind, score = s.verdict(a, c)
	return kind, score, true
}

// charge counts a new name, which costs n, and tells what again will tell.
func (s *session) charge(name, domain uint64, c class, n bits) (kind string, score float64) {
	a, kept := s.domains[domain]
	crowded := !kept && len(s.domains) >= domainsMax
	if crowded {
		a = s.rest
	}
	over := true
	switch {
	case a.over, a.tried+n > c.allowance():
		a.over = true
	case c == unknown && n > 0 && s.spent+n > allowSession:
		s.refused = min(s.refused+n, bitsMax)
	default:
		over = false
		if c == unknown {
			s.spent += n
		}
	}
	a.tried = min(a.tried+n, bitsMax)
	s.remember(name, over)
	switch {
	case crowded:
		s.rest = a
	case a != account{}:
		if s.domains == nil {
			s.domains = map[uint64]account{}
		}
		s.domains[domain] = a
	}
	if !over {
		return "", 0
	}
	return s.verdict(a, c)
}

func (s *session) verdict(a account, c class) (kind string, score float64) {
	if a.over {
		return kindTunnel, excess(a.tried, c.allowance())
	}
	return kindScatter, excess(s.spent+s.refused, allowSession)
}

// excess is 0.5 where b is the allowance, and nears 1.
func excess(b, allowance bits) float64 { return float64(b) / float64(b+allowance) }

func (s *session) seen(name uint64) (over, ok bool) {
	if over, ok = s.now[name]; !ok {
		over, ok = s.before[name]
	}
	return over, ok
}

func (s *session) remember(name uint64, over bool) {
	if s.now == nil || len(s.now) >= seenMax {
		s.now, s.before = map[uint64]bool{}, s.now
	}
	s.now[name] = over
}
