package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Names below the directory in which stage 1 works, a tmpfs that nobody else sees.
const (
	workRoot  = "root"  // the new root
	workUpper = "upper" // what is written in overlays, and
	workWork  = "work"  // what overlays want besides
	workLevel = "level" // directories that are built anew
	workPiece = "piece" // files that are put in the place of others
	workRun   = "run"
	workEmpty = "empty"
	workBlank = "blank" // a file with nothing in it
)

// quiet is what every mount of the view is: no program gains rights by the mode of
// its file, no device is reached by a node.
const quiet = unix.MS_NOSUID | unix.MS_NODEV

// A view is what the command will see of the file system, while it is built. All
// of it happens in the mount namespace of stage 1, in order: an overlay that came
// later would hide what was mounted below it before.
type view struct {
	*stage
	orders *orders
	trees  map[string]*os.File // mounts that the parent made

	work   string // where we work
	root   string // the new root; "" in mode open, where it is the old one
	mounts mounts // of the machine
	layers int    // overlays and levels that were made
	copied int64  // bytes

	ready   []placed // pieces
	hidden  []placed
	changed int // descriptor of what a review collects, or -1

	runLinks map[string]string
	runTree  int // the mount for /run
}

// placed is a mount that is ready and has a place to go to.
type placed struct {
	fd int
	to string
}

func (v *view) make() error {
	steps := []struct {
		name string
		do   func() error
	}{
		{"private mounts", func() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") }},
		{"pin state", v.pinState},
		{"workspace", v.takeTrees},
		{"scratch", v.scratch},
		{"layers", v.layersOfAll},
		{"home", v.home},
		{"devices", v.devices},
		{"sys", v.sys},
		{"proc", v.proc},
		{"pieces", v.pieces},
		{"run", v.run},
		{"covers", v.covers},
		{"uncover", v.uncover},
		{"place workspace", v.placeTrees},
		{"place pieces", v.place},
		{"write pieces", v.writePieces},
		{"cover sockets", v.coverSockets},
		{"protect", v.protect},
		{"hide", v.hide},
		{"root", v.enter},
	}
	for _, s := range steps {
		if err := v.step(s.name, s.do); err != nil {
			return err
		}
	}
	return nil
}

// takeTrees takes hold of the directories that stay the real ones, before anything
// covers them.
func (v *view) takeTrees() error {
	for _, p := range v.live() {
		if v.trees[p] != nil {
			continue
		}
		if v.orders.Files == Open {
			continue // it stays where it is
		}
		fd, err := unix.OpenTree(unix.AT_FDCWD, p, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
		if err != nil {
			return onPath("workspace", p, err)
		}
		v.trees[p] = os.NewFile(uintptr(fd), p)
	}
	if v.orders.Files == Open {
		return nil
	}
	var err error
	v.mounts, err = mountTable()
	return err
}

// live are the directories of the view that are the real ones.
func (v *view) live() []string {
	return append(append([]string{}, v.orders.Live...), v.orders.Workspace)
}

// scratch mounts the directory in which we work. It covers /run of the machine,
// which the command shall not see anyway.
func (v *view) scratch() error {
	v.findRunLinks()
	for _, d := range []string{"/run", "/mnt", "/media", "/srv"} {
		if st, err := os.Lstat(d); err == nil && st.IsDir() {
			v.work = d
			break
		}
	}
	if v.work == "" {
		return errors.New("the machine has no /run to work in")
	}
	if err := unix.Mount("outvet", v.work, "tmpfs", quiet, "mode=0755"); err != nil {
		return err
	}
	for _, d := range []string{workRoot, workUpper, workWork, workLevel, workPiece, workRun, workEmpty} {
		if err := os.Mkdir(v.in(d), 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(v.in(workBlank), nil, 0o444); err != nil {
		return err
	}
	if v.orders.Files == Open {
		return nil
	}
	v.root = v.in(workRoot)
	return unix.Mount(v.root, v.root, "", unix.MS_BIND, "")
}

// in returns a path below the directory in which we work.
func (v *view) in(elem ...string) string { return filepath.Join(v.work, filepath.Join(elem...)) }

// at returns where the path of the view is while it is built.
func (v *view) at(path string) string { return v.root + path }

// pieces makes mounts of the files that are put in the place of others.
func (v *view) pieces() error {
	made := map[int]string{}
	for i, p := range v.orders.Pieces {
		if p.Write {
			continue // it is no mount
		}
		from := p.From
		if from == "" {
			from = made[p.At]
			if from == "" || p.Len == 0 {
				from = v.in(workPiece, fmt.Sprint(i))
				if err := os.WriteFile(from, v.orders.content(p), 0o444); err != nil {
					return err
				}
				if p.Len > 0 {
					made[p.At] = from
				}
			}
		}
		fd, err := mountOf(from, true)
		if err != nil {
			return onPath("pieces", p.To, err)
		}
		v.ready = append(v.ready, placed{fd, p.To})
	}
	return nil
}

// covers makes a mount of something empty for each path that is hidden.
func (v *view) covers() error {
	for _, p := range v.orders.Hide {
		from := v.in(workEmpty)
		st, err := os.Stat(v.at(p))
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR), errors.Is(err, fs.ErrPermission):
			// Who we are and the command will be cannot get there. A parent that
			// lets us in later would be ours to change, and is not.
			continue
		case err != nil:
			return onPath("hide", p, err)
		case !st.IsDir():
			from = v.in(workBlank)
		}
		fd, err := mountOf(from, true)
		if err != nil {
			return onPath("hide", p, err)
		}
		v.hidden = append(v.hidden, placed{fd, p})
	}
	return nil
}

// mountOf returns a mount of what is at path, not attached to anything.
func mountOf(path string, readOnly bool) (int, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return -1, err
	}
	if err := setAttributes(fd, readOnly, false); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// setAttributes makes the mount fd quiet, and read-only, also those below it if all
// is true.
func setAttributes(fd int, readOnly, all bool) error {
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV}
	if readOnly {
		attr.Attr_set |= unix.MOUNT_ATTR_RDONLY
	}
	flags := uint(unix.AT_EMPTY_PATH)
	if all {
		flags |= unix.AT_RECURSIVE
	}
	return unix.MountSetattr(fd, "", flags, &attr)
}

// uncover puts /run in its place. Where the view is the machine itself it takes the
// directory in which we work away before; what was made of it stays.
func (v *view) uncover() error {
	if v.root == "" {
		if err := unix.Unmount(v.work, unix.MNT_DETACH); err != nil {
			return err
		}
	}
	defer unix.Close(v.runTree)
	return unix.MoveMount(v.runTree, "", unix.AT_FDCWD, v.at("/run"), unix.MOVE_MOUNT_F_EMPTY_PATH)
}

// place puts the pieces where they belong.
func (v *view) place() error {
	for _, p := range v.ready {
		to, err := v.find(p.to, strings.HasPrefix(p.to, "/run/"))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, fs.ErrPermission) {
			unix.Close(p.fd)
			continue // there is none to be replaced
		}
		if err == nil {
			err = attach(p.fd, to)
		}
		if err != nil {
			return onPath("place pieces", p.to, err)
		}
	}
	return nil
}

// find opens the path of the view, by the links that are in it, and makes an empty
// file if it is to be made.
func (v *view) find(path string, create bool) (int, error) {
	root, err := unix.Open(v.at("/"), unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(root)
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT}
	fd, err := unix.Openat2(root, strings.TrimPrefix(path, "/"), &how)
	if !create || err != unix.ENOENT {
		return fd, err
	}
	if err := os.MkdirAll(filepath.Dir(v.at(path)), 0o755); err != nil {
		return -1, err
	}
	if err := os.WriteFile(v.at(path), nil, 0o444); err != nil {
		return -1, err
	}
	return unix.Openat2(root, strings.TrimPrefix(path, "/"), &how)
}

// attach mounts fd on what to is, and closes both.
func attach(fd, to int) error {
	defer unix.Close(fd)
	defer unix.Close(to)
	return unix.MoveMount(fd, "", to, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
}

// hide covers what is hidden, last of all.
func (v *view) hide() error {
	for _, p := range v.hidden {
		to, err := v.find(p.to, false)
		if err == nil {
			err = attach(p.fd, to)
		}
		if err != nil {
			return onPath("hide", p.to, err)
		}
	}
	return nil
}

// enter makes the view the root, and lets go of the old one.
func (v *view) enter() error {
	if v.root == "" {
		return os.Chdir("/")
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV}
	if err := unix.MountSetattr(unix.AT_FDCWD, v.root, 0, &attr); err != nil {
		return err
	}
	if err := os.Chdir(v.root); err != nil {
		return err
	}
	// the old root is mounted upon the new one, and taken away from there
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("take away the old root: %w", err)
	}
	return os.Chdir("/")
}

// onPath says at which step, and where, err came about.
func onPath(step, path string, err error) error {
	f := at(step, err).(*fault)
	if f.Path == "" {
		f.Path = path
	}
	return f
}
