package forward

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"

	"outvet/call"
	"outvet/internal/hostname"
)

// A Proto is what the client speaks; the server is offered the like.
type Proto uint8

// The protocols.
const (
	H1      Proto = iota // HTTP/1.1 alone is offered
	H2                   // HTTP/2 is offered before HTTP/1.1
	H2Clear              // HTTP/2 in the clear, where there is no TLS
)

// ProtoOf returns what the client that sent r speaks.
func ProtoOf(r *http.Request) Proto {
	switch {
	case r.ProtoMajor != 2:
		return H1
	case r.URL != nil && r.URL.Scheme == "http":
		return H2Clear
	}
	return H2
}

var errScheme = errors.New("unsupported protocol scheme")

// RoundTrip sends req to the host of its URL, over a connection whose address g
// admits, and returns the answer as it comes. It takes req over: its header
// must not be used until the response's body is closed, and the body is closed
// even on errors. req.Context bounds the whole call, the answer's body included.
// An error is an *Error; of reading the answer's body, Classify makes one.
//
// What goes out is what req says: req.Host, the target (URL.Opaque if it is
// set, byte for byte), the header as it is, the body, the trailer. Of a request
// that has none, no User-Agent and no Accept-Encoding is added. Hop-by-hop
// fields are the caller's to remove, except Connection and Upgrade of an
// upgrade, for whose 101 the response's body is an io.ReadWriteCloser.
func (f *Forwarder) RoundTrip(req *http.Request, g *call.Guard, proto Proto) (*http.Response, error) {
	host, err := f.prepare(req)
	if err != nil {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, fault(err, host)
	}
	p := f.pool(g)
	tr := traceOf(req.Context())
	if proto == H1 || proto == H2 && req.URL.Scheme == "http" || req.Header.Get("Upgrade") != "" { // HTTP/2 has no upgrades
		return p.overH1(req, host, tr)
	}
	server := req.URL.Scheme + req.URL.Host
	if p.noH2.has(server, f.opt.IdleTimeout) {
		return p.overH1(req, host, tr)
	}
	ctx, opened := p.opening.begin(tr.follow(req.Context()), server, f.opt.IdleTimeout)
	if p.noH2.has(server, f.opt.IdleTimeout) { // as was found while this call waited
		opened()
		return p.overH1(req, host, tr)
	}
	try := req.WithContext(ctx)
	if req.Body != nil && req.Body != http.NoBody {
		try.Body = &untouched{ReadCloser: req.Body}
	}
	resp, err := p.overH2(proto).RoundTrip(try)
	if errors.Is(err, errNoH2) {
		p.noH2.add(server)
		opened()
		return p.overH1(req, host, tr)
	}
	opened()
	if p.over.Load() { // flushed meanwhile: what it opened since is closed with the call
		p.close()
	}
	if err == nil && req.Context().Err() != nil { // see body
		resp.Body.Close()
		err = context.Cause(req.Context())
	}
	if err != nil {
		closeBody(req)
		return nil, fault(given(req.Context(), err), host)
	}
	if resp.Body != http.NoBody {
		resp.Body = &body{resp.Body, req.Context()}
	}
	return resp, nil
}

func (p *pool) overH1(req *http.Request, host string, tr *Trace) (*http.Response, error) {
	resp, err := p.h1.roundTrip(req, host, tr)
	if err != nil {
		return nil, fault(given(req.Context(), err), host)
	}
	return resp, nil
}

// A body is an answer's body. A call that is given up closes its connection;
// the server may see that and end its answer in good order before we stop
// reading. body does not let a cut answer pass for a whole one.
type body struct {
	io.ReadCloser
	ctx context.Context
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == nil || b.ctx.Err() == nil {
		return n, err
	}
	return n, given(b.ctx, err) // which is not io.EOF
}

// portOf returns the port of a host with one, "" if it has none.
func portOf(host string) string {
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		return host[i+1:]
	}
	return ""
}

// prepare makes req ready to go and returns its canonical host.
func (f *Forwarder) prepare(req *http.Request) (string, error) {
	if f.closed.Load() {
		return "", ErrClosed
	}
	u := req.URL
	if u == nil || u.Scheme != "https" && u.Scheme != "http" {
		return "", errScheme
	}
	port := portOf(u.Host)
	name := strings.TrimSuffix(u.Host[:len(u.Host)-len(port)], ":")
	if port != "" {
		port = ":" + port
	}
	host, err := hostname.Canonical(name)
	if err != nil {
		return "", err
	}
	if host != name && "["+host+"]" != name {
		if req.Host == "" {
			req.Host = u.Host
		}
		c := *u
		c.Host = host + port
		if strings.IndexByte(host, ':') >= 0 {
			c.Host = "[" + host + "]" + port
		}
		req.URL = &c
	}
	if _, ok := req.Header["User-Agent"]; !ok {
		if req.Header == nil {
			req.Header = http.Header{}
		}
		req.Header["User-Agent"] = nil // net/http would name itself
	}
	return host, nil
}
