package sandbox

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"outvet/internal/sandbox/loopback"
)

// stageName is the name under which the program is started as stage 1.
const stageName = "outvet stage 1"

// controlFile is the descriptor of the control socket in stage 1.
const controlFile = 3

// failed is the status of a stage that could not do its work.
const failed = 125

// Hook turns the process into stage 1 if Run started it as that, and then does not
// return. Programs that call Run call it first in main.
func Hook() {
	if len(os.Args) == 2 && os.Args[0] == stageName {
		os.Exit(stage1(os.Args[1]))
	}
}

// A stage is what stage 1 knows.
type stage struct {
	link   *link
	orders *orders
	fault  string // the step that a test lets fail

	files       [3]uintptr // the standard files of the command
	controlling int        // the terminal that controls it, or -1
	master      int        // the other end, if we made it, or -1
}

// stage1 does what the package documentation says, and returns the status of the
// process. What went wrong is told over the control socket; if that is gone there
// is nobody to tell.
func stage1(fault string) int {
	runtime.LockOSThread() // capabilities, and what else is set below, belong to threads
	l, err := inheritLink(controlFile)
	if err != nil {
		fmt.Fprintln(os.Stderr, "outvet: this name is for outvet itself:", err)
		return failed
	}
	s := &stage{link: l, fault: fault}
	if err := s.run(); err != nil {
		_ = l.send(message{Word: wordFault, Fault: asFault(err)})
		return failed
	}
	return 0
}

// step does f and says where it went wrong.
func (s *stage) step(name string, f func() error) error {
	err := error(unix.EIO)
	if s.fault != name {
		err = f()
	}
	if err != nil {
		return at(name, err)
	}
	return nil
}

// run does all of it, until the command has ended.
func (s *stage) run() error {
	if err := s.step("process", s.process); err != nil {
		return err
	}
	// the kernel makes us wait for the rules; meanwhile the view is built
	network := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		network <- s.step("network", s.network)
	}()
	var trees map[string]*os.File
	if err := s.step("orders", func() (err error) { trees, err = s.receiveOrders(); return err }); err != nil {
		return err
	}
	v := &view{stage: s, orders: s.orders, trees: trees, changed: -1}
	err := v.make()
	if nerr := <-network; nerr != nil {
		return nerr // says more about the machine
	}
	if err != nil {
		return err
	}
	ready := message{Word: wordReady}
	var fds []int
	keep := func(name string, fd int) { ready.Names, fds = append(ready.Names, name), append(fds, fd) }
	if err := s.step("agent socket", func() error {
		fd, err := agentSocket()
		keep(nameAgent, fd)
		return err
	}); err != nil {
		return err
	}
	if v.changed >= 0 {
		keep(nameChanged, v.changed)
	}
	if err := s.step("terminal", func() error { return s.terminal(keep) }); err != nil {
		return err
	}
	r, err := s.runner()
	if err != nil {
		return err
	}
	if err := s.step("ready", func() error { return s.link.send(ready, fds...) }); err != nil {
		return err
	}
	for _, fd := range fds {
		unix.Close(fd)
	}
	if err := s.step("go", s.awaitGo); err != nil {
		return err
	}
	return s.command(r)
}

// process sets what holds for the process.
func (s *stage) process() error {
	// the command has the same user ID: without this it could look into us
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return err
	}
	// again, since the kernel forgets it where user IDs change
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return err
	}
	// 1 is the only limit at which the kernel starts no handler of core files
	limit := unix.Rlimit{Cur: 1, Max: 1}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &limit); err != nil {
		return err
	}
	return unix.CloseRange(controlFile, ^uint(0), unix.CLOSE_RANGE_CLOEXEC)
}

func (s *stage) network() error {
	sockets, err := loopback.Open()
	if err != nil {
		return err
	}
	return errors.Join(sockets.Send(s.link.conn), sockets.Close())
}

// receiveOrders returns the trees that come with the orders, by their names.
func (s *stage) receiveOrders() (map[string]*os.File, error) {
	m, files, err := s.link.receive()
	if err != nil {
		return nil, err
	}
	if m.Word != wordOrders || len(files) != 1+len(m.Names) {
		return nil, fmt.Errorf("unexpected word %q with %d descriptors", m.Word, len(files))
	}
	trees := map[string]*os.File{}
	for i, name := range m.Names {
		trees[name] = files[i+1]
	}
	defer files[0].Close()
	s.orders, err = readOrders(files[0])
	return trees, err
}

// terminal makes a terminal for the command if it is to have one of its own. It
// stands among the devices of the view, so that programs find it by its name. It
// controls our session, not one of the command's: when the leader of a session
// ends, the kernel throws away what was written and not yet read.
func (s *stage) terminal(keep func(string, int)) error {
	s.files, s.controlling, s.master = [3]uintptr{0, 1, 2}, -1, -1
	if !s.orders.Terminal {
		return nil
	}
	s.controlling = 0
	if slices.Contains(s.orders.Own[:], true) {
		if err := s.ownTerminal(keep); err != nil {
			return err
		}
	}
	return unix.IoctlSetInt(s.controlling, unix.TIOCSCTTY, 0)
}

func (s *stage) ownTerminal(keep func(string, int)) error {
	master, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	keep(nameTerminal, master)
	if s.master, err = unix.FcntlInt(uintptr(master), unix.F_DUPFD_CLOEXEC, 3); err != nil {
		return err
	}
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		return fmt.Errorf("unlock a terminal: %w", err)
	}
	slave, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(master), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if e != 0 {
		return fmt.Errorf("open a terminal: %w", e)
	}
	s.controlling = int(slave)
	for i, own := range s.orders.Own {
		if own {
			s.files[i] = slave
		}
	}
	return nil
}

// drain waits until what was written to the command's terminal is read, but not for
// a reader who does not read.
func (s *stage) drain() {
	if s.master < 0 {
		return
	}
	for waited := time.Duration(0); waited < 2*time.Second; waited += time.Millisecond {
		// asking makes the kernel hand over what is on its way
		p := []unix.PollFd{{Fd: int32(s.master), Events: unix.POLLIN}}
		if n, err := unix.Poll(p, 0); err == nil && (n == 0 || p[0].Revents&unix.POLLIN == 0) {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// awaitGo waits for the word. When the parent is gone there is none.
func (s *stage) awaitGo() error {
	m, files, err := s.link.receive()
	closeAll(files)
	if err != nil {
		return err
	}
	if m.Word != wordGo {
		return fmt.Errorf("unexpected word %q", m.Word)
	}
	return nil
}

// agentSocket makes the socket by which the command may ask outvet itself.
func agentSocket() (int, error) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: AgentSocket, Net: "unix"})
	if err != nil {
		return -1, err
	}
	defer l.Close()
	l.SetUnlinkOnClose(false)
	f, err := l.File()
	if err != nil {
		return -1, err
	}
	defer f.Close()
	return unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
}
