package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"outvet/internal/sandbox/loopback"
)

// A Sandbox is one command with all that holds it.
type Sandbox struct {
	// Sockets are where its connections and queries come in. They are the
	// caller's to serve and close.
	Sockets *loopback.Sockets
	// Agent is where it asks outvet itself, at AgentSocket. The caller's too.
	Agent *net.UnixListener
	// Terminal is our end of the command's terminal, nil if it has none of its own.
	// The caller's too; what it gives ends with an error when the command has ended
	// and all is read.
	Terminal *os.File

	config  Config
	user    user
	process *process
	link    *link
	before  map[string]*walked // the directories that are the real ones, as they were
	changed *os.File           // what a review collected
	copies  *copies

	ended chan struct{}
	once  sync.Once
	exit  Exit
	err   error
}

// patience is how long the set-up may take. It takes a thousandth of that.
const patience = 30 * time.Second

// Run makes a sandbox for the command of c, in which everything stands and the
// command waits for Go. When ctx ends, so does the sandbox. An error is a *Refusal
// where this machine, or what c asks for, does not allow a seal; nothing was
// started then.
func Run(ctx context.Context, c Config) (*Sandbox, error) {
	c, err := c.settled()
	if err != nil {
		return nil, err
	}
	if git := repository(c.Workspace); git != "" && !slices.ContainsFunc(c.Live, func(p string) bool { return within(git, p) }) {
		c.Live = append(c.Live, git)
	}
	u, err := chooseUser(c.User)
	if err != nil {
		return nil, err
	}
	if err := checkWorkspace(c); err != nil {
		return nil, err
	}
	s := &Sandbox{config: c, user: u, ended: make(chan struct{})}
	if err := s.begin(ctx); err != nil {
		s.end()
		return nil, explain(err, c, u)
	}
	return s, nil
}

// begin starts stage 1 and brings it to the point where the command could start.
func (s *Sandbox) begin(ctx context.Context) error {
	l, theirs, err := newLink()
	if err != nil {
		return err
	}
	s.link = l
	files, copies, err := standardFiles(s.config)
	s.copies = copies
	if err != nil {
		theirs.Close()
		return err
	}
	s.process, err = startProcess(s.user, theirs, files, s.config.fault)
	theirs.Close()
	copies.started()
	if err != nil {
		return err
	}
	l.conn.SetDeadline(time.Now().Add(patience))
	stop := context.AfterFunc(ctx, s.Kill)
	if err := s.prepare(); err != nil {
		stop()
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	l.conn.SetDeadline(time.Time{})
	return nil
}

// gone returns what stage 1 said before it ended, nil if it did not: it has no
// place in /proc any more, which is not the reason but what came of it.
func (s *Sandbox) gone() error {
	s.link.conn.SetReadDeadline(time.Now().Add(time.Second))
	defer s.link.conn.SetReadDeadline(time.Now().Add(patience))
	if is, err := s.link.isFault(); err != nil || !is {
		return nil
	}
	m, files, err := s.link.receive()
	closeAll(files)
	if err != nil || m.Fault == nil {
		return nil
	}
	return m.Fault
}

// prepare speaks with stage 1 until it is ready.
func (s *Sandbox) prepare() error {
	if s.config.Prepare != nil {
		if err := s.config.Prepare(&s.config); err != nil {
			return err
		}
	}
	orders, trees, err := s.orders()
	defer closeTrees(trees)
	if errors.Is(err, fs.ErrNotExist) {
		if f := s.gone(); f != nil {
			return f
		}
	}
	if err != nil {
		return err
	}
	if err := s.send(orders, trees); err != nil && !errors.Is(err, unix.EPIPE) {
		return err // else the reason waits to be read
	}
	isFault, err := s.link.isFault()
	if err != nil {
		return err
	}
	if !isFault {
		if s.Sockets, err = loopback.Receive(s.link.conn); err != nil {
			return err
		}
	}
	m, files, err := s.link.receive()
	if err != nil {
		return err
	}
	defer func() { closeAll(files) }()
	if m.Fault != nil {
		return m.Fault
	}
	if m.Word != wordReady || len(files) != len(m.Names) {
		return fmt.Errorf("sandbox: unexpected word %q with %d descriptors", m.Word, len(files))
	}
	for i, name := range m.Names {
		switch name {
		case nameAgent:
			agent, err := net.FileListener(files[i])
			if err != nil {
				return fmt.Errorf("sandbox: agent socket: %w", err)
			}
			s.Agent = agent.(*net.UnixListener)
			s.Agent.SetUnlinkOnClose(false)
		case nameChanged:
			s.changed, files[i] = files[i], nil
		case nameTerminal:
			s.Terminal, files[i] = files[i], nil
		}
	}
	return nil
}

func (s *Sandbox) send(o *orders, trees []tree) error {
	f, err := o.file()
	if err != nil {
		return err
	}
	defer f.Close()
	m, fds := message{Word: wordOrders}, []int{int(f.Fd())}
	for _, t := range trees {
		m.Names = append(m.Names, t.name)
		fds = append(fds, int(t.file.Fd()))
	}
	return s.link.send(m, fds...)
}

// Probe tells whether c could be run here, by doing all of it but the command.
func Probe(ctx context.Context, c Config) error {
	s, err := Run(ctx, c)
	if err != nil {
		return err
	}
	return s.Close()
}

// Grade returns the grade for the records of this session.
func (s *Sandbox) Grade() string { return s.config.Files.Grade() }

// Pid returns the number of stage 1 as the machine knows it: all processes of the
// command descend from it.
func (s *Sandbox) Pid() int { return s.process.pid }

// User returns the user and group ID that the command has for the kernel.
func (s *Sandbox) User() (uid, gid int) { return s.user.uid, s.user.gid }

// Go lets the command start. Its caller serves the sockets by then.
func (s *Sandbox) Go() error {
	err := s.link.send(message{Word: wordGo})
	go s.watch()
	if err == nil {
		return nil
	}
	if _, reason := s.Wait(); reason != nil {
		err = reason
	}
	return err
}

// watch waits for the end.
func (s *Sandbox) watch() {
	defer close(s.ended)
	m, files, err := s.link.receive()
	closeAll(files)
	if err == nil && m.Word == wordEnded {
		s.copies.wait() // stage 1 has no end of them: nothing of the command lives
		s.exit = Exit{m.Code, syscall.Signal(m.Signal), m.Text}
		return
	}
	status := s.process.wait()
	switch {
	case err == nil && m.Fault != nil:
		s.err = explain(m.Fault, s.config, s.user)
	case status.Signaled():
		s.exit = Exit{128 + int(status.Signal()), status.Signal(), "the sandbox was ended"}
	case err != nil && !errors.Is(err, io.EOF):
		s.err = err
	default:
		s.err = fmt.Errorf("sandbox: stage 1 ended with status %d and said nothing", status.ExitStatus())
	}
}

// Wait waits until the command, and all that it started, has ended. An error says
// that it was not the command that failed.
func (s *Sandbox) Wait() (Exit, error) {
	<-s.ended
	return s.exit, s.err
}

// Signal sends sig to the command. Signals other than the usual ones of terminals
// and managers end the sandbox.
func (s *Sandbox) Signal(sig syscall.Signal) error { return s.process.signal(sig) }

// Kill ends the command and everything that it started.
func (s *Sandbox) Kill() {
	if s.process != nil {
		_ = s.process.signal(unix.SIGKILL)
	}
}

// Close ends what is left and closes what the caller did not take. It does not wait
// for the kernel to take the mounts down where the command has ended by itself.
func (s *Sandbox) Close() error {
	s.end()
	return nil
}

func (s *Sandbox) end() {
	s.once.Do(func() {
		s.Kill()
		if s.process != nil && !s.over() {
			s.process.wait()
		}
		if s.link != nil {
			s.link.conn.Close()
		}
		if s.Sockets != nil {
			s.Sockets.Close()
		}
		if s.Agent != nil {
			s.Agent.Close()
		}
		for _, f := range []*os.File{s.changed, s.Terminal} {
			if f != nil {
				f.Close()
			}
		}
		s.copies.close()
	})
}

// over reports whether the end of the command was told.
func (s *Sandbox) over() bool {
	select {
	case <-s.ended:
		return s.err == nil
	default:
		return false
	}
}

// A process is stage 1, seen from outside. The thread that started it belongs to
// it: with the thread the process would die.
type process struct {
	pid    int
	ended  chan struct{}
	status syscall.WaitStatus
}

// startProcess starts the program again as stage 1.
func startProcess(u user, control *os.File, files [3]*os.File, fault string) (*process, error) {
	p := &process{ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocks it: it has given up its groups
		err := u.leaveGroups()
		if err == nil {
			p.pid, err = syscall.ForkExec("/proc/self/exe", []string{stageName, fault}, &syscall.ProcAttr{
				Dir:   "/",
				Env:   []string{}, // the orders have what the command gets
				Files: []uintptr{files[0].Fd(), files[1].Fd(), files[2].Fd(), control.Fd()},
				Sys:   u.attributes(),
			})
		}
		started <- err
		if err != nil {
			return
		}
		defer close(p.ended)
		for {
			var ws syscall.WaitStatus
			_, err := syscall.Wait4(p.pid, &ws, 0, nil)
			if err == syscall.EINTR {
				continue
			}
			p.status = ws
			return
		}
	}()
	if err := <-started; err != nil {
		return nil, at("clone", err)
	}
	return p, nil
}

func (p *process) wait() syscall.WaitStatus {
	<-p.ended
	return p.status
}

// signal sends sig. To a process that has ended it sends none: the number may be
// another's by now.
func (p *process) signal(sig syscall.Signal) error {
	select {
	case <-p.ended:
		return os.ErrProcessDone
	default:
		return unix.Kill(p.pid, sig)
	}
}
