package proxy

import (
	"context"
	"crypto/tls"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"outvet/call"
	"outvet/internal/forward"
	"outvet/internal/gate"
)

// Bounds of a connection.
const (
	headMax    = 64 << 10 // bytes of a request's head
	headTime   = 30 * time.Second
	idleTime   = 5 * time.Minute
	helloTime  = 30 * time.Second // of a TLS handshake
	peekTime   = 250 * time.Millisecond
	greetTime  = 20 * time.Millisecond // where servers speak first
	breakTime  = 5 * time.Second       // for calls to end once their connections are closed
	bufferSize = 32 << 10
)

// An Upstream carries admitted calls on. *forward.Forwarder is one.
type Upstream interface {
	RoundTrip(req *http.Request, g *call.Guard, proto forward.Proto) (*http.Response, error)
	Dial(ctx context.Context, host string, port uint16, g *call.Guard) (net.Conn, netip.Addr, error)
}

// An Authority makes the certificates that clients see. *ca.Authority is one.
type Authority interface {
	Leaf(host string) (*tls.Certificate, error)
}

// A Server is the proxy. Its exported fields are set before Serve and not
// changed after.
type Server struct {
	Gate      *gate.Gate
	Upstream  Upstream
	Authority Authority
	Logger    *slog.Logger  // for operators; nil for none
	Peek      time.Duration // how long a tunnel may be silent before it is a raw connection; 250 ms
	MaxConns  int           // clients' connections at a time; 16,384
	HeadTime  time.Duration // for the head of a request; 30 s
	IdleTime  time.Duration // between requests; 5 min
	StallTime time.Duration // for which a client may take nothing of its answer; 5 min
	Identify  bool          // who does not name a session is asked to

	// Cure says what makes a program of that name trust our authority; nil if
	// nobody knows.
	Cure func(program string) string
	// Witness returns who knows what made a connection to the proxy, nil for
	// nobody. It begins to find out and does not wait.
	Witness func(net.Conn) call.Witness

	start   sync.Once
	inside  *http.Server  // HTTP/2 within tunnels
	tunnels *queue        // of those, to inside
	slots   chan struct{} // one taken for each connection
	deaf    chan struct{} // closed by Shutdown: nobody is accepted any more
	ending  chan struct{} // closed by Shutdown a little later
	fresh   atomic.Int64  // arrivals in which nothing has begun yet
	tls     *tls.Config
	log     *slog.Logger
	buffers sync.Pool // of *[]byte, bufferSize
	// beginnings are of *[]byte, empty, headBody at most
	beginnings sync.Pool
	distrust   memory // who was recorded for it
	trust      memory // who made calls in TLS
	told       memory // what operators were told

	// mu guards what Serve and tunnels add and Shutdown takes.
	mu        sync.Mutex
	listeners []net.Listener
	accepting sync.WaitGroup // calls of Serve
	own       []netip.AddrPort
	conns     map[*conn]struct{} // that speak HTTP/1.1
	live      map[*tunnel]struct{}
	talks     map[*talk]struct{} // WebSockets
	closing   bool
	open      int           // tunnels and requests that are not over
	over      chan struct{} // closed when none is open and none will be
}

func (s *Server) setUp() {
	s.log = s.Logger
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.Peek == 0 {
		s.Peek = peekTime
	}
	s.buffers.New = func() any { b := make([]byte, bufferSize); return &b }
	s.beginnings.New = func() any { b := make([]byte, 0, 4<<10); return &b }
	if s.MaxConns <= 0 {
		s.MaxConns = connsDefault
	}
	for _, d := range []struct {
		set *time.Duration
		def time.Duration
	}{{&s.HeadTime, headTime}, {&s.IdleTime, idleTime}, {&s.StallTime, stallTime}} {
		if *d.set <= 0 {
			*d.set = d.def
		}
	}
	s.slots, s.ending, s.deaf = make(chan struct{}, s.MaxConns), make(chan struct{}), make(chan struct{})
	s.conns = map[*conn]struct{}{}
	s.live = map[*tunnel]struct{}{}
	s.talks = map[*talk]struct{}{}
	s.over = make(chan struct{})
	s.tunnels = newQueue()
	s.tls = &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: s.certificate, GetConfigForClient: s.forOldHTTP,
	}
	s.inside = &http.Server{
		Handler: http.HandlerFunc(s.inner), Protocols: new(http.Protocols), ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		ReadHeaderTimeout: s.HeadTime, IdleTimeout: s.IdleTime, MaxHeaderBytes: headMax,
	}
	s.inside.Protocols.SetHTTP2(true)
	s.inside.Protocols.SetUnencryptedHTTP2(true)
	s.inside.HTTP2 = s.h2Bounds()
	s.inside.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, tunnelKey{}, tunnelOf(c))
	}
	s.inside.ConnState = func(c net.Conn, st http.ConnState) {
		if st == http.StateActive {
			tunnelOf(c).asked.Store(true)
		}
	}
	go s.inside.Serve(s.tunnels)
}

// Shutdown stops to accept, waits until the calls under way are over, and
// returns nil; when ctx ends first it breaks them off and returns its error.
// Every call has its closed record when it returns.
func (s *Server) Shutdown(ctx context.Context) error {
	s.start.Do(s.setUp)
	s.hearOut(ctx)
	s.mu.Lock()
	was := s.closing
	if s.closing = true; !was {
		close(s.ending)
	}
	for c := range s.conns {
		if c.idle.Load() {
			c.SetReadDeadline(time.Unix(1, 0)) // it then closes by itself
		}
	}
	for t := range s.live {
		if t.idle.Load() {
			t.Conn.Close() // nothing was asked yet
		}
	}
	for w := range s.talks {
		w.goAway() // it would not end by itself
	}
	if !was && s.open == 0 {
		close(s.over)
	}
	s.mu.Unlock()
	err := s.inside.Shutdown(ctx)
	select {
	case <-s.over:
	case <-ctx.Done():
		err = ctx.Err()
		s.breakOff()
		select {
		case <-s.over:
		case <-time.After(breakTime):
		}
	}
	return err
}

func (s *Server) isClosing() bool {
	select {
	case <-s.ending:
		return true
	default:
		return false
	}
}

// admit notes a connection that Shutdown must end. It reports false if it was.
func (s *Server) admit(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[c] = struct{}{}
	return !s.closing
}

func (s *Server) dismiss(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// enter notes that a request or tunnel begins. It reports false when none may.
func (s *Server) enter(t *tunnel) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing && s.open == 0 || s.closing && t != nil {
		return false
	}
	if t != nil {
		s.live[t] = struct{}{}
	}
	s.open++
	return true
}

// leave notes that what entered is over.
func (s *Server) leave(t *tunnel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t != nil {
		delete(s.live, t)
		<-s.slots
		if t.entry != nil {
			t.entry.over()
		}
	}
	if s.open--; s.open == 0 && s.closing {
		close(s.over)
	}
}

// breakOff closes every connection.
func (s *Server) breakOff() {
	s.inside.Close()
	s.mu.Lock()
	conns, live := maps.Clone(s.conns), maps.Clone(s.live)
	s.mu.Unlock() // which closing takes, too
	for c := range conns {
		c.cancel()
		c.abort()
	}
	for t := range live {
		t.Conn.Close()
		t.cancel()
	}
}

// A queue is a listener whose connections are pushed.
type queue struct {
	c    chan net.Conn
	done chan struct{}
	once sync.Once
}

func newQueue() *queue { return &queue{c: make(chan net.Conn), done: make(chan struct{})} }

// push hands c to who accepts. It reports false when nobody will.
func (q *queue) push(c net.Conn) bool {
	select {
	case q.c <- c:
		return true
	case <-q.done:
		return false
	}
}

// Accept implements net.Listener.
func (q *queue) Accept() (net.Conn, error) {
	select {
	case c := <-q.c:
		return c, nil
	case <-q.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (q *queue) Close() error {
	q.once.Do(func() { close(q.done) })
	return nil
}

// Addr implements net.Listener.
func (q *queue) Addr() net.Addr { return &net.TCPAddr{} }
