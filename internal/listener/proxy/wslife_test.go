package proxy_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"outvet/call"
	"outvet/internal/payload/wsframe"
)

// raw returns a server that takes the connection over and then does f.
func raw(t *testing.T, f func(c io.ReadWriteCloser, r io.Reader)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(20 * time.Second))
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
		f(c, buf.Reader)
	}
}

func TestARefusalWaitsForTheEndOfTheServersFrame(t *testing.T) {
	goOn, sent := make(chan bool), wsframe.AppendFrame(nil, wsframe.Text, bytes.Repeat([]byte("x"), 100_000))
	r := newRig(t, raw(t, func(c io.ReadWriteCloser, in io.Reader) {
		c.Write(sent[:50_000])
		<-goOn
		c.Write(sent[50_000:])
		c.Write(wsframe.AppendFrame(nil, wsframe.Text, []byte("not told any more")))
		io.Copy(io.Discard, in)
	}), nil, noSecrets)
	c := r.websocket(t, true, "/v1/responses")
	if _, err := c.br.Peek(1000); err != nil {
		t.Fatal(err)
	}
	c.text(token)
	time.Sleep(50 * time.Millisecond)
	close(goOn)
	if op, p := c.next(); op != wsframe.Text || len(p) != 100_000 {
		t.Fatal(op, len(p))
	}
	if op, p := c.next(); op != wsframe.Text || !strings.Contains(p, "outvet_blocked") {
		t.Fatal(op, p)
	}
	c.wantClose(1008, "")
	r.one(t)
}

func TestARefusalWithinAMessageOfTheServerHasNoEvent(t *testing.T) {
	r := newRig(t, raw(t, func(c io.ReadWriteCloser, in io.Reader) {
		c.Write([]byte{0x01, 1, 'a'}) // its message goes on
		io.Copy(io.Discard, in)
	}), nil, noSecrets)
	c := r.websocket(t, true, "/v1/responses")
	c.want(wsframe.Text, "a")
	c.text(token)
	c.wantClose(1008, "")
	r.one(t)
}

func TestAServerThatBreaksTheProtocolEndsBothSides(t *testing.T) {
	for _, bad := range [][]byte{
		masked(wsframe.Header{Fin: true, Op: wsframe.Text}, []byte("x")),
		{0xc1, 1, 'x'}, // compressed, but nothing was agreed on
		{0x80, 0},
	} {
		heard := make(chan []byte, 1)
		r := newRig(t, raw(t, func(c io.ReadWriteCloser, in io.Reader) {
			c.Write(append(wsframe.AppendFrame(nil, wsframe.Text, []byte("fine")), bad...))
			b, _ := io.ReadAll(in)
			heard <- b
		}), nil, noSecrets)
		c := r.websocket(t, false, "/")
		c.want(wsframe.Text, "fine")
		c.wantClose(1002, "outvet: ")
		if b := <-heard; unmasked(b) != "\x03\xea" {
			t.Errorf("the server heard %q", b)
		}
		if o := r.one(t).closed.Outcome; !strings.Contains(o.Error, "the server broke the WebSocket protocol") {
			t.Errorf("%+v", o)
		}
	}
}

func TestAbruptEndsAreRecorded(t *testing.T) {
	t.Run("client", func(t *testing.T) {
		s := newSite()
		r := newRig(t, s.serve, nil, noSecrets)
		c := r.websocket(t, true, "/")
		c.frame(wsframe.Header{Op: wsframe.Text}, []byte("half"))
		c.conn.Close()
		if msgs, codes := s.ended(t); len(msgs)+len(codes) > 0 || len(s.wire) > 0 {
			t.Error(msgs, codes)
		}
		if o := r.one(t).closed.Outcome; o.Error != "the client went away" || o.Sent != 0 {
			t.Errorf("%+v", o)
		}
	})
	t.Run("server", func(t *testing.T) {
		r := newRig(t, raw(t, func(c io.ReadWriteCloser, in io.Reader) { c.Write([]byte{0x81, 9, 'h'}) }), nil, noSecrets)
		c := r.websocket(t, true, "/")
		if b, _ := io.ReadAll(c.br); string(b) != "\x81\x09h" {
			t.Errorf("%q", b)
		}
		c.conn.Close()
		if o := r.one(t).closed.Outcome; o.Error != "the server broke off the connection" || o.Received != 3 {
			t.Errorf("%+v", o)
		}
	})
	t.Run("server with a Close frame", func(t *testing.T) {
		r := newRig(t, raw(t, func(c io.ReadWriteCloser, in io.Reader) {
			c.Write(wsframe.AppendFrame(nil, wsframe.Close, wsframe.ClosePayload(1000, "done")))
			io.Copy(io.Discard, in)
		}), nil, noSecrets)
		c := r.websocket(t, true, "/")
		c.want(wsframe.Close, "\x03\xe8done")
		c.frame(wsframe.Header{Fin: true, Op: wsframe.Close}, nil)
		c.conn.Close()
		if o := r.one(t).closed.Outcome; o.Error != "" {
			t.Errorf("%+v", o)
		}
	})
}

func TestWhatFollowsTheClientsCloseDoesNotLeave(t *testing.T) {
	heard := make(chan []byte, 1)
	r := newRig(t, raw(t, func(c io.ReadWriteCloser, in io.Reader) {
		b := make([]byte, 100)
		n, _ := io.ReadAtLeast(in, b, 6)
		time.Sleep(100 * time.Millisecond)
		m, _ := io.ReadAtLeast(in, b[n:], 1)
		heard <- b[:n+m]
	}), nil, allow)
	c := r.websocket(t, true, "/")
	c.frame(wsframe.Header{Fin: true, Op: wsframe.Close}, nil)
	c.text("more")
	c.conn.Close()
	if b := <-heard; len(b) != 6 || b[0] != 0x88 {
		t.Errorf("%q", b)
	}
	r.one(t)
}

func TestFramesSentWithTheHandshakeAreJudged(t *testing.T) {
	for _, secure := range []bool{true, false} {
		s := newSite()
		r := newRig(t, s.serve, nil, noSecrets)
		early := append(masked(wsframe.Header{Fin: true, Op: wsframe.Text}, []byte("early")), masked(wsframe.Header{Fin: true, Op: wsframe.Text}, []byte(token))...)
		c := r.websocket(t, secure, "/", "\r\n"+string(early)) // and then a line end, which nobody reads
		for op := wsframe.Text; op != wsframe.Close; {
			op, _ = c.next() // the refusal may come before the answer to the first
		}
		c.conn.Close()
		if msgs, _ := s.ended(t); fmt.Sprint(msgs) != "[early]" {
			t.Error(msgs)
		}
		r.one(t)
	}
}

func TestAnAnswerThatIsNoUpgradeIsPassedOn(t *testing.T) {
	for _, status := range []int{200, 401, 426} {
		r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			io.WriteString(w, "no")
		}, nil, allow)
		c := r.websocket(t, true, "/")
		if b, err := io.ReadAll(c.head.Body); c.head.StatusCode != status || string(b) != "no" || err != nil {
			t.Errorf("%d %q %v", c.head.StatusCode, b, err)
		}
		c.conn.Close()
		if o := r.one(t).closed.Outcome; o.Status != status || o.Error != "" {
			t.Errorf("%+v", o)
		}
	}
}

func TestAHandshakeThatDoesNotFitIsNoWebSocket(t *testing.T) {
	const good = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
	for _, head := range []string{
		"", "Upgrade: h2c\r\nConnection: Upgrade\r\n", strings.Replace(good, "s3pP", "s3pQ", 1),
		good + "Sec-WebSocket-Extensions: permessage-deflate\r\n", good + "Sec-WebSocket-Extensions: x\r\n",
	} {
		r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
			c, _, _ := http.NewResponseController(w).Hijack()
			defer c.Close()
			io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\n"+head+"\r\n")
			io.Copy(io.Discard, c)
		}, nil, allow)
		c := r.websocket(t, true, "/")
		if c.head.StatusCode != 502 {
			t.Errorf("%q: %s", head, c.head.Status)
		}
		c.conn.Close()
		if o := r.one(t).closed.Outcome; o.Status != 502 || o.Error == "" {
			t.Errorf("%+v", o)
		}
	}
	for _, field := range []string{"Sec-WebSocket-Key: x\r\n", "Content-Length: 1\r\n", "Sec-WebSocket-Key: " + wsKey + "\r\n"} {
		r := newRig(t, func(w http.ResponseWriter, r *http.Request) { t.Error("it arrived") }, nil, allow)
		c := r.websocket(t, true, "/", field)
		if c.head.StatusCode != 400 {
			t.Errorf("%q: %s", field, c.head.Status)
		}
		c.conn.Close()
		r.one(t)
	}
}

func TestARefusedHandshakeReachesNobody(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, r *http.Request) { t.Error("it arrived") }, nil, noSecrets)
	c := r.websocket(t, true, "/v1/responses", "Sec-WebSocket-Protocol: "+token+"\r\n")
	if c.head.StatusCode != 400 || !strings.Contains(c.head.Status, "Blocked by egress policy") {
		t.Error(c.head.Status)
	}
	c.conn.Close()
	if p := r.one(t); p.decided.Decision.Verdict != call.Block {
		t.Errorf("%+v", p.decided.Decision)
	}
}

func TestAQuarantineAndAPolicyThatRefusesEndWebSockets(t *testing.T) {
	for name, stop := range map[string]func(*rig){
		"quarantine": func(r *rig) { r.gate.Quarantine("127.0.0.1", "somebody", "enough") },
		"policy":     func(r *rig) { r.install(t, "version: 1\ndefault: block\n") },
	} {
		s := newSite()
		r := newRig(t, s.serve, nil, allow)
		c := r.websocket(t, true, "/v1/responses")
		c.text("x")
		c.next()
		stop(r)
		if op, p := c.next(); op != wsframe.Text || !strings.Contains(p, "outvet_blocked") {
			t.Fatal(op, p)
		}
		c.wantClose(1008, "egress policy")
		if msgs, codes := s.ended(t); fmt.Sprint(msgs, codes) != "[x] [1001]" {
			t.Error(name, msgs, codes)
		}
		if p := r.one(t); !p.closed.Outcome.Aborted {
			t.Errorf("%s: %+v", name, p.closed.Outcome)
		}
	}
}

func TestShutdownEndsWebSockets(t *testing.T) {
	for _, secure := range []bool{true, false} {
		s := newSite()
		r := newRig(t, s.serve, nil, allow)
		c := r.websocket(t, secure, "/")
		c.text("x")
		c.next()
		down := make(chan error, 1)
		go func() { down <- r.server.Shutdown(context.Background()) }()
		c.wantClose(1001, "outvet")
		if _, codes := s.ended(t); fmt.Sprint(codes) != "[1001]" {
			t.Error(codes)
		}
		select {
		case err := <-down:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(10 * time.Second):
			t.Error("Shutdown waits")
		}
		if o := r.one(t).closed.Outcome; o.Error != "the proxy was shut down" {
			t.Errorf("%+v", o)
		}
	}
}

func TestShutdownDoesNotWaitForAServerThatTakesNothing(t *testing.T) {
	stop := make(chan bool)
	defer close(stop)
	r := newRig(t, raw(t, func(io.ReadWriteCloser, io.Reader) { <-stop }), nil, allow)
	c := r.websocket(t, true, "/")
	go c.conn.Write(masked(wsframe.Header{Fin: true, Op: wsframe.Binary}, make([]byte, 8<<20)))
	go c.conn.Write(masked(wsframe.Header{Fin: true, Op: wsframe.Binary}, make([]byte, 8<<20)))
	time.Sleep(300 * time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 9*time.Second)
	defer cancel()
	go io.Copy(io.Discard, c.br)
	if err := r.server.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	r.one(t)
}

func TestWebSocketsLeaveNothingBehind(t *testing.T) {
	s := newSite()
	r := newRig(t, s.serve, nil, noSecrets)
	one := func(i int) {
		c := r.websocket(t, i%2 == 0, "/")
		c.text("x")
		c.next()
		switch i % 3 {
		case 0:
			c.close()
		case 1:
			c.conn.Close()
		default:
			c.text(token)
			c.wantClose(1008, "")
		}
		c.conn.Close()
	}
	for i := range 6 {
		one(i)
	}
	before := settled(1 << 30)
	const churn = 60
	for i := range churn {
		one(i)
	}
	if after := settled(before); after > before+10 {
		buf := make([]byte, 1<<20)
		t.Errorf("%d goroutines before, %d after\n%s", before, after, buf[:runtime.Stack(buf, true)])
	}
	r.log.wait(t, churn+6)
}

// npm is where make npm puts undici.
const npm = "../../../test/flow/node/node_modules"

func TestNodesWebSocketIsInspected(t *testing.T) {
	node := program(t, "node")
	modules, err := filepath.Abs(npm)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(modules); err != nil {
		t.Skip("skipped, because make npm was not run")
	}
	const script = `
const [modules, proxy, ca, url, secret] = process.argv.slice(1);
const { WebSocket, ProxyAgent } = require(modules + "/undici");
const dispatcher = new ProxyAgent({ uri: proxy, requestTls: { ca: require("fs").readFileSync(ca) } });
const ws = new WebSocket(url, { dispatcher, protocols: ["chat"] });
ws.onopen = () => { console.log("open", ws.protocol, ws.extensions); ws.send("hello"); ws.send("x".repeat(200000)); };
let n = 0;
ws.onmessage = e => { console.log("said", String(e.data)); if (++n === 2) ws.send("my key " + secret); };
ws.onerror = e => console.log("error", e.message);
ws.onclose = e => { console.log("closed", e.code, e.reason); process.exit() };
`
	s := newSite()
	s.extensions = "permessage-deflate; client_no_context_takeover; server_no_context_takeover"
	r := newRig(t, s.serve, nil, noSecrets)
	out := r.run(node, "-e", script, modules, "http://"+r.addr, r.ca, "wss://"+host+"/v1/responses", token)
	r.expect(out, "open chat", "said got 5", "said got 200000", `"type":"error"`, "closed 1008 Blocked by egress policy: secret found")
	if msgs, _ := s.ended(t); len(msgs) != 2 {
		t.Errorf("%d messages arrived", len(msgs))
	}
	r.one(t)
}

func TestPythonsWebSocketIsInspected(t *testing.T) {
	python := program(t, "python3")
	const script = `
import os, socket, ssl, struct, sys, zlib
addr, host, secret = sys.argv[1:]
s = socket.create_connection(addr.rsplit(":", 1))
s.sendall(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n".encode())
assert b" 200 " in s.recv(4096)
s = ssl.create_default_context().wrap_socket(s, server_hostname=host)
s.sendall(f"GET /x HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n".encode())
f = s.makefile("rb")
print(f.readline().decode().strip())
while f.readline().strip(): pass
z = zlib.compressobj(wbits=-15)
def send(text):
    b = z.compress(text.encode()) + z.flush(zlib.Z_SYNC_FLUSH)
    b, key = b[:-4], os.urandom(4)
    n = struct.pack("!BBH", 0xc1, 0xfe, len(b)) if len(b) > 125 else struct.pack("!BB", 0xc1, 0x80 | len(b))
    s.sendall(n + key + bytes(x ^ key[i % 4] for i, x in enumerate(b)))
def read():
    op, n = f.read(2)
    b = f.read(n)
    print(op & 15, b[2:].decode() if op & 15 == 8 else b.decode())
for t in ["one two three", "one two three four", "x" * 50000]:
    send(t); read()
send("the key " + secret); read()
`
	s := newSite()
	s.extensions = "permessage-deflate"
	r := newRig(t, s.serve, nil, noSecrets)
	r.expect(r.run(python, "-c", script, r.addr, host, token), "HTTP/1.1 101 Switching Protocols", "1 got 13", "1 got 18", "1 got 50000", "8 Blocked by egress policy: secret found")
	if msgs, _ := s.ended(t); len(msgs) != 3 {
		t.Errorf("%d messages arrived", len(msgs))
	}
	r.one(t)
}
