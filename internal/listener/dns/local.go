package dns

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// Names that stand for this side of the network.
const (
	canary  = "use-application-dns.net" // asked by browsers that would go around us: not there (Mozilla's canary)
	reverse = "arpa"
)

// special are the top-level domains that no public name server has, though the
// list of public suffixes knows some of them (RFC 6761, 6762, 7686, 9476).
var special = map[string]bool{"arpa": true, "onion": true, "local": true, "localhost": true, "invalid": true, "test": true, "example": true, "alt": true, "internal": true}

// public reports whether name can be one that the world's name servers have.
func public(name string) bool {
	dot := strings.LastIndexByte(name, '.')
	top := name[dot+1:]
	if dot < 0 || special[top] || name == canary {
		return false
	}
	_, icann := publicsuffix.PublicSuffix("x." + top)
	return icann
}

// loopback reports whether name is this machine's own (RFC 6761 §6.3).
func loopback(name string) bool {
	return name == "localhost" || strings.HasSuffix(name, ".localhost")
}

// addressOf returns the address that a name below in-addr.arpa or ip6.arpa is of.
func addressOf(name string) (netip.Addr, bool) {
	if rest, ok := strings.CutSuffix(name, ".in-addr.arpa"); ok {
		var b [4]byte
		i := 3
		for l := range strings.SplitSeq(rest, ".") {
			n, err := strconv.ParseUint(l, 10, 8)
			if err != nil || i < 0 {
				return netip.Addr{}, false
			}
			b[i] = byte(n)
			i--
		}
		return netip.AddrFrom4(b), i < 0
	}
	rest, ok := strings.CutSuffix(name, ".ip6.arpa")
	if !ok || len(rest) != 63 {
		return netip.Addr{}, false
	}
	var b [16]byte
	for i := range 32 {
		n, err := strconv.ParseUint(rest[2*i:2*i+1], 16, 8)
		if err != nil || 2*i+1 < len(rest) && rest[2*i+1] != '.' {
			return netip.Addr{}, false
		}
		at := 31 - i
		b[at/2] |= byte(n) << (4 * (1 - at%2))
	}
	return netip.AddrFrom16(b), true
}

// encoded returns a plain name as it stands in a message.
func encoded(name string) []byte {
	out := make([]byte, 0, len(name)+2)
	for l := range strings.SplitSeq(name, ".") {
		out = append(append(out, byte(len(l))), l...)
	}
	return append(out, 0)
}

// mine answers what is about this side of the network alone and so is no call:
// the machine's own name, and the names of addresses that we gave.
func (s *Server) mine(q *question) (msg []byte, ok bool) {
	if q.class != classIN {
		return nil, false
	}
	a := begin(q, noError, s.room(q))
	switch {
	case loopback(q.name):
		switch q.kind {
		case kindA:
			a.record(ttlLocal, []byte{127, 0, 0, 1})
		case kindAAAA:
			a.record(ttlLocal, binary.BigEndian.AppendUint64(make([]byte, 8), 1))
		}
		return a.finish(noError, 0, ""), true
	case q.kind == kindPTR:
		addr, ok := addressOf(q.name)
		name := "localhost"
		if ok && !addr.IsLoopback() {
			if s.Names == nil {
				return nil, false
			}
			name, ok = s.Names.Name(addr)
		}
		if !ok {
			return nil, false
		}
		a.record(ttlLocal, encoded(name))
		return a.finish(noError, 0, ""), true
	}
	return nil, false
}
