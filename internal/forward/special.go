package forward

import (
	"net/netip"
	"slices"
)

// A block is a range of addresses that no public service has.
type block struct {
	prefix netip.Prefix
	why    string
}

// special4 and special6 are the special-purpose registries of IANA
// (iana-ipv4-special-registry, iana-ipv6-special-registry) as far as their
// entries are not globally reachable, the multicast ranges, and addresses that
// clouds use for themselves. The first that holds an address explains it.
var special4 = blocks(
	"0.0.0.0/8", "this network", // RFC 791: Linux takes 0.0.0.0 for loopback
	"10.0.0.0/8", "private network", // RFC 1918
	"100.100.100.200/32", "cloud metadata service", // Alibaba, within the next
	"100.64.0.0/10", "carrier-grade NAT", // RFC 6598
	"127.0.0.0/8", "loopback", // RFC 1122
	"168.63.129.16/32", "cloud metadata service", // Azure, an ordinary address
	"169.254.169.254/32", "cloud metadata service",
	"169.254.170.2/32", "cloud metadata service", // AWS containers
	"169.254.0.0/16", "link-local", // RFC 3927
	"172.16.0.0/12", "private network", // RFC 1918
	"192.0.0.192/32", "cloud metadata service", // Oracle, within the next
	"192.0.0.0/24", "protocol assignments", // RFC 6890
	"192.0.2.0/24", "documentation", // RFC 5737
	"192.88.99.0/24", "6to4 relay", // RFC 7526
	"192.168.0.0/16", "private network", // RFC 1918
	"198.18.0.0/15", "benchmarking", // RFC 2544; also our stand-ins for names
	"198.51.100.0/24", "documentation", // RFC 5737
	"203.0.113.0/24", "documentation", // RFC 5737
	"224.0.0.0/4", "multicast", // RFC 5771
	"255.255.255.255/32", "broadcast", // RFC 919
	"240.0.0.0/4", "reserved", // RFC 1112
)

var special6 = blocks(
	"::/128", "unspecified address", // RFC 4291
	"::1/128", "loopback", // RFC 4291
	"::/96", "IPv4-compatible address", // RFC 4291 §2.5.5.1
	"::ffff:0:0/96", "IPv4-mapped address", // RFC 4291; unmapped before it comes here
	"::ffff:0:0:0/96", "IPv4-translated address", // RFC 2765
	"64:ff9b:1::/48", "local NAT64", // RFC 8215: where the IPv4 address stands is not known
	"100::/64", "discard", // RFC 6666
	"2001::/32", "Teredo", // RFC 4380
	"2001::/23", "protocol assignments", // RFC 2928, with benchmarking and ORCHID
	"2001:db8::/32", "documentation", // RFC 3849
	"2002::/16", "6to4", // RFC 7526
	"3fff::/20", "documentation", // RFC 9637
	"5f00::/16", "segment routing", // RFC 9602
	"fd00:ec2::254/128", "cloud metadata service", // AWS
	"fd20:ce::254/128", "cloud metadata service", // Google
	"fc00::/7", "private network", // RFC 4193
	"fe80::/10", "link-local", // RFC 4291
	"fec0::/10", "site-local", // RFC 3879
	"ff00::/8", "multicast", // RFC 4291
)

var unicast = netip.MustParsePrefix("2000::/3") // all that is allocated (RFC 3587)

// why says what an address is that no public service has, "" for an ordinary
// one. a is not IPv4-mapped.
func why(a netip.Addr) string {
	list := special4
	if a.Is6() {
		list = special6
	}
	if i := slices.IndexFunc(list, func(b block) bool { return b.prefix.Contains(a) }); i >= 0 {
		return list[i].why
	}
	if a.Is4() {
		return ""
	}
	if nat64.Contains(a) {
		return behind(a, "NAT64")
	}
	if !unicast.Contains(a) {
		return "unallocated address"
	}
	if isatap(a) {
		return behind(a, "ISATAP")
	}
	return ""
}

// behind says what the IPv4 address in a is.
func behind(a netip.Addr, gateway string) string {
	if w := why(carried(a)[0]); w != "" {
		return w + " behind " + gateway
	}
	return ""
}

// standsForName reports whether a is of the blocks from which sealed sandboxes are
// told addresses for names, and which have no others: 198.18.0.0/15 and
// 2001:2::/48. Whoever got hold of one outside of its sandbox means nobody, and no
// rule can mean it.
func standsForName(a netip.Addr) bool {
	b := a.As16()
	if a.Is4() {
		return b[12] == 198 && b[13]&^1 == 18
	}
	return [6]byte(b[:6]) == [6]byte{0x20, 0x01, 0, 2}
}

// ordinary reports whether p holds addresses that are not special.
func ordinary(p netip.Prefix) bool {
	p = unmapped(p).Masked()
	within := func(outer netip.Prefix) bool { return outer.Bits() <= p.Bits() && outer.Contains(p.Addr()) }
	list := special4
	if p.Addr().Is6() {
		list = special6
	}
	switch {
	case slices.ContainsFunc(list, func(b block) bool { return within(b.prefix) }):
		return false
	case p.Addr().Is4():
		return true
	case within(nat64):
		return ordinary(netip.PrefixFrom(carried(p.Addr())[0], p.Bits()-nat64.Bits()))
	}
	return p.Overlaps(unicast) || p.Overlaps(nat64)
}

// blocks takes prefixes and their explanations in turn.
func blocks(s ...string) []block {
	var list []block
	for p := range slices.Chunk(s, 2) {
		list = append(list, block{netip.MustParsePrefix(p[0]), p[1]})
	}
	return list
}
