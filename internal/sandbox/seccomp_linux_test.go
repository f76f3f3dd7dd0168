package sandbox

import (
	"encoding/binary"
	"os"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// judge runs the filter of m on a system call, and returns what the kernel would do.
func judge(t *testing.T, m machine, arch, nr uint32, args ...uint64) uint32 {
	t.Helper()
	return judgeAs(t, m, false, arch, nr, args...)
}

func judgeAs(t *testing.T, m machine, rooted bool, arch, nr uint32, args ...uint64) uint32 {
	t.Helper()
	vm, err := bpf.NewVM(filter(m, rooted))
	if err != nil {
		t.Fatal(err)
	}
	// the VM reads in the order of the network, the kernel in that of the processor
	b := make([]byte, 64)
	binary.BigEndian.PutUint32(b[atNumber:], nr)
	binary.BigEndian.PutUint32(b[atArch:], arch)
	for i, a := range args {
		binary.BigEndian.PutUint32(b[atArgs+8*i:], uint32(a))
		binary.BigEndian.PutUint32(b[atArgs+8*i+4:], uint32(a>>32))
	}
	n, err := vm.Run(b)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(n)
}

// foreign is a machine whose numbers are unlike the native ones, so that no test
// passes by a number that happens to be right.
var foreign = machine{
	arch: unix.AUDIT_ARCH_AARCH64, absent: []uint32{425, 426}, forbidden: []uint32{217, 218, 219},
	socket: 198, socketpair: 199, ioctl: 29, prlimit64: 261, setrlimit: 164,
	modes: map[uint32]uint32{52: 1, 53: 2, 56: 3}, openat2: 437, attributes: []uint32{5, 6, 7},
}

const (
	answerAllow = unix.SECCOMP_RET_ALLOW
	answerDone  = unix.SECCOMP_RET_ERRNO
)

func answerOf(e unix.Errno) uint32 { return unix.SECCOMP_RET_ERRNO | uint32(e) }

func TestTheFilterAnswersSystemCalls(t *testing.T) {
	for _, m := range []machine{native, foreign} {
		for _, c := range []struct {
			what string
			nr   uint32
			args []uint64
			want uint32
		}{
			{"a plain call", 3, nil, answerAllow},
			{"io_uring", m.absent[0], nil, answerOf(unix.ENOSYS)},
			{"the last absent one", m.absent[len(m.absent)-1], nil, answerOf(unix.ENOSYS)},
			{"keyrings", m.forbidden[0], nil, answerOf(unix.EPERM)},
			{"the last forbidden one", m.forbidden[len(m.forbidden)-1], nil, answerOf(unix.EPERM)},
			{"socket unix", m.socket, []uint64{unix.AF_UNIX, unix.SOCK_STREAM, 0}, answerAllow},
			{"socket unix with a protocol", m.socket, []uint64{unix.AF_UNIX, unix.SOCK_STREAM, 1}, answerAllow},
			{"tcp", m.socket, []uint64{unix.AF_INET, unix.SOCK_STREAM, 0}, answerAllow},
			{"tcp by name", m.socket, []uint64{unix.AF_INET6, unix.SOCK_STREAM, unix.IPPROTO_TCP}, answerAllow},
			{"udp", m.socket, []uint64{unix.AF_INET6, unix.SOCK_DGRAM, unix.IPPROTO_UDP}, answerAllow},
			{"mptcp", m.socket, []uint64{unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP}, answerOf(unix.EPROTONOSUPPORT)},
			{"sctp v6", m.socket, []uint64{unix.AF_INET6, unix.SOCK_STREAM, unix.IPPROTO_SCTP}, answerOf(unix.EPROTONOSUPPORT)},
			{"smc", m.socket, []uint64{unix.AF_INET, unix.SOCK_STREAM, 256}, answerOf(unix.EPROTONOSUPPORT)},
			{"vsock", m.socket, []uint64{unix.AF_VSOCK, unix.SOCK_STREAM, 0}, answerOf(unix.EAFNOSUPPORT)},
			{"vsock with a high half", m.socket, []uint64{1<<32 | unix.AF_VSOCK, unix.SOCK_STREAM, 0}, answerOf(unix.EAFNOSUPPORT)},
			{"unspecified family", m.socket, []uint64{0, unix.SOCK_STREAM, 0}, answerOf(unix.EAFNOSUPPORT)},
			{"a family beyond all", m.socket, []uint64{0xffffffff, 0, 0}, answerOf(unix.EAFNOSUPPORT)},
			{"netlink route", m.socket, []uint64{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE}, answerAllow},
			{"netlink netfilter", m.socket, []uint64{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER}, answerOf(unix.EAFNOSUPPORT)},
			{"netlink route with a high half", m.socket, []uint64{unix.AF_NETLINK, unix.SOCK_RAW, 1 << 32}, answerAllow},
			{"pair unix", m.socketpair, []uint64{unix.AF_UNIX, 1, 0}, answerAllow},
			{"pair tipc", m.socketpair, []uint64{unix.AF_TIPC, 1, 0}, answerOf(unix.EAFNOSUPPORT)},
			{"TIOCSTI", m.ioctl, []uint64{0, unix.TIOCSTI}, answerOf(unix.EPERM)},
			{"TIOCSTI with a high half", m.ioctl, []uint64{0, 7<<32 | unix.TIOCSTI}, answerOf(unix.EPERM)},
			{"TIOCLINUX", m.ioctl, []uint64{0, unix.TIOCLINUX}, answerOf(unix.EPERM)},
			{"size of the window", m.ioctl, []uint64{0, unix.TIOCGWINSZ}, answerAllow},
			{"set limit of cores", m.setrlimit, []uint64{unix.RLIMIT_CORE, 1}, answerDone},
			{"set limit of files", m.setrlimit, []uint64{unix.RLIMIT_NOFILE, 1}, answerAllow},
			{"prlimit of cores", m.prlimit64, []uint64{0, unix.RLIMIT_CORE, 0x7fff00001000, 0}, answerDone},
			{"prlimit of cores, low half zero", m.prlimit64, []uint64{0, unix.RLIMIT_CORE, 0x7fff00000000, 0}, answerDone},
			{"prlimit of cores, asked", m.prlimit64, []uint64{0, unix.RLIMIT_CORE, 0, 0x7fff00001000}, answerAllow},
			{"prlimit of files", m.prlimit64, []uint64{0, unix.RLIMIT_NOFILE, 0x7fff00001000, 0}, answerAllow},
		} {
			if got := judge(t, m, m.arch, c.nr, c.args...); got != c.want {
				t.Errorf("arch %#x: %s: %#x, want %#x", m.arch, c.what, got, c.want)
			}
		}
		for _, arch := range []uint32{0, unix.AUDIT_ARCH_I386, unix.AUDIT_ARCH_ARM, unix.AUDIT_ARCH_RISCV64} {
			if got := judge(t, m, arch, 3); got != answerOf(unix.ENOSYS) {
				t.Errorf("arch %#x is answered %#x by the filter of %#x", arch, got, m.arch)
			}
		}
	}
	wide := native
	wide.x32 = true
	for _, nr := range []uint32{x32Bit, x32Bit | 41, 0xffffffff} {
		if got := judge(t, wide, wide.arch, nr); got != answerOf(unix.ENOSYS) {
			t.Errorf("call %#x is answered %#x", nr, got)
		}
	}
}

func TestFilesOfRootGetNoRights(t *testing.T) {
	for _, m := range []machine{native, foreign} {
		for nr, arg := range m.modes {
			for mode, refused := range map[uint64]bool{0o755: false, 0o1777: false, 0o4755: true, 0o2755: true, 0o6000: true, 1<<40 | 0o644: false, 1<<40 | 0o4644: true} {
				args := make([]uint64, 6)
				args[arg] = mode
				if got := judgeAs(t, m, true, m.arch, nr, args...); (got == answerOf(unix.EPERM)) != refused || !refused && got != answerAllow {
					t.Errorf("call %d with permissions %o: %#x", nr, mode, got)
				}
				if got := judgeAs(t, m, false, m.arch, nr, args...); got != answerAllow {
					t.Errorf("call %d with permissions %o, files not root's: %#x", nr, mode, got)
				}
			}
		}
		if got := judgeAs(t, m, true, m.arch, m.openat2); got != answerOf(unix.ENOSYS) {
			t.Errorf("openat2: %#x", got)
		}
		for _, nr := range m.attributes {
			if got := judgeAs(t, m, true, m.arch, nr); got != answerOf(unix.ENOTSUP) {
				t.Errorf("call %d: %#x", nr, got)
			}
		}
	}
}

// TestRootsWorkspaceGetsNoFileWithRights tries to leave behind a file that makes
// root of whoever starts it.
func TestRootsWorkspaceGetsNoFileWithRights(t *testing.T) {
	w := callers[0]
	p := newPlace(t, w)
	l := run(t, w, p.config(w, "/usr/bin/python3", "-c", `
import os, shutil, stat, subprocess
def t(f):
    try: f()
    except Exception as e: print(type(e).__name__, e)
shutil.copy('/bin/sh', 'sh')
t(lambda: os.chmod('sh', 0o4755))
t(lambda: os.chmod('sh', 0o2755))
t(lambda: os.close(os.open('made', os.O_CREAT | os.O_WRONLY, 0o4755)))
t(lambda: os.mknod('node', 0o4755))
t(lambda: os.setxattr('sh', 'security.capability', bytes.fromhex('0100000302000000000000000000000000000000') + bytes(4)))
subprocess.run(['unshare', '-Ur', 'sh', '-c', 'chmod 4755 sh; setcap cap_sys_admin+ep sh; chmod u+s sh; cp -p /usr/bin/su su; install -m 4755 /bin/sh inst'])
subprocess.run(['unshare', '-Ur', '/usr/bin/python3', '-c', "import os; os.setxattr('sh', 'security.capability', bytes.fromhex('01000002ffffffff00000000ffffffff00000000'))"])
`))
	if l.code != 0 {
		t.Fatalf("%s", l)
	}
	all, err := os.ReadDir(p.workspace)
	if err != nil || len(all) == 0 {
		t.Fatal(all, err)
	}
	for _, e := range all {
		var st unix.Stat_t
		f := p.workspace + "/" + e.Name()
		if err := unix.Stat(f, &st); err != nil {
			t.Fatal(err)
		}
		if st.Mode&(unix.S_ISUID|unix.S_ISGID) != 0 {
			t.Errorf("%s has the mode %o and belongs to %d", e.Name(), st.Mode, st.Uid)
		}
		if n, err := unix.Getxattr(f, "security.capability", make([]byte, 64)); err == nil {
			t.Errorf("%s has capabilities (%d bytes)", e.Name(), n)
		}
	}
}

// FuzzFilter holds the filter to its two promises for whatever call: only the known
// families get sockets, and no other table of calls is open.
func FuzzFilter(f *testing.F) {
	f.Add(uint32(unix.AUDIT_ARCH_AARCH64), uint32(198), uint64(2), uint64(1), uint64(262))
	f.Fuzz(func(t *testing.T, arch, nr uint32, a, b, c uint64) {
		got := judge(t, foreign, arch, nr, a, b, c)
		if got != answerAllow && got>>16 != unix.SECCOMP_RET_ERRNO>>16 {
			t.Fatalf("%#x is no answer that we give", got)
		}
		if arch != foreign.arch && got == answerAllow {
			t.Fatalf("a call of arch %#x is allowed", arch)
		}
		if got != answerAllow {
			return
		}
		family, protocol := uint32(a), uint32(c)
		switch nr {
		case foreign.socketpair:
			if family != unix.AF_UNIX {
				t.Fatalf("a pair of family %d", family)
			}
		case foreign.socket:
			inet := family == unix.AF_INET || family == unix.AF_INET6
			if !inet && family != unix.AF_UNIX && (family != unix.AF_NETLINK || protocol != 0) || inet && protocol == unix.IPPROTO_MPTCP {
				t.Fatalf("a socket of family %d, protocol %d", family, protocol)
			}
		case foreign.ioctl:
			if uint32(b) == unix.TIOCSTI || uint32(b) == unix.TIOCLINUX {
				t.Fatalf("ioctl %#x", b)
			}
		}
	})
}
