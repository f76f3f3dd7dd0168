package proxy_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"outvet/internal/ca"
	"outvet/internal/forward"
	"outvet/internal/listener/proxy"
)

// A peer is one end of an HTTP/2 connection by hand: it sends what no library
// would.
type peer struct {
	t      testing.TB
	conn   net.Conn
	fr     *http2.Framer
	manual bool // no window is given back unless the test does

	wmu  sync.Mutex // orders frames and the encoder
	enc  *hpack.Encoder
	hbuf bytes.Buffer

	mu       sync.Mutex // guards the rest
	cond     *sync.Cond
	streams  map[uint32]*strm
	settings map[http2.SettingID]uint32
	acked    bool
	window   int64 // what may be sent on the connection
	goAway   *http2.ErrCode
	err      error // of reading
	next     uint32
	accept   func(*strm) // of a server
}

// A strm is one stream. It is a net.Conn of its DATA, too.
type strm struct {
	p      *peer
	id     uint32
	heads  [][]hpack.HeaderField // HEADERS in order: interim, head, trailer
	data   bytes.Buffer
	got    int // bytes of DATA
	window int64
	ended  bool
	reset  *http2.ErrCode
}

func newPeer(t testing.TB, conn net.Conn, manual bool) *peer {
	p := &peer{t: t, conn: conn, fr: http2.NewFramer(conn, conn), manual: manual, streams: map[uint32]*strm{},
		settings: map[http2.SettingID]uint32{}, window: 65535, next: 1}
	p.cond = sync.NewCond(&p.mu)
	p.enc = hpack.NewEncoder(&p.hbuf)
	p.fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	p.fr.AllowIllegalWrites = true
	return p
}

// h2 opens a tunnel and HTTP/2 over TLS in it.
func (r *rig) h2(t testing.TB, settings ...http2.Setting) *peer {
	t.Helper()
	c := tls.Client(r.dial(host+":443"), &tls.Config{RootCAs: r.roots, ServerName: host, NextProtos: []string{"h2"}})
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	return startH2(t, c, settings...)
}

func startH2(t testing.TB, c net.Conn, settings ...http2.Setting) *peer {
	t.Helper()
	p := newPeer(t, c, len(settings) > 0)
	io.WriteString(c, http2.ClientPreface)
	if err := p.fr.WriteSettings(settings...); err != nil {
		t.Fatal(err)
	}
	go p.run()
	t.Cleanup(func() { c.Close() })
	p.wait("SETTINGS", func() bool { return p.acked })
	return p
}

// run reads frames until the connection ends.
func (p *peer) run() {
	for {
		f, err := p.fr.ReadFrame()
		p.mu.Lock()
		if err != nil {
			var se http2.StreamError
			if errors.As(err, &se) {
				p.mu.Unlock()
				continue
			}
			p.err = err
			p.cond.Broadcast()
			p.mu.Unlock()
			return
		}
		began := p.take(f)
		p.cond.Broadcast()
		p.mu.Unlock()
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				p.write(func() error { return p.fr.WriteSettingsAck() })
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				p.write(func() error { return p.fr.WritePing(true, f.Data) })
			}
		case *http2.DataFrame:
			if n := f.Length; n > 0 && !p.manual {
				p.write(func() error {
					p.fr.WriteWindowUpdate(f.StreamID, n)
					return p.fr.WriteWindowUpdate(0, n)
				})
			}
		}
		if began != nil && p.accept != nil {
			go p.accept(began)
		}
	}
}

// take notes what f says. mu is held. It returns the stream that f began.
func (p *peer) take(f http2.Frame) *strm {
	s := p.streams[f.Header().StreamID]
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if f.IsAck() {
			p.acked = true
			break
		}
		f.ForeachSetting(func(v http2.Setting) error {
			p.settings[v.ID] = v.Val
			return nil
		})
	case *http2.MetaHeadersFrame:
		began := s == nil
		if began {
			s = p.stream(f.StreamID)
		}
		s.heads = append(s.heads, append([]hpack.HeaderField(nil), f.Fields...))
		s.ended = s.ended || f.StreamEnded()
		if began {
			return s
		}
	case *http2.DataFrame:
		if s != nil {
			s.data.Write(f.Data())
			s.got += len(f.Data())
			s.ended = s.ended || f.StreamEnded()
		}
	case *http2.RSTStreamFrame:
		if s != nil {
			code := f.ErrCode
			s.reset = &code
		}
	case *http2.GoAwayFrame:
		code := f.ErrCode
		p.goAway = &code
	case *http2.WindowUpdateFrame:
		if f.StreamID == 0 {
			p.window += int64(f.Increment)
		} else if s != nil {
			s.window += int64(f.Increment)
		}
	}
	return nil
}

func (p *peer) stream(id uint32) *strm {
	w := int64(65535)
	if v, ok := p.settings[http2.SettingInitialWindowSize]; ok {
		w = int64(v)
	}
	s := &strm{p: p, id: id, window: w}
	p.streams[id] = s
	return s
}

// wait waits until ok, which is called with mu held.
func (p *peer) wait(what string, ok func() bool) {
	p.t.Helper()
	if !p.within(15*time.Second, ok) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.t.Fatalf("no %s: connection %v, GOAWAY %v", what, p.err, p.goAway)
	}
}

func (p *peer) within(d time.Duration, ok func() bool) bool {
	late := false
	timer := time.AfterFunc(d, func() {
		p.mu.Lock()
		late = true
		p.cond.Broadcast()
		p.mu.Unlock()
	})
	defer timer.Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for !ok() {
		if late || p.err != nil {
			return false
		}
		p.cond.Wait()
	}
	return true
}

func (p *peer) write(f func() error) error {
	p.wmu.Lock()
	defer p.wmu.Unlock()
	return f()
}

// request is the head of a request; more and changed fields as name, value.
func request(method, path string, more ...string) []string {
	return append([]string{":method", method, ":scheme", "https", ":authority", host, ":path", path}, more...)
}

// open begins a stream with fields, as name, value.
func (p *peer) open(fields []string, end bool) *strm {
	p.t.Helper()
	p.wmu.Lock()
	defer p.wmu.Unlock()
	p.mu.Lock()
	s := p.stream(p.next)
	p.next += 2
	p.mu.Unlock()
	p.headers(s.id, fields, end)
	return s
}

// headers writes HEADERS; wmu is held.
func (p *peer) headers(id uint32, fields []string, end bool) {
	p.hbuf.Reset()
	for i := 0; i < len(fields); i += 2 {
		p.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	b := p.hbuf.Bytes()
	first := b[:min(len(b), 16<<10)]
	p.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: first, EndStream: end, EndHeaders: len(first) == len(b)})
	for b = b[len(first):]; len(b) > 0; {
		n := min(len(b), 16<<10)
		p.fr.WriteContinuation(id, n == len(b), b[:n])
		b = b[n:]
	}
}

func (s *strm) headers(end bool, fields ...string) {
	s.p.write(func() error { s.p.headers(s.id, fields, end); return nil })
}

// send sends DATA as the windows allow. It reports false when the stream ended
// first.
func (s *strm) send(b []byte, end bool) bool {
	for first := true; first || len(b) > 0; first = false {
		n, gone := 0, false
		if !s.p.within(15*time.Second, func() bool {
			n = max(min(len(b), int(min(s.window, s.p.window)), 16<<10), 0)
			s.window -= int64(n)
			s.p.window -= int64(n)
			gone = s.reset != nil
			return len(b) == 0 || n > 0 || gone
		}) || gone {
			return false
		}
		s.p.write(func() error { return s.p.fr.WriteData(s.id, end && n == len(b), b[:n]) })
		b = b[n:]
	}
	return true
}

func (s *strm) cancel(code http2.ErrCode) {
	s.p.write(func() error { return s.p.fr.WriteRSTStream(s.id, code) })
}

// field returns a field of the nth HEADERS, "" for none.
func (s *strm) field(n int, name string) string {
	s.p.t.Helper()
	s.p.wait(fmt.Sprint("HEADERS of stream ", s.id), func() bool { return len(s.heads) > n || s.reset != nil })
	if len(s.heads) <= n {
		return "reset"
	}
	for _, f := range s.heads[n] {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

func (s *strm) status() string { return s.field(0, ":status") }

// end waits for the end of the stream: its data and "end", or the reset's code.
func (s *strm) end() (string, string) {
	s.p.t.Helper()
	s.p.wait(fmt.Sprint("end of stream ", s.id), func() bool { return s.ended || s.reset != nil })
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	if s.ended {
		return s.data.String(), "end"
	}
	return s.data.String(), s.reset.String()
}

// Read implements io.Reader.
func (s *strm) Read(b []byte) (int, error) {
	if !s.p.within(15*time.Second, func() bool { return s.data.Len() > 0 || s.ended || s.reset != nil }) {
		return 0, os.ErrDeadlineExceeded
	}
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	switch {
	case s.data.Len() > 0:
		return s.data.Read(b)
	case s.ended:
		return 0, io.EOF
	}
	return 0, fmt.Errorf("reset: %v", *s.reset)
}

// Write implements io.Writer.
func (s *strm) Write(b []byte) (int, error) {
	if !s.send(b, false) {
		return 0, io.ErrClosedPipe
	}
	return len(b), nil
}

// Close resets the stream, as who goes away does.
func (s *strm) Close() error {
	s.cancel(http2.ErrCodeCancel)
	return nil
}

// h1Origin is a server of HTTP/1.1 over TLS alone. It returns what makes a rig
// use it.
func h1Origin(t testing.TB, h http.HandlerFunc) func(*proxy.Server) {
	t.Helper()
	a, err := ca.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := a.Leaf(host)
	if err != nil {
		t.Fatal(err)
	}
	o := httptest.NewUnstartedServer(h)
	o.TLS = &tls.Config{Certificates: []tls.Certificate{*leaf}, NextProtos: []string{"http/1.1"}}
	o.StartTLS()
	t.Cleanup(func() { o.CloseClientConnections(); o.Close() })
	up := forward.New(forward.Options{Roots: []*x509.Certificate{a.Certificate()},
		ConnectTo: []forward.ConnectTo{connectTo(host, 443, o.Listener.Addr())}})
	t.Cleanup(up.Close)
	return func(s *proxy.Server) { s.Upstream = up }
}

// h2Origin is a server of HTTP/2 by hand, one peer for each connection. It
// returns what makes a rig use it.
func h2Origin(t testing.TB, settings []http2.Setting, accept func(*strm)) (func(*proxy.Server), func() []*peer) {
	t.Helper()
	a, err := ca.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := a.Leaf(host)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{*leaf}, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	var mu sync.Mutex
	var peers []*peer
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p := newPeer(t, c, false)
			p.accept = accept
			mu.Lock()
			peers = append(peers, p)
			mu.Unlock()
			go func() {
				defer c.Close()
				preface := make([]byte, len(http2.ClientPreface))
				if _, err := io.ReadFull(c, preface); err != nil || !strings.HasPrefix(string(preface), "PRI") {
					return
				}
				p.write(func() error { return p.fr.WriteSettings(settings...) })
				p.run()
			}()
		}
	}()
	up := forward.New(forward.Options{Roots: []*x509.Certificate{a.Certificate()},
		ConnectTo: []forward.ConnectTo{connectTo(host, 443, l.Addr())}})
	t.Cleanup(up.Close)
	return func(s *proxy.Server) { s.Upstream = up }, func() []*peer {
		mu.Lock()
		defer mu.Unlock()
		return append([]*peer(nil), peers...)
	}
}
