package proxy_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

const benchPolicy = `version: 1
default: block
rules:
  - {name: models, to: ` + host + `, method: POST, path: [/v1/messages, /v1/responses], verdict: allow}
  - {name: no secrets out, finding: {kind: "secret/*"}, verdict: block}
`

var benchBody = `{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat("What is said here is plain English prose. ", 96) + `"}]}`

func benchOrigin(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	w.Header()["Date"] = nil
	io.WriteString(w, `{"content":[{"type":"text","text":"yes"}]}`)
}

// BenchmarkPOST compares a keep-alive POST of 4 KB through the proxy, inspected
// and recorded, with the same through a bare one that ends TLS on both sides
// and does nothing else.
func BenchmarkPOST(b *testing.B) {
	r := newRig(b, benchOrigin, nil, benchPolicy)
	b.Run("bare", func(b *testing.B) { post(b, r.bare(), r) })
	b.Run("proxy", func(b *testing.B) { post(b, r.dialTLS(host+":443", host), r) })
}

func post(b *testing.B, c net.Conn, r *rig) {
	req := []byte(fmt.Sprintf("POST /v1/messages HTTP/1.1\r\nHost: %s\r\nUser-Agent: claude-cli/2.1\r\nContent-Type: application/json\r\n"+
		"Accept: application/json\r\nContent-Length: %d\r\n\r\n%s", host, len(benchBody), benchBody))
	c.SetDeadline(noTime)
	br := bufio.NewReader(c)
	b.ReportAllocs()
	b.SetBytes(int64(len(req)))
	for b.Loop() {
		if _, err := c.Write(req); err != nil {
			b.Fatal(err)
		}
		resp, err := http.ReadResponse(br, nil)
		if err != nil || resp.StatusCode != 200 {
			b.Fatal(resp, err)
		}
		io.Copy(io.Discard, resp.Body)
	}
}

// bare connects through a proxy that only ends TLS and copies messages.
func (r *rig) bare() net.Conn {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { l.Close() })
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		leaf, err := r.server.Authority.Leaf(host)
		if err != nil {
			return
		}
		down := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{*leaf}})
		up, err := tls.Dial("tcp", r.origin.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			return
		}
		defer up.Close()
		dr, ur, dw, uw := bufio.NewReader(down), bufio.NewReader(up), bufio.NewWriterSize(down, 16<<10), bufio.NewWriterSize(up, 16<<10)
		for {
			req, err := http.ReadRequest(dr)
			if err != nil || req.Write(uw) != nil || uw.Flush() != nil {
				return
			}
			resp, err := http.ReadResponse(ur, req)
			if err != nil || resp.Write(dw) != nil || dw.Flush() != nil {
				return
			}
		}
	}()
	c, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: r.roots, ServerName: host})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	return c
}

// An answer to a request that is refused must not cost more than one that is
// carried.
func BenchmarkRefused(b *testing.B) {
	r := newRig(b, benchOrigin, nil, benchPolicy)
	client := r.client(true)
	b.ReportAllocs()
	for b.Loop() {
		resp, err := client.Post("https://"+host+"/other", "application/json", bytes.NewReader([]byte(benchBody)))
		if err != nil || resp.StatusCode != 403 {
			b.Fatal(resp, err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
}

// TestARequestCostsFewAllocations counts those of client, proxy and origin
// together.
func TestARequestCostsFewAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("skipped, because the race detector allocates")
	}
	const budget = 170
	r := newRig(t, benchOrigin, nil, benchPolicy)
	c := r.dialTLS(host+":443", host)
	br := bufio.NewReader(c)
	req := []byte(fmt.Sprintf("POST /v1/messages HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", host, len(benchBody), benchBody))
	n := testing.AllocsPerRun(500, func() {
		c.Write(req)
		resp, err := http.ReadResponse(br, nil)
		if err != nil || resp.StatusCode != 200 {
			t.Fatal(resp, err)
		}
		io.Copy(io.Discard, resp.Body)
	})
	if n > budget {
		t.Errorf("%v allocations for a request, budget %d", n, budget)
	}
}
