package proxy_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httputil"
	"testing"

	"outvet/internal/listener/listenertest"
)

// TestSuite makes the calls of the listener suite in every way in which the
// proxy takes them.
func TestSuite(t *testing.T) {
	for _, way := range []struct {
		name, scheme string
		h2           bool
		client       func(*rig, bool) *http.Client
	}{{"absolute-form", "http", false, (*rig).client}, {"HTTP1 in TLS", "https", false, (*rig).client}, {"HTTP2 in TLS", "https", true, (*rig).client},
		{"HTTP1 in the clear over SOCKS", "http", false, (*rig).socksClient}, {"HTTP2 in TLS over SOCKS", "https", true, (*rig).socksClient}} {
		t.Run(way.name, func(t *testing.T) {
			listenertest.Run(t, listenertest.Options{Session: "127.0.0.1"}, func(t *testing.T, c listenertest.Case) listenertest.Result {
				return send(t, c, way.scheme, func(r *rig) *http.Client { return way.client(r, way.h2) })
			})
		})
	}
}

func send(t *testing.T, c listenertest.Case, scheme string, client func(*rig) *http.Client) (res listenertest.Result) {
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
		}
		if c.Gone {
			<-r.Context().Done()
		}
	}, c.Gate, "")
	if c.Down {
		r.origin.Close()
		r.plain.Close()
	}
	method, body := http.MethodGet, io.Reader(nil)
	if len(c.Body) > 0 {
		method, body = http.MethodPost, bytes.NewReader(c.Body)
	}
	req, err := http.NewRequestWithContext(ctx, method, scheme+"://"+host+"/a/path?q=1", body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client(r).Do(req)
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
