package sandbox

import (
	"fmt"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// mask takes a feature of the kernel from this process and its children, as an old
// or a guarded kernel would.
func mask(feature string) error {
	deny := func(nr uint32, e unix.Errno) []bpf.Instruction {
		return []bpf.Instruction{bpf.JumpIf{Cond: bpf.JumpEqual, Val: nr, SkipFalse: 1}, refuse(e)}
	}
	var p []bpf.Instruction
	switch feature {
	case "":
		return nil
	case "user namespaces", "user namespaces: too many":
		e := unix.EPERM
		if feature != "user namespaces" {
			e = unix.ENOSPC
		}
		p = []bpf.Instruction{bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.SYS_CLONE, SkipFalse: 3},
			bpf.LoadAbsolute{Off: argument(0), Size: 4},
			bpf.JumpIf{Cond: bpf.JumpBitsNotSet, Val: unix.CLONE_NEWUSER, SkipTrue: 1},
			refuse(e)}
	case "netfilter":
		p = []bpf.Instruction{bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.SYS_SOCKET, SkipFalse: 5},
			bpf.LoadAbsolute{Off: argument(0), Size: 4},
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.AF_NETLINK, SkipTrue: 3},
			bpf.LoadAbsolute{Off: argument(2), Size: 4},
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.NETLINK_NETFILTER, SkipTrue: 1},
			refuse(unix.EAFNOSUPPORT)}
	case "mount":
		p = deny(unix.SYS_MOUNT, unix.EPERM)
	case "seccomp":
		p = deny(unix.SYS_SECCOMP, unix.ENOSYS)
	case "pivot_root":
		p = deny(unix.SYS_PIVOT_ROOT, unix.EPERM)
	case "idmap":
		p = deny(unix.SYS_MOUNT_SETATTR, unix.EINVAL)
	case "landlock":
		p = deny(unix.SYS_LANDLOCK_CREATE_RULESET, unix.ENOSYS)
	default:
		return fmt.Errorf("no feature %q", feature)
	}
	p = append([]bpf.Instruction{bpf.LoadAbsolute{Off: atNumber, Size: 4}}, append(p, allow)...)
	return install(p, true)
}
