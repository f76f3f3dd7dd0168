package loopback

import (
	"fmt"
	"net/netip"
	"os"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// A wire is what a namespace of others has besides lo. As long as there are no
// rules for routing, the tables local and main are searched as one, and the route
// of a neighbourhood is longer than ours. So there are rules: nodes by table main,
// then all by table local. A nil wire is none.
type wire struct {
	nodes []netip.Addr // may connect to the namespace, and get answers
}

// Preferences of our rules. Those of the system are 0, which leads into table
// local and goes, and 32766, which leads into main.
const (
	nodePref  = 10
	localPref = 20
)

// forget lets the kernel take no connection for one that came in by its middle:
// what was open before, to wherever, does not go on.
func (w *wire) forget() error {
	if w == nil {
		return nil
	}
	if err := os.WriteFile("/proc/sys/net/netfilter/nf_conntrack_tcp_loose", []byte("0"), 0); err != nil {
		return fmt.Errorf("loopback: end the connections of before: %w", err)
	}
	return nil
}

// detours are the rules for the family of own.
func (w *wire) detours(own netip.Addr) []*request {
	if w == nil {
		return nil
	}
	var all []*request
	for _, n := range w.nodes {
		if n.Is4() == own.Is4() {
			all = append(all, lookup(nodePref, netip.PrefixFrom(n, n.BitLen()), family(own), unix.RT_TABLE_MAIN))
		}
	}
	first := lookup(0, netip.Prefix{}, family(own), unix.RT_TABLE_LOCAL)
	first.kind, first.flags, first.fine = unix.RTM_DELRULE, 0, unix.ENOENT // gone, if we were here before
	return append(all, lookup(localPref, netip.Prefix{}, family(own), unix.RT_TABLE_LOCAL), first)
}

// lookup is: ip rule add pref PREF to TO lookup TABLE.
func lookup(pref uint32, to netip.Prefix, family byte, table uint32) *request {
	const toTable = 1 // FR_ACT_TO_TBL
	b := make([]byte, 12)
	b[0], b[7] = family, toTable
	r := &request{what: fmt.Sprintf("routing rule %d", pref), kind: unix.RTM_NEWRULE, flags: netlink.Create | netlink.Excl, fixed: b, fine: unix.EEXIST}
	if to.IsValid() {
		b[1] = byte(to.Bits())
		r.with(unix.FRA_DST, to.Addr().AsSlice())
	}
	return r.with(unix.FRA_PRIORITY, number(pref)).with(unix.FRA_TABLE, number(table))
}
