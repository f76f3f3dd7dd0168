package sandbox

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// landlockVersion is the version of Landlock, 0 if the kernel has none.
func landlockVersion() int {
	v, _, e := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if e != 0 {
		return 0
	}
	return int(v)
}

// landlockScopes keeps the calling thread, and what it clones, from abstract unix
// sockets and from signals to processes outside. The namespaces do that too: it is
// a second wall, and kernels that do not have it do without. Rights to files are
// left alone, since a rule about any would forbid mounts, which nested sandboxes
// need.
func landlockScopes() error {
	if landlockVersion() < 6 {
		return nil
	}
	attr := unix.LandlockRulesetAttr{Scoped: unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL}
	fd, _, e := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr), 0)
	if e != 0 {
		return e
	}
	defer unix.Close(int(fd))
	if _, _, e := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0); e != 0 {
		return e
	}
	return nil
}
