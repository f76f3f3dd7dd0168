package http1

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// seeds of requests: what is right, and what readers differ in.
var requestSeeds = []string{
	"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET http://a.example/x?y=z HTTP/1.1\r\nHost: a.example\r\nX-Case: 1\r\nx-case: 2\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /2 HTTP/1.1\r\nHost: b\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\nabc\r\n0\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-A, Content-Length\r\n\r\n0\r\nX-A: b\r\n\r\n",
	"GET / HTTP/1.1\nHost: a\n\n",
	"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
	"GET / HTTP/1.1\r\n\r\n",
	"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET http://a:ex@p\"\"mple/x?y=z HTTP/1.1\r\nHost: a.example\r\n\r\n",
	"GET http://b%C3%BCcher.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n",
	"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
	"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
	"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
	"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
}

// FuzzRequest: what is accepted, net/http understands alike; how the bytes are
// cut into reads does not matter; what is written reads back the same.
func FuzzRequest(f *testing.F) {
	for _, s := range requestSeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		mine := &Reader{Src: bytes.NewReader(data)}
		slow := &Reader{Src: iotest.OneByteReader(bytes.NewReader(data))}
		theirs := bufio.NewReader(bytes.NewReader(data))
		for range 4 {
			q, err := mine.ReadRequest(context.Background(), 64<<10)
			q2, err2 := slow.ReadRequest(context.Background(), 64<<10)
			if (err == nil) != (err2 == nil) {
				t.Fatalf("read at once: %v; byte by byte: %v", err, err2)
			}
			if err != nil || q.Wrong != nil {
				return
			}
			w, err := http.ReadRequest(theirs)
			if err != nil {
				t.Fatalf("accepted, but net/http says %v", err)
			}
			b, err := io.ReadAll(q.Request.Body)
			b2, _ := io.ReadAll(q2.Request.Body)
			if !bytes.Equal(b, b2) {
				t.Fatalf("body read at once %q, byte by byte %q", b, b2)
			}
			if err != nil {
				return
			}
			wb, werr := io.ReadAll(w.Body)
			if werr != nil {
				t.Fatalf("body accepted, but net/http says %v", werr)
			}
			sameRequest(t, q, b, w, wb)
			rewritten(t, q, b)
			if q.Close {
				return
			}
		}
	})
}

func sameRequest(t *testing.T, q *Request, b []byte, w *http.Request, wb []byte) {
	t.Helper()
	if p := w.Header["Pragma"]; len(p) > 0 && p[0] == "no-cache" { // net/http adds a field
		if _, ok := q.Header["Cache-Control"]; !ok {
			delete(w.Header, "Cache-Control")
		}
	}
	for what, pair := range map[string][2]any{
		"method": {q.Method, w.Method}, "target": {q.RequestURI, w.RequestURI}, "host": {q.Host, w.Host}, "url": {q.URL.String(), w.URL.String()},
		"header": {q.Header, w.Header}, "length": {q.ContentLength, w.ContentLength}, "body": {string(b), string(wb)},
		"trailer": {q.Trailer, w.Trailer}, "close": {q.Close, w.Close}, "minor": {q.ProtoMinor, w.ProtoMinor},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s is %#v, net/http says %#v", what, pair[0], pair[1])
		}
	}
}

// rewritten holds what is written to what was read.
func rewritten(t *testing.T, q *Request, body []byte) {
	t.Helper()
	if q.Host == "" || q.Method == "CONNECT" {
		return
	}
	fr := Framing{Length: -1}
	switch {
	case q.ContentLength < 0:
		fr.Chunked = true
	case q.ContentLength > 0 || q.Header["Content-Length"] != nil:
		fr.Length = q.ContentLength
	}
	out, err := AppendRequest(nil, q.Method, q.RequestURI, q.Host, q.Header, q.Names, fr)
	if err != nil {
		t.Fatalf("what was read cannot be written: %v", err)
	}
	if fr.Chunked {
		out = AppendChunk(out, body)
		if out, err = AppendLastChunk(out, q.Trailer); err != nil {
			t.Fatal(err)
		}
	} else {
		out = append(out, body...)
	}
	again, err := (&Reader{Src: bytes.NewReader(out)}).ReadRequest(context.Background(), 128<<10)
	if err != nil || again.Wrong != nil {
		t.Fatalf("what was written is not read: %v %v\n%q", err, again, out)
	}
	b, _ := io.ReadAll(again.Request.Body)
	if !bytes.Equal(b, body) || !sameHeader(again.Header, q.Header) || again.RequestURI != q.RequestURI {
		t.Errorf("written and read again, %q is %q", q.Header, again.Header)
	}
	if q.ProtoMinor == 1 && q.URL.Host == "" && !slices.Equal(untrailed(again.Names), untrailed(q.Names)) {
		t.Errorf("names %q became %q", q.Names, again.Names)
	}
}

// untrailed leaves the announcement of a trailer out: like net/http, the reader
// moves it from the header to the trailer.
func untrailed(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return canonical(n) == "Trailer" })
}

func sameHeader(a, b http.Header) bool {
	for _, h := range []http.Header{a, b} {
		h.Del("Content-Length")
	}
	return reflect.DeepEqual(a, b)
}

var responseSeeds = []string{
	"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 204 No Content\r\n\r\n",
	"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
	"HTTP/1.0 200 OK\n\nuntil the end",
	"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2 \r\nok\r\n0\r\nX: y\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
	"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
	"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n",
	"HTTP/1.1 2OO OK\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/2 200\r\n\r\n", "ICY 200 OK\r\n\r\n",
}

// FuzzResponse does the same for answers.
func FuzzResponse(f *testing.F) {
	for _, s := range responseSeeds {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, head bool) {
		method := "GET"
		if head {
			method = "HEAD"
		}
		mine := &Reader{Src: bytes.NewReader(data)}
		theirs := bufio.NewReader(bytes.NewReader(data))
		for range 4 {
			p, err := mine.ReadResponse(method, 1<<20)
			if err != nil {
				return
			}
			w, err := http.ReadResponse(theirs, &http.Request{Method: method})
			if err != nil {
				t.Fatalf("accepted, but net/http says %v", err)
			}
			b, err := io.ReadAll(p.Response.Body)
			wb, werr := io.ReadAll(w.Body)
			if err != nil {
				return
			}
			if werr != nil {
				t.Fatalf("body accepted, but net/http says %v", werr)
			}
			if p.StatusCode != w.StatusCode || p.Status != w.Status || string(b) != string(wb) || !sameHeader(p.Header, w.Header) ||
				!reflect.DeepEqual(p.Trailer, w.Trailer) {
				t.Errorf("%v %q %v %v\nnet/http: %v %q %v %v", p.Status, b, p.Header, p.Trailer, w.Status, wb, w.Header, w.Trailer)
			}
			if p.Close {
				return
			}
		}
	})
}

// Pieces that readers of requests differ in, for the fuzzer to combine.
func FuzzFraming(f *testing.F) {
	f.Add("Content-Length: 3", "Transfer-Encoding: chunked", "3\r\nabc\r\n0\r\n\r\n")
	f.Add("Content-Length: 03", "X: y", "abc")
	f.Fuzz(func(t *testing.T, a, b, body string) {
		if strings.ContainsAny(a+b, "\r\n") && len(a)+len(b) > 200 {
			return
		}
		data := "POST / HTTP/1.1\r\nHost: a\r\n" + a + "\r\n" + b + "\r\n\r\n" + body
		q, err := (&Reader{Src: strings.NewReader(data)}).ReadRequest(context.Background(), 64<<10)
		if err != nil || q.Wrong != nil {
			return
		}
		got, err := io.ReadAll(q.Request.Body)
		if err != nil {
			return
		}
		w, werr := http.ReadRequest(bufio.NewReader(strings.NewReader(data)))
		if werr != nil {
			t.Fatalf("accepted, but net/http says %v", werr)
		}
		wb, werr := io.ReadAll(w.Body)
		if werr != nil || string(wb) != string(got) {
			t.Fatalf("body %q, net/http says %q, %v", got, wb, werr)
		}
	})
}
