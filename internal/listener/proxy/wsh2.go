package proxy

import (
	"io"
	"net/http"
	"strconv"

	"outvet/internal/answer"
)

// A socket is a WebSocket's client in a stream of HTTP/2 (RFC 8441).
type socket struct {
	*flow
	r io.Reader // what the client sends: the body of its request
}

// Read implements io.Reader.
func (c *socket) Read(b []byte) (int, error) { return c.r.Read(b) }

// Write writes b at once.
func (c *socket) Write(b []byte) (int, error) {
	n, err := c.flow.Write(b)
	if err == nil {
		c.Flush()
	}
	return n, err
}

// asks returns what the request asks to be upgraded to if that is a WebSocket.
func (x *exchange) asks() string {
	if _, ok := x.w.(*socket); ok {
		return "websocket"
	}
	return upgrades(x.r)
}

// unknownProtocol says that the client asks for more than a WebSocket by an
// extended CONNECT, which could be a tunnel of its own; nil if it does not.
func (x *exchange) unknownProtocol() (p *answer.Problem, why string) {
	protocol, ok := x.r.Header[protocolField]
	switch {
	case !ok:
		return nil, ""
	case x.r.Method != http.MethodConnect:
		why = "only a CONNECT names a protocol to begin"
		return malformed(why), why
	}
	return &answer.Problem{Status: http.StatusNotImplemented, Title: "Protocol not supported",
		Detail: "an extended CONNECT is carried for websocket, not for " + ascii(protocol[0], 40),
		Code:   "protocol_not_supported", Error: "http_request_error"}, "the request is for another protocol than websocket"
}

// declined passes on what the server says instead of switching. In HTTP/2 a
// status of success would tell the client that it did switch.
func (x *exchange) declined(res *http.Response) {
	if _, ok := x.w.(*socket); ok && res.StatusCode/100 == 2 {
		x.out.Error = "the server answered a request for a WebSocket with status " + strconv.Itoa(res.StatusCode)
		x.fail(answer.Problem{Status: http.StatusBadGateway, Title: "Upstream connection failed",
			Detail: x.out.Error, Code: "http_protocol_error", Error: "http_protocol_error"})
		return
	}
	x.respond(res)
}

// begin tells the client that its WebSocket stands.
func (c *socket) begin(res *http.Response) {
	hopByHop(res.Header, false)
	answer.Strip(res.Header)
	delete(res.Header, "Alt-Svc")
	delete(res.Header, "Sec-Websocket-Accept") // it answers a key that the client does not have
	dst := c.Header()
	for k, v := range res.Header {
		dst[k] = v
	}
	for _, k := range [...]string{"Date", "Content-Type"} {
		if _, ok := dst[k]; !ok {
			dst[k] = nil // else net/http would add one
		}
	}
	c.WriteHeader(http.StatusOK)
	c.Flush()
}
