package siege

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// soakTime is how long the soak takes: OUTVET_SOAK=1h for an hour (make soak).
func soakTime(t *testing.T) time.Duration {
	text := os.Getenv("OUTVET_SOAK")
	if text == "" {
		return 12 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("OUTVET_SOAK: %v", err)
	}
	return d
}

// Mixed traffic as fast as it goes, for as long as it is asked for: memory,
// descriptors and threads stay flat, and every call is told.
func TestSoakLeavesMemoryFlat(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	a := newAuthority(t)
	port := a.https(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if r.URL.Path != "/events" {
			io.WriteString(w, "fine")
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 20 {
			fmt.Fprintf(w, "event: x\ndata: %d\n\n", i)
			w.(http.Flusher).Flush()
		}
	}))
	dir := newState(t, allowing)
	s := serve(t, dir, append(to("", "443", port), "--upstream-ca", a.file)...)
	end := time.Now().Add(soakTime(t))
	ctx, cancel := context.WithDeadline(t.Context(), end)
	defer cancel()
	var done, refused, given atomic.Int64
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			tr := s.client()
			tr.ForceAttemptHTTP2 = i%2 == 0
			for n := 0; ctx.Err() == nil; n++ {
				switch soak(ctx, t, tr, n) {
				case 200:
					done.Add(1)
				case 403:
					refused.Add(1)
				default:
					given.Add(1)
				}
				if n%100 == 99 {
					tr.CloseIdleConnections()
				}
			}
			tr.CloseIdleConnections()
		})
	}
	var seen []footprint
	for tick := time.NewTicker(soakTime(t) / 24); ctx.Err() == nil; {
		select {
		case <-tick.C:
			seen = append(seen, s.footprint())
		case <-ctx.Done():
		}
	}
	all.Wait()
	flat(t, seen)
	t.Logf("%d calls were carried, %d refused, %d given up; %+v", done.Load(), refused.Load(), given.Load(), seen[len(seen)-1])
	hold(t, "soak carries calls", done.Load() > 100 && refused.Load() > 10, "only %d, and %d refused", done.Load(), refused.Load())
	s.alive()
	s.stop()
	paired(t, dir)
	verified(t, dir)
}

// soak makes the nth call of a client and returns its status, 0 if the client
// gave it up.
func soak(ctx context.Context, t *testing.T, tr *http.Transport, n int) int {
	path, body := "/", strings.Repeat("plain text ", 1+rand.IntN(2000))
	switch n % 10 {
	case 3:
		path = "/events"
	case 5:
		body += "AKIAIOSFODNN7" + "EXAMPLE"
	case 7: // gone in the midst of it
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, time.Duration(rand.IntN(3000))*time.Microsecond)
		defer stop()
	case 9:
		body = strings.Repeat(body, 20)
	}
	req, err := http.NewRequestWithContext(ctx, "POST", fmt.Sprintf("https://h%d.example%s", rand.IntN(20), path), strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return 0
	}
	res, err := tr.RoundTrip(req)
	if err != nil {
		if ctx.Err() == nil {
			t.Error(err)
		}
		return 0
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && path == "/events" && strings.Count(string(b), "data: ") != 20 {
		t.Errorf("a stream was cut: %d bytes", len(b))
	}
	if err != nil && ctx.Err() == nil {
		t.Error(err)
	}
	return res.StatusCode
}

// flat holds the last third of what was seen to the middle one.
func flat(t *testing.T, seen []footprint) {
	t.Helper()
	if len(seen) < 6 {
		t.Fatalf("only %d looks", len(seen))
	}
	most := func(list []footprint) (m footprint) {
		for _, f := range list {
			m = footprint{max(m.kb, f.kb), max(m.files, f.files), max(m.threads, f.threads)}
		}
		return m
	}
	third := len(seen) / 3
	middle, last := most(seen[third:2*third]), most(seen[2*third:])
	hold(t, "memory of the soak is flat", last.kb <= middle.kb*5/4+16<<10, "%d KB, then %d KB", middle.kb, last.kb)
	hold(t, "descriptors of the soak are flat", last.files <= middle.files+64, "%d, then %d", middle.files, last.files)
	hold(t, "threads of the soak are flat", last.threads <= middle.threads+16, "%d, then %d", middle.threads, last.threads)
}
