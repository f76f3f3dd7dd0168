package proxy_test

import (
	"context"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"outvet/call"
	"outvet/internal/forward"
	"outvet/internal/listener/proxy"
)

// panics is an upstream with a bug.
type panics struct{ both }

func (panics) RoundTrip(*http.Request, *call.Guard, forward.Proto) (*http.Response, error) {
	panic("bug")
}

func TestAPanicIsRecorded(t *testing.T) {
	for _, way := range ways {
		r := newRig(t, nil, nil, allow, func(s *proxy.Server) { s.Upstream = panics{} })
		if _, err := r.client(way.h2).Get("https://" + host + "/"); err == nil {
			t.Error("it was answered")
		}
		if o := r.log.wait(t, 1)[0].closed.Outcome; !strings.Contains(o.Error, "panic") {
			t.Errorf("%+v", o)
		}
	}
}

func TestAnAddressThatMayNotBeReachedIsARefusal(t *testing.T) {
	r := newRig(t, nil, nil, allow)
	resp, err := r.client(false).Get("https://169.254.169.254/latest/meta-data/")
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 403 || !strings.Contains(string(b), "169.254.169.254") || !strings.Contains(resp.Status, "egress policy") {
		t.Errorf("%s %s", resp.Status, b)
	}
	r.log.wait(t, 1)
}

func TestShutdownWaitsForCallsAndClosesTheirRecords(t *testing.T) {
	arrived, answer := make(chan bool), make(chan bool)
	r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		arrived <- true
		<-answer
		io.WriteString(w, "late")
	}, nil, allow, func(s *proxy.Server) { s.Peek = time.Minute }) // else the idle tunnel may become a raw connection
	idle := r.dial(host + ":443")
	got := make(chan string)
	go func() {
		resp, err := r.client(false).Get("https://" + host + "/")
		if err != nil {
			got <- err.Error()
			return
		}
		b, _ := io.ReadAll(resp.Body)
		got <- string(b)
	}()
	<-arrived
	down := make(chan error)
	go func() { down <- r.server.Shutdown(context.Background()) }()
	select {
	case <-down:
		t.Error("it did not wait")
	case <-time.After(100 * time.Millisecond):
	}
	close(answer)
	if s := <-got; s != "late" {
		t.Error(s)
	}
	if err := <-down; err != nil {
		t.Error(err)
	}
	idle.Close()
	r.log.wait(t, 2)
}

func TestShutdownBreaksOffWhatDoesNotEnd(t *testing.T) {
	arrived := make(chan bool)
	r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		arrived <- true
		<-r.Context().Done()
	}, nil, allow)
	for _, way := range ways {
		go r.client(way.h2).Get("https://" + host + "/")
		<-arrived
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := r.server.Shutdown(ctx); err == nil {
		t.Error("no error")
	}
	closed := 0
	for _, rec := range r.log.rs {
		if rec.Kind == call.Closed {
			closed++
		}
	}
	if closed != 2 {
		t.Errorf("%d closed records when Shutdown returned, want 2", closed)
	}
}

func TestConnectionsLeaveNothingBehind(t *testing.T) {
	const churn = 200
	r := newRig(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "x") }, nil, allow)
	one := func(h2 bool) {
		c := r.client(h2)
		resp, err := c.Get("https://" + host + "/")
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		c.CloseIdleConnections()
	}
	for range 5 {
		one(false)
		one(true)
	}
	before := settled(1 << 30)
	for i := range churn {
		one(i%2 == 0)
	}
	if after := settled(before); after > before+10 {
		buf := make([]byte, 1<<20)
		t.Errorf("%d goroutines before, %d after %d connections\n%s", before, after, churn, buf[:runtime.Stack(buf, true)])
	}
	r.server.Gate.Log.(*records).wait(t, churn+10)
}

// settled waits until no more than want goroutines are left, or a second.
func settled(want int) int {
	n := 0
	for range 50 {
		if n = runtime.NumGoroutine(); n <= want {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if want == 1<<30 {
		time.Sleep(200 * time.Millisecond)
		n = runtime.NumGoroutine()
	}
	return n
}

// noTime is no deadline.
var noTime time.Time
