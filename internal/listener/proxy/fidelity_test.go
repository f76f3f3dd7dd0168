package proxy_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"time"

	"outvet/call"
)

// ways are the protocols of a client inside TLS.
var ways = []struct {
	name string
	h2   bool
}{{"HTTP1", false}, {"HTTP2", true}}

func TestARequestArrivesAsItWasSent(t *testing.T) {
	const target = `/a%2Fb/../c;x=1/"q"?b=2&a=%zz&a=1`
	var got *http.Request
	r := newRig(t, func(w http.ResponseWriter, r *http.Request) { got = r }, nil, allow)
	c := r.dialTLS(host+":443", host)
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nX-Two: 1\r\nX-Two: 2\r\nConnection: x-hop\r\nX-Hop: 1\r\n"+
		"Proxy-Authorization: Basic eDp5\r\nOutvet-Call: 1\r\nTxn-Token: t\r\nCookie: a=b\r\n\r\n", target, host)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	if got.RequestURI != target || got.Host != host {
		t.Errorf("target %q of %q", got.RequestURI, got.Host)
	}
	names := slices.Sorted(func(yield func(string) bool) {
		for k := range got.Header {
			if !yield(k) {
				return
			}
		}
	})
	if strings.Join(names, " ") != "Cookie X-Two" || len(got.Header["X-Two"]) != 2 {
		t.Errorf("header arrived as %v", got.Header)
	}
}

func TestAResponseArrivesAsItWasSent(t *testing.T) {
	const raw = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Up: 1\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nAlt-Svc: h3=\":443\"\r\n" +
		"Outvet-Edits: 9\r\nProxy-Status: outvet; error=http_request_denied, cdn; hit\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b"
	r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		conn, _, _ := http.NewResponseController(w).Hijack()
		io.WriteString(conn, raw)
		conn.Close()
	}, nil, allow)
	resp, err := r.client(false).Get("https://" + host + "/")
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil || string(b) != "\x1f\x8b" {
		t.Errorf("body %q, %v", b, err)
	}
	want := http.Header{"Content-Length": {"2"}, "X-Up": {"1"}, "Set-Cookie": {"a=1", "b=2"}, "Proxy-Status": {"cdn; hit"}, "Content-Encoding": {"gzip"}}
	if fmt.Sprint(resp.Header) != fmt.Sprint(want) {
		t.Errorf("header %v\nwant   %v", resp.Header, want)
	}
}

func TestTrailersPassBothWays(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
				b, _ := io.ReadAll(r.Body)
				w.Header().Set("Trailer", "X-Announced")
				fmt.Fprintf(w, "%s %s", b, r.Trailer.Get("X-Sum"))
				w.Header().Set("X-Announced", "1")
				w.Header().Set(http.TrailerPrefix+"X-Sudden", "2")
			}, nil, allow)
			req, _ := http.NewRequest("POST", "https://"+host+"/", io.NopCloser(strings.NewReader("body")))
			req.Trailer = http.Header{"X-Sum": {"42"}}
			resp, err := r.client(way.h2).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(resp.Body)
			if err != nil || string(b) != "body 42" {
				t.Errorf("body %q, %v", b, err)
			}
			if resp.Trailer.Get("X-Announced") != "1" || resp.Trailer.Get("X-Sudden") != "2" {
				t.Errorf("trailer %v", resp.Trailer)
			}
		})
	}
}

func TestInterimAnswersPass(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Link", "</a.css>; rel=preload")
				w.WriteHeader(http.StatusEarlyHints)
				w.Header().Del("Link")
				w.WriteHeader(204)
			}, nil, allow)
			req, _ := http.NewRequest("GET", "https://"+host+"/", nil)
			var link string
			req = req.WithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
				Got1xxResponse: func(code int, h textproto.MIMEHeader) error { link = h.Get("Link"); return nil }}))
			resp, err := r.client(way.h2).Do(req)
			if err != nil || resp.StatusCode != 204 || resp.Header.Get("Link") != "" || link == "" {
				t.Errorf("got %v, %v after the hint %q", resp, err, link)
			}
		})
	}
}

func TestAClientThatExpects100IsAskedForItsBody(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Expect") != "" {
			t.Error("Expect was passed on")
		}
		io.Copy(w, r.Body)
	}, nil, allow)
	c := r.dialTLS(host+":443", host)
	fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n", host)
	br := bufio.NewReader(c)
	resp, err := http.ReadResponse(br, nil)
	if err != nil || resp.StatusCode != 100 {
		t.Fatal(resp, err)
	}
	io.WriteString(c, "body")
	if resp, err = http.ReadResponse(br, nil); err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	if b, _ := io.ReadAll(resp.Body); string(b) != "body" {
		t.Errorf("body %q", b)
	}
}

func TestAClientThatExpects100IsRefusedWithoutItsBody(t *testing.T) {
	r := newRig(t, nil, nil, "version: 1\ndefault: block\n")
	c := r.dialTLS(host+":443", host)
	fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: 4000000000\r\nExpect: 100-continue\r\n\r\n", host)
	start := time.Now()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != 403 || !strings.HasPrefix(resp.Status, "403 Blocked by egress policy: POST "+host+" not allowed (id ") {
		t.Fatalf("%v, %v", resp, err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("the answer took %v", took)
	}
}

func TestConnectionsAreKept(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			peers := map[string]bool{}
			r := newRig(t, func(w http.ResponseWriter, r *http.Request) { peers[r.RemoteAddr] = true }, nil, allow)
			client, conns := r.client(way.h2), 0
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
				if !i.Reused {
					conns++
				}
			}})
			for i := range 20 {
				method, body := "GET", io.Reader(nil)
				if i%2 == 1 {
					method, body = "POST", strings.NewReader("x")
				}
				req, _ := http.NewRequestWithContext(ctx, method, "https://"+host+"/", body)
				resp, err := client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				if resp.ProtoMajor == 2 != way.h2 {
					t.Errorf("protocol %s", resp.Proto)
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
			if conns != 1 || len(peers) != 1 {
				t.Errorf("%d connections to the proxy and %d upstream, want one each", conns, len(peers))
			}
			r.log.wait(t, 20)
		})
	}
}

func TestAPOSTOnAStaleConnectionIsSentAgain(t *testing.T) {
	closed := make(chan bool)
	r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		conn, _, _ := http.NewResponseController(w).Hijack()
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(b), b)
		time.Sleep(20 * time.Millisecond)
		conn.Close() // without having said so
		closed <- true
	}, nil, allow)
	client := r.client(false)
	for i := range 5 {
		want := strings.Repeat("x", 4096+i)
		resp, err := client.Post("https://"+host+"/", "text/plain", strings.NewReader(want))
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := io.ReadAll(resp.Body); string(b) != want {
			t.Fatalf("request %d: status %d, body %.80q", i, resp.StatusCode, b)
		}
		<-closed
		time.Sleep(50 * time.Millisecond)
	}
	for i, p := range r.log.wait(t, 5) {
		if p.closed.Outcome.Sent != int64(4096+i) {
			t.Errorf("call %d: %d bytes sent", i, p.closed.Outcome.Sent)
		}
	}
}

func TestTheRecordSaysWhatHappened(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.WriteHeader(418)
		io.WriteString(w, "short and stout")
	}, nil, allow)
	req, _ := http.NewRequest("POST", "http://"+host+"/tea?pot=1", bytes.NewReader(make([]byte, 1000)))
	req.Header.Set("User-Agent", "claude-cli/2.1.329 (external, cli)")
	req.Header.Set("Proxy-Authorization", "Basic b3R0ZXI6c2VjcmV0") // otter:secret
	resp, err := r.client(false).Do(req)
	if err != nil || resp.StatusCode != 418 {
		t.Fatal(resp, err)
	}
	p := r.log.wait(t, 1)[0]
	d, o := p.decided, p.closed.Outcome
	if d.Listener != "proxy" || d.Grade != call.Cooperative || d.Scheme != "http" || d.Host != host || d.Port != 80 || d.Protocol != "http" || d.Method != "POST" || d.Target != "/tea" {
		t.Errorf("decided: %+v", d)
	}
	if who := d.Caller; who.Session != "otter" || who.SessionMark != call.Claimed || who.Parent != "127.0.0.1" || who.Agent.Value != "claude-cli/2.1.329" || who.Agent.Mark != call.Claimed {
		t.Errorf("caller: %+v", who)
	}
	if o.Status != 418 || o.Sent != 1000 || o.Received != 15 || o.Address != r.plain.Listener.Addr().String() || o.Error != "" {
		t.Errorf("outcome: %+v", o)
	}
}

func TestOddStatusesAreFaultsOfUpstream(t *testing.T) {
	for status, want := range map[string]int{"000": 502, "099": 502, "101": 502, "599": 599, "999": 999} {
		r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
			conn, _, _ := http.NewResponseController(w).Hijack()
			fmt.Fprintf(conn, "HTTP/1.1 %s X\r\nContent-Length: 0\r\n\r\n", status)
			conn.Close()
		}, nil, allow)
		resp, err := r.client(false).Get("https://" + host + "/")
		if err != nil || resp.StatusCode != want {
			t.Errorf("%s: %v, %v, want %d", status, resp, err, want)
		}
		r.log.wait(t, 1)
	}
}
