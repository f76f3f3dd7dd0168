package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"outvet/internal/payload/wsframe"
)

// A streamConn makes a stream look like the connection of a wsClient.
type streamConn struct {
	net.Conn // of nothing: deadlines are those of the tunnel
	*strm
}

func (c streamConn) Read(b []byte) (int, error)  { return c.strm.Read(b) }
func (c streamConn) Write(b []byte) (int, error) { return c.strm.Write(b) }
func (c streamConn) Close() error                { return c.strm.Close() }

const h2Offer = "permessage-deflate; client_max_window_bits"

// extended begins a WebSocket over HTTP/2 (RFC 8441), with more fields as name,
// value.
func (r *rig) extended(t *testing.T, path string, more ...string) (*wsClient, *strm) {
	t.Helper()
	p := r.h2(t)
	if p.settings[http2.SettingEnableConnectProtocol] != 1 {
		t.Fatal("SETTINGS_ENABLE_CONNECT_PROTOCOL was not offered")
	}
	s := p.open(append([]string{":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":authority", host, ":path", path,
		"sec-websocket-version", "13"}, more...), false)
	c := &wsClient{t: t, conn: streamConn{strm: s}}
	c.br = bufio.NewReader(c.conn)
	return c, s
}

func TestWebSocketsOverHTTP2PassBothWays(t *testing.T) {
	site := newSite()
	site.greet = wsframe.AppendFrame(nil, wsframe.Text, []byte("hello"))
	r := newRig(t, site.serve, nil, noSecrets)
	c, s := r.extended(t, "/chat?x=1", "sec-websocket-protocol", "chat.v2", "origin", "https://a.example", "sec-websocket-key", "of nobody")
	if s.status() != "200" || s.field(0, "sec-websocket-protocol") != "chat.v2" || s.field(0, "sec-websocket-accept") != "" || s.field(0, "upgrade") != "" {
		t.Fatalf("%v", s.heads)
	}
	c.want(wsframe.Text, "hello")
	c.text("one")
	c.want(wsframe.Text, "got 3")
	c.frame(wsframe.Header{Fin: true, Op: wsframe.Ping}, []byte("p"))
	c.want(wsframe.Pong, "p")
	c.text(strings.Repeat("x", 300_000)) // more than the windows
	c.want(wsframe.Text, "got 300000")
	c.close()
	msgs, codes := site.ended(t)
	if len(msgs) != 3 || fmt.Sprint(codes) != "[1000]" {
		t.Error(len(msgs), codes)
	}
	p := r.one(t)
	if o := p.closed.Outcome; o.Status != 101 || o.Error != "" || o.Sent < 300_000 || o.Received == 0 || o.Address == "" || o.Aborted {
		t.Errorf("%+v", o)
	}
	if p.decided.Method != "GET" || site.header.Get("Origin") != "https://a.example" || site.header.Get("Sec-WebSocket-Key") == "of nobody" {
		t.Errorf("%+v %v", p.decided.Method, site.header)
	}
}

func TestAWebSocketOverHTTP2StandsBesideOtherStreams(t *testing.T) {
	site := newSite()
	r := newRig(t, site.serve, nil, noSecrets)
	c, _ := r.extended(t, "/")
	p := c.conn.(streamConn).p
	c.text("one")
	c.want(wsframe.Text, "got 3")
	if body, end := p.open(request("GET", "/"), true).end(); body != "plain" || end != "end" {
		t.Error(body, end)
	}
	c.text("four")
	c.want(wsframe.Text, "got 4")
	c.close()
	r.log.wait(t, 2)
}

func TestARefusedMessageOverHTTP2LeavesNothing(t *testing.T) {
	for _, path := range []string{"/chat", "/v1/responses"} {
		site := newSite()
		r := newRig(t, site.serve, nil, noSecrets)
		c, _ := r.extended(t, path)
		c.text("fine")
		c.want(wsframe.Text, "got 4")
		half := len(token) / 2
		c.frame(wsframe.Header{Op: wsframe.Text}, []byte("a "+token[:half]))
		c.frame(wsframe.Header{Fin: true}, []byte(token[half:]))
		if path != "/chat" {
			if op, p := c.next(); op != wsframe.Text || !strings.Contains(p, "outvet_blocked") {
				t.Fatal(op, p)
			}
		}
		c.wantClose(1008, "")
		msgs, codes := site.ended(t)
		if fmt.Sprint(msgs, codes) != "[fine] [1001]" || strings.Contains(unmasked(site.wire), token[:half]) {
			t.Error(msgs, codes)
		}
		if p := r.one(t); !p.closed.Outcome.Aborted || p.closed.Decision.Rule != "no secrets" {
			t.Errorf("%+v %+v", p.closed.Outcome, p.closed.Decision)
		}
	}
}

func TestCompressedMessagesOverHTTP2AreReadAndEdited(t *testing.T) {
	site := newSite()
	site.extensions = "permessage-deflate"
	r := newRig(t, site.serve, nil, maskSecrets)
	c, s := r.extended(t, "/", "sec-websocket-extensions", h2Offer)
	if s.field(0, "sec-websocket-extensions") != "permessage-deflate" {
		t.Fatalf("%v", s.heads)
	}
	for i, said := range []string{"all of it is plain", "all of it is plain " + token, "all of it is plain"} {
		c.compressed(said)
		if op, p := c.next(); op != wsframe.Text || !strings.HasPrefix(p, "got ") {
			t.Fatal(op, p)
		}
		site.mu.Lock()
		if got := site.msgs[i]; strings.Contains(got, token) || (i != 1) != (got == said) {
			t.Errorf("%q arrived for %q", got, said)
		}
		site.mu.Unlock()
	}
	c.close()
	r.one(t)
}

func TestAWebSocketOverHTTP2LivesUnderPolicy(t *testing.T) {
	site := newSite()
	r := newRig(t, site.serve, nil, noSecrets)
	c, _ := r.extended(t, "/")
	c.text("one")
	c.want(wsframe.Text, "got 3")
	r.install(t, "version: 1\ndefault: block\n")
	c.wantClose(1008, "")
	if p := r.one(t); !p.closed.Outcome.Aborted {
		t.Errorf("%+v", p.closed.Outcome)
	}
}

func TestARefusedWebSocketOverHTTP2IsToldSo(t *testing.T) {
	site := newSite()
	r := newRig(t, site.serve, nil, "version: 1\ndefault: block\n")
	_, s := r.extended(t, "/")
	if body, end := s.end(); s.status() != "403" || end != "end" || !strings.Contains(body, "was not sent") {
		t.Error(s.heads, body, end)
	}
	r.one(t)
}

func TestAServerThatDoesNotSwitchIsNoWebSocketOverHTTP2(t *testing.T) {
	for _, status := range []int{200, 204, 404, 426} {
		r := newRig(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(status) }, nil, allow)
		_, s := r.extended(t, "/")
		want := fmt.Sprint(status)
		if status < 300 {
			want = "502" // a success would say that the WebSocket stands
		}
		if got := s.status(); got != want {
			t.Errorf("%d became %s", status, got)
		}
		r.one(t)
	}
}

func TestBrokenHandshakesOverHTTP2AreRefused(t *testing.T) {
	site := newSite()
	r := newRig(t, site.serve, nil, allow)
	p := r.h2(t)
	connect := func(more ...string) *strm {
		return p.open(append([]string{":method", "CONNECT", ":scheme", "https", ":authority", host, ":path", "/"}, more...), false)
	}
	n := 0
	for _, c := range []struct {
		want string
		s    *strm
		rec  int
	}{
		{"400", connect(":protocol", "websocket"), 1}, // no version
		{"400", connect(":protocol", "websocket", "sec-websocket-version", "8"), 1},
		{"501", connect(":protocol", "connect-udp"), 1},
		{"501", connect(":protocol", "WebSocket"), 1},
		{"501", connect(":protocol", "connect-tcp", "sec-websocket-version", "13"), 1},
		{"reset", connect(), 0}, // a plain CONNECT has no :path
	} {
		if got := c.s.status(); got != c.want {
			t.Errorf("%s, want %s: %v", got, c.want, c.s.heads)
		}
		n += c.rec
	}
	r.log.wait(t, n)
	if len(site.wire) > 0 {
		t.Error("something reached the server")
	}
}

func TestAClientThatResetsItsWebSocketEndsIt(t *testing.T) {
	gone := make(chan time.Time, 1)
	r := newRig(t, raw(t, func(c io.ReadWriteCloser, in io.Reader) {
		io.Copy(io.Discard, in)
		gone <- time.Now()
	}), nil, allow)
	_, s := r.extended(t, "/")
	if s.status() != "502" { // its Sec-WebSocket-Accept is that of another key
		t.Fatal(s.heads)
	}
	<-gone
	site := newSite()
	r = newRig(t, site.serve, nil, allow)
	c, _ := r.extended(t, "/")
	c.text("one")
	c.want(wsframe.Text, "got 3")
	begin := time.Now()
	c.conn.Close()
	site.ended(t)
	if d := time.Since(begin); d > byeTimeHalf {
		t.Errorf("the server heard of it after %v", d)
	}
	if o := r.one(t).closed.Outcome; o.Error != "the client went away" {
		t.Errorf("%+v", o)
	}
}

// byeTimeHalf is well below the two seconds that a farewell may take.
const byeTimeHalf = time.Second

func TestTheEndOfAStreamWithoutCloseIsPassedOn(t *testing.T) {
	site := newSite()
	r := newRig(t, site.serve, nil, allow)
	c, s := r.extended(t, "/")
	c.text("one")
	c.want(wsframe.Text, "got 3")
	s.send(nil, true)
	site.ended(t)
	if _, end := s.end(); end != "end" {
		t.Error(end)
	}
	if o := r.one(t).closed.Outcome; o.Error != "the client went away" {
		t.Errorf("%+v", o)
	}
}

func TestShutdownEndsWebSocketsOverHTTP2(t *testing.T) {
	site := newSite()
	r := newRig(t, site.serve, nil, allow)
	c, _ := r.extended(t, "/")
	c.text("one")
	c.want(wsframe.Text, "got 3")
	go r.server.Shutdown(t.Context())
	c.wantClose(1001, "outvet is shutting down")
	site.ended(t)
	r.one(t)
}

func TestNoUpgradeFieldMakesAWebSocketOfHTTP2(t *testing.T) {
	site := newSite()
	r := newRig(t, site.serve, nil, allow)
	p := r.h2(t)
	for _, fields := range [][]string{
		{"connection", "upgrade", "upgrade", "websocket", "sec-websocket-version", "13", "sec-websocket-key", wsKey},
		{"upgrade", "websocket"}, {":protocol", "websocket"}, {"protocol", "websocket", "sec-websocket-version", "13"},
	} {
		s := p.open(request("GET", "/", fields...), true)
		if got := s.status(); got != "400" && got != "reset" && !(got == "200" && fields[0] == "protocol") {
			t.Errorf("%v: %s", fields, got)
		}
	}
	if len(site.wire) > 0 {
		t.Error("something reached the server")
	}
}

// TestProgramsTalkOverHTTP2 has real clients of RFC 8441; a browser is among the
// flows.
func TestProgramsTalkOverHTTP2(t *testing.T) {
	for name, c := range map[string]struct {
		has, run   []string
		extensions string
		want       []string
	}{
		"python": {[]string{"/usr/bin/python3", "-c", "import h2, wsproto"}, []string{"/usr/bin/python3", "testdata/wsh2/client.py"}, "permessage-deflate",
			[]string{"status 200 permessage-deflate\n", "said got 5\nsaid got 5\nsaid got 5\nclosed 1008 Blocked by egress policy", "StreamEnded\n"}},
		"node": {[]string{"node", "-e", "0"}, []string{"node", "testdata/wsh2/client.cjs"}, "",
			[]string{"offered true\nstatus 200\n", "said got 5\nsaid got 5\nsaid got 5\nclosed 1008 Blocked by egress policy", "end\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			if exec.Command(c.has[0], c.has[1:]...).Run() != nil {
				t.Skip("not on this machine")
			}
			site := newSite()
			site.extensions = c.extensions
			r := newRig(t, site.serve, nil, noSecrets)
			out, err := exec.Command(c.run[0], append(c.run[1:], r.addr, r.ca, host, "key "+token)...).CombinedOutput()
			if err != nil {
				t.Error(err)
			}
			r.expect(string(out), c.want...)
			if msgs, codes := site.ended(t); fmt.Sprint(msgs, codes) != "[hello hello hello] [1001]" {
				t.Error(msgs, codes)
			}
			r.one(t)
		})
	}
}

// TestClientsOfAProxyWithoutTheOffer is run by TestTheOfferIsTheOperators in a
// process that was started with a word on it.
func TestClientsOfAProxyWithoutTheOffer(t *testing.T) {
	if os.Getenv("OFFER") != "none" {
		t.Skip("run by another test")
	}
	r := newRig(t, newSite().serve, nil, allow)
	p := r.h2(t)
	if _, ok := p.settings[http2.SettingEnableConnectProtocol]; ok {
		t.Error("it was offered")
	}
	s := p.open([]string{":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":authority", host, ":path", "/", "sec-websocket-version", "13"}, false)
	if _, end := s.end(); end != "PROTOCOL_ERROR" {
		t.Error(end)
	}
	if s := p.open(request("GET", "/"), true); s.status() != "200" {
		t.Error(s.heads)
	}
}

func TestTheOfferIsTheOperators(t *testing.T) {
	if strings.Contains(os.Getenv("GODEBUG"), "http2xconnect") {
		t.Error("programs that we start would offer WebSockets over HTTP/2")
	}
	cmd := exec.Command(os.Args[0], "-test.run=TestClientsOfAProxyWithoutTheOffer$")
	cmd.Env = append(os.Environ(), "OFFER=none", "GODEBUG=http2xconnect=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
