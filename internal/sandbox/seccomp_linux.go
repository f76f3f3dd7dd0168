package sandbox

import (
	"maps"
	"slices"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// A machine is what a filter must know of a processor: the name of its table of
// system calls and the numbers in it.
type machine struct {
	arch uint32 // AUDIT_ARCH_*
	x32  bool   // the table has a second half, for 32-bit pointers

	absent    []uint32 // answered as if the kernel had none
	forbidden []uint32 // answered with EPERM

	socket, socketpair, ioctl, prlimit64, setrlimit uint32

	// What gives files rights, with the argument that holds their permissions.
	modes map[uint32]uint32
	// The same, but where the filter cannot see it.
	openat2    uint32
	attributes []uint32
}

// Where struct seccomp_data has what. Arguments are of 64 bits; of those that the
// kernel takes as int the low half counts, as it does there.
const (
	atNumber = 0
	atArch   = 4
	atArgs   = 16
)

// argument is the offset of the low half of argument i. Both machines that we know
// are little-endian.
func argument(i uint32) uint32 { return atArgs + 8*i }

// x32Bit marks numbers of the second half of the table.
const x32Bit = 0x40000000

const (
	protocolRaw = 255 // needs a capability that nobody inside has
	limitCore   = unix.RLIMIT_CORE
)

func refuse(e unix.Errno) bpf.Instruction {
	return bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | uint32(e)}
}

var allow = bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW}

// filter returns the filter of system calls for m. The wall is the namespaces: the
// list closes what they do not contain, and leaves clone, unshare and mount, which
// nested sandboxes need.
//
// rooted says that files which the command makes are root's on the machine. Then it
// may give none of them the rights of its owner: whoever starts such a file outside
// would be root.
func filter(m machine, rooted bool) []bpf.Instruction {
	p := []bpf.Instruction{
		bpf.LoadAbsolute{Off: atArch, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: m.arch, SkipTrue: 1},
		refuse(unix.ENOSYS), // the numbers mean something else there
		bpf.LoadAbsolute{Off: atNumber, Size: 4},
	}
	if m.x32 {
		p = append(p, bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: x32Bit, SkipFalse: 1}, refuse(unix.ENOSYS))
	}
	p = append(p, answer(m.absent, unix.ENOSYS)...)
	p = append(p, answer(m.forbidden, unix.EPERM)...)
	p = append(p, on(m.socket, sockets()...)...)
	p = append(p, on(m.socketpair,
		bpf.LoadAbsolute{Off: argument(0), Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.AF_UNIX, SkipTrue: 1},
		refuse(unix.EAFNOSUPPORT),
	)...)
	p = append(p, on(m.ioctl,
		bpf.LoadAbsolute{Off: argument(1), Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.TIOCSTI, SkipTrue: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.TIOCLINUX, SkipTrue: 1},
		refuse(unix.EPERM),
	)...)
	// Asked to change the limit of core files, the answer is that it is done. At 0
	// the kernel would start the host's handler; programs that ask for 0, to keep
	// their secrets out of files, get what they want.
	p = append(p, on(m.setrlimit,
		bpf.LoadAbsolute{Off: argument(0), Size: 4},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: limitCore, SkipTrue: 1},
		refuse(0),
	)...)
	p = append(p, on(m.prlimit64,
		bpf.LoadAbsolute{Off: argument(1), Size: 4},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: limitCore, SkipTrue: 5},
		bpf.LoadAbsolute{Off: argument(2), Size: 4}, // the new limit; it may be asked only
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0, SkipTrue: 2},
		bpf.LoadAbsolute{Off: argument(2) + 4, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: 1},
		refuse(0),
	)...)
	if rooted {
		p = append(p, noRights(m)...)
	}
	return append(p, allow)
}

// noRights refuses what would make a file that gives who starts it the rights of its
// user or group, or capabilities.
func noRights(m machine) []bpf.Instruction {
	p := answer(m.attributes, unix.ENOTSUP)
	p = append(p, answer([]uint32{m.openat2}, unix.ENOSYS)...) // the permissions stand in memory
	for _, nr := range slices.Sorted(maps.Keys(m.modes)) {
		p = append(p, on(nr,
			bpf.LoadAbsolute{Off: argument(m.modes[nr]), Size: 4},
			bpf.JumpIf{Cond: bpf.JumpBitsNotSet, Val: unix.S_ISUID | unix.S_ISGID, SkipTrue: 1},
			refuse(unix.EPERM),
		)...)
	}
	return p
}

// answer answers each of the calls with e.
func answer(calls []uint32, e unix.Errno) (p []bpf.Instruction) {
	for _, nr := range calls {
		p = append(p, bpf.JumpIf{Cond: bpf.JumpEqual, Val: nr, SkipFalse: 1}, refuse(e))
	}
	return p
}

// on does what is given for the call nr, and allows it after that. Other calls go
// on behind it, with their number loaded as before.
func on(nr uint32, do ...bpf.Instruction) []bpf.Instruction {
	p := []bpf.Instruction{bpf.JumpIf{Cond: bpf.JumpEqual, Val: nr, SkipFalse: uint8(len(do) + 1)}}
	return append(append(p, do...), allow)
}

// sockets allows the families and protocols that end at our listeners, and refuses
// all others: some, such as vsock, know no network namespaces.
func sockets() []bpf.Instruction {
	is := func(val uint32, skip uint8) bpf.Instruction {
		return bpf.JumpIf{Cond: bpf.JumpEqual, Val: val, SkipTrue: skip}
	}
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: argument(0), Size: 4},
		is(unix.AF_UNIX, 14),
		is(unix.AF_INET, 5),
		is(unix.AF_INET6, 4),
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.AF_NETLINK, SkipTrue: 2},
		bpf.LoadAbsolute{Off: argument(2), Size: 4},
		is(unix.NETLINK_ROUTE, 9),
		refuse(unix.EAFNOSUPPORT),
		bpf.LoadAbsolute{Off: argument(2), Size: 4}, // of INET, INET6
		is(0, 6),
		is(unix.IPPROTO_TCP, 5),
		is(unix.IPPROTO_UDP, 4),
		is(unix.IPPROTO_ICMP, 3),
		is(unix.IPPROTO_ICMPV6, 2),
		is(protocolRaw, 1),
		refuse(unix.EPROTONOSUPPORT), // MPTCP, SCTP, SMC and what more a kernel may load
	}
}

// install puts the filter on the calling thread, and on what it clones; on all
// threads of the process if all is true.
func install(p []bpf.Instruction, all bool) error {
	raw, err := bpf.Assemble(p)
	if err != nil {
		return err
	}
	filters := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		filters[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	prog := unix.SockFprog{Len: uint16(len(filters)), Filter: &filters[0]}
	flags := uintptr(0)
	if all {
		flags = unix.SECCOMP_FILTER_FLAG_TSYNC
	}
	if _, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&prog))); e != 0 {
		return e
	}
	return nil
}
