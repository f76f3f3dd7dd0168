package proxy_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
)

func TestTunnelInsideATunnelIsRefusedAndRecorded(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") }, nil, "version: 1\ndefault: allow\n")
	calls := 0
	for _, before := range []bool{false, true} {
		for name, conn := range map[string]func() net.Conn{
			"plain": func() net.Conn { return r.dial(host + ":80") },
			"tls":   func() net.Conn { return r.dialTLS(host+":443", host) },
		} {
			c := conn()
			br := bufio.NewReader(c)
			if before {
				fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", host)
				res, err := http.ReadResponse(br, nil)
				if err != nil || res.StatusCode != 200 {
					t.Fatalf("%s: %v, %v", name, res, err)
				}
				if _, err := br.Discard(2); err != nil {
					t.Fatal(err)
				}
				calls++
			}
			fmt.Fprint(c, "CONNECT other.example:8443 HTTP/1.1\r\nHost: other.example:8443\r\n\r\n")
			res, err := http.ReadResponse(br, nil)
			if err != nil || res.StatusCode != 400 || res.Header.Get("Outvet-Call") == "" {
				t.Fatalf("%s: %+v, %v", name, res, err)
			}
			c.Close()
			calls++
		}
	}
	var nested int
	for _, p := range r.log.wait(t, calls) {
		d, o := p.decided, p.closed.Outcome
		if d.Method != "CONNECT" {
			continue
		}
		nested++
		if d.Host != "other.example" || d.Port != 8443 || o.Status != 400 || o.Sent != 0 || !strings.Contains(o.Error, "inside a tunnel") {
			t.Errorf("%+v, %+v", d, o)
		}
	}
	if nested != 4 {
		t.Errorf("%d records of a CONNECT inside a tunnel, want 4", nested)
	}
}

func TestTunnelInsideATunnelOverHTTP2IsRefusedAndRecorded(t *testing.T) {
	r := newRig(t, func(http.ResponseWriter, *http.Request) {}, nil, "version: 1\ndefault: allow\n")
	peer := r.h2(t)
	st := peer.open([]string{":method", "CONNECT", ":authority", "other.example:8443"}, true)
	if st.end(); st.status() != "400" || st.field(0, "outvet-call") == "" {
		t.Fatalf("status %s, call %q", st.status(), st.field(0, "outvet-call"))
	}
	p := r.log.wait(t, 1)[0]
	if p.decided.Host != "other.example" || p.closed.Outcome.Sent != 0 {
		t.Errorf("%+v", p)
	}
}

// A library that adds a length where there was none changes what gRPC shows as
// metadata.
func TestAnswerOverHTTP2GetsNoFieldThatItDidNotHave(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, q *http.Request) {
		h := w.Header()
		for _, k := range []string{"Date", "Content-Type", "Content-Length"} {
			h[k] = nil
		}
		h.Set("X-Own", "1")
		switch q.URL.Path {
		case "/trailersonly":
			h.Set("Grpc-Status", "5")
		case "/body":
			fmt.Fprint(w, "small")
		}
	}, nil, "version: 1\ndefault: allow\n")
	for _, path := range []string{"/trailersonly", "/body", "/empty"} {
		res, err := r.client(true).Get("https://" + host + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		for k := range res.Header {
			if k != "X-Own" && k != "Grpc-Status" {
				t.Errorf("%s: the client got %s: %q", path, k, res.Header[k])
			}
		}
	}
}
