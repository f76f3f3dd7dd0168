package forward

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// scripted starts a server that serves its nth connection, from 0, by f.
func scripted(t *testing.T, o Options, f func(n int, c net.Conn, r *bufio.Reader)) (*Forwarder, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for n := 0; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(10 * time.Second))
				f(n, c, bufio.NewReader(c))
			}()
		}
	}()
	fw := New(o)
	t.Cleanup(fw.Close)
	return fw, "http://" + l.Addr().String()
}

// answered reads requests and answers each.
func answered(c net.Conn, r *bufio.Reader, answers ...string) {
	for _, a := range answers {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		io.Copy(io.Discard, req.Body)
		io.WriteString(c, a)
	}
}

const plain = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func send(f *Forwarder, req *http.Request) (string, error) {
	resp, err := f.RoundTrip(req, loopback, H1)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

func TestConnectionThatSaysTooMuchIsNotUsedAgain(t *testing.T) {
	for name, first := range map[string]string{
		"a second answer":   plain + "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
		"a byte":            plain + "x",
		"a body of a 204":   "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
		"Connection: close": "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.0":          "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
	} {
		var conns atomic.Int32
		f, url := scripted(t, Options{}, func(n int, c net.Conn, r *bufio.Reader) {
			conns.Add(1)
			if n == 0 {
				answered(c, r, first)
				time.Sleep(100 * time.Millisecond) // the connection stays open
				return
			}
			answered(c, r, plain)
		})
		send(f, request(t, "GET", url+"/1", ""))
		time.Sleep(10 * time.Millisecond)
		if got, err := send(f, request(t, "GET", url+"/2", "")); got != "ok" || err != nil || conns.Load() != 2 {
			t.Errorf("%s: %q %v over %d connections", name, got, err, conns.Load())
		}
	}
}

func TestServersWordOnKeepingIsHeeded(t *testing.T) {
	var conns atomic.Int32
	f, url := scripted(t, Options{}, func(_ int, c net.Conn, r *bufio.Reader) {
		conns.Add(1)
		answered(c, r, "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1, max=9\r\nContent-Length: 2\r\n\r\nok", plain)
	})
	for range 2 {
		if got, err := send(f, request(t, "POST", url, "pay")); got != "ok" || err != nil {
			t.Errorf("%q %v", got, err)
		}
	}
	if conns.Load() != 2 {
		t.Errorf("%d connections: the server was about to close the first", conns.Load())
	}
}

// A server may refuse an upload before it has read it.
func TestAnswerBeforeTheEndOfTheRequestIsRead(t *testing.T) {
	const refusal = "HTTP/1.1 413 Too Large\r\nContent-Length: 7\r\n\r\nenough!"
	for name, then := range map[string]func(net.Conn, *bufio.Reader){
		"and reads on": func(c net.Conn, r *bufio.Reader) { io.Copy(io.Discard, r) },
		"and resets":   func(c net.Conn, r *bufio.Reader) { c.(*net.TCPConn).SetLinger(0) },
		"and is still": func(c net.Conn, r *bufio.Reader) { time.Sleep(200 * time.Millisecond) },
	} {
		f, url := scripted(t, Options{}, func(_ int, c net.Conn, r *bufio.Reader) {
			head(r)
			io.WriteString(c, refusal)
			time.Sleep(20 * time.Millisecond)
			then(c, r)
		})
		req := request(t, "POST", url, "")
		req.Body, req.ContentLength = io.NopCloser(io.LimitReader(endless{}, 64<<20)), 64<<20
		resp, err := f.RoundTrip(req, loopback, H1)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if b, err := io.ReadAll(resp.Body); string(b) != "enough!" || err != nil {
			t.Errorf("%s: %q %v", name, b, err)
		}
		resp.Body.Close()
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func head(r *bufio.Reader) {
	for {
		if line, err := r.ReadString('\n'); err != nil || line == "\r\n" {
			return
		}
	}
}

func TestBodyThatFailsIsNeverTakenForWhole(t *testing.T) {
	broken := errors.New("the client went away")
	for _, length := range []int64{-1, 100} {
		got := make(chan error, 1)
		f, url := scripted(t, Options{}, func(_ int, c net.Conn, r *bufio.Reader) {
			req, err := http.ReadRequest(r)
			if err == nil {
				_, err = io.ReadAll(req.Body)
			}
			got <- err
			io.WriteString(c, plain)
		})
		req := request(t, "POST", url, "")
		req.Body, req.ContentLength = io.NopCloser(io.MultiReader(strings.NewReader("half"), failing{broken})), length
		if _, err := send(f, req); !errors.Is(err, broken) {
			t.Errorf("length %d: %v", length, err)
		}
		if err := <-got; err == nil {
			t.Errorf("length %d: the server read a whole body", length)
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestAnswersWithoutAnEndAreBounded(t *testing.T) {
	interim := strings.Repeat("HTTP/1.1 103 Early Hints\r\nX: "+strings.Repeat("x", 1000)+"\r\n\r\n", 1000)
	for name, answer := range map[string]string{"1xx": interim, "switch": "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"} {
		f, url := scripted(t, Options{}, func(_ int, c net.Conn, r *bufio.Reader) { answered(c, r, answer) })
		if _, err := send(f, request(t, "GET", url, "")); Classify(err) == nil || Classify(err).Type != "http_protocol_error" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A server that sends TLS session tickets late must not cost its connections.
func TestLateTicketsDoNotCostTheConnection(t *testing.T) {
	s, conns := counting(t, ok)
	f := s.forwarder(t)
	for range 5 {
		get(t, f, H1, request(t, "POST", "https://api.example/", "x"))
		time.Sleep(5 * time.Millisecond)
	}
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// Every cut of an answer, on a new and on a used connection, is an error or the
// whole answer, never a part of it.
func TestCutAnywhereIsNoticed(t *testing.T) {
	answers := []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nhello, world",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n7\r\n, world\r\n0\r\nX: y\r\n\r\n",
	}
	for _, a := range answers {
		for i := range len(a) {
			f, url := scripted(t, Options{}, func(n int, c net.Conn, r *bufio.Reader) {
				if n == 0 {
					answered(c, r, plain, a[:i])
				} else {
					answered(c, r, a[:i])
				}
			})
			send(f, request(t, "GET", url, ""))
			if got, err := send(f, request(t, "GET", url, "")); err == nil {
				t.Errorf("cut at %d: %q is taken for whole", i, got)
			} else if e := Classify(err); e.Status < 502 {
				t.Errorf("cut at %d: %+v", i, e)
			}
			f.Close()
		}
	}
}

func TestRequestOverAKeptConnectionCostsFewAllocations(t *testing.T) {
	f, url := scripted(t, Options{}, func(_ int, c net.Conn, r *bufio.Reader) {
		b := make([]byte, 4096)
		for {
			if _, err := c.Read(b); err != nil {
				return
			}
			io.WriteString(c, plain)
		}
	})
	const budget = 32
	n := testing.AllocsPerRun(200, func() {
		req, _ := http.NewRequestWithContext(t.Context(), "GET", url, nil)
		if got, err := send(f, req); got != "ok" || err != nil {
			t.Fatal(got, err)
		}
	})
	if n > budget {
		t.Errorf("%v allocations, budget %d", n, budget)
	}
}
