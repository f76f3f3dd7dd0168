package siege

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// client is a Go client that goes through s.
func (s *served) client() *http.Transport {
	return &http.Transport{
		Proxy:           http.ProxyURL(&url.URL{Scheme: "http", Host: s.Proxy}),
		TLSClientConfig: &tls.Config{RootCAs: s.pool()}, ForceAttemptHTTP2: true,
	}
}

// A server that breaks off at any byte of its answer: the client never takes a
// part for the whole.
func TestServersThatBreakOffAnywhereAreNoticed(t *testing.T) {
	t.Parallel()
	answers := []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nhello, world",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n",
		"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
	}
	type cut struct{ all, part string }
	var cuts []cut
	for _, a := range answers {
		for i := 0; i < len(a); i += 2 {
			cuts = append(cuts, cut{a, a[:i]})
		}
	}
	port := listen(t, func(c net.Conn) {
		q, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			return
		}
		var n int
		fmt.Sscanf(q.Host, "c%d.example", &n)
		io.WriteString(c, cuts[n].part)
		if n%2 == 0 {
			c.(*net.TCPConn).SetLinger(0)
			time.Sleep(5 * time.Millisecond)
		}
	})
	dir := newState(t, allowing)
	s := serve(t, dir, to("", "80", port)...)
	each(len(cuts), func(i int) {
		tr := s.client()
		defer tr.CloseIdleConnections()
		req, _ := http.NewRequest("GET", fmt.Sprintf("http://c%d.example/", i), nil)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		res, err := tr.RoundTrip(req.WithContext(ctx))
		if err != nil {
			if ctx.Err() == nil && strings.Contains(cuts[i].part, "200 OK") && strings.Contains(cuts[i].part, "\r\n\r\n") {
				return // the head was there
			}
			t.Errorf("after %q: the client got no answer: %v", cuts[i].part, err)
			return
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if res.StatusCode != 502 && err == nil {
			t.Errorf("after %q: %s and %q looks whole", cuts[i].part, res.Status, b)
		}
	})
	s.stop()
	if n := paired(t, dir); n != len(cuts) {
		t.Errorf("%d calls recorded of %d", n, len(cuts))
	}
	for _, l := range leaves(t, dir) {
		if l.Kind == "closed" && l.Outcome.Error == "" {
			t.Errorf("the record of %s does not say that the server broke off", l.ID)
		}
	}
	verified(t, dir)
}

// Servers that do what servers do: each case is an answer to one request.
func TestServersOfEveryKind(t *testing.T) {
	t.Parallel()
	dir := newState(t, allowing)
	a := newAuthority(t)
	other := newAuthority(t) // nobody trusts it
	bad := func(conf *tls.Config) string {
		return listen(t, func(c net.Conn) { tls.Server(c, conf).Handshake() })
	}
	hour := time.Now().Add(time.Hour)
	flags := append(to("expired.example", "443", bad(a.leaf("", time.Now().Add(-time.Hour)))),
		append(to("wrong.example", "443", bad(a.leaf("else.example", hour))), to("unknown.example", "443", bad(other.leaf("", hour)))...)...)
	plain := listen(t, func(c net.Conn) { io.WriteString(c, "HTTP/1.0 400 plain\r\n\r\n") })
	closed, _ := net.Listen("tcp", "127.0.0.1:0")
	_, dead, _ := net.SplitHostPort(closed.Addr().String())
	closed.Close()
	flags = append(flags, append(to("plain.example", "443", plain), to("dead.example", "443", dead)...)...)
	early := listen(t, func(c net.Conn) { // answers before it has read the body, and does not read it
		r := bufio.NewReader(c)
		if _, err := http.ReadRequest(r); err != nil {
			return
		}
		io.WriteString(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
		time.Sleep(50 * time.Millisecond)
	})
	web := a.https(t, http.HandlerFunc(kinds))
	flags = append(flags, append(to("early.example", "80", early), to("", "443", web)...)...)
	s := serve(t, dir, append(flags, "--upstream-ca", a.file)...)
	tr := s.client()
	defer tr.CloseIdleConnections()
	ask := func(method, url string, body io.Reader) (int, string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, method, url, body)
		res, err := tr.RoundTrip(req)
		if err != nil {
			return 0, "", err
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		return res.StatusCode, string(b), err
	}
	for _, c := range []struct{ host, want string }{
		{"expired", "tls_certificate_error"}, {"wrong", "tls_certificate_error"}, {"unknown", "tls_certificate_error"},
		{"plain", "tls"}, {"dead", "connection_refused"},
	} {
		code, body, err := ask("GET", "https://"+c.host+".example/", nil)
		hold(t, "server/"+c.host, err == nil && code == 502 && strings.Contains(body, c.want), "%d %s %v, want 502 %s", code, body, err, c.want)
	}
	code, body, err := ask("POST", "http://early.example/", strings.NewReader(strings.Repeat("a", 4<<20)))
	hold(t, "server/early answer", err == nil && code == 413 && body == "big", "%d %.200s %v, want the 413 of the server", code, body, err)
	code, body, err = ask("GET", "https://ok.example/big", nil)
	hold(t, "server/big", err == nil && code == 200 && len(body) == 32<<20, "%d, %d bytes, %v", code, len(body), err)
	code, body, err = ask("GET", "https://ok.example/sse", nil)
	hold(t, "server/sse", err == nil && strings.Count(body, "data:") == 500, "%d, %d events, %v", code, strings.Count(body, "data:"), err)
	code, _, err = ask("GET", "https://ok.example/hints", nil)
	hold(t, "server/hints", err == nil && code == 200, "%d %v", code, err)
	code, body, err = ask("HEAD", "https://ok.example/head", nil)
	hold(t, "server/head", err == nil && code == 200 && body == "", "%d %q %v", code, body, err)
	for _, st := range []int{204, 304, 404, 500, 599} {
		code, _, err = ask("GET", fmt.Sprintf("https://ok.example/status/%d", st), nil)
		hold(t, fmt.Sprintf("server/status %d", st), err == nil && code == st, "%d %v", code, err)
	}
	_, _, err = ask("GET", "https://ok.example/cut", nil)
	hold(t, "server/cut stream", err != nil, "a stream that was cut looks whole")
	n := 5 + 1 + 4 + 5 + 1
	tr.CloseIdleConnections()
	s.stop()
	if got := paired(t, dir); got != n {
		t.Errorf("%d calls recorded of %d", got, n)
	}
	verified(t, dir)
}

func kinds(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/big":
		b := make([]byte, 1<<20)
		for range 32 {
			w.Write(b)
		}
	case "/sse":
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 500 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			w.(http.Flusher).Flush()
		}
	case "/hints":
		w.WriteHeader(103)
		w.WriteHeader(102)
		w.WriteHeader(200)
	case "/cut":
		io.WriteString(w, "beginning")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	default:
		var st int
		if _, err := fmt.Sscanf(r.URL.Path, "/status/%d", &st); err == nil {
			w.WriteHeader(st)
		}
	}
}
