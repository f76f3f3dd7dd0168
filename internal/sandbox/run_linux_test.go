package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestACommandRunsAsTheUserThatItsCallerMayBe(t *testing.T) {
	asEach(t, func(t *testing.T, w caller) {
		p := newPlace(t, w)
		got := succeeds(t, w, p.config(w, "bash", "-c", "id -u; id -g; id -G; pwd; cat /proc/self/uid_map; grep -E '^(CapEff|CapPrm|CapInh|CapAmb|NoNewPrivs|Seccomp):' /proc/self/status"))
		lines := strings.Fields(got)
		want := strings.Fields(fmt.Sprintf("%d %d %d %s %d 0 1 CapInh: 0000000000000000 CapPrm: 0000000000000000 CapEff: 0000000000000000 CapAmb: 0000000000000000 NoNewPrivs: 1 Seccomp: 2", w.want, w.want, w.want, p.workspace, w.want))
		if strings.Join(lines, " ") != strings.Join(want, " ") {
			t.Errorf("got  %q\nwant %q", lines, want)
		}
	})
}

// hostUser returns who owns a file on the machine.
func hostUser(t *testing.T, path string) int {
	t.Helper()
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return int(st.Sys().(*syscall.Stat_t).Uid)
}

func TestAWorkspaceIsWrittenAsItsOwnerInModeOpen(t *testing.T) {
	asEach(t, func(t *testing.T, w caller) {
		p := newPlace(t, w)
		c := p.config(w, "sh", "-ec", "echo new > new")
		c.Files = Open
		succeeds(t, w, c)
		if got, want := hostUser(t, p.workspace+"/new"), hostUser(t, p.workspace); got != want {
			t.Errorf("the file belongs to %d, its workspace to %d", got, want)
		}
	})
}

// TestRootsOwnHomeIsAHome has the home and the workspace of root closed to others.
func TestRootsOwnHomeIsAHome(t *testing.T) {
	w := callers[0]
	p := newPlace(t, w)
	os.Chmod(p.home, 0o700)
	os.Chmod(p.workspace, 0o700)
	os.WriteFile(p.home+"/.gitconfig", []byte("[user]\n\tname = me\n"), 0o600)
	for _, m := range []Mode{Overlay, Review} {
		c := p.config(w, "sh", "-ec", "cat ~/.gitconfig; echo x > ~/x; echo y > y; ls ~")
		c.Files = m
		if got := succeeds(t, w, c); !strings.Contains(got, "name = me") {
			t.Errorf("%s: %q", m, got)
		}
	}
	c := p.config(w, "sh", "-ec", "echo y > z; ls -A ~")
	c.Files = Strict
	if got := succeeds(t, w, c); got != "work\n" {
		t.Errorf("strict: %q", got)
	}
	c = p.config(w, "true")
	c.Files = Open
	if l := run(t, w, c); l.code != failed || !strings.Contains(l.exit.Refusal, "cannot be reached by the command's user") {
		t.Errorf("open: %s", l)
	}
}

func TestAWorkspaceIsWrittenAsItsOwner(t *testing.T) {
	asEach(t, func(t *testing.T, w caller) {
		p := newPlace(t, w)
		os.WriteFile(p.workspace+"/there", []byte("before\n"), 0o600)
		p.own(t, w)
		succeeds(t, w, p.config(w, "sh", "-ec", "cat there; echo after >> there; echo new > new; mkdir d; mv new d/; rm -f gone; echo home > ~/elsewhere; mktemp -p /var/tmp; mkdir -p ~/.cache/deep"))
		for _, f := range []string{"there", "d/new"} {
			if got, want := hostUser(t, filepath.Join(p.workspace, f)), hostUser(t, p.workspace); got != want {
				t.Errorf("%s belongs to %d, its workspace to %d", f, got, want)
			}
		}
		if b, _ := os.ReadFile(p.workspace + "/there"); string(b) != "before\nafter\n" {
			t.Errorf("the workspace has %q", b)
		}
		if _, err := os.Stat(p.home + "/elsewhere"); err == nil {
			t.Error("a file written outside of the workspace is there on the machine")
		}
	})
}

func TestUsualProgramsRun(t *testing.T) {
	asEach(t, func(t *testing.T, w caller) {
		p := newPlace(t, w)
		for _, c := range [][]string{
			{"true"},
			{"bash", "-c", "test -w /tmp && test -w . && echo x > /dev/null && mktemp"},
			{"/usr/bin/python3", "-c", "import ssl, json, subprocess, tempfile; tempfile.TemporaryFile(); print(subprocess.check_output(['echo', 'hi']))"},
			{"node", "-e", "require('fs').writeFileSync('n.txt', 'x'); console.log(process.getuid())"},
			{"sh", "-ec", "git init -q . && git config user.email a@b.c && git config user.name n && git add -A && git commit -qm x && git log --oneline"},
			{"script", "-qec", "tty", "/dev/null"},
		} {
			t.Run(filepath.Base(c[0]), func(t *testing.T) {
				succeeds(t, w, p.config(w, c...))
			})
		}
	})
}

func TestTheExitOfACommandIsPassedOn(t *testing.T) {
	w := callers[0]
	p := newPlace(t, w)
	os.WriteFile(p.workspace+"/plain", []byte("echo from the shell\n"), 0o755)
	os.WriteFile(p.workspace+"/unexecutable", []byte("#!/bin/sh\n"), 0o644)
	os.WriteFile(p.workspace+"/lost", []byte("#!/no/such/interpreter\n"), 0o755)
	for _, c := range []struct {
		command []string
		code    int
		says    string
	}{
		{[]string{"true"}, 0, ""},
		{[]string{"sh", "-c", "exit 7"}, 7, ""},
		{[]string{"sh", "-c", "exit 125"}, 125, ""},
		{[]string{"sh", "-c", "kill -9 $$"}, 137, ""},
		{[]string{"sh", "-c", "kill -TERM $$"}, 143, ""},
		{[]string{"./plain"}, 0, "from the shell"},
		{[]string{"no-such-command"}, 127, `no-such-command: not found in PATH`},
		{[]string{"./missing"}, 127, "not found in the sandbox"},
		{[]string{"./unexecutable"}, 126, "not executable"},
		{[]string{"/"}, 126, "is a directory"},
		{[]string{"./lost"}, 126, "no such file"},
	} {
		l := run(t, w, p.config(w, c.command...))
		if l.code != c.code || l.exit.Exit.Code != c.code || !strings.Contains(l.out+l.exit.Exit.Reason, c.says) {
			t.Errorf("%q: want code %d and %q, got %s", c.command, c.code, c.says, l)
		}
	}
}

func TestNothingInTheEnvironmentButWhatIsGiven(t *testing.T) {
	t.Setenv("SECRET_TOKEN", "hunter2")
	w := callers[0]
	p := newPlace(t, w)
	c := p.config(w, "/usr/bin/env")
	if got, want := succeeds(t, w, c), strings.Join(c.Env, "\n")+"\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAgentSocketIsReached(t *testing.T) {
	asEach(t, func(t *testing.T, w caller) {
		p := newPlace(t, w)
		for _, m := range []Mode{Overlay, Strict, Open} {
			c := p.config(w, "/usr/bin/python3", "-c", "import socket; s = socket.socket(socket.AF_UNIX); s.connect('"+AgentSocket+"'); print(s.recv(100))")
			c.Files = m
			if got := succeeds(t, w, c); !strings.Contains(got, "the agent's socket") {
				t.Errorf("%s: got %q", m, got)
			}
		}
	})
}

func TestACommandHasATerminalOfItsOwn(t *testing.T) {
	asEach(t, func(t *testing.T, w caller) {
		for _, m := range []Mode{Overlay, Open} {
			p := newPlace(t, w)
			c := p.config(w, "bash", "-c", "tty; tty <&1; test -t 2 || echo errors are apart; stty size; read a; echo got $a; ps -o tty= -p $$; echo to the terminal > /dev/tty; trap 'echo interrupted; exit 4' INT; echo interrupt me; while :; do sleep 0.1; done")
			c.Files = m
			l := run(t, w, c, func(l *launch) { l.Typed = "typed\n" })
			for _, want := range []string{"/dev/pts/", "errors are apart", "got typed", "to the terminal", "interrupted", "pts/"} {
				if !strings.Contains(l.out, want) {
					t.Errorf("%s: no %q in %s", m, want, l)
				}
			}
			if l.code != 4 {
				t.Errorf("%s: %s", m, l)
			}
		}
	})
}

func TestAllThatIsWrittenToATerminalIsRead(t *testing.T) {
	w := callers[0]
	p := newPlace(t, w)
	for range 3 {
		l := run(t, w, p.config(w, "seq", "20000"), func(l *launch) { l.Typed = " " })
		if n := strings.Count(l.out, "\n"); n != 20000 && n != 20001 || !strings.HasSuffix(l.out, "20000\n") {
			t.Errorf("%d lines", n)
		}
	}
}

// TestAStoppedCommandGoesOn presses ^Z: there is no shell from which to go on.
func TestAStoppedCommandGoesOn(t *testing.T) {
	w := callers[0]
	p := newPlace(t, w)
	l := run(t, w, p.config(w, "/usr/bin/python3", "-uc", "import time; print('stop me'); time.sleep(0.5); print('went on')"), func(l *launch) { l.Typed = " " })
	if l.code != 0 || !strings.Contains(l.out, "went on") {
		t.Errorf("%s", l)
	}
}
