package main

import (
	"context"
	"net"

	"outvet/internal/inspect/dnstunnel"
	"outvet/internal/listener/dns"
)

// openNames opens what is known of the names of hosts.
func openNames(s state, key []byte) (*dnstunnel.Ledger, error) {
	return dnstunnel.Open(dnstunnel.Files{Used: s.path("names.used"), Popular: s.path("popular.txt"), Key: key})
}

// A resolver is the sockets at which names are asked for.
type resolver struct {
	server *dns.Server
	udp    net.PacketConn
	tcp    []net.Listener // none or one
}

// listenDNS opens the resolver at addr; "" is none.
func (h *house) listenDNS(addr string) error {
	if addr == "" {
		return nil
	}
	pc, l, err := dns.Listen(addr)
	if err != nil {
		return usage(err, "give an address of this machine with --dns ADDR; port 53 needs a privilege")
	}
	h.dns = &resolver{&dns.Server{Gate: h.gate, Upstream: h.upstream, Logger: h.log}, pc, []net.Listener{l}}
	return nil
}

func (r *resolver) listeners() []net.Listener {
	if r == nil {
		return nil
	}
	return r.tcp
}

// serve answers until the sockets are closed.
func (r *resolver) serve(failed chan<- error) {
	go func() { failed <- r.server.Serve(r.udp) }()
	for _, l := range r.tcp {
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					failed <- err
					return
				}
				go r.server.ServeConn(c)
			}
		}()
	}
}

// ready is what the line at the start says of the resolver.
func (r *resolver) ready() string {
	if r == nil {
		return ""
	}
	return " dns=" + r.tcp[0].Addr().String()
}

// shutdown ends the resolver, and records what stood open.
func (r *resolver) shutdown(ctx context.Context) error {
	if r == nil {
		return nil
	}
	closeAll(r.tcp)
	return r.server.Shutdown(ctx)
}
