package siege

import (
	"bufio"
	"context"
	"crypto/tls"

	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// hasty is a server that answers as soon as it has read a head, with a body of
// size bytes, and closes at once: what the client still sends is unread, so its
// system resets the connection.
func hasty(size int) func(net.Conn) {
	body := strings.Repeat("b", size)
	return func(c net.Conn) {
		r := bufio.NewReaderSize(c, 16)
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			if line == "\r\n" {
				break
			}
		}
		fmt.Fprintf(c, "HTTP/1.1 413 Too Large\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", size, body)
	}
}

// An upload is sent to its end, whatever comes back meanwhile, and read to the
// end at the same time.
func upload(c net.Conn, head string, body []byte) (status int, n int, err error) {
	c.SetDeadline(time.Now().Add(20 * time.Second))
	var all sync.WaitGroup
	all.Go(func() {
		io.WriteString(c, head)
		for len(body) > 0 { // in pieces, so that the answer comes in their midst
			k := min(len(body), 8<<10)
			if _, err := c.Write(body[:k]); err != nil {
				return
			}
			body = body[k:]
		}
	})
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		c.Close()
		all.Wait()
		return 0, 0, err
	}
	b, err := io.ReadAll(res.Body)
	c.Close()
	all.Wait()
	return res.StatusCode, len(b), err
}

// A server that answers an upload before it has read it, and closes, is heard:
// whole, whatever the client still sends.
func TestEarlyAnswersArriveWhole(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	flags := []string{"--upstream-ca", a.file}
	sizes := map[string]int{"small.example": 3, "large.example": 32 << 10}
	for host, size := range sizes {
		serve := hasty(size)
		conf := a.leaf("", time.Now().Add(time.Hour))
		conf.NextProtos = []string{"http/1.1"}
		flags = append(flags, to(host, "80", listen(t, serve))...)
		flags = append(flags, to(host, "443", listen(t, func(c net.Conn) {
			tc := tls.Server(c, conf)
			defer tc.Close()
			serve(tc)
		}))...)
	}
	flags = append(flags, to("two.example", "443", a.https(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(413)
		w.Write(make([]byte, sizes["large.example"]))
	})))...)
	for name, policy := range map[string]string{
		"read whole": allowing,
		"streamed":   "version: 1\ndefault: allow\nrules:\n- {name: blocked host, to: blocked.example, verdict: block}\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := newState(t, policy)
			s := serve(t, dir, flags...)
			hammer(t, s, sizes)
			hammerH2(t, s, sizes)
			s.stop()
			paired(t, dir)
		})
	}
}

func hammer(t *testing.T, s *served, sizes map[string]int) {
	hosts := []string{"small.example", "large.example", "blocked.example"}
	bodies := []int{30 << 10, 64 << 10, 1 << 20}
	var cut atomic.Int32
	each(360, func(i int) {
		host, secure, chunked := hosts[i%3], i/3%2 == 0, i/6%2 == 0
		body := []byte(strings.Repeat("plain text ", bodies[i/12%3]/11))
		framing := fmt.Sprintf("Content-Length: %d", len(body))
		if chunked {
			body = fmt.Appendf(nil, "%x\r\n%s\r\n0\r\n\r\n", len(body), body)
			framing = "Transfer-Encoding: chunked"
		}
		var c net.Conn
		var err error
		target := "/"
		if secure {
			c, err = s.secure(host+":443", &tls.Config{ServerName: host, NextProtos: []string{"http/1.1"}})
		} else {
			c, err = net.Dial("tcp", s.Proxy)
			target = "http://" + host + "/"
		}
		if err != nil {
			t.Error(err)
			return
		}
		status, n, err := upload(c, fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\n%s\r\n\r\n", target, host, framing), body)
		want, size := 413, sizes[host]
		if host == "blocked.example" {
			want, size = 403, n
		}
		if err != nil || status != want || n != size {
			cut.Add(1)
			t.Errorf("%s, TLS %t, chunks %t, %d bytes: %d, %d bytes, %v", host, secure, chunked, len(body), status, n, err)
		}
	})
	if n := cut.Load(); n > 0 {
		t.Errorf("%d of 360 answers were cut", n)
	}
}

// hammerH2 does the same for clients of HTTP/2, with servers that speak it and
// such that do not.
func hammerH2(t *testing.T, s *served, sizes map[string]int) {
	tr := s.client()
	defer tr.CloseIdleConnections()
	hosts := []string{"small.example", "large.example", "blocked.example", "two.example"}
	each(120, func(i int) {
		host := hosts[i%len(hosts)]
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		var body io.Reader = strings.NewReader(strings.Repeat("plain text ", 10_000*(i%3)+3_000))
		if i/4%2 == 0 {
			body = struct{ io.Reader }{body} // of unknown length
		}
		req, _ := http.NewRequestWithContext(ctx, "POST", "https://"+host+"/", body)
		res, err := tr.RoundTrip(req)
		if err != nil {
			t.Errorf("%s over HTTP/2: %v", host, err)
			return
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		want, size := 413, sizes[host]
		switch host {
		case "blocked.example":
			want, size = 403, len(b)
		case "two.example":
			size = sizes["large.example"]
		}
		if err != nil || res.StatusCode != want || len(b) != size || res.ProtoMajor != 2 {
			t.Errorf("%s over %s: %s, %d bytes, %v %.300s", host, res.Proto, res.Status, len(b), err, b[:min(len(b), 300)])
		}
	})
}
