package loopback

import (
	"net"
	"net/netip"
	"time"
)

// Queries is a socket for UDP on port 53 of all addresses. It is a
// net.PacketConn whose addresses are of type *Asker.
type Queries struct{ conn *net.UDPConn }

// An Asker is who sent a datagram, and to which address: an answer must come from
// there.
type Asker struct {
	From  netip.AddrPort
	Asked netip.Addr
}

// Network implements net.Addr.
func (*Asker) Network() string { return "udp" }

// String implements net.Addr.
func (a *Asker) String() string { return a.From.String() }

// ReadFrom implements net.PacketConn. The address is an *Asker.
func (q *Queries) ReadFrom(b []byte) (int, net.Addr, error) {
	var oob [controlMax]byte
	n, on, _, from, err := q.conn.ReadMsgUDPAddrPort(b, oob[:])
	if err != nil {
		return n, nil, err
	}
	return n, &Asker{From: from, Asked: asked(oob[:on])}, nil
}

// WriteTo implements net.PacketConn. If to is an *Asker the datagram comes from
// the address that was asked.
func (q *Queries) WriteTo(b []byte, to net.Addr) (int, error) {
	a, ok := to.(*Asker)
	if !ok {
		return q.conn.WriteTo(b, to)
	}
	n, _, err := q.conn.WriteMsgUDPAddrPort(b, answerFrom(a.Asked), a.From)
	return n, err
}

// Close implements net.PacketConn.
func (q *Queries) Close() error { return q.conn.Close() }

// LocalAddr implements net.PacketConn.
func (q *Queries) LocalAddr() net.Addr { return q.conn.LocalAddr() }

// SetDeadline implements net.PacketConn.
func (q *Queries) SetDeadline(t time.Time) error { return q.conn.SetDeadline(t) }

// SetReadDeadline implements net.PacketConn.
func (q *Queries) SetReadDeadline(t time.Time) error { return q.conn.SetReadDeadline(t) }

// SetWriteDeadline implements net.PacketConn.
func (q *Queries) SetWriteDeadline(t time.Time) error { return q.conn.SetWriteDeadline(t) }
