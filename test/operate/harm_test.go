package operate

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestFullDiskIsSaidAndStopsCallsAndNotTheSwitch fills the disk of the
// state.
func TestFullDiskIsSaidAndStopsCallsAndNotTheSwitch(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", state, "tmpfs", 0, "size=8m"); err != nil {
		t.Skipf("no disk to fill: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(state, syscall.MNT_DETACH) })
	s := start{state: state, args: newOrigin(t, ok).args()}.serve(t)
	c := client(t, s.Proxy, state)
	if got, err := get(c, "https://example.com/"); got != "origin" {
		t.Fatal(got, err)
	}
	fill := filepath.Join(state, "fill")
	f, err := os.Create(fill)
	if err != nil {
		t.Fatal(err)
	}
	for b := make([]byte, 4096); err == nil; {
		_, err = f.Write(b)
	}
	f.Close()
	eventually(t, "calls are blocked by fault", func() bool {
		got, _ := get(c, "https://example.com/")
		return strings.Contains(got, `"code":"fault"`)
	})
	if out, code := outvet(t, "health", "--state", state); code != 1 || !strings.Contains(out, "degraded: the record cannot be written") {
		t.Errorf("health: %d %s", code, out)
	}
	if out, code := outvet(t, "kill", "--state", state, "--reason", "drill"); code != 0 || !strings.Contains(out, "no call passes") {
		t.Errorf("kill: %d %s", code, out)
	}
	if got, err := get(c, "https://example.com/"); err != nil || strings.Contains(got, "origin") {
		t.Errorf("%s %v", got, err)
	}
	if err := os.Remove(fill); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is healthy again", func() bool {
		_, code := outvet(t, "health", "--state", state)
		return code == 0
	})
	eventually(t, "the kill is recorded", func() bool {
		out, _ := outvet(t, "log", "tail", "--state", state, "-n", "1000")
		return strings.Contains(out, "outvet kill: drill")
	})
	if out, code := outvet(t, "kill", "--state", state, "--lift"); code != 0 {
		t.Errorf("lift: %d %s", code, out)
	}
	if got, err := get(c, "https://example.com/"); got != "origin" {
		t.Error(got, err)
	}
	s.signal(t, syscall.SIGTERM, 20*time.Second)
	verified(t, state)
}

// TestSwitchWorksWhenNoDescriptorIsLeft takes all that outvet may open.
func TestSwitchWorksWhenNoDescriptorIsLeft(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	o := flood(t)
	s := start{state: state}
	s.line = append([]string{"sh", "-c", `ulimit -n 64; exec "$0" "$@"`, binary, "serve", "--state", state, "--policy", policyFile(t),
		"--listen", "127.0.0.1:0", "--console", "127.0.0.1:0"}, o.args()...)
	run := s.serve(t)
	res, err := client(t, run.Proxy, state).Get("https://example.com/")
	if err != nil {
		t.Fatal(err)
	}
	var held []net.Conn
	for range 200 {
		c, err := net.DialTimeout("tcp", run.Proxy, time.Second)
		if err != nil {
			break
		}
		held = append(held, c)
	}
	defer func() {
		for _, c := range held {
			c.Close()
		}
	}()
	time.Sleep(300 * time.Millisecond)
	over := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, res.Body)
		over <- err
	}()
	write(t, filepath.Join(state, "kill"), "no room")
	select {
	case err := <-over:
		if err == nil {
			t.Error("it ended as if it were whole")
		}
	case <-time.After(2 * time.Second):
		t.Error("the download goes on")
	}
}

// TestAddressLeftByACrashGetsNoToken stands in for an agent that listens where
// outvet did, says yes to all, and waits for the token.
func TestAddressLeftByACrashGetsNoToken(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	s := start{state: state}.serve(t)
	s.Cmd.Process.Kill()
	<-s.Ended
	l, err := net.Listen("tcp", s.Console)
	if err != nil {
		t.Skip(err)
	}
	defer l.Close()
	asked := make(chan string, 8)
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Header.Get("Authorization")
		io.WriteString(w, `{"killed":true,"by":"you"}`)
	}))
	for _, args := range [][]string{{"session", "list"}, {"health"}, {"kill"}} {
		outvet(t, append(args, "--state", state)...)
	}
	select {
	case a := <-asked:
		t.Errorf("asked with %q", a)
	default:
	}
	if _, err := os.Stat(filepath.Join(state, "kill")); err != nil {
		t.Errorf("the kill counts nowhere: %v", err)
	}
}
