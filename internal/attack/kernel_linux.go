package attack

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// own runs f on a thread that ends with it: what f does to its thread, nobody gets.
func own(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		done <- f()
	}()
	return <-done
}

// kernel is a try that must end in an error.
func kernel(name, what, seen string, f func() error) Try {
	return Try{Name: name, Group: groupKernel, What: what, Seen: seen,
		do: func(context.Context, *Plan, Try) Said { return ended(own(f), seen) }}
}

func socket(family, kind, protocol int) error {
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, protocol)
	if err == nil {
		unix.Close(fd)
	}
	return err
}

func option(level, name, value int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.SetsockoptInt(fd, level, name, value)
}

// enter makes a system call by its number. A descriptor that it gives is closed.
func enter(nr uintptr, a ...uintptr) error {
	a = append(a, 0, 0, 0, 0, 0, 0)
	fd, _, errno := unix.RawSyscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
	if errno != 0 {
		return errno
	}
	if fd > 2 && fd < 1<<16 && nr != unix.SYS_KEYCTL {
		unix.Close(int(fd))
	}
	return nil
}

// page gives f the address of zeros that stay where they are.
func page(f func(p uintptr) error) error {
	b, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return err
	}
	defer unix.Munmap(b)
	return f(uintptr(unsafe.Pointer(&b[0])))
}

func kernelTries() []Try {
	attr := unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{})), Config: unix.PERF_COUNT_SW_CPU_CLOCK}
	return []Try{
		kernel("raw sockets", "make a socket that writes whole packets", "a socket is made", func() error {
			return anyOf(socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP), socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW), socket(unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6))
		}),
		kernel("packet sockets", "make a socket that sees and writes frames", "a socket is made", func() error {
			return anyOf(socket(unix.AF_PACKET, unix.SOCK_RAW, 0), socket(unix.AF_PACKET, unix.SOCK_DGRAM, 0))
		}),
		kernel("ping", "send a secret in a ping", "it is sent", ping),
		kernel("vsock", "make a socket to the machine below or above", "a socket is made", func() error { return socket(unix.AF_VSOCK, unix.SOCK_STREAM, 0) }),
		{Name: "socket families", Group: groupKernel, What: "make sockets of all other families: Bluetooth, CAN, crypto, TIPC, XDP …", Seen: "one is made", do: families},
		{Name: "netlink", Group: groupKernel, What: "speak with parts of the kernel other than routes", Seen: "a socket is made", do: netlinks},
		{Name: "other protocols", Group: groupKernel, What: "connect by SCTP, MPTCP, DCCP, UDP-Lite, L2TP, SMC", Seen: "a socket is made", do: protocols},
		{Name: "fast open", Group: groupKernel, What: "send something with the first packet of TCP", Seen: "the wire is touched", do: fastOpen},
		kernel("socket options", "choose another device, mark or address for packets", "an option is set", func() error {
			return anyOf(option(unix.SOL_IP, unix.IP_TRANSPARENT, 1), option(unix.SOL_SOCKET, unix.SO_MARK, 1), option(unix.SOL_IP, unix.IP_HDRINCL, 1))
		}),
		kernel("io_uring", "make calls by a ring that no filter sees", "a ring is made", func() error {
			return page(func(p uintptr) error { return enter(unix.SYS_IO_URING_SETUP, 8, p) })
		}),
		kernel("keyrings", "reach keys of the user", "a keyring is found", func() error {
			_, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_USER_KEYRING, false)
			return err
		}),
		kernel("bpf", "load a program into the kernel", "it answers", func() error {
			return page(func(p uintptr) error { return answers(enter(unix.SYS_BPF, 0, p, 64)) })
		}),
		kernel("perf", "watch the kernel", "it opens", func() error {
			fd, err := unix.PerfEventOpen(&attr, 0, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
			if err == nil {
				unix.Close(fd)
			}
			return err
		}),
		kernel("userfaultfd", "stop the kernel at a fault of memory", "it opens", func() error { return enter(unix.SYS_USERFAULTFD, 0) }),
		kernel("open by handle", "open files by numbers, past every mount", "it answers", func() error {
			return page(func(p uintptr) error { return answers(enter(unix.SYS_OPEN_BY_HANDLE_AT, ^uintptr(0), p, 0)) })
		}),
		kernel("modules", "load code into the kernel", "it answers", func() error {
			return page(func(p uintptr) error { return answers(enter(unix.SYS_FINIT_MODULE, ^uintptr(0), p, 0)) })
		}),
		kernel("mount", "mount over what hides something", "it is mounted", func() error {
			if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
				return unix.Mount("none", "/mnt", "tmpfs", 0, "size=4k")
			}
			// nobody else sees what a thread mounts in a namespace of its own
			if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
				return err
			}
			return unix.Mount("none", "/mnt", "tmpfs", 0, "size=4k")
		}),
		{Name: "nested namespaces", Group: groupKernel, What: "in namespaces of one's own: take down what hides the state and covers sockets, and look for a network", Seen: "what was read is what the files hold, or a wire is touched", do: nested},
		kernel("terminal input", "type into the terminal (TIOCSTI, TIOCLINUX)", "a letter was typed", typing),
	}
}

// anyOf is nil if one is.
func anyOf(errs ...error) error {
	for _, err := range errs {
		if err == nil {
			return nil
		}
	}
	return errs[0]
}

// answers takes an error that says what is wrong with the arguments for an answer.
func answers(err error) error {
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EACCES) {
		return err
	}
	return nil
}

func ping() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMP)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Sendto(fd, []byte("\x08\x00\x00\x00\x00\x00\x00\x01outvet"), 0, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
}

// fastOpen sends the mark by a call that never connects.
func fastOpen(_ context.Context, p *Plan, t Try) Said {
	s := none("this machine has no such address")
	for _, a := range append(outside(tcpOf)(p), wire(tcpOf, "loopback")(p)...) {
		to, err := netip.ParseAddrPort(a)
		if err != nil || !to.Addr().Is4() {
			continue
		}
		if err := sendOpen(to, p.mark(t.Name)); err != nil {
			s = closed(err)
		} else {
			return sent("taken")
		}
	}
	return s
}

func sendOpen(to netip.AddrPort, b []byte) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &unix.Timeval{Sec: 1}); err != nil {
		return err
	}
	return unix.Sendto(fd, b, unix.MSG_FASTOPEN, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()})
}

// plainFamilies are those that programs need; what they reach is tried elsewhere.
var plainFamilies = []int{unix.AF_UNIX, unix.AF_INET, unix.AF_INET6, unix.AF_NETLINK}

func families(context.Context, *Plan, Try) Said {
	var open []string
	for f := 1; f < 64; f++ {
		if slices.Contains(plainFamilies, f) || f == unix.AF_PACKET || f == unix.AF_VSOCK {
			continue
		}
		for _, kind := range []int{unix.SOCK_STREAM, unix.SOCK_DGRAM, unix.SOCK_RAW, unix.SOCK_SEQPACKET} {
			if socket(f, kind, 0) == nil {
				open = append(open, fmt.Sprint(f))
				break
			}
		}
	}
	if pair, err := unix.Socketpair(unix.AF_TIPC, unix.SOCK_STREAM, 0); err == nil {
		unix.Close(pair[0])
		unix.Close(pair[1])
		open = append(open, "a pair of TIPC")
	}
	if len(open) > 0 {
		return opened("family %s", strings.Join(open, ", "))
	}
	return closed(unix.EAFNOSUPPORT)
}

func netlinks(context.Context, *Plan, Try) Said {
	var open []string
	for p := 1; p < 32; p++ {
		if socket(unix.AF_NETLINK, unix.SOCK_RAW, p) == nil {
			open = append(open, fmt.Sprint(p))
		}
	}
	if len(open) > 0 {
		return opened("netlink %s", strings.Join(open, ", "))
	}
	return Said{Ended: Closed, Text: "none but routes"}
}

func protocols(context.Context, *Plan, Try) Said {
	for _, p := range []struct {
		name           string
		kind, protocol int
	}{{"SCTP", unix.SOCK_STREAM, unix.IPPROTO_SCTP}, {"MPTCP", unix.SOCK_STREAM, unix.IPPROTO_MPTCP}, {"SMC", unix.SOCK_STREAM, 256},
		{"DCCP", 6, unix.IPPROTO_DCCP}, {"UDP-Lite", unix.SOCK_DGRAM, unix.IPPROTO_UDPLITE}, {"L2TP", unix.SOCK_DGRAM, 115}} {
		if socket(unix.AF_INET, p.kind, p.protocol) == nil {
			return opened("a socket of %s", p.name)
		}
	}
	return closed(unix.EPROTONOSUPPORT)
}

// typing types into a terminal of its own: no one's is disturbed.
func typing() error {
	master, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(master)
	n, err := unix.IoctlGetInt(master, unix.TIOCGPTN)
	if err != nil {
		return err
	}
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		return err
	}
	slave, err := unix.Open(fmt.Sprintf("/dev/pts/%d", n), unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(slave)
	return page(func(letter uintptr) error {
		const type64 = unix.TIOCSTI | 1<<32 // the kernel looks at the lower half only
		return anyOf(enter(unix.SYS_IOCTL, uintptr(slave), unix.TIOCSTI, letter), enter(unix.SYS_IOCTL, uintptr(slave), type64, letter))
	})
}

func processTries() []Try {
	process := func(name, what, seen string, f func(p *Plan) error) Try {
		return Try{Name: name, Group: groupSockets, What: what, Seen: seen,
			do: func(_ context.Context, p *Plan, _ Try) Said { return ended(own(func() error { return f(p) }), seen) }}
	}
	on := func(f func(pid int) error) func(*Plan) error {
		return func(p *Plan) error { return anyOf(f(1), f(p.Pid)) }
	}
	return []Try{
		process("ptrace", "take over process 1, and outvet itself", "it lets itself be traced", on(func(pid int) error {
			return enter(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(pid), 0, 0) // nothing stops by it; it ends with the thread
		})),
		process("signals", "signal process 1, and outvet itself", "it may be signalled", func(p *Plan) error { return unix.Kill(p.Pid, 0) }),
		process("descriptors of others", "take a file out of process 1, and out of outvet", "a descriptor is got", on(func(pid int) error {
			fd, err := unix.PidfdOpen(pid, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			got, err := unix.PidfdGetfd(fd, 0, 0)
			if err == nil {
				unix.Close(got)
			}
			return err
		})),
		process("memory of others", "read the memory of process 1, and of outvet", "it opens", on(func(pid int) error {
			f, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
			if err == nil {
				f.Close()
			}
			return errors.Unwrap(err)
		})),
		process("roots of others", "see the files of this machine by /proc/PID/root", "a folder is listed", on(func(pid int) error {
			_, err := os.ReadDir(fmt.Sprintf("/proc/%d/root/", pid))
			return errors.Unwrap(err)
		})),
		process("namespaces of others", "enter the network of process 1, and of outvet", "it is entered", on(func(pid int) error {
			fd, err := unix.Open(fmt.Sprintf("/proc/%d/ns/net", pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				if fd, err = unix.PidfdOpen(pid, 0); err != nil {
					return err
				}
			}
			defer unix.Close(fd)
			return unix.Setns(fd, unix.CLONE_NEWNET)
		})),
	}
}

// myself is a command of this program again, in another part of the attack.
func myself(part string, args ...string) *exec.Cmd {
	return exec.Command("/proc/self/exe", append([]string{"attack", part}, args...)...)
}

// nested starts this program in namespaces of its own, where it has all capabilities
// over what is below.
func nested(_ context.Context, p *Plan, t Try) Said {
	cmd := myself("nested", append([]string{string(p.mark(t.Name)), p.Unix["workspace"], p.Unix["tmp"], p.Unix["home"], p.Unix["run"]}, append(slices.Clone(p.State), p.Hidden...)...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}, GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	stop := time.AfterFunc(2*tryTime, func() { _ = cmd.Process.Kill() })
	defer stop.Stop()
	out, err := cmd.Output()
	if err != nil {
		return closed(err)
	}
	s := Said{Ended: Closed, Text: "nothing hidden was found, and no network", Proofs: map[string]string{}}
	for line := range strings.Lines(string(out)) {
		path, sum, ok := strings.Cut(strings.TrimSpace(line), "\t")
		switch {
		case path == "network":
			return opened("a network: %s", sum)
		case ok:
			s.Ended, s.Proofs[path] = Sent, sum
		}
	}
	return s
}

// Nested is the part of the attack that runs in namespaces of its own: it takes away
// the mounts over each path of its arguments and prints digests of what it reads. To
// what is a socket it says the first argument.
func Nested(args ...string) {
	if len(args) == 0 {
		return
	}
	mark, paths := []byte(args[0]), args[1:]
	for _, p := range paths {
		for dir := p; len(dir) > 1; dir = dir[:max(1, strings.LastIndexByte(dir, '/'))] {
			_ = unix.Unmount(dir, unix.MNT_DETACH)
		}
		if st, err := os.Stat(p); err == nil && st.Mode()&os.ModeSocket != 0 {
			_ = say(context.Background(), "unix", p, mark)
		} else if b, err := os.ReadFile(p); err == nil && len(b) > 0 {
			fmt.Printf("%s\t%s\n", p, digest(b))
		}
	}
	for _, dir := range []string{"/", "/home", "/root", "/var", "/run"} {
		if unix.Mount(dir, "/mnt", "", unix.MS_BIND, "") != nil {
			continue
		}
		for _, p := range paths {
			rest, ok := strings.CutPrefix(p, strings.TrimSuffix(dir, "/")+"/")
			if !ok {
				continue
			}
			if st, err := os.Stat("/mnt/" + rest); err == nil && st.Mode()&os.ModeSocket != 0 {
				_ = say(context.Background(), "unix", "/mnt/"+rest, mark)
			} else if b, err := os.ReadFile("/mnt/" + rest); err == nil && len(b) > 0 {
				fmt.Printf("%s\t%s\n", p, digest(b))
			}
		}
		_ = unix.Unmount("/mnt", unix.MNT_DETACH)
	}
	if fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0); err == nil {
		if unix.Sendto(fd, []byte("x"), 0, &unix.SockaddrInet4{Port: 9, Addr: [4]byte{1, 1, 1, 1}}) == nil {
			fmt.Println("network\ta packet was sent")
		}
	}
}

// lingering is how long a grandchild stays, so that none stays for ever.
const lingering = 4 * time.Second

// grandchild leaves a program behind, in a session of its own.
func grandchild(_ context.Context, p *Plan, _ Try) Said {
	cmd := myself("linger", p.heartbeat())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return closed(err)
	}
	for range 50 {
		if _, err := os.Stat(p.heartbeat()); err == nil {
			return sent("it ended with the command")
		}
		time.Sleep(20 * time.Millisecond)
	}
	return Said{Ended: Closed, Text: "it could not start"}
}

// Linger is the grandchild: it shows that it lives by a file that grows.
func Linger(path string) {
	for end := time.Now().Add(lingering); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
		if err != nil {
			return
		}
		_, _ = f.WriteString(".")
		f.Close()
	}
}
