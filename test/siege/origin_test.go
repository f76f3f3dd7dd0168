package siege

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// listen accepts on a free port of loopback until the test is over.
func listen(t *testing.T, serve func(net.Conn)) (port string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(func() { ln.Close(); all.Wait() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(30 * time.Second))
				serve(c)
			})
		}
	}()
	_, port, _ = net.SplitHostPort(ln.Addr().String())
	return port
}

// to is the flag that leads host and port ("" for any host) to a port here.
func to(host, port, here string) []string {
	return []string{"--connect-to", host + ":" + port + ":127.0.0.1:" + here}
}

// A strict server of HTTP/1.1 takes nothing that another server could read in
// another way, and notes what came and what was wrong with it.
type strict struct {
	port string

	mu     sync.Mutex // guards what follows
	got    []request
	faults []string
}

type request struct {
	method, target, host string
	head                 string
	body                 []byte
}

func newStrict(t *testing.T) *strict {
	s := &strict{}
	s.port = listen(t, s.serve)
	return s
}

func (s *strict) serve(c net.Conn) {
	r := bufio.NewReader(c)
	for {
		q, err := strictRequest(r)
		s.mu.Lock()
		if err == nil {
			s.got = append(s.got, q)
		} else if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
			s.faults = append(s.faults, err.Error())
		}
		s.mu.Unlock()
		if err != nil {
			return
		}
		body := q.method + " " + q.target
		if q.method == "HEAD" {
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(body))
			continue
		}
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nContent-Type: text/plain\r\n\r\n%s", len(body), body)
	}
}

// of returns what came for host.
func (s *strict) of(host string) []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []request
	for _, q := range s.got {
		if strings.EqualFold(q.host, host) {
			out = append(out, q)
		}
	}
	return out
}

var (
	requestLine = regexp.MustCompile("^([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~]+) HTTP/1\\.1$")
	fieldLine   = regexp.MustCompile("^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]?([^\\x00-\\x08\\x0a-\\x1f\\x7f]*)$")
)

// strictRequest reads one request. io.EOF says that none begins.
func strictRequest(r *bufio.Reader) (q request, err error) {
	line, err := crlf(r)
	if err != nil {
		return q, err
	}
	m := requestLine.FindStringSubmatch(line)
	if m == nil {
		return q, fmt.Errorf("request line %q", line)
	}
	q.method, q.target = m[1], m[2]
	length, chunked, hosts := int64(-1), false, 0
	for {
		line, err := crlf(r)
		if err != nil {
			return q, fmt.Errorf("head of %s %s breaks off", q.method, q.target)
		}
		if line == "" {
			break
		}
		q.head += line + "\n"
		f := fieldLine.FindStringSubmatch(line)
		if f == nil {
			return q, fmt.Errorf("%s %s: field line %q", q.method, q.target, line)
		}
		switch strings.ToLower(f[1]) {
		case "host":
			hosts++
			q.host, _, _ = strings.Cut(f[2], ":")
		case "content-length":
			n, err := strconv.ParseUint(f[2], 10, 62)
			if err != nil || length >= 0 || chunked {
				return q, fmt.Errorf("%s %s: second or bad length %q", q.method, q.target, line)
			}
			length = int64(n)
		case "transfer-encoding":
			if f[2] != "chunked" || chunked || length >= 0 {
				return q, fmt.Errorf("%s %s: second or bad coding %q", q.method, q.target, line)
			}
			chunked = true
		}
	}
	if hosts != 1 {
		return q, fmt.Errorf("%s %s: %d host fields", q.method, q.target, hosts)
	}
	switch {
	case chunked:
		err = strictChunks(r, &q)
	case length > 0:
		q.body = make([]byte, length)
		if _, err := io.ReadFull(r, q.body); err != nil {
			return q, fmt.Errorf("body of %s %s breaks off", q.method, q.target)
		}
	}
	return q, err
}

func strictChunks(r *bufio.Reader, q *request) error {
	for {
		line, err := crlf(r)
		if err != nil {
			return fmt.Errorf("chunks of %s %s break off", q.method, q.target)
		}
		n, err := strconv.ParseUint(line, 16, 31)
		if err != nil {
			return fmt.Errorf("%s %s: chunk size %q", q.method, q.target, line)
		}
		if n == 0 {
			break
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(r, b); err != nil {
			return fmt.Errorf("chunks of %s %s break off", q.method, q.target)
		}
		q.body = append(q.body, b...)
		if line, err := crlf(r); err != nil || line != "" {
			return fmt.Errorf("%s %s: %q after a chunk", q.method, q.target, line)
		}
	}
	for {
		line, err := crlf(r)
		if err != nil || line == "" {
			return err
		}
		if !fieldLine.MatchString(line) {
			return fmt.Errorf("%s %s: trailer %q", q.method, q.target, line)
		}
		q.head += "trailer " + line + "\n"
	}
}

// crlf reads a line that ends with CR LF and has neither within.
func crlf(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		if line == "" {
			return "", io.EOF
		}
		return "", fmt.Errorf("line %q breaks off", line)
	}
	s, ok := strings.CutSuffix(line, "\r\n")
	if !ok || strings.ContainsAny(s, "\r\x00") {
		return "", fmt.Errorf("line %q", line)
	}
	return s, nil
}

// An authority issues certificates to the servers that stand for the internet.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	file string // PEM
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "siege CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{key: key, cert: cert, file: filepath.Join(t.TempDir(), "origin-ca.pem")}
	write(t, a.file, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	return a
}

// leaf issues a certificate for name, or if it is empty for what a client asks.
func (a *authority) leaf(name string, end time.Time) *tls.Config {
	issue := func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		n := name
		if n == "" {
			n = h.ServerName
		}
		cert := &x509.Certificate{
			SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: n}, DNSNames: []string{n},
			NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: end,
		}
		der, err := x509.CreateCertificate(rand.Reader, cert, a.cert, &a.key.PublicKey, a.key)
		if err != nil {
			return nil, err
		}
		return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: a.key}, nil
	}
	return &tls.Config{GetCertificate: issue, NextProtos: []string{"h2", "http/1.1"}}
}

// https serves h over TLS, HTTP/2 or 1.1, under any name.
func (a *authority) https(t *testing.T, h http.Handler) (port string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h, TLSConfig: a.leaf("", time.Now().Add(time.Hour)), ErrorLog: log.New(io.Discard, "", 0)}
	t.Cleanup(func() { s.Close() })
	go s.ServeTLS(ln, "", "")
	_, port, _ = net.SplitHostPort(ln.Addr().String())
	return port
}
