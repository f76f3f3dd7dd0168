package forward

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
)

// Avoid tells f where outvet itself listens: an upstream proxy there would send
// every call in a circle, and so would a name server. An error says that one is
// named so.
func (f *Forwarder) Avoid(listeners ...net.Addr) error {
	var list []netip.AddrPort
	for _, l := range listeners {
		if a, err := netip.ParseAddrPort(l.String()); err == nil {
			list = append(list, netip.AddrPortFrom(a.Addr().Unmap(), a.Port()))
		}
	}
	f.listeners.Store(&list)
	if servers, err := f.nameServers(); err == nil {
		for _, s := range servers {
			if f.loops(s) {
				return fmt.Errorf("forward: the name server %v, which this machine uses, is outvet itself: name another in %s, or listen elsewhere with --dns", s, resolvConf)
			}
		}
	}
	for _, px := range f.opt.Proxies.list() {
		a := literal(px.host)
		if !a.IsValid() && here(px.host, a) {
			a = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		}
		if a.IsValid() && f.loops(netip.AddrPortFrom(a, px.port)) {
			return fmt.Errorf("forward: %s names outvet itself (%v) as its upstream proxy: name another, or none with --upstream-proxy none", px.from, px)
		}
	}
	return nil
}

// loops reports whether a is one of our own listeners.
func (f *Forwarder) loops(a netip.AddrPort) bool {
	list := f.listeners.Load()
	if list == nil {
		return false
	}
	for _, l := range *list {
		if l.Port() != a.Port() {
			continue
		}
		mine := a.Addr().IsLoopback() || a.Addr().IsUnspecified() || f.own.has(a.Addr())
		switch {
		case l.Addr() == a.Addr(), l.Addr().IsUnspecified() && mine, a.Addr().IsUnspecified() && l.Addr().IsLoopback():
			return true
		}
	}
	return false
}

// isProxy reports whether t, which has addrs, is one of our upstream proxies: who
// could talk to it as a client could go anywhere through it.
func (f *Forwarder) isProxy(ctx context.Context, addrs []netip.Addr, t dest) bool {
	for _, px := range f.opt.Proxies.list() {
		if px.port != t.port {
			continue
		}
		if px.host == t.host {
			return true
		}
		short, cancel := context.WithTimeout(ctx, lookTime)
		known, _ := f.resolve(short, px.host) // unknown here, it cannot be used either
		cancel()
		if slices.ContainsFunc(known, func(a netip.Addr) bool { return slices.Contains(addrs, a) }) {
			return true
		}
	}
	return false
}
