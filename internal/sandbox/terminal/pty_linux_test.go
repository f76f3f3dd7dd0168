package terminal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain is also the program that a test starts in a terminal: it runs its
// arguments behind the filter, as outvet run does.
func TestMain(m *testing.M) {
	if os.Getenv("OUTVET_JOIN") != "" {
		code, err := joined(os.Args[1:])
		if err != nil {
			fmt.Fprintln(os.Stderr, "joined:", err)
			os.Exit(125)
		}
		os.Exit(code)
	}
	os.Exit(m.Run())
}

func joined(args []string) (int, error) {
	ptmx := ""
	if os.Getenv("OUTVET_JOIN") == "own" { // a devpts of its own, as in a sandbox
		if err := errors.Join(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), unix.Mount("devpts", "/dev/pts", "devpts", 0, "newinstance,ptmxmode=0666,mode=620")); err != nil {
			return 0, err
		}
		ptmx = "/dev/pts/ptmx"
	}
	p, err := Open(ptmx)
	if err != nil {
		return 0, err
	}
	user := [3]*os.File{os.Stdin, os.Stdout, os.Stderr}
	s, err := Stand(user, p.Slave)
	if err != nil {
		return 0, err
	}
	var j *Joint
	screen := Screen(user)
	if screen != nil {
		if j, err = Join(os.Stdin, screen, p.Master); err != nil {
			return 0, err
		}
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.Files[0], s.Files[1], s.Files[2]
	cmd.Env = append(os.Environ(), "OUTVET_JOIN=")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if j != nil {
		cmd.SysProcAttr.Setctty = true
		for i, f := range s.Files {
			if f == p.Slave {
				cmd.SysProcAttr.Ctty = i
			}
		}
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	p.Slave.Close()
	s.CloseFiles()
	err = cmd.Wait()
	s.Close()
	if j != nil {
		if cerr := j.Close(); cerr != nil {
			return 0, cerr
		}
	}
	if cmd.ProcessState == nil {
		return 0, err
	}
	return cmd.ProcessState.ExitCode(), nil
}

// A window is a terminal of a test, with a program in it.
type window struct {
	t    *testing.T
	pair Pair
	cmd  *exec.Cmd
	was  unix.Termios // before
}

// open starts a line of shell behind the filter, in a terminal of 80 by 24.
func open(t *testing.T, line string) *window {
	t.Helper()
	return start(t, line, func(*exec.Cmd) {})
}

func start(t *testing.T, line string, change func(*exec.Cmd)) *window {
	t.Helper()
	p, err := Open("")
	if err != nil {
		t.Fatal(err)
	}
	if err := descriptor(p.Master, func(fd int) error {
		return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80})
	}); err != nil {
		t.Fatal(err)
	}
	w := &window{t: t, pair: p}
	w.was = w.termios()
	w.cmd = exec.Command(os.Args[0], "sh", "-c", line)
	w.cmd.Env = append(os.Environ(), "OUTVET_JOIN=1", "TERM=xterm-256color")
	w.cmd.Stdin, w.cmd.Stdout, w.cmd.Stderr = p.Slave, p.Slave, p.Slave
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	change(w.cmd)
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.cmd.Process.Kill(); p.Master.Close(); p.Slave.Close() })
	return w
}

// until reads what the terminal gets until it has text.
func (w *window) until(text string) string {
	w.t.Helper()
	var got []byte
	b := make([]byte, 4096)
	for end := time.Now().Add(20 * time.Second); !bytes.Contains(got, []byte(text)); {
		if ready, _ := readable(w.pair.Master, nil, time.Until(end)); !ready {
			w.t.Fatalf("%q did not come, but %q", text, got)
		}
		n, err := w.pair.Master.Read(b)
		if err != nil {
			w.t.Fatalf("%q did not come, but %q: %v", text, got, err)
		}
		got = append(got, b[:n]...)
	}
	return string(got)
}

func (w *window) send(s string) {
	if _, err := w.pair.Master.WriteString(s); err != nil {
		w.t.Fatal(err)
	}
}

func (w *window) wait() int {
	w.t.Helper()
	done := make(chan struct{})
	go func() { w.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		w.t.Fatal("it does not end")
	}
	return w.cmd.ProcessState.ExitCode()
}

// termios returns the settings of the window's terminal.
func (w *window) termios() unix.Termios {
	var t *unix.Termios
	if err := descriptor(w.pair.Slave, func(fd int) (err error) { t, err = unix.IoctlGetTermios(fd, unix.TCGETS); return err }); err != nil {
		w.t.Fatal(err)
	}
	return *t
}

func TestTheCommandHasATerminalOfItsOwn(t *testing.T) {
	w := open(t, `stty size; test -t 0 && test -t 1 && test -t 2 && echo all; read x; echo "got $x"; printf '\033]52;c;aGk=\007\033[21tend\n'; exit 7`)
	w.until("24 80\r\nall\r\n")
	if raw := w.termios(); raw.Lflag&(unix.ICANON|unix.ECHO|unix.ISIG) != 0 || raw.Oflag&unix.OPOST != 0 {
		t.Error("the user's terminal is not raw while the command runs")
	}
	w.send("line\r")
	if out := w.until("end\r\n"); strings.Contains(out, "\x1b") || !strings.Contains(out, "line\r\ngot line\r\n") {
		t.Errorf("%q", out)
	}
	if code := w.wait(); code != 7 {
		t.Errorf("exit %d", code)
	}
	if w.termios() != w.was {
		t.Error("the user's terminal is not as it was")
	}
}

func TestWhatIsRedirectedIsNotOfTheTerminal(t *testing.T) {
	name := filepath.Join(t.TempDir(), "out")
	w := start(t, `test -t 1 || echo to file; test -t 0 && test -t 2 && echo shown >&2; read x; printf '\033]52;c;x\007%s\n' "$x"`, func(c *exec.Cmd) {
		f, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		c.Stdout = f
	})
	w.until("shown\r\n")
	w.send("typed\r")
	w.wait()
	if b, _ := os.ReadFile(name); string(b) != "to file\n\x1b]52;c;x\atyped\n" { // a file is no terminal: nothing is filtered
		t.Errorf("%q", b)
	}
	if w.termios() != w.was {
		t.Error("the user's terminal is not as it was")
	}
}

// With a pseudo-terminal of the sandbox's own devpts programs find its name.
func TestATerminalOfItsOwnDevptsHasAName(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting needs root here")
	}
	w := start(t, "tty; ps -o tty= -p $$; exit 4", func(c *exec.Cmd) {
		c.Env = append(c.Env, "OUTVET_JOIN=own", "HOME="+t.TempDir())
		c.SysProcAttr.Cloneflags = syscall.CLONE_NEWNS
	})
	w.until("/dev/pts/0\r\npts/0")
	if code := w.wait(); code != 4 {
		t.Errorf("exit %d", code)
	}
}

func TestInterruptReachesTheCommandAndNotUs(t *testing.T) {
	w := open(t, `trap 'echo interrupted; exit 3' INT; echo ready; while :; do sleep 0.05; done`)
	w.until("ready")
	w.send("\x03")
	w.until("interrupted")
	if code := w.wait(); code != 3 {
		t.Errorf("exit %d", code)
	}
}

func TestTheWindowsSizeFollows(t *testing.T) {
	w := open(t, `trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.05; done`)
	w.until("ready")
	if err := descriptor(w.pair.Master, func(fd int) error {
		return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 30, Col: 100})
	}); err != nil {
		t.Fatal(err)
	}
	w.until("30 100")
	w.wait()
}

func TestModesThatWereLeftAreUndone(t *testing.T) {
	w := open(t, `printf '\033[?1049h\033[?1003h\033[?25lleft'`)
	if out := w.until("\x1b[?25h"); !strings.Contains(out, "left\x1b[?1003l\x1b[?1049l\x1b[?25h") {
		t.Errorf("%q", out)
	}
	w.wait()
}

// An answer that comes when the command has gone would be typed into the user's
// shell.
func TestAnAnswerThatComesLateIsNotLeftForTheShell(t *testing.T) {
	w := open(t, `printf '\033[c'`)
	w.until("\x1b[c")
	w.send("\x1b[?62c")
	w.wait()
	if err := descriptor(w.pair.Slave, func(fd int) error {
		n, err := unix.IoctlGetInt(fd, unix.TIOCINQ)
		if n > 0 {
			t.Errorf("%d bytes wait for the shell", n)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

func TestStoppingUsGivesTheTerminalBack(t *testing.T) {
	w := open(t, `echo ready; read x; echo "got $x"`)
	w.until("ready")
	if err := w.cmd.Process.Signal(unix.SIGTSTP); err != nil {
		t.Fatal(err)
	}
	stopped := func() bool {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", w.cmd.Process.Pid))
		_, rest, _ := strings.Cut(string(b), ") ")
		return strings.HasPrefix(rest, "T")
	}
	eventually(t, "it did not stop", stopped)
	if w.termios() != w.was {
		t.Error("the terminal is raw while outvet is stopped")
	}
	w.cmd.Process.Signal(unix.SIGCONT)
	eventually(t, "the terminal is not raw after it went on", func() bool { return w.termios().Lflag&unix.ICANON == 0 })
	w.send("x\r")
	w.until("got x")
	w.wait()
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

func TestControlZStopsAJobOfAShellAndNothingElse(t *testing.T) {
	w := open(t, `exec bash --norc --noprofile -i`)
	w.send("PS1=; echo $((40+2)); sleep 100\r")
	w.until("42\r\n")
	time.Sleep(100 * time.Millisecond) // for sleep to be in the foreground
	w.send("\x1a")
	w.until("Stopped")
	w.send("fg\r")
	w.until("sleep 100\r\n")
	time.Sleep(100 * time.Millisecond)
	w.send("\x03")
	w.send("exit 5\r")
	if code := w.wait(); code != 5 {
		t.Errorf("exit %d", code)
	}
	w = open(t, `echo ready; exec sleep 0.3`) // has no shell: the kernel lets it go on
	w.until("ready")
	w.send("\x1a")
	if code := w.wait(); code != 0 {
		t.Errorf("exit %d", code)
	}
}

// Real programs draw behind the filter what they draw without: tmux is the
// terminal, and both screens are compared with their colours.
func TestRealProgramsDrawTheSame(t *testing.T) {
	if _, err := exec.LookPath("tmux"); err != nil {
		t.Skip("tmux is not installed")
	}
	dir := t.TempDir()
	var text strings.Builder
	for i := range 200 {
		fmt.Fprintf(&text, "line %d: grün 日本 \t// comment \"string\" %s\n", i, strings.Repeat("=", i%60))
	}
	file := filepath.Join(dir, "a.go")
	if err := os.WriteFile(file, []byte("package a\n"+text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	n := 0
	screen := func(behind bool, line string, keys ...string) string {
		n++
		sock := filepath.Join(dir, fmt.Sprint("s", n))
		tmux := func(args ...string) string {
			out, err := exec.Command("tmux", append([]string{"-f", "/dev/null", "-S", sock}, args...)...).CombinedOutput()
			if err != nil {
				t.Fatalf("tmux %q: %v: %s", args, err, out)
			}
			return string(out)
		}
		if behind {
			line = "OUTVET_JOIN=1 " + os.Args[0] + " sh -c '" + line + "'"
		}
		tmux("new-session", "-d", "-x", "100", "-y", "30", line+"; sleep 60")
		defer tmux("kill-server")
		still := func() string { // the screen when it does not change any more
			last, same := "", 0
			for range 200 {
				time.Sleep(50 * time.Millisecond)
				s := tmux("capture-pane", "-e", "-p")
				if s == last && strings.TrimSpace(s) != "" {
					if same++; same > 5 {
						return s
					}
				} else {
					last, same = s, 0
				}
			}
			t.Fatalf("%s: the screen does not come to rest", line)
			return ""
		}
		for _, k := range keys {
			still()
			tmux("send-keys", k)
		}
		return still()
	}
	for _, p := range []struct {
		needs, line string
		keys        []string
	}{
		{"vim", "vim -u NONE -N -i NONE --cmd \"syntax on\" -c \"set number hlsearch\" " + file, []string{"/string", "Enter", "G", "C-b", "v", "j", "j"}},
		{"less", "less -N " + file, []string{"Space", "/99", "Enter"}},
		{"top", "top -b -n1 | head -3 >/dev/null; COLUMNS=100 top -n1 -p 1 | tail -n +1 | cut -c1-10 | grep -v top", nil},
		{"git", "cd " + dir + " && git diff --no-index --color=always --stat /dev/null a.go | cat", nil},
		{"tput", "tput smcup; tput cup 5 5; tput setaf 3; tput bold; printf bold; tput sgr0; tput cup 10 3; tput smacs; printf lqqqk; tput rmacs; tput civis; sleep 60", nil},
	} {
		t.Run(p.needs, func(t *testing.T) {
			if _, err := exec.LookPath(p.needs); err != nil {
				t.Skip("not installed")
			}
			plain, behind := screen(false, p.line, p.keys...), screen(true, p.line, p.keys...)
			if plain != behind {
				t.Errorf("without:\n%s\nbehind the filter:\n%s", plain, behind)
			}
		})
	}
}

func TestWhatIsNoTerminalIsHandedOnOnlyIfItLeadsNowhere(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "file")
	if err := os.WriteFile(name, []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := socket(t)
	defer ours.Close()
	s, err := Stand([3]*os.File{file, out, theirs}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if s.Files[0] == file || s.Files[1] != out || s.Files[2] == theirs {
		t.Fatalf("input %v, output %v, error %v", s.Files[0] == file, s.Files[1] != out, s.Files[2] == theirs)
	}
	cmd := exec.Command("sh", "-c", `cat; echo told >&2; test -p /dev/stdin && test -p /dev/stderr && echo pipes; (: >>/proc/self/fd/0) 2>/dev/null`)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.Files[0], s.Files[1], s.Files[2]
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.CloseFiles()
	cmd.Wait()
	s.Close()
	theirs.Close()
	if b, _ := os.ReadFile(filepath.Join(dir, "out")); string(b) != "contentpipes\n" {
		t.Errorf("output %q", b)
	}
	if b, _ := io.ReadAll(ours); string(b) != "told\n" {
		t.Errorf("the socket got %q", b)
	}
	if b, _ := os.ReadFile(name); string(b) != "content" {
		t.Errorf("the command wrote to its input: %q", b)
	}
}

func socket(t *testing.T) (ours net.Conn, theirs *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fds[0]), "ours")
	defer f.Close()
	if ours, err = net.FileConn(f); err != nil {
		t.Fatal(err)
	}
	return ours, os.NewFile(uintptr(fds[1]), "theirs")
}

func TestAFolderAsInputIsRefused(t *testing.T) {
	d, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if _, err := Stand([3]*os.File{d, null, null}, nil); err == nil || !strings.Contains(err.Error(), "input") {
		t.Errorf("%v", err)
	}
	s, err := Stand([3]*os.File{nil, null, null}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if b, err := io.ReadAll(s.Files[0]); err != nil || len(b) > 0 {
		t.Errorf("a closed input gives %q, %v", b, err)
	}
	s.CloseFiles()
}

func TestAReaderThatHangsDoesNotHoldUsUp(t *testing.T) {
	ours, theirs := socket(t)
	defer ours.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Stand([3]*os.File{theirs, null, null}, nil)
	if err != nil {
		t.Fatal(err)
	}
	go ours.Write(make([]byte, 1<<20)) // more than a pipe takes, and nobody reads it
	time.Sleep(20 * time.Millisecond)
	done := make(chan struct{})
	go func() { s.Close(); close(done) }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("Close waits for ever")
	}
	s.CloseFiles()
}
