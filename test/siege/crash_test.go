package siege

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Killed again and again under load, serve comes back, and every call that a
// client saw pass, or that the origin got, was decided in the record.
func TestKilledUnderLoadLosesNoDecision(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes seconds")
	}
	dir := newState(t, allowing)
	web := newStrict(t)
	var mu sync.Mutex
	passed := map[string]bool{}
	const rounds = 12
	for round := range rounds {
		begin := time.Now()
		s := serve(t, dir, to("", "80", web.port)...)
		if d := time.Since(begin); round > 0 && d > 5*time.Second {
			t.Errorf("restart %d took %v", round, d)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for n := range 8 {
			all.Go(func() {
				tr := s.client()
				defer tr.CloseIdleConnections()
				for i := 0; ctx.Err() == nil; i++ {
					path := fmt.Sprintf("/%d/%d/%d", round, n, i)
					req, _ := http.NewRequestWithContext(ctx, "POST", "http://ok.example"+path, strings.NewReader("body"))
					res, err := tr.RoundTrip(req)
					if err != nil {
						return // it was killed
					}
					io.Copy(io.Discard, res.Body)
					res.Body.Close()
					if res.StatusCode == 200 {
						mu.Lock()
						passed[path] = true
						mu.Unlock()
					}
				}
			})
		}
		time.Sleep(time.Duration(100+17*round) * time.Millisecond)
		s.Kill()
		cancel()
		all.Wait()
	}
	s := serve(t, dir)
	s.stop()
	decided := map[string]int{}
	for _, l := range leaves(t, dir) {
		if l.Kind == "decided" {
			decided[l.Target]++
		}
	}
	t.Logf("%d calls passed in %d rounds, %d decided", len(passed), rounds, len(decided))
	if len(passed) < 100 {
		t.Errorf("only %d calls passed: the test tests nothing", len(passed))
	}
	for path := range passed {
		if decided[path] != 1 {
			t.Errorf("%s passed, and has %d decided leaves", path, decided[path])
		}
	}
	for _, q := range web.of("ok.example") {
		if decided[q.target] != 1 {
			t.Errorf("%s left, and has %d decided leaves", q.target, decided[q.target])
		}
	}
	verified(t, dir)
	noTrace(t, filepath.Join(dir, "log"), "body")
}

// What arrives is in the log already.
func TestTheOriginFindsTheDecisionInTheLog(t *testing.T) {
	t.Parallel()
	dir := newState(t, allowing)
	var mu sync.Mutex
	var late []string
	port := listen(t, func(c net.Conn) {
		q, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			return
		}
		out, err := exec.Command(binary, "log", "tail", "--state", dir, "-n", "100", "--json").Output()
		if err != nil || !strings.Contains(string(out), `"target":"`+q.URL.Path+`"`) {
			mu.Lock()
			late = append(late, q.URL.Path)
			mu.Unlock()
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	})
	s := serve(t, dir, to("", "80", port)...)
	for i := range 5 {
		send(t, s.Proxy, fmt.Appendf(nil, "GET http://ok.example/first%d HTTP/1.1\r\nHost: ok.example\r\nConnection: close\r\n\r\n", i), 8*time.Second)
	}
	s.stop()
	if len(late) > 0 {
		t.Errorf("%v arrived before their decided leaf could be read", late)
	}
	if n := paired(t, dir); n != 5 {
		t.Errorf("%d calls", n)
	}
}

func TestSecondServeOnOneStateRefuses(t *testing.T) {
	t.Parallel()
	dir := newState(t, allowing)
	s := serve(t, dir)
	second, err := tryServe(t, dir, nil)
	if err == nil {
		t.Fatal("a second serve runs on the same state")
	}
	text := second.Errs.String()
	hold(t, "second serve says why", strings.Contains(text, dir) && strings.Contains(text, "another"), "%s", text)
	if code := second.Cmd.ProcessState.ExitCode(); code != 125 && code != 2 {
		t.Errorf("exit code %d", code)
	}
	if strings.Contains(text, "goroutine") || strings.Contains(text, "Usage:") {
		t.Errorf("noise: %s", text)
	}
	code, _, errs := outvet(t, "session", "list", "--state", dir) // the first is still spoken to
	hold(t, "the first serve is found after a second failed", code == 0, "session list: exit %d: %s", code, errs)
	s.stop()
}

// With no room for the record, nothing leaves; with room again, all works.
func TestFullDiskBlocksAndHeals(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("prlimit"); err != nil {
		t.Skip("no prlimit on this machine")
	}
	dir := newState(t, allowing)
	web := newStrict(t)
	s := serve(t, dir, to("", "80", web.port)...)
	ask := func() exchange {
		return send(t, s.Proxy, []byte("GET http://ok.example/x HTTP/1.1\r\nHost: ok.example\r\nConnection: close\r\n\r\n"), 5*time.Second)
	}
	limit := func(n string) {
		t.Helper()
		if out, err := exec.Command("prlimit", "--pid", fmt.Sprint(s.Cmd.Process.Pid), "--fsize="+n+":unlimited").CombinedOutput(); err != nil {
			t.Skipf("prlimit: %v %s", err, out)
		}
	}
	if x := ask(); len(x.status) != 1 || x.status[0] != 200 {
		t.Fatalf("before: %v", x.status)
	}
	limit("1")
	before := len(web.of("ok.example"))
	blocked := 0
	for range 5 {
		x := ask()
		s.alive()
		if len(x.status) == 1 && x.status[0] == 403 && strings.Contains(x.bodies[0], "fault") {
			blocked++
		} else {
			t.Errorf("on a full disk: %v %q", x.status, x.bodies)
		}
	}
	if n := len(web.of("ok.example")); n != before {
		t.Errorf("%d calls left that could not be recorded", n-before)
	}
	limit("unlimited")
	time.Sleep(300 * time.Millisecond)
	x := ask()
	hold(t, "disk has room again", len(x.status) == 1 && x.status[0] == 200, "%v %q", x.status, x.bodies)
	s.stop()
	paired(t, dir)
	verified(t, dir)
}

// The state directory taken away under serve: nothing leaves unrecorded.
func TestStateTakenAwayLetsNothingOut(t *testing.T) {
	t.Parallel()
	dir := newState(t, allowing)
	web := newStrict(t)
	s := serve(t, dir, to("", "80", web.port)...)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		x := send(t, s.Proxy, fmt.Appendf(nil, "GET http://ok.example/%d HTTP/1.1\r\nHost: ok.example\r\nConnection: close\r\n\r\n", i), 5*time.Second)
		s.alive()
		hold(t, "no call leaves when the log is removed", len(x.status) == 1 && x.status[0] == 403, "call %d after the state directory was removed: %v, and its record is in a file that nobody can find", i, x.status)
	}
	s.ends(14 * time.Second)
}

// Files of the state directory that are wrong: serve says which and what to do.
func TestWrongStateIsRefusedWithWords(t *testing.T) {
	t.Parallel()
	base := newState(t, allowing)
	serve(t, base).stop()
	for _, c := range []struct {
		name string
		harm func(dir string) error
		want string // in the error
	}{
		{"token empty", func(d string) error { return os.WriteFile(d+"/token", nil, 0o600) }, "token"},
		{"token a folder", func(d string) error { os.Remove(d + "/token"); return os.Mkdir(d+"/token", 0o700) }, "token"},
		{"digest key garbage", func(d string) error {
			return os.WriteFile(d+"/keys/digest.key", []byte(strings.Repeat("z", 64)), 0o600)
		}, "digest.key"},
		{"log key missing", func(d string) error { return os.Remove(d + "/keys/log.key") }, "log.key"},
		{"log key empty", func(d string) error { return os.WriteFile(d+"/keys/log.key", nil, 0o600) }, "log.key"},
		{"log key readable by all", func(d string) error { return os.Chmod(d+"/keys/log.key", 0o644) }, "log.key"},
		{"public key of another", func(d string) error {
			return os.WriteFile(d+"/keys/log.pub", []byte("outvet.local/log/x+00000000+AQ==\n"), 0o644)
		}, "log.pub"},
		{"CA key garbage", func(d string) error { return os.WriteFile(d+"/keys/ca.key", []byte("x"), 0o600) }, "ca.key"},
		{"CA key a folder", func(d string) error { os.Remove(d + "/keys/ca.key"); return os.Mkdir(d+"/keys/ca.key", 0o700) }, "ca.key"},
		{"CA key missing", func(d string) error { return os.Remove(d + "/keys/ca.key") }, "ca.key"},
		{"CA certificate garbage", func(d string) error { return os.WriteFile(d+"/ca.pem", []byte("x"), 0o600) }, "ca.pem"},
		{"sessions garbage", func(d string) error {
			return os.WriteFile(d+"/sessions.journal", []byte("not a journal\nat all\n"), 0o600)
		}, "sessions.journal"},
		{"log a file", func(d string) error { os.RemoveAll(d + "/log"); return os.WriteFile(d+"/log", []byte("x"), 0o600) }, "log"},
		{"checkpoint garbage", func(d string) error { return os.WriteFile(d+"/log/checkpoint", []byte("garbage\n"), 0o600) }, "checkpoint"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := copied(t, base)
			if err := c.harm(dir); err != nil {
				t.Fatal(err)
			}
			s, err := tryServe(t, dir, nil)
			if err == nil {
				s.stop()
				hold(t, "refused/"+c.name, false, "serve runs all the same\n%s", s.Errs)
				return
			}
			text := s.Errs.String()
			hold(t, "refused/"+c.name, strings.Contains(text, c.want) && !strings.Contains(text, "goroutine") && s.Cmd.ProcessState.ExitCode() > 0,
				"exit %d: %s", s.Cmd.ProcessState.ExitCode(), text)
			t.Logf("%s", text)
		})
	}
}

// copied returns a copy of a state directory, with its policy.
func copied(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if out, err := exec.Command("cp", "-a", dir, filepath.Join(to, "state")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	b, err := os.ReadFile(filepath.Join(filepath.Dir(dir), "policy.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(to, "policy.yaml"), string(b))
	return filepath.Join(to, "state")
}
