package loopback

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// A wire is what a namespace of others has besides lo. Table local will not do
// there: it is searched together with main, and the route of a neighbourhood is
// longer than ours. A table of our own comes before main, for all but the nodes.
// A nil wire is none.
type wire struct {
	nodes []netip.Addr // may connect to the namespace, and get answers
}

const (
	wireTable   = 15001
	nodePref    = 50
	capturePref = 100
)

// table returns the number of the routing table in which every address is local.
func (w *wire) table() uint32 {
	if w == nil {
		return unix.RT_TABLE_LOCAL
	}
	return wireTable
}

// detours are the rules for the family of own that lead into our table.
func (w *wire) detours(own netip.Addr) []*request {
	if w == nil {
		return nil
	}
	all := []*request{lookup(capturePref, netip.Prefix{}, family(own), wireTable)}
	for _, n := range w.nodes {
		if n.Is4() == own.Is4() {
			all = append(all, lookup(nodePref, netip.PrefixFrom(n, n.BitLen()), family(own), unix.RT_TABLE_MAIN))
		}
	}
	return all
}

// lookup is: ip rule add pref PREF to TO lookup TABLE.
func lookup(pref uint32, to netip.Prefix, family byte, table uint32) *request {
	const toTable = 1 // FR_ACT_TO_TBL
	b := make([]byte, 12)
	b[0], b[7] = family, toTable
	r := &request{what: fmt.Sprintf("add a rule for table %d", table), kind: unix.RTM_NEWRULE, flags: netlink.Create | netlink.Excl, fixed: b, fine: unix.EEXIST}
	if to.IsValid() {
		b[1] = byte(to.Bits())
		r.with(unix.FRA_DST, to.Addr().AsSlice())
	}
	return r.with(unix.FRA_PRIORITY, number(pref)).with(unix.FRA_TABLE, binary.NativeEndian.AppendUint32(nil, table))
}
