package proxy

import (
	"crypto/sha1"
	"encoding/base64"
	"maps"
	"net"
	"net/http"
	"strings"

	"outvet/call"
	"outvet/internal/answer"
	"outvet/internal/http1"
	"outvet/internal/payload/wsframe"
)

// upgrades returns what r asks to be upgraded to if that is a WebSocket, else
// "". It must be asked before the hop-by-hop fields are gone.
func upgrades(r *http.Request) string {
	to := r.Header.Get("Upgrade")
	if r.ProtoMajor != 1 || !r.ProtoAtLeast(1, 1) || !strings.EqualFold(to, "websocket") || !http1.Lists(r.Header, "Connection", "upgrade") {
		return ""
	}
	return to
}

// upgrade carries a WebSocket. Its handshake is a call like any other.
func (x *exchange) upgrade() {
	x.c.Op.Protocol = "ws"
	wrong := x.handshake()
	x.open()
	switch {
	case x.p.Verdict != call.Allow:
		x.refuse(&x.p.Decision)
		return
	case wrong != "":
		x.out.Error = wrong
		x.fail(*malformed(wrong))
		return
	}
	key := x.m.Header.Get("Sec-Websocket-Key")
	res := x.send()
	if res == nil {
		return
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusSwitchingProtocols {
		x.declined(res)
		return
	}
	deflate, why := x.accepted(res, key)
	up, ok := res.Body.(upstream)
	if !ok && why == "" {
		why = "the connection to the server cannot be taken over"
	}
	if why != "" {
		x.out.Error = why
		x.fail(answer.Problem{Status: http.StatusBadGateway, Title: "Upstream connection failed",
			Detail: why, Code: "http_protocol_error", Error: "http_protocol_error"})
		return
	}
	x.talk(res, up, deflate)
}

// handshake says what is wrong with the client's (RFC 6455 §4.1), and takes
// extensions from it whose messages could not be read.
func (x *exchange) handshake() string {
	h := x.m.Header
	if offers, same := wsframe.Offers(h["Sec-Websocket-Extensions"]); !same {
		if h["Sec-Websocket-Extensions"] = offers; len(offers) == 0 {
			delete(h, "Sec-Websocket-Extensions")
		}
	}
	switch {
	case x.m.Body != nil:
		x.m.Body, x.m.Length = nil, 0
		return "a request for a WebSocket has no body"
	case x.r.Method != http.MethodGet:
		return "a request for a WebSocket is a GET"
	case h.Get("Sec-Websocket-Version") != "13":
		return "the version of the WebSocket must be 13"
	}
	if key, err := base64.StdEncoding.DecodeString(h.Get("Sec-Websocket-Key")); err != nil || len(key) != 16 || len(h["Sec-Websocket-Key"]) != 1 {
		return "the Sec-WebSocket-Key of the request is not 16 bytes in base64"
	}
	return ""
}

// accepted says what is wrong with the server's handshake (RFC 6455 §4.2.2), and
// what it chose of the compressions offered.
func (x *exchange) accepted(res *http.Response, key string) (deflate *wsframe.Params, wrong string) {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	switch {
	case !strings.EqualFold(res.Header.Get("Upgrade"), "websocket"), !http1.Lists(res.Header, "Connection", "upgrade"):
		return nil, "the server switched to another protocol than WebSocket"
	case res.Header.Get("Sec-Websocket-Accept") != base64.StdEncoding.EncodeToString(sum[:]):
		return nil, "the server's Sec-WebSocket-Accept does not answer the key"
	}
	deflate, err := wsframe.Accepted(res.Header["Sec-Websocket-Extensions"], x.m.Header["Sec-Websocket-Extensions"])
	if err != nil {
		return nil, "the server chose a WebSocket extension that was not offered"
	}
	return deflate, ""
}

// wsHeader returns h as that of a handshake.
func wsHeader(h http.Header, upgrade string) http.Header {
	out := maps.Clone(h)
	out["Connection"], out["Upgrade"] = []string{"Upgrade"}, []string{upgrade}
	return out
}

// talk answers the client with the server's handshake and carries what both
// say then.
func (x *exchange) talk(res *http.Response, up upstream, deflate *wsframe.Params) {
	x.out.Status = res.StatusCode
	c := x.switched(res)
	if c == nil {
		return
	}
	w := newTalk(x, c, up, deflate)
	if !x.s.join(w) {
		w.goAway()
	}
	defer x.s.part(w)
	w.run()
}

// switched tells the client that its WebSocket stands and returns its side of
// it, nil if it is gone.
func (x *exchange) switched(res *http.Response) client {
	if c, ok := x.w.(*socket); ok {
		c.begin(res)
		return c
	}
	head, err := switching(res, x.trace.Answered)
	if err != nil {
		x.out.Error = "the server's answer has a field that cannot be written"
		return nil
	}
	conn, early := x.w.(*response).c.takeOver()
	x.last = &closing{conn, true}
	if _, err := conn.Write(head); err != nil {
		x.out.Error = "the client went away"
		return nil
	}
	return &earlyConn{conn, early}
}

// switching returns the head of a 101 answer, to be written at once.
func switching(res *http.Response, names []string) ([]byte, error) {
	upgrade := res.Header.Get("Upgrade")
	hopByHop(res.Header, false)
	answer.Strip(res.Header)
	delete(res.Header, "Alt-Svc")
	return http1.AppendResponse(nil, res.Status, wsHeader(res.Header, upgrade), names, http1.Framing{Length: -1})
}

// join notes a WebSocket that Shutdown must end. It reports false if it was.
func (s *Server) join(w *talk) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.talks[w] = struct{}{}
	return !s.closing
}

func (s *Server) part(w *talk) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.talks, w)
}

// early is what came before the connection was taken over, and then the rest.
type earlyConn struct {
	net.Conn
	early []byte
}

// Read implements io.Reader.
func (c *earlyConn) Read(b []byte) (int, error) {
	if len(c.early) > 0 {
		n := copy(b, c.early)
		c.early = c.early[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}

// modelAPI reports whether path is that of a model API with a WebSocket form.
func modelAPI(path string) bool { return strings.HasSuffix(path, "/responses") }
