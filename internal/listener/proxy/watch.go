package proxy

import (
	"sync"
	"time"
)

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
	done   chan struct{} // closed when nobody reads any more; nil if nobody did
	got    int
	one    [1]byte
}

// begin watches for the time of one exchange. gone is called when the client is
// gone.
func (w *watch) begin(body *sentBody, gone func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.body, w.gone, w.active, w.done, w.got = body, gone, true, nil, 0
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
	w.done = make(chan struct{})
	go w.read(w.done, w.gone)
}

func (w *watch) read(done chan struct{}, gone func()) {
	defer close(done)
	n, err := w.c.Conn.Read(w.one[:])
	w.got = n
	if n > 0 || err == nil {
		return
	}
	w.mu.Lock()
	active := w.active
	w.mu.Unlock()
	if active {
		gone()
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
