package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"

	"outvet/call"
	"outvet/internal/forward"
	"outvet/internal/gate"
	"outvet/internal/hello"
	"outvet/internal/hostname"
)

// pass passes TLS on unread if policy names the host for that. It reports false
// if it is to end here instead. Nothing is dialled before the hello was read:
// the name in it must be the host of the tunnel.
func (t *tunnel) pass() bool {
	c, m := gate.TLS(t.host, t.port)
	t.entry.from(c)
	c.Caller, c.Grade = t.caller, call.Unread
	if !t.s.Gate.Unread(*c) {
		return false
	}
	t.Conn.SetReadDeadline(time.Now().Add(helloTime))
	h, all, err := hello.Read(t.pre, t.Conn)
	t.pre = all
	t.Conn.SetReadDeadline(time.Time{})
	if t.kept = unpassable(h, err, t.host); t.kept != "" {
		return false
	}
	t.idle.Store(false)
	t.arrival.begun()
	t.calls.Add(1)
	c.Witness = t.arrival.who()
	p := t.s.Gate.Open(t.ctx, c, m)
	if h.Encrypted {
		p.Veiled("the hello has an encrypted part (ECH), which may ask for another name than " + t.host)
	}
	s := &splice{t: t, p: p}
	switch {
	case p.Verdict != call.Allow:
		t.alert(alertAccessDenied) // what could tell more has to be trusted first
	case t.s.loops(&c.Dest):
		s.out.Error = loopError
	default:
		go func() { // a connection may last: the stack that judging it took must not
			s.run()
			s.end()
		}()
		return true
	}
	s.end()
	return true
}

// end records how the connection ended and closes it.
func (s *splice) end() {
	t := s.t
	t.s.closed(s.p.Close(s.out))
	switch {
	case t.alerted:
		part(t.Conn)
	case s.out.Error != "":
		t.refuse()
	}
	t.Close()
}

// unpassable says why a connection cannot pass unread, or "".
func unpassable(h hello.Hello, err error, host string) string {
	var m *hello.Malformed
	switch {
	case errors.As(err, &m):
		return "the ClientHello is malformed: " + m.Why
	case err != nil:
		return "the ClientHello did not come whole"
	case h.Name == "":
		if _, err := netip.ParseAddr(host); err == nil {
			return "" // addresses have no server name (RFC 6066 §3)
		}
		return "the client names no server"
	}
	if name, err := hostname.Canonical(h.Name); err != nil || name != host {
		return "the TLS server name is not the host of the tunnel" // what it is was chosen by the agent: no record quotes it
	}
	return ""
}

// sniMax is how much of a server name is kept for the answer, in bytes.
const sniMax = 100

// Alerts of TLS (RFC 8446 §6).
const (
	alertAccessDenied    = 49
	alertProtocolVersion = 70
)

// alert tells the client, before any handshake, why it goes no further. The
// caller parts from it.
func (t *tunnel) alert(what byte) {
	t.alerted = true
	t.Conn.SetWriteDeadline(time.Now().Add(lingerIdle))
	t.Conn.Write([]byte{0x15, 3, 1, 0, 2, 2, what}) // fatal
}

// part ends what the client reads and waits a little for it to read it: a
// connection that is closed with bytes unread is reset, and what we said lost.
func part(c net.Conn) {
	closeWrite(c)
	c.SetReadDeadline(time.Now().Add(lingerIdle))
	io.CopyN(io.Discard, c, hello.Max)
}

// A splice is a connection that passes unread.
type splice struct {
	t   *tunnel
	p   *gate.Passage
	out call.Outcome
}

func (s *splice) run() {
	t := s.t
	up, addr, err := t.s.Upstream.Dial(t.ctx, t.host, t.port, s.p.Guard)
	if err != nil {
		s.out.Error = forward.Classify(err).Error()
		if refused, ok := errors.AsType[*forward.Refused](err); ok {
			s.p.Prohibited(refused)
			t.alert(alertAccessDenied)
		}
		return
	}
	defer up.Close()
	s.out.Address, s.out.Via = reached(up, addr, t.port), forward.Via(up)
	if t.s.homeward(up) {
		s.out.Error = loopError
		return
	}
	client := t.Conn
	defer context.AfterFunc(s.p.Context(), func() { // the call may not go on
		t.refuse()
		up.Close()
		client.Close()
	})()
	done := make(chan error, 1)
	go func() { done <- s.upward(up, client) }()
	var downErr error
	s.out.Received, downErr = copyTo(client, up)
	if downErr != nil {
		client.SetReadDeadline(time.Unix(1, 0)) // ends upward
	} else {
		client.SetReadDeadline(time.Now().Add(idleTime)) // what the client still has to say
	}
	upErr := <-done
	switch stopped := s.p.Stopped(); {
	case stopped != nil:
		s.out.Error = stopped.Error()
	case (upErr != nil || downErr != nil) && t.s.isClosing():
		s.out.Error = "the proxy was shut down"
	case upErr != nil && downErr != nil:
		s.out.Error = "the connection broke off"
	}
}

// upward sends the hello and what follows it.
func (s *splice) upward(up, client net.Conn) error {
	n, err := up.Write(s.t.pre)
	s.t.pre = nil
	s.out.Sent = int64(n)
	if err == nil {
		var m int64
		m, err = copyTo(up, client)
		s.out.Sent += m
	}
	if err != nil {
		up.Close()
	}
	return err
}

// copyTo copies until from ends, and then ends to.
func copyTo(to, from net.Conn) (int64, error) {
	n, err := io.Copy(to, from)
	if err == nil {
		closeWrite(to) // fails where the other side is gone already, as after the close_notify of both
	}
	return n, err
}
