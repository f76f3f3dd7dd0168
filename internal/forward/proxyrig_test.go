package forward

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// An exit is an upstream proxy, as a company has one: HTTP (CONNECT and
// absolute form) and SOCKS5 on one port, with or without a login. It knows names
// that this side does not.
type exit struct {
	t     testing.TB
	l     net.Listener
	login string            // user:password, "" for none
	names map[string]string // host:port → where it is

	mu      sync.Mutex // what it was asked for
	asked   []string
	lines   []string // request lines, over HTTP
	conns   int
	missing int // requests without the login
}

// newExit starts a proxy. Its connections end with the test.
func newExit(t testing.TB, login string, names map[string]string, over *tls.Config) *exit {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if over != nil {
		l = tls.NewListener(l, over)
	}
	x := &exit{t: t, l: l, login: login, names: names}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	keep := func(c net.Conn) {
		mu.Lock()
		open = append(open, c)
		mu.Unlock()
	}
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			keep(c)
			x.mu.Lock()
			x.conns++
			x.mu.Unlock()
			wg.Go(func() { defer c.Close(); x.serve(c, keep) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return x
}

func (x *exit) address() string { return x.l.Addr().String() }

// url returns the proxy's URL with the login in it.
func (x *exit) url(scheme string) string {
	at := ""
	if x.login != "" {
		at = x.login + "@"
	}
	return scheme + "://" + at + x.address()
}

// seen returns what was asked for and how many connections there were.
func (x *exit) seen() ([]string, int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return append([]string(nil), x.asked...), x.conns
}

func (x *exit) dial(to string) (net.Conn, error) {
	x.mu.Lock()
	x.asked = append(x.asked, to)
	x.mu.Unlock()
	at, ok := x.names[to]
	if !ok {
		return nil, &net.DNSError{Err: "no such host", Name: to, IsNotFound: true}
	}
	return net.Dial("tcp", at)
}

func (x *exit) serve(c net.Conn, keep func(net.Conn)) {
	br := bufio.NewReader(c)
	first, err := br.Peek(1)
	if err != nil {
		return
	}
	if first[0] == 5 {
		x.serveSOCKS(c, br, keep)
		return
	}
	for {
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		x.mu.Lock()
		x.lines = append(x.lines, req.Method+" "+req.RequestURI)
		x.mu.Unlock()
		if want := "Basic " + base64.StdEncoding.EncodeToString([]byte(x.login)); x.login != "" && req.Header.Get("Proxy-Authorization") != want {
			x.mu.Lock()
			x.missing++
			x.mu.Unlock()
			io.WriteString(c, "HTTP/1.1 407 "+canary+"\r\nProxy-Authenticate: Basic realm=\""+canary+"\"\r\nContent-Length: 0\r\n\r\n")
			return
		}
		if req.Method == http.MethodConnect {
			up, err := x.dial(req.Host)
			if err != nil {
				io.WriteString(c, "HTTP/1.1 502 "+canary+"\r\nContent-Length: 0\r\n\r\n")
				return
			}
			keep(up)
			io.WriteString(c, "HTTP/1.1 200 Connection established\r\nX-Thing: "+canary+"\r\n\r\n")
			splice(c, br, up)
			return
		}
		if !req.URL.IsAbs() {
			io.WriteString(c, "HTTP/1.1 400 not in absolute form\r\nContent-Length: 0\r\n\r\n")
			return
		}
		host := req.URL.Host
		if req.URL.Port() == "" {
			host += ":80"
		}
		up, err := x.dial(host)
		if err != nil {
			io.WriteString(c, "HTTP/1.1 502 no\r\nContent-Length: 0\r\n\r\n")
			return
		}
		req.Header.Del("Proxy-Authorization")
		req.Write(up)
		resp, err := http.ReadResponse(bufio.NewReader(up), req)
		if err == nil {
			resp.Write(c)
			resp.Body.Close()
		}
		up.Close()
	}
}

// splice copies both ways until both have ended.
func splice(c net.Conn, br io.Reader, up net.Conn) {
	defer up.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(up, br)
		half(up)
	}()
	io.Copy(c, up)
	half(c)
	<-done
}

func half(c net.Conn) {
	if h, ok := c.(interface{ CloseWrite() error }); ok {
		h.CloseWrite()
	}
}

func (x *exit) serveSOCKS(c net.Conn, br *bufio.Reader, keep func(net.Conn)) {
	read := func(n int) []byte {
		b := make([]byte, n)
		io.ReadFull(br, b)
		return b
	}
	methods := read(int(read(2)[1]))
	switch {
	case x.login == "":
		c.Write([]byte{5, 0})
	case !strings.Contains(string(methods), "\x02"):
		c.Write([]byte{5, 0xff})
		return
	default:
		c.Write([]byte{5, 2})
		user := string(read(int(read(2)[1])))
		password := string(read(int(read(1)[0])))
		if user+":"+password != x.login {
			c.Write([]byte{1, 1})
			return
		}
		c.Write([]byte{1, 0})
	}
	head := read(4)
	var host string
	switch head[3] {
	case 1:
		host = netip.AddrFrom4([4]byte(read(4))).String()
	case 4:
		host = netip.AddrFrom16([16]byte(read(16))).String()
	default:
		host = string(read(int(read(1)[0])))
	}
	port := binary.BigEndian.Uint16(read(2))
	up, err := x.dial(net.JoinHostPort(host, strconv.Itoa(int(port))))
	if err != nil {
		c.Write([]byte{5, 4, 0, 1, 0, 0, 0, 0, 0, 0})
		return
	}
	keep(up)
	c.Write(append(append([]byte{5, 0, 0, 3, 4}, "name"...), 0, 80))
	splice(c, br, up)
}

// through returns Options that go out through the proxy of url, where no name is
// known on this side.
func through(t testing.TB, url string, change ...func(*Options)) *Forwarder {
	t.Helper()
	p, err := NewProxies(url, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Proxies: p, Resolver: unknown{}}
	for _, c := range change {
		c(&o)
	}
	f := New(o)
	t.Cleanup(f.Close)
	return f
}
