package forward

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// withoutH2 counts the connections to a server that speaks HTTP/1.1 alone.
func withoutH2(conns *atomic.Int32) func(*httptest.Server) {
	return func(s *httptest.Server) {
		s.EnableHTTP2, s.TLS.NextProtos = false, []string{"http/1.1"}
		s.Config.ConnState = func(_ net.Conn, st http.ConnState) {
			if st == http.StateNew {
				conns.Add(1)
			}
		}
	}
}

func TestServerWithoutHTTP2IsKnownAndItsConnectionKept(t *testing.T) {
	var conns atomic.Int32
	s := newSite(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		io.WriteString(w, r.Proto+" "+string(b))
	}), withoutH2(&conns))
	f := s.forwarder(t)
	for _, body := range []string{"one", "", "three"} {
		if _, got := get(t, f, H2, request(t, "POST", "https://api.example/", body)); got != "HTTP/1.1 "+body {
			t.Errorf("%q", got)
		}
	}
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections for calls one after the other", n)
	}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, got := get(t, f, H2, request(t, "POST", "https://api.example/", "many")); got != "HTTP/1.1 many" {
				t.Errorf("%q", got)
			}
		})
	}
	all.Wait()
}

// A body goes whole to the connection that is used in the end, and is closed.
func TestBodySurvivesTheSearchForHTTP2(t *testing.T) {
	var conns atomic.Int32
	text := strings.Repeat("long body ", 50_000)
	s := newSite(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Write(b)
	}), withoutH2(&conns))
	for _, length := range []int64{int64(len(text)), -1} {
		f := s.forwarder(t)
		req := request(t, "POST", "https://api.example/", "")
		b := &closeTold{Reader: strings.NewReader(text)}
		req.Body, req.ContentLength, req.GetBody = b, length, nil
		resp, err := f.RoundTrip(req, loopback, H2)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || !bytes.Equal(got, []byte(text)) || !b.closed.Load() {
			t.Errorf("%d bytes, %v, closed %t", len(got), err, b.closed.Load())
		}
	}
	f := s.forwarder(t)
	for _, url := range []string{"https://127.0.0.1:1/", "https://api.example/"} { // nobody there; and a call that is given up
		ctx, cancel := context.WithCancel(t.Context())
		if url == "https://api.example/" {
			cancel()
		}
		b := &closeTold{Reader: strings.NewReader(text)}
		req := request(t, "POST", url, "").WithContext(ctx)
		req.Body, req.ContentLength, req.GetBody = b, -1, nil
		if _, err := f.RoundTrip(req, loopback, H2); err == nil || !b.closed.Load() {
			t.Errorf("%s: %v, closed %t", url, err, b.closed.Load())
		}
		cancel()
	}
}

// A closeTold body tells whether it was closed.
type closeTold struct {
	io.Reader
	closed atomic.Bool
}

func (c *closeTold) Close() error {
	c.closed.Store(true)
	return nil
}
