package forward

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// Plain HTTP needs no tunnel, which proxies refuse for port 80.
func TestPlainHTTPGoesInAbsoluteForm(t *testing.T) {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s", r.Host, r.RequestURI, r.Header.Get("Proxy-Authorization"))
	}))
	defer origin.Close()
	x := newExit(t, "u:p", map[string]string{"web.example:80": origin.Listener.Addr().String()}, nil)
	f := through(t, x.url("http"))
	c, _, err := f.DialFor(t.Context(), "http", "web.example", 80, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	a, ok := c.(interface{ AbsoluteForm() string })
	if !ok || a.AbsoluteForm() != "Basic dTpw" || Via(c) == "" {
		t.Fatalf("%T %q", c, Via(c))
	}
	br := bufio.NewReader(c)
	for range 2 { // the connection stays
		fmt.Fprintf(c, "GET http://web.example/a?b HTTP/1.1\r\nHost: web.example\r\nProxy-Authorization: %s\r\n\r\n", a.AbsoluteForm())
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		if string(b) != "web.example /a?b " {
			t.Errorf("the server got %q", b)
		}
	}
	fmt.Fprintf(c, "GET http://web.example/ HTTP/1.1\r\nHost: web.example\r\n\r\n")
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 407 {
		t.Error(resp.Status)
	}
	e := Classify(c.(*absolute).refusal(resp.Header))
	if e == nil || e.Type != "proxy_configuration_error" || e.Status != 502 || !strings.Contains(e.Detail, "does not take") {
		t.Errorf("%+v", e)
	}
	// Other schemes, and SOCKS, have no absolute form.
	for _, tt := range []struct{ proxy, scheme string }{{"http", "ws"}, {"http", "https"}, {"http", "tcp"}, {"socks5h", "http"}} {
		c, _, err := through(t, x.url(tt.proxy)).DialFor(t.Context(), tt.scheme, "web.example", 80, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := c.(interface{ AbsoluteForm() string }); ok {
			t.Errorf("%v: absolute form", tt)
		}
		c.Close()
	}
}

func TestPlainRequestsGoInAbsoluteForm(t *testing.T) {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			c, rw, _ := w.(http.Hijacker).Hijack()
			defer c.Close()
			io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
			io.Copy(c, rw)
			return
		}
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %s %q", r.Method, r.Host, r.RequestURI, b, r.Header.Get("Proxy-Authorization"))
	}))
	defer origin.Close()
	at := origin.Listener.Addr().String()
	x := newExit(t, "u:p", map[string]string{"web.example:80": at, "web.example:8080": at}, nil)
	f := through(t, x.url("http"))
	for _, proto := range []Proto{H1, H2} {
		for i, tt := range []struct{ method, url, body, want string }{
			{"GET", "http://web.example/a?b=c", "", `GET web.example /a?b=c  ""`},
			{"POST", "http://web.example/%2f//x", "body", `POST web.example /%2f//x body ""`},
			{"GET", "http://web.example", "", `GET web.example /  ""`},
			{"PUT", "http://web.example:8080/p", "x", `PUT web.example:8080 /p x ""`},
		} {
			var tr Trace
			req := request(t, tt.method, tt.url, tt.body)
			_, got := get(t, f, proto, req.WithContext(WithTrace(t.Context(), &tr)))
			if got != tt.want || tr.Via() == "" || tr.Address().String() != x.address() {
				t.Errorf("%s %s: the server got %q, want %q; via %q, %v", tt.method, tt.url, got, tt.want, tr.Via(), tr.Address())
			}
			if (i > 0 && i < 3) != tr.Reused() && proto == H1 {
				t.Errorf("%s: reused %v", tt.url, tr.Reused())
			}
			if req.Header.Get("Proxy-Authorization") != "" {
				t.Error("the login stands in the caller's header")
			}
		}
	}
	options := request(t, "OPTIONS", "http://web.example", "")
	options.URL.Opaque = "*"
	get(t, f, H1, options)
	// An upgrade needs a tunnel: a proxy would not pass it on.
	up := request(t, "GET", "http://web.example/ws", "")
	up.Header.Set("Connection", "Upgrade")
	up.Header.Set("Upgrade", "echo")
	resp, err := f.RoundTrip(up, nil, H1)
	if err != nil || resp.StatusCode != 101 {
		t.Fatal(resp, err)
	}
	rw := resp.Body.(io.ReadWriteCloser)
	io.WriteString(rw, "hello")
	b := make([]byte, 5)
	if _, err := io.ReadFull(rw, b); err != nil || string(b) != "hello" {
		t.Errorf("%q, %v", b, err)
	}
	rw.Close()
	x.mu.Lock()
	defer x.mu.Unlock()
	want := []string{"GET http://web.example/a?b=c", "POST http://web.example/%2f//x", "GET http://web.example/", "PUT http://web.example:8080/p"}
	want = append(append(want, want...), "OPTIONS http://web.example", "CONNECT web.example:80")
	if !slices.Equal(x.lines, want) {
		t.Errorf("the proxy got %q, want %q", x.lines, want)
	}
}

// A login that the proxy asks for is not the agent's to give.
func TestChallengeOfAProxyIsNotPassedOn(t *testing.T) {
	for _, login := range []string{"", "u:wrong@"} {
		x := newExit(t, "u:p", nil, nil)
		f := through(t, "http://"+login+x.address())
		for _, proto := range []Proto{H1, H2} {
			resp, err := f.RoundTrip(request(t, "POST", "http://web.example/", "x"), nil, proto)
			if err == nil {
				t.Fatalf("%v", resp.Status)
			}
			e := Classify(err)
			if e.Type != "proxy_configuration_error" || e.Status != 502 || e.Host != "web.example" || (login == "") != strings.Contains(e.Detail, "asks for a login") || strings.Contains(e.Error(), canary) {
				t.Errorf("%+v", e)
			}
		}
	}
}

// What the proxy says of the server itself, 502 or 403, cannot be told from the
// server's own word over plain HTTP, and passes.
func TestAnswerOfAProxyInPlainHTTPPasses(t *testing.T) {
	x := newExit(t, "", nil, nil)
	f := through(t, x.url("http"))
	resp, _ := get(t, f, H1, request(t, "GET", "http://web.example/", ""))
	if resp.StatusCode != 502 {
		t.Error(resp.Status)
	}
}
