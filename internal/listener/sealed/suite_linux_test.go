package sealed_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httputil"
	"testing"

	"outvet/internal/listener/listenertest"
)

// A way is one in which a client in a sandbox makes a call.
type way struct {
	name, scheme, address string
	tune                  func(*http.Transport)
}

func protocols(set func(*http.Protocols, bool)) func(*http.Transport) {
	return func(t *http.Transport) {
		t.Protocols = new(http.Protocols)
		set(t.Protocols, true)
	}
}

var ways = []way{
	{"HTTP1 in the clear", "http", "198.18.0.1", protocols((*http.Protocols).SetHTTP1)},
	{"HTTP1 in TLS", "https", "198.18.0.1", protocols((*http.Protocols).SetHTTP1)},
	{"HTTP2 in TLS, IPv6", "https", "2001:2::c612:1", protocols((*http.Protocols).SetHTTP2)},
	{"HTTP2 in the clear", "http", "198.18.0.1", protocols((*http.Protocols).SetUnencryptedHTTP2)},
}

// TestSuite makes the calls of the listener suite out of a sandbox.
func TestSuite(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			listenertest.Run(t, listenertest.Options{Session: session1}, func(t *testing.T, c listenertest.Case) listenertest.Result {
				return send(t, c, w)
			})
		})
	}
}

func send(t *testing.T, c listenertest.Case, way way) (res listenertest.Result) {
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	left := make(chan struct{})
	r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return // it did not arrive
		}
		res.Arrived, res.Body = true, b
		if c.Arrived != nil {
			c.Arrived()
		}
		if c.Gone {
			leave()
			<-left
			<-r.Context().Done()
		}
	}, nil, c.Gate, "")
	if c.Down {
		r.origin.Close()
		r.plain.Close()
	}
	method, body := http.MethodGet, io.Reader(nil)
	if len(c.Body) > 0 {
		method, body = http.MethodPost, bytes.NewReader(c.Body)
	}
	req, err := http.NewRequestWithContext(ctx, method, way.scheme+"://"+host+"/a/path?q=1", body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := r.client(way.address, way.tune).Do(req)
	close(left)
	if err != nil {
		if !c.Gone {
			res.Told = err.Error()
		}
		return res
	}
	defer resp.Body.Close()
	told, err := httputil.DumpResponse(resp, true)
	if err != nil {
		t.Error(err)
	}
	res.Told = string(told)
	return res
}
