package forward

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestProtocolOfTheClientIsMirrored(t *testing.T) {
	s := newSite(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Proto+" "+r.TLS.NegotiatedProtocol+" "+r.TLS.ServerName)
	}))
	f := s.forwarder(t)
	for proto, want := range map[Proto]string{H1: "HTTP/1.1 http/1.1 api.example", H2: "HTTP/2.0 h2 api.example"} {
		for _, url := range []string{"https://api.example/", "https://API.example./"} {
			if _, got := get(t, f, proto, request(t, "GET", url, "")); got != want {
				t.Errorf("%s: got %q, want %q", url, got, want)
			}
		}
	}
	if ProtoOf(&http.Request{ProtoMajor: 2}) != H2 || ProtoOf(&http.Request{ProtoMajor: 1}) != H1 {
		t.Error("a client's protocol is mistaken")
	}
}

func TestServerWithoutHTTP2GetsHTTP1(t *testing.T) {
	s := newSite(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) }),
		func(s *httptest.Server) { s.EnableHTTP2, s.TLS.NextProtos = false, nil })
	if _, got := get(t, s.forwarder(t), H2, request(t, "GET", "https://api.example/", "")); got != "HTTP/1.1" {
		t.Errorf("got %q", got)
	}
}

// raw serves plain HTTP by hand: answer is sent for each request, whose bytes
// are passed to got.
func raw(t testing.TB, answer string, got func(string)) (f *Forwarder, url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				b := make([]byte, 64<<10)
				n, _ := c.Read(b)
				if got != nil {
					got(string(b[:n]))
				}
				io.WriteString(c, answer)
			}()
		}
	}()
	f = New(Options{})
	t.Cleanup(f.Close)
	return f, "http://" + l.Addr().String()
}

func TestRequestLeavesAsItIs(t *testing.T) {
	var got string
	f, url := raw(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", func(s string) { got = s })
	for _, tt := range []struct {
		name   string
		change func(*http.Request)
		want   []string
	}{
		{"nothing is added", func(*http.Request) {}, []string{"GET / HTTP/1.1", "Host: HOST"}},
		{"all is kept", func(r *http.Request) {
			r.Header = http.Header{"User-Agent": {"curl/7.88.1"}, "Accept-Encoding": {"br, gzip;q=0"}, "X-Twice": {"1", "2"}, "X-Empty": {""}, "Te": {"trailers"}}
			r.Host = "api.example"
		}, []string{"GET / HTTP/1.1", "Host: api.example", "Accept-Encoding: br, gzip;q=0", "Te: trailers", "User-Agent: curl/7.88.1", "X-Empty: ", "X-Twice: 1", "X-Twice: 2"}},
		{"the target to the byte", func(r *http.Request) {
			r.URL.Opaque = "/a%2Fb/../%7e//c;d=1?q=%20+&&=%zz#"
		}, []string{"GET /a%2Fb/../%7e//c;d=1?q=%20+&&=%zz# HTTP/1.1", "Host: HOST"}},
		{"an empty query", func(r *http.Request) { r.URL.Opaque = "/?" }, []string{"GET /? HTTP/1.1", "Host: HOST"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req := request(t, "GET", url+"/", "")
			host := req.URL.Host
			tt.change(req)
			resp, err := f.RoundTrip(req, loopback, H1)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			lines := strings.Split(strings.TrimSuffix(got, "\r\n\r\n"), "\r\n")
			for i := range tt.want {
				tt.want[i] = strings.ReplaceAll(tt.want[i], "HOST", host)
			}
			if !slices.Equal(lines, tt.want) {
				t.Errorf("left as\n%q, want\n%q", lines, tt.want)
			}
		})
	}
}

func TestHTTP2RequestLeavesAsItIs(t *testing.T) {
	var header http.Header
	var target string
	s := newSite(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { header, target = r.Header, r.RequestURI }))
	req := request(t, "GET", "https://api.example/", "")
	req.URL.Opaque = "/a%2Fb?q=%7e"
	req.Header.Set("X-Own", "1")
	get(t, s.forwarder(t), H2, req)
	if target != "/a%2Fb?q=%7e" || len(header) != 1 || header.Get("X-Own") != "1" {
		t.Errorf("%s %v", target, header)
	}
}

func TestProxyOfTheEnvironmentIsNotUsed(t *testing.T) {
	for _, v := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"} {
		t.Setenv(v, "http://127.0.0.1:1")
	}
	s := newSite(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "direct") }))
	if _, got := get(t, s.forwarder(t), H1, request(t, "GET", "https://api.example/", "")); got != "direct" {
		t.Errorf("got %q", got)
	}
}

func TestCompressedAnswerStaysCompressed(t *testing.T) {
	body := []byte("\x1f\x8b not really gzip")
	s := newSite(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Write(body)
	}))
	f := s.forwarder(t)
	for _, proto := range []Proto{H1, H2} {
		resp, got := get(t, f, proto, request(t, "GET", "https://api.example/", ""))
		if got != string(body) || resp.Header.Get("Content-Encoding") != "gzip" || resp.Uncompressed {
			t.Errorf("got %q, %v", got, resp.Header)
		}
	}
}

func TestTrailersPassBothWays(t *testing.T) {
	s := newSite(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Grpc-Status")
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", b, r.Trailer.Get("X-Sum"))
		w.Header().Set("Grpc-Status", "7")
		w.Header().Set(http.TrailerPrefix+"Grpc-Message", "no") // not announced
	}))
	f := s.forwarder(t)
	for _, proto := range []Proto{H1, H2} {
		req := request(t, "POST", "https://api.example/", "")
		req.Trailer = http.Header{"X-Sum": nil}
		pr, pw := io.Pipe()
		req.Body, req.ContentLength = pr, -1
		go func() {
			io.WriteString(pw, "body")
			req.Trailer.Set("X-Sum", "42")
			pw.Close()
		}()
		resp, got := get(t, f, proto, req)
		if got != "body 42" {
			t.Errorf("the server saw %q", got)
		}
		want := http.Header{"Grpc-Status": {"7"}, "Grpc-Message": {"no"}}
		if !maps.EqualFunc(resp.Trailer, want, slices.Equal[[]string]) {
			t.Errorf("trailers %v", resp.Trailer)
		}
	}
}

func TestInformationalAnswersAreHeard(t *testing.T) {
	s := newSite(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for i := range 3 {
			w.Header().Set("Link", fmt.Sprintf("</%d>", i))
			w.WriteHeader(http.StatusEarlyHints)
		}
		io.WriteString(w, "end")
	}))
	f := s.forwarder(t)
	for _, proto := range []Proto{H1, H2} {
		var heard []string
		tr := &Trace{Informational: func(status int, h http.Header) error {
			heard = append(heard, strconv.Itoa(status)+h.Get("Link"))
			return nil
		}}
		req := request(t, "GET", "https://api.example/", "")
		_, got := get(t, f, proto, req.WithContext(WithTrace(t.Context(), tr)))
		if got != "end" || !slices.Equal(heard, []string{"103</0>", "103</1>", "103</2>"}) {
			t.Errorf("%q after %v", got, heard)
		}
		if tr.Address().String() != s.Listener.Addr().String() {
			t.Errorf("went to %v", tr.Address())
		}
	}
}

func TestExpectedContinueStaysBetweenUsAndTheServer(t *testing.T) {
	s := newSite(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }))
	tr := &Trace{Informational: func(status int, _ http.Header) error {
		t.Errorf("heard %d", status)
		return nil
	}}
	req := request(t, "POST", "https://api.example/", "body")
	req.Header.Set("Expect", "100-continue")
	if _, got := get(t, s.forwarder(t), H1, req.WithContext(WithTrace(t.Context(), tr))); got != "body" {
		t.Errorf("got %q", got)
	}
}

func TestEventsPassOneByOne(t *testing.T) {
	next := make(chan string)
	s := newSite(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		for e := range next {
			io.WriteString(w, "data: "+e+"\n\n")
			w.(http.Flusher).Flush()
		}
	}))
	f := s.forwarder(t)
	for _, proto := range []Proto{H1, H2} {
		next = make(chan string)
		resp, err := f.RoundTrip(request(t, "GET", "https://api.example/", ""), nil, proto)
		if err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(resp.Body)
		for i := range 100 { // an event that waited for the next one would wait for ever
			next <- strconv.Itoa(i)
			line, err := r.ReadString('\n')
			if err != nil || line != fmt.Sprintf("data: %d\n", i) {
				t.Fatalf("event %d: %q, %v", i, line, err)
			}
			r.ReadString('\n')
		}
		close(next)
		if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
			t.Errorf("%q, %v", rest, err)
		}
		resp.Body.Close()
	}
}

func TestBothDirectionsStreamAtOnce(t *testing.T) {
	s := newSite(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		b := make([]byte, 1)
		for {
			if _, err := r.Body.Read(b); err != nil {
				return
			}
			w.Write(b)
			w.(http.Flusher).Flush()
		}
	}))
	f := s.forwarder(t)
	for _, proto := range []Proto{H1, H2} {
		pr, pw := io.Pipe()
		req := request(t, "POST", "https://api.example/", "")
		req.Body, req.ContentLength = pr, -1
		go io.WriteString(pw, "a")
		resp, err := f.RoundTrip(req, nil, proto)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 1)
		for i := range 20 {
			if _, err := io.ReadFull(resp.Body, b); err != nil {
				t.Fatalf("%d: %v", i, err)
			}
			if _, err := pw.Write(b); err != nil {
				t.Fatal(err)
			}
		}
		pw.Close()
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
}

func TestLargeBodiesArriveWhole(t *testing.T) {
	s := newSite(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		io.Copy(w, r.Body)
	}))
	f := s.forwarder(t)
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<20) // 16 MiB
	for _, proto := range []Proto{H1, H2} {
		req := request(t, "POST", "https://api.example/", "")
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		if _, got := get(t, f, proto, req); got != string(body) {
			t.Errorf("%d of %d bytes came back", len(got), len(body))
		}
	}
}

func TestUpgradePassesBytesBothWays(t *testing.T) {
	s := newSite(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		// The first bytes come with the head: they must not get lost.
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+r.Header.Get("Upgrade")+"\r\n\r\nhello ")
		io.Copy(c, rw)
	}))
	f := s.forwarder(t)
	for _, proto := range []Proto{H1, H2} { // also for a client of HTTP/2 (RFC 8441)
		req := request(t, "GET", "https://api.example/", "")
		req.Header.Set("Connection", "Upgrade")
		req.Header.Set("Upgrade", "websocket")
		resp, err := f.RoundTrip(req, nil, proto)
		if err != nil {
			t.Fatal(err)
		}
		rw, ok := resp.Body.(io.ReadWriteCloser)
		if resp.StatusCode != http.StatusSwitchingProtocols || !ok {
			t.Fatalf("%s, body %T", resp.Status, resp.Body)
		}
		io.WriteString(rw, "world")
		b := make([]byte, len("hello world"))
		if _, err := io.ReadFull(rw, b); err != nil || string(b) != "hello world" {
			t.Errorf("%q, %v", b, err)
		}
		rw.Close()
	}
}

func TestContextEndsAStream(t *testing.T) {
	s := newSite(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/head" {
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
		}
		<-r.Context().Done()
	}))
	f := s.forwarder(t)
	killed := errors.New("quarantined")
	for _, proto := range []Proto{H1, H2} {
		ctx, cancel := context.WithCancelCause(t.Context())
		resp, err := f.RoundTrip(request(t, "GET", "https://api.example/head", "").WithContext(ctx), nil, proto)
		if err != nil {
			t.Fatal(err)
		}
		cancel(killed)
		_, err = io.ReadAll(resp.Body)
		if e := Classify(err); e == nil || e.Type != "connection_terminated" || !errors.Is(err, killed) {
			t.Errorf("%v: %+v", err, e)
		}
		resp.Body.Close()

		ctx, cancel = context.WithCancelCause(t.Context())
		time.AfterFunc(10*time.Millisecond, func() { cancel(killed) })
		_, err = f.RoundTrip(request(t, "GET", "https://api.example/", "").WithContext(ctx), nil, proto)
		if e := Classify(err); e == nil || e.Type != "connection_terminated" {
			t.Errorf("%v: %+v", err, e)
		}
	}
}
