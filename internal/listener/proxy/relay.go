package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"

	"outvet/call"
	"outvet/internal/forward"
	"outvet/internal/gate"
	"outvet/internal/payload"
)

// relay carries a raw connection. It is judged by its destination before
// anything is dialled, and what the client sends in windows. silent says that
// the client has sent nothing yet: should it still speak before the server,
// what it says decides what the tunnel is for, so that waiting is no way around
// inspection. relay then returns that.
func (t *tunnel) relay(silent bool) kind {
	t.idle.Store(false)
	t.arrival.begun()
	t.calls.Add(1)
	w := &watched{t: t}
	m := &payload.Message{Host: t.host, Body: w, Length: -1, Endless: true}
	c := t.call("tcp", "connect")
	p := t.s.Gate.Open(t.ctx, c, m)
	w.p = p
	r := &relay{t: t, p: p, m: m, silent: silent, next: kindRaw}
	switch {
	case p.Verdict != call.Allow: // what could tell it is not known: only the record does
	case t.s.loops(&c.Dest):
		r.out.Error = loopError
	default:
		r.run()
	}
	if r.next == kindRaw && (p.Verdict != call.Allow || r.out.Error != "") {
		t.refuse()
	}
	t.s.closed(p.Close(r.out))
	return r.next
}

// A relay is a raw connection under way.
type relay struct {
	t      *tunnel
	p      *gate.Passage
	m      *payload.Message
	up     net.Conn
	silent bool
	first  atomic.Int32 // who spoke first: 0 nobody yet
	next   kind
	out    call.Outcome
}

// spokeLate says that what was taken for a raw connection is none.
const spokeLate = "the client spoke late: what it sends is judged request by request"

// Who speaks first on a silent connection.
const (
	serverFirst = 1
	clientFirst = 2
)

func (r *relay) run() {
	up, addr, err := r.t.s.Upstream.Dial(r.t.ctx, r.t.host, r.t.port, r.p.Guard)
	if err != nil {
		r.out.Error = forward.Classify(err).Error()
		if refused, ok := errors.AsType[*forward.Refused](err); ok {
			r.p.Prohibited(refused)
		}
		return
	}
	defer up.Close()
	r.up = up
	r.out.Address, r.out.Via = reached(up, addr, r.t.port), forward.Via(up)
	if r.t.s.homeward(up) {
		r.out.Error = loopError
		return
	}
	defer context.AfterFunc(r.p.Context(), func() { // the call may not go on
		r.t.refuse()
		up.Close()
		r.t.Conn.Close()
	})()
	done := make(chan error, 1)
	go func() { done <- r.upward() }()
	err = r.downward()
	if err != nil {
		r.t.Conn.SetReadDeadline(time.Unix(1, 0)) // ends upward, leaves the tunnel usable
	} else {
		r.t.Conn.SetReadDeadline(time.Now().Add(idleTime)) // what the client still has to say
	}
	upErr := <-done
	r.t.Conn.SetReadDeadline(time.Time{})
	var stopped *gate.Stopped
	switch {
	case r.next != kindRaw:
		r.out.Error = spokeLate
	case errors.As(upErr, &stopped):
		r.out.Error = stopped.Error()
	case r.p.Stopped() != nil:
		r.out.Error = r.p.Stopped().Error()
	case upErr != nil && err != nil:
		r.out.Error = "the connection broke off"
	}
}

// upward copies what the client sends, as the gate lets it pass.
func (r *relay) upward() error {
	if r.silent {
		k := r.t.sniff(time.Time{}, func() bool { return r.first.Load() == serverFirst })
		if (k == kindTLS || k == kindHTTP) && r.first.CompareAndSwap(0, clientFirst) {
			r.next = k
			r.up.Close()
			return nil
		}
	}
	bp := r.t.s.buffers.Get().(*[]byte)
	defer r.t.s.buffers.Put(bp)
	_, err := io.CopyBuffer(struct{ io.Writer }{r.up}, r.m.Body, *bp)
	if err != nil {
		r.up.Close()
		return err
	}
	return closeWrite(r.up)
}

// downward copies what the server sends.
func (r *relay) downward() error {
	if r.silent {
		buf := make([]byte, 512)
		n, err := r.up.Read(buf)
		if n > 0 {
			if !r.first.CompareAndSwap(0, serverFirst) {
				return nil
			}
			r.out.Received = int64(n)
			if _, err := r.t.Conn.Write(buf[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			return r.ended(err)
		}
	}
	n, err := io.Copy(r.t.Conn, r.up)
	r.out.Received += n
	return r.ended(err)
}

// ended tells the client that the server sends no more.
func (r *relay) ended(err error) error {
	if r.first.Load() == clientFirst {
		return nil
	}
	if err != nil && err != io.EOF {
		return err
	}
	return closeWrite(r.t.Conn)
}
