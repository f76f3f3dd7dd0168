package proxy_test

import (
	"bufio"
	"bytes"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// sizes are those of buffers on the way, and a byte beside them.
func sizes() (all []int) {
	for _, edge := range []int{4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10} {
		all = append(all, edge-1, edge, edge+1)
	}
	return all
}

// framed are messages that begin with start, of which one part is of a size.
var framed = []struct {
	name  string
	build func(start string, size int) []byte
}{
	{"head", func(start string, size int) []byte {
		b := start + "Content-Length: 3\r\nX: "
		return []byte(b + strings.Repeat("x", max(1, size-len(b)-4)) + "\r\n\r\nabc")
	}},
	{"body", func(start string, size int) []byte {
		return []byte(fmt.Sprintf("%sContent-Length: %d\r\n\r\n", start, size) + strings.Repeat("b", size))
	}},
	{"head and body", func(start string, size int) []byte {
		b := fmt.Sprintf("%sContent-Length: %05d\r\n\r\n", start, size)
		return []byte(fmt.Sprintf("%sContent-Length: %05d\r\n\r\n", start, size-len(b)) + strings.Repeat("b", size-len(b)))
	}},
	{"one chunk", func(start string, size int) []byte {
		return fmt.Appendf(nil, "%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", start, size, strings.Repeat("c", size))
	}},
	{"two chunks and a trailer", func(start string, size int) []byte {
		return fmt.Appendf(nil, "%sTransfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n%x\r\n%s\r\n1\r\nd\r\n0\r\nX-End: yes\r\n\r\n", start, size, strings.Repeat("c", size))
	}},
}

// pieces writes b cut at those places, so that they arrive apart.
func pieces(w io.Writer, b []byte, at ...int) {
	from := 0
	for _, i := range at {
		if i > from && i < len(b) {
			w.Write(b[from:i])
			from = i
			time.Sleep(300 * time.Microsecond)
		}
	}
	w.Write(b[from:])
}

// whereCut is where messages of size are cut: near that size, and near their end.
func whereCut(b []byte, size, i int) []int {
	return [][]int{{size - 1}, {size}, {size + 1}, {len(b) - 1}, {len(b) - 3, len(b) - 1}, {20, size + 2}}[i%6]
}

func sum(b []byte) string { return fmt.Sprintf("%d-%08x", len(b), crc32.ChecksumIEEE(b)) }

// What a client sends, of a size at which a buffer ends, arrives whole; and so
// does what the server answers.
func TestMessagesAtEdgesPassInWhateverPiecesTheyCome(t *testing.T) {
	r := exact(t, maskSecrets, func(c net.Conn, br *bufio.Reader) {
		for n := 0; ; n++ {
			q, err := http.ReadRequest(br)
			if err != nil {
				return
			}
			b, err := io.ReadAll(q.Body)
			start := fmt.Sprintf("HTTP/1.1 200 OK\r\nX-Got: %s %s %v\r\n", sum(b), q.Trailer.Get("X-End"), err)
			var kind, size int
			if _, err := fmt.Sscanf(q.URL.Path, "/%d/%d", &kind, &size); err == nil {
				answer := framed[kind].build(start, size)
				pieces(c, answer, whereCut(answer, size, n)...)
			} else {
				io.WriteString(c, start+"Content-Length: 0\r\n\r\n")
			}
		}
	})
	var all sync.WaitGroup
	for kind, f := range framed {
		all.Go(func() { upEdges(t, r, f.name, f.build) })
		all.Go(func() { downEdges(t, r, kind) })
	}
	all.Wait()
}

func upEdges(t *testing.T, r *rig, name string, build func(string, int) []byte) {
	c := r.dial(host + ":80")
	br := bufio.NewReader(c)
	for _, size := range sizes() {
		for i := range 6 {
			b := build("POST / HTTP/1.1\r\nHost: "+host+"\r\nContent-Type: text/plain\r\n", size)
			q, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b)))
			if err != nil {
				t.Errorf("%s of %d: %v", name, size, err)
				return
			}
			body, _ := io.ReadAll(q.Body)
			go pieces(c, b, whereCut(b, size, i)...)
			resp, err := http.ReadResponse(br, nil)
			if err != nil {
				t.Errorf("%s of %d, cut %d: %v", name, size, i, err)
				return
			}
			if name == "head" && size > 64<<10 {
				if resp.StatusCode != 431 {
					t.Errorf("a head of %d: %s", size, resp.Status)
				}
				return // the connection ends
			}
			if want := fmt.Sprintf("%s %s <nil>", sum(body), q.Trailer.Get("X-End")); resp.Header.Get("X-Got") != want {
				t.Errorf("%s of %d, cut %d: %s, arrived %q, want %q", name, size, i, resp.Status, resp.Header.Get("X-Got"), want)
			}
			io.Copy(io.Discard, resp.Body)
		}
	}
}

func downEdges(t *testing.T, r *rig, kind int) {
	c := r.dial(host + ":80")
	br := bufio.NewReader(c)
	for _, size := range sizes() {
		for i := range 6 {
			fmt.Fprintf(c, "GET /%d/%d HTTP/1.1\r\nHost: %s\r\n\r\n", kind, size, host)
			resp, err := http.ReadResponse(br, nil)
			if err != nil {
				t.Errorf("%s of %d, answer %d: %v", framed[kind].name, size, i, err)
				return
			}
			got, err := io.ReadAll(resp.Body)
			sent, _ := http.ReadResponse(bufio.NewReader(bytes.NewReader(framed[kind].build("HTTP/1.1 200 OK\r\nX-Got: "+resp.Header.Get("X-Got")+"\r\n", size))), nil)
			want, _ := io.ReadAll(sent.Body)
			if err != nil || !bytes.Equal(got, want) || resp.Header.Get("X") != sent.Header.Get("X") || resp.Trailer.Get("X-End") != sent.Trailer.Get("X-End") {
				t.Errorf("%s of %d, answer %d: %s, %d bytes of %d, trailer %v, %v", framed[kind].name, size, i, resp.Status, len(got), len(want), resp.Trailer, err)
			}
		}
	}
}
