package sandbox

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"

	"golang.org/x/sys/unix"
)

// A Proposal is what a command of mode review has done to its workspace. Nothing of
// it is there yet.
type Proposal struct {
	Edits []Edit // folders before what is in them

	upper     *os.File // what the overlay collected
	workspace string
}

// Proposal returns what the command has changed. It is called when the command has
// ended, in mode review, and its result is good until Close.
func (s *Sandbox) Proposal() (*Proposal, error) {
	if s.changed == nil {
		return nil, errors.New("sandbox: nothing was collected: the mode of the file system is not review")
	}
	workspace, err := openFolder(s.config.Workspace)
	if err != nil {
		return nil, err
	}
	defer unix.Close(workspace)
	upper, err := unix.Openat(int(s.changed.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	r := &Proposal{upper: s.changed, workspace: s.config.Workspace}
	w := &walker{names: autorunNames(s.config.AutoRun)}
	err = r.look(w, upper, workspace, "", false, 0)
	return r, err
}

func openFolder(path string) (int, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

// look notes what is in the folder upper, which it closes, against what is in the
// workspace under the same name.
func (r *Proposal) look(w *walker, upper, workspace int, dir string, inside bool, depth int) error {
	f := os.NewFile(uintptr(upper), dir)
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return err
	}
	if depth > 2*walkDepth {
		return fmt.Errorf("sandbox: review: %q is too deep", dir)
	}
	slices.Sort(names)
	for _, name := range names {
		p := path.Join(dir, name)
		var st unix.Stat_t
		if err := unix.Fstatat(upper, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return &os.PathError{Op: "stat", Path: p, Err: err}
		}
		e := Edit{Path: p, Mode: fs.FileMode(st.Mode & 0o777), Size: st.Size, AutoRun: inside || w.isAutorun(dir, name)}
		was, there := lookAt(workspace, p)
		e.Kind = Changed
		if !there {
			e.Kind = Added
		}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
		case unix.S_IFLNK:
			e.Mode |= fs.ModeSymlink
		case unix.S_IFDIR:
			e.Mode |= fs.ModeDir
			e.replaced = isOpaque(upper, name)
			if there && was.Mode&unix.S_IFMT == unix.S_IFDIR && was.Mode&0o777 == st.Mode&0o777 && !e.replaced {
				e.Kind = "" // only what is in it
			}
		case unix.S_IFCHR:
			if st.Rdev == 0 {
				e.Kind, e.Mode, e.Size = Removed, 0, 0
				if !there {
					continue
				}
				break
			}
			continue
		default:
			continue // sockets and fifos are nobody's after the end
		}
		if e.Kind != "" {
			r.Edits = append(r.Edits, e)
		}
		if e.Mode.IsDir() {
			sub, err := unix.Openat(upper, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
			if err != nil {
				return &os.PathError{Op: "open", Path: p, Err: err}
			}
			if err := r.look(w, sub, workspace, p, e.AutoRun, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// beneath is how paths of a workspace are found: by no link, and never out of it.
const beneath = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS

// lookAt returns what p is below the folder fd.
func lookAt(fd int, p string) (st unix.Stat_t, there bool) {
	at, err := unix.Openat2(fd, p, &unix.OpenHow{Flags: unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: beneath &^ unix.RESOLVE_NO_SYMLINKS})
	if err != nil {
		return st, false
	}
	defer unix.Close(at)
	return st, unix.Fstat(at, &st) == nil
}

// isOpaque reports whether a folder that the overlay collected stands in the place
// of one, rather than for changes in it.
func isOpaque(dir int, name string) bool {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	var v [1]byte
	n, err := unix.Fgetxattr(fd, "user.overlay.opaque", v[:])
	return err == nil && n == 1 && v[0] == 'y'
}

// Open opens the file of an edit, as the command left it.
func (r *Proposal) Open(e Edit) (*os.File, error) {
	fd, err := unix.Openat2(int(r.upper.Fd()), e.Path, &unix.OpenHow{Flags: unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC, Resolve: beneath})
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: e.Path, Err: err}
	}
	return os.NewFile(uintptr(fd), e.Path), nil
}

// Link returns where the link of an edit leads.
func (r *Proposal) Link(e Edit) (string, error) {
	dir, err := unix.Openat2(int(r.upper.Fd()), path.Dir(e.Path), &unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: beneath})
	if err != nil {
		return "", &os.PathError{Op: "open", Path: e.Path, Err: err}
	}
	defer unix.Close(dir)
	b := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(dir, path.Base(e.Path), b)
	if err != nil {
		return "", &os.PathError{Op: "readlink", Path: e.Path, Err: err}
	}
	return string(b[:n]), nil
}

// Apply makes the edits that want is true for in the workspace; all of them if it
// is nil. An edit whose folder is not there is an error; the others are made.
func (r *Proposal) Apply(want func(Edit) bool) error {
	fd, err := openFolder(r.workspace)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var owner unix.Stat_t
	if err := unix.Fstat(fd, &owner); err != nil {
		return err
	}
	a := &applier{Proposal: r, workspace: fd, uid: int(owner.Uid), gid: int(owner.Gid)}
	var errs []error
	for _, e := range r.Edits {
		if want != nil && !want(e) {
			continue
		}
		if err := a.apply(e); err != nil {
			errs = append(errs, fmt.Errorf("sandbox: apply %q: %w", e.Path, err))
		}
	}
	return errors.Join(errs...)
}

// An applier changes a workspace. Whatever stands in it, and whatever the command
// has left, it touches nothing that is not in it.
type applier struct {
	*Proposal
	workspace int
	uid, gid  int // whose new files are, if we are root
}

func (a *applier) apply(e Edit) error {
	dir, err := unix.Openat2(a.workspace, path.Dir(e.Path), &unix.OpenHow{Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: beneath})
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	name := path.Base(e.Path)
	switch {
	case e.Kind == Removed:
		return removeAll(dir, name)
	case e.Mode.IsDir():
		return a.folder(dir, name, e)
	case e.Mode&fs.ModeSymlink != 0:
		target, err := a.Link(e)
		if err != nil {
			return err
		}
		if err := removeAll(dir, name); err != nil {
			return err
		}
		if err := unix.Symlinkat(target, dir, name); err != nil {
			return err
		}
		return a.own(dir, name)
	}
	return a.file(dir, name, e)
}

func (a *applier) folder(dir int, name string, e Edit) error {
	var st unix.Stat_t
	err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	if err == nil && (e.replaced || st.Mode&unix.S_IFMT != unix.S_IFDIR) {
		if err = removeAll(dir, name); err != nil {
			return err
		}
		err = unix.ENOENT
	}
	if err == unix.ENOENT {
		if err = unix.Mkdirat(dir, name, 0o700); err == nil {
			err = a.own(dir, name)
		}
	}
	if err != nil {
		return err
	}
	return unix.Fchmodat(dir, name, uint32(e.Mode.Perm()), 0)
}

// file writes the file beside its place and renames it.
func (a *applier) file(dir int, name string, e Edit) error {
	from, err := a.Open(e)
	if err != nil {
		return err
	}
	defer from.Close()
	const beside = ".outvet-apply"
	if err := removeAll(dir, beside); err != nil {
		return err
	}
	fd, err := unix.Openat(dir, beside, unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = removeAll(dir, beside) }() // it has its name by then, or is to go
	to := os.NewFile(uintptr(fd), e.Path)
	defer to.Close()
	if _, err := io.Copy(to, from); err != nil {
		return err
	}
	if os.Geteuid() == 0 {
		if err := to.Chown(a.uid, a.gid); err != nil {
			return err
		}
	}
	if err := to.Chmod(e.Mode.Perm()); err != nil {
		return err
	}
	err = unix.Renameat(dir, beside, dir, name)
	if err == unix.EISDIR || err == unix.ENOTEMPTY {
		if err = removeAll(dir, name); err == nil {
			err = unix.Renameat(dir, beside, dir, name)
		}
	}
	return err
}

func (a *applier) own(dir int, name string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	return unix.Fchownat(dir, name, a.uid, a.gid, unix.AT_SYMLINK_NOFOLLOW)
}

// removeAll removes name from the folder dir, with all that is in it.
func removeAll(dir int, name string) error {
	err := unix.Unlinkat(dir, name, 0)
	if err == unix.ENOENT {
		return nil
	}
	if err != unix.EISDIR && err != unix.EPERM {
		return err
	}
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	names, err := f.Readdirnames(-1)
	for _, n := range names {
		err = errors.Join(err, removeAll(fd, n))
	}
	return errors.Join(err, unix.Unlinkat(dir, name, unix.AT_REMOVEDIR))
}
