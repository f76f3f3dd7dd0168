package forward

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// What a server says too much may come with the answer before and wait within
// TLS: the system does not see it, and it must not become the next answer.
func TestAnswerTooManyInTheBuffersOfTLSAnswersNobody(t *testing.T) {
	const evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
	for name, first := range map[string]string{
		"in the record of a long body": "HTTP/1.1 200 OK\r\nContent-Length: 12000\r\n\r\n" + strings.Repeat("o", 12000) + evil,
		"in the record of a 204":       "HTTP/1.1 204 No Content\r\nX: " + strings.Repeat("x", 8<<10-len("HTTP/1.1 204 No Content\r\nX: \r\n\r\n")) + "\r\n\r\n" + evil,
		"in a record of its own":       plain + "|" + evil,
	} {
		var conns atomic.Int32
		root := newRoot(t)
		leaf := issue(t, &root, serverFor("api.example"))
		l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{DynamicRecordSizingDisabled: true,
			Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.cert.Raw}, PrivateKey: leaf.key}}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for n := 0; ; n++ {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					defer c.Close()
					conns.Add(1)
					c.SetDeadline(time.Now().Add(10 * time.Second))
					r := bufio.NewReader(c)
					for i := 0; ; i++ {
						if _, err := http.ReadRequest(r); err != nil {
							return
						}
						if n > 0 || i > 0 {
							io.WriteString(c, plain)
							continue
						}
						for s := range strings.SplitSeq(first, "|") {
							io.WriteString(c, s)
						}
					}
				}()
			}
		}()
		port := uint16(l.Addr().(*net.TCPAddr).Port)
		f := (&site{port: port, root: root}).forwarder(t)
		get := func(path string) string {
			got, err := send(f, request(t, "GET", "https://api.example"+path, ""))
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			return got
		}
		get("/1")
		time.Sleep(10 * time.Millisecond)
		for _, path := range []string{"/2", "/3"} {
			if got := get(path); got != "ok" {
				t.Errorf("%s: %s is answered with %q over %d connections", name, path, got, conns.Load())
			}
		}
		if conns.Load() != 2 {
			t.Errorf("%s: %d connections", name, conns.Load())
		}
	}
}
