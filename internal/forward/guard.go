package forward

import (
	"fmt"
	"net/netip"

	"outvet/call"
)

// A Refused says that policy does not let a call reach an address. It is a
// refusal, not a fault of the network. No packet was sent to the address.
type Refused struct {
	Addr netip.Addr // the zero Addr if it is not known
	Rule string     // of the guard, or call.RuleAddress
	Why  string     // what the address is
}

func (e *Refused) Error() string {
	if !e.Addr.IsValid() {
		return fmt.Sprintf("the address is refused by rule %q: %s", e.Rule, e.Why)
	}
	return fmt.Sprintf("address %v is refused by rule %q: %s", e.Addr, e.Rule, e.Why)
}

// Check returns a *Refused if a call under g may not reach a. Refuse wins over
// Admit; what neither holds is refused if it is special. An address that
// carries an IPv4 address (NAT64, 6to4, Teredo, ISATAP, …) is held by Refuse, and
// special, if either is; Admit must hold the address itself. What stands for names
// in sealed sandboxes is never admitted. g may be nil.
func Check(a netip.Addr, g *call.Guard) error {
	if r := refused(a, g, false); r != nil {
		return r
	}
	return nil
}

// refused judges a. special says that special addresses are admitted.
func refused(a netip.Addr, g *call.Guard, special bool) *Refused {
	if !a.IsValid() || a.Zone() != "" {
		return &Refused{Addr: a, Rule: call.RuleAddress, Why: "not an address that can be judged"}
	}
	a = a.Unmap()
	if g != nil {
		if holds(g.Refuse, a) || carriesHeld(g.Refuse, a) {
			rule := g.Rule
			if rule == "" {
				rule = call.RuleAddress
			}
			return &Refused{Addr: a, Rule: rule, Why: "the policy refuses it"}
		}
		special = special || holds(g.Admit, a)
	}
	switch {
	case special && standsForName(a):
		return &Refused{Addr: a, Rule: call.RuleAddress, Why: "it stands for a name inside a sandbox, and is nowhere else"}
	case special:
		return nil
	}
	if w := why(a); w != "" {
		return &Refused{Addr: a, Rule: call.RuleAddress, Why: w}
	}
	return nil
}

func holds(list []netip.Prefix, a netip.Addr) bool {
	for _, p := range list {
		if unmapped(p).Contains(a) {
			return true
		}
	}
	return false
}

// unmapped returns p as a prefix of IPv4 addresses if it is written as one of
// IPv4-mapped addresses.
func unmapped(p netip.Prefix) netip.Prefix {
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	return p
}

// guardKey appends to b what g says: guards with equal keys judge all
// addresses alike, in the same words.
func guardKey(b []byte, g *call.Guard) []byte {
	if g == nil {
		g = &call.Guard{}
	}
	for _, list := range [...][]netip.Prefix{g.Admit, g.Refuse} {
		for _, p := range list {
			p = unmapped(p).Masked()
			family := byte(4)
			if p.Addr().Is6() {
				family = 6
			}
			a := p.Addr().As16()
			b = append(append(b, family, byte(p.Bits())), a[:]...)
		}
		b = append(b, 0) // no family: the list ends
	}
	return append(b, g.Rule...)
}
