package forward

import (
	"net/netip"
	"slices"
)

var (
	nat64      = netip.MustParsePrefix("64:ff9b::/96")   // RFC 6052
	nat64Local = netip.MustParsePrefix("64:ff9b:1::/48") // RFC 8215
	teredo     = netip.MustParsePrefix("2001::/32")      // RFC 4380
	sixToFour  = netip.MustParsePrefix("2002::/16")      // RFC 3056
	compatible = netip.MustParsePrefix("::/96")          // RFC 4291 §2.5.5.1
	translated = netip.MustParsePrefix("::ffff:0:0:0/96")
)

// carried returns the IPv4 addresses that stand in a, to which something on
// the way may send what is sent to a: as many as the form of a leaves open.
// a is not IPv4-mapped.
func carried(a netip.Addr) []netip.Addr {
	if a.Is4() {
		return nil
	}
	b := a.As16()
	at := func(i ...int) netip.Addr { return netip.AddrFrom4([4]byte{b[i[0]], b[i[1]], b[i[2]], b[i[3]]}) }
	last := at(12, 13, 14, 15)
	switch {
	case nat64.Contains(a), compatible.Contains(a), translated.Contains(a), isatap(a):
		return []netip.Addr{last}
	case nat64Local.Contains(a): // RFC 6052 §2.2: for prefixes of 48, 56, 64 and 96 bits
		return []netip.Addr{at(6, 7, 9, 10), at(7, 9, 10, 11), at(9, 10, 11, 12), last}
	case sixToFour.Contains(a):
		return []netip.Addr{at(2, 3, 4, 5)}
	case teredo.Contains(a): // the server, and the client with all bits turned
		return []netip.Addr{at(4, 5, 6, 7), netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]})}
	}
	return nil
}

// isatap reports whether a router may unpack what is sent to a (RFC 5214 §6.1).
func isatap(a netip.Addr) bool {
	b := a.As16()
	return b[8]&^3 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe
}

// carriesHeld reports whether an IPv4 address in a is in list.
func carriesHeld(list []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(carried(a), func(c netip.Addr) bool { return holds(list, c) })
}
