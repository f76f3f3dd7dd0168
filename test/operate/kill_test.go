package operate

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// flood returns an origin whose answers do not end.
func flood(t *testing.T) *origin {
	return newOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		for b := make([]byte, 4<<10); r.Context().Err() == nil; {
			if _, err := w.Write(b); err != nil {
				return
			}
			w.(http.Flusher).Flush()
			time.Sleep(time.Millisecond)
		}
	})
}

// TestEveryWayToKillCutsAnOpenDownloadWithinASecond has as much again for a busy
// machine.
func TestEveryWayToKillCutsAnOpenDownloadWithinASecond(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	s := start{state: state, args: flood(t).args()}.serve(t)
	c := client(t, s.Proxy, state)
	for name, pull := range map[string]func(){
		"signal":  func() { s.Cmd.Process.Signal(syscall.SIGUSR1) },
		"file":    func() { write(t, filepath.Join(state, "kill"), "") },
		"command": func() { outvet(t, "kill", "--state", state) },
	} {
		res, err := c.Get("https://example.com/")
		if err != nil {
			t.Fatal(err)
		}
		over := make(chan error, 1)
		go func() {
			_, err := io.Copy(io.Discard, res.Body)
			over <- err
		}()
		time.Sleep(50 * time.Millisecond)
		pull()
		select {
		case err := <-over:
			if err == nil {
				t.Errorf("%s: it ended as if it were whole", name)
			}
		case <-time.After(2 * time.Second):
			t.Errorf("%s: it goes on", name)
		}
		if body, err := get(c, "https://example.com/"); err != nil || !strings.Contains(body, `"code":"killed"`) {
			t.Errorf("%s: %s %v", name, body, err)
		}
		if out, code := outvet(t, "kill", "--lift", "--state", state); code != 0 {
			t.Errorf("%s: %s", name, out)
		}
	}
	s.signal(t, syscall.SIGTERM, 20*time.Second)
	verified(t, state)
}

func TestKillReachesAnOutvetThatHangs(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	s := start{state: state, args: newOrigin(t, ok).args()}.serve(t)
	c := client(t, s.Proxy, state)
	s.Cmd.Process.Signal(syscall.SIGSTOP)
	out, code := outvet(t, "kill", "--state", state, "--reason", "it hangs")
	s.Cmd.Process.Signal(syscall.SIGCONT)
	if code != 0 || !strings.Contains(out, "it hangs") {
		t.Errorf("%d %s", code, out)
	}
	eventually(t, "it is stopped", func() bool {
		body, err := get(c, "https://example.com/")
		return err == nil && strings.Contains(body, "it hangs")
	})
}

func TestKillWhileCallsDrainCutsThem(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	s := start{state: state, args: append(flood(t).args(), "--drain", "1h")}.serve(t)
	res, err := client(t, s.Proxy, state).Get("https://example.com/")
	if err != nil {
		t.Fatal(err)
	}
	s.Cmd.Process.Signal(syscall.SIGTERM)
	eventually(t, "it drains", func() bool { return strings.Contains(s.Errs.String(), "draining") })
	write(t, filepath.Join(state, "kill"), "now")
	if _, err := io.Copy(io.Discard, res.Body); err == nil {
		t.Error("it ended as if it were whole")
	}
	s.wait(t, 10*time.Second)
	verified(t, state)
}

func TestStateDirectoryThatVanishesLetsNothingPass(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	s := start{state: state, args: newOrigin(t, ok).args()}.serve(t)
	c := client(t, s.Proxy, state)
	if body, err := get(c, "https://example.com/"); body != "origin" {
		t.Fatal(body, err)
	}
	if err := os.Rename(state, state+".away"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "calls are blocked", func() bool {
		body, err := get(c, "https://example.com/")
		return err == nil && strings.Contains(body, `"code":"fault"`)
	})
	if err := os.Rename(state+".away", state); err != nil {
		t.Fatal(err)
	}
	eventually(t, "calls pass again", func() bool {
		body, _ := get(c, "https://example.com/")
		return body == "origin"
	})
	s.signal(t, syscall.SIGTERM, 20*time.Second)
	verified(t, state)
}
