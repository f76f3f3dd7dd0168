package sandbox

import "golang.org/x/sys/unix"

// native is the processor that the program was built for.
var native = machine{
	arch: unix.AUDIT_ARCH_AARCH64,
	x32:  false,
	absent: []uint32{
		unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER,
	},
	forbidden: []uint32{
		unix.SYS_KEYCTL, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY, unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD,
		unix.SYS_SETNS, unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_KEXEC_LOAD, unix.SYS_KEXEC_FILE_LOAD,
		unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE,
	},
	socket:     unix.SYS_SOCKET,
	socketpair: unix.SYS_SOCKETPAIR,
	ioctl:      unix.SYS_IOCTL,
	prlimit64:  unix.SYS_PRLIMIT64,
	setrlimit:  unix.SYS_SETRLIMIT,

	modes: map[uint32]uint32{
		unix.SYS_FCHMOD: 1, unix.SYS_FCHMODAT: 2, unix.SYS_FCHMODAT2: 2, unix.SYS_OPENAT: 3, unix.SYS_MKNODAT: 2,
	},
	openat2:    unix.SYS_OPENAT2,
	attributes: []uint32{unix.SYS_SETXATTR, unix.SYS_LSETXATTR, unix.SYS_FSETXATTR, unix.SYS_SETXATTRAT},
}
