package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"outvet/call"
	"outvet/internal/forward"
	"outvet/internal/gate"
	"outvet/internal/synthetic"
)

// Bounds of a server.
const (
	workMax   = 256 // questions under way that were not asked before
	connsMax  = 256 // over TCP
	connIdle  = 10 * time.Second
	breakTime = 5 * time.Second // for questions to end once they are broken off
	packetMax = 4096
)

// An Upstream asks for what policy admitted. *forward.Forwarder is one.
type Upstream interface {
	Ask(ctx context.Context, name string, kind dnsmessage.Type) (*forward.Found, error)
	Resolve(ctx context.Context, host string, g *call.Guard) ([]netip.Addr, time.Duration, error)
}

// A Server answers queries. Its exported fields are set before use and not
// changed after.
type Server struct {
	Gate     *gate.Gate
	Upstream Upstream
	Names    *synthetic.Table                // of a sandbox; nil where real addresses are told
	Caller   func(peer net.Addr) call.Caller // says who asks; nil for the peer's address as its session
	Grade    call.Grade                      // of the path; "" for cooperative
	Rate     int                             // questions a second of one session that need a decision; 500
	Logger   *slog.Logger                    // for operators; nil for none

	once    sync.Once
	ctx     context.Context // of all questions
	cancel  context.CancelFunc
	work    chan struct{}
	conns   chan struct{}
	windows windows
	shares  shares
	dropped atomic.Int64

	// mu guards what Shutdown closes.
	mu      sync.Mutex
	open    map[io.Closer]struct{}
	closing bool
	under   sync.WaitGroup
}

func (s *Server) setUp() {
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.work, s.conns = make(chan struct{}, workMax), make(chan struct{}, connsMax)
	s.open = map[io.Closer]struct{}{}
	if s.Grade == "" {
		s.Grade = call.Cooperative
	}
	if s.Rate <= 0 {
		s.Rate = rateDefault
	}
	if s.Caller == nil {
		s.Caller = byAddress
	}
}

// byAddress takes the peer's address for the session, as the proxy does.
func byAddress(peer net.Addr) call.Caller {
	host := peer.String()
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return call.Caller{Session: call.SessionID(host), SessionMark: call.Observed}
}

// enter notes c as open. It reports false when the server ends.
func (s *Server) enter(c io.Closer) bool {
	s.once.Do(s.setUp)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.open[c] = struct{}{}
	s.under.Add(1)
	return true
}

func (s *Server) leave(c io.Closer) {
	s.mu.Lock()
	delete(s.open, c)
	s.mu.Unlock()
	s.under.Done()
}

// Serve answers what comes over pc until that is closed or the server shut down,
// which is no error. The address that ReadFrom returns is given to WriteTo as it
// is: a socket that is asked under many addresses replies from the right one by
// what it puts into its own kind of net.Addr.
func (s *Server) Serve(pc net.PacketConn) error {
	if !s.enter(pc) {
		pc.Close()
		return nil
	}
	defer s.leave(pc)
	buf, name := make([]byte, packetMax), make([]byte, 0, 4*nameMax)
	for {
		n, from, err := pc.ReadFrom(buf)
		if err != nil {
			var late net.Error
			switch {
			case errors.Is(err, net.ErrClosed), s.isClosing():
				return nil
			case errors.As(err, &late) && late.Timeout(), from != nil: // one packet was bad
				continue
			}
			return err
		}
		s.packet(pc, buf[:n], name, from)
	}
}

// packet answers one packet: at once what was answered before, else on a
// goroutine of its own.
func (s *Server) packet(pc net.PacketConn, b, name []byte, from net.Addr) {
	q, code, err := parse(b, name)
	if err != nil {
		return
	}
	if code != noError {
		pc.WriteTo(begin(&q, code, q.size).finish(code, 0, ""), from)
		return
	}
	who := s.Caller(from)
	if msg := s.atOnce(&q, &who); msg != nil {
		pc.WriteTo(msg, from)
		return
	}
	if !s.may(&who) {
		return
	}
	select {
	case s.work <- struct{}{}:
	default:
		s.shares.give(sharer(&who))
		s.drop("questions under way")
		return
	}
	q.raw = append([]byte(nil), q.raw...)
	s.under.Add(1)
	go func() {
		defer s.under.Done()
		defer func() { <-s.work; s.shares.give(sharer(&who)) }()
		if msg := s.decide(&q, &who); msg != nil {
			pc.WriteTo(msg, from)
		}
	}()
}

// ServeConn answers what comes over c, a connection of TCP, one question after
// the other, and closes it.
func (s *Server) ServeConn(c net.Conn) {
	defer c.Close()
	if !s.enter(c) {
		return
	}
	defer s.leave(c)
	select {
	case s.conns <- struct{}{}:
		defer func() { <-s.conns }()
	default:
		s.drop("connections")
		return
	}
	who := s.Caller(c.RemoteAddr())
	if !s.shares.take(sharer(&who), 0, time.Now()) {
		s.drop("connections of one session")
		return
	}
	defer s.shares.give(sharer(&who))
	var size [2]byte
	name := make([]byte, 0, 4*nameMax)
	for {
		c.SetDeadline(time.Now().Add(connIdle))
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		b := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(c, b); err != nil {
			return
		}
		msg := s.message(b, name, &who)
		if msg == nil {
			return
		}
		c.SetDeadline(time.Now().Add(connIdle))
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(msg))), msg...)); err != nil {
			return
		}
	}
}

// message answers one message of TCP, nil for none.
func (s *Server) message(b, name []byte, who *call.Caller) []byte {
	q, code, err := parse(b, name)
	if err != nil {
		return nil
	}
	q.size = 0 // no bound
	if code != noError {
		return begin(&q, code, s.room(&q)).finish(code, 0, "")
	}
	if msg := s.atOnce(&q, who); msg != nil {
		return msg
	}
	if !s.may(who) {
		return nil
	}
	defer s.shares.give(sharer(who))
	return s.decide(&q, who)
}

// room returns how long an answer to q may be.
func (s *Server) room(q *question) int {
	if q.size == 0 {
		return 64<<10 - 1
	}
	return q.size
}

// Shutdown closes what Serve and ServeConn have, waits until the questions under
// way are answered, and closes the calls that stand for repetitions. When ctx
// ends first it breaks the questions off and returns its error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.once.Do(s.setUp)
	s.mu.Lock()
	s.closing = true
	all := make([]io.Closer, 0, len(s.open))
	for c := range s.open {
		all = append(all, c)
		if d, ok := c.(interface{ SetReadDeadline(time.Time) error }); ok && d.SetReadDeadline(time.Unix(1, 0)) == nil {
			continue // what is being answered can still be written
		}
		c.Close()
	}
	s.mu.Unlock()
	over := make(chan struct{})
	go func() { s.under.Wait(); close(over) }()
	var err error
	select {
	case <-over:
	case <-ctx.Done():
		err = ctx.Err()
		s.cancel()
		select {
		case <-over:
		case <-time.After(breakTime):
		}
	}
	s.cancel()
	for _, c := range all {
		c.Close()
	}
	s.windows.close()
	return err
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// drop tells operators, now and then, that questions were dropped.
func (s *Server) drop(bound string) {
	if n := s.dropped.Add(1); n&(n-1) == 0 && s.Logger != nil { // the first, the second, the fourth, …
		s.Logger.Warn("questions of DNS were dropped", "bound", bound, "dropped", n)
	}
}

// Dropped returns how many questions went beyond a bound and got no answer.
func (s *Server) Dropped() int64 { return s.dropped.Load() }
