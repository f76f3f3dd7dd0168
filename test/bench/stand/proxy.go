package stand

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
)

// references are the reference proxies by name.
var references = map[string]func(*proxy, net.Conn, *bufio.Reader, string){
	"connect":   (*proxy).tunnel,
	"mitm":      (*proxy).mitm,
	"mitm-scan": (*proxy).mitm,
	"mitm-std":  (*proxy).standard,
}

// A proxy is a reference proxy.
type proxy struct {
	origins map[string]string // by port
	roots   *x509.CertPool    // of the origin
	server  *tls.Config       // towards clients
	scan    *automaton        // nil: bodies pass unread
	std     http.Handler
}

// serveReference serves the reference proxy of that name until it fails.
func serveReference(name, dir string, origins map[string]string, ready func(addr string)) error {
	serve := references[name]
	if serve == nil {
		return fmt.Errorf("no reference proxy %q", name)
	}
	ca, err := open(dir, ReferenceCA)
	if err != nil {
		return err
	}
	p := &proxy{origins: origins, server: ca.server("http/1.1")}
	if p.roots, err = Pool(filepath.Join(dir, OriginCA+".pem")); err != nil {
		return err
	}
	if name == "mitm-scan" {
		p.scan = newAutomaton(literals())
	}
	p.std = p.handler()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ready(l.Addr().String())
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go p.accept(c, serve)
	}
}

const established = "HTTP/1.1 200 Connection established\r\n\r\n"

// accept reads a CONNECT.
func (p *proxy) accept(c net.Conn, serve func(*proxy, net.Conn, *bufio.Reader, string)) {
	in := bufio.NewReaderSize(c, 2048)
	target, err := connectTarget(in)
	if err != nil {
		io.WriteString(c, "HTTP/1.1 405 Only CONNECT\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		c.Close()
		return
	}
	serve(p, c, in, target)
}

func connectTarget(in *bufio.Reader) (string, error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return "", err
	}
	rest, ok := bytes.CutPrefix(line, []byte("CONNECT "))
	target, _, found := strings.Cut(string(rest), " ")
	if !ok || !found {
		return "", fmt.Errorf("not a CONNECT: %q", line)
	}
	for len(line) > 2 {
		if line, err = in.ReadSlice('\n'); err != nil {
			return "", err
		}
	}
	return target, nil
}

// tunnel is the reference connect.
func (p *proxy) tunnel(c net.Conn, in *bufio.Reader, target string) {
	defer c.Close()
	_, addr, err := p.origin(target)
	if err != nil {
		return
	}
	u, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer u.Close()
	io.WriteString(c, established)
	if n := in.Buffered(); n > 0 {
		b, _ := in.Peek(n)
		u.Write(b)
	}
	up, down := u.(*net.TCPConn), c.(*net.TCPConn)
	done := make(chan struct{})
	go func() {
		io.Copy(up, down)
		up.CloseWrite()
		close(done)
	}()
	io.Copy(down, up)
	down.CloseWrite()
	<-done
}

// terminate answers a CONNECT and ends the client's TLS.
func (p *proxy) terminate(c net.Conn) (*tls.Conn, error) {
	io.WriteString(c, established)
	t := tls.Server(c, p.server)
	return t, t.Handshake()
}

// origin splits the target of a CONNECT and returns where the origin listens for
// it.
func (p *proxy) origin(target string) (host, addr string, err error) {
	host, port, err := net.SplitHostPort(target)
	if err != nil {
		return "", "", err
	}
	if addr = p.origins[port]; addr == "" {
		return "", "", fmt.Errorf("no origin at port %s", port)
	}
	return host, addr, nil
}

func (p *proxy) dialTLS(host, addr string) (*tls.Conn, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	t := tls.Client(c, &tls.Config{RootCAs: p.roots, ServerName: host, NextProtos: []string{"http/1.1"}})
	if err := t.Handshake(); err != nil {
		c.Close()
		return nil, err
	}
	return t, nil
}

// mitm is the references mitm and mitm-scan.
func (p *proxy) mitm(c net.Conn, _ *bufio.Reader, target string) {
	defer c.Close()
	host, addr, err := p.origin(target)
	if err != nil {
		return
	}
	down, err := p.terminate(c)
	if err != nil {
		return
	}
	up, err := p.dialTLS(host, addr)
	if err != nil {
		return
	}
	defer up.Close()
	l := &loop{p: p, din: bufio.NewReader(down), uin: bufio.NewReader(up), dout: bufio.NewWriterSize(down, 16<<10), uout: bufio.NewWriterSize(up, 16<<10)}
	for {
		if again, err := l.once(); !again || err != nil {
			down.CloseWrite()
			return
		}
	}
}

// A loop carries the requests of one connection.
type loop struct {
	p          *proxy
	din, uin   *bufio.Reader
	dout, uout *bufio.Writer
	body       []byte
}

// once carries one request and its response.
func (l *loop) once() (again bool, err error) {
	req, err := http.ReadRequest(l.din)
	if err != nil {
		return false, err
	}
	if l.p.scan != nil && req.ContentLength > 0 {
		if req.Body, err = l.whole(req.Body, req.ContentLength); err != nil {
			return false, err
		}
	}
	if err := req.Write(l.uout); err != nil {
		return false, err
	}
	if err := l.uout.Flush(); err != nil {
		return false, err
	}
	resp, err := http.ReadResponse(l.uin, req)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	if l.p.scan != nil && resp.ContentLength > 0 && resp.ContentLength <= 8<<20 {
		if resp.Body, err = l.whole(resp.Body, resp.ContentLength); err != nil {
			return false, err
		}
	}
	var to io.Writer = l.dout
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		to = flushing{l.dout}
	}
	if err := resp.Write(to); err != nil {
		return false, err
	}
	return !req.Close && !resp.Close, l.dout.Flush()
}

// whole reads a body and searches it.
func (l *loop) whole(r io.Reader, n int64) (io.ReadCloser, error) {
	if int64(cap(l.body)) < n {
		l.body = make([]byte, n)
	}
	b := l.body[:n]
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	l.p.scan.count(b)
	return io.NopCloser(bytes.NewReader(b)), nil
}

// flushing sends each write at once, as a stream of events needs it. It costs a
// TLS record for each part of a chunk: events are where net/http is slow.
type flushing struct{ *bufio.Writer }

func (w flushing) Write(b []byte) (int, error) {
	n, err := w.Writer.Write(b)
	if err != nil {
		return n, err
	}
	return n, w.Flush()
}

func (w flushing) WriteString(s string) (int, error) { return w.Write([]byte(s)) }
