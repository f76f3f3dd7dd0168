package policy

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"outvet/internal/hostname"
)

// A hostPattern is what a policy says for a host: an exact name or address, all
// names below one ("*.example.com", at any depth, not the name itself), or "*"
// for everything.
type hostPattern struct {
	name string // canonical; "" for everything
	sub  bool   // the names below name
}

func (h hostPattern) String() string {
	switch {
	case h.name == "":
		return "*"
	case h.sub:
		return "*." + h.name
	}
	return h.name
}

// matches is the definition; the index gives the same answer faster.
func (h hostPattern) matches(host string) bool {
	switch {
	case h.name == "":
		return true
	case !h.sub:
		return host == h.name
	}
	under, ok := strings.CutSuffix(host, h.name)
	return ok && len(under) > 1 && under[len(under)-1] == '.'
}

// parseHost reads a host pattern.
func parseHost(s string) (hostPattern, error) {
	if s == "*" {
		return hostPattern{}, nil
	}
	rest, sub := strings.CutPrefix(s, "*.")
	switch {
	case s == "**" || strings.HasPrefix(s, "**."):
		return hostPattern{}, fmt.Errorf("host %s: write * for all names, *.example.com for all below one", quote(s))
	case strings.Contains(rest, "*"):
		return hostPattern{}, fmt.Errorf("host %s: a wildcard stands at the front, for whole labels, as in *.example.com", quote(s))
	case strings.Contains(s, "://"):
		return hostPattern{}, fmt.Errorf("host %s: write the host alone, without scheme; use scheme: and path:", quote(s))
	case strings.ContainsAny(s, "/"):
		if _, err := netip.ParsePrefix(s); err == nil {
			return hostPattern{}, fmt.Errorf("host %s: write a range of addresses under cidrs:", quote(s))
		}
		return hostPattern{}, fmt.Errorf("host %s: write the host alone; use path: for the path", quote(s))
	}
	if addr, ok := literal(rest); ok {
		if sub {
			return hostPattern{}, fmt.Errorf("host %s: there are no names below an address", quote(s))
		}
		return hostPattern{name: addr.String()}, nil
	}
	if host, port, ok := strings.Cut(rest, ":"); ok && !strings.Contains(port, ":") {
		return hostPattern{}, fmt.Errorf("host %s: write the port under port: %s, the host as %s", quote(s), clip(port), quote(host))
	}
	name, err := hostname.Canonical(rest)
	if err != nil {
		return hostPattern{}, fmt.Errorf("host %s: not a name that can be looked up", quote(s))
	}
	return hostPattern{name: name, sub: sub}, nil
}

// literal reads s as an IP address, with or without brackets. An IPv4 address
// within IPv6 (::ffff:10.0.0.1) is the IPv4 address.
func literal(s string) (netip.Addr, bool) {
	if len(s) > 1 && s[0] == '[' && s[len(s)-1] == ']' {
		s = s[1 : len(s)-1]
	}
	if !mayBeAddr(s) {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, false
	}
	return a.WithZone("").Unmap(), true
}

// mayBeAddr spares names the error that netip.ParseAddr would allocate.
func mayBeAddr(s string) bool {
	if s == "" {
		return false
	}
	last := s[len(s)-1]
	return strings.IndexByte(s, ':') >= 0 || '0' <= last && last <= '9' && strings.Count(s, ".") == 3
}

// plainName reports whether s is a canonical name already.
func plainName(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	label := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '.':
			if label == 0 || label > 63 {
				return false
			}
			label = 0
			continue
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
		label++
	}
	return label > 0 && label <= 63
}

// numeric reads the forms of IPv4 addresses that netip does not but resolvers
// do: 0x7f.1, 2130706433, 0177.0.0.1.
func numeric(s string) (netip.Addr, bool) {
	last := s[strings.LastIndexByte(s, '.')+1:]
	if last == "" || last[0] < '0' || last[0] > '9' {
		return netip.Addr{}, false
	}
	var v uint64
	for n := 0; ; n++ {
		part, rest, more := strings.Cut(s, ".")
		x, err := strconv.ParseUint(octal(part), 0, 32)
		if err != nil || n > 3 || more && x > 255 {
			return netip.Addr{}, false
		}
		if !more {
			v |= x
			break
		}
		v |= x << (24 - 8*n)
		s = rest
	}
	if v > 1<<32-1 {
		return netip.Addr{}, false
	}
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}), true
}

// octal writes 0177 as 0o177, which is how ParseUint wants it with base 0
// whatever Go's own rules on leading zeros are.
func octal(s string) string {
	if len(s) > 1 && s[0] == '0' && '0' <= s[1] && s[1] <= '9' {
		return "0o" + s[1:]
	}
	return s
}

// inner returns the IPv4 address that an IPv6 address of a translator (NAT64,
// 6to4) stands for.
func inner(a netip.Addr) (netip.Addr, bool) {
	if !a.Is6() {
		return netip.Addr{}, false
	}
	b := a.As16()
	switch {
	case b[0] == 0 && b[1] == 0x64 && b[2] == 0xff && b[3] == 0x9b:
		return netip.AddrFrom4([4]byte(b[12:16])), true
	case b[0] == 0x20 && b[1] == 0x02:
		return netip.AddrFrom4([4]byte(b[2:6])), true
	case a.As16() == [16]byte{12: b[12], 13: b[13], 14: b[14], 15: b[15]} && b[12] != 0:
		return netip.AddrFrom4([4]byte(b[12:16])), true // ::10.0.0.1, long deprecated
	}
	return netip.Addr{}, false
}

// parseCIDR reads a range of addresses. A single address is a range of one.
func parseCIDR(s string) (netip.Prefix, error) {
	if a, ok := literal(s); ok {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("%s is not a range of addresses such as 10.0.0.0/8", quote(s))
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return p, fmt.Errorf("%s is not a range of addresses such as 10.0.0.0/8", quote(s))
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	if p != p.Masked() {
		return p, fmt.Errorf("%s has bits beyond its length: write %s", quote(s), p.Masked())
	}
	return p, nil
}
