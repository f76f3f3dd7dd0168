package gate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

// bodyDefault is the limit of a body that is held whole, in bytes.
const bodyDefault = 8 << 20

// A Memory bounds the bytes of bodies that are held at one time, over all
// calls. A call that finds it spent waits a while, and then has its body read in
// windows: back-pressure, not refusal.
type Memory struct {
	sem *semaphore.Weighted
	max int64
}

// NewMemory returns a Memory of max bytes.
func NewMemory(max int64) *Memory {
	return &Memory{semaphore.NewWeighted(max), max}
}

// take waits for n bytes, patience at most.
func (m *Memory) take(ctx context.Context, n int64, patience time.Duration) bool {
	if m.sem.TryAcquire(n) {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return n <= m.max && m.sem.Acquire(ctx, n) == nil
}

// A loan is the memory that one body has taken. It grows as bytes arrive, not
// as they are announced: what a client only announces costs nobody anything.
type loan struct {
	m *Memory
	n int64
}

// free is what a body may hold without a loan, in bytes.
const free = 64 << 10

// grow makes the loan one for size bytes. It reports false if there is no memory
// for so long that the body is better read in windows.
func (l *loan) grow(ctx context.Context, size int64, patience time.Duration) bool {
	more := size - free - l.n
	if l.m == nil || more <= 0 {
		return true
	}
	if !l.m.take(ctx, more, patience) {
		return false
	}
	l.n += more
	return true
}

func (l *loan) repay() {
	if l.n > 0 {
		l.m.sem.Release(l.n)
		l.n = 0
	}
}

func (p *Passage) bodyLimit() int64 {
	if p.g.Limits.Body > 0 {
		return p.g.Limits.Body
	}
	return bodyDefault
}

func (g *Gate) patience() time.Duration {
	if g.Patience > 0 {
		return g.Patience
	}
	return time.Second
}

// read reads the body up to the limit. rest is not nil if the body goes on, or
// may: whole is then its beginning.
func (p *Passage) read() (whole []byte, rest io.Reader, err error) {
	m, limit := p.m, p.bodyLimit()
	switch {
	case m.Body == nil:
		return nil, nil, nil
	case m.Endless || m.Length > limit:
		return nil, m.Body, nil
	case m.Length >= 0:
		return p.readKnown(m.Length)
	}
	return p.readPatiently(limit)
}

// readKnown reads a body of n bytes. Where memory is short it is read in windows.
func (p *Passage) readKnown(n int64) (whole []byte, rest io.Reader, err error) {
	p.loan.m = p.g.Memory
	whole = p.room(n)
	for int64(len(whole)) < n {
		if len(whole) == cap(whole) {
			size := min(2*int64(cap(whole)), n)
			if !p.loan.grow(p.ctx, size, p.g.patience()) {
				return whole, p.m.Body, nil
			}
			whole = append(make([]byte, 0, size), whole...)
		}
		got, err := io.ReadFull(p.m.Body, whole[len(whole):cap(whole)])
		whole = whole[:len(whole)+got]
		if err != nil {
			return nil, nil, fmt.Errorf("body ends after %d of %d bytes: %w", len(whole), n, err)
		}
	}
	return whole, nil, nil
}

// rooms are buffers for bodies of free bytes at most, by size: small ones must not
// cost the memory of large ones while models think.
var rooms = [...]struct {
	size int64
	pool *sync.Pool
}{{8 << 10, &sync.Pool{}}, {free, &sync.Pool{}}}

// room returns the memory for the beginning of a body of n bytes. The call gives
// it back when it is closed.
func (p *Passage) room(n int64) []byte {
	if n > free {
		return make([]byte, 0, free)
	}
	for i := range rooms {
		r := &rooms[i]
		if n > r.size {
			continue
		}
		b, ok := r.pool.Get().(*[]byte)
		if !ok {
			fresh := make([]byte, 0, r.size)
			b = &fresh
		}
		p.lent = lent{b, r.pool}
		break
	}
	return (*p.lent.b)[:0:n]
}

// A lent is memory of a pool.
type lent struct {
	b    *[]byte
	pool *sync.Pool
}

func (l *lent) giveBack() {
	if l.b != nil {
		l.pool.Put(l.b)
		*l = lent{}
	}
}

// readPatiently reads a body of unknown length until it ends, reaches limit,
// or pauses: its sender may then be waiting for an answer to what it sent.
func (p *Passage) readPatiently(limit int64) (whole []byte, rest io.Reader, err error) {
	p.loan.m = p.g.Memory
	src := newChunks(p.ctx, p.m.Body)
	pause := time.NewTimer(p.g.patience())
	defer pause.Stop()
	for int64(len(whole)) <= limit {
		select {
		case c, ok := <-src.c:
			if !ok {
				return nil, nil, context.Cause(p.ctx)
			}
			whole = append(whole, c.b...)
			if c.err == io.EOF {
				return nonNil(whole), nil, nil
			}
			if c.err != nil {
				return nil, nil, fmt.Errorf("body ends after %d bytes: %w", len(whole), c.err)
			}
			if !p.loan.grow(p.ctx, int64(cap(whole)), p.g.patience()) {
				return whole, src, nil
			}
			pause.Reset(p.g.patience())
		case <-pause.C:
			return whole, src, nil
		}
	}
	return whole, src, nil
}

func nonNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// A chunk is what one Read gave.
type chunk struct {
	b   []byte
	err error
}

// chunks reads ahead by one chunk, so that its reader can stop waiting without
// losing what comes. Its goroutine ends with the source or the call.
type chunks struct {
	ctx  context.Context
	c    chan chunk // closed when no more will come
	left []byte
	err  error
}

func newChunks(ctx context.Context, r io.Reader) *chunks {
	s := &chunks{ctx: ctx, c: make(chan chunk)}
	go func() {
		defer close(s.c)
		for {
			b := make([]byte, 32<<10)
			n, err := r.Read(b)
			select {
			case s.c <- chunk{b[:n], err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return s
}

// Read implements io.Reader. It ends with the call, also while the source does
// not.
func (s *chunks) Read(b []byte) (int, error) {
	for len(s.left) == 0 {
		if s.err != nil {
			return 0, s.err
		}
		select {
		case c, ok := <-s.c:
			if !ok {
				c.err = context.Cause(s.ctx)
			}
			s.left, s.err = c.b, c.err
		case <-s.ctx.Done():
			s.err = context.Cause(s.ctx)
		}
	}
	n := copy(b, s.left)
	s.left = s.left[n:]
	return n, nil
}

// A body is what leaves. It counts and digests what is read from it.
type body struct {
	// mu lets the call be closed while the transport still reads.
	mu   sync.Mutex
	r    io.Reader
	held bool // r is in memory, which is used for other calls once this one is closed
	n    int64
	h    hash.Hash
}

// hold makes b the body of the message.
func (p *Passage) hold(b []byte) {
	if p.body != nil {
		p.body.sum() // an earlier try is over
	}
	p.whole = b
	p.pass(bytes.NewReader(b))
	p.body.held = true
	p.m.Length = int64(len(b))
}

// pass makes r the body of the message.
func (p *Passage) pass(r io.Reader) {
	if r == nil {
		return
	}
	p.body = &body{r: r, h: sha256.New()}
	p.m.Body = p.body
}

var errClosed = errors.New("gate: the call is over")

// Read implements io.Reader.
func (b *body) Read(buf []byte) (int, error) {
	b.mu.Lock()
	r := b.r
	switch {
	case r == nil:
		b.mu.Unlock()
		return 0, errClosed
	case b.held:
		defer b.mu.Unlock()
		n, err := r.Read(buf)
		b.n += int64(n)
		b.h.Write(buf[:n])
		return n, err
	}
	b.mu.Unlock()
	n, err := r.Read(buf) // not under the lock: it may wait for the client
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.r == nil {
		return 0, errClosed // what is read after the record was closed does not leave
	}
	b.n += int64(n)
	b.h.Write(buf[:n])
	return n, err
}

// Close implements io.Closer. The gate closes the message, not the transport.
func (b *body) Close() error { return nil }

// sum ends the body and returns how much of it was read and its SHA-256.
func (b *body) sum() (int64, []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.r = nil
	if b.n == 0 {
		return 0, nil
	}
	return b.n, b.h.Sum(nil)
}
