package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestFastEventStreamsAreNeverCut(t *testing.T) {
	const streams, events = 25, 500
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
				// The answer begins while the request is still being read.
				http.NewResponseController(w).EnableFullDuplex()
				w.Header().Set("Content-Type", "text/event-stream")
				for i := range events {
					fmt.Fprintf(w, "data: %d\n\n", i)
					w.(http.Flusher).Flush()
				}
				io.Copy(io.Discard, r.Body)
			}, nil, allow)
			client := r.client(way.h2)
			var wg sync.WaitGroup
			for range streams {
				wg.Go(func() {
					resp, err := client.Post("https://"+host+"/v1/messages", "application/json", strings.NewReader(`{"stream":true}`))
					if err != nil {
						t.Error(err)
						return
					}
					defer resp.Body.Close()
					b, err := io.ReadAll(resp.Body)
					if n := strings.Count(string(b), "\n\n"); n != events || err != nil {
						t.Errorf("%d of %d events, %v", n, events, err)
					}
				})
			}
			wg.Wait()
			for _, p := range r.log.wait(t, streams) {
				if p.closed.Outcome.Error != "" {
					t.Errorf("outcome %+v", p.closed.Outcome)
				}
			}
		})
	}
}

func TestEachEventPassesAtOnce(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			next := make(chan struct{})
			r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				w.(http.Flusher).Flush()
				for range next {
					io.WriteString(w, "data: x\n")
					w.(http.Flusher).Flush()
				}
			}, nil, allow)
			resp, err := r.client(way.h2).Get("https://" + host + "/")
			if err != nil {
				t.Fatal(err)
			}
			br := bufio.NewReader(resp.Body)
			for range 5 {
				next <- struct{}{} // only then is the next one sent
				if line, err := br.ReadString('\n'); line != "data: x\n" {
					t.Fatal(line, err)
				}
			}
			close(next)
			if _, err := br.ReadByte(); err != io.EOF {
				t.Error(err)
			}
		})
	}
}

func TestBothDirectionsFlowAtOnce(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status")
		w.(http.Flusher).Flush()
		buf := make([]byte, 100)
		for {
			n, err := r.Body.Read(buf)
			w.Write(buf[:n])
			w.(http.Flusher).Flush()
			if err != nil {
				break
			}
		}
		w.Header().Set("Grpc-Status", "0")
	}, nil, allow)
	pr, pw := io.Pipe()
	req, _ := http.NewRequest("POST", "https://"+host+"/pkg.Echo/Talk", pr)
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("Te", "trailers")
	resp, err := r.client(true).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	buf := make([]byte, 100)
	for i := range 5 {
		msg := fmt.Sprintf("message %d", i)
		go io.WriteString(pw, msg)
		if n, err := io.ReadFull(resp.Body, buf[:len(msg)]); string(buf[:n]) != msg {
			t.Fatalf("echo %q, %v", buf[:n], err)
		}
	}
	pw.Close()
	if _, err := io.ReadAll(resp.Body); err != nil || resp.Trailer.Get("Grpc-Status") != "0" {
		t.Errorf("trailer %v, %v", resp.Trailer, err)
	}
	p := r.log.wait(t, 1)[0]
	if p.decided.Protocol != "grpc" || p.closed.Outcome.Sent != 45 || p.closed.Outcome.Received != 45 {
		t.Errorf("%+v %+v", p.decided, p.closed.Outcome)
	}
}

func TestATruncatedResponseIsTruncatedForTheClient(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
				io.WriteString(w, "begin")
				w.(http.Flusher).Flush()
				panic(http.ErrAbortHandler)
			}, nil, allow)
			resp, err := r.client(way.h2).Get("https://" + host + "/")
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(resp.Body)
			if string(b) != "begin" || err == nil {
				t.Errorf("body %q, error %v", b, err)
			}
			o := r.log.wait(t, 1)[0].closed.Outcome
			if o.Status != 200 || o.Received != 5 || o.Error == "" {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

// A slow body is one that is sent a piece at a time.
type slow struct{ pieces []string }

func (s *slow) Read(b []byte) (int, error) {
	if len(s.pieces) == 0 {
		return 0, io.EOF
	}
	time.Sleep(time.Millisecond)
	n := copy(b, s.pieces[0])
	s.pieces = s.pieces[1:]
	return n, nil
}

// zeros is a long body.
type zeros struct{ left int }

func (z *zeros) Read(b []byte) (int, error) {
	if z.left == 0 {
		return 0, io.EOF
	}
	n := min(len(b), z.left)
	clear(b[:n])
	z.left -= n
	return n, nil
}

func TestALargeUploadIsRefusedSoThatTheClientReadsIt(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			r := newRig(t, nil, nil, "version: 1\ndefault: block\n")
			const size = 32 << 20
			req, _ := http.NewRequest("POST", "https://"+host+"/upload", &zeros{size})
			req.ContentLength = size
			resp, err := r.client(way.h2).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if b, err := io.ReadAll(resp.Body); resp.StatusCode != 403 || !strings.Contains(string(b), "was not sent") || err != nil {
				t.Errorf("%s: %q, %v", resp.Status, b, err)
			}
		})
	}
	// A client that reads nothing until all is written.
	r := newRig(t, nil, nil, "version: 1\ndefault: block\n")
	c := r.dialTLS(host+":443", host)
	fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n", host, 32<<20)
	if _, err := io.Copy(c, &zeros{32 << 20}); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != 403 {
		t.Error(resp, err)
	}
}

func TestASlowBodyPasses(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }, nil, allow)
	resp, err := r.client(false).Post("https://"+host+"/", "text/plain", &slow{strings.Split(strings.Repeat("ab ", 50), " ")})
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(resp.Body); string(b) != strings.Repeat("ab", 50) || err != nil {
		t.Errorf("%q %v", b, err)
	}
}

func TestABodyThatEndsEarlyIsNotSent(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err == nil {
			t.Error("a whole body arrived")
		}
	}, nil, allow)
	c := r.dialTLS(host+":443", host)
	fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: 10\r\n\r\nhalf", host)
	c.CloseWrite()
	c.NetConn().Close()
	p := r.log.wait(t, 1)[0]
	if p.decided.Decision.Rule != "fault" && p.closed.Outcome.Error == "" {
		t.Errorf("%+v %+v", p.decided.Decision, p.closed.Outcome)
	}
}
