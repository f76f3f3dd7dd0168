package agents

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"outvet/call"
	"outvet/internal/policy"
	"outvet/test/process"
)

// installed returns the path of the command of an agent.
func installed(t *testing.T, name string) string {
	t.Helper()
	folder := filepath.Join("npm", name)
	path := filepath.Join(folder, "node_modules", ".bin", name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("%s is skipped because it is not installed: make agents installs what npm serves here", name)
	}
	if out, err := exec.Command(path, "--version").CombinedOutput(); err != nil {
		t.Skipf("%s is skipped because it does not run on this machine: %v %s", name, err, out)
	}
	dir, err := reachable(folder)
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "node_modules", ".bin", name)
}

// linked are copies of folders of agents, by links, below a directory of ours.
var linked struct {
	sync.Mutex
	dir string
}

// reachable returns where another user than root finds a folder: a checkout below
// root's home is closed to all others, and the command of root is somebody else.
func reachable(folder string) (string, error) {
	path, err := filepath.Abs(folder)
	if err != nil {
		return "", err
	}
	open := true
	for dir := path; dir != "/" && open; dir = filepath.Dir(dir) {
		st, err := os.Stat(dir)
		if err != nil {
			return "", err
		}
		open = st.Mode().Perm()&0o005 == 0o005
	}
	if open {
		return path, nil
	}
	linked.Lock()
	defer linked.Unlock()
	if linked.dir == "" {
		if linked.dir, err = os.MkdirTemp("/var/tmp", "outvet-agents-"); err != nil {
			return "", err
		}
		if err := os.Chmod(linked.dir, 0o755); err != nil {
			return "", err
		}
	}
	to := filepath.Join(linked.dir, filepath.Base(folder))
	if _, err := os.Stat(to); err == nil {
		return to, nil
	}
	if exec.Command("cp", "-al", path, to).Run() == nil {
		return to, nil
	}
	if err := os.RemoveAll(to); err != nil { // on another file system
		return "", err
	}
	return to, exec.Command("cp", "-a", path, to).Run()
}

// A stage is outvet with the internet behind it, a home and a workspace.
type stage struct {
	origin     *origin
	home, work string
	state      string
	proxy      string              // where serve listens, if it does
	policy     string              // "" is what there is without one
	as         *syscall.Credential // who runs outvet, nil is who runs the tests
	flags      []string            // of run, besides
	table      string              // what run said at its end
}

// newStage makes a stage, with a policy if text is not empty.
func newStage(t *testing.T, text string) *stage {
	t.Helper()
	top, err := os.MkdirTemp("/var/tmp", "outvet-agents-") // there are agents that want no home in /tmp
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(top) })
	if err := os.Chmod(top, 0o755); err != nil { // others are on their way through
		t.Fatal(err)
	}
	s := &stage{home: filepath.Join(top, "home"), state: filepath.Join(top, "state"), work: filepath.Join(top, "work")}
	for _, dir := range []string{s.home, s.state, s.work} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s.origin = newOrigin(t, script)
	if text != "" {
		s.policy = filepath.Join(s.work, "policy.yaml")
		write(t, s.policy, text)
	}
	write(t, filepath.Join(s.work, "secret.txt"), "token="+secret)
	write(t, filepath.Join(top, "origin.pem"), string(s.origin.ca))
	return s
}

// outwards are the flags that lead to the origin.
func (s *stage) outwards() []string {
	return []string{"--upstream-ca", filepath.Join(filepath.Dir(s.state), "origin.pem"), "--connect-to", ":443:" + s.origin.tls,
		"--connect-to", ":80:" + s.origin.plain, "--upstream-proxy", "none"}
}

// serve starts outvet serve.
func (s *stage) serve(t *testing.T) {
	t.Helper()
	args := append(s.outwards(), "--policy", s.policy, "--processes")
	p, err := process.Begin(exec.Command(binary, process.Args(s.state, args...)...))
	if err == nil {
		err = p.Ready(30 * time.Second)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.End(syscall.SIGTERM, 20*time.Second); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("outvet said\n%s", p.Errs)
		}
	})
	s.proxy = "http://" + p.Proxy
}
func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// policyOf is the preset of an agent without what blocks secrets, so that they can
// be redacted, and rules for what the script calls.
func policyOf(t *testing.T, a actor, rules string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // other users read it
		t.Fatal(err)
	}
	include := ""
	for _, name := range []string{a.name, a.preset} {
		if name == "" {
			continue
		}
		text, err := policy.PresetText(name)
		if err != nil {
			t.Fatal(err)
		}
		plain := strings.Replace(string(text), "include: [preset:core, ", "include: [", 1)
		plain, _, _ = strings.Cut(plain, "\ntests:")
		file := filepath.Join(dir, name+".yaml")
		write(t, file, plain+"\n")
		include += file + ", "
	}
	return "version: 1\ndefault: block\ninclude: [" + strings.TrimSuffix(include, ", ") + "]\nrules:\n" + rules
}

// runMax bounds the work of an agent.
const runMax = 3 * time.Minute

// through lets an agent do its work through outvet serve, of which it is told by
// proxy variables.
func (s *stage) through(t *testing.T, a actor, path string) (out string, err error) {
	t.Helper()
	ours := filepath.Join(s.state, "ca.pem")
	cmd := s.command(t, path, a.command[1:], append([]string{
		"HTTPS_PROXY=" + s.proxy, "HTTP_PROXY=" + s.proxy, "https_proxy=" + s.proxy, "http_proxy=" + s.proxy, "NO_PROXY=localhost,127.0.0.1,::1",
		"NODE_USE_ENV_PROXY=1", "NODE_EXTRA_CA_CERTS=" + ours, "SSL_CERT_FILE=" + ours, "CURL_CA_BUNDLE=" + ours, "CODEX_CA_CERTIFICATE=" + ours,
	}, a.env...))
	if a.prepare != nil {
		a.prepare(t, s.home)
	}
	b, err := cmd.CombinedOutput()
	return string(b), err
}

// sealed lets an agent do its work by outvet run. It is told of nothing.
func (s *stage) sealed(t *testing.T, a actor, path string) (out string, err error) {
	t.Helper()
	if a.prepare != nil {
		a.prepare(t, s.home)
	}
	return s.run(t, append([]string{path}, a.command[1:]...), a.env...)
}

// run runs a command by outvet run, and returns what it wrote.
func (s *stage) run(t *testing.T, command []string, env ...string) (out string, err error) {
	t.Helper()
	cmd := s.command(t, binary, s.arguments(command), env)
	var said bytes.Buffer
	cmd.Stderr = &said
	b, err := cmd.Output()
	s.table = said.String()
	return string(b), err
}

// session is the name of the session of run.
const session = "the-run"

// arguments is the command line of run.
func (s *stage) arguments(command []string) []string {
	args := append([]string{"run", "--state", s.state, "--session", session}, s.outwards()...)
	if s.policy != "" {
		args = append(args, "--policy", s.policy)
	}
	return slices.Concat(args, s.flags, []string{"--"}, command)
}

// command is one in the workspace, in the environment of a user without settings.
func (s *stage) command(t *testing.T, path string, args, env []string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(t.Context(), runMax)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = s.work
	cmd.Env = append([]string{"HOME=" + s.home, "PATH=" + os.Getenv("PATH"), "TERM=dumb", "NO_COLOR=1", "LANG=C.UTF-8", "COLUMNS=150"}, env...)
	cmd.WaitDelay = 5 * time.Second
	if s.as != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as}
	}
	return cmd
}

// A line is one call of the record.
type line struct {
	call.Record
	Verdict call.Verdict  `json:"verdict"`
	Closed  *call.Record  `json:"closed"`
	Outcome *call.Outcome `json:"outcome"`
}

func (s *stage) record(t *testing.T) []line {
	t.Helper()
	out, err := exec.Command(binary, "log", "search", "--state", s.state, "--json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []line
	for text := range bytes.Lines(out) {
		var l line
		if err := json.Unmarshal(text, &l); err != nil {
			t.Fatal(err)
		}
		if l.Closed != nil && l.Closed.Caller.Process.Value != "" {
			l.Caller = l.Closed.Caller
		}
		all = append(all, l)
	}
	slices.Reverse(all) // the oldest first
	return all
}
