package forward

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/textproto"
	"sync/atomic"
)

// A Trace says what is known of one round trip beside its request, and hears
// what becomes of it. The zero Trace is ready; it serves one call.
type Trace struct {
	// Names are the names of the request's fields as they are to be written, in
	// order, over HTTP/1.1; nil for sorted ones. Fields that are not in the
	// request's header are not written.
	Names []string
	// Held says that the body is in memory: reading it does not wait.
	Held bool
	// Informational is called for each 1xx answer but 100 and 101, in order and
	// before RoundTrip returns; an error ends the call. Over HTTP/2 it runs on
	// another goroutine than RoundTrip. It may be nil.
	Informational func(status int, h http.Header) error

	// Answered are the names of the answer's fields as they came, in order; nil
	// of an answer over HTTP/2. It is set when RoundTrip returns.
	Answered []string

	addr   atomic.Pointer[netip.AddrPort]
	via    atomic.Pointer[string]
	reused atomic.Bool
}

type traceKey struct{}

// WithTrace returns a context for a request that t is to follow.
func WithTrace(ctx context.Context, t *Trace) context.Context {
	return context.WithValue(ctx, traceKey{}, t)
}

// traceOf returns the trace of ctx, an unheard one if it has none.
func traceOf(ctx context.Context) *Trace {
	if t, ok := ctx.Value(traceKey{}).(*Trace); ok {
		return t
	}
	return &Trace{}
}

// follow returns a context by which net/http tells t. A ClientTrace that ctx has
// hears on.
func (t *Trace) follow(ctx context.Context) context.Context {
	ct := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
		a, _ := netip.ParseAddrPort(i.Conn.RemoteAddr().String())
		t.through(Via(i.Conn))
		t.connected(a, i.Reused)
	}}
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

func (t *Trace) connected(a netip.AddrPort, reused bool) {
	t.reused.Store(reused)
	if a.IsValid() {
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
