package operate

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"outvet/test/process"
)

// A manager does for outvet what systemd does: it holds the sockets and reads
// what it is told.
type manager struct {
	proxy, console net.Listener
	files          []*os.File
	notify         *net.UnixConn

	mu   sync.Mutex // guards told
	told []string
}

func newManager(t *testing.T) *manager {
	t.Helper()
	m := &manager{}
	for _, l := range []*net.Listener{&m.proxy, &m.console} {
		var err error
		if *l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { (*l).Close() })
		m.files = append(m.files, fileOf(t, *l))
	}
	var err error
	path := filepath.Join(t.TempDir(), "notify")
	if m.notify, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.notify.Close() })
	go func() {
		b := make([]byte, 1024)
		for {
			n, err := m.notify.Read(b)
			if err != nil {
				return
			}
			m.mu.Lock()
			m.told = append(m.told, string(b[:n]))
			m.mu.Unlock()
		}
	}()
	return m
}

// times returns how often it was told s.
func (m *manager) times(s string) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, t := range m.told {
		if t == s {
			n++
		}
	}
	return n
}

// start starts outvet as a unit: sockets from descriptor 3 on, of the process
// LISTEN_PID.
func (m *manager) start(t *testing.T, state string, args ...string) start {
	line := append([]string{"sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`, binary, "serve", "--state", state, "--policy", policyFile(t),
		"--listen", "127.0.0.1:1", "--console", "127.0.0.1:1"}, args...) // ports that nobody may have: the sockets count
	return start{state: state, line: line, files: m.files, env: []string{
		"LISTEN_FDS=2", "LISTEN_FDNAMES=proxy:console", "NOTIFY_SOCKET=" + m.notify.LocalAddr().String(), "WATCHDOG_USEC=200000",
	}}
}

func TestRestartUnderLoadFailsNoConnection(t *testing.T) {
	const restarts, clients = 4, 8
	state := filepath.Join(t.TempDir(), "state")
	m := newManager(t)
	o := newOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(20 * time.Millisecond) // so that calls are under way whenever it ends
		io.WriteString(w, "origin")
	})
	s := m.start(t, state, o.args()...).serve(t)
	if s.Proxy != m.proxy.Addr().String() || s.Console != m.console.Addr().String() {
		t.Fatalf("it serves %s and %s", s.Proxy, s.Console)
	}
	var stop atomic.Bool
	var done, failed atomic.Int64
	var wg sync.WaitGroup
	for i := range clients {
		c := client(t, s.Proxy, state)
		url := "https://" + name + "/"
		if i%3 == 0 {
			url = "http://" + name + "/"
		}
		c.Transport.(*http.Transport).ForceAttemptHTTP2 = i%3 == 1
		wg.Go(func() {
			for !stop.Load() {
				if got, err := get(c, url); err != nil || got != "origin" {
					failed.Add(1)
					t.Errorf("%s: %q, %v", url, got, err)
				}
				done.Add(1)
			}
		})
	}
	for range restarts {
		before := done.Load()
		eventually(t, "calls are made", func() bool { return done.Load() > before+60 })
		s.signal(t, syscall.SIGTERM, 30*time.Second)
		s = m.start(t, state, o.args()...).serve(t)
	}
	before := done.Load()
	eventually(t, "calls are made at the end", func() bool { return done.Load() > before+60 })
	stop.Store(true)
	wg.Wait()
	t.Logf("%d calls, %d failed", done.Load(), failed.Load())
	s.signal(t, syscall.SIGTERM, 30*time.Second)
	verified(t, state)
	if r, st := m.times("READY=1"), m.times("STOPPING=1"); r != restarts+1 || st != restarts+1 {
		t.Errorf("told READY=1 %d times, STOPPING=1 %d times", r, st)
	}
	if m.times("WATCHDOG=1") == 0 {
		t.Error("the watchdog hears nothing")
	}
}

func TestSocketsAreTakenByNameOrByOrder(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	for _, tc := range []struct {
		name, fds, names string
		swap             bool
		want             string // in the error; "" for none
	}{
		{"named, in another order", "2", "console:proxy", true, ""},
		{"without names", "2", "", false, ""},
		{"names of units", "2", "outvet.socket:outvet-console.socket", false, ""},
		{"of another name", "2", "proxy:metrics", false, "FileDescriptorName=proxy or console"},
		{"no number", "two", "proxy", false, "LISTEN_FDS"},
		{"more than there are", "3", "proxy:console:proxy", false, "socket 5"},
	} {
		m := newManager(t)
		s := m.start(t, state)
		s.env = append(s.env, "LISTEN_FDS="+tc.fds, "LISTEN_FDNAMES="+tc.names)
		if tc.swap {
			s.files = []*os.File{m.files[1], m.files[0]}
		}
		o, wait := s.begin(t)
		err := wait()
		switch {
		case tc.want != "":
			if !errors.Is(err, process.ErrEnded) || !strings.Contains(o.Errs.String(), tc.want) {
				t.Errorf("%s: %v\n%s", tc.name, err, o.Errs)
			}
			continue
		case err != nil:
			t.Errorf("%s: %v\n%s", tc.name, err, o.Errs)
			continue
		case o.Proxy != m.proxy.Addr().String() || o.Console != m.console.Addr().String():
			t.Errorf("%s: serves %s and %s", tc.name, o.Proxy, o.Console)
		}
		o.signal(t, syscall.SIGTERM, 30*time.Second)
	}
}

func TestSocketsOfAnotherProcessAreLeftAlone(t *testing.T) {
	m := newManager(t)
	s := m.start(t, filepath.Join(t.TempDir(), "state"))
	s.line = append([]string{"sh", "-c", `LISTEN_PID=1 exec "$0" "$@" --listen 127.0.0.1:0 --console 127.0.0.1:0`}, s.line[3:]...)
	o := s.serve(t)
	if o.Proxy == m.proxy.Addr().String() {
		t.Error("they were taken")
	}
}

func TestUnitsAreValidAndHardened(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("no systemd-analyze here")
	}
	dir := t.TempDir()
	var units []string
	files, err := filepath.Glob("../../dist/systemd/*")
	if err != nil || len(files) != 3 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		unit := filepath.Join(dir, filepath.Base(f))
		write(t, unit, strings.Replace(string(b), "/usr/local/bin/outvet", binary, 1))
		units = append(units, unit)
	}
	if out, err := exec.Command("systemd-analyze", append([]string{"verify", "--man=no"}, units...)...).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("verify: %v\n%s", err, out)
	}
	out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--threshold=15", filepath.Join(dir, "outvet.service")).CombinedOutput()
	if err != nil {
		t.Errorf("the service is exposed: %v\n%s", err, out)
	}
}

// TestCommandLineOfTheUnitExists runs the unit's ExecStart, as far as a test can.
func TestCommandLineOfTheUnitExists(t *testing.T) {
	b, err := os.ReadFile("../../dist/systemd/outvet.service")
	if err != nil {
		t.Fatal(err)
	}
	f := regexp.MustCompile(`(?m)^ExecStart=/usr/local/bin/outvet (.*)$`).FindSubmatch(b)
	if f == nil {
		t.Fatal("the unit starts nothing")
	}
	m := newManager(t)
	dir := t.TempDir()
	args := strings.Fields(strings.ReplaceAll(string(f[1]), "%S", dir))
	s := m.start(t, "")
	s.line = append([]string{"sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`, binary}, args...)
	o := s.serve(t)
	if _, err := os.Stat(filepath.Join(dir, "outvet", "ca.pem")); err != nil {
		t.Error(err)
	}
	o.signal(t, syscall.SIGTERM, 30*time.Second)
}
