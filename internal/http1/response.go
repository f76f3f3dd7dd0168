package http1

import (
	"net/http"
	"strings"
)

// A Response is an answer as it came.
type Response struct {
	*http.Response
	Names []string // of its fields, as they were spelt, in order
	Body  *Body    // also the http.Response's; nil if it has none
}

// ReadResponse reads the answer to a request of the method, with max bytes of
// head at most. 1xx answers are answers, too. An error is an *Error, io.EOF if
// the connection ended before the answer began, or what the connection said.
func (r *Reader) ReadResponse(method string, max int) (*Response, error) {
	text, err := r.head(max, true)
	if err != nil {
		return nil, err
	}
	line, rest := cutLine(text)
	p := &Response{Response: &http.Response{ProtoMajor: 1}}
	if e := statusLine(p.Response, line); e != nil {
		return nil, e
	}
	f := fieldSet{where: "field"}
	if e := f.parse(rest); e != nil {
		return nil, e
	}
	p.Header, p.Names = f.header, f.names
	if e := p.frame(r, method, &f); e != nil {
		return nil, e
	}
	if p.Body == nil {
		p.Response.Body = http.NoBody
	} else {
		p.Response.Body = p.Body
	}
	p.Close = p.Body != nil && p.Body.kind == untilClose || Lists(p.Header, "Connection", "close") ||
		p.ProtoMinor == 0 && !Lists(p.Header, "Connection", "keep-alive")
	return p, nil
}

// statusLine reads HTTP/1.x SP 3DIGIT [SP reason].
func statusLine(p *http.Response, line string) *Error {
	proto, rest, ok := strings.Cut(line, " ")
	switch {
	case proto == "HTTP/1.1":
		p.ProtoMinor = 1
	case proto != "HTTP/1.0":
		ok = false
	}
	rest = strings.TrimLeft(rest, " ")
	if !ok || len(rest) < 3 || len(rest) > 3 && rest[3] != ' ' || !all(rest, valueClass) {
		return badly("the status line is malformed", line)
	}
	for i := range 3 {
		if rest[i] < '0' || rest[i] > '9' {
			return badly("the status is no number", line)
		}
		p.StatusCode = 10*p.StatusCode + int(rest[i]-'0')
	}
	if p.StatusCode < 100 {
		return badly("the status is none", line)
	}
	p.Proto, p.Status = proto, rest
	return nil
}

// frame finds out where the body ends (RFC 9112 §6.3).
func (p *Response) frame(r *Reader, method string, f *fieldSet) *Error {
	chunked, e := f.chunked()
	if e != nil {
		return e
	}
	p.ContentLength = -1
	if len(f.length) > 0 {
		n, ok := length(f.length[0])
		if !ok {
			return badly("the Content-Length is no number of bytes", f.length[0])
		}
		for _, l := range f.length[1:] {
			if l != f.length[0] {
				return bad("the answer has two lengths")
			}
		}
		p.ContentLength = n
		f.header["Content-Length"] = f.length[:1]
	}
	if chunked {
		delete(f.header, "Transfer-Encoding")
		p.TransferEncoding = []string{"chunked"}
	}
	switch {
	case method == http.MethodHead, p.StatusCode == http.StatusNoContent, p.StatusCode == http.StatusNotModified, p.StatusCode < 200:
		return nil
	case method == http.MethodConnect && p.StatusCode < 300:
		return nil
	case chunked && p.ProtoMinor == 0:
		return bad("an answer of HTTP/1.0 has a Transfer-Encoding")
	case chunked:
		if p.Trailer, e = f.trailer(); e != nil {
			return e
		}
		p.Body = &Body{r: r, kind: chunks, trailer: &p.Trailer, lenient: true}
	case p.ContentLength > 0:
		p.Body = &Body{r: r, kind: counted, left: p.ContentLength}
	case p.ContentLength < 0:
		p.Body = &Body{r: r, kind: untilClose}
	}
	return nil
}
