package forward

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"outvet/call"
)

// errNoH2 says that the server speaks HTTP/1.1 alone. The connection that told so
// waits among those of HTTP/1.1.
var errNoH2 = errors.New("the server speaks no HTTP/2")

// dialH2 returns a function that dials as Dial does under g and begins TLS that
// offers HTTP/2. HTTP/1.1 is not left to net/http: an answer that comes before its
// request was taken whole is lost to it.
func (f *Forwarder) dialH2(g *call.Guard, h1 *h1Pool) func(context.Context, string, string) (net.Conn, error) {
	dial := f.dialUnder(g)
	config := f.newTLS()
	config.NextProtos = []string{"h2", "http/1.1"}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		k, err := keyOfAddr(addr)
		if err != nil {
			conn.Close()
			return nil, err
		}
		t, err := f.handshake(ctx, conn, config, k.host)
		if err != nil {
			conn.Close()
			return nil, err
		}
		if t.ConnectionState().NegotiatedProtocol == "h2" {
			return t, nil
		}
		c := h1.connOf(k, conn, netip.Addr{})
		c.Conn, c.r.Src = t, t
		h1.put(c)
		return nil, errNoH2
	}
}

// keyOfAddr returns the key of an address that dialUnder has dialled.
func keyOfAddr(addr string) (h1Key, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return h1Key{}, err
	}
	var n uint16
	if _, err := fmt.Sscan(port, &n); err != nil {
		return h1Key{}, err
	}
	return h1Key{secure: true, host: host, port: n}, nil
}

// handshake makes conn a TLS connection to host.
func (f *Forwarder) handshake(ctx context.Context, conn net.Conn, config *tls.Config, host string) (*tls.Conn, error) {
	config = config.Clone()
	config.ServerName = host
	t := tls.Client(conn, config)
	hctx, cancel := context.WithTimeout(ctx, f.opt.TLSTimeout)
	defer cancel()
	if err := t.HandshakeContext(hctx); err != nil {
		if ctx.Err() == nil && hctx.Err() != nil {
			return nil, fmt.Errorf("%w: %w", errHandshakeTime, err)
		}
		return nil, err
	}
	return t, nil
}

// A told remembers which servers said that they speak no HTTP/2, for as long as an
// idle connection is kept. The zero told is ready.
type told struct {
	// mu guards at.
	mu sync.Mutex
	at map[string]time.Time
}

func (t *told) add(host string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.at == nil || len(t.at) >= openMax {
		t.at = map[string]time.Time{}
	}
	t.at[host] = time.Now()
}

func (t *told) has(host string, within time.Duration) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	at, ok := t.at[host]
	return ok && time.Since(at) < within
}

// An untouched body is not closed by a try that did not read it: the next one
// does.
type untouched struct {
	io.ReadCloser
	mu    sync.Mutex // guards begun
	begun bool
}

// Read implements io.Reader.
func (b *untouched) Read(p []byte) (int, error) {
	b.mu.Lock()
	b.begun = true
	b.mu.Unlock()
	return b.ReadCloser.Read(p)
}

// Close implements io.Closer.
func (b *untouched) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.begun {
		return nil
	}
	return b.ReadCloser.Close()
}
