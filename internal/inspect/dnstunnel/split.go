package dnstunnel

import (
	"strings"

	"golang.org/x/net/publicsuffix"
)

// reserved are the top-level domains that nobody has (RFC 6761) and that are counted
// all the same: what is tried there is meant. Names below others that nobody has
// come of search domains and local networks.
var reserved = map[string]bool{"test": true, "example": true, "invalid": true}

// split returns the registrable domain of a name, what stands left of it, and
// whether it can be one that the world's name servers have.
func split(name string) (sub, domain string, public bool) {
	suffix, icann := publicsuffix.PublicSuffix(name)
	for !icann && strings.IndexByte(suffix, '.') >= 0 { // a private one: who runs the name servers of that?
		suffix, icann = publicsuffix.PublicSuffix(suffix[strings.IndexByte(suffix, '.')+1:])
	}
	top := name[strings.LastIndexByte(name, '.')+1:]
	public = len(top) < len(name) && (icann && top != "arpa" && top != "onion" || reserved[top])
	if len(name) <= len(suffix)+1 {
		return "", name, public
	}
	left := name[:len(name)-len(suffix)-1]
	dot := strings.LastIndexByte(left, '.')
	return name[:max(dot, 0)], name[dot+1:], public
}
