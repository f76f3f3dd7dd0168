package proxy_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"outvet/call"
	"outvet/internal/listener/proxy"
)

// socksClient returns a client that goes through the proxy by SOCKS.
func (r *rig) socksClient(h2 bool) *http.Client {
	c := r.client(h2)
	c.Transport.(*http.Transport).Proxy = http.ProxyURL(&url.URL{Scheme: "socks5h", Host: r.addr})
	return c
}

// socks sends what it is given and returns all that is answered.
func (r *rig) socks(send string) string {
	r.t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, send); err != nil {
		r.t.Fatal(err)
	}
	if !strings.HasSuffix(send, "\r\n\r\n") { // else a request, whose client waits for the answer
		c.(*net.TCPConn).CloseWrite()
	}
	b, err := io.ReadAll(c)
	if err != nil {
		r.t.Fatalf("%q was answered with %q and then %v", send, b, err)
	}
	return string(b)
}

// Pieces of SOCKS 5.
const (
	noAuth  = "\x05\x01\x00"
	granted = "\x05\x00" + "\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"
)

func asks(command byte, name string, port uint16) string {
	return string([]byte{5, command, 0, 3, byte(len(name))}) + name + string([]byte{byte(port >> 8), byte(port)})
}

func TestCurlAndGitComeBySOCKS(t *testing.T) {
	curl, git := program(t, "curl"), program(t, "git")
	r := newRig(t, ok, nil, told)
	for _, arg := range [][]string{
		{"--socks5-hostname", r.addr, "--proxy-user", "otter:x"},
		{"-x", "socks5h://otter:@" + r.addr},
	} {
		for _, version := range []string{"--http1.1", "--http2"} {
			by := append([]string{"-sS", version}, arg...)
			r.expect(r.run(curl, append(by, "https://"+host+"/ok")...), "fine")
			r.expect(r.run(curl, append(by, "http://"+host+"/ok")...), "fine")
			r.expect(r.run(curl, append(by, "-d", "x", "https://"+host+"/up")...), "Uploads are not for agents")
		}
	}
	r.expect(r.run(git, "-c", "http.proxy=socks5h://otter:x@"+r.addr, "ls-remote", "https://"+host+"/a.git"), "remote: Blocked by egress policy")
	for _, p := range r.log.wait(t, 13) {
		if who := p.decided.Caller; who.Session != "otter" || who.SessionMark != call.Claimed || who.Parent != "127.0.0.1" || p.decided.Listener != "proxy" {
			t.Errorf("%+v", who)
		}
	}
	r.run(curl, "-sS", "--socks5-hostname", r.addr, "https://"+host+"/ok")
	if who := r.log.wait(t, 14)[13].decided.Caller; who.Session != "127.0.0.1" || who.SessionMark != call.Observed || who.Parent != "" {
		t.Errorf("%+v", who)
	}
}

// TestCurlResolvesItself gives the proxy an address: the name stands in the
// TLS hello and the Host field alone, so that the request is misdirected unless
// the address itself is asked for.
func TestCurlResolvesItself(t *testing.T) {
	r := newRig(t, ok, nil, allow)
	out := r.run(program(t, "curl"), "-sS", "--socks5", r.addr, "--proxy-user", "otter:x", "--resolve", host+":443:192.0.2.9", "https://"+host+"/ok")
	r.expect(out, "not the host 192.0.2.9 of the tunnel")
	if p := r.log.wait(t, 1)[0]; p.closed.Outcome.Status != 421 || p.decided.Caller.Session != "otter" {
		t.Errorf("%+v", p)
	}
}

func TestPythonComesBySOCKSByHand(t *testing.T) {
	const script = `
import socket, ssl, struct, sys
def exactly(s, n):
    b = b""
    while len(b) < n:
        c = s.recv(n - len(b))
        if not c: raise SystemExit("the proxy closed")
        b += c
    return b
addr, name, ca = sys.argv[1:4]
h, p = addr.split(":")
s = socket.create_connection((h, int(p)))
for b in b"\x05\x02\x00\x02": s.sendall(bytes([b]))
assert exactly(s, 2) == b"\x05\x02"
s.sendall(b"\x01\x05otter\x01x")
assert exactly(s, 2) == b"\x01\x00"
s.sendall(b"\x05\x01\x00\x03" + bytes([len(name)]) + name.encode() + struct.pack(">H", 443))
print(exactly(s, 10))
t = ssl.create_default_context(cafile=ca).wrap_socket(s, server_hostname=name)
t.sendall(b"GET /ok HTTP/1.1\r\nHost: " + name.encode() + b"\r\nConnection: close\r\n\r\n")
out = b""
while True:
    c = t.recv(4096)
    if not c: break
    out += c
print(out.decode())
`
	r := newRig(t, ok, nil, told)
	r.expect(r.run(program(t, "python3"), "-c", script, r.addr, host, r.ca), `b'\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00'`, "fine")
	if p := r.log.wait(t, 1)[0]; p.decided.Caller.Session != "otter" || p.decided.Host != host {
		t.Errorf("%+v", p.decided)
	}
}

func TestAddressesAreAskedForBySOCKS(t *testing.T) {
	for _, tc := range []struct{ kind, addr, host string }{
		{"\x01", "\xc0\x00\x02\x01", "192.0.2.1"},
		{"\x04", "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01", "2001:db8::1"},
		{"\x04", "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc0\x00\x02\x01", "192.0.2.1"},
		{"\x03", "\x09192.0.2.1", "192.0.2.1"},
		{"\x03", "\x070x7f.1.", "127.0.0.1"},
		{"\x03", "\x0aA.EXAMPLE.", "a.example"},
	} {
		r := newRig(t, ok, nil, "version: 1\ndefault: block\n")
		got := r.socks(noAuth + "\x05\x01\x00" + tc.kind + tc.addr + "\x00\x50" + "GET / HTTP/1.1\r\nHost: " + net.JoinHostPort(tc.host, "80") + "\r\nConnection: close\r\n\r\n")
		if !strings.HasPrefix(got, granted+"HTTP/1.1 403 ") {
			t.Errorf("%q: %.200q", tc.addr, got)
		}
		if p := r.log.wait(t, 1)[0]; p.decided.Host != tc.host || p.decided.Port != 80 || p.decided.Decision.Verdict != call.Block {
			t.Errorf("%q: %+v", tc.addr, p.decided)
		}
	}
}

func TestBrokenSOCKSReachesNobody(t *testing.T) {
	r := newRig(t, ok, nil, allow)
	failed := "\x05\x01\x00\x01\x00\x00\x00\x00\x00\x00"
	for _, tc := range []struct{ name, send, want string }{
		{"SOCKS 4", "\x04\x01\x00\x50\xc0\x00\x02\x01user\x00", "\x00\x5b\x00\x00\x00\x00\x00\x00"},
		{"SOCKS 4a", "\x04\x01\x00\x50\x00\x00\x00\x01\x00a.example\x00", "\x00\x5b\x00\x00\x00\x00\x00\x00"},
		{"no method", "\x05\x00", "\x05\xff"},
		{"a method that nobody knows", "\x05\x02\x01\x80", "\x05\xff"},
		{"a wrong version of the user name", "\x05\x01\x02\x02\x01a\x01b", "\x05\x02\x01\x01"},
		{"a wrong version of the request", noAuth + "\x04\x01\x00\x03\x01a\x00\x50", "\x05\x00" + failed},
		{"a reserved byte", noAuth + "\x05\x01\x01\x03\x01a\x00\x50", "\x05\x00" + failed},
		{"an unknown kind of address", noAuth + "\x05\x01\x00\x02\x01a\x00\x50", "\x05\x00\x05\x08" + failed[2:]},
		{"no name", noAuth + asks(1, "", 80), "\x05\x00" + failed},
		{"no port", noAuth + asks(1, "a.example", 0), "\x05\x00" + failed},
		{"a name with a NUL", noAuth + asks(1, "a.example\x00b", 80), "\x05\x00" + failed},
		{"a name with a port", noAuth + asks(1, "a.example:80", 80), "\x05\x00" + failed},
		{"a long name", noAuth + asks(1, strings.Repeat("a.", 127)+"a", 80), "\x05\x00" + failed},
		{"a long label", noAuth + asks(1, strings.Repeat("a", 64)+".example", 80), "\x05\x00" + failed},
	} {
		if got := r.socks(tc.send); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
	whole := "\x05\x01\x02" + "\x01\x01a\x01b" + asks(1, "a.example", 80)
	for i := range whole {
		if got := r.socks(whole[:i]); strings.Contains(got, "\x05\x00\x00") {
			t.Errorf("%q was granted: %q", whole[:i], got)
		}
	}
	r.log.wait(t, 0)
}

func TestOnlyConnectingIsCarriedBySOCKS(t *testing.T) {
	r := newRig(t, ok, nil, allow)
	for _, command := range []byte{2, 3, 0, 9} {
		if got := r.socks(noAuth + asks(command, host, 443)); got != "\x05\x00\x05\x07\x00\x01\x00\x00\x00\x00\x00\x00" {
			t.Errorf("command %d: %q", command, got)
		}
	}
	if got := r.socks(noAuth + "\x05\x03\x00\x01\x00\x00\x00\x00\x00\x00"); !strings.HasPrefix(got, "\x05\x00\x05\x07") {
		t.Errorf("UDP: %q", got)
	}
	for _, p := range r.log.wait(t, 5) {
		if p.decided.Protocol != "connect" || !strings.Contains(p.closed.Outcome.Error, "not carried") {
			t.Errorf("%+v %+v", p.decided, p.closed.Outcome)
		}
	}
}

func TestARequestSentWithTheHandshakeIsJudged(t *testing.T) {
	r := newRig(t, ok, nil, told)
	got := r.socks("\x05\x02\x00\x02" + "\x01\x05otter\x00" + asks(1, host, 80) + "GET /ok HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n")
	if !strings.HasPrefix(got, "\x05\x02\x01\x00"+granted[2:]+"HTTP/1.1 200 OK\r\n") || !strings.HasSuffix(got, "fine\n") {
		t.Errorf("%q", got)
	}
	if p := r.log.wait(t, 1)[0]; p.decided.Caller.Session != "otter" || p.decided.Target != "/ok" {
		t.Errorf("%+v", p.decided)
	}
}

func TestRawConnectionsComeBySOCKS(t *testing.T) {
	r := rawRig(t, allow, echo)
	if got := r.socks(noAuth + asks(1, "raw.example", 7) + "\x00binary"); got != granted+"\x00binary" {
		t.Errorf("%q", got)
	}
	if p := r.log.wait(t, 1)[0]; p.decided.Protocol != "tcp" || p.closed.Outcome.Sent != 7 {
		t.Errorf("%+v", p)
	}
}

func TestSOCKSNamesThatNameNoSessionAreClaimsOfNothing(t *testing.T) {
	for _, name := range []string{"", "10.0.0.1", "a\x01b", strings.Repeat("a", 200)} {
		r := newRig(t, ok, nil, told)
		r.socks("\x05\x01\x02" + "\x01" + string([]byte{byte(len(name))}) + name + "\x01x" + asks(1, host, 80) +
			"GET /ok HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n")
		if who := r.log.wait(t, 1)[0].decided.Caller; who.Session != "127.0.0.1" || who.SessionMark != call.Observed {
			t.Errorf("%q: %+v", name, who)
		}
	}
}

func TestASilentClientIsLetGoAtShutdown(t *testing.T) {
	r := newRig(t, ok, nil, told)
	var all []net.Conn
	for _, begin := range []string{"", "\x05", noAuth} {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, begin)
		all = append(all, c)
	}
	time.Sleep(50 * time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := r.server.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	for i, c := range all {
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.ReadAll(c); err != nil {
			if e, ok := err.(net.Error); ok && e.Timeout() {
				t.Errorf("client %d was kept", i)
			}
		}
	}
	r.log.wait(t, 0)
}

// TestNobodyComesHome asks for the proxy's own port by every name that leads
// there.
func TestNobodyComesHome(t *testing.T) {
	names := []string{"localhost", "LOCALHOST.", "a.localhost", "localhost.localdomain", "ip6-localhost",
		"127.0.0.1", "127.0.0.2", "127.1", "0x7f.0.0.1", "2130706433", "0.0.0.0", "0", "::", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1", "64:ff9b::7f00:1", "::127.0.0.1"}
	if addrs, err := net.InterfaceAddrs(); err == nil {
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && !p.Addr().IsLoopback() && p.Addr().Zone() == "" && !p.Addr().IsLinkLocalUnicast() {
				names = append(names, p.Addr().String())
			}
		}
	}
	inside := "version: 1\ndefault: allow\nrules: [{name: all, to: {cidrs: [0.0.0.0/0, \"::/0\"]}, verdict: allow}]\n"
	for _, on := range []string{"127.0.0.1:0", "0.0.0.0:0", "[::]:0"} {
		l, err := net.Listen("tcp", on)
		if err != nil {
			t.Log(err)
			continue
		}
		r := newRig(t, ok, nil, inside, func(s *proxy.Server) { s.Peek = 5 * time.Second })
		r.server.Avoid(l.Addr()) // as Serve does, which may begin later
		go r.server.Serve(l)
		wild := on != "127.0.0.1:0"
		port := l.Addr().(*net.TCPAddr).Port
		n := 0
		for _, name := range names {
			if ip, err := netip.ParseAddr(name); err == nil && !wild && !ip.Unmap().IsLoopback() && !ip.IsUnspecified() && !strings.HasPrefix(name, "64:") && name != "::127.0.0.1" {
				continue // nobody listens there
			}
			if got := r.socks(noAuth + asks(1, name, uint16(port))); got != "\x05\x00\x05\x02\x00\x01\x00\x00\x00\x00\x00\x00" {
				t.Errorf("%s, by SOCKS %s: %q", on, name, got)
			}
			at := net.JoinHostPort(name, strconv.Itoa(port))
			c := r.dial(at)
			io.WriteString(c, "GET / HTTP/1.1\r\nHost: "+at+"\r\nConnection: close\r\n\r\n")
			if b, _ := io.ReadAll(c); !strings.HasPrefix(string(b), "HTTP/1.1 508 ") {
				t.Errorf("%s, by CONNECT %s: %.100q", on, name, b)
			}
			c = r.dial(at)
			c.Write([]byte{5, 1, 0}) // SOCKS within the tunnel
			if b, _ := io.ReadAll(c); len(b) > 0 {
				t.Errorf("%s, raw to %s: %q", on, name, b)
			}
			n += 3
		}
		for _, p := range r.log.wait(t, n) {
			if p.closed.Outcome.Error == "" || p.closed.Outcome.Address != "" {
				t.Errorf("%s %s: %+v", on, p.decided.Target, p.closed.Outcome)
			}
		}
	}
}

func TestOtherListenersOfTheProgramAreAvoided(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := newRig(t, ok, nil, allow, func(s *proxy.Server) { s.Avoid(l.Addr()) })
	if got := r.socks(noAuth + asks(1, "localhost", uint16(l.Addr().(*net.TCPAddr).Port))); !strings.HasPrefix(got, "\x05\x00\x05\x02") {
		t.Errorf("%q", got)
	}
	r.log.wait(t, 1)
}
