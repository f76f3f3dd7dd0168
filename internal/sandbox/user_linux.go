package sandbox

import (
	"fmt"
	"os"
	osuser "os/user"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// nobody is who a command of root is if nobody else is known.
const nobody = 65534

// A user is who the command is for the kernel. caller is who calls.
type user struct {
	uid, gid int
	caller   int
}

// chooseUser returns who the command will be. The kernel lets user 0 write to
// parts of /proc and /sys without any capability; so that one is never it.
func chooseUser(name string) (user, error) {
	u := user{os.Getuid(), os.Getgid(), os.Getuid()}
	if u.caller != 0 {
		if name != "" {
			if want, err := lookUp(name); err != nil || want.uid != u.uid {
				return u, &Refusal{What: fmt.Sprintf("only root can run a command as %q", name), Cause: fmt.Sprintf("outvet runs as user %d", u.uid), Cure: "leave --user out"}
			}
		}
		return u, nil
	}
	u.uid, u.gid = nobody, nobody
	if name == "" {
		uid, err1 := strconv.Atoi(os.Getenv("SUDO_UID"))
		gid, err2 := strconv.Atoi(os.Getenv("SUDO_GID"))
		if err1 == nil && err2 == nil && uid > 0 && gid > 0 {
			u.uid, u.gid = uid, gid
		}
		return u, nil
	}
	want, err := lookUp(name)
	if err != nil {
		return u, err
	}
	if want.uid == 0 || want.gid == 0 {
		return u, &Refusal{
			What: "root cannot be sandboxed as root", Cause: "the kernel lets user 0 write to /proc/sys without any capability",
			Cure: "run as another user: --user NAME",
		}
	}
	u.uid, u.gid = want.uid, want.gid
	return u, nil
}

// lookUp returns the user of a name or number.
func lookUp(name string) (user, error) {
	found, err := osuser.Lookup(name)
	if err != nil {
		if n, nerr := strconv.Atoi(name); nerr == nil && n >= 0 {
			if found, err = osuser.LookupId(name); err != nil {
				return user{uid: n, gid: n}, nil // a number needs no name
			}
		}
	}
	if err != nil {
		return user{}, fmt.Errorf("sandbox: user %q: %w", name, err)
	}
	uid, err := strconv.Atoi(found.Uid)
	if err != nil {
		return user{}, fmt.Errorf("sandbox: user %q: %w", name, err)
	}
	gid, err := strconv.Atoi(found.Gid)
	return user{uid: uid, gid: gid}, err
}

// privileged reports whether the command is another user than the caller, who is
// root.
func (u user) privileged() bool { return u.caller == 0 }

// leaveGroups gives up the groups of root in the calling thread alone, which is
// never used for anything else.
func (u user) leaveGroups() error {
	if !u.privileged() {
		return nil
	}
	if _, _, e := unix.RawSyscall(unix.SYS_SETGROUPS, 0, 0, 0); e != 0 {
		return fmt.Errorf("give up groups: %w", e)
	}
	return nil
}

// attributes are those of stage 1: all namespaces new, the user mapped to 0.
func (u user) attributes() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID |
			syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS | syscall.CLONE_NEWCGROUP,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: u.uid, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: u.gid, Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
		Setsid:      true, // signals of the caller's terminal come by the caller
	}
	if u.privileged() {
		// what root clones stays user 0 for the kernel until it becomes that of the new namespace
		a.Credential = &syscall.Credential{Uid: 0, Gid: 0, NoSetGroups: true}
	}
	return a
}
