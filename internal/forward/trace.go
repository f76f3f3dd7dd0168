package forward

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/textproto"
	"sync/atomic"
)

// A Trace hears what becomes of one round trip. The zero Trace is ready; it
// serves one call.
type Trace struct {
	// Informational is called for each 1xx answer but 100 and 101, in order and
	// before RoundTrip returns; an error ends the call. It runs on another
	// goroutine than RoundTrip. It may be nil.
	Informational func(status int, h http.Header) error

	addr   atomic.Pointer[netip.AddrPort]
	reused atomic.Bool
}

// WithTrace returns a context for a request that t is to follow. A ClientTrace
// that ctx has hears on.
func WithTrace(ctx context.Context, t *Trace) context.Context {
	ct := &httptrace.ClientTrace{GotConn: t.connected}
	if t.Informational != nil {
		ct.Got1xxResponse = func(code int, h textproto.MIMEHeader) error {
			if code == http.StatusContinue {
				return nil // between the transport and the server
			}
			return t.Informational(code, http.Header(h))
		}
	}
	return httptrace.WithClientTrace(ctx, ct)
}

func (t *Trace) connected(i httptrace.GotConnInfo) {
	t.reused.Store(i.Reused)
	if a, err := netip.ParseAddrPort(i.Conn.RemoteAddr().String()); err == nil {
		t.addr.Store(&a)
	}
}

// Address returns where the request went, the zero AddrPort if nowhere yet.
func (t *Trace) Address() netip.AddrPort {
	if a := t.addr.Load(); a != nil {
		return *a
	}
	return netip.AddrPort{}
}

// Reused reports whether the request went over a connection that was open.
func (t *Trace) Reused() bool { return t.reused.Load() }
