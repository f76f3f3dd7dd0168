package proxy

import (
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"outvet/internal/http1"
)

// together is how much of an answer is gathered before it is written, in bytes.
const together = 16 << 10

var answerBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// answerKeep bounds the buffers that are kept, in bytes.
const answerKeep = 64 << 10

// A response writes the answer to one request of HTTP/1.1, as net/http's does,
// but adds nothing to it.
type response struct {
	c      *conn
	q      *http1.Request
	header http.Header
	names  []string // of fields, in the order and spelling to write them
	status string   // number and reason, if not the usual one

	buf     *[]byte
	begun   bool  // the final head is written
	chunked bool  // in chunks
	left    int64 // bytes of body that must come; -1 if that is not known
	empty   bool  // no body is written whatever is said of it
	closing bool  // the connection ends with the answer
	broken  bool  // the client took no more
	trailer []string

	// mu keeps 100 (Continue), which readers of the body write, from the rest.
	mu sync.Mutex
}

var (
	errLong  = http.ErrContentLength
	errShort = errors.New("proxy: the answer is shorter than it says")
)

// Header implements http.ResponseWriter.
func (w *response) Header() http.Header {
	if w.header == nil {
		w.header = http.Header{}
	}
	return w.header
}

func (w *response) out() *[]byte {
	if w.buf == nil {
		w.buf = answerBuffers.Get().(*[]byte)
		*w.buf = (*w.buf)[:0]
	}
	return w.buf
}

func (w *response) release() {
	if w.buf != nil && cap(*w.buf) <= answerKeep {
		answerBuffers.Put(w.buf)
	}
	w.buf = nil
}

// proceed tells a client that waits for it to send its body.
func (w *response) proceed() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.begun {
		w.c.Write([]byte("HTTP/1.1 100 Continue\r\n\r\n"))
	}
}

// WriteHeader implements http.ResponseWriter. 1xx answers are written at once.
func (w *response) WriteHeader(code int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.begun {
		return
	}
	b := w.out()
	if code < 200 {
		*b, _ = http1.AppendResponse(*b, statusOf(code), w.header, w.names, http1.Framing{Length: -1})
		w.flush()
		return
	}
	w.begun = true
	if w.status == "" || !strings.HasPrefix(w.status, strconv.Itoa(code)) {
		w.status = statusOf(code)
	}
	f := w.frame(code)
	head, err := http1.AppendResponse(*b, w.status, w.Header(), w.names, f)
	if err != nil { // a field that cannot be written: say less
		w.header, w.names, w.closing = http.Header{"Connection": {"close"}}, nil, true
		head, _ = http1.AppendResponse(*b, statusOf(http.StatusBadGateway), w.header, nil, http1.Framing{Length: 0})
		w.empty, w.chunked, w.left = true, false, -1
	}
	*b = head
}

func statusOf(code int) string {
	return strconv.Itoa(code) + " " + http.StatusText(code)
}

// frame says how the end of the answer is told and whether the connection ends
// with it.
func (w *response) frame(code int) http1.Framing {
	h := w.Header()
	w.closing = w.closing || w.q.Close || http1.Lists(h, "Connection", "close") || w.c.s.isClosing()
	delete(h, "Connection")
	n, err := strconv.ParseUint(h.Get("Content-Length"), 10, 62)
	f := http1.Framing{Length: -1}
	switch {
	case w.q.Method == http.MethodHead, code == http.StatusNoContent, code == http.StatusNotModified:
		w.empty = true
		if err == nil && code != http.StatusNoContent {
			f.Length = int64(n)
		}
	case err == nil:
		f.Length, w.left = int64(n), int64(n)
	case w.q.ProtoMinor > 0:
		f.Chunked, w.chunked = true, true
		w.announced()
	default:
		w.closing = true
	}
	switch {
	case w.closing:
		h["Connection"] = []string{"close"}
	case w.q.ProtoMinor == 0:
		h["Connection"] = []string{"keep-alive"}
	}
	return f
}

// announced notes the names of the trailer.
func (w *response) announced() {
	for _, v := range w.header["Trailer"] {
		for name := range strings.SplitSeq(v, ",") {
			w.trailer = append(w.trailer, http.CanonicalHeaderKey(strings.TrimSpace(name)))
		}
	}
}

// Write implements http.ResponseWriter.
func (w *response) Write(p []byte) (int, error) {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	switch {
	case w.broken:
		return 0, net.ErrClosed
	case w.empty:
		return len(p), nil
	case w.left >= 0:
		if int64(len(p)) > w.left {
			return 0, errLong
		}
		w.left -= int64(len(p))
	}
	b := w.out()
	switch {
	case w.chunked:
		*b = http1.AppendChunk(*b, p)
	case len(*b) == 0 && len(p) >= together:
		_, err := w.c.Write(p)
		w.broken = err != nil
		return len(p), err
	default:
		*b = append(*b, p...)
	}
	if len(*b) >= together {
		return len(p), w.flush()
	}
	return len(p), nil
}

// flush writes what is gathered.
func (w *response) flush() error {
	if w.buf == nil || len(*w.buf) == 0 {
		return nil
	}
	if w.broken {
		return net.ErrClosed
	}
	_, err := w.c.Write(*w.buf)
	w.broken = err != nil
	*w.buf = (*w.buf)[:0]
	return err
}

// Flush implements http.Flusher.
func (w *response) Flush() {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	w.flush()
}

// finish completes the answer.
func (w *response) finish() error {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	if w.chunked && !w.broken {
		b := w.out()
		var err error
		if *b, err = http1.AppendLastChunk(*b, w.trailerFields()); err != nil {
			w.c.abort()
			w.broken = true
			return err
		}
		w.chunked = false
	}
	if err := w.flush(); err != nil {
		return err
	}
	if w.left > 0 && !w.empty {
		w.c.abort()
		w.broken = true
		return errShort
	}
	return nil
}

// trailerFields returns the trailer: what was announced, and what is marked as
// net/http wants it.
func (w *response) trailerFields() http.Header {
	var t http.Header
	add := func(k string, v []string) {
		if t == nil {
			t = http.Header{}
		}
		t[k] = v
	}
	for _, k := range w.trailer {
		if v, ok := w.header[k]; ok {
			add(k, v)
		}
	}
	for k, v := range w.header {
		if name, ok := strings.CutPrefix(k, http.TrailerPrefix); ok {
			add(name, v)
		}
	}
	return t
}

// SetReadDeadline bounds the reading of the body.
func (w *response) SetReadDeadline(t time.Time) error { return w.c.SetReadDeadline(t) }

// EnableFullDuplex says that the answer may begin before the body has ended, as
// it always may.
func (w *response) EnableFullDuplex() error { return nil }
