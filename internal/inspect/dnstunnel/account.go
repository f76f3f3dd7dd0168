package dnstunnel

import "time"

// Allowances.
const (
	allowUnknown = 128 * bit
	allowNamed   = 32 << 10 * bit
	allowKnown   = 64 << 10 * bit
	allowSession = 1024 * bit // all unknown domains together
)

// refillTime is how long it takes until an allowance that was used up is whole
// again. A session may be a machine that runs for months.
const refillTime = 10 * time.Hour

// Bounds of one session.
const (
	seenMax    = 2048 // names in each of two generations
	domainsMax = 1024
	bitsMax    = 1 << 30 // where counting ends
)

// An account is what was said to one domain.
type account struct {
	tried bits // said and refused, less what was refilled
	over  bool
	at    time.Time // of tried
}

// refilled returns what of b is left after a while.
func refilled(b, allowance bits, since time.Duration) bits {
	back := float64(allowance) * min(float64(since)/float64(refillTime), 1)
	return b - min(b, bits(max(back, 0)))
}

// A session is the ledger of one session.
type session struct {
	// now and before are the names that were asked for, in two generations, and
	// whether they were found to be over an allowance. A name that is in neither any
	// more costs again.
	now, before map[uint64]bool

	domains map[uint64]account
	rest    account   // of the unknown domains beyond domainsMax together
	spent   bits      // on unknown domains
	refused bits      // of them, since all together were over
	at      time.Time // of both

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
func (s *session) charge(name, domain uint64, c class, n bits, now time.Time) (kind string, score float64) {
	if c == unknown {
		s.refill(now)
	}
	a, kept := s.domains[domain]
	crowded := !kept && len(s.domains) >= domainsMax
	if crowded {
		a = s.rest
	}
	if !a.over && a.tried > 0 {
		a.tried = refilled(a.tried, c.allowance(), now.Sub(a.at))
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
	if a.tried = min(a.tried+n, bitsMax); a.tried > 0 {
		a.at = now
	}
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

// refill gives back what was not used for a while. Both are of one allowance: what
// was refused counts longer.
func (s *session) refill(now time.Time) {
	if s.spent+s.refused > 0 {
		since := now.Sub(s.at)
		s.spent, s.refused = refilled(s.spent, allowSession, since), refilled(s.refused, allowSession, since)
	}
	s.at = now
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
