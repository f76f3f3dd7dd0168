package siege

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// footprint is what /proc says of a process.
type footprint struct{ kb, files, threads int }

func (s *served) footprint() footprint {
	s.t.Helper()
	proc := "/proc/" + strconv.Itoa(s.Cmd.Process.Pid)
	b, err := os.ReadFile(proc + "/status")
	if err != nil {
		s.t.Skip("no /proc on this machine")
	}
	var f footprint
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			fmt.Sscan(rest, &f.kb)
		}
		if rest, ok := strings.CutPrefix(line, "Threads:"); ok {
			fmt.Sscan(rest, &f.threads)
		}
	}
	fds, _ := os.ReadDir(proc + "/fd")
	f.files = len(fds)
	return f
}

// Many connections, one after the other and at once, leave nothing behind.
func TestManyConnectionsLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes seconds")
	}
	dir := newState(t, allowing)
	a := newAuthority(t)
	port := a.https(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, "ok")
	}))
	s := serve(t, dir, append(to("", "443", port), "--upstream-ca", a.file)...)
	ask := func(tr *http.Transport, host string) error {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, "POST", "https://"+host+"/", strings.NewReader(strings.Repeat("text ", 800)))
		res, err := tr.RoundTrip(req)
		if err != nil {
			return err
		}
		io.Copy(io.Discard, res.Body)
		return res.Body.Close()
	}
	rounds := func(n int) {
		var all sync.WaitGroup
		for range 2 {
			all.Go(func() {
				for range n / 2 {
					tr := s.client()
					if err := ask(tr, "ok.example"); err != nil {
						t.Error(err)
					}
					tr.CloseIdleConnections()
				}
			})
		}
		all.Wait()
	}
	crowd := func() {
		var all sync.WaitGroup
		for range 200 {
			all.Go(func() {
				tr := s.client()
				tr.ForceAttemptHTTP2 = false
				defer tr.CloseIdleConnections()
				for range 3 {
					if err := ask(tr, "ok.example"); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
	}
	rounds(100)
	crowd()
	time.Sleep(300 * time.Millisecond)
	early := s.footprint()
	rounds(1200)
	crowd()
	time.Sleep(500 * time.Millisecond)
	late := s.footprint()
	t.Logf("after 300 connections %+v, after 1700 %+v", early, late)
	hold(t, "descriptors are flat", late.files <= early.files+20, "%d, then %d", early.files, late.files)
	hold(t, "memory is flat", late.kb <= early.kb*3/2+20<<10, "%d KB, then %d KB", early.kb, late.kb)
	hold(t, "threads are flat", late.threads <= early.threads+20, "%d, then %d", early.threads, late.threads)
	begin := time.Now()
	s.stop()
	t.Logf("ended after %v", time.Since(begin))
	n := paired(t, dir)
	for _, l := range leaves(t, dir) {
		if l.Kind == "closed" && l.Outcome.Error != "" {
			n--
			t.Logf("besides: %s: %s", l.ID, l.Outcome.Error) // a tunnel that the client gave up
		}
	}
	if n != 1300+2*600 {
		t.Errorf("%d calls in the record that ended well, want 2500", n)
	}
	verified(t, dir)
}
