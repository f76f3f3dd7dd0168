package sealed

import (
	"errors"
	"net"
	"net/netip"

	"outvet/call"
	"outvet/internal/hostname"
	"outvet/internal/listener/proxy"
	"outvet/internal/sandbox/loopback"
)

// Names tells which name an address stands for.
type Names interface {
	Name(netip.Addr) (string, bool)
}

// A Resolver answers the queries that come over a connection, and closes it.
type Resolver interface {
	ServeConn(net.Conn)
}

// A Sandbox is one sealed network namespace, whose connections Proxy carries.
type Sandbox struct {
	Proxy    *proxy.Server
	Sockets  *loopback.Sockets
	Names    Names       // nil where no address stands for a name
	Resolver Resolver    // nil for none: queries over TCP are then refused
	Caller   call.Caller // who lives in it
	Grade    call.Grade  // how well it is closed
	MaxConns int         // connections at a time; 4,096
}

// connsDefault bounds the connections of one sandbox that are open at a time.
const connsDefault = 4096

// Serve serves the connections of the sandbox until its sockets are closed or
// Proxy is shut down, which is no error.
func (s *Sandbox) Serve() error {
	most := s.MaxConns
	if most <= 0 {
		most = connsDefault
	}
	if err := s.Proxy.ServeEntries(s.Sockets.Listeners(), most, s.entry); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// standIns are the blocks of addresses that stand for names, or for none: no
// service has them, and nothing is dialled there.
var standIns = [...]netip.Prefix{netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("2001:2::/48")}

func standIn(a netip.Addr) bool { return standIns[0].Contains(a) || standIns[1].Contains(a) }

// Faults of connections that lead nowhere.
const (
	noName     = "the address stands for a name inside a sandbox, and for none now: the client kept it for too long, or made it up"
	badName    = "the address stands for a name that is no host name"
	noResolver = "nobody here answers queries over TCP"
	noPlace    = "the connection came to an address of the sandbox itself where nobody listens"
)

// entry says what c is for.
func (s *Sandbox) entry(c net.Conn) proxy.Entry {
	e := proxy.Entry{Listener: "sealed", Grade: s.Grade, Caller: s.Caller, Orphaned: s.Sockets.Orphaned}
	at, err := s.Sockets.Destination(c)
	if err != nil { // it is gone already
		e.Serve = func(c net.Conn) { c.Close() }
		return e
	}
	a := at.Addr()
	switch {
	case at.Port() == 53 && s.Resolver != nil:
		e.Serve = s.Resolver.ServeConn
		return e
	case loopback.Own(a) && at.Port() == loopback.Port:
		return e
	}
	e.Host, e.Port = a.String(), at.Port()
	switch name, ok := s.name(a); {
	case at.Port() == 53:
		e.Fault = noResolver
	case loopback.Own(a):
		e.Fault = noPlace
	case ok:
		if h, err := hostname.Canonical(name); err == nil {
			e.Host = h
		} else {
			e.Fault = badName
		}
	case standIn(a):
		e.Fault = noName
	}
	return e
}

func (s *Sandbox) name(a netip.Addr) (string, bool) {
	if s.Names == nil {
		return "", false
	}
	return s.Names.Name(a)
}
