package proxy

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// lookEvery is how often, after a while, somebody looks whether a client that
// sends no more has left.
const lookEvery = time.Second

// A watch notices that a client goes away while it waits for its answer: there
// is nothing to read from it then, but its end. A byte of the next request may
// be read; it is given back.
type watch struct {
	c *conn

	// mu orders begin, look and end.
	mu     sync.Mutex
	body   *sentBody
	gone   func()
	timer  *time.Timer
	active bool
	over   chan struct{} // closed by end; nil if nobody read
	done   chan struct{} // closed when nobody reads any more; nil if nobody did
	got    int
	one    [1]byte
}

// begin watches for the time of one exchange. gone is called when the client is
// gone.
func (w *watch) begin(body *sentBody, gone func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.body, w.gone, w.active, w.over, w.done, w.got = body, gone, true, nil, nil, 0
	if w.timer == nil {
		w.timer = time.AfterFunc(watchAfter, w.look)
	} else {
		w.timer.Reset(watchAfter)
	}
}

// look begins to read, as soon as the body is read to its end.
func (w *watch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case !w.active || w.done != nil:
		return
	case !w.body.done():
		w.timer.Reset(watchAfter)
		return
	case w.c.r.Buffered() > 0:
		return // the next request is there already: the client is, too
	}
	w.over, w.done = make(chan struct{}), make(chan struct{})
	go w.read(w.over, w.done, w.gone)
}

// read reads until something is known.
func (w *watch) read(over, done chan struct{}, gone func()) {
	defer close(done)
	n, err := w.c.Conn.Read(w.one[:])
	w.got = n
	if n > 0 || err == nil {
		return
	}
	if err == io.EOF {
		err = w.c.silent(over)
	}
	w.mu.Lock()
	active := w.active
	late := errors.Is(err, os.ErrDeadlineExceeded)
	if late && active { // the deadline was for the body, or for an idle connection: it tells nothing of the client
		w.over, w.done = nil, nil
		w.timer.Reset(watchAfter)
	}
	w.mu.Unlock()
	if active && err != nil && !late {
		gone()
	}
}

// silent waits, when the client has said that it sends no more, until it is gone,
// and says so by an error. A client may say so and wait for its answer, as nc
// does. In TLS its connection shows which it is: who leaves ends that, too. In the
// clear who leaves looks the same; but the system of this machine knows of its own
// programs whether they hold the other end, and that of another machine resets
// what we write or probe.
func (c *conn) silent(over <-chan struct{}) error {
	if t, ok := c.Conn.(*tls.Conn); ok {
		n, err := t.NetConn().Read(make([]byte, 1))
		if n > 0 {
			return nil // against the protocol, and of no meaning
		}
		return err
	}
	nc, entry := c.Conn, c.entry
	if t, ok := nc.(*tunnel); ok {
		nc, entry = t.Conn, t.entry
	}
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return io.EOF
	}
	for wait := watchAfter; ; wait = min(2*wait, lookEvery) {
		if err := wasReset(tcp); err != nil {
			return err
		}
		if entry.orphaned(tcp) {
			return io.EOF
		}
		select {
		case <-over:
			return nil
		case <-time.After(wait):
		}
	}
}

// end ends the watch and leaves the connection to be read by others.
func (w *watch) end() {
	w.mu.Lock()
	if !w.active {
		w.mu.Unlock()
		return
	}
	w.active = false
	w.timer.Stop()
	done := w.done
	if done != nil {
		close(w.over)
	}
	w.mu.Unlock()
	if done == nil {
		return
	}
	w.c.SetReadDeadline(time.Unix(1, 0))
	<-done
	w.c.SetReadDeadline(time.Time{})
	if w.got > 0 {
		w.c.r.Unread(w.one[0])
	}
}
