package sandbox

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// launcherVariable holds the orders of a launcher: the test program, started again
// to call Run as somebody else may.
const launcherVariable = "OUTVET_TEST_LAUNCHER"

func TestMain(m *testing.M) {
	Hook()
	if text := os.Getenv(launcherVariable); text != "" {
		os.Exit(launcher(text))
	}
	os.Exit(m.Run())
}

// A launch is what a launcher is to do.
type launch struct {
	Config Config
	Fault  string
	NNP    bool
	Deny   string // a feature that the kernel shall not have; see mask
	Hold   bool   // never say go
	Before string // what a shell does first, in a mount namespace of its own

	Sockets bool   // the standard files are sockets
	Typed   string // into a terminal of the command's own

	Look, Apply, Safe bool   // look at a review, apply it, but for what others run
	Meanwhile         string // what a shell does before it is applied
}

// A news is what a launcher tells on descriptor 3.
type news struct {
	Pid     int      `json:",omitempty"` // stage 1
	Call    string   `json:",omitempty"` // where a connection was to go
	Query   string   `json:",omitempty"` // whom a query asked
	Done    bool     `json:",omitempty"`
	Exit    Exit     `json:",omitzero"`
	Error   string   `json:",omitempty"`
	Fault   string   `json:",omitempty"` // the step that failed
	Refusal string   `json:",omitempty"` // as people read it
	Changes []Change `json:",omitempty"`
	Edits   []Edit   `json:",omitempty"`
}

func launcher(text string) int {
	var l launch
	out := json.NewEncoder(os.NewFile(3, "news"))
	unix.CloseOnExec(3)
	if err := json.Unmarshal([]byte(text), &l); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 99
	}
	if os.Getuid() == 0 {
		// some that root has on many machines: 42 reads /etc/shadow on Debian
		if err := syscall.Setgroups([]int{0, 4, 42}); err != nil {
			return 96
		}
	}
	if l.NNP {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return 98
		}
	}
	if err := mask(l.Deny); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 97
	}
	l.Config.Stdin, l.Config.Stdout, l.Config.Stderr, l.Config.fault = os.Stdin, os.Stdout, os.Stderr, l.Fault
	if l.Typed != "" {
		l.Config.Stdin, l.Config.Stdout, l.Config.Terminal = nil, nil, true
	}
	if l.Sockets {
		done := socketFiles(&l.Config)
		defer done()
	}
	s, err := Run(context.Background(), l.Config)
	if err != nil {
		tell(out, err)
		return failed
	}
	shown := make(chan bool)
	if s.Terminal == nil {
		close(shown)
	} else {
		// what is written to the command's terminal comes out here
		go func() {
			for lines := bufio.NewScanner(s.Terminal); lines.Scan(); {
				fmt.Println(lines.Text())
				switch {
				case strings.Contains(lines.Text(), "interrupt me"):
					s.Terminal.WriteString("\x03")
				case strings.Contains(lines.Text(), "stop me"):
					s.Terminal.WriteString("\x1a")
				}
			}
			close(shown)
		}()
		s.Terminal.WriteString(l.Typed)
	}
	lines := make(chan news)
	go func() {
		for n := range lines {
			out.Encode(n)
		}
	}()
	lines <- news{Pid: s.Pid()}
	serve(s, lines)
	if l.Hold {
		select {}
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGWINCH)
	go func() {
		for sig := range signals {
			s.Signal(sig.(syscall.Signal))
		}
	}()
	if err := s.Go(); err != nil {
		tell(out, err)
		return failed
	}
	e, err := s.Wait()
	if err != nil {
		tell(out, err)
		return failed
	}
	<-shown
	changes, err := s.Changes()
	if err != nil {
		tell(out, err)
		return failed
	}
	edits, err := l.review(s)
	if err != nil {
		tell(out, err)
		return failed
	}
	time.Sleep(20 * time.Millisecond) // calls that came are told
	lines <- news{Done: true, Exit: e, Changes: changes, Edits: edits}
	lines <- news{}
	s.Close()
	return e.Code
}

// review looks at what the command did, and applies it.
func (l launch) review(s *Sandbox) ([]Edit, error) {
	if !l.Look && !l.Apply {
		return nil, nil
	}
	p, err := s.Proposal()
	if err != nil || !l.Apply {
		return p.Edits, err
	}
	if l.Meanwhile != "" {
		if err := sh("%s", l.Meanwhile); err != nil {
			return nil, err
		}
	}
	return p.Edits, p.Apply(func(e Edit) bool { return !l.Safe || !e.AutoRun })
}

// socketFiles makes sockets of the standard files of c. The function that it returns
// waits until what came out is written.
func socketFiles(c *Config) func() {
	pair := func() (*os.File, *os.File) {
		ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			panic(err)
		}
		return os.NewFile(uintptr(ends[0]), "ours"), os.NewFile(uintptr(ends[1]), "theirs")
	}
	in, theirIn := pair()
	out, theirOut := pair()
	in.WriteString("given\n")
	unix.Shutdown(int(in.Fd()), unix.SHUT_WR)
	done := make(chan bool)
	go func() {
		io.Copy(os.Stdout, out)
		close(done)
	}()
	c.Stdin, c.Stdout, c.Stderr = theirIn, theirOut, theirOut
	return func() {
		theirOut.Close()
		<-done
	}
}

func tell(out *json.Encoder, err error) {
	n := news{Done: true, Error: err.Error()}
	if f := (*fault)(nil); errors.As(err, &f) {
		n.Fault = f.Step
	}
	if r := (*Refusal)(nil); errors.As(err, &r) {
		var b strings.Builder
		r.WriteTo(&b)
		n.Refusal = b.String()
	}
	out.Encode(n)
}

// serve takes what the command sends, and answers nothing of use.
func serve(s *Sandbox, lines chan<- news) {
	for _, l := range s.Sockets.Listeners() {
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				to, _ := s.Sockets.Destination(c)
				lines <- news{Call: to.String()}
				io.WriteString(c, "captured")
				c.Close()
			}
		}()
	}
	for _, q := range []net.PacketConn{s.Sockets.DNS4, s.Sockets.DNS6} {
		go func() {
			b := make([]byte, 1500)
			for {
				n, from, err := q.ReadFrom(b)
				if err != nil {
					return
				}
				lines <- news{Query: from.String()}
				q.WriteTo(b[:n], from)
			}
		}()
	}
	go func() {
		for {
			c, err := s.Agent.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, "the agent's socket")
			c.Close()
		}
	}()
}

// A caller is somebody who calls Run.
type caller struct {
	name string
	uid  int  // of the launcher
	nnp  bool // it can gain no privileges
	user string
	want int // the command's user ID
}

// callers are the three ways that matter: root, whose command is nobody; root with
// a user; and somebody without any privilege.
var callers = []caller{
	{name: "root", want: nobody},
	{name: "root with user", user: "12345", want: 12345},
	{name: "no privilege", uid: nobody, nnp: true, want: nobody},
}

// asEach runs f as a subtest for each caller.
func asEach(t *testing.T, f func(t *testing.T, w caller)) {
	if os.Getuid() != 0 {
		f(t, caller{name: "me", uid: os.Getuid(), want: os.Getuid()})
		return
	}
	for _, w := range callers {
		t.Run(w.name, func(t *testing.T) { f(t, w) })
	}
}

// A place is where a command of a test runs.
type place struct {
	workspace, state, home string
}

// newPlace makes a workspace, a home and a state directory for w, on the disk.
func newPlace(t testing.TB, w caller) place {
	t.Helper()
	top, err := os.MkdirTemp("/var/tmp", "outvet-sandbox-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(top) })
	os.Chmod(top, 0o755)
	p := place{filepath.Join(top, "home/work"), filepath.Join(top, "home/.local/state/outvet"), filepath.Join(top, "home")}
	for _, d := range []string{p.home, p.workspace, filepath.Dir(filepath.Dir(p.state)), filepath.Dir(p.state), p.state, filepath.Join(p.state, "keys"), filepath.Join(p.home, ".ssh")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for f, text := range map[string]string{p.state + "/keys/ca.key": "STATEKEY", p.home + "/.ssh/id_ed25519": "SSHKEY", p.home + "/.netrc": "NETRC", p.home + "/.bashrc": "# mine\n"} {
		if err := os.WriteFile(f, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p.own(t, w)
	return p
}

// own gives what is in the place to w, or to the user of its command.
func (p place) own(t testing.TB, w caller) {
	t.Helper()
	if os.Getuid() != 0 {
		return
	}
	uid := w.uid
	if w.user != "" {
		uid = w.want
	}
	filepath.WalkDir(p.home, func(path string, _ os.DirEntry, err error) error {
		return os.Lchown(path, uid, uid)
	})
}

func (p place) config(w caller, command ...string) Config {
	return Config{Command: command, Workspace: p.workspace, State: p.state, Home: p.home, User: w.user, Hide: Secrets(p.home),
		Env: []string{"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME=" + p.home, "LC_ALL=C"}}
}

// A launched command, and what the launcher told of it.
type launched struct {
	code     int
	out, err string
	news     []news
	exit     news
}

func (l launched) calls() (all []string) {
	for _, n := range l.news {
		if n.Call != "" {
			all = append(all, n.Call)
		}
	}
	return all
}

func (l launched) String() string {
	return fmt.Sprintf("exit %d\n%s%s%+v", l.code, l.out, l.err, l.exit)
}

// startLauncher starts a launcher for w and returns it with what it will tell.
func startLauncher(t *testing.T, w caller, l launch) (*exec.Cmd, <-chan news, *bytes.Buffer, *bytes.Buffer) {
	t.Helper()
	l.NNP = l.NNP || w.nnp
	text, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	r, wr, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	if l.Before != "" {
		cmd = exec.Command("unshare", "-m", "sh", "-ec", l.Before+fmt.Sprintf("; exec /proc/%d/exe", os.Getpid()))
	}
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "SUDO_") }), launcherVariable+"="+string(text))
	cmd.ExtraFiles = []*os.File{wr}
	cmd.Dir = "/"
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Getuid() == 0 && w.uid != 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(w.uid), Gid: uint32(w.uid)}
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	wr.Close()
	told := make(chan news, 4096)
	go func() {
		defer close(told)
		defer r.Close()
		for lines := bufio.NewScanner(r); lines.Scan(); {
			var n news
			if json.Unmarshal(lines.Bytes(), &n) == nil {
				told <- n
			}
		}
	}()
	return cmd, told, &out, &errs
}

// run runs a command in a sandbox as w, to its end.
func run(t *testing.T, w caller, c Config, change ...func(*launch)) launched {
	t.Helper()
	l := launch{Config: c}
	for _, f := range change {
		f(&l)
	}
	cmd, told, out, errs := startLauncher(t, w, l)
	var res launched
	deadline := time.AfterFunc(60*time.Second, func() { cmd.Process.Kill() })
	for n := range told {
		res.news = append(res.news, n)
		if n.Done {
			res.exit = n
		}
	}
	cmd.Wait()
	if !deadline.Stop() {
		t.Fatalf("%q took longer than a minute\n%s%s", c.Command, out, errs)
	}
	res.code, res.out, res.err = cmd.ProcessState.ExitCode(), out.String(), errs.String()
	return res
}

// succeeds runs a command that must end well, and returns what it wrote.
func succeeds(t *testing.T, w caller, c Config) string {
	t.Helper()
	l := run(t, w, c)
	if l.code != 0 {
		t.Fatalf("%q: %s", c.Command, l)
	}
	return l.out
}
