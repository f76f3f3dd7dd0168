package proxy

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"strings"
	"sync"
	"time"

	"outvet/internal/xconnect"
)

// Bounds of HTTP/2 with a client. What a connection may hold of what was not
// read yet is h2Conn; a stream that nobody reads holds h2Stream of it, so that
// sixteen of them do not stall the others.
const (
	h2Streams = 250      // at a time
	h2Frame   = 16 << 10 // bytes; a connection keeps room for its longest
	h2Stream  = 128 << 10
	h2Conn    = 16 * h2Stream
)

// Clients are offered WebSockets over HTTP/2, unless who started us had a word on
// it.
var _ = xconnect.Settle()

// h2Bounds returns the bounds for the library.
func (s *Server) h2Bounds() *http.HTTP2Config {
	return &http.HTTP2Config{
		MaxConcurrentStreams:          h2Streams,
		MaxReadFrameSize:              h2Frame,
		MaxReceiveBufferPerStream:     h2Stream,
		MaxReceiveBufferPerConnection: h2Conn,
		WriteByteTimeout:              s.StallTime,
	}
}

// priorKnowledge reports whether the client begins HTTP/2 in the clear
// (RFC 9113 §3.3), as programs of gRPC do without TLS. Nothing else has PRI for
// a method.
func (t *tunnel) priorKnowledge() bool {
	const preface = "PRI * HTTP/2.0\r\n"
	return len(t.pre) >= len("PRI ") && strings.HasPrefix(preface, string(t.pre[:min(len(t.pre), len(preface))]))
}

// protocolField is where the library puts :protocol (RFC 8441 §4). No client can
// send a field of that name.
const protocolField = ":protocol"

// overH2 fits a request of HTTP/2 to what the proxy does with those of HTTP/1.1.
// What asks for a WebSocket becomes the GET that it stands for (RFC 8441 §5): the
// same rules hold for both, and both ask the server alike.
func (s *Server) overH2(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
	if r.ProtoMajor != 2 {
		return w
	}
	f := &flow{ResponseWriter: w, stall: s.StallTime}
	if r.Method != http.MethodConnect || r.Header.Get(protocolField) != "websocket" {
		return f
	}
	delete(r.Header, protocolField)
	key := make([]byte, 16)
	rand.Read(key) // does not fail
	r.Header["Sec-Websocket-Key"] = []string{base64.StdEncoding.EncodeToString(key)}
	c := &socket{flow: f, r: r.Body}
	r.Method, r.Body, r.ContentLength = http.MethodGet, http.NoBody, 0
	return c
}

// oddH2 says what contradicts itself in the head of a request of HTTP/2, "" if
// nothing does. The library lets it pass. It does not tell :scheme, which counts
// for nothing: what came in TLS leaves in TLS.
func (x *exchange) oddH2() string {
	r := x.r
	if r.ProtoMajor != 2 {
		return ""
	}
	hosts := r.Header["Host"]
	delete(r.Header, "Host") // it is :authority that counts
	switch {
	case len(hosts) > 1, len(hosts) == 1 && !strings.EqualFold(hosts[0], r.Host):
		return "the field Host is not what :authority says"
	case !oneLength(r.Header["Content-Length"]):
		return "the content-length is no length"
	case !strings.HasPrefix(r.RequestURI, "/") && !(r.RequestURI == "*" && r.Method == http.MethodOptions) && r.Header[protocolField] == nil:
		return "the :path of a request begins with a slash"
	}
	return ""
}

// oneLength reports whether a field Content-Length, if there is one, is one
// number. The library takes what is none for 0.
func oneLength(values []string) bool {
	if len(values) == 0 {
		return true
	}
	return len(values) == 1 && values[0] != "" && strings.Trim(values[0], "0123456789") == ""
}

// drainMost returns how much of a refused body is read. A stream that ends while
// the client still sends is reset, and not all clients read an answer then:
// after HTTP/1.1 we linger, here all of it is read in the time that there is.
// Programs of gRPC do read it, and a stream of theirs may go on for ever.
func (x *exchange) drainMost() int64 {
	switch {
	case x.r.ProtoMajor != 2:
		return drainMax
	case x.m != nil && x.m.Endless:
		return 0
	}
	return lingerMax
}

// A flow writes to a stream whose client may not read. Its stream is reset when
// nothing was taken for too long: what is held for it is memory, and a call that
// is never over.
type flow struct {
	http.ResponseWriter
	stall time.Duration

	// mu lets who is late find the stream gone. It is not held while writing.
	mu    sync.Mutex
	timer *time.Timer
	over  bool // the stream is the library's again
}

// Unwrap is for http.ResponseController.
func (f *flow) Unwrap() http.ResponseWriter { return f.ResponseWriter }

// Write implements io.Writer. Each piece that the client takes gives it the time
// for one more.
func (f *flow) Write(b []byte) (n int, err error) {
	f.wait()
	defer f.timer.Stop()
	for {
		m, err := f.ResponseWriter.Write(b[n:min(len(b), n+h2Frame)])
		if n += m; err != nil || n == len(b) {
			return n, err
		}
		f.wait()
	}
}

// Flush implements http.Flusher.
func (f *flow) Flush() {
	f.wait()
	defer f.timer.Stop()
	f.ResponseWriter.(http.Flusher).Flush()
}

func (f *flow) wait() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.timer == nil {
		f.timer = time.AfterFunc(f.stall, f.late)
		return
	}
	f.timer.Reset(f.stall)
}

func (f *flow) late() { f.SetWriteDeadline(time.Unix(1, 0)) }

// SetReadDeadline bounds the reading of the request's body. Once it is over
// nothing more is read.
func (f *flow) SetReadDeadline(t time.Time) error {
	return f.hold(func(c *http.ResponseController) error { return c.SetReadDeadline(t) })
}

// SetWriteDeadline bounds the writing. Once it is over the stream is reset.
func (f *flow) SetWriteDeadline(t time.Time) error {
	return f.hold(func(c *http.ResponseController) error { return c.SetWriteDeadline(t) })
}

func (f *flow) hold(do func(*http.ResponseController) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		return nil
	}
	return do(http.NewResponseController(f.ResponseWriter))
}

// end gives the stream back. After it the library may use it for another.
func (f *flow) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = true
	if f.timer != nil {
		f.timer.Stop()
	}
}

// ended ends w if it is a stream.
func ended(w http.ResponseWriter) {
	if f, ok := w.(interface{ end() }); ok {
		f.end()
	}
}
