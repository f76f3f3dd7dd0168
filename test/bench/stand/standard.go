package stand

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"sync"
)

// targetKey is where the address of the origin stands in a request's context.
type targetKey struct{}

// handler is the proxy of net/http. MaxIdleConnsPerHost is far from its default
// of 2, which would make every concurrent request pay a handshake.
func (p *proxy) handler() http.Handler {
	dial := func(ctx context.Context, _, addr string) (net.Conn, error) {
		_, to, err := p.origin(addr)
		if err != nil {
			return nil, err
		}
		return new(net.Dialer).DialContext(ctx, "tcp", to)
	}
	transport := &http.Transport{
		DialContext: dial, TLSClientConfig: &tls.Config{RootCAs: p.roots}, TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{},
		MaxIdleConns: 4096, MaxIdleConnsPerHost: 1024, DisableCompression: true,
	}
	reverse := &httputil.ReverseProxy{Transport: transport, FlushInterval: -1, BufferPool: &buffers{}, ErrorLog: log.New(io.Discard, "", 0),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme = "https"
			r.Out.URL.Host, _ = r.In.Context().Value(targetKey{}).(string)
			r.Out.Host = r.In.Host
		}}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The server would stop reading the request when the answer starts, and
		// the transport would then cut a fast answer.
		http.NewResponseController(w).EnableFullDuplex()
		reverse.ServeHTTP(w, r)
	})
}

// standard is the reference mitm-std.
func (p *proxy) standard(c net.Conn, _ *bufio.Reader, target string) {
	t, err := p.terminate(c)
	if err != nil {
		c.Close()
		return
	}
	l := &single{conn: make(chan net.Conn, 1), addr: c.LocalAddr()}
	l.conn <- t
	s := &http.Server{Handler: p.std, ErrorLog: log.New(io.Discard, "", 0),
		BaseContext: func(net.Listener) context.Context {
			return context.WithValue(context.Background(), targetKey{}, target)
		},
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed || state == http.StateHijacked {
				l.Close()
			}
		}}
	s.Serve(l) // ends with the connection
}

// single is a listener of one connection.
type single struct {
	conn chan net.Conn
	addr net.Addr
	once sync.Once
}

// Accept implements net.Listener.
func (l *single) Accept() (net.Conn, error) {
	c, ok := <-l.conn
	if !ok {
		return nil, errors.New("closed")
	}
	return c, nil
}

// Close implements net.Listener.
func (l *single) Close() error {
	l.once.Do(func() { close(l.conn) })
	return nil
}

// Addr implements net.Listener.
func (l *single) Addr() net.Addr { return l.addr }

// buffers are lent to httputil.ReverseProxy.
type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return *p
	}
	return make([]byte, 32<<10)
}

func (b *buffers) Put(p []byte) { b.pool.Put(&p) }
