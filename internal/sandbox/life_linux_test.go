package sandbox

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// marked returns the processes of the machine that have mark among their
// arguments.
func marked(mark string) (all []int) {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		b, err := os.ReadFile(d + "/cmdline")
		if err == nil && bytes.Contains(b, []byte(mark)) {
			var pid int
			fmt.Sscan(filepath.Base(d), &pid)
			if pid != os.Getpid() {
				all = append(all, pid)
			}
		}
	}
	return all
}

// eventually waits until f holds.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if f() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

// lingering starts a command that leaves a daemon behind, and waits until both run.
// It returns the launcher, what it tells, and a mark that all processes have.
func lingering(t *testing.T, w caller, p place) (launcher *os.Process, told <-chan news, stage int, mark string) {
	t.Helper()
	mark = "mark-" + filepath.Base(filepath.Dir(p.home))
	script := "(setsid sh -c 'while :; do sleep 0.1; done' " + mark + "-daemon >/dev/null 2>&1 &) ; while :; do sleep 0.1; done"
	cmd, told, out, errs := startLauncher(t, w, launch{Config: p.config(w, "sh", "-c", script, mark)})
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	n := <-told
	if n.Pid == 0 {
		t.Fatalf("%+v %s %s", n, out, errs)
	}
	eventually(t, "both run", func() bool { return len(marked(mark+"-daemon")) > 0 })
	return cmd.Process, told, n.Pid, mark
}

func TestNothingIsLeftBehind(t *testing.T) {
	asEach(t, func(t *testing.T, w caller) {
		for how, end := range map[string]func(launcher *os.Process, stage int){
			"launcher killed":              func(l *os.Process, _ int) { l.Kill() },
			"stage 1 killed":               func(_ *os.Process, s int) { unix.Kill(s, unix.SIGKILL) },
			"launcher killed, 1 stopped":   func(l *os.Process, s int) { unix.Kill(s, unix.SIGSTOP); l.Kill() },
			"launcher stopped and killed":  func(l *os.Process, _ int) { l.Signal(unix.SIGSTOP); l.Kill() },
			"launcher told to end":         func(l *os.Process, _ int) { l.Signal(unix.SIGTERM) },
			"launcher dies by abort":       func(l *os.Process, _ int) { l.Signal(unix.SIGABRT) },
			"a thread of stage 1 is stung": func(_ *os.Process, s int) { unix.Kill(s, unix.SIGSEGV) },
		} {
			t.Run(how, func(t *testing.T) {
				t.Parallel()
				p := newPlace(t, w)
				launcher, told, stage, mark := lingering(t, w, p)
				end(launcher, stage)
				for range told { // the launcher has ended, too
				}
				eventually(t, "all are gone", func() bool { return len(marked(mark)) == 0 })
				eventually(t, "stage 1 is gone", func() bool {
					b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", stage))
					return err != nil || !strings.HasPrefix(string(b), stageName)
				})
			})
		}
	})
}

func TestTheEndIsToldWhenNothingLives(t *testing.T) {
	w := callers[0]
	p := newPlace(t, w)
	mark := "mark-" + filepath.Base(filepath.Dir(p.home))
	l := run(t, w, p.config(w, "sh", "-c", "(setsid sh -c 'sleep 1000; :' "+mark+" >/dev/null 2>&1 &); exit 3"))
	if left := marked(mark); l.code != 3 || len(left) > 0 {
		t.Errorf("left behind: %v; %s", left, l)
	}
}

func TestSignalsReachTheCommand(t *testing.T) {
	w := callers[0]
	for _, sig := range []syscall.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGWINCH} {
		t.Run(unix.SignalName(sig), func(t *testing.T) {
			p := newPlace(t, w)
			script := fmt.Sprintf("trap 'echo got; exit 9' %s; touch ready; while :; do sleep 0.05; done", strings.TrimPrefix(unix.SignalName(sig), "SIG"))
			cmd, told, out, errs := startLauncher(t, w, launch{Config: p.config(w, "sh", "-c", script)})
			eventually(t, "the command waits", func() bool { _, err := os.Stat(p.workspace + "/ready"); return err == nil })
			cmd.Process.Signal(sig)
			for range told {
			}
			cmd.Wait()
			if cmd.ProcessState.ExitCode() != 9 || strings.Count(out.String(), "got") != 1 {
				t.Errorf("code %d, %q %q", cmd.ProcessState.ExitCode(), out, errs)
			}
		})
	}
}

func TestAHeldCommandDoesNotStart(t *testing.T) {
	w := callers[0]
	p := newPlace(t, w)
	cmd, told, _, _ := startLauncher(t, w, launch{Config: p.config(w, "touch", "started"), Hold: true})
	<-told
	time.Sleep(300 * time.Millisecond)
	if _, err := os.Stat(p.workspace + "/started"); err == nil {
		t.Error("it was started without go")
	}
	cmd.Process.Kill()
	cmd.Wait()
	time.Sleep(300 * time.Millisecond)
	if _, err := os.Stat(p.workspace + "/started"); err == nil {
		t.Error("it was started when its launcher had died")
	}
}

func TestManyAtOnce(t *testing.T) {
	w := callers[0]
	before := mountsOf(t)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 10 {
				p := newPlace(t, w)
				if l := run(t, w, p.config(w, "true")); l.code != 0 {
					t.Errorf("%s", l)
				}
			}
		})
	}
	group.Wait()
	if after := mountsOf(t); after > before {
		t.Errorf("%d mounts before, %d after", before, after)
	}
}

// mountsOf counts the mounts named outvet that this process sees.
func mountsOf(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Count(b, []byte(" outvet "))
}
