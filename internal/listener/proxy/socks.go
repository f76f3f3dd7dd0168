package proxy

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"

	"outvet/internal/hostname"
)

// The first bytes of SOCKS.
const (
	socks4 = 4
	socks5 = 5
)

// Commands and answers of SOCKS 5 (RFC 1928 §4, §6; RFC 1929 §2).
const (
	commandConnect = 1
	authNone       = 0
	authUser       = 2
	authNothing    = 0xff // of what the client offers
	userVersion    = 1

	replyDone     = 0
	replyFailed   = 1
	replyRefused  = 2
	replyCommand  = 7
	replyAddress  = 8
	socks4Refused = 0x5b
)

// socksMax is more than the longest request of a client, in bytes.
const socksMax = 1 + 1 + 255 + 3 + 255 + 255 + 4 + 1 + 255 + 2

// A wish is what a SOCKS client asks for.
type wish struct {
	user    string // as given; "" for none
	command byte
	host    string // canonical
	port    uint16
}

// A denial is the error that ends a SOCKS handshake: what is answered, and why.
type denial struct {
	answer []byte // nil for nothing
	why    string
}

func (d *denial) Error() string { return d.why }

// reply is an answer to a request. The address bound is nobody's business.
func reply(code byte) []byte { return []byte{socks5, code, 0, 1, 0, 0, 0, 0, 0, 0} }

// negotiate reads the handshake of a SOCKS client up to its request, which is not
// answered yet. identify says that it must name itself. An error is a *denial,
// or that of the connection.
func negotiate(r *bufio.Reader, w io.Writer, identify bool) (q wish, err error) {
	var b [4]byte
	if err := full(r, b[:2]); err != nil {
		return q, err
	}
	switch b[0] {
	case socks5:
	case socks4:
		return q, &denial{[]byte{0, socks4Refused, 0, 0, 0, 0, 0, 0}, "a client speaks SOCKS 4: let it use SOCKS 5, as in socks5h://"}
	default:
		return q, &denial{nil, "a client speaks no SOCKS"}
	}
	if q.user, err = authenticate(r, w, int(b[1]), identify); err != nil {
		return q, err
	}
	if err := full(r, b[:]); err != nil {
		return q, err
	}
	if b[0] != socks5 || b[2] != 0 {
		return q, &denial{reply(replyFailed), "a SOCKS request is malformed"}
	}
	q.command = b[1]
	host, err := address(r, b[3])
	if err != nil {
		return q, err
	}
	if err := full(r, b[:2]); err != nil {
		return q, err
	}
	q.port = binary.BigEndian.Uint16(b[:2])
	if q.command != commandConnect {
		q.host, _ = hostname.Canonical(host) // it is refused anyway
		return q, nil
	}
	if q.host, err = hostname.Canonical(host); err != nil || q.port == 0 {
		return q, &denial{reply(replyFailed), "a SOCKS request does not name a host and a port"}
	}
	return q, nil
}

// authenticate settles on a method. Any password will do: the name is a claim.
func authenticate(r *bufio.Reader, w io.Writer, n int, identify bool) (user string, err error) {
	var methods [255]byte
	if err := full(r, methods[:n]); err != nil {
		return "", err
	}
	method := byte(authNothing)
	for _, m := range methods[:n] {
		if m == authUser || m == authNone && !identify && method == authNothing {
			method = m // a client that can name itself is let do so
		}
	}
	if method == authNothing {
		why := "a SOCKS client offers no method that is known here"
		if identify {
			why = "a SOCKS client was asked which session it belongs to"
		}
		return "", &denial{[]byte{socks5, authNothing}, why}
	}
	if _, err := w.Write([]byte{socks5, method}); err != nil || method == authNone {
		return "", err
	}
	version, err := r.ReadByte()
	if err != nil {
		return "", cut(err)
	}
	if version != userVersion {
		return "", &denial{[]byte{userVersion, 1}, "a SOCKS client names itself in an unknown way"}
	}
	if user, err = short(r); err != nil {
		return "", err
	}
	if _, err = short(r); err != nil {
		return "", err
	}
	if identify && sessionName(user) == "" {
		return "", &denial{[]byte{userVersion, 1}, "a SOCKS client was asked which session it belongs to"}
	}
	_, err = w.Write([]byte{userVersion, 0})
	return user, err
}

// address reads a host as it was written.
func address(r *bufio.Reader, kind byte) (string, error) {
	switch kind {
	case 1:
		var b [4]byte
		err := full(r, b[:])
		return netip.AddrFrom4(b).String(), err
	case 3:
		return short(r)
	case 4:
		var b [16]byte
		err := full(r, b[:])
		return netip.AddrFrom16(b).String(), err
	}
	return "", &denial{reply(replyAddress), "a SOCKS request has an unknown kind of address"}
}

// short reads a text of up to 255 bytes behind its length.
func short(r *bufio.Reader) (string, error) {
	n, err := r.ReadByte()
	if err != nil {
		return "", cut(err)
	}
	b := make([]byte, n)
	err = full(r, b)
	return string(b), err
}

func full(r io.Reader, b []byte) error {
	_, err := io.ReadFull(r, b)
	return cut(err)
}

// cut makes the end of the connection within a handshake an error.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// socks answers a connection that begins, with ahead, as SOCKS does, and returns
// the tunnel that it becomes, nil if no tunnel may begin any more. Like a CONNECT,
// a request is always granted: nothing is dialled for it, and what comes through
// the tunnel is judged there.
func (s *Server) socks(c net.Conn, ahead []byte, e *Entry) *tunnel {
	peer := c.RemoteAddr().String()
	t := s.tunnel(c, ahead, "", 0, e.callerAt(peer, ""))
	if t == nil {
		return nil
	}
	t.entry = e
	c.SetDeadline(time.Now().Add(s.HeadTime))
	r := bufio.NewReaderSize(t, socksMax)
	q, err := negotiate(r, c, s.Identify && e == nil)
	if err != nil {
		if d, ok := errors.AsType[*denial](err); ok {
			s.tellOnce(d.why, peer)
			c.Write(d.answer)
			part(c)
		}
		t.abandon(err)
		return t
	}
	if n := r.Buffered(); n > 0 {
		rest, _ := r.Peek(n) // the reader is not used any more
		t.pre = append(rest[:n:n], t.pre...)
	}
	t.host, t.port, t.caller = q.host, q.port, e.callerAt(peer, sessionName(q.user))
	answer := byte(replyDone)
	switch {
	case q.command != commandConnect:
		answer, t.fault = replyCommand, "the client asked SOCKS for something else than to connect (BIND, UDP), which is not carried"
	case s.loops(&t.call("connect", "CONNECT").Dest):
		answer, t.fault = replyRefused, loopError
	}
	_, err = c.Write(reply(answer))
	if err != nil && t.fault == "" {
		t.fault = "the client went away"
	}
	c.SetDeadline(time.Time{})
	if answer != replyDone {
		part(c)
	}
	return t
}

// speaksSOCKS reports whether a connection begins with b as SOCKS does: no
// request of HTTP can.
func speaksSOCKS(b []byte) bool { return len(b) > 0 && (b[0] == socks5 || b[0] == socks4) }
