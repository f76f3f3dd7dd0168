package proxy_test

import (
	"bufio"
	"bytes"
	"compress/flate"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"outvet/internal/gate"
	"outvet/internal/payload/wsframe"
)

// wsKey is the key of the handshakes, which RFC 6455 §1.3 has as its example.
const wsKey = "dGhlIHNhbXBsZSBub25jZQ=="

// noSecrets blocks what holds a secret.
const noSecrets = `version: 1
default: allow
rules:
  - {name: no secrets, finding: {kind: "secret/*"}, verdict: block, reason: Secrets stay here}
`

const maskSecrets = `version: 1
default: allow
rules:
  - {name: mask, finding: {kind: "secret/*"}, redact: mask}
`

// token is made up, with a right checksum.
var token = "gh" + "p_" + "k7Qm2ZtR9vXc4LpW8s" + "Yb3NdF6hJa1G1cxYMD"

// A site is a server of WebSockets that writes down what it receives and
// answers each message with "got" and its length.
type site struct {
	extensions string // that it chooses
	greet      []byte // sent with its handshake
	mute       bool

	mu     sync.Mutex
	wire   []byte // after the handshake
	msgs   []string
	codes  []int // of Close frames
	header http.Header
	done   chan struct{}
	once   sync.Once
}

func newSite() *site { return &site{done: make(chan struct{})} }

func (s *site) serve(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") == "" {
		io.WriteString(w, "plain")
		return
	}
	c, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer s.once.Do(func() { close(s.done) })
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	s.mu.Lock()
	s.header = r.Header
	s.mu.Unlock()
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	head := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
		base64.StdEncoding.EncodeToString(sum[:]) + "\r\n"
	if s.extensions != "" {
		head += "Sec-WebSocket-Extensions: " + s.extensions + "\r\n"
	}
	if p := r.Header.Get("Sec-WebSocket-Protocol"); p != "" {
		head += "Sec-WebSocket-Protocol: " + p + "\r\n"
	}
	c.Write(append([]byte(head+"\r\n"), s.greet...))
	tap := io.TeeReader(buf.Reader, lockedWriter{s})
	in := wsframe.Reader{R: tap, Max: 64 << 20, Deflate: s.extensions != ""}
	z := wsframe.Inflater{Takeover: !strings.Contains(s.extensions, "client_no_context_takeover")}
	for {
		m, err := in.Next()
		if err != nil {
			return
		}
		text := m.Payload
		if m.Compressed {
			if text, err = z.Append(nil, m.Payload, 64<<20, 1<<20); err != nil {
				s.note("undecodable: "+err.Error(), 0)
				return
			}
		}
		switch m.Op {
		case wsframe.Close:
			code := 0
			if len(text) >= 2 {
				code = int(binary.BigEndian.Uint16(text))
			}
			s.note("", code)
			c.Write(wsframe.AppendFrame(nil, wsframe.Close, text))
			return
		case wsframe.Ping:
			s.note("ping "+string(text), 0)
			c.Write(wsframe.AppendFrame(nil, wsframe.Pong, text))
		case wsframe.Pong:
		default:
			s.note(string(text), 0)
			if !s.mute {
				c.Write(wsframe.AppendFrame(nil, wsframe.Text, fmt.Appendf(nil, "got %d", len(text))))
			}
		}
	}
}

func (s *site) note(msg string, code int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if msg != "" {
		s.msgs = append(s.msgs, msg)
	}
	if code != 0 {
		s.codes = append(s.codes, code)
	}
}

type lockedWriter struct{ s *site }

func (l lockedWriter) Write(b []byte) (int, error) {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	l.s.wire = append(l.s.wire, b...)
	return len(b), nil
}

// ended waits for the server's end and returns what it received.
func (s *site) ended(t *testing.T) (msgs []string, codes []int) {
	t.Helper()
	select {
	case <-s.done:
	case <-time.After(15 * time.Second):
		t.Fatal("the server still waits")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.msgs, s.codes
}

// A wsClient is a client of WebSockets, by hand.
type wsClient struct {
	t    *testing.T
	conn net.Conn
	br   *bufio.Reader
	head *http.Response
	fw   *flate.Writer
	buf  bytes.Buffer
}

// websocket makes a handshake through the proxy, in TLS or in absolute-form.
func (r *rig) websocket(t *testing.T, secure bool, path string, more ...string) *wsClient {
	t.Helper()
	c := &wsClient{t: t}
	target := path
	if secure {
		c.conn = r.dialTLS(host+":443", host)
	} else {
		conn, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		c.conn, target = conn, "http://"+host+path
	}
	fmt.Fprintf(c.conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n%s\r\n",
		target, host, wsKey, strings.Join(more, ""))
	c.br = bufio.NewReader(c.conn)
	var err error
	if c.head, err = http.ReadResponse(c.br, nil); err != nil {
		t.Fatal(err)
	}
	return c
}

const offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"

// frame sends one frame as h says, masked.
func (c *wsClient) frame(h wsframe.Header, payload []byte) {
	c.conn.Write(masked(h, payload))
}

func masked(h wsframe.Header, payload []byte) []byte {
	h.Masked, h.Length = true, int64(len(payload))
	rand.Read(h.Key[:])
	b := h.Append(nil)
	n := len(b)
	b = append(b, payload...)
	wsframe.Mask(b[n:], h.Key, 0)
	return b
}

func (c *wsClient) text(s string) {
	c.frame(wsframe.Header{Fin: true, Op: wsframe.Text}, []byte(s))
}

// deflate compresses s in the context of what it compressed before.
func (c *wsClient) deflate(s string) []byte {
	if c.fw == nil {
		c.fw, _ = flate.NewWriter(&c.buf, 6)
	}
	c.buf.Reset()
	io.WriteString(c.fw, s)
	c.fw.Flush()
	return bytes.Clone(bytes.TrimSuffix(c.buf.Bytes(), []byte("\x00\x00\xff\xff")))
}

func (c *wsClient) compressed(s string) {
	c.frame(wsframe.Header{Fin: true, Op: wsframe.Text, Compressed: true}, c.deflate(s))
}

// next reads a frame of the server.
func (c *wsClient) next() (wsframe.Opcode, string) {
	c.t.Helper()
	var b []byte
	for {
		x, err := c.br.ReadByte()
		if err != nil {
			c.t.Fatalf("after %q: %v", b, err)
		}
		b = append(b, x)
		h, n, err := wsframe.Parse(b)
		if err != nil {
			c.t.Fatal(err)
		}
		if n > 0 {
			p := make([]byte, h.Length)
			if _, err := io.ReadFull(c.br, p); err != nil {
				c.t.Fatal(err)
			}
			return h.Op, string(p)
		}
	}
}

func (c *wsClient) want(op wsframe.Opcode, payload string) {
	c.t.Helper()
	if o, p := c.next(); o != op || p != payload {
		c.t.Fatalf("frame %d %.200q, want %d %q", o, p, op, payload)
	}
}

// wantClose reads a Close frame and what is behind it.
func (c *wsClient) wantClose(code int, words string) {
	c.t.Helper()
	op, p := c.next()
	if op != wsframe.Close || len(p) < 2 || int(binary.BigEndian.Uint16([]byte(p))) != code || !strings.Contains(p, words) || len(p) > 125 {
		c.t.Fatalf("frame %d %q, want Close %d with %q", op, p, code, words)
	}
	if b, err := io.ReadAll(c.br); err != nil || len(b) > 0 {
		c.t.Errorf("after the Close frame came %q, %v", b, err)
	}
	c.conn.Close()
}

func (c *wsClient) close() {
	c.t.Helper()
	c.frame(wsframe.Header{Fin: true, Op: wsframe.Close}, wsframe.ClosePayload(1000, "bye"))
	c.wantClose(1000, "bye")
}

// one waits for the records of the only call.
func (r *rig) one(t *testing.T) pair {
	t.Helper()
	p := r.log.wait(t, 1)[0]
	if p.decided.Protocol != "ws" {
		t.Errorf("protocol %q", p.decided.Protocol)
	}
	return p
}

func TestWebSocketMessagesPassBothWays(t *testing.T) {
	for _, secure := range []bool{true, false} {
		s := newSite()
		s.greet = wsframe.AppendFrame(nil, wsframe.Text, []byte("hello"))
		r := newRig(t, s.serve, nil, noSecrets)
		c := r.websocket(t, secure, "/chat?x=1", "Sec-WebSocket-Protocol: chat.v2\r\n", "Origin: https://a.example\r\n")
		if c.head.StatusCode != 101 || c.head.Header.Get("Sec-WebSocket-Protocol") != "chat.v2" {
			t.Fatalf("%+v", c.head)
		}
		c.want(wsframe.Text, "hello")
		c.text("one")
		c.want(wsframe.Text, "got 3")
		c.frame(wsframe.Header{Fin: true, Op: wsframe.Ping}, []byte("p"))
		c.want(wsframe.Pong, "p")
		c.frame(wsframe.Header{Fin: true, Op: wsframe.Binary}, nil)
		c.want(wsframe.Text, "got 0")
		c.close()
		msgs, codes := s.ended(t)
		if fmt.Sprint(msgs, codes) != "[one ping p] [1000]" {
			t.Error(msgs, codes)
		}
		p := r.one(t)
		if o := p.closed.Outcome; o.Status != 101 || o.Error != "" || o.Sent == 0 || o.Received == 0 || o.Address == "" || o.Aborted {
			t.Errorf("%+v", o)
		}
		if s.header.Get("Origin") != "https://a.example" || s.header.Get("Sec-WebSocket-Key") != wsKey {
			t.Errorf("%v", s.header)
		}
	}
}

func TestARefusedMessageLeavesNothing(t *testing.T) {
	for _, secure := range []bool{true, false} {
		for _, path := range []string{"/chat", "/v1/responses"} {
			s := newSite()
			r := newRig(t, s.serve, nil, noSecrets)
			c := r.websocket(t, secure, path)
			c.text("fine")
			c.want(wsframe.Text, "got 4")
			half := len(token) / 2
			c.frame(wsframe.Header{Op: wsframe.Text}, []byte("a "+token[:half]))
			c.frame(wsframe.Header{Fin: true, Op: wsframe.Ping}, []byte("x"))
			c.want(wsframe.Pong, "x")
			c.frame(wsframe.Header{Fin: true, Op: wsframe.Continuation}, []byte(token[half:]+" b"))
			c.text("more")
			if path == "/v1/responses" {
				op, p := c.next()
				if op != wsframe.Text || !strings.Contains(p, `"type":"error"`) || !strings.Contains(p, "outvet_blocked") || !strings.Contains(p, `"status":400`) {
					t.Errorf("%d %s", op, p)
				}
			}
			c.wantClose(1008, "Blocked by egress policy")
			msgs, codes := s.ended(t)
			if fmt.Sprint(msgs, codes) != "[fine ping x] [1001]" {
				t.Error(msgs, codes)
			}
			p := r.one(t)
			if o := p.closed.Outcome; !o.Aborted || o.Error == "" || p.closed.Decision == nil || p.closed.Decision.Rule != "no secrets" || len(p.closed.Decision.Findings) != 1 {
				t.Errorf("%+v %+v", o, p.closed.Decision)
			}
			if p.decided.Decision.Verdict != 0 {
				t.Errorf("%+v", p.decided.Decision)
			}
		}
	}
}

func TestASecretInAControlFrameDoesNotLeave(t *testing.T) {
	for _, op := range []wsframe.Opcode{wsframe.Ping, wsframe.Pong, wsframe.Close} {
		for _, text := range []string{noSecrets, maskSecrets} {
			s := newSite()
			r := newRig(t, s.serve, nil, text)
			c := r.websocket(t, true, "/")
			payload := []byte(token)
			if op == wsframe.Close {
				payload = wsframe.ClosePayload(1000, token)
			}
			c.frame(wsframe.Header{Fin: true, Op: op}, payload)
			if op != wsframe.Close && text == maskSecrets {
				c.frame(wsframe.Header{Fin: true, Op: wsframe.Close}, nil)
			}
			io.Copy(io.Discard, c.br)
			c.conn.Close()
			s.ended(t)
			if n := len(unmasked(s.wire)); n > 1 && strings.Contains(unmasked(s.wire), token) {
				t.Errorf("%d: it left", op)
			}
			r.one(t)
		}
	}
}

// unmasked returns all payloads in b.
func unmasked(b []byte) string {
	var all strings.Builder
	for {
		h, n, err := wsframe.Parse(b)
		if n == 0 || err != nil || int64(len(b)-n) < h.Length {
			return all.String()
		}
		p := bytes.Clone(b[n : n+int(h.Length)])
		wsframe.Mask(p, h.Key, 0)
		all.Write(p)
		b = b[n+int(h.Length):]
	}
}

func TestUneditedMessagesKeepTheirFramesAndCompression(t *testing.T) {
	s := newSite()
	s.extensions = "permessage-deflate"
	r := newRig(t, s.serve, nil, noSecrets)
	c := r.websocket(t, true, "/", "Sec-WebSocket-Extensions: x-odd; a=\"b,c\", permessage-deflate; client_max_window_bits\r\n")
	if got := s.header.Get("Sec-WebSocket-Extensions"); got != "permessage-deflate; client_max_window_bits" {
		t.Errorf("offered %q", got)
	}
	var sent string
	for i := range 20 {
		p := c.deflate(strings.Repeat("the same text again ", 50) + fmt.Sprint(i))
		sent += string(p)
		half := len(p) / 2
		c.frame(wsframe.Header{Op: wsframe.Text, Compressed: true}, p[:half])
		c.frame(wsframe.Header{Op: wsframe.Continuation}, nil)
		c.frame(wsframe.Header{Fin: true, Op: wsframe.Continuation}, p[half:])
	}
	for range 20 {
		if op, p := c.next(); op != wsframe.Text || !strings.HasPrefix(p, "got 10") {
			t.Fatal(op, p)
		}
	}
	c.close()
	s.ended(t)
	if got := unmasked(s.wire); !strings.HasPrefix(got, sent) || bytes.Count(s.wire, []byte{0x00, 0x80}) < 20 {
		t.Error("the frames were changed")
	}
	r.one(t)
}

func TestEditsOfACompressedTalkAreUnderstoodByTheServer(t *testing.T) {
	for _, ext := range []string{"permessage-deflate", "permessage-deflate; client_no_context_takeover"} {
		s := newSite()
		s.extensions = ext
		r := newRig(t, s.serve, nil, maskSecrets)
		c := r.websocket(t, true, "/", offer)
		say := func(m string) {
			if strings.Contains(ext, "client_no") {
				c.fw = nil
			}
			c.compressed(m)
			c.next()
		}
		want := []string{}
		for i := range 6 {
			m := strings.Repeat("context that comes again ", 30) + fmt.Sprint(i)
			say(m)
			want = append(want, m)
			if i%2 == 1 {
				say(`{"a": "` + token + `", "b": "context that comes again"}`)
				want = append(want, `{"a": "[redacted:secret/github-pat]", "b": "context that comes again"}`)
			}
		}
		c.close()
		msgs, _ := s.ended(t)
		if fmt.Sprint(msgs) != fmt.Sprint(want) {
			t.Errorf("%s: the server read\n%q, want\n%q", ext, msgs, want)
		}
		if p := r.one(t); p.closed.Decision == nil || len(p.closed.Decision.Edits) == 0 {
			t.Errorf("%+v", p.closed)
		}
	}
}

func TestASecretInTheWindowIsFound(t *testing.T) {
	s := newSite()
	s.extensions = "permessage-deflate; server_no_context_takeover"
	r := newRig(t, s.serve, nil, noSecrets)
	c := r.websocket(t, false, "/", offer)
	half := len(token) / 2
	c.compressed("first " + token[:half] + " " + token[half:]) // which the next refers to
	c.next()
	if p := c.deflate("then " + token); bytes.Contains(p, []byte(token[1:half])) {
		t.Error("the message does not refer to the window")
	} else {
		c.frame(wsframe.Header{Fin: true, Op: wsframe.Text, Compressed: true}, p)
	}
	c.wantClose(1008, "secret found")
	if msgs, _ := s.ended(t); len(msgs) != 1 {
		t.Error(msgs)
	}
	r.one(t)
}

func TestAPolicyInForceSinceAppliesToTheNextMessage(t *testing.T) {
	s := newSite()
	r := newRig(t, s.serve, nil, allow)
	c := r.websocket(t, true, "/")
	c.text(token)
	c.next()
	r.install(t, noSecrets)
	c.text(token)
	c.wantClose(1008, "secret found")
	if msgs, _ := s.ended(t); len(msgs) != 1 {
		t.Error(msgs)
	}
	r.one(t)
}

func TestBrokenFramesEndBothSides(t *testing.T) {
	big := wsframe.Header{Fin: true, Op: wsframe.Text, Masked: true, Length: 8<<20 + 1}
	bomb := &wsClient{t: t}
	for _, tc := range []struct {
		name string
		send []byte
		code int
	}{
		{"unmasked", wsframe.AppendFrame(nil, wsframe.Text, []byte("x")), 1002},
		{"reserved bits", []byte{0xa1, 0x80, 0, 0, 0, 0}, 1002},
		{"reserved opcode", []byte{0x83, 0x80, 0, 0, 0, 0}, 1002},
		{"long length", []byte{0x81, 0xfe, 0, 5, 0, 0, 0, 0}, 1002},
		{"lonely continuation", masked(wsframe.Header{Fin: true}, nil), 1002},
		{"message in a message", append(masked(wsframe.Header{Op: wsframe.Text}, nil), masked(wsframe.Header{Fin: true, Op: wsframe.Text}, nil)...), 1002},
		{"fragmented ping", masked(wsframe.Header{Op: wsframe.Ping}, nil), 1002},
		{"compressed continuation", append(masked(wsframe.Header{Op: wsframe.Text}, nil), masked(wsframe.Header{Fin: true, Compressed: true}, nil)...), 1002},
		{"half a close code", masked(wsframe.Header{Fin: true, Op: wsframe.Close}, []byte{3}), 1002},
		{"no text", masked(wsframe.Header{Fin: true, Op: wsframe.Text}, []byte{0xff}), 1007},
		{"no deflate", masked(wsframe.Header{Fin: true, Op: wsframe.Text, Compressed: true}, []byte{0xff, 0xff}), 1007},
		{"too long", big.Append(nil), 1009},
		{"a bomb", masked(wsframe.Header{Fin: true, Op: wsframe.Text, Compressed: true}, bomb.deflate(strings.Repeat("x", 5<<20))), 1009},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSite()
			s.extensions = "permessage-deflate"
			r := newRig(t, s.serve, nil, noSecrets)
			c := r.websocket(t, true, "/", offer)
			c.conn.Write(tc.send)
			c.wantClose(tc.code, "outvet: ")
			msgs, codes := s.ended(t)
			if want := 1001 + b2i(tc.code == 1002); len(msgs) != 0 || len(codes) != 1 || codes[0] != want {
				t.Error(msgs, codes)
			}
			said := "the client broke the WebSocket protocol"
			if tc.code == 1009 {
				said = "a message could not be inspected"
			}
			if o := r.one(t).closed.Outcome; !strings.Contains(o.Error, said) {
				t.Errorf("%+v", o)
			}
		})
	}
}

func TestMessagesShareTheMemoryOfBodies(t *testing.T) {
	s := newSite()
	s.extensions = "permessage-deflate"
	r := newRig(t, s.serve, nil, noSecrets)
	r.gate.Memory, r.gate.Patience = gate.NewMemory(1<<20), 20*time.Millisecond
	c := r.websocket(t, true, "/", offer)
	for range 10 { // what one gives back, the next may take
		c.text(strings.Repeat("x", 700_000))
		c.next()
	}
	c.compressed(strings.Repeat("some text ", 200_000))
	c.wantClose(1013, "no memory")
	if msgs, _ := s.ended(t); len(msgs) != 10 {
		t.Errorf("%d messages arrived", len(msgs))
	}
	r.one(t)
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
