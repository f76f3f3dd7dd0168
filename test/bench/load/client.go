package load

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// patience is how long one request may take.
const patience = 60 * time.Second

// A Route is one way to the origin.
type Route struct {
	Name    string
	Proxy   string            // host:port; "" goes straight to the origin
	Session string            // user name for the proxy, "" for none
	Origin  map[string]string // port of the origin's name to the address it listens on
	Roots   *x509.CertPool
	Issuer  string // of the certificates that the client must see; "" for any
}

// A Job is a request that is sent again and again.
type Job struct {
	Host   string // name of the origin
	Port   string
	TLS    bool
	Raw    bool // frames of bytes that are no protocol anybody knows
	Method string
	Path   string
	Body   []byte
	Fresh  bool // a new connection for each request
	Unread bool // TLS passes the proxy: the certificate is the origin's
}

// OriginIssuer is who issues the origin's certificates.
const OriginIssuer = "outvet benchmark origin-ca"

// A Client sends a Job by a Route on one connection, doing as little as it can.
type Client struct {
	route Route
	job   Job
	tls   *tls.Config
	req   []byte
	conn  net.Conn
	in    *bufio.Reader
	sink  []byte
	used  int // requests on this connection

	Status int
	Length int64  // of the last body
	Issuer string // of the certificate that the client saw
	Again  int    // requests repeated because an idle connection was closed
	event  func(line []byte)
}

// NewClient returns a client without a connection.
func NewClient(r Route, j Job) *Client {
	c := &Client{route: r}
	c.tls = &tls.Config{RootCAs: r.Roots, ServerName: j.Host, NextProtos: []string{"http/1.1"}}
	c.Send(j)
	return c
}

// Send makes j the request of the next Do.
func (c *Client) Send(j Job) {
	c.job = j
	if j.Raw {
		c.req = append(Frame(len(j.Body)), j.Body...)
		return
	}
	var b bytes.Buffer
	uri := j.Path
	if c.route.Proxy != "" && !j.TLS {
		uri = "http://" + j.Host + j.Path
	}
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench/1\r\nAccept: */*\r\n", j.Method, uri, j.Host)
	if c.route.Proxy != "" && !j.TLS {
		b.WriteString(c.credentials())
	}
	if j.Body != nil {
		fmt.Fprintf(&b, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(j.Body))
	}
	if j.Fresh {
		b.WriteString("Connection: close\r\n")
	}
	b.WriteString("\r\n")
	c.req = append(b.Bytes(), j.Body...)
}

func (c *Client) credentials() string {
	if c.route.Session == "" {
		return ""
	}
	return "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(c.route.Session+":x")) + "\r\n"
}

// Close gives the connection up.
func (c *Client) Close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn, c.in = nil, nil
	}
}

// Do sends the request once and reads the whole answer.
func (c *Client) Do() error {
	if c.conn == nil {
		if err := c.dial(); err != nil {
			c.Close()
			return err
		}
	}
	c.wake()
	reused := c.used > 0
	c.used++
	c.Status = 0
	_, err := c.conn.Write(c.req)
	keep := false
	if err == nil {
		keep, err = c.answer()
	}
	if err != nil || !keep || c.job.Fresh {
		c.Close()
	}
	if err != nil && reused && c.Status == 0 {
		c.Again++
		return c.Do() // an idle connection was closed: a client tries once more
	}
	return err
}

// Hold takes the deadline away, so that the connection may idle, and gives back
// what an idle connection does not need. Do takes it again.
func (c *Client) Hold() {
	if c.conn != nil {
		c.conn.SetDeadline(time.Time{})
	}
	c.sink, c.in, c.req = nil, nil, nil
}

func (c *Client) wake() {
	c.conn.SetDeadline(time.Now().Add(patience))
	if c.in == nil {
		c.in = bufio.NewReaderSize(c.conn, 16<<10)
	}
	if c.sink == nil {
		c.sink = make([]byte, 32<<10)
	}
	if c.req == nil {
		c.Send(c.job)
	}
}

func (c *Client) dial() error {
	to := c.route.Proxy
	if to == "" {
		to = c.route.Origin[c.job.Port]
	}
	conn, err := net.DialTimeout("tcp", to, patience)
	if err != nil {
		return err
	}
	c.conn, c.used = conn, 0
	conn.SetDeadline(time.Now().Add(patience))
	if c.route.Proxy != "" && (c.job.TLS || c.job.Raw) {
		if err := c.connect(); err != nil {
			return err
		}
	}
	if c.job.TLS {
		t := tls.Client(conn, c.tls)
		if err := t.Handshake(); err != nil {
			return err
		}
		c.conn = t
		c.Issuer = t.ConnectionState().PeerCertificates[0].Issuer.CommonName
		return c.terminated()
	}
	return nil
}

// terminated checks that TLS ended where the measurement means it to.
func (c *Client) terminated() error {
	want := c.route.Issuer
	if c.job.Unread || c.route.Proxy == "" {
		want = OriginIssuer
	}
	if want != "" && c.Issuer != want {
		return fmt.Errorf("the certificate of %s is by %q, not by %q", c.job.Host, c.Issuer, want)
	}
	return nil
}

// connect asks the proxy for a tunnel. Nobody speaks in it before we do, so
// nothing follows the empty line.
func (c *Client) connect() error {
	to := c.job.Host + ":" + c.job.Port
	if _, err := io.WriteString(c.conn, "CONNECT "+to+" HTTP/1.1\r\nHost: "+to+"\r\n"+c.credentials()+"\r\n"); err != nil {
		return err
	}
	var b [2048]byte
	n := 0
	for !bytes.HasSuffix(b[:n], []byte("\r\n\r\n")) {
		m, err := c.conn.Read(b[n:])
		if n += m; err != nil {
			return fmt.Errorf("CONNECT %s: %w", to, err)
		}
		if n == len(b) {
			return fmt.Errorf("CONNECT %s: an answer of more than %d bytes", to, n)
		}
	}
	if n < 12 || string(b[9:12]) != "200" {
		line, _, _ := bytes.Cut(b[:n], []byte("\r\n"))
		return fmt.Errorf("CONNECT %s: %s", to, line)
	}
	return nil
}

// answer reads one response.
func (c *Client) answer() (keep bool, err error) {
	if c.job.Raw {
		c.Length, err = readFrame(c.in)
		c.Status = 200
		return err == nil, err
	}
	h, err := c.head()
	if err != nil {
		return false, err
	}
	if c.Status != 200 {
		text, _ := io.ReadAll(io.LimitReader(c.in, max(min(h.length, 300), 0)))
		return false, fmt.Errorf("%s %s: status %d: %.300s", c.job.Method, c.job.Path, c.Status, text)
	}
	body := c.body(h)
	if c.event != nil {
		c.Length, err = lines(body, c.event)
	} else {
		c.Length, err = io.CopyBuffer(io.Discard, onlyReader{body}, c.sink)
	}
	switch {
	case err != nil:
		return false, err
	case h.length >= 0 && c.Length != h.length:
		return false, fmt.Errorf("%s: the answer ends after %d of %d bytes", c.job.Path, c.Length, h.length)
	case h.read >= 0 && h.read != len(c.job.Body):
		return false, fmt.Errorf("%s: the origin read %d of %d bytes", c.job.Path, h.read, len(c.job.Body))
	}
	return h.keep, nil
}

type onlyReader struct{ io.Reader }

// A head is what the client needs of a response's header.
type head struct {
	length  int64 // -1 if not said
	chunked bool
	keep    bool
	read    int // how much of the request the origin read, -1 if not said
}

func (c *Client) head() (head, error) {
	h := head{length: -1, read: -1}
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return h, fmt.Errorf("request %d of the connection: %w", c.used, err)
	}
	if len(line) < 12 {
		return h, fmt.Errorf("status line %q", line)
	}
	h.keep = string(line[:8]) == "HTTP/1.1"
	if c.Status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return h, fmt.Errorf("status line %q", line)
	}
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return h, err
		}
		if len(line) <= 2 {
			return h, nil
		}
		if err := h.field(line); err != nil {
			return h, err
		}
	}
}

func (h *head) field(line []byte) (err error) {
	name, value, _ := bytes.Cut(bytes.TrimSpace(line), []byte(":"))
	value = bytes.TrimSpace(value)
	switch len(name) { // most fields are none of these
	case len("connection"): // and x-body-len
		switch {
		case bytes.EqualFold(name, []byte("connection")):
			h.keep = h.keep && !bytes.EqualFold(value, []byte("close"))
		case bytes.EqualFold(name, []byte("x-body-len")):
			h.read, err = strconv.Atoi(string(value))
		}
	case len("content-length"):
		if bytes.EqualFold(name, []byte("content-length")) {
			h.length, err = strconv.ParseInt(string(value), 10, 64)
		}
	case len("transfer-encoding"):
		h.chunked = h.chunked || bytes.EqualFold(name, []byte("transfer-encoding")) && bytes.EqualFold(value, []byte("chunked"))
	}
	return err
}

func (c *Client) body(h head) io.Reader {
	switch {
	case h.chunked:
		return &chunks{in: c.in}
	case h.length >= 0:
		return io.LimitReader(c.in, h.length)
	}
	return c.in
}

// chunks reads a chunked body.
type chunks struct {
	in   *bufio.Reader
	left int64
	any  bool
	err  error
}

func (c *chunks) Read(b []byte) (int, error) {
	if c.err == nil && c.left == 0 {
		c.err = c.next()
	}
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.in.Read(b[:min(int64(len(b)), c.left)])
	c.left -= int64(n)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (c *chunks) next() error {
	if c.any {
		if _, err := c.line(); err != nil { // after a chunk
			return err
		}
	}
	c.any = true
	line, err := c.line()
	if err != nil {
		return err
	}
	if c.left, err = strconv.ParseInt(string(line), 16, 63); err != nil || c.left < 0 {
		return fmt.Errorf("chunk of %q bytes", line)
	}
	for c.left == 0 { // trailers, up to an empty line
		line, err := c.line()
		if err != nil {
			return err
		}
		if len(line) == 0 {
			return io.EOF
		}
	}
	return nil
}

func (c *chunks) line() ([]byte, error) {
	line, err := c.in.ReadSlice('\n')
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return bytes.TrimRight(line, "\r\n"), err
}

// frameMark begins a frame. No protocol that a proxy may know begins so.
const frameMark = 0x01

// Frame returns the head of a frame of n bytes.
func Frame(n int) []byte { return []byte{frameMark, byte(n >> 16), byte(n >> 8), byte(n)} }

// readFrame reads a frame and drops what is in it.
func readFrame(r *bufio.Reader) (int64, error) {
	var h [4]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return 0, err
	}
	if h[0] != frameMark {
		return 0, errors.New("not a frame")
	}
	n := int(h[1])<<16 | int(h[2])<<8 | int(h[3])
	m, err := r.Discard(n)
	return int64(m), err
}

// AnswerFrames answers each frame of conn with one of b.
func AnswerFrames(conn net.Conn, b []byte) {
	defer conn.Close()
	in := bufio.NewReaderSize(conn, 16<<10)
	answer := append(Frame(len(b)), b...)
	for {
		if _, err := readFrame(in); err != nil {
			return
		}
		if _, err := conn.Write(answer); err != nil {
			return
		}
	}
}
