package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// nodes are the devices of the view. None of them reaches anything but the kernel's
// own random numbers and the terminal that the command has.
var nodes = []string{"null", "zero", "full", "random", "urandom", "tty"}

// devices makes /dev: a few nodes, terminals and shared memory of its own.
func (v *view) devices() error {
	if v.root == "" {
		return nil
	}
	dev := v.at("/dev")
	if err := mkdir(dev, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("outvet", dev, "tmpfs", unix.MS_NOSUID|unix.MS_NOEXEC, "mode=0755"); err != nil {
		return err
	}
	for _, n := range nodes {
		if err := os.WriteFile(filepath.Join(dev, n), nil, 0o644); err != nil {
			return err
		}
		fd, err := unix.OpenTree(unix.AT_FDCWD, "/dev/"+n, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
		if err != nil {
			return onPath("devices", "/dev/"+n, err)
		}
		err = unix.MoveMount(fd, "", unix.AT_FDCWD, filepath.Join(dev, n), unix.MOVE_MOUNT_F_EMPTY_PATH)
		unix.Close(fd)
		if err != nil {
			return onPath("devices", "/dev/"+n, err)
		}
	}
	if err := errors.Join(mkdir(dev+"/shm", 0o777|os.ModeSticky), mkdir(dev+"/mqueue", 0o755), mkdir(dev+"/pts", 0o755)); err != nil {
		return err
	}
	if err := unix.Mount("outvet", dev+"/pts", "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620"); err != nil {
		return fmt.Errorf("devpts: %w", err)
	}
	err := errors.Join(os.Symlink("pts/ptmx", dev+"/ptmx"), os.Symlink("/proc/self/fd", dev+"/fd"))
	for i, n := range []string{"stdin", "stdout", "stderr"} {
		err = errors.Join(err, os.Symlink(fmt.Sprintf("/proc/self/fd/%d", i), filepath.Join(dev, n)))
	}
	return err
}

// sys makes /sys: one of the new network namespace, which knows no device of the
// machine's; where a container allows no new one the old one without its writable
// parts.
func (v *view) sys() error {
	if v.root == "" {
		return nil
	}
	to := v.at("/sys")
	if err := mkdir(to, 0o555); err != nil {
		return err
	}
	const flags = unix.MS_RDONLY | unix.MS_NOEXEC | quiet
	err := unix.Mount("outvet", to, "sysfs", flags, "")
	if err != nil {
		if err = unix.Mount("/sys", to, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return err
		}
		attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV}
		if err := unix.MountSetattr(unix.AT_FDCWD, to, unix.AT_RECURSIVE, &attr); err != nil {
			return err
		}
	}
	if _, err := os.Lstat(to + "/fs/cgroup"); err != nil {
		return nil
	}
	return unix.Mount("outvet", to+"/fs/cgroup", "tmpfs", unix.MS_RDONLY|quiet, "size=4k")
}

// proc mounts the processes of the new namespace. Nothing in it is covered: that
// would forbid nested sandboxes to mount their own, and a user ID that is not 0
// opens nothing of the machine in it for writing.
func (v *view) proc() error {
	to := v.at("/proc")
	if err := mkdir(to, 0o555); err != nil {
		return err
	}
	return unix.Mount("proc", to, "proc", quiet|unix.MS_NOEXEC, "")
}

// run makes /run, which on the machine has the sockets of all its services. Links
// in it that lead elsewhere, as to the programs of the system, stay.
func (v *view) run() error {
	for _, d := range []string{"outvet", "lock"} {
		if err := mkdir(v.in(workRun, d), 0o755); err != nil {
			return err
		}
	}
	for name, target := range v.runLinks {
		if err := os.Symlink(target, v.in(workRun, name)); err != nil {
			return err
		}
	}
	if err := mkdir(v.at("/run"), 0o755); err != nil {
		return err
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, v.in(workRun), unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return err
	}
	v.runTree = fd
	return nil
}

// findRunLinks remembers the links in /run, before it is covered.
func (v *view) findRunLinks() {
	all, err := os.ReadDir("/run")
	if err != nil {
		return // there is none
	}
	v.runLinks = map[string]string{}
	for _, e := range all {
		if target, err := os.Readlink("/run/" + e.Name()); err == nil && filepath.IsAbs(target) && !within(target, "/run") {
			v.runLinks[e.Name()] = target
		}
	}
}
