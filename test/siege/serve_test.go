package siege

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"outvet/test/process"
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
	*process.Process
	t   *testing.T
	dir string // state
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
	return process.Args(dir, append([]string{"--policy", filepath.Join(filepath.Dir(dir), "policy.yaml")}, more...)...)
}

// serve starts outvet serve and waits until it is ready.
func serve(t *testing.T, dir string, more ...string) *served {
	t.Helper()
	s, err := tryServe(t, dir, nil, more...)
	if err != nil {
		t.Fatalf("outvet serve: %v\n%s", err, s.Errs)
	}
	return s
}

// tryServe starts outvet serve by way of the command line before, if any. An
// error says that it ended before it was ready.
func tryServe(t *testing.T, dir string, before []string, more ...string) (*served, error) {
	t.Helper()
	line := append(append(append([]string{}, before...), binary), serveArgs(dir, more...)...)
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Env = process.Environment(filepath.Dir(dir))
	cmd.Dir = filepath.Dir(dir)
	p, err := process.Begin(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return &served{p, t, dir}, p.Ready(20 * time.Second)
}

// stop ends it in order and expects exit code 0 and no panic.
func (s *served) stop() {
	s.t.Helper()
	err := s.End(syscall.SIGTERM, 15*time.Second)
	if errors.Is(err, process.ErrLate) {
		s.where()
		s.t.Fatal("serve did not end within 15 s of SIGTERM")
	}
	if err != nil {
		s.t.Errorf("serve ended with %v\n%s", err, s.Errs)
	}
	if strings.Contains(s.Errs.String(), "panic") {
		s.t.Errorf("a panic:\n%s", s.Errs)
	}
}

// where ends a serve that hangs, and says which of our functions it hangs in.
func (s *served) where() {
	s.Cmd.Process.Signal(syscall.SIGQUIT)
	<-s.Ended
	n := map[string]int{}
	for line := range strings.Lines(s.Errs.String()) {
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
	case <-s.Ended:
		s.t.Fatalf("serve has ended: %v\n%s", s.Err, s.Errs)
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
	cmd.Env = process.Environment(dir, env...)
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
