package http1

import (
	"context"
	"net/http"
	"net/url"
	"strings"
)

// A Request is a request as it came.
type Request struct {
	*http.Request
	Names []string // of its fields, as they were spelt, in order
	Field string   // Host as the field of that name says it; "" if there is none
	Body  *Body    // also the http.Request's; nil if it has none
	// Wrong says why the request cannot be carried although its head can be read:
	// its framing or its host have two meanings. Its Body is not read then, and
	// the connection ends with the answer.
	Wrong *Error
}

// ReadRequest reads a request whose head has max bytes at most. An error is an
// *Error, io.EOF if the connection ended before the request began, or what the
// connection said.
func (r *Reader) ReadRequest(ctx context.Context, max int) (*Request, error) {
	text, err := r.head(max, false)
	if err != nil {
		return nil, err
	}
	line, rest := cutLine(text)
	q := &Request{}
	h, e := requestLine(line)
	if e != nil {
		return nil, e
	}
	f := fieldSet{where: "field"}
	if e := f.parse(rest); e != nil {
		return nil, e
	}
	h.Header, q.Names = f.header, f.names
	q.Request = h.WithContext(ctx)
	h = q.Request
	if len(f.host) > 0 {
		q.Field = f.host[0]
	}
	if q.Wrong = hostOf(h, &f); q.Wrong == nil {
		q.Wrong = q.frame(r, &f)
	}
	delete(h.Header, "Host")
	if q.Body == nil {
		h.Body = http.NoBody
	} else {
		h.Body = q.Body
	}
	h.Close = q.Wrong != nil || Lists(h.Header, "Connection", "close") ||
		h.ProtoMinor == 0 && !Lists(h.Header, "Connection", "keep-alive")
	return q, nil
}

// requestLine reads METHOD SP TARGET SP HTTP/1.x.
func requestLine(line string) (*http.Request, *Error) {
	method, rest, ok := strings.Cut(line, " ")
	target, proto, ok2 := strings.Cut(rest, " ")
	switch {
	case !ok || !ok2 || strings.IndexByte(proto, ' ') >= 0:
		return nil, badly("the request line is not a method, a target and a version with single spaces between", line)
	case !Token(method):
		return nil, badly("the method is no token", method)
	case !all(target, targetClass) || target == "":
		return nil, bad("the target of the request holds a byte that must be percent-encoded")
	}
	h := &http.Request{Method: method, RequestURI: target, Proto: proto, ProtoMajor: 1}
	switch proto {
	case "HTTP/1.1":
		h.ProtoMinor = 1
	case "HTTP/1.0":
	default:
		return nil, &Error{http.StatusHTTPVersionNotSupported, "the version is not HTTP/1.1 or HTTP/1.0", proto}
	}
	var err error
	if method == http.MethodConnect && target[0] != '/' {
		h.URL, err = url.ParseRequestURI("http://" + target)
		if err == nil {
			h.URL.Scheme = ""
		}
	} else {
		h.URL, err = url.ParseRequestURI(target)
	}
	if err != nil {
		return nil, badly("the target of the request is malformed", target)
	}
	return h, nil
}

// hostOf sets the host of h, of which there must be one.
func hostOf(h *http.Request, f *fieldSet) *Error {
	h.Host = h.URL.Host
	if h.Host == "" && len(f.host) > 0 {
		h.Host = f.host[0]
	}
	switch {
	case len(f.host) > 1:
		return bad("the request has more than one field Host")
	case len(f.host) == 0 && h.ProtoMinor > 0:
		return bad("the request has no field Host")
	case len(f.host) == 1 && !hostBytes(f.host[0]):
		return badly("the Host is malformed", f.host[0])
	case !hostBytes(h.URL.Host):
		return badly("the host in the target of the request is malformed", h.URL.Host)
	}
	return nil
}

// hostBytes reports whether s consists of what a Host may hold. What it means is
// for others to judge.
func hostBytes(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`"#/<>?@\^`+"`{|}", c) >= 0 {
			return false
		}
	}
	return true
}

// frame finds out where the body ends.
func (q *Request) frame(r *Reader, f *fieldSet) *Error {
	chunked, e := f.chunked()
	switch {
	case e != nil:
		return e
	case chunked && q.ProtoMinor == 0:
		return bad("a request of HTTP/1.0 has a Transfer-Encoding")
	case chunked:
		delete(f.header, "Transfer-Encoding")
		if q.Trailer, e = f.trailer(); e != nil {
			return e
		}
		q.ContentLength, q.TransferEncoding = -1, []string{"chunked"}
		q.Body = &Body{r: r, kind: chunks, trailer: &q.Trailer}
	case len(f.length) > 1:
		return bad("the request has more than one field Content-Length")
	case len(f.length) == 1:
		n, ok := length(f.length[0])
		if !ok {
			return badly("the Content-Length is no number of bytes", f.length[0])
		}
		if q.ContentLength = n; n > 0 {
			q.Body = &Body{r: r, kind: counted, left: n}
		}
	}
	switch expect := f.header["Expect"]; {
	case len(expect) == 0:
	case len(expect) > 1 || !lower(expect[0], "100-continue"):
		return &Error{http.StatusExpectationFailed, "the request expects what is not 100-continue", expect[0]}
	}
	return nil
}
