// Package hostname knows the one spelling of a host. Listeners, policies and the
// dialler compare spelled hosts only after they went through Canonical, so that no
// spelling is judged as one host and dialled as another.
package hostname

import (
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

const (
	maxName  = 253 // RFC 1035 §2.3.4, without the root's dot
	maxLabel = 63
	maxInput = 1024 // what is longer cannot shrink to a name
)

// A Error says that a host is no name and no address. Nothing was looked
// up.
type Error struct {
	Host string // as given, cut to a length that can be shown
	Why  string
}

func (e *Error) Error() string { return fmt.Sprintf("malformed host %q: %s", e.Host, e.Why) }

// Malformed returns the error that host is none.
func Malformed(host, why string) error {
	if len(host) > 80 {
		host = strings.ToValidUTF8(host[:80], "") + "…"
	}
	return &Error{Host: host, Why: why}
}

// Canonical returns the one spelling of a host, without port: two spellings
// that some client takes for the same host have the same one. The result
// consists of a-z, 0-9, '-', '_', '.' and, for an IPv6 address, ':'. It is its
// own canonical spelling. An error is a *Error.
//
//   - A name is lower case, in ASCII (IDNA 2008, non-transitional, mapped for
//     lookup as in UTS #46) and without the root's trailing dot.
//   - A host whose last label is a number is an IPv4 address in any spelling
//     of inet_aton (decimal, octal, hexadecimal, one to four parts) or
//     malformed; it becomes four decimal parts, so "0x7f.1" is "127.0.0.1".
//   - An IPv6 address, in brackets or not, is spelt as in RFC 5952 without
//     brackets; an IPv4-mapped one becomes the IPv4 address. Zones are
//     malformed: they name an interface of this machine.
//   - Userinfo, ports, percent escapes, spaces, control characters and empty
//     labels are malformed: what they mean differs between clients.
//
// A canonical host costs no allocation.
func Canonical(s string) (string, error) {
	switch {
	case s == "":
		return "", Malformed(s, "it is empty")
	case len(s) > maxInput:
		return "", Malformed(s, "it is too long")
	case s[0] == '[':
		if !strings.HasSuffix(s, "]") {
			return "", Malformed(s, "its bracket is not closed")
		}
		return canonicalIPv6(s, s[1:len(s)-1])
	case strings.IndexByte(s, ':') >= 0:
		return canonicalIPv6(s, s)
	}
	name := s
	if !ascii(s) || encoded(s) {
		if !utf8.ValidString(s) {
			return "", Malformed(s, "it is not UTF-8")
		}
		var err error
		if name, err = lookup.ToASCII(s); err != nil {
			return "", Malformed(s, "it is no international name (IDNA)")
		}
		// The library judges the direction of a script before it maps what it
		// reads: a name must be valid as it came out as well.
		if again, err := lookup.ToASCII(name); err != nil || again != name {
			return "", Malformed(s, "it is no international name (IDNA)")
		}
	}
	return canonicalName(s, name)
}

// lookup maps as browsers and curl do. It leaves the check of ASCII characters
// and lengths to us: real names have '_' and "--" where the rules forbid them.
var lookup = idna.New(
	idna.MapForLookup(),
	idna.Transitional(false),
	idna.StrictDomainName(false),
	idna.BidiRule(),
	idna.CheckJoiners(true),
)

// encoded reports whether a label of s may be Unicode in ASCII form ("xn--").
func encoded(s string) bool {
	for i := 3; i < len(s); i++ {
		if s[i] == '-' && s[i-1] == '-' && s[i-2]|0x20 == 'n' && s[i-3]|0x20 == 'x' {
			return true
		}
	}
	return false
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func canonicalIPv6(s, inner string) (string, error) {
	a, err := netip.ParseAddr(inner)
	switch {
	case err != nil || !a.Is6():
		return "", Malformed(s, "it is no IPv6 address")
	case a.Zone() != "":
		return "", Malformed(s, "it names a zone")
	}
	if a = a.Unmap(); a.String() == s {
		return s, nil
	}
	return a.String(), nil
}

// canonicalName takes an ASCII name and quotes s in errors.
func canonicalName(s, name string) (string, error) {
	name = strings.TrimSuffix(name, ".")
	label, last := 0, 0 // length of this label, start of it
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
			if label++; label > maxLabel {
				return "", Malformed(s, "a label is too long")
			}
		case c == '.' && label > 0:
			label, last = 0, i+1
		case c == '.':
			return "", Malformed(s, "a label is empty")
		default:
			return "", Malformed(s, fmt.Sprintf("%q may not stand in a host", c))
		}
	}
	if label == 0 {
		return "", Malformed(s, "a label is empty")
	}
	if number(name[last:]) {
		a, ok := parseIPv4(name)
		if !ok {
			return "", Malformed(s, "it ends in a number and is no IPv4 address")
		}
		if t := a.String(); t != name { // one allocation for a literal, none for names
			return t, nil
		}
		return name, nil
	}
	if len(name) > maxName {
		return "", Malformed(s, "it is too long")
	}
	return strings.ToLower(name), nil
}

// number reports whether a client may take the label for a number: all digits,
// or "0x" before hexadecimal digits or nothing.
func number(label string) bool {
	if hex, ok := cutHex(label); ok {
		return strings.Trim(hex, "0123456789abcdefABCDEF") == ""
	}
	return strings.Trim(label, "0123456789") == ""
}

func cutHex(s string) (string, bool) {
	if len(s) >= 2 && s[0] == '0' && s[1]|0x20 == 'x' {
		return s[2:], true
	}
	return s, false
}

// parseIPv4 reads an address as inet_aton does: up to four numbers, of which
// the last fills all bytes that are left.
func parseIPv4(s string) (netip.Addr, bool) {
	var sum uint64
	for part := 0; ; part++ {
		label, rest, more := strings.Cut(s, ".")
		n, ok := parseNumber(label)
		if !ok || part > 3 {
			return netip.Addr{}, false
		}
		if !more {
			if n >= 1<<(8*(4-part)) {
				return netip.Addr{}, false
			}
			sum |= n
			return netip.AddrFrom4([4]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)}), true
		}
		if n > 0xff {
			return netip.Addr{}, false
		}
		sum |= n << (8 * (3 - part))
		s = rest
	}
}

// parseNumber reads a number in the notation of C: 0x hexadecimal, 0 octal.
func parseNumber(s string) (uint64, bool) {
	base := uint64(10)
	if hex, ok := cutHex(s); ok {
		s, base = hex, 16
	} else if len(s) > 1 && s[0] == '0' {
		base = 8
	}
	var n uint64
	for i := range len(s) {
		c := uint64(s[i])
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = (c | 0x20) - 'a' + 10
		}
		if c >= base {
			return 0, false
		}
		if n = n*base + c; n > 0xffffffff {
			return 0, false
		}
	}
	return n, len(s) > 0
}
