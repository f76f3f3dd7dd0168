package http1

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// A segmented source gives its bytes in the pieces in which they arrived.
type segmented struct{ pieces [][]byte }

func (s *segmented) Read(p []byte) (int, error) {
	for len(s.pieces) > 0 && len(s.pieces[0]) == 0 {
		s.pieces = s.pieces[1:]
	}
	if len(s.pieces) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.pieces[0])
	s.pieces[0] = s.pieces[0][n:]
	return n, nil
}

// cut cuts b at the places, which are in order.
func cut(b []byte, at ...int) *segmented {
	s := &segmented{}
	from := 0
	for _, i := range at {
		if i > from && i < len(b) {
			s.pieces = append(s.pieces, b[from:i])
			from = i
		}
	}
	s.pieces = append(s.pieces, b[from:])
	return s
}

// edges are sizes of buffers and limits, here and in what reads from here.
var edges = []int{512, 4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10}

// A shape builds the part of a message that is size bytes long, and says where it
// ends in the whole.
type shape struct {
	name  string
	build func(size int) (message []byte, end int)
	most  int // size that is taken; 0 if there is no limit
}

func pad(b []byte, size int, more string) []byte {
	return append(b, bytes.Repeat([]byte("x"), max(0, size-len(b)-len(more)))...)
}

var shapes = []shape{
	{"head", func(size int) ([]byte, int) {
		b := pad([]byte("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nX: "), size, "\r\n\r\n")
		return append(b, "\r\n\r\nabc"...), len(b) + 4
	}, 64 << 10},
	{"fields of a head", func(size int) ([]byte, int) {
		b := []byte("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n")
		for len(b)+40 < size {
			b = append(b, "X-Y: 0123\r\n"...)
		}
		b = pad(append(b, "Z: "...), size, "\r\n\r\n")
		return append(b, "\r\n\r\nabc"...), len(b) + 4
	}, 64 << 10},
	{"body", func(size int) ([]byte, int) {
		b := fmt.Appendf(nil, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", size)
		b = append(b, bytes.Repeat([]byte("b"), size)...)
		return b, len(b)
	}, 0},
	{"head and body", func(size int) ([]byte, int) {
		n := size - 60
		b := fmt.Appendf(nil, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n", n)
		b = append(pad(append(b, "X: "...), 60, "\r\n\r\n"), "\r\n\r\n"...)
		b = append(b, bytes.Repeat([]byte("b"), n)...)
		return b, len(b)
	}, 0},
	{"chunk", func(size int) ([]byte, int) {
		b := fmt.Appendf(nil, "%s%x\r\n%s", inChunks, size, strings.Repeat("c", size))
		return append(b, "\r\n1\r\nd\r\n0\r\n\r\n"...), len(b)
	}, 0},
	{"line of a chunk", func(size int) ([]byte, int) { // with an extension
		b := pad([]byte(inChunks+"5;"), len(inChunks)+size, "\r\n")
		return append(b, "\r\nhello\r\n0\r\n\r\n"...), len(b) + 2
	}, chunkLineMax + 1},
	{"line of the last chunk", func(size int) ([]byte, int) {
		b := pad([]byte(inChunks+"2\r\nab\r\n0;"), len(inChunks)+7+size, "\r\n")
		return append(b, "\r\n\r\n"...), len(b) + 2
	}, chunkLineMax + 1},
	{"trailer", func(size int) ([]byte, int) {
		b := pad([]byte(inChunks+"2\r\nab\r\n0\r\nX: "), len(inChunks)+10+size, "\r\n\r\n")
		return append(b, "\r\n\r\n"...), len(b) + 4
	}, trailerMax},
	{"data before a chunk", func(size int) ([]byte, int) { // its line lies across the edge of the buffer
		n := size - len(inChunks) - 6
		b := fmt.Appendf(nil, "%s%04x\r\n%s", inChunks, n, strings.Repeat("c", n))
		return append(b, "\r\n00010\r\n0123456789abcdef\r\n0\r\n\r\n"...), len(b)
	}, 0},
}

const inChunks = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

// A reading is what was understood of a message and the one behind it.
type reading struct {
	head, body, trailer, next string
	err                       error
}

func read(src io.Reader, asked int) (got reading) {
	r := &Reader{Src: src}
	defer r.Take()
	q, err := r.ReadRequest(context.Background(), 64<<10)
	if err != nil {
		return reading{err: err}
	}
	got.head = fmt.Sprint(q.Method, q.Header, q.Names, q.Wrong)
	var b bytes.Buffer
	_, err = io.CopyBuffer(struct{ io.Writer }{&b}, struct{ io.Reader }{q.Body}, make([]byte, asked))
	got.body, got.trailer = b.String(), fmt.Sprint(q.Trailer)
	if err != nil {
		return reading{err: err}
	}
	if q, err = r.ReadRequest(context.Background(), 64<<10); err != nil {
		return reading{err: err}
	}
	got.next = q.RequestURI
	return got
}

// What ends at the edge of a buffer, or a byte beside it, is understood the same
// in whatever pieces it comes; and a limit holds at the same byte.
func TestMessagesAtEdgesAreReadInWhateverPiecesTheyCome(t *testing.T) {
	const next = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n"
	for _, s := range shapes {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			for _, edge := range edges {
				for size := edge - 1; size <= edge+1; size++ {
					b, end := s.build(size)
					b = append(b, next...)
					want := read(bytes.NewReader(b), 32<<10)
					_, refused := errors.AsType[*Error](want.err)
					if fits := s.most == 0 || size <= s.most; refused == fits || fits && want.next != "/next" {
						t.Errorf("%d bytes: %v, then %q", size, want.err, want.next)
					}
					for i := -6; i <= 6; i++ {
						same(t, b, want, end+i)
						same(t, b, want, edge+i)
						same(t, b, want, min(edge+i, end+i), max(edge+i, end+i))
					}
				}
			}
		})
	}
}

// same checks that b, cut at those places, reads as want, in large reads and in
// small ones.
func same(t *testing.T, b []byte, want reading, at ...int) {
	t.Helper()
	for _, asked := range []int{32 << 10, 4<<10 - 1} {
		got := read(cut(b, at...), asked)
		if fmt.Sprint(got.err) != fmt.Sprint(want.err) {
			t.Fatalf("cut at %d: %v, uncut %v", at, got.err, want.err)
		}
		if got.err = want.err; got != want {
			t.Fatalf("cut at %d: body of %d bytes, trailer %.40q, next %q; uncut %d, %.40q, %q",
				at, len(got.body), got.trailer, got.next, len(want.body), want.trailer, want.next)
		}
	}
}
