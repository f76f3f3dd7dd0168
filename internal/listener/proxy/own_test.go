package proxy_test

import (
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"outvet/internal/forward"
	"outvet/internal/listener/proxy"
)

// A zone answers every name with its addresses.
type zone []netip.Addr

func (z zone) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return append([]netip.Addr(nil), z...), nil
}

// TestNamesThatLeadHomeAreTold by where they lead: what comes back to us would
// be a call of nobody, since its peer is ourselves.
func TestNamesThatLeadHomeAreTold(t *testing.T) {
	for _, addr := range []string{"127.0.0.1", "::1", "127.0.0.9", "0.0.0.0", "::"} {
		l, err := net.Listen("tcp", "[::]:0")
		if err != nil {
			t.Skip(err)
		}
		up := forward.New(forward.Options{Resolver: zone{netip.MustParseAddr(addr)}})
		t.Cleanup(up.Close)
		const text = "version: 1\ndefault: block\nrules:\n" +
			"  - {name: named, to: {hosts: evil.example, cidrs: [0.0.0.0/0, \"::/0\"]}, verdict: allow}\n" +
			"  - {name: pins, to: {hosts: evil.example, cidrs: [0.0.0.0/0, \"::/0\"]}, tls: passthrough, verdict: allow}\n"
		r := newRig(t, ok, nil, text, func(s *proxy.Server) { s.Upstream, s.Peek = up, 5*time.Second })
		r.server.Avoid(l.Addr()) // as Serve does, which may begin later
		go r.server.Serve(l)
		_, port, _ := net.SplitHostPort(l.Addr().String())
		for _, send := range [][]byte{{5, 1, 0}, firstWords(t, "evil.example")} {
			c := r.dial("evil.example:" + port)
			c.Write(send)
			if b, _ := io.ReadAll(c); len(b) > 0 {
				t.Errorf("%s: %q came back", addr, b)
			}
		}
		for _, p := range r.log.wait(t, 2) {
			if !strings.Contains(p.closed.Outcome.Error, "leads back") {
				t.Errorf("%s: %s: %+v", addr, p.decided.Protocol, p.closed.Outcome)
			}
		}
	}
}

// TestEveryWayInGivesItsSlotBack serves one client at a time, so that one that
// keeps its slot keeps all others out.
func TestEveryWayInGivesItsSlotBack(t *testing.T) {
	r := rawRig(t, pinned, echo)
	one := newRig(t, ok, nil, pinned, func(s *proxy.Server) {
		s.Upstream, s.MaxConns, s.Identify, s.Peek = r.server.Upstream, 1, true, 20*time.Millisecond
	})
	const named = "\x05\x01\x02\x01\x05otter\x01x"
	words := string(firstWords(t, "raw.example"))
	for range 3 {
		for _, send := range []string{
			"", "\x04\x01", "\x05", noAuth, "\x05\x01\x02\x01\x00\x00", named + asks(2, "a.example", 80), named + asks(1, "localhost", 1),
			named + asks(1, "", 80), named + asks(1, "raw.example", 7) + words, named + asks(1, "raw.example", 7) + words[:50],
			named + asks(1, "raw.example", 7) + "\x80\x2e\x01\x00\x02", named + asks(1, "raw.example", 7) + "\x00raw", named + asks(1, "raw.example", 7),
			"CONNECT raw.example:7 HTTP/1.1\r\nHost: raw.example:7\r\nConnection: close\r\n\r\n", "nonsense\r\n\r\n",
		} {
			one.send(send)
		}
	}
}

// send sends what it is given and waits for the end of the answer, whatever that
// is.
func (r *rig) send(what string) {
	r.t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(c, what)
	c.(*net.TCPConn).CloseWrite()
	if _, err := io.ReadAll(c); err != nil && strings.Contains(err.Error(), "timeout") {
		r.t.Fatalf("%.40q was not served: %v", what, err)
	}
}
