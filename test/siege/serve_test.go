package siege

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// allowing lets everything out but secrets, blocked.example and what it names.
const allowing = `version: 1
default: allow
rules:
  - {name: blocked host, to: blocked.example, verdict: block}
  - {name: no secrets out, finding: {kind: "secret/*"}, verdict: block}
`

// A served is a running outvet serve.
type served struct {
	t              *testing.T
	dir            string // state
	proxy, console string
	cmd            *exec.Cmd
	errs           *buffer
	ended          chan struct{} // closed when the process is over
	err            error         // of Wait
}

// buffer is a bytes.Buffer that may be read while a process writes to it.
type buffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// newState returns a fresh state directory with a policy beside it.
func newState(t *testing.T, policy string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "policy.yaml"), policy)
	return filepath.Join(dir, "state")
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// serveArgs is the command line of serve on free ports.
func serveArgs(dir string, more ...string) []string {
	return append([]string{"serve", "--listen", "127.0.0.1:0", "--console", "127.0.0.1:0", "--state", dir,
		"--policy", filepath.Join(filepath.Dir(dir), "policy.yaml")}, more...)
}

// environment is that of a user without settings.
func environment(home string, more ...string) []string {
	return append([]string{"HOME=" + home, "PATH=" + os.Getenv("PATH")}, more...)
}

// serve starts outvet serve and waits until it is ready.
func serve(t *testing.T, dir string, more ...string) *served {
	t.Helper()
	s, err := tryServe(t, dir, nil, more...)
	if err != nil {
		t.Fatalf("outvet serve: %v\n%s", err, s.errs)
	}
	return s
}

// tryServe starts outvet serve by way of the command line before, if any. An
// error says that it ended before it was ready.
func tryServe(t *testing.T, dir string, before []string, more ...string) (*served, error) {
	t.Helper()
	line := append(append(append([]string{}, before...), binary), serveArgs(dir, more...)...)
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Env = environment(filepath.Dir(dir))
	cmd.Dir = filepath.Dir(dir)
	s := &served{t: t, dir: dir, cmd: cmd, errs: &buffer{}, ended: make(chan struct{})}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = s.errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kill)
	first := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(out).ReadString('\n')
		first <- line
		s.err = cmd.Wait()
		close(s.ended)
	}()
	select {
	case line := <-first:
		f := strings.Fields(line)
		if len(f) == 3 && f[0] == "ready" {
			s.proxy = strings.TrimPrefix(f[1], "proxy=")
			s.console = strings.TrimPrefix(f[2], "console=")
			return s, nil
		}
		<-s.ended
		return s, errors.Join(errors.New("not ready"), s.err)
	case <-time.After(20 * time.Second):
		return s, errors.New("not ready after 20 s")
	}
}

// kill ends it at once.
func (s *served) kill() {
	s.cmd.Process.Kill()
	<-s.ended
}

// stop ends it in order and expects exit code 0 and no panic.
func (s *served) stop() {
	s.t.Helper()
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(15 * time.Second):
		s.where()
		s.t.Fatal("serve did not end within 15 s of SIGTERM")
	}
	if s.err != nil {
		s.t.Errorf("serve ended with %v\n%s", s.err, s.errs)
	}
	if strings.Contains(s.errs.String(), "panic") {
		s.t.Errorf("a panic:\n%s", s.errs)
	}
}

// where ends a serve that hangs, and says which of our functions it hangs in.
func (s *served) where() {
	s.cmd.Process.Signal(syscall.SIGQUIT)
	<-s.ended
	n := map[string]int{}
	for line := range strings.Lines(s.errs.String()) {
		if name, _, ok := strings.Cut(line, "({"); ok && strings.HasPrefix(name, "outvet/internal/") {
			n[name]++
		}
		if name, _, ok := strings.Cut(line, "(0x"); ok && strings.HasPrefix(name, "outvet/internal/") {
			n[name]++
		}
	}
	s.t.Logf("goroutines stand in %v", n)
}

// alive fails the test if the process has ended.
func (s *served) alive() {
	s.t.Helper()
	select {
	case <-s.ended:
		s.t.Fatalf("serve has ended: %v\n%s", s.err, s.errs)
	default:
	}
}

// outvet runs a command to its end.
func outvet(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	return program(t, t.TempDir(), nil, binary, args...)
}

// program runs a program with a bare environment, 20 s at most.
func program(t *testing.T, dir string, env []string, name string, args ...string) (code int, out, errs string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = environment(dir, env...)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
	err := cmd.Wait()
	if !late.Stop() {
		t.Errorf("%s %q did not end within 20 s", name, args)
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode(), o.String(), e.String()
	}
	if err != nil {
		t.Fatal(err)
	}
	return 0, o.String(), e.String()
}

// A leaf is what the tests read of one.
type leaf struct {
	Kind, ID, Host, Method, Target, Session, Note string
	Decision                                      *struct {
		Verdict, Rule string
		Reason        string
		Observed      bool
	}
	Outcome *struct {
		Status         int
		Error, Via     string
		Sent, Received int64
	}
	Closed *leaf `json:"closed"` // of log search
}

// leaves are all leaves of the log, in order.
func leaves(t *testing.T, dir string) []leaf {
	t.Helper()
	code, out, errs := outvet(t, "log", "tail", "--state", dir, "-n", "1000000", "--json")
	if code != 0 {
		t.Fatalf("log tail: exit %d: %s", code, errs)
	}
	return parse(t, out)
}

// calls are what log search finds, by host.
func calls(t *testing.T, dir, expr string) map[string][]leaf {
	t.Helper()
	code, out, errs := outvet(t, "log", "search", "--state", dir, "--json", expr)
	if code != 0 {
		t.Fatalf("log search %s: exit %d: %s", expr, code, errs)
	}
	by := map[string][]leaf{}
	for _, l := range parse(t, out) {
		by[l.Host] = append(by[l.Host], l)
	}
	return by
}

func parse(t *testing.T, lines string) []leaf {
	t.Helper()
	var all []leaf
	for line := range strings.Lines(lines) {
		var l leaf
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("not JSON: %v: %s", err, line)
		}
		all = append(all, l)
	}
	return all
}

// paired checks that every call has one decided and then one closed leaf, and
// returns how many calls there are.
func paired(t *testing.T, dir string) int {
	t.Helper()
	state := map[string]int{}
	for _, l := range leaves(t, dir) {
		switch l.Kind {
		case "decided":
			if state[l.ID] != 0 {
				t.Errorf("call %s is decided twice", l.ID)
			}
			state[l.ID] = 1
		case "closed":
			if state[l.ID] != 1 {
				t.Errorf("call %s is closed in state %d", l.ID, state[l.ID])
			}
			state[l.ID] = 2
		}
	}
	for id, n := range state {
		if n != 2 {
			t.Errorf("call %s is not closed", id)
		}
	}
	return len(state)
}

// verified checks that the log verifies.
func verified(t *testing.T, dir string) {
	t.Helper()
	if code, out, errs := outvet(t, "log", "verify", "--state", dir); code != 0 {
		t.Errorf("log verify: exit %d\n%s%s", code, out, errs)
	}
}

// noTrace checks that no file below dir holds text.
func noTrace(t *testing.T, dir string, texts ...string) {
	t.Helper()
	filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, text := range texts {
			if bytes.Contains(b, []byte(text)) {
				t.Errorf("%s holds the secret %.6s…", path, text)
			}
		}
		return nil
	})
}
