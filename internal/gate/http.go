package gate

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"outvet/call"
	"outvet/internal/hostname"
	"outvet/internal/http1"
	"outvet/internal/payload"
)

// HTTP describes an HTTP request as a call and its payload: the one way in
// which every listener, the check API and policy tests see a request. u is
// absolute; header holds end-to-end fields only and is edited in place. The
// error says what is wrong with the URL.
func HTTP(method string, u *url.URL, header http.Header, body io.Reader, length int64) (*call.Call, *payload.Message, error) {
	if !isToken(method) {
		return nil, nil, fmt.Errorf("method %.40q is not a token (RFC 9110) of at most %d characters", method, methodMax)
	}
	if u.User != nil {
		return nil, nil, fmt.Errorf("url %q: user information is not allowed in a target", u.Redacted())
	}
	host, port, err := hostPort(u)
	if err != nil {
		return nil, nil, err
	}
	c := &call.Call{
		Dest: call.Dest{Scheme: u.Scheme, Host: host, Port: port},
		Op:   call.Op{Protocol: "http", Method: method, Target: targetPath(u)},
	}
	m := &payload.Message{Host: u.Hostname(), Target: u.RequestURI(), Header: header, Body: body, Length: length}
	if ct := strings.ToLower(header.Get("Content-Type")); strings.HasPrefix(ct, "application/grpc") {
		c.Op.Protocol, m.Endless = "grpc", true
	} else if strings.HasPrefix(ct, "application/connect+") { // Connect's streams are framed alike
		m.Endless = true
	}
	return c, m, nil
}

// methodMax bounds a method in bytes; registered ones have 17 at most.
const methodMax = 64

func isToken(s string) bool { return len(s) <= methodMax && http1.Token(s) }

func targetPath(u *url.URL) string {
	if p := u.EscapedPath(); p != "" {
		return p
	}
	return "/"
}

// hostPort returns the canonical host and the port of u.
func hostPort(u *url.URL) (host string, port uint16, err error) {
	if host, err = hostname.Canonical(u.Hostname()); err != nil {
		return "", 0, fmt.Errorf("url %q: %w", u.Redacted(), err)
	}
	switch p := u.Port(); {
	case p != "":
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return "", 0, fmt.Errorf("url %q: port %q is not a number from 1 to 65535", u.Redacted(), p)
		}
		port = uint16(n)
	case u.Scheme == "https" || u.Scheme == "wss":
		port = 443
	case u.Scheme == "http" || u.Scheme == "ws":
		port = 80
	default:
		return "", 0, fmt.Errorf("url %q: scheme %q is not http or https", u.Redacted(), u.Scheme)
	}
	return host, port, nil
}
