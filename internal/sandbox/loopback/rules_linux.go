package loopback

import (
	"errors"
	"net"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// tableName is that of our tables of nft, one of each family.
const tableName = "outvet"

// A ruleset is being written for one family.
type ruleset struct {
	c     *nftables.Conn
	table *nftables.Table
	six   bool
	own   []netip.Addr // of this family, besides loopback
}

// setRules makes our tables, both or none, or replaces those that are there. It
// does not replace at once, since the kernel then waits, ten times as long as all
// else takes, for whoever may still read the ones before.
func setRules(way capture, six bool, w *wire, own []net.IP) error {
	err := writeRules(way, six, w, own, false)
	if errors.Is(err, unix.EEXIST) {
		err = writeRules(way, six, w, own, true)
	}
	return err
}

func writeRules(way capture, six bool, w *wire, own []net.IP, replace bool) error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	for _, r := range []ruleset{{c: c, own: []netip.Addr{Own4}}, {c: c, six: true, own: []netip.Addr{Own6}}} {
		if r.six && !six {
			continue
		}
		family := nftables.TableFamilyIPv4
		if r.six {
			family = nftables.TableFamilyIPv6
		}
		for _, ip := range own {
			if a, ok := netip.AddrFromSlice(ip); ok && a.Unmap().Is6() == r.six {
				r.own = append(r.own, a.Unmap())
			}
		}
		r.table = &nftables.Table{Family: family, Name: tableName}
		if replace {
			c.AddTable(r.table) // so that it is there to be deleted
			c.DelTable(r.table)
		}
		c.CreateTable(r.table)
		r.captureTCP(way)
		r.holdBack(w)
		if w != nil {
			r.pastOthers(way)
		}
	}
	return c.Flush()
}

func (r *ruleset) chain(name string, kind nftables.ChainType, hook *nftables.ChainHook, prio *nftables.ChainPriority) *nftables.Chain {
	accept := nftables.ChainPolicyAccept
	return r.c.AddChain(&nftables.Chain{Name: name, Table: r.table, Type: kind, Hooknum: hook, Priority: prio, Policy: &accept})
}

func (r *ruleset) rule(ch *nftables.Chain, parts ...[]expr.Any) {
	var all []expr.Any
	for _, p := range parts {
		all = append(all, p...)
	}
	r.c.AddRule(&nftables.Rule{Table: r.table, Chain: ch, Exprs: all})
}

// A capture is a way to bring every connection to one port.
type capture struct {
	name       string
	redirected bool // the kernel remembers where it was meant to go
	chain      func(r *ruleset) *nftables.Chain
	from, to   func(r *ruleset) []expr.Any // which connections, and what is done with them once register 1 has the port
}

var (
	tproxy = capture{
		name: "tproxy",
		chain: func(r *ruleset) *nftables.Chain {
			return r.chain("capture", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, nftables.ChainPriorityMangle)
		},
		from: func(*ruleset) []expr.Any { return name(expr.MetaKeyIIFNAME, expr.CmpOpEq, "lo") },
		to: func(r *ruleset) []expr.Any {
			family := byte(unix.NFPROTO_IPV4)
			if r.six {
				family = unix.NFPROTO_IPV6
			}
			return append([]expr.Any{&expr.TProxy{Family: family, TableFamily: family, RegPort: 1}}, accept()...)
		},
	}
	redirect = capture{
		name: "redirect", redirected: true,
		chain: func(r *ruleset) *nftables.Chain {
			before := nftables.ChainPriorityRef(*nftables.ChainPriorityNATDest - 1) // those of others
			return r.chain("capture", nftables.ChainTypeNAT, nftables.ChainHookOutput, before)
		},
		from: func(*ruleset) []expr.Any { return nil },
		to:   func(*ruleset) []expr.Any { return []expr.Any{&expr.Redir{RegisterProtoMin: 1}} },
	}
)

// captureTCP brings connections to our listener, but not those to the command's
// own servers.
func (r *ruleset) captureTCP(way capture) {
	ch, from := way.chain(r), way.from(r)
	to := append([]expr.Any{&expr.Immediate{Register: 1, Data: binaryutil.BigEndian.PutUint16(Port)}}, way.to(r)...)
	r.rule(ch, from, protocol(unix.IPPROTO_TCP), toPort(53), to)
	r.rule(ch, r.toLoopback(), accept())
	for _, a := range r.own {
		r.rule(ch, r.toAddr(a), accept())
	}
	r.rule(ch, from, protocol(unix.IPPROTO_TCP), to)
}

// holdBack drops echo requests and what would go out by another interface than
// lo, but answers to who may connect by it.
func (r *ruleset) holdBack(w *wire) {
	ch := r.chain("out", nftables.ChainTypeFilter, nftables.ChainHookOutput, nftables.ChainPriorityFilter)
	away := name(expr.MetaKeyOIFNAME, expr.CmpOpNeq, "lo")
	if w != nil {
		r.rule(ch, away, state(expr.CtStateBitESTABLISHED), reply(), accept())
		r.rule(ch, away, state(expr.CtStateBitRELATED), accept())
		if r.six { // neighbours are looked for by messages that no connection has
			for _, kind := range []byte{135, 136} {
				r.rule(ch, away, protocol(unix.IPPROTO_ICMPV6), message(kind), accept())
			}
		}
	}
	r.rule(ch, away, drop())
	r.rule(ch, r.toLoopback(), accept())
	if r.six {
		r.rule(ch, protocol(unix.IPPROTO_ICMPV6), message(128), drop())
	} else {
		r.rule(ch, protocol(unix.IPPROTO_ICMP), message(8), drop())
	}
}

// embedded is where the engine of a container answers queries, from a socket that
// it made in the namespace and serves outside: it would carry names out. Rules of
// its own lead there from port 53.
var embedded = netip.MustParseAddr("127.0.0.11")

// pastOthers lets queries come to us past rules of others that lead them elsewhere
// (what is not tracked they do not see), and nothing to where those lead.
func (r *ruleset) pastOthers(way capture) {
	early := r.chain("early", nftables.ChainTypeFilter, nftables.ChainHookOutput, nftables.ChainPriorityRaw)
	untracked := []expr.Any{&expr.Notrack{}}
	r.rule(early, protocol(unix.IPPROTO_UDP), toPort(53), untracked)
	if !way.redirected { // which must see it
		r.rule(early, protocol(unix.IPPROTO_TCP), toPort(53), untracked)
	}
	if r.six {
		return
	}
	for _, p := range []byte{unix.IPPROTO_TCP, unix.IPPROTO_UDP} {
		r.rule(early, r.toAddr(embedded), protocol(p), notToPort(53), drop())
	}
}

func accept() []expr.Any { return []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}} }
func drop() []expr.Any   { return []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}} }

// name compares the name of an interface, which is padded to 16 bytes.
func name(key expr.MetaKey, op expr.CmpOp, n string) []expr.Any {
	return []expr.Any{&expr.Meta{Key: key, Register: 1}, &expr.Cmp{Op: op, Register: 1, Data: append([]byte(n), make([]byte, unix.IFNAMSIZ-len(n))...)}}
}

func protocol(p byte) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{p}}}
}

// message compares the type of an ICMP message.
func message(kind byte) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{kind}},
	}
}

func toPort(p uint16) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(p)},
	}
}

func notToPort(p uint16) []expr.Any {
	e := toPort(p)
	e[1].(*expr.Cmp).Op = expr.CmpOpNeq
	return e
}

// destination loads the address to which a packet goes.
func (r *ruleset) destination() *expr.Payload {
	if r.six {
		return &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 24, Len: 16}
	}
	return &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 16, Len: 4}
}

func (r *ruleset) toAddr(a netip.Addr) []expr.Any {
	return []expr.Any{r.destination(), &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: a.AsSlice()}}
}

func (r *ruleset) toLoopback() []expr.Any {
	if r.six {
		return r.toAddr(netip.IPv6Loopback())
	}
	return []expr.Any{
		r.destination(),
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: []byte{255, 0, 0, 0}, Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{127, 0, 0, 0}},
	}
}

// reply matches packets to who made the connection.
func reply() []expr.Any {
	const toOrigin = 1 // IP_CT_DIR_REPLY
	return []expr.Any{&expr.Ct{Key: expr.CtKeyDIRECTION, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{toOrigin}}}
}

// state matches packets by what is known of their connection.
func state(bit uint32) []expr.Any {
	bits := binaryutil.NativeEndian.PutUint32(bit)
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: bits, Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
	}
}
