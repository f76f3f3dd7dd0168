package proxy_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"outvet/internal/forward"
	"outvet/internal/listener/proxy"
)

// heads is a server of HTTP/1.1 that keeps the heads of requests as they came.
type heads struct {
	mu  sync.Mutex
	all []string
}

func (h *heads) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.all, "\n")
}

// serve answers each connection's requests, and notes every byte of them.
func (h *heads) serve(t *testing.T) func(*proxy.Server) {
	return h1Origin(t, func(w http.ResponseWriter, r *http.Request) {
		var b strings.Builder
		fmt.Fprintf(&b, "%s %s %s\n", r.Method, r.RequestURI, r.Host)
		r.Header.Write(&b)
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // it was broken off
		}
		fmt.Fprintf(&b, "%v %d %q", r.TransferEncoding, r.ContentLength, body)
		h.mu.Lock()
		h.all = append(h.all, b.String())
		h.mu.Unlock()
	})
}

// TestNothingOfHTTP2BecomesAnotherRequestOfHTTP1 sends what splits requests
// where a proxy copies it into the older form.
func TestNothingOfHTTP2BecomesAnotherRequestOfHTTP1(t *testing.T) {
	const smuggled = "GET /smuggled HTTP/1.1"
	for _, fields := range [][]string{
		request("GET", "/", "x", "a\r\nb: c"),
		request("GET", "/", "x", "a\n"+smuggled),
		request("GET", "/", "x", "a\x00b"),
		request("GET", "/", "x\r\ny", "a"),
		request("GET", "/", "x: y", "a"),
		request("GET", "/", "x y", "a"),
		request("GET", "/", "", "a"),
		request("GET", "/", "X-Upper", "a"),
		request("GET", "/", "transfer-encoding", "chunked"),
		request("GET", "/", "connection", "x-secret"),
		request("GET", "/", "keep-alive", "1"),
		request("GET", "/", "proxy-connection", "close"),
		request("GET", "/", "upgrade", "h2c"),
		request("GET", "/", "te", "chunked"),
		request("GET", "/ HTTP/1.1\r\nx: y\r\n\r\n"+smuggled),
		request("GET", "/a b"),
		request("GET", "/a\tb"),
		request("GET", "/a\x7f"),
		request("GET", "/a#b"),
		request("GET", "a"),
		request("GET", ""),
		request("GET", "*"),
		request("GET", "https://other.example/"),
		request("GET /x HTTP/1.1\r\nx: y", "/"),
		request("G ET", "/"),
		request("", "/"),
		request("GET", "/", ":path", "/twice"),
		request("GET", "/", ":scheme", "http"),
		request("GET", "/", ":status", "200"),
		request("GET", "/", ":unknown", "x"),
		{"x", "y", ":method", "GET", ":scheme", "https", ":authority", host, ":path", "/"},
		{":method", "GET", ":scheme", "https", ":authority", host + "\r\nx: y", ":path", "/"},
		{":method", "GET", ":scheme", "https", ":authority", host + "/x", ":path", "/"},
		{":method", "GET", ":scheme", "https", ":authority", "user@" + host, ":path", "/"},
		{":method", "GET", ":scheme", "https", ":authority", host + " ", ":path", "/"},
		{":method", "GET", ":scheme", "ftp", ":authority", host, ":path", "/"},
		{":method", "GET", ":scheme", "https\r\nx: y", ":authority", host, ":path", "/"},
		{":method", "GET", ":authority", host, ":path", "/"},
		{":method", "GET", ":scheme", "https", ":authority", host},
	} {
		var h heads
		r := newRig(t, nil, nil, allow, h.serve(t))
		s := r.h2(t).open(fields, true)
		got := s.status()
		if got == "200" {
			t.Errorf("%q was sent on:\n%s", fields, &h)
		}
		if all := h.String(); all != "" && !(got == "400" || got == "404" || got == "421") {
			t.Errorf("%q reached the server:\n%s", fields, all)
		}
	}
}

func TestALengthInHTTP2IsThatOfTheBodyInHTTP1(t *testing.T) {
	var h heads
	r := newRig(t, nil, nil, allow, h.serve(t))
	p := r.h2(t)
	for _, fields := range [][]string{
		{"content-length", "0"}, {"content-length", "3", "content-length", "40"}, {"content-length", "40"},
		{"content-length", "4"}, {}, {"content-length", "0, 0"}, {"content-length", "0x1f"},
	} {
		s := p.open(request("POST", "/", fields...), false)
		s.send([]byte("GET /smuggled HTTP/1.1\r\n\r\n"), true)
		s.end()
	}
	if all := h.String(); strings.Contains(all, "GET /smuggled HTTP/1.1 ") || strings.Count(all, "POST / ") > 2 {
		t.Errorf("the server got\n%s", all)
	}
}

func TestAStreamForAnotherHostIsMisdirected(t *testing.T) {
	var h heads
	r := newRig(t, nil, nil, allow, h.serve(t))
	p := r.h2(t)
	as := func(authority string, more ...string) *strm {
		return p.open(append([]string{":method", "GET", ":scheme", "https", ":authority", authority, ":path", "/"}, more...), true)
	}
	records := 0
	for _, c := range []struct {
		want string
		s    *strm
		rec  int
	}{
		{"200", as(host), 1},
		{"200", as(host + ":443"), 1},
		{"200", as(strings.ToUpper(host)), 1},
		{"421", as("other.example"), 1},
		{"421", as(host + ":444"), 1},
		{"421", as("sub." + host), 1},
		{"200", as(host, "host", host), 1},
		{"400", as(host, "host", "other.example"), 1},
		{"400", as(host, "host", host, "host", "other.example"), 1},
		{"421", p.open([]string{":method", "GET", ":scheme", "https", ":path", "/", "host", "other.example"}, true), 1},
		{"200", p.open([]string{":method", "GET", ":scheme", "https", ":path", "/", "host", host}, true), 1},
		{"200", p.open([]string{":method", "GET", ":scheme", "http", ":authority", host, ":path", "/"}, true), 1},
	} {
		if got := c.s.status(); got != c.want {
			t.Errorf("%s, want %s: %v", got, c.want, c.s.heads)
		}
		records += c.rec
	}
	r.log.wait(t, records)
	if strings.Contains(h.String(), "other.example") {
		t.Errorf("the server got\n%s", &h)
	}
}

func TestHeadersOfHTTP2AreBounded(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, r *http.Request) {}, nil, allow)
	t.Run("list", func(t *testing.T) {
		p := r.h2(t)
		long := strings.Repeat("x", 8000)
		var fields []string
		for range 20 {
			fields = append(fields, "x", long)
		}
		s := p.open(request("GET", "/", fields...), true)
		if p.within(10*time.Second, func() bool { return len(s.heads) > 0 }) && s.status() != "431" {
			t.Errorf("160 KB of fields: %v", s.heads)
		}
		p = r.h2(t)
		if p.settings[http2.SettingMaxHeaderListSize] == 0 {
			t.Error("the bound is not told")
		}
		if s := p.open(request("GET", "/", fields[:8]...), true); s.status() != "200" {
			t.Errorf("32 KB of fields: %v", s.heads)
		}
	})
	t.Run("hpack bomb", func(t *testing.T) {
		p := r.h2(t)
		var fields []string
		for range 15_000 { // one byte each once it is in the table
			fields = append(fields, "x", strings.Repeat("y", 3000))
		}
		before := resident()
		s := p.open(request("GET", "/", fields...), true)
		if p.within(10*time.Second, func() bool { return len(s.heads) > 0 || s.reset != nil || p.goAway != nil }) && len(s.heads) > 0 && s.status() == "200" {
			t.Errorf("45 MB of fields were taken")
		}
		if n := resident() - before; n > 8<<20 {
			t.Errorf("%d KiB are held", n>>10)
		}
	})
	t.Run("continuation flood", func(t *testing.T) {
		p := r.h2(t)
		p.write(func() error {
			p.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82}})
			var b strings.Builder
			e := hpack.NewEncoder(&b)
			e.WriteField(hpack.HeaderField{Name: "x", Value: strings.Repeat("z", 4000), Sensitive: true})
			for range 2000 { // 8 MB
				if err := p.fr.WriteContinuation(1, false, []byte(b.String())); err != nil {
					return err
				}
			}
			return nil
		})
		if !p.within(10*time.Second, func() bool { return p.goAway != nil }) && p.err == nil {
			t.Error("the connection goes on")
		}
	})
	t.Run("empty continuations", func(t *testing.T) {
		p := r.h2(t)
		p.write(func() error {
			p.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82}})
			for range 100_000 {
				if err := p.fr.WriteContinuation(1, false, nil); err != nil {
					return err
				}
			}
			return nil
		})
		// They cost nothing but their reading; the head must come in time.
		if s := r.h2(t).open(request("GET", "/"), true); s.status() != "200" {
			t.Errorf("%v", s.heads)
		}
	})
}

func TestFloodsOfHTTP2AreBounded(t *testing.T) {
	block := make(chan struct{})
	var mu sync.Mutex
	at, most := 0, 0
	r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		at++
		most = max(most, at)
		mu.Unlock()
		select {
		case <-block:
		case <-r.Context().Done():
		}
		mu.Lock()
		at--
		mu.Unlock()
	}, nil, allow)
	t.Run("rapid reset", func(t *testing.T) { // CVE-2023-44487
		p := r.h2(t)
		p.wmu.Lock()
		for range 20_000 {
			p.mu.Lock()
			id := p.next
			p.next += 2
			p.mu.Unlock()
			p.headers(id, request("GET", "/"), true)
			if p.fr.WriteRSTStream(id, http2.ErrCodeCancel) != nil {
				break
			}
		}
		p.wmu.Unlock()
		p.within(3*time.Second, func() bool { return p.goAway != nil })
		mu.Lock()
		defer mu.Unlock()
		if most > 500 {
			t.Errorf("%d calls at a time reached the server", most)
		}
	})
	for name, frame := range map[string]func(*peer) error{
		"ping": func(p *peer) error { return p.fr.WritePing(false, [8]byte{}) },
		"settings": func(p *peer) error {
			return p.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 100})
		},
		"priority": func(p *peer) error { return p.fr.WritePriority(7, http2.PriorityParam{StreamDep: 3}) },
		"data":     func(p *peer) error { return p.fr.WriteData(1, false, nil) },
		"window":   func(p *peer) error { return p.fr.WriteWindowUpdate(0, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			c := tls.Client(r.dial(host+":443"), &tls.Config{RootCAs: r.roots, ServerName: host, NextProtos: []string{"h2"}})
			if err := c.Handshake(); err != nil {
				t.Fatal(err)
			}
			p := newPeer(t, c, true)
			io.WriteString(c, http2.ClientPreface)
			p.fr.WriteSettings()
			p.headers(1, request("POST", "/"), false)
			before := resident()
			c.SetWriteDeadline(time.Now().Add(2 * time.Second))
			for range 200_000 { // whoever reads no answers is not read from for ever
				if frame(p) != nil {
					break
				}
			}
			if n := resident() - before; n > 16<<20 && !raceEnabled {
				t.Errorf("%d KiB are held", n>>10)
			}
			c.Close()
		})
	}
	close(block)
	if s := r.h2(t).open(request("GET", "/"), true); s.status() != "200" {
		t.Errorf("afterwards: %v", s.heads)
	}
}

func TestAnUpgradeToHTTP2InTheClearIsNotMade(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) }, nil, allow)
	c := r.dial(host + ":80")
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", host)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(resp.Body); resp.StatusCode != 200 || string(b) != "HTTP/1.1" {
		t.Errorf("%s %q", resp.Status, b) // RFC 9113 §3.1: it is not used any more
	}
}

func TestHTTP2InTheClearIsCarriedAndJudged(t *testing.T) {
	o := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(w, r.Body)
		io.WriteString(w, r.Proto)
	}))
	o.Config.Protocols = new(http.Protocols)
	o.Config.Protocols.SetUnencryptedHTTP2(true)
	o.Start()
	t.Cleanup(o.Close)
	up := forward.New(forward.Options{ConnectTo: []forward.ConnectTo{connectTo(host, 80, o.Listener.Addr())}})
	t.Cleanup(up.Close)
	r := newRig(t, nil, nil, noSecrets, func(s *proxy.Server) { s.Upstream = up })
	p := startH2(t, r.dial(host+":80"))
	as := func(scheme, path string) []string {
		return []string{":method", "POST", ":scheme", scheme, ":authority", host, ":path", path}
	}
	s := p.open(as("http", "/x"), false)
	s.send([]byte("body "), true)
	if body, end := s.end(); body != "body HTTP/2.0" || end != "end" || s.status() != "200" {
		t.Errorf("%q %s %v", body, end, s.heads)
	}
	s = p.open(as("http", "/x"), false)
	s.send([]byte(token), true)
	if s.status() != "403" {
		t.Errorf("%v", s.heads)
	}
	for _, pr := range r.log.wait(t, 2) {
		if pr.decided.Scheme != "http" {
			t.Errorf("%+v", pr.decided)
		}
	}
	c := r.dial(host + ":80") // the preface comes in pieces, and is none
	io.WriteString(c, "PRI * HT")
	time.Sleep(20 * time.Millisecond)
	io.WriteString(c, "ML/5.0\r\n\r\n")
	if b, _ := io.ReadAll(c); strings.Contains(string(b), "200") {
		t.Errorf("%q", b)
	}
	r.log.wait(t, 3)
}
