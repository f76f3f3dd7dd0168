package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"outvet/call"
	"outvet/internal/listener/dns"
	"outvet/internal/listener/sealed"
	"outvet/internal/sandbox/loopback"
	"outvet/internal/synthetic"
)

// attaching is the command line of the namespaces that serve seals.
type attaching struct {
	namespaces, nodes []string
}

func (a *attaching) add(c *cobra.Command) {
	f := c.Flags()
	f.StringArrayVar(&a.namespaces, "attach", nil, "`[SESSION=]NETNS`: seal this network namespace (a path) and serve all that is in it as SESSION; may be repeated (Linux, root)")
	f.StringArrayVar(&a.nodes, "attach-node", nil, "`ADDR` that may connect into attached namespaces which have an interface, as probes do; may be repeated")
	_ = c.MarkFlagFilename("attach")
}

// A target is a namespace to be sealed.
type target struct {
	session call.SessionID
	netns   string
}

// targets reads the flags.
func (a *attaching) targets() (list []target, nodes []netip.Addr, err error) {
	seen := map[call.SessionID]bool{}
	for _, s := range a.namespaces {
		t, err := parseTarget(s)
		if err != nil {
			return nil, nil, fmt.Errorf("--attach %q: %w", s, err)
		}
		if seen[t.session] {
			return nil, nil, fmt.Errorf("--attach %q: another namespace has the session %q: name one with SESSION=NETNS", s, t.session)
		}
		seen[t.session] = true
		list = append(list, t)
	}
	for _, s := range a.nodes {
		n, err := netip.ParseAddr(s)
		if err != nil || n.Zone() != "" {
			return nil, nil, fmt.Errorf("--attach-node %q: give an address such as 10.0.0.1", s)
		}
		nodes = append(nodes, n)
	}
	if len(nodes) > 0 && len(list) == 0 {
		return nil, nil, errors.New("--attach-node: there is no --attach")
	}
	return list, nodes, nil
}

// parseTarget reads one flag. Without a name the session is the last part of a
// path below a folder of namespaces.
func parseTarget(s string) (t target, err error) {
	name, path, named := strings.Cut(s, "=")
	if !named {
		name, path = filepath.Base(s), s
	}
	switch {
	case path == "":
		return t, errors.New("give the path of a network namespace, such as /run/netns/NAME or /proc/PID/ns/net")
	case !named && strings.HasPrefix(path, "/proc/"):
		return t, errors.New("name the session, as in SESSION=" + path)
	case name == "" || len(name) > 128 || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }):
		return t, fmt.Errorf("%q is no name of a session: give printable ASCII without spaces", name)
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return t, fmt.Errorf("an address (%s) names what was seen, no session", name)
	}
	return target{call.SessionID(name), path}, nil
}

// An attached is a sealed namespace with its resolver.
type attached struct {
	box *sealed.Sandbox
	dns *dns.Server
}

// settle makes what serves the sockets of a namespace in which who lives.
func (h *house) settle(s *loopback.Sockets, who call.Caller, grade call.Grade) *attached {
	names := &synthetic.Table{}
	d := &dns.Server{Gate: h.gate, Upstream: h.upstream, Names: names, Grade: grade, Logger: h.log,
		Caller: func(net.Addr) call.Caller { return who }}
	return &attached{dns: d, box: &sealed.Sandbox{Proxy: h.proxy, Sockets: s, Names: names, Resolver: d, Caller: who, Grade: grade}}
}

// serve serves the namespace, and tells failed when it ended, three times at most.
func (a *attached) serve(failed chan<- error) {
	go func() { failed <- a.box.Serve() }()
	for _, q := range []*loopback.Queries{a.box.Sockets.DNS4, a.box.Sockets.DNS6} {
		if q != nil {
			go func() { failed <- a.dns.Serve(q) }()
		}
	}
}

// shutdown ends the resolvers of all, and records what stood open.
func shutdown(ctx context.Context, all []*attached) error {
	var errs []error
	for _, a := range all {
		errs = append(errs, a.dns.Shutdown(ctx))
	}
	return errors.Join(errs...)
}

// attach seals the namespaces. What was sealed stays so if it fails.
func (h *house) attach(a *attaching) error {
	list, nodes, err := a.targets()
	if err != nil {
		return usage(err)
	}
	for _, t := range list {
		s, err := loopback.Attach(t.netns, nodes...)
		if err != nil {
			return err
		}
		who := call.Caller{Session: t.session, SessionMark: call.Observed}
		h.sandboxes = append(h.sandboxes, h.settle(s, who, call.SealedNoFS)) // its files are the business of who made it
		h.log.Info("sealed", "session", t.session, "netns", t.netns)
	}
	return nil
}
