package sandbox

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// homeTree is the name of the tree that is the layer below the home directory. The
// others are named by their paths.
const homeTree = "home"

// A tree is a mount, attached to nothing yet, that only root can make.
type tree struct {
	name string
	file *os.File
}

func closeTrees(all []tree) {
	for _, t := range all {
		t.file.Close()
	}
}

// trees returns the mounts that let a command of root's, which is somebody else,
// use what belongs to root: in them root is mapped to that user.
func (s *Sandbox) trees() (all []tree, err error) {
	if !s.user.privileged() {
		return nil, nil
	}
	for _, p := range append([]string{s.config.Workspace}, s.config.Live...) {
		root, err := ownedByRoot(p)
		if err != nil {
			closeTrees(all)
			return nil, err
		}
		if !root {
			continue
		}
		f, err := s.mapped(p, unix.AT_RECURSIVE)
		if err != nil {
			closeTrees(all)
			return nil, &Refusal{
				What:  fmt.Sprintf("%s belongs to root, and root cannot be sandboxed as root", p),
				Cause: fmt.Sprintf("its file system does not let user %d stand for root: %v", s.user.uid, err),
				Cure:  "run in a directory of another user: --user NAME",
				Err:   err,
			}
		}
		all = append(all, tree{p, f})
	}
	if s.config.Home == "" || s.config.Files == Strict || s.config.Files == Open {
		return all, nil
	}
	if table, err := mountTable(); err != nil || served(table.holding(s.config.Home).kind) {
		return all, err // left out
	}
	if root, err := ownedByRoot(s.config.Home); err != nil || !root {
		return all, nil // the command sees of it what its user may see
	}
	f, err := s.mapped(s.config.Home, 0)
	if err != nil {
		return all, nil // as above
	}
	return append(all, tree{homeTree, f}), nil
}

func ownedByRoot(path string) (bool, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return false, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return st.Uid == 0, nil
}

// mapped returns a mount of path in which the user namespace of stage 1 says who
// is who: its 0 is root on disk, and the command's user for the kernel.
func (s *Sandbox) mapped(path string, flags uint) (*os.File, error) {
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", s.process.pid))
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|flags)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), path)
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV, Userns_fd: uint64(ns.Fd())}
	err = unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|flags, &attr)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
