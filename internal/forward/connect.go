package forward

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
)

const (
	// maxAnswer bounds the head of a proxy's answer to CONNECT.
	maxAnswer = 64 << 10
	// maxInterim bounds how many 1xx answers come before it.
	maxInterim = 8
)

// connect asks the HTTP proxy at the other end of c for a connection to host
// and port, and returns what the server sent already behind the proxy's answer.
func connect(c net.Conn, host string, port uint16, authorization string) (rest []byte, err error) {
	to := net.JoinHostPort(host, strconv.Itoa(int(port)))
	head := "CONNECT " + to + " HTTP/1.1\r\nHost: " + to + "\r\n"
	if authorization != "" {
		head += "Proxy-Authorization: " + authorization + "\r\n"
	}
	if _, err := io.WriteString(c, head+"\r\n"); err != nil {
		return nil, err
	}
	var buf []byte
	for range maxInterim {
		var a proxyAnswer
		if a, buf, err = readAnswer(c, buf); err != nil {
			return nil, err
		}
		switch {
		case a.status >= 200 && a.status < 300:
			return buf, nil // a length of the answer means nothing (RFC 9110 §9.3.6)
		case a.status >= 200:
			return nil, a.fault()
		}
	}
	return nil, errAnswer
}

// A proxyAnswer is the head of an answer of an upstream proxy.
type proxyAnswer struct {
	status  int
	schemes []string // in which it asks for a login, those we have a word for
}

// readAnswer reads a head from c, of which buf came already, and returns what
// came behind it.
func readAnswer(c io.Reader, buf []byte) (a proxyAnswer, rest []byte, err error) {
	for {
		if end := headEnd(buf); end >= 0 {
			a, ok := parseAnswer(buf[:end])
			if !ok {
				return a, nil, errAnswer
			}
			return a, buf[end:], nil
		}
		switch {
		case len(buf) > 0 && !bytes.HasPrefix(buf, []byte("HTTP/")[:min(5, len(buf))]):
			return a, nil, errAnswer
		case len(buf) >= maxAnswer:
			return a, nil, errAnswerLong
		}
		n := len(buf)
		buf = append(buf, make([]byte, min(4<<10, maxAnswer-n))...)
		m, err := c.Read(buf[n:])
		if buf = buf[:n+m]; err != nil && m == 0 {
			if err == io.EOF && n > 0 {
				err = io.ErrUnexpectedEOF
			}
			return a, nil, err
		}
	}
}

// headEnd returns where the head at the start of b ends, -1 if not yet. Old
// proxies end lines without a carriage return.
func headEnd(b []byte) int {
	for i, c := range b {
		switch rest := b[i+1:]; {
		case c != '\n':
		case len(rest) > 0 && rest[0] == '\n':
			return i + 2
		case len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n':
			return i + 3
		}
	}
	return -1
}

// parseAnswer reads a head that ends in an empty line.
func parseAnswer(head []byte) (a proxyAnswer, ok bool) {
	line, fields, _ := strings.Cut(strings.ReplaceAll(string(head), "\r\n", "\n"), "\n")
	version, code, _ := strings.Cut(line, " ")
	code, _, _ = strings.Cut(code, " ")
	n, err := strconv.ParseUint(code, 10, 16)
	if version != "HTTP/1.1" && version != "HTTP/1.0" || len(code) != 3 || err != nil || n < 100 {
		return a, false
	}
	a.status = int(n)
	if a.status != http.StatusProxyAuthRequired {
		return a, true
	}
	for field := range strings.SplitSeq(fields, "\n") {
		name, value, _ := strings.Cut(field, ":")
		if !strings.EqualFold(name, "Proxy-Authenticate") {
			continue
		}
		for _, s := range []string{"Basic", "Digest", "NTLM", "Negotiate", "Kerberos"} {
			if v := strings.TrimSpace(value); len(v) >= len(s) && strings.EqualFold(v[:len(s)], s) {
				a.schemes = append(a.schemes, s)
			}
		}
	}
	return a, true
}
