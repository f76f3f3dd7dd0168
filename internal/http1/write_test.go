package http1

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestFieldsAreWrittenInTheirPlaceAndOnce(t *testing.T) {
	for _, tt := range []struct {
		name   string
		h      http.Header
		names  []string
		f      Framing
		fields string
	}{
		{"as told", http.Header{"B": {"1"}, "A": {"2"}}, []string{"b", "hOST", "A"}, Framing{Length: -1}, "b: 1|hOST: x|A: 2"},
		{"host first if not told", http.Header{"A": {"2"}}, []string{"A"}, Framing{Length: -1}, "Host: x|A: 2"},
		{"untold ones sorted", http.Header{"C": {"1"}, "A": {"2"}, "B": {"3"}}, []string{"host", "B"}, Framing{Length: -1}, "host: x|B: 3|A: 2|C: 1"},
		{"no longer there", http.Header{"A": {"2"}}, []string{"Host", "Gone", "A"}, Framing{Length: -1}, "Host: x|A: 2"},
		{"several", http.Header{"A": {"1", "2", "3"}, "B": {"4"}}, []string{"Host", "a", "B", "A"}, Framing{Length: -1}, "Host: x|a: 1|B: 4|A: 2|A: 3"},
		{"fewer than before", http.Header{"A": {"1"}}, []string{"Host", "A", "a"}, Framing{Length: -1}, "Host: x|A: 1"},
		{"length in its place", http.Header{"A": {"1"}, "Content-Length": {"9"}}, []string{"content-length", "Host", "A"}, Framing{Length: 3}, "content-length: 3|Host: x|A: 1"},
		{"chunks in the place of a length", http.Header{"A": {"1"}, "Content-Length": {"9"}}, []string{"content-length", "Host", "A"}, Framing{Chunked: true}, "Transfer-Encoding: chunked|Host: x|A: 1"},
		{"no length any more", http.Header{"Content-Length": {"9"}}, []string{"Host", "Content-Length"}, Framing{Length: -1}, "Host: x"},
		{"a length that was not told", http.Header{}, nil, Framing{Length: 0}, "Host: x|Content-Length: 0"},
	} {
		b, err := AppendRequest(nil, "GET", "/", "x", tt.h, tt.names, tt.f)
		got := strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(string(b), "GET / HTTP/1.1\r\n"), "\r\n\r\n"), "\r\n", "|")
		if err != nil || got != tt.fields {
			t.Errorf("%s: %q %v, want %q", tt.name, got, err, tt.fields)
		}
	}
}

func TestWhatWouldSplitAMessageIsNotWritten(t *testing.T) {
	h := func(k, v string) http.Header { return http.Header{k: {v}} }
	for _, tt := range []struct {
		method, target, host string
		h                    http.Header
	}{
		{"GET /", "/", "x", nil}, {"G\r\nT", "/", "x", nil}, {"GET", "/ HTTP/1.1\r\nX: y", "x", nil}, {"GET", "", "x", nil}, {"GET", "/", "", nil},
		{"GET", "/", "x\r\nY: z", nil}, {"GET", "/", "x y", nil}, {"GET", "/", "x", h("A\r\nB", "1")}, {"GET", "/", "x", h("A", "1\r\nB: 2")},
		{"GET", "/", "x", h("A:", "1")}, {"GET", "/", "x", h("A", "1\x00")}, {"GET", "/", "x", h("", "1")}, {"GET", "/\x7f", "x", nil}, {"GET", "/é", "x", nil},
	} {
		if b, err := AppendRequest(nil, tt.method, tt.target, tt.host, tt.h, nil, Framing{Length: -1}); err == nil {
			t.Errorf("written: %q", b)
		}
	}
	for _, status := range []string{"", "20", "200 OK\r\nX: y", "200 \x00"} {
		if b, err := AppendResponse(nil, status, nil, nil, Framing{Length: 0}); err == nil {
			t.Errorf("written: %q", b)
		}
	}
	if b, err := AppendLastChunk(nil, h("X", "y\r\n\r\nGET / HTTP/1.1")); err == nil {
		t.Errorf("written: %q", b)
	}
	if b, err := AppendLastChunk(nil, h("Content-Length", "5")); err != nil || string(b) != "0\r\n\r\n" {
		t.Errorf("%q %v", b, err)
	}
}

// A head of many fields of one name must not cost the square of their number.
func TestManyFieldsCostWhatTheyWeigh(t *testing.T) {
	cost := func(n int) time.Duration {
		text := "GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("x:\r\n", n) + "y: z\r\n\r\n"
		best := time.Hour
		for range 5 {
			begin := time.Now()
			q, err := (&Reader{Src: strings.NewReader(text)}).ReadRequest(context.Background(), 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := AppendRequest(nil, "GET", "/", "x", q.Header, q.Names, Framing{Length: -1}); err != nil {
				t.Fatal(err)
			}
			best = min(best, time.Since(begin))
		}
		return best
	}
	if few, many := cost(2000), cost(16000); many > 40*few {
		t.Errorf("16,000 fields cost %d times as much as 2,000", many/few)
	}
}

func TestReadyNeverWaits(t *testing.T) {
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, tt := range []struct {
		now  string
		want bool
	}{
		{"", false}, {"5", false}, {"5\r", false}, {"5\r\n", false}, {"5\r\na", true}, {"0\r\n", false}, {"0\r\nX: y\r\n", false}, {"0\r\n\r\n", true},
	} {
		r := &Reader{Src: io.MultiReader(strings.NewReader(chunked+tt.now), stuck{})}
		p, err := r.ReadResponse("GET", 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Body.Ready(); got != tt.want {
			t.Errorf("after %q: %v", tt.now, got)
		}
	}
}

// stuck is a source that must not be asked.
type stuck struct{}

func (stuck) Read([]byte) (int, error) { panic("somebody waits") }

func TestIdleReaderHoldsNoBuffer(t *testing.T) {
	r := &Reader{Src: strings.NewReader("GET / HTTP/1.1\r\nHost: a\r\n\r\n")}
	if err := r.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ReadRequest(context.Background(), 1<<10); err != nil {
		t.Fatal(err)
	}
	r.Wait()
	if r.buf != nil {
		t.Error("a buffer is held while nothing is there to be read")
	}
}

func TestHeadsBeyondTheLimitAreRefused(t *testing.T) {
	for _, n := range []int{100, 8 << 10, 20 << 10, 64<<10 - 60} {
		for _, tail := range []string{"", "GET /next HTTP/1.1\r\nHost: b\r\n\r\n"} {
			r := &Reader{Src: strings.NewReader(fmt.Sprintf("GET / HTTP/1.1\r\nHost: a\r\nX: %s\r\n\r\n%s", strings.Repeat("x", n), tail))}
			q, err := r.ReadRequest(context.Background(), 64<<10)
			if err != nil || len(q.Header.Get("X")) != n {
				t.Fatalf("%d bytes: %v", n, err)
			}
			if tail != "" {
				if q, err = r.ReadRequest(context.Background(), 64<<10); err != nil || q.RequestURI != "/next" {
					t.Errorf("after %d bytes: %v", n, err)
				}
			}
		}
	}
	r := &Reader{Src: endless{}}
	if _, err := r.ReadRequest(context.Background(), 64<<10); err == nil || err.(*Error).Status != http.StatusRequestHeaderFieldsTooLarge {
		t.Error(err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}

func TestRequestCostsFewAllocations(t *testing.T) {
	text := []byte("POST /v1/messages HTTP/1.1\r\nHost: api.example\r\nUser-Agent: x/1\r\nContent-Type: application/json\r\nAccept: */*\r\nContent-Length: 2\r\n\r\n{}")
	src := bytes.NewReader(text)
	r := &Reader{Src: src}
	body := make([]byte, 16)
	const budget = 12
	if n := testing.AllocsPerRun(200, func() {
		src.Reset(text)
		q, err := r.ReadRequest(context.Background(), 64<<10)
		if err != nil {
			t.Fatal(err)
		}
		q.Request.Body.Read(body)
	}); n > budget {
		t.Errorf("%v allocations, budget %d", n, budget)
	}
}

// BenchmarkRequest compares reading a request with what net/http takes for it.
func BenchmarkRequest(b *testing.B) {
	text := []byte("POST /v1/messages HTTP/1.1\r\nHost: api.example\r\nUser-Agent: x/1\r\nContent-Type: application/json\r\nAccept: */*\r\nContent-Length: 2\r\n\r\n{}")
	src := bytes.NewReader(text)
	b.Run("http1", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			src.Reset(text)
			r := &Reader{Src: src}
			q, _ := r.ReadRequest(context.Background(), 64<<10)
			io.Copy(io.Discard, q.Request.Body)
			r.Release()
		}
	})
	b.Run("nethttp", func(b *testing.B) {
		b.ReportAllocs()
		br := bufio.NewReader(src)
		for b.Loop() {
			src.Reset(text)
			br.Reset(src)
			q, _ := http.ReadRequest(br)
			io.Copy(io.Discard, q.Body)
		}
	})
}
