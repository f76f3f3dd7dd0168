package proxy_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"outvet/internal/forward"
	"outvet/internal/listener/proxy"
)

// exact is a rig whose origin in the clear answers each connection by f, which
// sees the bytes as they come.
func exact(t *testing.T, policy string, f func(c net.Conn, r *bufio.Reader), tune ...func(*proxy.Server)) *rig {
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
				f(c, bufio.NewReader(c))
			}()
		}
	}()
	up := forward.New(forward.Options{ConnectTo: []forward.ConnectTo{connectTo(host, 80, l.Addr())}})
	t.Cleanup(up.Close)
	return newRig(t, nil, nil, policy, append(tune, func(s *proxy.Server) { s.Upstream = up })...)
}

// head reads a head as it stands on the wire.
func head(r *bufio.Reader) (string, error) {
	var b strings.Builder
	for {
		line, err := r.ReadString('\n')
		b.WriteString(line)
		if err != nil || line == "\r\n" {
			return b.String(), err
		}
	}
}

func TestNamesOrderAndReasonPassAsTheyCame(t *testing.T) {
	const request = "POST /a HTTP/1.1\r\nhOsT: " + host + "\r\nx-stainless-OS: Linux\r\nB: 2\r\nuser-agent: me\r\nA: 1\r\nb: 3\r\n" +
		"content-type: text/plain\r\nCONTENT-LENGTH: 2\r\naccept-encoding: gzip,br\r\nempty: \r\n\r\n"
	const response = "HTTP/1.1 299 Quite Fine\r\nz: 1\r\nA: 2\r\nset-cookie: a\r\nX: y\r\nSet-Cookie: b\r\ncontent-length: 2\r\nDATE: today\r\n\r\n"
	got := make(chan string, 1)
	r := exact(t, noSecrets, func(c net.Conn, br *bufio.Reader) {
		h, _ := head(br)
		body := make([]byte, 2)
		io.ReadFull(br, body)
		got <- h + string(body)
		io.WriteString(c, response+"ok")
	})
	c := r.dial(host + ":80")
	io.WriteString(c, request+"hi")
	back := make([]byte, len(response)+2)
	if _, err := io.ReadFull(c, back); err != nil || string(back) != response+"ok" {
		t.Errorf("%v\n%q, want\n%q", err, back, response+"ok")
	}
	if h := <-got; h != request+"hi" {
		t.Errorf("arrived as\n%q, want\n%q", h, request+"hi")
	}
}

func TestStrippedAndChangedFieldsLeaveTheOthersInPlace(t *testing.T) {
	got := make(chan string, 1)
	r := exact(t, "version: 1\ndefault: allow\nrules:\n- {name: no cookies, to: \"*\", strip_headers: [cookie]}\n"+
		"- {name: no secrets, finding: {kind: \"secret/*\"}, redact: mask}\n", func(c net.Conn, br *bufio.Reader) {
		h, _ := head(br)
		got <- h
		io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
	})
	c := r.dial(host + ":80")
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: "+host+"\r\na: 1\r\nCookie: x=y\r\nX-Note: "+token+"\r\nB: 2\r\n\r\n")
	if h := <-got; !strings.HasPrefix(h, "GET / HTTP/1.1\r\nHost: "+host+"\r\na: 1\r\nX-Note: ") || !strings.HasSuffix(h, "\r\nB: 2\r\n\r\n") || strings.Contains(h, token) {
		t.Errorf("arrived as %q", h)
	}
}

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) }, nil, noSecrets)
	c := r.dialTLS(host+":443", host)
	var all strings.Builder
	for i := range 20 {
		fmt.Fprintf(&all, "POST /%d HTTP/1.1\r\nHost: %s\r\nContent-Length: 3\r\n\r\nabc", i, host)
	}
	io.WriteString(c, all.String())
	br := bufio.NewReader(c)
	for i := range 20 {
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := io.ReadAll(resp.Body); string(b) != fmt.Sprintf("/%d", i) {
			t.Errorf("answer %d is %q", i, b)
		}
	}
}

func TestARefusalLeavesTheConnectionOpen(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "fine") }, nil, noSecrets)
	c := r.dialTLS(host+":443", host)
	br := bufio.NewReader(c)
	for _, tt := range []struct {
		body   string
		status int
	}{{token, 403}, {"harmless", 200}, {token, 403}, {"", 200}} {
		fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n%s", host, len(tt.body), tt.body)
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		if resp.StatusCode != tt.status || resp.Close {
			t.Errorf("%q: %s, close %v", tt.body, resp.Status, resp.Close)
		}
	}
}

func TestAClientOfHTTP10IsAnsweredAsItAsks(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/long" { // in chunks
			for range 3 {
				io.WriteString(w, "part ")
				w.(http.Flusher).Flush()
			}
			return
		}
		io.WriteString(w, "short")
	}, nil, allow)
	c := r.dialTLS(host+":443", host)
	br := bufio.NewReader(c)
	for range 2 {
		fmt.Fprintf(c, "GET / HTTP/1.0\r\nHost: %s\r\nConnection: keep-alive\r\n\r\n", host)
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := io.ReadAll(resp.Body); string(b) != "short" || resp.Header.Get("Connection") != "keep-alive" {
			t.Errorf("%q %v", b, resp.Header)
		}
	}
	fmt.Fprintf(c, "GET /long HTTP/1.0\r\nHost: %s\r\nConnection: keep-alive\r\n\r\n", host)
	all, err := io.ReadAll(br)
	h, body, _ := bytes.Cut(all, []byte("\r\n\r\n"))
	if err != nil || string(body) != "part part part " || !bytes.Contains(h, []byte("Connection: close")) || bytes.Contains(h, []byte("chunked")) {
		t.Errorf("%q %v", all, err)
	}
}

func TestAClientThatGoesAwayEndsItsCall(t *testing.T) {
	for _, body := range []string{"", "harmless"} {
		over := make(chan bool, 1)
		r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
			over <- true
		}, nil, noSecrets)
		c := r.dialTLS(host+":443", host)
		fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n%s", host, len(body), body)
		time.Sleep(20 * time.Millisecond)
		c.NetConn().Close()
		select {
		case <-over:
		case <-time.After(5 * time.Second):
			t.Fatal("the server still works for nobody")
		}
		if p := r.log.wait(t, 1)[0]; !strings.Contains(p.closed.Outcome.Error, "client went away") {
			t.Errorf("%+v", p.closed.Outcome)
		}
	}
}

// While an answer is waited for, somebody looks for the end of the connection
// and may read the first byte of the next request.
func TestARequestSentWhileOneWaitsIsNotLost(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			time.Sleep(300 * time.Millisecond)
		}
		fmt.Fprint(w, r.URL.Path)
	}, nil, allow)
	c := r.dialTLS(host+":443", host)
	fmt.Fprintf(c, "GET /slow HTTP/1.1\r\nHost: %s\r\n\r\n", host)
	time.Sleep(200 * time.Millisecond)
	fmt.Fprintf(c, "GET /next HTTP/1.1\r\nHost: %s\r\n\r\n", host)
	br := bufio.NewReader(c)
	for _, want := range []string{"/slow", "/next"} {
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := io.ReadAll(resp.Body); string(b) != want {
			t.Errorf("%q, want %q", b, want)
		}
	}
}

func TestSlowHeadsEndAndAreTold(t *testing.T) {
	r := newRig(t, nil, nil, allow, func(s *proxy.Server) { s.HeadTime, s.IdleTime = 100*time.Millisecond, 200*time.Millisecond })
	c := r.dialTLS(host+":443", host)
	go func() {
		for _, b := range []byte("GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 1000)) {
			if _, err := c.Write([]byte{b}); err != nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	if b, _ := io.ReadAll(c); !bytes.HasPrefix(b, []byte("HTTP/1.1 408 ")) {
		t.Errorf("%q", b)
	}
	if p := r.log.wait(t, 1)[0]; !strings.Contains(p.closed.Outcome.Error, "in time") {
		t.Errorf("%+v", p.closed.Outcome)
	}
	idle := r.dialTLS(host+":443", host)
	if b, err := io.ReadAll(idle); len(b) > 0 || err != nil {
		t.Errorf("an idle connection ended with %q, %v", b, err)
	}
}

func TestAClientThatReadsNothingIsCutOff(t *testing.T) {
	over := make(chan bool, 1)
	r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		b := make([]byte, 1<<20)
		for {
			if _, err := w.Write(b); err != nil {
				over <- true
				return
			}
		}
	}, nil, allow, func(s *proxy.Server) { s.StallTime = 200 * time.Millisecond })
	c := r.dialTLS(host+":443", host)
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", host)
	select {
	case <-over:
	case <-time.After(10 * time.Second):
		t.Fatal("the server still writes")
	}
	r.log.wait(t, 1)
}

func TestClientsBeyondTheLimitWaitForTheirTurn(t *testing.T) {
	var served atomic.Int32
	r := newRig(t, func(w http.ResponseWriter, r *http.Request) { served.Add(1) }, nil, allow, func(s *proxy.Server) { s.MaxConns = 2 })
	first, second := r.dialTLS(host+":443", host), r.dialTLS(host+":443", host)
	third, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer third.Close()
	fmt.Fprintf(third, "GET http://%s/ HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", host, host)
	third.SetDeadline(time.Now().Add(100 * time.Millisecond))
	if n, _ := third.Read(make([]byte, 1)); n > 0 || served.Load() > 0 {
		t.Fatal("a third client was served")
	}
	first.Close()
	third.SetDeadline(time.Now().Add(10 * time.Second))
	if b, err := io.ReadAll(third); err != nil || !bytes.HasPrefix(b, []byte("HTTP/1.1 200 ")) {
		t.Errorf("%q %v", b, err)
	}
	second.Close()
}

func TestAnAnswerWithTwoFramingsIsAFaultOfUpstream(t *testing.T) {
	for name, answer := range map[string]string{
		"both":         "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"two lengths":  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
		"split":        "HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\nContent-Length: 0\r\n\r\n",
		"folded":       "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
		"no digits":    "HTTP/1.1 200 OK\r\nContent-Length: 2x\r\n\r\nab",
		"gzip coding":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"space before": "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nab",
	} {
		t.Run(name, func(t *testing.T) {
			r := exact(t, allow, func(c net.Conn, br *bufio.Reader) {
				head(br)
				io.WriteString(c, answer)
			})
			resp, err := r.client(false).Get("http://" + host + "/")
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.StatusCode != 502 || !strings.Contains(resp.Header.Get("Proxy-Status"), "http_protocol_error") {
				t.Errorf("%s %v", resp.Status, resp.Header)
			}
		})
	}
}
