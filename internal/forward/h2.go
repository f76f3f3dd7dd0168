package forward

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"

	"outvet/call"
)

// newCleartext returns a transport that dials under g and speaks HTTP/2 without
// TLS. It asks for no upgrade: whoever uses it knows what the server speaks,
// because its client did.
func (f *Forwarder) newCleartext(g *call.Guard) *http.Transport {
	t := f.newTransport(g)
	t.Protocols = new(http.Protocols)
	t.Protocols.SetUnencryptedHTTP2(true)
	return t
}

// overH2 returns the transport for HTTP/2.
func (p *pool) overH2(proto Proto) *http.Transport {
	if proto == H2Clear {
		return p.h2c
	}
	return p.h2
}

// An opening lets the first of many calls to a server connect and the others
// wait for that, as they can share what it opens: fifty requests at once would
// else make fifty connections, of which one is used. The zero opening is ready.
type opening struct {
	// mu guards the maps.
	mu    sync.Mutex
	under map[string]chan struct{} // closed when the first has a connection, or none
	last  map[string]time.Time     // of servers that have one: when it was used
}

// settingsTime is for a server to say how many streams it takes, after it was
// connected to. If it answers sooner it has said so.
const settingsTime = 100 * time.Millisecond

// openMax bounds how many servers are known to have a connection.
const openMax = 1024

// begin waits while another call connects to host. If it is this one that does,
// it returns a context for it and what ends the waiting of the others, which must
// be called.
func (o *opening) begin(ctx context.Context, host string, idle time.Duration) (context.Context, func()) {
	now := time.Now()
	o.mu.Lock()
	if at, ok := o.last[host]; ok && now.Sub(at) < idle {
		o.last[host] = now
		o.mu.Unlock()
		return ctx, func() {}
	}
	if wait, ok := o.under[host]; ok {
		o.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
		}
		return ctx, func() {}
	}
	done := make(chan struct{})
	if o.under == nil {
		o.under, o.last = map[string]chan struct{}{}, map[string]time.Time{}
	}
	o.under[host] = done
	o.mu.Unlock()
	end := sync.OnceFunc(func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		delete(o.under, host)
		close(done)
	})
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) {
		o.mu.Lock()
		if len(o.last) >= openMax {
			clear(o.last)
		}
		o.last[host] = time.Now()
		o.mu.Unlock()
		time.AfterFunc(settingsTime, end)
	}}
	return httptrace.WithClientTrace(ctx, trace), end
}
