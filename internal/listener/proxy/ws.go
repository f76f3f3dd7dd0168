package proxy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"strconv"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"outvet/internal/gate"
	"outvet/internal/payload/wsframe"
)

const (
	byeTime  = 2 * time.Second        // for a farewell to be taken
	cutTime  = 800 * time.Millisecond // the same where the call may not go on: within a second it is over
	endTime  = 10 * time.Second       // for one side to end after the other has
	wsBody   = 8 << 20                // bytes of a message, unless the gate has a limit
	wsRatio  = 200                    // of a compressed one, likewise
	textKeep = 64 << 10               // bytes of an inflated message that are kept for the next
)

// An upstream is the connection of a server that switched protocols.
type upstream interface {
	io.ReadWriteCloser
	CloseWrite() error
}

// A client is the connection of the program that speaks over a WebSocket, or
// its stream in one.
type client interface {
	io.ReadWriter
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// A talk is a WebSocket under way. Each message of the client is judged whole
// before a byte of it leaves; a control frame passes a message in whose midst
// it came. What the server says passes as it comes.
type talk struct {
	x    *exchange
	p    *gate.Passage
	conn client
	up   upstream
	over chan struct{} // closed when the server is not read any more
	away atomic.Bool   // the proxy is being shut down

	in    wsframe.Reader
	z     *wsframe.Inflater // nil if nothing may be compressed
	take  bool              // compressed messages of the client refer to those before
	plain bool              // one that was compressed was edited: from then on the server's window is not the client's
	text  []byte
	out   *bufio.Writer // to up
	head  []byte
	n     int  // messages
	bye   bool // the client sent a Close frame

	down // to the client
}

func newTalk(x *exchange, conn client, up upstream, deflate *wsframe.Params) *talk {
	w := &talk{x: x, p: x.p, conn: conn, up: up, over: make(chan struct{}), out: bufio.NewWriterSize(up, 4<<10)}
	w.in = wsframe.Reader{R: conn, Deflate: deflate != nil, Max: x.s.messageMax()}
	w.in.Grow = w.lend
	if deflate != nil {
		w.take = deflate.ClientTakeover
		w.z = &wsframe.Inflater{Takeover: w.take}
	}
	w.down.conn, w.down.walk.Deflate, w.down.told = conn, deflate != nil, make(chan struct{})
	return w
}

func (s *Server) messageMax() int64 {
	if n := s.Gate.Limits.Body; n > 0 {
		return n
	}
	return wsBody
}

func (s *Server) messageRatio() int {
	if n := s.Gate.Limits.Ratio; n > 0 {
		return n
	}
	return wsRatio
}

// goAway ends the talk for the sake of the proxy. It does not wait.
func (w *talk) goAway() {
	w.away.Store(true)
	w.hasten()
}

// hasten ends the talk soon, also if the server takes nothing.
func (w *talk) hasten() {
	w.interrupt()
	time.AfterFunc(cutTime, func() { w.up.Close() })
}

// interrupt ends the reading of the client.
func (w *talk) interrupt() { w.conn.SetReadDeadline(time.Unix(1, 0)) }

// run carries both directions until they are over.
func (w *talk) run() {
	var received int64
	var downErr error
	go func() {
		defer close(w.over)
		received, downErr = w.down.copy(w.up, &w.x.s.buffers)
		w.interrupt()
	}()
	defer context.AfterFunc(w.p.Context(), w.hasten)() // the call may not go on
	err := w.upward()
	w.end(err)
	w.up.Close()
	<-w.over
	w.x.out.Received = received
	if w.x.out.Error == "" {
		w.x.out.Error = w.broke(downErr)
	}
}

// broke says how the talk ended if not in order, when both directions are over.
func (w *talk) broke(downErr error) string {
	f, ok := errors.AsType[*wsframe.Fault](downErr)
	switch {
	case ok:
		return "the server broke the WebSocket protocol: " + f.Why
	case w.bye, w.down.closed():
		return ""
	case errors.Is(downErr, errGone):
		return "the client went away"
	}
	return "the server broke off the connection"
}

// end tells both sides why upward ended, as far as they do not know, and lets
// the server end too.
func (w *talk) end(err error) {
	var fault *wsframe.Fault
	stopped := w.p.Stopped() // by this message, or by what has changed since
	switch {
	case stopped != nil:
		w.x.out.Error = stopped.Error()
		reason, event := w.refusal(stopped)
		w.farewell(event, wsframe.Refused, reason, wsframe.GoingAway)
	case w.bye: // whatever it still said does not count
		w.up.CloseWrite()
		w.wait(endTime)
	case w.away.Load():
		w.x.out.Error = "the proxy was shut down"
		w.farewell(nil, wsframe.GoingAway, "outvet is shutting down", wsframe.GoingAway)
	case errors.As(err, &fault):
		w.x.out.Error = "the client broke the WebSocket protocol: " + fault.Why
		server := wsframe.GoingAway
		switch fault.Code {
		case wsframe.ProtocolError:
			server = wsframe.ProtocolError
		case wsframe.TooBig, wsframe.TryAgainLater:
			w.x.out.Error = "a message could not be inspected: " + fault.Why
		}
		w.farewell(nil, fault.Code, "outvet: "+fault.Why, server)
	case w.x.r.Context().Err() != nil: // its stream is reset; who is gone hears no more
		w.x.out.Error = "the client went away"
	case w.isOver(): // the server ended; the client may have said no more
		w.disown()
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		if !w.down.closed() {
			w.x.out.Error = "the client went away"
		}
		w.up.CloseWrite()
		w.wait(endTime)
	default:
		w.wait(byeTime) // what the server said before it took no more
		if w.isOver() {
			w.disown()
		}
	}
}

// disown ends the talk if the server, which is not read any more, broke the
// protocol.
func (w *talk) disown() {
	if f := w.down.fault; f != nil {
		w.farewell(nil, f.Code, "outvet: "+f.Why, f.Code)
	}
}

func (w *talk) isOver() bool {
	select {
	case <-w.over:
		return true
	default:
		return false
	}
}

// wait waits until the server has said all, or is cut off.
func (w *talk) wait(d time.Duration) {
	w.conn.SetWriteDeadline(time.Now().Add(d))
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-w.over:
	case <-t.C:
	}
}

// farewell ends the talk on both sides. Of what the client was saying, nothing
// reaches the server any more.
func (w *talk) farewell(event []byte, client int, reason string, server int) {
	cut := time.AfterFunc(byeTime, func() { w.up.Close() })
	defer cut.Stop()
	w.conn.SetWriteDeadline(time.Now().Add(byeTime))
	w.down.farewell(event, wsframe.AppendFrame(nil, wsframe.Close, wsframe.ClosePayload(client, reason)), w.over)
	if !w.bye && w.frame(wsframe.Header{Fin: true, Op: wsframe.Close}, wsframe.ClosePayload(server, "")) == nil {
		w.out.Flush()
	}
	w.up.CloseWrite()
	w.wait(byeTime)
}

// upward carries what the client says.
func (w *talk) upward() error {
	for {
		m, err := w.in.Next()
		if err != nil {
			return err
		}
		if w.bye {
			continue // after a Close frame nothing counts (RFC 6455 §5.5.1)
		}
		if m.Op.Control() {
			err = w.control(&m)
		} else {
			err = w.message(&m)
		}
		if err == nil {
			err = w.out.Flush()
		}
		if err != nil {
			return err
		}
		if !m.Op.Control() { // inside a message its beginning is held
			w.p.Repay()
		}
		if m.Op == wsframe.Close {
			w.bye = true
			w.conn.SetReadDeadline(time.Now().Add(endTime))
			if w.isOver() {
				w.interrupt()
			}
		}
	}
}

// lend takes memory for a message, as bodies do.
func (w *talk) lend(size int64) error {
	if !w.p.Lend(size) {
		return &wsframe.Fault{Code: wsframe.TryAgainLater, Why: "no memory is left to hold a message of this length"}
	}
	return nil
}

// message judges one message and sends it on.
func (w *talk) message(m *wsframe.Message) error {
	text := m.Payload
	if m.Compressed {
		var err error
		w.z.Grow = func(size int64) error { return w.lend(int64(len(m.Payload)) + size) }
		text, err = w.z.Append(w.text[:0], m.Payload, w.in.Max, w.x.s.messageRatio())
		if w.text = text; cap(text) > textKeep {
			w.text = nil
		}
		if err != nil {
			return err
		}
		if m.Op == wsframe.Text && !utf8.Valid(text) {
			return wsframe.NotText
		}
	}
	w.n++
	out, err := w.p.Frame("frame/"+strconv.Itoa(w.n), text)
	if err != nil {
		return err
	}
	edited := !bytes.Equal(out, text)
	if edited || m.Compressed && w.plain {
		w.plain = w.plain || m.Compressed && w.take
		return w.frame(wsframe.Header{Fin: true, Op: m.Op}, out)
	}
	from := 0
	for i, end := range m.Frames {
		h := wsframe.Header{Fin: i == len(m.Frames)-1}
		if i == 0 {
			h.Op, h.Compressed = m.Op, m.Compressed
		}
		if err := w.frame(h, m.Payload[from:end]); err != nil {
			return err
		}
		from = end
	}
	return nil
}

// control judges a control frame, whose payload is the client's too, and sends
// it on; what is edited, without a payload.
func (w *talk) control(m *wsframe.Message) error {
	said, rest := m.Payload, []byte(nil)
	if m.Op == wsframe.Close && len(said) > 0 {
		said, rest = said[2:], said[:2]
	}
	if len(said) > 0 {
		out, err := w.p.Frame("frame/control", said)
		if err != nil {
			return err
		}
		if !bytes.Equal(out, said) {
			m.Payload = rest
		}
	}
	return w.frame(wsframe.Header{Fin: true, Op: m.Op}, m.Payload)
}

// frame writes one frame to the server, masked by a new key: it masks b in
// place.
func (w *talk) frame(h wsframe.Header, b []byte) error {
	h.Masked, h.Length = true, int64(len(b))
	rand.Read(h.Key[:]) // does not fail
	w.head = h.Append(w.head[:0])
	wsframe.Mask(b, h.Key, 0)
	if _, err := w.out.Write(w.head); err != nil {
		return err
	}
	_, err := w.out.Write(b)
	w.x.out.Sent += int64(len(w.head) + len(b))
	return err
}
