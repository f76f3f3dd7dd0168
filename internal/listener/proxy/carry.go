package proxy

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"outvet/internal/answer"
	"outvet/internal/forward"
)

// carry sends the request on as the gate left it, and its response back.
func (x *exchange) carry() {
	if res := x.send(); res != nil {
		defer func() {
			x.readNoMore()
			res.Body.Close()
		}()
		x.respond(res)
	}
}

// readNoMore ends the reading of a stream whose answer is complete: closing the
// answer waits for whoever reads, and what is written is sent after that. After
// HTTP/1.1 conn does it, and reads a short rest.
func (x *exchange) readNoMore() {
	if f, ok := x.w.(*flow); ok && x.body.left() {
		f.SetReadDeadline(time.Unix(1, 0))
	}
}

// send sends the request on and returns the response, or nil if the client has
// its answer already.
func (x *exchange) send() *http.Response {
	trace := &x.trace
	trace.Informational, trace.Held = x.informational, x.p.Held()
	if res, ok := x.w.(*response); ok {
		trace.Names = res.q.Names
	}
	out := x.r.WithContext(forward.WithTrace(x.p.Context(), trace))
	if err := x.prepare(out); err != nil {
		x.fail(*malformed(err.Error()))
		return nil
	}
	res, err := x.s.Upstream.RoundTrip(out, x.p.Guard, forward.ProtoOf(x.r))
	x.info.end()
	if a := trace.Address(); a.IsValid() {
		x.out.Address, x.out.Via = a.String(), trace.Via()
	}
	if err != nil {
		x.upstreamFailed(err)
		return nil
	}
	return res
}

// prepare makes out, a copy of the client's request, the one to be sent.
func (x *exchange) prepare(out *http.Request) error {
	u := *x.r.URL
	u.Fragment, u.RawFragment, u.User = "", "", nil
	if err := setTarget(&u, x.m.Target); err != nil {
		return err
	}
	out.URL, out.Host, out.RequestURI = &u, u.Host, ""
	out.Header, out.TransferEncoding, out.Close = x.m.Header, nil, false
	out.ContentLength, out.Body, out.GetBody = x.m.Length, nil, nil
	if x.ws != "" {
		out.Header = wsHeader(out.Header, x.ws)
	}
	if x.m.Body == nil {
		out.ContentLength, out.Trailer = 0, nil
		return nil
	}
	out.Body = readCloser(x.m.Body)
	if len(x.r.Trailer) > 0 { // a body of known length has no trailer in HTTP/1.1
		out.ContentLength, out.Trailer = -1, x.r.Trailer
		out.Body = &trailed{out.Body, x}
		return nil
	}
	out.GetBody = func() (io.ReadCloser, error) {
		if b, ok := x.p.Rewind(); ok {
			return b, nil
		}
		return nil, errNoRewind
	}
	return nil
}

var errNoRewind = errors.New("proxy: the body is sent already and not held")

func readCloser(r io.Reader) io.ReadCloser {
	if rc, ok := r.(io.ReadCloser); ok {
		return rc
	}
	return io.NopCloser(r)
}

// trailed is a body whose trailer is judged at its end.
type trailed struct {
	io.ReadCloser
	x *exchange
}

// Read implements io.Reader.
func (b *trailed) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != io.EOF {
		return n, err
	}
	for name, values := range b.x.r.Trailer {
		for i := range values {
			v, err := b.x.p.Frame("trailer/"+name, []byte(values[i]))
			if err != nil {
				return n, err
			}
			values[i] = string(v)
		}
	}
	return n, io.EOF
}

// An interim keeps 1xx answers, which come on another goroutine, from running
// into the final one.
type interim struct {
	mu   sync.Mutex // one answer at a time
	over bool
}

func (i *interim) end() {
	i.mu.Lock()
	i.over = true
	i.mu.Unlock()
}

// informational passes a 1xx answer on.
func (x *exchange) informational(status int, h http.Header) error {
	x.info.mu.Lock()
	defer x.info.mu.Unlock()
	if x.info.over || !x.r.ProtoAtLeast(1, 1) {
		return nil
	}
	hopByHop(h, false)
	answer.Strip(h)
	delete(h, "Alt-Svc")
	dst := x.w.Header()
	for k, v := range h {
		dst[k] = v
	}
	x.w.WriteHeader(status)
	clear(dst)
	return nil
}

// respond passes the response on.
func (x *exchange) respond(res *http.Response) {
	if res.StatusCode < 200 { // an upgrade that nobody asked for, or no status at all
		x.out.Error = "the server answered with status " + strconv.Itoa(res.StatusCode)
		x.fail(answer.Problem{Status: http.StatusBadGateway, Title: "Upstream connection failed",
			Detail: x.out.Error, Code: "http_protocol_error", Error: "http_protocol_error"})
		return
	}
	hopByHop(res.Header, false)
	answer.Strip(res.Header)
	delete(res.Header, "Alt-Svc")
	dst := x.w.Header()
	for k, v := range res.Header {
		dst[k] = v
	}
	if w, ok := x.w.(*response); ok {
		w.names, w.status = x.trace.Answered, res.Status
	} else {
		for _, k := range [...]string{"Date", "Content-Type", "Content-Length"} {
			if _, ok := dst[k]; !ok {
				dst[k] = nil // else net/http would add one
			}
		}
	}
	if n := len(x.p.Edits); n > 0 {
		dst["Outvet-Edits"] = []string{strconv.Itoa(n)}
		dst["Outvet-Call"] = []string{x.c.ID.Short()}
	}
	announced := announce(dst, res.Trailer)
	x.out.Status = res.StatusCode
	if f, ok := x.w.(interface{ EnableFullDuplex() error }); ok {
		f.EnableFullDuplex() // else a body still being sent would end the answer
	}
	x.w.WriteHeader(res.StatusCode)
	x.stream(res)
	trailer(dst, res.Trailer, announced)
}

// announce declares the trailer and returns how many fields it has.
func announce(dst, trailer http.Header) int {
	for k := range trailer {
		dst["Trailer"] = append(dst["Trailer"], k)
	}
	return len(trailer)
}

// trailer passes the trailer on, also what was not announced.
func trailer(dst, from http.Header, announced int) {
	answer.Strip(from)
	for k, v := range from {
		if len(from) != announced {
			k = http.TrailerPrefix + k
		}
		dst[k] = v
	}
}

// stream passes the body on as it comes.
func (x *exchange) stream(res *http.Response) {
	flush, _ := x.w.(http.Flusher)
	if flush == nil {
		flush = noFlush{}
	}
	ready := readiness(res.Body)
	if res.ContentLength != 0 && !ready() {
		flush.Flush() // the body may be long in coming
	}
	bp := x.s.buffers.Get().(*[]byte)
	defer x.s.buffers.Put(bp)
	for {
		n, err := res.Body.Read(*bp)
		if n > 0 {
			x.out.Received += int64(n)
			if _, err := x.w.Write((*bp)[:n]); err != nil {
				x.out.Error = "the client went away"
				panic(http.ErrAbortHandler)
			}
			if err == nil && x.out.Received != res.ContentLength && !ready() {
				flush.Flush()
			}
		}
		switch {
		case err == io.EOF:
			return
		case err != nil:
			x.broken(err, res)
			return
		}
	}
}

// readiness returns a function that reports whether more of the body is there to
// be read without waiting for it; what it cannot know is taken for no.
func readiness(body io.Reader) func() bool {
	if b, ok := body.(interface{ Ready() bool }); ok {
		return b.Ready
	}
	return func() bool { return false }
}

// broken ends an answer whose head is sent in a way that the client notices.
func (x *exchange) broken(err error, res *http.Response) {
	switch s := x.p.Stopped(); {
	case s != nil:
		x.out.Error = s.Error()
	case x.r.Context().Err() != nil:
		x.out.Error = "the client went away"
	default:
		x.out.Error = forward.Classify(err).Error()
	}
	if !x.closeGRPC(err, res) {
		panic(http.ErrAbortHandler)
	}
}

type noFlush struct{}

func (noFlush) Flush() {}
