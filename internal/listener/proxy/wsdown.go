package proxy

import (
	"encoding/json"
	"errors"
	"io"
	"sync"

	"outvet/internal/answer"
	"outvet/internal/gate"
	"outvet/internal/payload/wsframe"
)

// A down is the way of a WebSocket to its client. What the server says passes
// as it comes; the frames are only followed, so that a farewell of ours can be
// put between them.
type down struct {
	conn  client
	fault *wsframe.Fault // of the server; read once the server is not read any more

	// mu guards the rest and orders what is written to conn.
	mu     sync.Mutex
	walk   wsframe.Walker
	event  []byte // to be told, where a message may begin
	last   []byte // frame that is to be the last
	told   chan struct{}
	silent bool // nothing is written any more
}

// copy passes what the server says until it ends. It returns how many bytes
// came, and the error of the client's connection or the server's fault.
func (d *down) copy(up io.Reader, buffers *sync.Pool) (int64, error) {
	bp := buffers.Get().(*[]byte)
	defer buffers.Put(bp)
	buf, n, all := *bp, 0, int64(0)
	for {
		m, err := up.Read(buf[n:])
		n, all = n+m, all+int64(m)
		used, bad := d.pass(buf[:n])
		if bad != nil {
			d.fault, _ = errors.AsType[*wsframe.Fault](bad)
			return all, bad
		}
		if n = copy(buf, buf[used:n]); err == io.EOF {
			return all, nil
		} else if err != nil {
			return all, err
		}
	}
}

var errGone = errors.New("proxy: the client went away")

// closed reports whether the server's Close frame was passed on.
func (d *down) closed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.walk.Closed()
}

// pass writes the frames in b on, as far as their headers are whole, and
// returns how much of b that was.
func (d *down) pass(b []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	var bad error
	for n < len(b) && !d.silent && !(d.last != nil && d.walk.Between()) && !(d.walk.Closed() && d.walk.Between()) {
		var m int
		if m, bad = d.walk.Next(b[n:]); m == 0 {
			break
		}
		n += m
	}
	if d.silent {
		return len(b), nil
	}
	if n > 0 {
		if _, err := d.conn.Write(b[:n]); err != nil {
			return n, errGone
		}
	}
	if d.bye() || d.walk.Closed() && d.walk.Between() {
		return len(b), nil
	}
	return n, bad
}

// farewell writes the last frames as soon as one may begin, unless the server's
// own Close frame was the last. It waits for that, until over is closed.
func (d *down) farewell(event, last []byte, over <-chan struct{}) {
	d.mu.Lock()
	d.event, d.last = event, last
	d.bye()
	d.mu.Unlock()
	select {
	case <-d.told:
	case <-over:
	}
}

// bye writes the farewell if there is one and it may be written. mu is held.
func (d *down) bye() bool {
	if d.last == nil || d.silent || !d.walk.Between() {
		return d.silent
	}
	d.silent = true
	if !d.walk.Closed() {
		var b []byte
		if !d.walk.Inside() {
			b = append(b, d.event...)
		}
		d.conn.Write(append(b, d.last...)) // who is gone reads nothing
	}
	close(d.told)
	return true
}

// refusal returns what the client is told of a message that was refused: the
// reason for its Close frame and, of a model API, the event of an error.
func (w *talk) refusal(s *gate.Stopped) (reason string, event []byte) {
	a := answer.For(w.x.r, nil, &s.Decision, w.x.c)
	if !modelAPI(w.x.r.URL.Path) {
		return a.Reason, nil
	}
	body := map[string]any{}
	if json.Unmarshal(a.Body, &body) != nil {
		return a.Reason, nil
	}
	body["type"], body["status"] = "error", a.Status
	text, err := json.Marshal(body)
	if err != nil {
		return a.Reason, nil
	}
	return a.Reason, wsframe.AppendFrame(nil, wsframe.Text, text)
}
