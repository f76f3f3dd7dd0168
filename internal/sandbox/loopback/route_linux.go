package loopback

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// lo is the index of the loopback interface, the first of every namespace.
const lo = 1

// A request is one message of rtnetlink.
type request struct {
	what  string // for errors
	kind  netlink.HeaderType
	flags netlink.HeaderFlags
	fixed []byte
	attrs map[uint16][]byte
	order []uint16
	fine  unix.Errno // an answer that will do, too
}

func (r *request) with(kind uint16, data []byte) *request {
	if r.attrs == nil {
		r.attrs = map[uint16][]byte{}
	}
	r.attrs[kind] = data
	r.order = append(r.order, kind)
	return r
}

// setRoutes gives lo its addresses and makes every address a local one.
func setRoutes(six bool, w *wire) error {
	c, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return fmt.Errorf("loopback: open rtnetlink: %w", err)
	}
	defer c.Close()
	all := []*request{up(lo)}
	own := []netip.Addr{Own4}
	if six {
		own = append(own, Own6)
	}
	for _, a := range own {
		all = append(all, address(a), everything(a))
		all = append(all, w.detours(a)...)
	}
	for _, r := range all {
		if err := r.send(c); err != nil {
			return err
		}
	}
	return nil
}

func (r *request) send(c *netlink.Conn) error {
	data := r.fixed
	if len(r.order) > 0 {
		ae := netlink.NewAttributeEncoder()
		for _, k := range r.order {
			ae.Bytes(k, r.attrs[k])
		}
		b, err := ae.Encode()
		if err != nil {
			return fmt.Errorf("loopback: %s: %w", r.what, err)
		}
		data = append(data, b...)
	}
	_, err := c.Execute(netlink.Message{Header: netlink.Header{Type: r.kind, Flags: netlink.Request | netlink.Acknowledge | r.flags}, Data: data})
	if err != nil && (r.fine == 0 || !errors.Is(err, r.fine)) {
		return fmt.Errorf("loopback: %s: %w", r.what, err)
	}
	return nil
}

func family(a netip.Addr) byte {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

func number(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }

// up is: ip link set dev INDEX up.
func up(index uint32) *request {
	b := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(b[4:], index)
	binary.NativeEndian.PutUint32(b[8:], unix.IFF_UP)  // flags
	binary.NativeEndian.PutUint32(b[12:], unix.IFF_UP) // those that change
	return &request{what: "set lo up", kind: unix.RTM_NEWLINK, fixed: b}
}

// address is: ip address replace A dev lo scope global nodad.
func address(a netip.Addr) *request {
	b := make([]byte, unix.SizeofIfAddrmsg)
	b[0], b[1], b[2], b[3] = family(a), byte(a.BitLen()), unix.IFA_F_NODAD, unix.RT_SCOPE_UNIVERSE
	binary.NativeEndian.PutUint32(b[4:], lo)
	r := &request{what: "give lo the address " + a.String(), kind: unix.RTM_NEWADDR, flags: netlink.Create | netlink.Replace, fixed: b}
	return r.with(unix.IFA_LOCAL, a.AsSlice()).with(unix.IFA_ADDRESS, a.AsSlice())
}

// everything is: ip route replace local default dev lo src OWN table local.
func everything(own netip.Addr) *request {
	b := make([]byte, unix.SizeofRtMsg)
	b[0], b[4], b[5], b[6], b[7] = family(own), unix.RT_TABLE_UNSPEC, unix.RTPROT_STATIC, unix.RT_SCOPE_HOST, unix.RTN_LOCAL
	r := &request{what: "make every address local with the source " + own.String(), kind: unix.RTM_NEWROUTE, flags: netlink.Create | netlink.Replace, fixed: b}
	return r.with(unix.RTA_TABLE, number(unix.RT_TABLE_LOCAL)).with(unix.RTA_OIF, number(lo)).with(unix.RTA_PREFSRC, own.AsSlice())
}
