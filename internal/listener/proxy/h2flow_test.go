package proxy_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// answer sends the head of an answer and more fields.
func (s *strm) answer(status string, end bool, more ...string) {
	s.headers(end, append([]string{":status", status}, more...)...)
}

func TestAStreamThatTheServerResetsIsNoCleanEnd(t *testing.T) {
	for _, c := range []struct {
		code     http2.ErrCode
		grpc     string
		length   bool
		wantGRPC string
	}{
		{http2.ErrCodeCancel, "", false, ""},
		{http2.ErrCodeInternal, "", true, ""},
		{http2.ErrCodeEnhanceYourCalm, "", false, ""},
		{http2.ErrCodeCancel, "application/grpc", false, "1"},
		{http2.ErrCodeRefusedStream, "application/grpc", false, "14"},
		{http2.ErrCodeEnhanceYourCalm, "application/grpc+proto", false, "8"},
		{http2.ErrCodeInternal, "application/grpc", false, "13"},
		{http2.ErrCodeProtocol, "application/grpc", true, ""},
	} {
		use, _ := h2Origin(t, nil, func(s *strm) {
			more := []string{"content-type", "text/plain"}
			if c.length {
				more = append(more, "content-length", "100")
			}
			s.answer("200", false, more...)
			s.send([]byte("begin"), false)
			time.Sleep(20 * time.Millisecond)
			s.cancel(c.code)
		})
		r := newRig(t, nil, nil, allow, use)
		s := r.h2(t).open(request("POST", "/", "content-type", c.grpc, "te", "trailers"), true)
		body, end := s.end()
		switch {
		case c.wantGRPC == "" && (body != "begin" || end != "INTERNAL_ERROR"):
			t.Errorf("%v: %q, %s", c.code, body, end)
		case c.wantGRPC != "" && (body != "begin" || end != "end" || s.field(1, "grpc-status") != c.wantGRPC || s.field(1, "grpc-message") == ""):
			t.Errorf("%v: %q, %s, %v", c.code, body, end, s.heads)
		}
		if o := r.log.wait(t, 1)[0].closed.Outcome; o.Status != 200 || !strings.Contains(o.Error, c.code.String()) {
			t.Errorf("%v: %+v", c.code, o)
		}
	}
}

func TestAResetBeforeTheAnswerIsTold(t *testing.T) {
	use, _ := h2Origin(t, nil, func(s *strm) { s.cancel(http2.ErrCodeInternal) })
	r := newRig(t, nil, nil, allow, use)
	p := r.h2(t)
	if s := p.open(request("GET", "/"), true); s.status() != "502" || !strings.Contains(s.field(0, "proxy-status"), "http_protocol_error") {
		t.Errorf("%v", s.heads)
	}
	if s := p.open(request("POST", "/", "content-type", "application/grpc"), true); s.field(0, "grpc-status") != "14" {
		t.Errorf("%v", s.heads)
	}
	r.log.wait(t, 2)
}

func TestAStreamThatTheClientResetsEndsUpstream(t *testing.T) {
	for _, when := range []string{"before the answer", "in the answer", "in the request"} {
		heard := make(chan string, 1)
		begun := make(chan bool, 1)
		use, _ := h2Origin(t, nil, func(s *strm) {
			if when == "in the answer" {
				s.answer("200", false)
				s.send([]byte("begin"), false)
			}
			begun <- true
			_, end := s.end()
			heard <- end
		})
		r := newRig(t, nil, nil, allow, use)
		p := r.h2(t)
		s := p.open(request("POST", "/", "content-type", "application/grpc"), when != "in the request")
		if when == "in the request" {
			s.send([]byte{0, 0, 0, 0, 1, 'x'}, false)
		}
		<-begun
		if when == "in the answer" {
			s.p.wait("answer", func() bool { return s.got == 5 })
		}
		begin := time.Now()
		s.cancel(http2.ErrCodeCancel)
		if end := <-heardOr(heard); when == "in the request" && end != "CANCEL" || when != "in the request" && end != "CANCEL" && end != "end" {
			t.Errorf("%s: the server heard %s", when, end)
		}
		if d := time.Since(begin); d > time.Second {
			t.Errorf("%s: the server heard after %v", when, d)
		}
		if o := r.log.wait(t, 1)[0].closed.Outcome; o.Error != "the client went away" {
			t.Errorf("%s: %+v", when, o)
		}
	}
}

// heardOr gives up after a while.
func heardOr(c chan string) chan string {
	out := make(chan string, 1)
	go func() {
		select {
		case s := <-c:
			out <- s
		case <-time.After(15 * time.Second):
			out <- "nothing"
		}
	}()
	return out
}

func TestASlowReaderOfOneStreamStallsNoOther(t *testing.T) {
	const size = 64 << 20
	var mu sync.Mutex
	wrote := 0
	r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/slow" {
			io.WriteString(w, "quick")
			return
		}
		b := make([]byte, 64<<10)
		for range size / len(b) {
			if _, err := w.Write(b); err != nil {
				return
			}
			mu.Lock()
			wrote += len(b)
			mu.Unlock()
		}
	}, nil, allow)
	// The windows of this client are never given back but for what the test reads.
	p := r.h2(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10_000})
	p.write(func() error { return p.fr.WriteWindowUpdate(0, 100<<20) })
	var slow []*strm
	for range 8 {
		slow = append(slow, p.open(request("GET", "/slow"), true))
	}
	for _, s := range slow {
		s.p.wait("window", func() bool { return s.got == 10_000 })
	}
	for range 20 {
		if body, end := p.open(request("GET", "/"), true).end(); body != "quick" || end != "end" {
			t.Fatal(body, end)
		}
	}
	time.Sleep(200 * time.Millisecond)
	mu.Lock()
	if wrote > 8*(6<<20) { // sockets, the window upstream, the buffers of both sides
		t.Errorf("the server could write %d MiB that nobody reads", wrote>>20)
	}
	mu.Unlock()
	for _, s := range slow {
		s.cancel(http2.ErrCodeCancel)
	}
	r.log.wait(t, 28)
}

func TestASlowServerOfOneStreamStallsNoOther(t *testing.T) {
	hold := make(chan struct{})
	// With HTTP/2 upstream, too, the windows of that server would be what stalls.
	use := h1Origin(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-hold
		}
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n)
	})
	r := newRig(t, nil, nil, allow, use)
	defer close(hold)
	p := r.h2(t)
	sent := make([]int, 8)
	for i := range 8 { // what they send nobody reads
		s := p.open(request("POST", "/slow", "content-type", "application/grpc"), false)
		go func() {
			msg := append([]byte{0, 0, 0, 0xff, 0xfb}, make([]byte, 0xfffb)...)
			for range 500 {
				if !s.send(msg, false) {
					return
				}
				s.p.mu.Lock()
				sent[i] += len(msg)
				s.p.mu.Unlock()
			}
		}()
	}
	time.Sleep(300 * time.Millisecond)
	for range 5 {
		s := p.open(request("POST", "/quick"), false)
		if !s.send(make([]byte, 300_000), true) {
			t.Fatal("the stream was reset")
		}
		if body, end := s.end(); body != "300000" || end != "end" {
			t.Fatal(body, end)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, n := range sent {
		if n > 16<<20 { // what sockets hold on both sides is part of it
			t.Errorf("stream %d could send %d KiB that nobody reads", i, n>>10)
		}
	}
}

func TestAServerThatGoesAwayEndsWhatItDoesNotServe(t *testing.T) {
	var mu sync.Mutex
	seen := map[*peer]int{}
	use, peers := h2Origin(t, nil, func(s *strm) {
		mu.Lock()
		seen[s.p]++
		n, first := seen[s.p], len(seen) == 1
		mu.Unlock()
		if n == 2 && first { // the first stream is served, the second not
			s.p.write(func() error { return s.p.fr.WriteGoAway(s.id-2, http2.ErrCodeNo, nil) })
			return
		}
		s.answer("200", false)
		if n == 1 && first {
			time.Sleep(300 * time.Millisecond)
		}
		s.send([]byte("served"), true)
	})
	r := newRig(t, nil, nil, allow, use)
	p := r.h2(t)
	a := p.open(request("GET", "/a"), true)
	a.status()
	b := p.open(request("GET", "/b"), true)
	for _, s := range []*strm{a, b} {
		if body, end := s.end(); body != "served" || end != "end" || s.status() != "200" {
			t.Errorf("%v %q %s", s.heads, body, end)
		}
	}
	if n := len(peers()); n != 2 {
		t.Errorf("%d connections", n)
	}
	r.log.wait(t, 2)
}

func TestAServersConnectionThatEndsEndsItsStreams(t *testing.T) {
	use, _ := h2Origin(t, nil, func(s *strm) {
		s.answer("200", false, "content-type", "application/grpc")
		s.send([]byte("begin"), false)
		if s.id == 5 {
			time.Sleep(50 * time.Millisecond)
			s.p.conn.Close()
		}
	})
	r := newRig(t, nil, nil, allow, use)
	p := r.h2(t)
	var all []*strm
	for i := range 3 {
		ctype := "text/plain"
		if i == 1 {
			ctype = "application/grpc"
		}
		s := p.open(request("POST", "/", "content-type", ctype), true)
		s.status()
		all = append(all, s)
	}
	for i, s := range all {
		body, end := s.end()
		if i == 1 && (end != "end" || s.field(1, "grpc-status") != "14") || i != 1 && end != "INTERNAL_ERROR" || body != "begin" {
			t.Errorf("stream %d: %q %s %v", i, body, end, s.heads)
		}
	}
	for _, pr := range r.log.wait(t, 3) {
		if pr.closed.Outcome.Error == "" {
			t.Errorf("%+v", pr.closed.Outcome)
		}
	}
	if s := p.open(request("GET", "/"), true); s.status() != "200" {
		t.Errorf("%v", s.heads) // over another connection
	}
}

func TestMoreStreamsThanTheServerTakesAreServed(t *testing.T) {
	var mu sync.Mutex
	at := map[*peer]int{}
	use, peers := h2Origin(t, []http2.Setting{{ID: http2.SettingMaxConcurrentStreams, Val: 3}}, func(s *strm) {
		mu.Lock()
		at[s.p]++
		over := at[s.p] > 3
		mu.Unlock()
		time.Sleep(20 * time.Millisecond)
		mu.Lock()
		at[s.p]--
		mu.Unlock()
		if over { // it came before our SETTINGS were read
			s.cancel(http2.ErrCodeRefusedStream)
			return
		}
		s.answer("200", true)
	})
	r := newRig(t, nil, nil, allow, use)
	p := r.h2(t)
	var all []*strm
	for range 31 {
		all = append(all, p.open(request("GET", "/"), true))
	}
	for _, s := range all {
		if s.status() != "200" {
			t.Errorf("%v", s.heads)
		}
	}
	r.log.wait(t, 31)
	if n := len(peers()); n < 2 {
		t.Errorf("%d connections", n)
	}
}

// resident returns what the heap holds after a collection, in bytes.
func resident() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

func TestInterimAnswersAndTrailersPass(t *testing.T) {
	use, _ := h2Origin(t, nil, func(s *strm) {
		s.answer("103", false, "link", "</a.css>; rel=preload")
		s.answer("100", false)
		body, _ := s.end()
		s.answer("200", false, "trailer", "x-sum", "x-got", body+" "+s.field(1, "x-up"))
		s.send([]byte("body"), false)
		s.headers(true, "x-sum", "5", "x-late", "y")
	})
	r := newRig(t, nil, nil, allow, use)
	s := r.h2(t).open(request("POST", "/", "te", "trailers", "trailer", "x-up"), false)
	s.send([]byte("up"), false)
	s.headers(true, "x-up", "7")
	body, end := s.end()
	n := len(s.heads)
	if s.status() != "103" || s.field(0, "link") == "" || n < 3 || s.field(n-2, ":status") != "200" ||
		s.field(n-2, "x-got") != "up 7" || body != "body" || end != "end" || s.field(n-1, "x-sum") != "5" || s.field(n-1, "x-late") != "y" {
		t.Errorf("%v %q %s", s.heads, body, end)
	}
}

func TestASecretInATrailerOfHTTP2DoesNotLeave(t *testing.T) {
	got := make(chan http.Header, 1)
	r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		got <- r.Trailer
	}, nil, noSecrets)
	s := r.h2(t).open(request("POST", "/", "trailer", "x-up"), false)
	s.send([]byte("up"), false)
	s.headers(true, "x-up", token)
	if s.status() != "403" {
		t.Errorf("%v", s.heads)
	}
	r.log.wait(t, 1)
	select {
	case h := <-got:
		if strings.Contains(fmt.Sprint(h), token) {
			t.Error("it left")
		}
	case <-time.After(time.Second):
	}
}

func TestAnswersWithoutABodyPass(t *testing.T) {
	use, _ := h2Origin(t, nil, func(s *strm) {
		switch s.field(0, ":path") {
		case "/204", "/304":
			s.answer(s.field(0, ":path")[1:], true, "etag", `"x"`)
		case "/empty":
			s.answer("200", true, "content-length", "0")
		default: // HEAD
			s.answer("200", true, "content-length", "1000", "content-type", "text/x")
		}
	})
	r := newRig(t, nil, nil, allow, use)
	p := r.h2(t)
	for path, want := range map[string]string{"/204": "204", "/304": "304", "/empty": "200"} {
		s := p.open(request("GET", path), true)
		if body, end := s.end(); s.status() != want || body != "" || end != "end" {
			t.Errorf("%s: %v %q %s", path, s.heads, body, end)
		}
	}
	s := p.open(request("HEAD", "/"), true)
	if body, end := s.end(); s.status() != "200" || body != "" || end != "end" || s.field(0, "content-length") != "1000" || s.field(0, "content-type") != "text/x" {
		t.Errorf("HEAD: %v %q %s", s.heads, body, end)
	}
	r.log.wait(t, 4)
}

func TestAnAnswerOfAnotherLengthThanItSaysIsBroken(t *testing.T) {
	use, _ := h2Origin(t, nil, func(s *strm) {
		s.answer("200", false, "content-length", s.field(0, "x-length"))
		s.send([]byte("12345"), true)
	})
	r := newRig(t, nil, nil, allow, use)
	p := r.h2(t)
	for _, n := range []string{"3", "9"} {
		s := p.open(request("GET", "/", "x-length", n), true)
		if body, end := s.end(); end == "end" || len(body) > 5 {
			t.Errorf("content-length %s: %q, %s", n, body, end)
		}
	}
	for _, pr := range r.log.wait(t, 2) {
		if pr.closed.Outcome.Error == "" {
			t.Errorf("%+v", pr.closed.Outcome)
		}
	}
}

func TestARequestOfAnotherLengthThanItSaysIsNotSent(t *testing.T) {
	var mu sync.Mutex
	var whole []string
	r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		if b, err := io.ReadAll(r.Body); err == nil {
			mu.Lock()
			whole = append(whole, string(b))
			mu.Unlock()
		}
	}, nil, allow)
	p := r.h2(t)
	for _, n := range []string{"3", "9", "-1", "5, 5", "5 ", "+5", ""} {
		s := p.open(request("POST", "/", "content-length", n), false)
		s.send([]byte("12345"), true)
		if _, end := s.end(); end == "end" && s.status() == "200" {
			t.Errorf("content-length %q was answered by 200", n)
		}
	}
	s := p.open(request("POST", "/", "content-length", "5"), false)
	s.send(bytes.Repeat([]byte("1"), 5), true)
	if s.status() != "200" {
		t.Errorf("%v", s.heads)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(whole) != 1 {
		t.Errorf("the server got %q", whole)
	}
}

func TestManyStreamsAtOnceMakeOneConnection(t *testing.T) {
	use, peers := h2Origin(t, nil, func(s *strm) { s.answer("200", true) })
	r := newRig(t, nil, nil, allow, use)
	p := r.h2(t)
	var all []*strm
	for range 50 {
		all = append(all, p.open(request("GET", "/"), true))
	}
	for _, s := range all {
		if s.status() != "200" {
			t.Errorf("%v", s.heads)
		}
	}
	if n := len(peers()); n != 1 {
		t.Errorf("%d connections", n)
	}
	r.log.wait(t, 50)
}

func TestAServerThatCannotBeReachedIsToldToAll(t *testing.T) {
	r := newRig(t, nil, nil, allow)
	r.origin.Listener.Close()
	p := r.h2(t)
	var all []*strm
	for range 20 {
		all = append(all, p.open(request("GET", "/"), true))
	}
	for _, s := range all {
		if s.status() != "502" {
			t.Errorf("%v", s.heads)
		}
	}
	r.log.wait(t, 20)
}
