package siege

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// vitals is what /metrics says of a process.
type vitals struct{ goroutines, files, heap float64 }

func (s *served) vitals() (v vitals) {
	s.t.Helper()
	res, err := http.Get("http://" + s.Console + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	for in := bufio.NewScanner(res.Body); in.Scan(); {
		name, value, _ := strings.Cut(in.Text(), " ")
		to, ok := map[string]*float64{"go_goroutines": &v.goroutines, "process_open_fds": &v.files, "go_memstats_heap_inuse_bytes": &v.heap}[name]
		if ok {
			fmt.Sscan(value, to)
		}
	}
	if v.goroutines == 0 || v.files == 0 || v.heap == 0 {
		s.t.Fatalf("/metrics tells %+v", v)
	}
	return v
}

// moody is a server that does what no server should, as the path says.
func moody(c net.Conn) {
	r := bufio.NewReader(c)
	for {
		q, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		switch q.URL.Path {
		case "/early":
			io.WriteString(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
			return
		case "/storm":
			io.WriteString(c, strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 150))
		case "/cut":
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nbeginning")
			return
		case "/reset":
			io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegin\r\n")
			c.(*net.TCPConn).SetLinger(0)
			return
		case "/switch": // for another key
			io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAA\r\n\r\n")
			return
		case "/talk": // the key is that of RFC 6455
			io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x81\x02hi")
			io.Copy(io.Discard, r)
			return
		case "/nothing":
			return
		case "/more": // than it says
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and then some")
			return
		case "/endless":
			io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
			for range 64 {
				if _, err := c.Write(make([]byte, 16<<10)); err != nil {
					return
				}
			}
			return
		default:
			io.Copy(io.Discard, q.Body)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	}
}

// An odd exchange is what a client sends and how it leaves.
type odd struct {
	say   string
	leave leaving
}

type leaving int

const (
	reads  leaving = iota // what comes, and then closes
	closes                // at once
	resets
	halves // ends its sending and reads what comes
)

const ask = "http://odd.example"

var oddities = []odd{
	{"GET " + ask + "/ HT", closes},
	{"GET " + ask + "/ HTTP/1.1\r\nHost: odd.example\r\nX: ", resets},
	{"GET " + ask + "/ HTTP/1.1\r\nHost: odd.example\r\n\r\n", halves},
	{"POST " + ask + "/ HTTP/1.1\r\nHost: odd.example\r\nContent-Length: 900\r\n\r\nhalf", closes},
	{"POST " + ask + "/ HTTP/1.1\r\nHost: odd.example\r\nContent-Length: 900\r\n\r\nhalf", halves},
	{"POST " + ask + "/ HTTP/1.1\r\nHost: odd.example\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf", resets},
	{"POST " + ask + "/ HTTP/1.1\r\nHost: odd.example\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\nX: y", closes},
	{"POST " + ask + "/ HTTP/1.1\r\nHost: odd.example\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", reads},
	{"POST " + ask + "/early HTTP/1.1\r\nHost: odd.example\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("plain text", 10000), reads},
	{"POST " + ask + "/early HTTP/1.1\r\nHost: odd.example\r\nContent-Length: 9000000\r\n\r\n" + strings.Repeat("plain text", 1000), resets},
	{"POST " + ask + "/ HTTP/1.1\r\nHost: odd.example\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n", closes},
	{"POST http://blocked.example/ HTTP/1.1\r\nHost: blocked.example\r\nContent-Length: 900000\r\n\r\nhalf", resets},
	{"POST http://blocked.example/ HTTP/1.1\r\nHost: blocked.example\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n", reads},
	{"GET " + ask + "/storm HTTP/1.1\r\nHost: odd.example\r\nConnection: close\r\n\r\n", reads},
	{"GET " + ask + "/cut HTTP/1.1\r\nHost: odd.example\r\n\r\n", reads},
	{"GET " + ask + "/reset HTTP/1.1\r\nHost: odd.example\r\n\r\n", reads},
	{"GET " + ask + "/nothing HTTP/1.1\r\nHost: odd.example\r\nConnection: close\r\n\r\n", reads},
	{"GET " + ask + "/more HTTP/1.1\r\nHost: odd.example\r\nConnection: close\r\n\r\n", reads},
	{"GET " + ask + "/endless HTTP/1.1\r\nHost: odd.example\r\n\r\n", reads},
	{"GET " + ask + "/endless HTTP/1.1\r\nHost: odd.example\r\n\r\n", resets},
	{strings.Repeat("GET "+ask+"/ HTTP/1.1\r\nHost: odd.example\r\n\r\n", 5) + "GET " + ask + "/ HT", closes},
	{"GET " + ask + "/talk HTTP/1.1\r\nHost: odd.example\r\n" + shake, closes},
	{"GET " + ask + "/talk HTTP/1.1\r\nHost: odd.example\r\n" + shake + "\x81\xfe\x10\x00half", resets},
	{"GET " + ask + "/talk HTTP/1.1\r\nHost: odd.example\r\n" + shake + "\xff\xff", reads},
	{"GET " + ask + "/switch HTTP/1.1\r\nHost: odd.example\r\n" + shake, closes},
	{"GET " + ask + "/ HTTP/1.1\r\nHost: odd.example\r\n" + shake, closes},
	{"CONNECT odd.example:443 HTTP/1.1\r\nHost: odd.example\r\n\r\n", closes},
	{"CONNECT odd.example:443 HTTP/1.1\r\nHost: odd.example\r\n\r\n\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", resets},
	{"CONNECT odd.example:443 HTTP/1.1\r\nHost: odd.example\r\n\r\n\x16\x03\x01\xff\xff" + strings.Repeat("\xee", 300), reads},
	{"CONNECT odd.example:80 HTTP/1.1\r\nHost: odd.example\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00\xff\xff\xff", reads},
	{"CONNECT odd.example:80 HTTP/1.1\r\nHost: odd.example\r\n\r\nGET /reset HTTP/1.1\r\nHost: odd.example\r\n\r\n", reads},
	{"CONNECT dead.example:80 HTTP/1.1\r\nHost: dead.example\r\n\r\n\x00\x01raw", reads},
	{"CONNECT dead.example:80 HTTP/1.1\r\nHost: dead.example\r\n\r\nGET / HTTP/1.1\r\nHost: dead.example\r\nConnection: close\r\n\r\n", reads},
	{"CONNECT odd.example:80 HTTP/1.1\r\nHost: odd.example\r\n\r\n\x00\x01raw", resets},
	{"\x05", closes}, {"\x05\x01\x00", resets}, {"\x05\x01\x00\x05\x01\x00\x03\x0bodd.example\x00\x50GET / HT", closes},
	{"\x05\x01\x00\x05\x01\x00\x03\x0bodd.example\x00\x50\x00\x01raw", closes},
}

const shake = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

func (o odd) run(addr string) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(c, o.say)
	switch o.leave {
	case resets:
		time.Sleep(time.Millisecond)
		c.(*net.TCPConn).SetLinger(0)
	case halves:
		c.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, c)
	case reads:
		c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		io.Copy(io.Discard, c)
	}
	return nil
}

// kept is how many connections may wait for further calls. Each oddity happens
// more often than that: one that leaves something behind shows.
const kept = 32

// Exchanges that go wrong in every way, thousands of them, leave no goroutine, no
// descriptor and no memory behind.
func TestOddExchangesLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes seconds")
	}
	dir := newState(t, allowing)
	a := newAuthority(t)
	tlsPort := a.https(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > 100 {
			w.WriteHeader(413)
			return
		}
		io.Copy(w, r.Body)
		w.(http.Flusher).Flush()
		time.Sleep(time.Millisecond)
	}))
	flags := append(to("odd.example", "80", listen(t, moody)), to("odd.example", "443", tlsPort)...)
	flags = append(flags, to("dead.example", "80", "1")...)
	s := serve(t, dir, append(flags, "--upstream-ca", a.file, "--metrics-open")...)
	round := func(n int) {
		each(n, func(i int) {
			if i%10 == 0 {
				s.streams(t, i)
			}
			if err := oddities[i%len(oddities)].run(s.Proxy); err != nil {
				t.Error(err)
			}
		})
		s.alive()
	}
	settle := func(want vitals) (v vitals) {
		for range 60 {
			if v = s.vitals(); v.goroutines <= want.goroutines && v.files <= want.files {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		return v
	}
	round(500)
	time.Sleep(2500 * time.Millisecond)
	early := s.vitals()
	round(2500)
	late := settle(vitals{early.goroutines + kept/2, early.files + kept, 0})
	t.Logf("after 500 exchanges %+v, after 3000 %+v", early, late)
	hold(t, "goroutines after odd exchanges", late.goroutines <= early.goroutines+kept/2, "%v, then %v", early.goroutines, late.goroutines)
	hold(t, "descriptors after odd exchanges", late.files <= early.files+kept, "%v, then %v", early.files, late.files)
	hold(t, "heap after odd exchanges", late.heap <= 1.5*early.heap+16<<20, "%v, then %v", early.heap, late.heap)
	if t.Failed() {
		s.where()
		return
	}
	s.stop()
	paired(t, dir)
	verified(t, dir)
}

// streams makes a connection of HTTP/2 with streams that end in several ways.
func (s *served) streams(t *testing.T, n int) {
	tr := s.client()
	defer tr.CloseIdleConnections()
	for i := range 4 {
		ctx, cancel := context.WithTimeout(t.Context(), []time.Duration{5 * time.Second, time.Duration(n%7) * time.Millisecond}[i%2])
		req, _ := http.NewRequestWithContext(ctx, "POST", "https://odd.example/", strings.NewReader(strings.Repeat("text ", 10+i*5000)))
		if res, err := tr.RoundTrip(req); err == nil {
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
		cancel()
	}
	if c, err := s.secure("odd.example:443", &tls.Config{ServerName: "odd.example", NextProtos: []string{"h2"}}); err == nil {
		io.WriteString(c, "no preface of HTTP/2 at all, and quite long for one")
		c.NetConn().Close()
	}
}
