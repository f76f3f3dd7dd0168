package forward

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"outvet/internal/http1"
)

const (
	// together is how much of a request leaves in one write, and how long a body
	// that is held may be to leave before its answer is read: the buffers of the
	// system take as much, also from a server that does not read.
	together = 64 << 10
	// interimMax bounds the 1xx answers to one request.
	interimMax = 100
	// lateWrite is for how long an answer that is complete waits for the rest of
	// its request before the connection is given up.
	lateWrite = 50 * time.Millisecond
)

var writeBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 8<<10); return &b }}

// writeKeep bounds the buffers that are kept, in bytes.
const writeKeep = together + 8<<10

// An h1Exchange is one request and its answer on a connection.
type h1Exchange struct {
	req   *http.Request
	trace *Trace
	c     *h1Conn
	out   *[]byte // head, and body as far as it goes with it
	head  int     // of out
	frame http1.Framing

	stop    func() bool   // ends the watch over the context
	wrote   chan struct{} // closed when a body written beside is over; nil if none is
	sent    atomic.Bool   // a byte reached the connection, or may do so just now
	wroteOK bool          // all of it did; read after wrote is closed
	refused error         // of the one write of a short request
	bodyErr atomic.Pointer[bodyFault]

	resp *http1.Response
	over bool
}

// A bodyFault says why the body of a request did not come to its end.
type bodyFault struct{ err error }

// An unsendable error says that a request cannot be written.
type unsendable struct{ err error }

func (e *unsendable) Error() string { return "invalid request: " + e.err.Error() }
func (e *unsendable) Unwrap() error { return e.err }

// prepare writes the head into memory.
func (x *h1Exchange) prepare() error {
	x.out = writeBuffers.Get().(*[]byte)
	x.frame = framing(x.req)
	return x.appendHead(target(x.req))
}

func (x *h1Exchange) appendHead(target string) error {
	host := x.req.Host
	if host == "" {
		host = x.req.URL.Host
	}
	b, err := http1.AppendRequest((*x.out)[:0], x.req.Method, target, host, announced(x.req), x.trace.Names, x.frame)
	if err != nil {
		x.release()
		return &unsendable{err}
	}
	*x.out, x.head = b, len(b)
	return nil
}

// announced returns the header with the names of the trailer, which a reader of
// the request has moved from it.
func announced(req *http.Request) http.Header {
	if len(req.Trailer) == 0 {
		return req.Header
	}
	h := maps.Clone(req.Header)
	h["Trailer"] = []string{strings.Join(slices.Sorted(maps.Keys(req.Trailer)), ", ")}
	return h
}

// target returns the target as it goes to the server.
func target(req *http.Request) string {
	if req.URL.Opaque != "" && req.URL.Opaque[0] != '/' && req.URL.Opaque != "*" {
		return "/" + req.URL.Opaque
	}
	return req.URL.RequestURI()
}

// framing says how the end of req's body is told.
func framing(req *http.Request) http1.Framing {
	switch {
	case req.Body == nil || req.Body == http.NoBody:
		switch {
		case req.Method == http.MethodPost, req.Method == http.MethodPut, req.Method == http.MethodPatch, req.Header["Content-Length"] != nil:
			return http1.Framing{Length: 0}
		}
		return http1.Framing{Length: -1}
	case req.ContentLength < 0 || len(req.Trailer) > 0, req.ContentLength == 0:
		return http1.Framing{Chunked: true}
	}
	return http1.Framing{Length: req.ContentLength}
}

func (x *h1Exchange) release() {
	if x.out == nil {
		return
	}
	if cap(*x.out) <= writeKeep {
		writeBuffers.Put(x.out)
	}
	x.out = nil
}

// run sends the request and returns the answer. After an error the connection
// is closed.
func (x *h1Exchange) run() (*http.Response, error) {
	ctx := x.req.Context()
	if x.c.proxy != nil { // the head was written for the server itself
		if err := x.appendProxied(); err != nil {
			x.c.Close()
			return nil, err
		}
	}
	x.stop = context.AfterFunc(ctx, x.c.abort)
	if err := x.send(); err != nil {
		x.end(false)
		return nil, err
	}
	if d := x.c.pool.f.opt.HeaderTimeout; d > 0 {
		x.c.SetReadDeadline(time.Now().Add(d))
	}
	resp, err := x.answer()
	switch {
	case err != nil:
	case ctx.Err() != nil:
		err = ctx.Err()
	default:
		err = x.cause(nil)
	}
	if err != nil {
		if x.refused != nil && err == io.EOF {
			err = x.refused
		}
		if x.c.pool.f.opt.HeaderTimeout > 0 && errors.Is(err, os.ErrDeadlineExceeded) {
			err = errHeaderTime
		}
		x.end(false)
		return nil, x.cause(err)
	}
	return resp, nil
}

// errHeaderTime is why an answer that does not begin is given up.
var errHeaderTime = errors.New("timeout awaiting response headers")

// appendProxied writes the head for an upstream proxy: the target is absolute,
// and the proxy may want credentials.
func (x *h1Exchange) appendProxied() error {
	if auth := x.c.proxy.AbsoluteForm(); auth != "" || x.req.Header["Proxy-Authorization"] != nil {
		h := x.req.Header.Clone()
		delete(h, "Proxy-Authorization") // the agent has no business with the proxy
		if auth != "" {
			h["Proxy-Authorization"] = []string{auth}
		}
		again := *x.req
		again.Header = h
		x.req = &again
	}
	t := target(x.req)
	if t == "*" { // RFC 9112 §3.2.4
		t = ""
	}
	return x.appendHead("http://" + x.req.URL.Host + t)
}

// send writes the request, or begins to: a body that is long, or that may be
// long in coming, goes beside the answer.
func (x *h1Exchange) send() error {
	body := x.req.Body
	if body == nil || body == http.NoBody {
		x.write()
		return nil
	}
	if n := x.frame.Length; x.trace.Held && !x.frame.Chunked && n <= together {
		defer body.Close()
		if err := x.appendBody(body, n); err != nil {
			x.release()
			return err
		}
		x.write()
		return nil
	}
	x.wrote = make(chan struct{})
	go func() {
		defer close(x.wrote)
		x.stream(body)
	}()
	return nil
}

// appendBody appends a body of n bytes to the head.
func (x *h1Exchange) appendBody(body io.Reader, n int64) error {
	b := *x.out
	if free := int64(cap(b) - len(b)); free < n {
		b = append(make([]byte, 0, int64(len(b))+n), b...)
	}
	to := b[len(b) : len(b)+int(n)]
	got, err := io.ReadFull(body, to)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = shortBody(n, int64(got))
	}
	*x.out = b[:len(b)+got]
	return err
}

func shortBody(n, got int64) error {
	return &unsendable{errors.New("ContentLength=" + strconv.FormatInt(n, 10) + " with Body length " + strconv.FormatInt(got, 10))}
}

// write writes what is gathered. A server that does not take all of it may have
// answered all the same, as one does to which the body is too large: what it
// said before it reset the connection can still be read.
func (x *h1Exchange) write() {
	x.refused = x.toWire(*x.out)
	x.wroteOK = x.refused == nil
	x.release()
}

// toWire writes b. While it does, and if the connection took any of it, the
// request counts as sent: what may have arrived is not repeated.
func (x *h1Exchange) toWire(b []byte) error {
	before := x.sent.Swap(true)
	n, err := x.c.Write(b)
	if n == 0 && !before {
		x.sent.Store(false)
	}
	return err
}

// stream writes head and body as the body comes. What the server does not take
// it may still answer.
func (x *h1Exchange) stream(body io.ReadCloser) {
	defer body.Close()
	defer x.release()
	bp := readBuffers.Get().(*[]byte)
	defer readBuffers.Put(bp)
	in := *bp
	out := (*x.out)[:x.head]
	left := x.frame.Length
	if !x.trace.Held { // the head must not wait for the body
		if !x.put(out) {
			return
		}
		out = out[:0]
	}
	for {
		n, err := body.Read(in)
		switch {
		case x.frame.Chunked:
			out = http1.AppendChunk(out, in[:n])
		case int64(n) > left:
			x.giveUp(shortBody(x.frame.Length, x.frame.Length-left+int64(n)))
			return
		default:
			out = append(out, in[:n]...)
			left -= int64(n)
		}
		if err == io.EOF {
			x.last(out, left)
			return
		}
		if len(out) > 0 && !x.put(out) {
			return
		}
		*x.out, out = out, out[:0]
		if err != nil {
			x.giveUp(err)
			return
		}
	}
}

// last ends the body.
func (x *h1Exchange) last(out []byte, left int64) {
	switch {
	case x.frame.Chunked:
		var err error
		if out, err = http1.AppendLastChunk(out, x.req.Trailer); err != nil {
			x.giveUp(&unsendable{err})
			return
		}
	case left > 0:
		x.giveUp(shortBody(x.frame.Length, x.frame.Length-left))
		return
	}
	x.wroteOK = len(out) == 0 || x.put(out)
}

// giveUp ends a request whose body does not come to its end: the server must
// not take it for whole.
func (x *h1Exchange) giveUp(err error) {
	x.bodyErr.Store(&bodyFault{err})
	x.c.abort()
}

// cause returns why the exchange failed with err: the body, if that was it.
func (x *h1Exchange) cause(err error) error {
	if f := x.bodyErr.Load(); f != nil {
		return f.err
	}
	return err
}

func (x *h1Exchange) put(b []byte) bool { return x.toWire(b) == nil }

var readBuffers = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// answer reads the answer's head, and 1xx answers before it.
func (x *h1Exchange) answer() (*http.Response, error) {
	for range interimMax {
		r, err := x.c.r.ReadResponse(x.req.Method, maxHead)
		if err != nil {
			return nil, err
		}
		if x.c.pool.f.opt.HeaderTimeout > 0 && (r.StatusCode >= 200 || r.StatusCode == http.StatusSwitchingProtocols) {
			x.c.SetReadDeadline(time.Time{}) // here, since another call may own the connection in a moment
		}
		switch s := r.StatusCode; {
		case s == http.StatusSwitchingProtocols && x.req.Header.Get("Upgrade") != "":
			x.resp = r
			if !x.stop() { // from now on its holder ends it in order
				return nil, x.req.Context().Err()
			}
			x.stop = func() bool { return false }
			r.Response.Request = x.req
			r.Response.Body = &upgraded{x: x}
			x.trace.Answered = r.Names
			return r.Response, nil
		case s == http.StatusSwitchingProtocols:
			return nil, errSwitched
		case s == http.StatusContinue:
		case s < 200:
			if x.trace.Informational != nil {
				if err := x.trace.Informational(s, r.Header); err != nil {
					return nil, err
				}
			}
		case x.c.proxy != nil && s == http.StatusProxyAuthRequired:
			return nil, x.c.proxy.refusal(r.Header)
		default:
			return x.final(r), nil
		}
	}
	return nil, errInterim
}

var (
	errSwitched = errors.New("the server switched protocols unasked")
	errInterim  = errors.New("too many 1xx answers")
)

func (x *h1Exchange) final(r *http1.Response) *http.Response {
	x.resp = r
	x.c.heed(r.Header)
	r.Response.Request = x.req
	x.trace.Answered = r.Names
	if r.Body == nil {
		x.end(true)
		return r.Response
	}
	r.Response.Body = &h1Body{x: x}
	return r.Response
}

// end ends the use of the connection. whole says that the answer was read to its
// end; then it may serve others.
func (x *h1Exchange) end(whole bool) {
	if x.over {
		return
	}
	x.over = true
	alive := x.stop() && whole && x.written() && (x.resp == nil || !x.resp.Close) && x.c.r.Buffered() == 0
	if !alive || x.req.Close {
		x.c.Close()
		return
	}
	x.c.r.Release()
	x.c.pool.put(x.c)
}

// written reports whether all of the request is sent, or is in a moment.
func (x *h1Exchange) written() bool {
	if x.wrote != nil {
		t := time.NewTimer(lateWrite)
		defer t.Stop()
		select {
		case <-x.wrote:
		case <-t.C:
			return false
		}
	}
	return x.wroteOK
}

// repeatable reports whether the request may go again after the connection,
// which served others before, failed with err: the server may have closed it
// without knowing of the request.
func (x *h1Exchange) repeatable(err error) bool {
	_, answered := errors.AsType[*http1.Error](err)
	if x.req.Context().Err() != nil || x.bodyErr.Load() != nil || answered ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errHeaderTime) || errors.Is(err, errInterim) || errors.Is(err, errSwitched) {
		return false
	}
	req := x.req
	empty := req.Body == nil || req.Body == http.NoBody
	if !empty && req.GetBody == nil {
		return false
	}
	return !x.sent.Load() || idempotent(req)
}

// idempotent reports whether req may be sent twice.
func idempotent(req *http.Request) bool {
	switch req.Method {
	case "GET", "HEAD", "OPTIONS", "TRACE":
		return true
	}
	return req.Header["Idempotency-Key"] != nil || req.Header["X-Idempotency-Key"] != nil
}

// An h1Body is the body of an answer. At its end it gives the connection back.
type h1Body struct{ x *h1Exchange }

// Read implements io.Reader.
func (b *h1Body) Read(p []byte) (int, error) {
	n, err := b.x.resp.Body.Read(p)
	if err == nil {
		return n, nil
	}
	ctx := b.x.req.Context()
	b.x.end(err == io.EOF && ctx.Err() == nil)
	if err != io.EOF {
		err = b.x.cause(err)
	}
	return n, given(ctx, err) // a server that sees the call given up may end its answer in good order
}

// Ready reports whether some of the body can be read without waiting.
func (b *h1Body) Ready() bool { return !b.x.over && b.x.resp.Body.Ready() }

// Close implements io.Closer.
func (b *h1Body) Close() error {
	b.x.end(b.x.resp.Body.Done())
	b.x.resp.Body.Close()
	return nil
}

// An upgraded is the connection after 101. It may be closed from anywhere.
type upgraded struct {
	x    *h1Exchange
	once sync.Once
}

func (u *upgraded) Read(p []byte) (int, error)  { return u.x.c.r.Read(p) }
func (u *upgraded) Write(p []byte) (int, error) { return u.x.c.Write(p) }
func (u *upgraded) Close() error                { u.once.Do(func() { u.x.end(false) }); return nil }

// CloseWrite says that no more is written.
func (u *upgraded) CloseWrite() error {
	if c, ok := u.x.c.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}

// say says what is wrong in words that quote nothing.
func (e *unsendable) say() string {
	if strings.HasPrefix(e.err.Error(), "ContentLength=") {
		return "the request's body is not as long as it says"
	}
	return "the request has a method, target, field or port that cannot be sent"
}
