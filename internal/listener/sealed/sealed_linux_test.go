package sealed_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"outvet/call"
	"outvet/internal/kill"
	"outvet/internal/listener/sealed"
	"outvet/internal/sandbox/loopback"
	"outvet/internal/sandbox/loopback/loopbacktest"
)

// isReset tells how the peer ended c: by a reset, and no byte before it.
func isReset(t *testing.T, c net.Conn) {
	t.Helper()
	if n, err := c.Read(make([]byte, 64)); n > 0 || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read %d bytes, %v; want a reset", n, err)
	}
}

func fetch(t *testing.T, c *http.Client, url string) (status int, body string) {
	t.Helper()
	res, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Error(err)
	}
	return res.StatusCode, string(b)
}

func TestTheSocketTellsWhoCalls(t *testing.T) {
	r := newRig(t, nil, nil, nil, allow)
	req, _ := http.NewRequest("GET", "https://"+host+"/", nil)
	req.Header.Set("Proxy-Authorization", "Basic b3R0ZXI6eA==") // otter
	req.Header.Set("User-Agent", "curl/8.5.0")
	res, err := r.client("198.18.0.1", nil).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	d := r.log.wait(t, 1)[0].decided
	if d.Listener != "sealed" || d.Grade != call.Sealed || d.Caller.Session != session1 || d.Caller.SessionMark != call.Observed || d.Caller.Parent != "" {
		t.Errorf("%s %s %+v", d.Listener, d.Grade, d.Caller)
	}
	if d.Caller.Agent != (call.Attr{Value: "curl/8.5.0"}) {
		t.Errorf("agent %+v", d.Caller.Agent)
	}
}

func TestAnAgentThatWasSeenIsNotClaimedAway(t *testing.T) {
	seen := call.Attr{Value: "claude", Mark: call.Observed}
	r := newRig(t, nil, nil, nil, allow, func(r *rig) { r.box.Caller.Agent = seen })
	fetch(t, r.client("198.18.0.1", nil), "https://"+host+"/")
	if a := r.log.wait(t, 1)[0].decided.Caller.Agent; a != seen {
		t.Errorf("agent %+v", a)
	}
}

func TestTLSIsReadOnEveryPort(t *testing.T) {
	r := newRig(t, nil, nil, nil, allow)
	for _, port := range []string{"22", "8443", "443"} {
		if status, body := fetch(t, r.client("198.18.0.1", nil), "https://"+host+":"+port+"/"); status != 200 || !strings.Contains(body, host) {
			t.Errorf("port %s: %d %q", port, status, body)
		}
	}
	for _, p := range r.log.wait(t, 3) {
		if p.decided.Protocol != "http" || p.decided.Scheme != "https" || p.decided.Host != host {
			t.Errorf("%+v", p.decided)
		}
	}
}

func TestNamesThatDoNotAgreeAreMisdirected(t *testing.T) {
	r := newRig(t, nil, nil, nil, allow)
	tlsAs := func(name string) func(*http.Transport) {
		return func(t *http.Transport) { t.TLSClientConfig.ServerName = name }
	}
	for _, c := range []struct {
		what, address, url, field string
		tune                      func(*http.Transport)
	}{
		{"another Host", "198.18.0.3", "http://" + host + "/", "", nil},
		{"another field Host", "198.18.0.1", "http://" + host + "/", "other.example", nil},
		{"another name of TLS", "198.18.0.1", "https://" + host + "/", "", tlsAs("other.example")},
		{"the address of another name", "198.18.0.3", "https://" + host + "/", "", nil},
		{"a name at a bare address", "93.184.216.34", "https://" + host + "/", "", nil},
		{"another Host at a bare address", "93.184.216.34", "http://" + host + "/", "", nil},
	} {
		req, _ := http.NewRequest("GET", c.url, nil)
		req.Host = c.field
		res, err := r.client(c.address, c.tune).Do(req)
		if err != nil {
			t.Errorf("%s: %v", c.what, err)
			continue
		}
		res.Body.Close()
		if res.StatusCode != http.StatusMisdirectedRequest {
			t.Errorf("%s: %s", c.what, res.Status)
		}
	}
	r.log.wait(t, 6)
}

// speaks is a client and a server of a raw protocol.
type speaks struct {
	name, port  string
	first       string // what the client says before it hears anything
	hello       string // what the server says first
	serverFirst bool
}

var protocolsOfOld = []speaks{
	{name: "ssh", port: "22", first: "SSH-2.0-OpenSSH_9.6\r\n", hello: "SSH-2.0-OpenSSH_9.7\r\n"},
	{name: "git", port: "9418", first: "0033git-upload-pack /p.git\x00host=raw.example\x00", hello: "0000"},
	{name: "redis", port: "6379", first: "*1\r\n$4\r\nPING\r\n", hello: "+PONG\r\n"},
	{name: "postgres", port: "5432", first: "\x00\x00\x00\x08\x04\xd2\x16\x2f", hello: "N"},
	{name: "smtp", port: "25", hello: "220 mail.example\r\n", serverFirst: true},
	{name: "ftp", port: "21", hello: "220 files.example\r\n", serverFirst: true},
	{name: "unknown", port: "4444", first: "\x00\xff\x00\xff", hello: "\xff\x00"},
}

func TestRawProtocolsAreJudgedByNameAndPort(t *testing.T) {
	for _, p := range protocolsOfOld {
		t.Run(p.name, func(t *testing.T) {
			text := fmt.Sprintf("version: 1\ndefault: block\nrules:\n  - {name: raw, to: raw.example, port: %s, verdict: allow}\n", p.port)
			r := newRig(t, nil, func(c net.Conn) {
				if !p.serverFirst {
					io.ReadFull(c, make([]byte, len(p.first)))
				}
				io.WriteString(c, p.hello)
				io.Copy(c, c)
			}, nil, text, func(r *rig) { r.server.Peek = 50 * time.Millisecond })
			c := r.dial("198.18.0.2:" + p.port)
			io.WriteString(c, p.first)
			hello := make([]byte, len(p.hello))
			if _, err := io.ReadFull(c, hello); err != nil || string(hello) != p.hello {
				t.Fatalf("%q, %v", hello, err)
			}
			io.WriteString(c, "\x01more")
			c.CloseWrite()
			if b, err := io.ReadAll(c); string(b) != "\x01more" || err != nil {
				t.Errorf("%q, %v", b, err)
			}
			d := r.log.wait(t, 1)[0].decided
			if d.Protocol != "tcp" || d.Host != "raw.example" || d.Target != "raw.example:"+p.port || d.Decision.Rule != "raw" || d.Grade != call.Sealed {
				t.Errorf("%+v", d)
			}
		})
	}
}

func TestARefusedRawConnectionIsReset(t *testing.T) {
	called := make(chan bool, 1)
	r := newRig(t, nil, func(net.Conn) { called <- true }, nil, "version: 1\ndefault: block\nrules:\n  - {name: web, to: "+host+", verdict: allow}\n")
	for _, to := range []string{"198.18.0.2:22", "93.184.216.34:22", "[2606:4700::1111]:22", "169.254.169.254:22"} {
		c := r.dial(to)
		io.WriteString(c, "SSH-2.0-OpenSSH_9.6\r\n")
		isReset(t, c)
	}
	for i, p := range r.log.wait(t, 4) {
		want := []string{"raw.example", "93.184.216.34", "2606:4700::1111", "169.254.169.254"}[i]
		if d := p.decided; d.Host != want || d.Decision.Verdict != call.Block || d.Decision.Rule != call.RuleDefault {
			t.Errorf("%+v", d)
		}
	}
	select {
	case <-called:
		t.Error("the server was reached")
	default:
	}
}

func TestARuleForAddressesLetsOneBeReached(t *testing.T) {
	text := "version: 1\ndefault: block\nrules:\n  - {name: net, to: {cidrs: [93.184.216.0/24]}, verdict: allow}\n"
	r := newRig(t, nil, func(c net.Conn) { io.Copy(c, c) }, nil, text)
	c := r.dial("93.184.216.34:4444")
	io.WriteString(c, "\x00ping")
	if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
		t.Error(err)
	}
	c.Close()
	c = r.dial("93.184.217.1:22")
	io.WriteString(c, "SSH-2.0-x\r\n")
	isReset(t, c)
	ps := r.log.wait(t, 2)
	if d := ps[0].decided; d.Decision.Rule != "net" || d.Host != "93.184.216.34" {
		t.Errorf("%+v", d)
	}
	if d := ps[1].decided; d.Decision.Verdict != call.Block || d.Host != "93.184.217.1" {
		t.Errorf("%+v", d)
	}
}

func TestAStandInForNoNameIsResetAndRecorded(t *testing.T) {
	r := newRig(t, nil, nil, nil, allow)
	for _, to := range []string{"198.18.0.9:443", "198.19.255.1:22", "[2001:2::9]:443", "198.19.255.253:443", "198.18.0.4:443"} {
		isReset(t, r.dial(to))
	}
	for _, p := range r.log.wait(t, 5) {
		if p.decided.Protocol != "connect" || !strings.Contains(p.closed.Outcome.Error, "stands for") || p.closed.Outcome.Address != "" {
			t.Errorf("%+v %+v", p.decided, p.closed.Outcome)
		}
	}
}

// resolver answers each connection with a word.
type resolver struct{}

// ServeConn implements sealed.Resolver.
func (resolver) ServeConn(c net.Conn) {
	io.WriteString(c, "resolver")
	c.Close()
}

func TestQueriesOverTCPGoToTheResolver(t *testing.T) {
	r := newRig(t, nil, nil, nil, allow, func(r *rig) { r.box.Resolver = resolver{} })
	for _, to := range []string{"8.8.8.8:53", "198.19.255.253:53", "127.0.0.53:53", "[::1]:53", "198.18.0.1:53", "198.19.255.254:53"} {
		if b, err := io.ReadAll(r.dial(to)); string(b) != "resolver" || err != nil {
			t.Errorf("%s: %q, %v", to, b, err)
		}
	}
	r.log.wait(t, 0)
}

func TestWithoutAResolverQueriesOverTCPAreRefused(t *testing.T) {
	r := newRig(t, nil, nil, nil, allow)
	for _, to := range []string{"8.8.8.8:53", "198.18.0.1:53"} {
		isReset(t, r.dial(to))
	}
	for _, p := range r.log.wait(t, 2) {
		if !strings.Contains(p.closed.Outcome.Error, "queries") || p.decided.Port != 53 {
			t.Errorf("%+v %+v", p.decided, p.closed.Outcome)
		}
	}
}

func TestAClientThatWasToldOfAProxyFindsOne(t *testing.T) {
	r := newRig(t, nil, nil, nil, allow, func(r *rig) { r.server.Identify = true }) // nobody is asked here
	n := 0
	for _, at := range []string{"127.0.0.1:15001", "[::1]:15001", "198.19.255.254:15001"} {
		for _, scheme := range []string{"http", "socks5"} {
			for _, target := range []string{"http", "https"} {
				u := &url.URL{Scheme: scheme, Host: at, User: url.User("otter")}
				c := r.client("", func(tr *http.Transport) {
					tr.Proxy = http.ProxyURL(u)
					tr.DialContext = func(context.Context, string, string) (net.Conn, error) { return r.room.Dial(at) }
				})
				if status, _ := fetch(t, c, target+"://"+host+"/"); status != 200 {
					t.Errorf("%s by %s: %d", target, u, status)
				}
				n++
			}
		}
	}
	for _, p := range r.log.wait(t, n) {
		if d := p.decided; d.Listener != "sealed" || d.Grade != call.Sealed || d.Caller.Session != session1 {
			t.Errorf("%s %s %+v", d.Listener, d.Grade, d.Caller)
		}
	}
}

func TestNobodyIsLedBackToUs(t *testing.T) {
	everywhere := "version: 1\ndefault: allow\nrules:\n  - {name: all, to: {cidrs: [0.0.0.0/0, \"::/0\"]}, verdict: allow}\n"
	r := newRig(t, nil, nil, nil, everywhere)
	targets := []string{"198.19.255.254:15001", "198.18.0.1:443", "198.18.7.7:80", "[2001:2::1]:443"}
	for _, to := range targets {
		c := r.dial("127.0.0.1:15001")
		fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %[1]s\r\n\r\n", to)
		br := bufio.NewReader(c)
		if line, err := br.ReadString('\n'); err != nil || !strings.Contains(line, "200") {
			t.Fatal(line, err)
		}
		br.ReadString('\n')
		io.WriteString(c, "SSH-2.0-x\r\n")
		if b, _ := io.ReadAll(br); len(b) > 0 {
			t.Errorf("%s said %q", to, b)
		}
	}
	for _, p := range r.log.wait(t, len(targets)) {
		if p.closed.Outcome.Error == "" || p.closed.Outcome.Address != "" {
			t.Errorf("%s: %+v", p.decided.Target, p.closed.Outcome)
		}
	}
}

func TestOpenConnectionsAreResetWhenTheyMayNotGoOn(t *testing.T) {
	for name, act := range map[string]func(*rig){
		"policy": func(r *rig) {
			r.install("version: 1\ndefault: block\nrules:\n  - {name: web, to: " + host + ", verdict: allow}\n")
		},
		"kill":       func(r *rig) { r.gate.Kill(kill.Notice{By: "ada", How: "hand", Why: "seen"}) },
		"quarantine": func(r *rig) { r.gate.Quarantine(session1, "ada", "seen") },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil, func(c net.Conn) { io.Copy(c, c) }, nil, allow)
			c := r.dial("198.18.0.2:4444")
			io.WriteString(c, "\x00ping")
			if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
				t.Fatal(err)
			}
			act(r)
			c.SetDeadline(time.Now().Add(5 * time.Second)) // a second is promised, on a machine that is not busy
			isReset(t, c)
			if p := r.log.wait(t, 1)[0]; p.closed.Outcome.Error == "" && !p.closed.Outcome.Aborted {
				t.Errorf("%+v", p.closed.Outcome)
			}
		})
	}
}

func TestAWebSocketIsJudged(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
		c, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x81\x02hi")
		io.Copy(io.Discard, rw)
	}, nil, nil, allow)
	c := tls.Client(r.dial("198.18.0.1:443"), &tls.Config{RootCAs: r.roots, ServerName: host})
	io.WriteString(c, "GET /chat HTTP/1.1\r\nHost: "+host+"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	br := bufio.NewReader(c)
	res, err := http.ReadResponse(br, nil)
	if err != nil || res.StatusCode != 101 {
		t.Fatal(res, err)
	}
	b := make([]byte, 4)
	if _, err := io.ReadFull(br, b); err != nil || string(b) != "\x81\x02hi" {
		t.Errorf("%q, %v", b, err)
	}
	c.Close()
	if d := r.log.wait(t, 1)[0].decided; d.Protocol != "ws" || d.Listener != "sealed" {
		t.Errorf("%+v", d)
	}
}

func TestCurlNeedsNoProxyToBeServedAndToldWhyNot(t *testing.T) {
	text := "version: 1\ndefault: block\nrules:\n  - {name: reads, to: " + host + ", method: GET, verdict: allow}\n"
	r := newRig(t, nil, nil, nil, text)
	curl := func(args ...string) string {
		out, _ := r.room.Run("curl", append([]string{"-sS", "--cacert", r.ca, "--max-time", "10", "--noproxy", "*",
			"--resolve", host + ":443:198.18.0.1", "--resolve", "other.example:443:198.18.0.3"}, args...)...)
		return out
	}
	if out := curl("https://" + host + "/"); out != "HTTP/2.0 "+host {
		t.Errorf("%q", out)
	}
	if out := curl("https://other.example/"); !strings.Contains(out, "Blocked by egress policy") || !strings.Contains(out, "other.example") {
		t.Errorf("%q", out)
	}
	if out := curl("-d", "x", "https://"+host+"/"); !strings.Contains(out, "Blocked by egress policy") {
		t.Errorf("%q", out)
	}
	if out := curl("smtp://93.184.216.34", "--mail-from", "a@b.example", "--mail-rcpt", "c@d.example", "-T", r.ca); !strings.Contains(out, "reset by peer") {
		t.Errorf("%q", out)
	}
}

func TestGitClonesOverItsOwnProtocol(t *testing.T) {
	dir := t.TempDir()
	git := func(args ...string) {
		cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "init.defaultBranch=main"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v: %s", args, err, out)
		}
	}
	git("init", "-q", "p.git")
	git("-C", "p.git", "commit", "-q", "--allow-empty", "-m", "first")
	r := newRig(t, nil, func(c net.Conn) {
		cmd := exec.Command("git", "daemon", "--inetd", "--export-all", "--base-path="+dir, dir)
		cmd.Stdin, cmd.Stdout = c, c
		cmd.Run()
	}, nil, "version: 1\ndefault: block\nrules:\n  - {name: git, to: raw.example, port: 9418, verdict: allow}\n")
	to := filepath.Join(t.TempDir(), "clone")
	if out, err := r.room.Run("git", "clone", "-q", "git://198.18.0.2/p.git", to); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if _, err := os.Stat(filepath.Join(to, ".git", "refs")); err != nil {
		t.Error(err)
	}
}

func TestAListenerIsClosedAndTheSandboxStaysSealed(t *testing.T) {
	r := newRig(t, nil, nil, nil, allow)
	r.box.Sockets.Close()
	if c, err := r.room.Dial("198.18.0.1:443"); err == nil {
		c.Close()
		t.Error("a connection stands")
	}
}

func TestASandboxFillsUpItselfAlone(t *testing.T) {
	r := newRig(t, nil, nil, nil, allow, func(r *rig) { r.box.MaxConns = 8 })
	var all []net.Conn
	for range 64 { // the kernel accepts them, and they wait
		all = append(all, r.dial("198.18.0.1:80"))
	}
	other := &sealed.Sandbox{Proxy: r.server, Names: standIns, Grade: call.Sealed, Caller: call.Caller{Session: "box-2", SessionMark: call.Observed}}
	room := loopbacktest.New(t)
	var err error
	if room.Do(func() { other.Sockets, err = loopback.Open() }); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- other.Serve() }()
	c, err := room.Dial("198.18.0.1:80")
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(loopbacktest.Patience))
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", host)
	if b, err := io.ReadAll(c); !strings.Contains(string(b), "200 OK") {
		t.Errorf("%q, %v", b, err)
	}
	for _, c := range all {
		c.Close()
	}
	for range 16 { // there is room again, more often than it can hold
		c := r.client("198.18.0.1", func(tr *http.Transport) { tr.DisableKeepAlives = true })
		if status, _ := fetch(t, c, "https://"+host+"/"); status != 200 {
			t.Error(status)
		}
	}
	other.Sockets.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestTLSPassesUnreadWherePolicyNamesTheHost(t *testing.T) {
	text := "version: 1\ndefault: block\nrules:\n  - {name: pins, to: " + host + ", tls: passthrough, verdict: allow}\n"
	r := newRig(t, nil, nil, nil, text)
	pinned := func(tr *http.Transport) { tr.TLSClientConfig.RootCAs, tr.DisableKeepAlives = r.origins, true }
	if status, _ := fetch(t, r.client("198.18.0.1", pinned), "https://"+host+"/"); status != 200 {
		t.Error(status)
	}
	if p := r.log.wait(t, 1)[0]; p.decided.Grade != call.Unread || p.decided.Listener != "sealed" || p.decided.Caller.Session != session1 {
		t.Errorf("%+v", p.decided)
	}
	r.install("version: 1\ndefault: block\nrules:\n  - {name: pins, to: " + host + ", tls: passthrough, verdict: allow}\n  - {name: no, to: " + host + ", verdict: block}\n")
	if _, err := r.client("198.18.0.1", pinned).Get("https://" + host + "/"); err == nil {
		t.Error("it passes although a rule speaks against it")
	}
}

func TestAHostForRequestsTakesNothingElse(t *testing.T) {
	text := "version: 1\ndefault: block\nrules:\n  - {name: reads, to: " + host + ", method: GET, verdict: allow}\n"
	r := newRig(t, nil, nil, nil, text)
	for _, port := range []string{"80", "443", "22"} {
		c := r.dial("198.18.0.1:" + port)
		io.WriteString(c, "\x00\x01tunnel of mine")
		isReset(t, c)
	}
	c := r.dial("198.18.0.1:80")
	fmt.Fprintf(c, "CONNECT other.example:443 HTTP/1.1\r\nHost: other.example:443\r\n\r\n")
	if line, _ := bufio.NewReader(c).ReadString('\n'); strings.Contains(line, " 200 ") {
		t.Errorf("a tunnel within: %q", line)
	}
	r.log.wait(t, 4)
}
