package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"outvet/internal/answer"
	"outvet/internal/http1"
)

const (
	// watchAfter is how long an answer may be in coming before somebody looks
	// whether the client is still there.
	watchAfter = 100 * time.Millisecond
	// stallTime is for how long a client may take nothing of its answer.
	stallTime = 5 * time.Minute
	// restMax is how much of a body that nobody wants any more is read for the
	// sake of the next request, in bytes.
	restMax = 256 << 10
)

// A conn is a client's connection on which HTTP/1.1 is spoken: to the proxy
// itself, or inside a tunnel. One goroutine serves it.
type conn struct {
	net.Conn
	s       *Server
	t       *tunnel // it comes through; nil to the proxy itself
	tunnel  *tunnel // it became
	r       http1.Reader
	ctx     context.Context
	cancel  context.CancelFunc // the client is gone
	peer    string
	idle    atomic.Bool // between requests
	begun   bool        // a request came
	arrival *arrival    // nil within a tunnel
	entry   *Entry      // by which it came; nil for the proxy's own port, and within a tunnel
	taken   bool        // over by somebody else
	until   time.Time   // of the write deadline

	watch watch
}

func (s *Server) newConn(ctx context.Context, nc net.Conn, t *tunnel) *conn {
	c := &conn{Conn: nc, s: s, t: t, peer: nc.RemoteAddr().String()}
	c.ctx, c.cancel = context.WithCancel(ctx)
	c.r.Src = nc
	c.watch.c = c
	return c
}

// serve serves one request after the other. When it returns the connection is
// closed or taken over.
func (c *conn) serve() {
	defer c.cancel()
	c.idle.Store(true)
	if c.s.admit(c) {
		defer c.s.dismiss(c)
		for c.next() {
		}
	}
	if !c.taken {
		c.r.Take() // its buffer serves others
		c.Conn.Close()
	}
}

// next serves the next request. It reports whether another may follow.
func (c *conn) next() bool {
	c.SetReadDeadline(time.Now().Add(c.s.IdleTime))
	if c.s.isClosing() || c.r.Wait() != nil { // Shutdown sets a deadline, too
		return false
	}
	c.idle.Store(false)
	if c.t == nil && !c.begun && speaksSOCKS(c.r.Ahead()) {
		nc, ahead := c.takeOver()
		if c.tunnel = c.s.socks(nc, ahead, c.entry); c.tunnel != nil {
			c.tunnel.arrival = c.arrival
		}
		return false
	}
	c.begun = true
	if c.t != nil {
		c.t.asked.Store(true)
	}
	c.SetReadDeadline(time.Now().Add(c.s.HeadTime))
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	q, err := c.r.ReadRequest(ctx, headMax)
	if err != nil {
		c.malformed(err)
		return false
	}
	c.SetReadDeadline(time.Time{})
	q.RemoteAddr = c.peer
	again := c.exchange(q, cancel)
	c.r.OnRead = nil
	c.idle.Store(true)
	return again && !c.s.isClosing()
}

// exchange serves q and reports whether the connection can be used again.
func (c *conn) exchange(q *http1.Request, cancel func()) (again bool) {
	w := &response{c: c, q: q, left: -1}
	body := &sentBody{c: c, b: q.Body, gone: cancel}
	if q.Body != nil {
		q.Request.Body = body
		c.expect(q, w)
	}
	c.watch.begin(body, cancel)
	defer func() {
		switch v := recover(); {
		case v != nil: // the answer cannot be completed, and must not seem so
			c.watch.end()
			c.abort()
			c.taken = true
		case c.taken:
		default:
			again = w.finish() == nil && !w.closing
			c.watch.end()
			left := !body.finish() || w.closing && c.r.Buffered() > 0 // or the next request is under way
			if left && !w.broken {
				c.taken, again = true, false
				(&closing{c.Conn, true}).close()
			}
		}
		w.release()
	}()
	if c.t == nil {
		c.s.outer(w, q.Request)
	} else {
		c.s.serve(w, q.Request, c.t)
	}
	return
}

// expect lets a client that waits for 100 (Continue) send its body once somebody
// reads it.
func (c *conn) expect(q *http1.Request, w *response) {
	if len(q.Header["Expect"]) == 0 || q.ProtoMinor == 0 || c.r.Buffered() > 0 {
		return
	}
	c.r.OnRead = func() {
		c.r.OnRead = nil
		w.proceed()
	}
}

// malformed answers what is no request, within bounds, and notes it.
func (c *conn) malformed(err error) {
	e, ok := errors.AsType[*http1.Error](err)
	switch {
	case ok:
	case errors.Is(err, os.ErrDeadlineExceeded) && c.r.Buffered() > 0:
		e = &http1.Error{Status: http.StatusRequestTimeout, Why: "the head of the request did not come in time"}
	default:
		return
	}
	if c.t != nil {
		c.t.misspoke("the client sent what is no request: " + e.Why)
	}
	p := malformed(ascii(e.Say(), 200))
	p.Status = e.Status
	q := &http1.Request{Request: (&http.Request{Header: http.Header{}, ProtoMajor: 1, ProtoMinor: 1}).WithContext(c.ctx)}
	q.Close = true
	w := &response{c: c, q: q, left: -1}
	c.s.say(w, q.Request, answer.Fault(q.Request, nil, *p, nil), true).close()
	w.release()
}

// abort closes the connection so that the client cannot take a cut answer for a
// whole one: without the farewell of TLS, or with a reset.
func (c *conn) abort() {
	nc := c.Conn
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	if t, ok := nc.(*tunnel); ok {
		reset(t.Conn)
	} else {
		reset(nc)
	}
	nc.Close()
}

func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
}

// Write implements io.Writer. A client that takes nothing for too long is gone.
func (c *conn) Write(b []byte) (int, error) {
	if now := time.Now(); c.until.Sub(now) < c.s.StallTime/2 {
		c.until = now.Add(c.s.StallTime)
		c.SetWriteDeadline(c.until)
	}
	return c.Conn.Write(b)
}

// takeOver gives the connection away, with what was read ahead.
func (c *conn) takeOver() (net.Conn, []byte) {
	c.taken = true
	c.watch.end()
	ahead := c.r.Take()
	c.Conn.SetDeadline(time.Time{})
	return c.Conn, ahead
}

// A sentBody is a request's body. It can be ended while somebody reads it.
type sentBody struct {
	c *conn
	// mu is held while b is read.
	mu   sync.Mutex
	b    *http1.Body // nil for none
	over bool
	gone func() // called when the connection ends before the body
}

// Read implements io.Reader.
func (s *sentBody) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := s.b.Read(p)
	if err != nil && err != io.EOF && !errors.Is(err, os.ErrDeadlineExceeded) {
		if _, ok := errors.AsType[*http1.Error](err); !ok {
			s.gone()
		}
	}
	return n, err
}

// Close implements io.Closer. The connection decides when the body is over.
func (s *sentBody) Close() error { return nil }

// done reports whether nothing of the body is left, and nobody reads it.
func (s *sentBody) done() bool {
	if s.b == nil {
		return true
	}
	if !s.mu.TryLock() {
		return false
	}
	defer s.mu.Unlock()
	return s.b.Done()
}

// finish ends the body. It reports whether nothing of it is left on the
// connection: a short rest is read.
func (s *sentBody) finish() bool {
	if s.b == nil {
		return true
	}
	if !s.mu.TryLock() {
		s.c.SetReadDeadline(time.Unix(1, 0)) // who reads must stop
		s.mu.Lock()
	}
	defer s.mu.Unlock()
	s.over = true
	if s.b.Done() {
		return true
	}
	if s.c.r.OnRead != nil { // the client waits for a word that does not come any more
		return false
	}
	s.c.SetReadDeadline(time.Now().Add(drainTime))
	io.CopyN(io.Discard, s.b, restMax)
	return s.b.Done()
}
