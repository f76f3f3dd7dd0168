package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"outvet/internal/http1"
)

const (
	headBody  = 64 << 10 // of a JSON body is kept for the answer, in bytes
	drainMax  = 1 << 20
	drainTime = time.Second
	bodyTime  = 5 * time.Minute // for a body, or its beginning, to be judged
)

// A body is what the client sends. It keeps the beginning of JSON, in which a
// refusal finds the ID that it must repeat.
type body struct {
	r      io.ReadCloser
	expect bool       // the client waits for 100 (Continue) before it sends
	turn   sync.Mutex // one reader at a time: the gate may still read when we drain

	// mu guards what follows. It is not held while reading: nobody who asks waits
	// for the client.
	mu    sync.Mutex
	keep  *sync.Pool // for begin; nil to keep nothing
	begin *[]byte
	any   bool // something was read
	end   bool // nothing is left
	err   error
}

// take takes the body of r over. It reports false if there is none.
func (b *body) take(r *http.Request, beginnings *sync.Pool) bool {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return false
	}
	b.r = r.Body
	if strings.Contains(r.Header.Get("Content-Type"), "json") {
		b.keep = beginnings
	}
	b.expect = r.Header.Get("Expect") != ""
	return true
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	b.turn.Lock()
	defer b.turn.Unlock()
	b.begun()
	n, err := b.r.Read(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.keep != nil && n > 0 {
		if b.begin == nil {
			b.begin = b.keep.Get().(*[]byte)
		}
		*b.begin = append(*b.begin, p[:min(n, headBody-len(*b.begin))]...)
	}
	b.end = b.end || err == io.EOF
	if err != nil && err != io.EOF && b.err == nil {
		b.err = err
	}
	return n, err
}

func (b *body) begun() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.any = true
}

// waits reports whether the client sends nothing before our word, which it did
// not get.
func (b *body) waits() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.expect && !b.any
}

// broken says what is wrong with the body itself, "" if nothing is known.
func (b *body) broken() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var network net.Error
	switch {
	case b.err == nil, errors.As(b.err, &network), errors.Is(b.err, io.ErrUnexpectedEOF), errors.Is(b.err, context.Canceled):
		return ""
	}
	if e, ok := errors.AsType[*http1.Error](b.err); ok {
		return "the body of the request is malformed: " + e.Why
	}
	return "the body of the request is malformed: " + ascii(b.err.Error(), 100)
}

// Close implements io.Closer.
func (b *body) Close() error { return b.r.Close() }

// head returns the beginning of a JSON body as far as it was read.
func (b *body) head() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.begin == nil {
		return nil
	}
	return *b.begin
}

// forget gives the memory of the beginning back. Whoever still reads keeps
// nothing any more.
func (b *body) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.begin != nil {
		*b.begin = (*b.begin)[:0]
		b.keep.Put(b.begin)
	}
	b.keep, b.begin = nil, nil
}

// hurry bounds the time in which the client must send what the gate waits
// for: what it holds is memory that others wait for. The zero time ends it.
func (x *exchange) hurry(until time.Time) {
	if x.m.Body == nil || x.m.Endless {
		return
	}
	if w, ok := x.w.(interface{ SetReadDeadline(time.Time) error }); ok {
		w.SetReadDeadline(until)
	}
}

// left reports whether the client may still be sending.
func (b *body) left() bool {
	if b.r == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.end
}

// drain reads what the client still sends, within bounds: a client that is
// not read from cannot read the answer. A client that waits for our word to
// send is not asked to.
func (x *exchange) drain() {
	b := &x.body
	if b.r == nil || b.waits() {
		return
	}
	http.NewResponseController(x.w).SetReadDeadline(time.Now().Add(drainTime))
	io.CopyN(io.Discard, b, x.drainMost())
}
