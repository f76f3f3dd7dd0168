package siege

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Clients that are gone at any byte of a request leave two leaves or none, no
// goroutine, and no shutdown that does not end.
func TestClientGoneAnywhereLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	dir := newState(t, allowing)
	web := newStrict(t)
	s := serve(t, dir, to("", "80", web.port)...)
	raw := []string{
		"POST http://gone.example/x HTTP/1.1\r\nHost: gone.example\r\nContent-Length: 12\r\n\r\nhello, world",
		"POST http://gone.example/x HTTP/1.1\r\nHost: gone.example\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n",
		"GET http://gone.example/x HTTP/1.1\r\nHost: gone.example\r\n\r\n",
		"CONNECT gone.example:80 HTTP/1.1\r\nHost: gone.example\r\n\r\nGET / HTTP/1.1\r\nHost: gone.example\r\n\r\n",
		"CONNECT gone.example:443 HTTP/1.1\r\nHost: gone.example\r\n\r\n\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
	}
	type cut struct {
		b     string
		reset bool
	}
	var cuts []cut
	for _, r := range raw {
		for i := 0; i <= len(r); i += 3 {
			cuts = append(cuts, cut{r[:i], i%2 == 0})
		}
	}
	for range 30 { // in a body whose length is not known
		cuts = append(cuts, cut{raw[1][:strings.Index(raw[1], "hello")+3], true})
	}
	each(len(cuts), func(i int) {
		c, err := net.Dial("tcp", s.Proxy)
		if err != nil {
			t.Error(err)
			return
		}
		if cuts[i].reset {
			c.(*net.TCPConn).SetLinger(0)
		}
		io.WriteString(c, cuts[i].b)
		time.Sleep(10 * time.Millisecond)
		c.Close()
	})
	for range 2 { // before the end of the trailer, after the gate has lost patience
		var all sync.WaitGroup
		for range 64 {
			all.Go(func() { send(t, s.Proxy, []byte(strings.TrimSuffix(raw[1], "\r\n")), 1300*time.Millisecond) })
		}
		all.Wait()
	}
	s.alive()
	x := send(t, s.Proxy, []byte("POST http://ok.example/x HTTP/1.1\r\nHost: ok.example\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"), 3*time.Second)
	hold(t, "gone clients give back memory", len(x.status) == 1 && x.status[0] == 200, "after 192 clients were gone within chunked bodies a small chunked POST gets %v %.200q within 3 s", x.status, x.bodies)
	ended := s.ends(14 * time.Second)
	hold(t, "gone clients do not keep serve from ending", ended, "SIGTERM after clients were gone within chunked bodies: serve does not end")
	if !ended {
		s.where()
		return
	}
	paired(t, dir)
	verified(t, dir)
}

// ends asks serve to end and reports whether it does in time.
func (s *served) ends(within time.Duration) bool {
	s.Cmd.Process.Signal(os.Interrupt)
	select {
	case <-s.Ended:
		return true
	case <-time.After(within):
		return false
	}
}

// Clients that announce large bodies and send none do not stop the others.
func TestBodiesThatDoNotComeDoNotStopOthers(t *testing.T) {
	t.Parallel()
	dir := newState(t, allowing)
	web := newStrict(t)
	s := serve(t, dir, to("", "80", web.port)...)
	for range 80 {
		c, err := net.Dial("tcp", s.Proxy)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "POST http://slow.example/x HTTP/1.1\r\nHost: slow.example\r\nContent-Length: %d\r\n\r\nx", 8<<20)
	}
	for range 300 { // heads that do not end
		c, err := net.Dial("tcp", s.Proxy)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, "GET http://slow.example/x HTTP/1.1\r\nX-A")
	}
	time.Sleep(300 * time.Millisecond)
	x := send(t, s.Proxy, []byte("GET http://ok.example/x HTTP/1.1\r\nHost: ok.example\r\n\r\n"), 3*time.Second)
	hold(t, "a GET beside slow heads", len(x.status) == 1 && x.status[0] == 200, "got %v", x.status)
	x = send(t, s.Proxy, []byte("POST http://ok.example/x HTTP/1.1\r\nHost: ok.example\r\nContent-Length: 2\r\n\r\nab"), 3*time.Second)
	hold(t, "a POST beside bodies that do not come", len(x.status) == 1 && x.status[0] == 200, "a POST of 2 bytes got %v within 3 s while 80 clients hold back announced bodies of 8 MiB", x.status)
}

// pool is what a client of s trusts.
func (s *served) pool() *x509.CertPool {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, "ca.pem"))
	if err != nil {
		s.t.Fatal(err)
	}
	p := x509.NewCertPool()
	p.AppendCertsFromPEM(b)
	return p
}

// secure opens a tunnel and begins TLS in it.
func (s *served) secure(hostport string, conf *tls.Config) (*tls.Conn, error) {
	c, err := connect(s.Proxy, hostport)
	if err != nil {
		return nil, err
	}
	conf.RootCAs = s.pool()
	tc := tls.Client(c, conf)
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if err := tc.Handshake(); err != nil {
		c.Close()
		return nil, err
	}
	return tc, nil
}

// What a tunnel says, what TLS says and what the request says must agree.
func TestTunnelsDoNotHideWhereARequestGoes(t *testing.T) {
	t.Parallel()
	dir := newState(t, allowing)
	a := newAuthority(t)
	web := newStrict(t)
	port := a.https(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s", r.Proto, r.Host)
	}))
	s := serve(t, dir, append(append(to("", "80", web.port), to("", "443", port)...), "--upstream-ca", a.file)...)
	inTLS := func(sni, request string) exchange {
		c, err := s.secure("ok.example:443", &tls.Config{ServerName: sni, InsecureSkipVerify: sni == "", NextProtos: []string{"http/1.1"}})
		if err != nil {
			t.Errorf("SNI %q: %v", sni, err)
			return exchange{}
		}
		defer c.Close()
		return talk(c, []byte(request), 3*time.Second)
	}
	for _, row := range []struct {
		sni, request string
		want         int
	}{
		{"ok.example", "GET / HTTP/1.1\r\nHost: ok.example\r\n\r\n", 200},
		{"", "GET / HTTP/1.1\r\nHost: ok.example\r\n\r\n", 200},
		{"OK.Example", "GET / HTTP/1.1\r\nHost: OK.example:443\r\n\r\n", 200},
		{"blocked.example", "GET / HTTP/1.1\r\nHost: blocked.example\r\n\r\n", 421},
		{"blocked.example", "GET / HTTP/1.1\r\nHost: ok.example\r\n\r\n", 421},
		{"ok.example", "GET / HTTP/1.1\r\nHost: blocked.example\r\n\r\n", 421},
		{"ok.example", "GET / HTTP/1.1\r\nHost: ok.example:80\r\n\r\n", 421},
		{"ok.example", "GET http://blocked.example/ HTTP/1.1\r\nHost: ok.example\r\n\r\n", 421},
		{"ok.example", "GET https://blocked.example/ HTTP/1.1\r\nHost: ok.example\r\n\r\n", 421},
		{"ok.example", "CONNECT blocked.example:443 HTTP/1.1\r\nHost: blocked.example\r\n\r\n", 400},
		{"ok.example", "CONNECT ok.example:443 HTTP/1.1\r\nHost: ok.example:443\r\n\r\n", 400},
	} {
		x := inTLS(row.sni, row.request)
		hold(t, "tunnel/"+row.sni+" "+row.request, len(x.status) > 0 && x.status[0] == row.want, "got %v %q", x.status, x.bodies)
	}
	t.Run("old TLS", func(t *testing.T) {
		_, err := s.secure("old.example:443", &tls.Config{ServerName: "old.example", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10})
		if err == nil {
			t.Error("TLS 1.0 is spoken")
		}
	})
	t.Run("h2", func(t *testing.T) { tunnelH2(t, s) })
	t.Run("loop", func(t *testing.T) {
		_, own, _ := net.SplitHostPort(s.Proxy)
		for _, host := range []string{s.Proxy, "localhost:" + own, s.Console, "[::1]:" + own, "0.0.0.0:" + own} {
			x := send(t, s.Proxy, []byte("GET http://"+host+"/ HTTP/1.1\r\nHost: "+host+"\r\n\r\n"), 3*time.Second)
			if len(x.status) == 0 || x.status[0] != 508 && x.status[0] != 403 {
				t.Errorf("%s: %v %q", host, x.status, x.bodies)
			}
		}
	})
	t.Run("raw", func(t *testing.T) {
		for _, b := range []string{"\x00", "SSH-2.0-x\r\n", "\x80\x2e\x01\x03\x01", strings.Repeat("A", 100), "GET", "\x16", "\x16\x03"} {
			c, err := connect(s.Proxy, "blocked.example:443")
			if err != nil {
				t.Fatal(err)
			}
			talk(c, []byte(b), 700*time.Millisecond)
			c.Close()
		}
		if got := web.of("blocked.example"); len(got) > 0 {
			t.Errorf("%v arrived", got)
		}
	})
	s.stop()
	by := calls(t, dir, "")
	if len(by["old.example"]) != 1 {
		t.Errorf("the client of TLS 1.0 has %d records", len(by["old.example"]))
	}
	paired(t, dir)
	verified(t, dir)
}

// tunnelH2 asks over HTTP/2 for another host than that of the tunnel.
func tunnelH2(t *testing.T, s *served) {
	tr := &http.Transport{ForceAttemptHTTP2: true, DialTLSContext: func(_ context.Context, _, _ string) (net.Conn, error) {
		return s.secure("ok.example:443", &tls.Config{ServerName: "ok.example", NextProtos: []string{"h2"}})
	}}
	defer tr.CloseIdleConnections()
	for host, want := range map[string]int{"ok.example": 200, "blocked.example": 421, "ok.example:80": 421, "OK.EXAMPLE": 200, "ok.example.": 200} {
		req, _ := http.NewRequest("GET", "https://ok.example/", nil)
		req.Host = host
		res, err := tr.RoundTrip(req)
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		b, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != want || res.ProtoMajor != 2 {
			t.Errorf(":authority %s: %s %s %s, want %d", host, res.Proto, res.Status, bytes.TrimSpace(b), want)
		}
	}
}

// Servers skip empty lines before a request (RFC 9112, section 2.2), so a
// request behind one is judged as a request, not as raw bytes.
func TestEmptyLineBeforeARequestIsNoWayAround(t *testing.T) {
	t.Parallel()
	dir := newState(t, `version: 1
default: allow
rules:
  - {name: nobody deletes, to: ok.example, method: DELETE, verdict: block}
  - {name: not this path, to: ok.example, path: "/private/**", verdict: block}
`)
	got := make(chan string, 10)
	port := listen(t, func(c net.Conn) {
		b := make([]byte, 4096)
		n, _ := c.Read(b)
		got <- string(b[:n])
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	})
	s := serve(t, dir, to("", "80", port)...)
	for _, before := range []string{"\r\n", "\n", "\r\n\r\n"} {
		c, err := connect(s.Proxy, "ok.example:80")
		if err != nil {
			t.Fatal(err)
		}
		talk(c, []byte(before+"DELETE /private/x HTTP/1.1\r\nHost: ok.example\r\n\r\n"), 1500*time.Millisecond)
		c.Close()
	}
	s.stop()
	select {
	case b := <-got:
		hold(t, "empty line before a request", false, "a blocked request left as raw bytes: %q", b)
	default:
		hold(t, "empty line before a request", true, "")
	}
}

// A client that is slow to begin TLS, on a busy machine or a long way off, is
// judged by its request as any other, also where only requests are allowed.
func TestSlowClientsAreNoRawConnections(t *testing.T) {
	t.Parallel()
	dir := newState(t, `version: 1
default: block
rules:
  - {name: read, to: ok.example, method: GET, verdict: allow}
`)
	a := newAuthority(t)
	port := a.https(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") }))
	s := serve(t, dir, append(to("", "443", port), "--upstream-ca", a.file)...)
	for host, want := range map[string]int{"ok.example": 200, "no.example": 403} {
		c, err := connect(s.Proxy, host+":443")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(800 * time.Millisecond)
		tc := tls.Client(c, &tls.Config{RootCAs: s.pool(), ServerName: host})
		c.SetDeadline(time.Now().Add(5 * time.Second))
		err = tc.Handshake()
		x := exchange{}
		if err == nil {
			x = talk(tc, []byte("GET / HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n"), 3*time.Second)
		}
		tc.Close()
		hold(t, "slow client of "+host, len(x.status) == 1 && x.status[0] == want, "a client that began TLS 800 ms after CONNECT got %v %v, want %d", x.status, err, want)
	}
	s.stop()
	for host, l := range calls(t, dir, "") {
		hold(t, "one call of a slow client of "+host, len(l) == 1, "%d calls recorded of one", len(l))
	}
}
