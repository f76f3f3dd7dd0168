package proxy

import (
	"errors"
	"net"
	"net/http"

	"outvet/call"
)

// An Entry says what a connection is for that did not come to the proxy's own
// port: one of a sealed sandbox, whose client believes that it talks to Host. It
// is a tunnel from its first byte, as if a CONNECT had been granted. What can be
// told to its client in no other way is told by a reset.
type Entry struct {
	Listener string // where it came in
	Grade    call.Grade
	Caller   call.Caller // who is on the other side, as the socket tells
	Host     string      // canonical; "" if the client means the proxy itself
	Port     uint16
	Fault    string         // why nothing can come of it: that is recorded, and the connection reset
	Serve    func(net.Conn) // serves it in place of the proxy, and closes it; nil for none

	// Orphaned reports whether no program holds the client's end any more; nil if
	// nobody knows.
	Orphaned func(net.Conn) bool

	over func() // gives back what the connection took
}

// ServeEntries answers on all listeners, like Serve, connections of which find
// tells what they are for. find is called beside others and may not block for long.
// Beyond most connections at a time none is accepted on them, so that who fills
// them up has done so for itself alone.
func (s *Server) ServeEntries(all []net.Listener, most int, find func(net.Conn) Entry) error {
	room := make(chan struct{}, most)
	ended := make(chan error, len(all))
	for _, l := range all {
		go func() {
			ended <- s.serveOn(l, room, func(nc net.Conn, a *arrival) {
				e := find(nc)
				e.over = func() { <-room }
				s.enterBy(nc, a, &e)
			})
		}()
	}
	var errs []error
	for range all {
		errs = append(errs, <-ended)
	}
	return errors.Join(errs...)
}

// enterBy serves nc, as what e says that it is.
func (s *Server) enterBy(nc net.Conn, a *arrival, e *Entry) {
	var t *tunnel
	switch {
	case e.Serve != nil:
		a.begun()
		e.Serve(nc)
	case e.Host == "" && e.Fault == "":
		t = s.serveFront(nc, a, e)
	default:
		if t = s.tunnel(nc, nil, e.Host, e.Port, e.Caller); t != nil {
			t.arrival, t.entry, t.fault = a, e, e.Fault
		}
	}
	if t == nil {
		e.over()
	}
	s.follow(t, a)
}

// caller says who sent r.
func (e *Entry) caller(r *http.Request) call.Caller {
	who := e.callerAt(r.RemoteAddr, session(r.Header.Get("Proxy-Authorization")))
	claims(&who, r.Header)
	return who
}

// callerAt says who calls from the address peer and names its session name, ""
// for none. Where the socket tells who it is, what the client names counts for
// nothing.
func (e *Entry) callerAt(peer, name string) call.Caller {
	if e == nil {
		return callerAt(peer, name)
	}
	return e.Caller
}

// orphaned reports whether no program holds the other end of c any more.
func (e *Entry) orphaned(c *net.TCPConn) bool {
	if e == nil {
		return orphaned(c)
	}
	return e.Orphaned != nil && e.Orphaned(c)
}

// from says in c by which way it came in. A nil Entry is the proxy's own port.
func (e *Entry) from(c *call.Call) {
	c.Listener, c.Grade = "proxy", call.Cooperative
	if e != nil {
		c.Listener, c.Grade = e.Listener, e.Grade
	}
}

// refuse lets Close reset the connection if its client did not ask for a tunnel:
// it believes to talk to the host itself, and nothing else can be told to it.
func (t *tunnel) refuse() {
	if t.entry != nil && t.entry.Host != "" {
		reset(t.Conn)
	}
}

// entry returns that by which x came.
func (x *exchange) entry() *Entry {
	if x.t != nil {
		return x.t.entry
	}
	return x.w.(*response).c.entry
}
