package proxy_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"outvet/call"
	"outvet/internal/listener/proxy"
)

// A notebook keeps what operators are told.
type notebook struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (n *notebook) Write(b []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.b.Write(b)
}

func (n *notebook) count(what string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Count(n.b.String(), what)
}

// asking starts a rig that wants to know who calls.
func asking(t *testing.T, text string) (*rig, *notebook) {
	n := &notebook{}
	return newRig(t, ok, nil, text, func(s *proxy.Server) {
		s.Identify, s.Logger = true, slog.New(slog.NewTextHandler(n, nil))
	}), n
}

func TestGitAndCurlNameThemselvesWhenAsked(t *testing.T) {
	git, curl := program(t, "git"), program(t, "curl")
	r, _ := asking(t, told)
	n := 0
	expect := func(out string, want ...string) {
		t.Helper()
		r.expect(out, want...)
		n++
	}
	expect(r.run(git, "ls-remote", "https://"+host+"/a.git"), "remote: Blocked by egress policy")
	expect(r.run(git, "-c", "http.proxy=http://otter@"+r.addr, "-c", "core.askpass=true", "ls-remote", "https://"+host+"/a.git"), "remote: Blocked by egress policy")
	for _, how := range []string{"--proxy-anyauth", "--proxy-basic"} {
		for _, scheme := range []string{"https", "http"} {
			expect(r.run(curl, "-sS", how, scheme+"://"+host+"/ok"), "fine")
			expect(r.run(curl, "-sS", how, "-d", strings.Repeat("x", 100_000), scheme+"://"+host+"/up"), "Uploads are not for agents")
		}
	}
	expect(r.run(curl, "-sS", "-x", "socks5h://otter:x@"+r.addr, "https://"+host+"/ok"), "fine")
	for _, p := range r.log.wait(t, n) {
		if p.decided.Caller.Session != "otter" || p.decided.Caller.SessionMark != call.Claimed {
			t.Errorf("%+v", p.decided.Caller)
		}
	}
}

func TestWhoDoesNotNameItselfIsAskedAndReachesNobody(t *testing.T) {
	r, n := asking(t, allow)
	curl := program(t, "curl")
	for range 20 {
		r.expect(r.run(curl, "-sSv", "-x", "http://"+r.addr, "https://"+host+"/ok"), "407", `< Proxy-Authenticate: Basic realm="outvet"`)
	}
	r.expect(r.run(curl, "-sSv", "-x", "http://"+r.addr, "-d", "x", "http://"+host+"/ok"), "407", "which session is calling")
	r.expect(r.run(curl, "-sS", "-x", "socks5h://"+r.addr, "https://"+host+"/ok"), "No authentication method")
	for _, field := range []string{"", "Proxy-Authorization: Bearer x\r\n", "Proxy-Authorization: Basic !\r\n", "Proxy-Authorization: Basic MTI3LjAuMC4xOng=\r\n"} {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(10 * time.Second))
		for range 2 { // the connection goes on
			fmt.Fprintf(c, "CONNECT %s:443 HTTP/1.1\r\nHost: %s\r\n%s\r\n", host, host, field)
			b := make([]byte, 12)
			if _, err := io.ReadFull(c, b); err != nil || string(b) != "HTTP/1.1 407" {
				t.Fatalf("%q: %q, %v", field, b, err)
			}
			rest := make([]byte, 4<<10)
			for got := ""; !strings.HasSuffix(got, "PORT\n"); {
				m, err := c.Read(rest)
				if err != nil {
					t.Fatal(got, err)
				}
				got += string(rest[:m])
			}
		}
		c.Close()
	}
	if got := r.socks(noAuth); got != "\x05\xff" {
		t.Errorf("%q", got)
	}
	if got := r.socks("\x05\x01\x02\x01\x00\x01x"); got != "\x05\x02\x01\x01" {
		t.Errorf("%q", got)
	}
	r.log.wait(t, 0)
	if asked := n.count("asked which session"); asked == 0 || asked > 2 {
		t.Errorf("operators were told %d times", asked)
	}
}

func TestAPageOfHelpNeedsNoName(t *testing.T) {
	r, _ := asking(t, allow)
	r.expect(r.run(program(t, "curl"), "-sS", "--noproxy", "*", "http://"+r.addr+"/"), "not a web server")
}

func TestInsideATunnelNobodyIsAskedAgain(t *testing.T) {
	r, _ := asking(t, told)
	got := r.socks("\x05\x01\x02\x01\x05otter\x01x" + asks(1, host, 80) + "GET /ok HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n")
	if !strings.HasSuffix(got, "fine\n") {
		t.Errorf("%q", got)
	}
	r.log.wait(t, 1)
}
