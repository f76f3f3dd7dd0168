package sandbox

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// A runner is a thread that was made ready for the command: what it has given up
// cannot be regained, and what it clones inherits that. It does nothing else, and
// lives until the process ends.
type runner struct {
	start   chan start
	started chan started
}

type start struct {
	path, dir string
	argv, env []string
	files     []uintptr
	attr      *syscall.SysProcAttr
}

type started struct {
	pid int
	err error
}

// runner makes a thread ready.
func (s *stage) runner() (*runner, error) {
	r := &runner{make(chan start), make(chan started)}
	made := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := s.giveUp()
		made <- err
		if err != nil {
			return
		}
		for c := range r.start {
			pid, err := syscall.ForkExec(c.path, c.argv, &syscall.ProcAttr{Dir: c.dir, Env: c.env, Files: c.files, Sys: c.attr})
			r.started <- started{pid, err}
		}
	}()
	return r, <-made
}

// giveUp takes from the calling thread what the command shall not have. The order
// matters: the filter needs no new privileges, and forbids nothing that Landlock
// needs.
//
// Capabilities need no dropping. The clone has those of its nested namespace until
// it executes the command with a user ID that is not 0, which ends them; over the
// namespaces that hold it, it never had any.
func (s *stage) giveUp() error {
	if err := s.step("no new privileges", func() error { return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }); err != nil {
		return err
	}
	if err := s.step("landlock", landlockScopes); err != nil {
		return err
	}
	return s.step("seccomp", func() error { return install(filter(native, s.orders.Rooted), false) })
}

// command starts the command, forwards signals to it, reaps, and tells how it
// ended.
func (s *stage) command(r *runner) error {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, forwarded...)
	o := s.orders
	path, code, err := findCommand(o.Command[0], o.Dir, o.Env)
	if err != nil {
		return s.link.send(message{Word: wordEnded, Code: code, Text: err.Error()})
	}
	c := start{path, o.Dir, o.Command, o.Env, s.files[:], &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: o.User, HostID: 0, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: o.Group, HostID: 0, Size: 1}},
		Setsid:      s.controlling < 0, // signals of the caller's terminal come by us, and once
		Foreground:  s.controlling >= 0,
		Ctty:        s.controlling,
		Pdeathsig:   syscall.SIGKILL,
	}}
	var child started
	err = s.step("clone", func() error {
		r.start <- c
		child = <-r.started
		if errors.Is(child.err, unix.ENOEXEC) { // a script without a first line is the shell's
			c.path, c.argv = "/bin/sh", append([]string{"sh", path}, o.Command[1:]...)
			r.start <- c
			child = <-r.started
		}
		return child.err
	})
	switch {
	case err == nil:
	case s.fault == "clone", errors.Is(err, unix.EPERM), errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EAGAIN):
		return err
	default:
		return s.link.send(message{Word: wordEnded, Code: cannotExecute, Text: fmt.Sprintf("%s: %v", o.Command[0], child.err)})
	}
	go forward(signals, child.pid)
	go s.untilParentGone()
	ws, err := reap(child.pid)
	if err != nil {
		return at("wait", err)
	}
	// What it left running ends now, so that nothing lives when the end is told. It
	// is told before we end: the kernel takes its time with our mounts.
	_ = unix.Kill(-1, unix.SIGKILL)
	_, _ = reap(0)
	s.drain()
	if ws.Signaled() {
		return s.link.send(message{Word: wordEnded, Code: 128 + int(ws.Signal()), Signal: int(ws.Signal())})
	}
	return s.link.send(message{Word: wordEnded, Code: ws.ExitStatus()})
}

// forwarded are the signals that the command gets when outvet does.
var forwarded = []os.Signal{unix.SIGTERM, unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGWINCH, unix.SIGUSR1, unix.SIGUSR2, unix.SIGCONT, unix.SIGTSTP}

func forward(signals <-chan os.Signal, pid int) {
	for sig := range signals {
		_ = unix.Kill(-pid, sig.(syscall.Signal)) // the group of the command; gone if it is
	}
}

// untilParentGone ends the process, and thereby all of its namespace, when the
// control socket ends.
func (s *stage) untilParentGone() {
	for {
		if _, files, err := s.link.receive(); err != nil {
			os.Exit(failed)
		} else {
			closeAll(files)
		}
	}
}

// reap waits for all children until that of number pid has ended, or until there is
// none.
func reap(pid int) (unix.WaitStatus, error) {
	for {
		var ws unix.WaitStatus
		switch p, err := unix.Wait4(-1, &ws, unix.WUNTRACED, nil); {
		case err == unix.EINTR:
		case err != nil:
			return ws, err
		case ws.Stopped():
			if p == pid && ws.StopSignal() == unix.SIGTSTP {
				_ = unix.Kill(-p, unix.SIGCONT) // there is no shell from which to go on with it
			}
		case p == pid:
			return ws, nil
		}
	}
}

// What shells return for a command that they cannot find, or cannot execute.
const (
	notFound      = 127
	cannotExecute = 126
)

// findCommand looks for name as a shell does, in the PATH of env, from dir.
func findCommand(name, dir string, env []string) (path string, code int, err error) {
	if strings.Contains(name, "/") {
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		code, err := executable(name)
		return name, code, err
	}
	list := "/usr/local/bin:/usr/bin:/bin"
	for _, e := range env {
		if p, ok := strings.CutPrefix(e, "PATH="); ok {
			list = p
		}
	}
	found := error(nil)
	for _, d := range filepath.SplitList(list) {
		if !filepath.IsAbs(d) {
			d = filepath.Join(dir, d)
		}
		p := filepath.Join(d, name)
		code, err := executable(p)
		if err == nil {
			return p, 0, nil
		}
		if code == cannotExecute && found == nil {
			found = err
		}
	}
	if found != nil {
		return "", cannotExecute, found
	}
	return "", notFound, fmt.Errorf("%s: not found in PATH %q", name, list)
}

func executable(path string) (code int, err error) {
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return notFound, fmt.Errorf("%s: not found in the sandbox", path)
	case err != nil:
		return cannotExecute, err
	case st.IsDir():
		return cannotExecute, fmt.Errorf("%s is a directory", path)
	case unix.Access(path, unix.X_OK) != nil:
		return cannotExecute, fmt.Errorf("%s: not executable", path)
	}
	return 0, nil
}
