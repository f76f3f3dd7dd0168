package sandbox

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Bounds of what is built anew. What exceeds them is left out or bound.
const (
	layersMax    = 256
	copyFileMax  = 1 << 20
	copyAllMax   = 16 << 20
	depthMax     = 16
	coveredOfAll = 4096 // sockets below directories that cannot be layers
)

// Directories of the top that have a content of their own in the view, are what
// people mount things on, and what mode strict shows.
var (
	ownContent  = []string{"/proc", "/dev", "/sys", "/run"}
	mountedOn   = []string{"/mnt", "/media", "/lost+found"}
	strictShows = []string{"/usr", "/etc", "/opt", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix", "/gnu"}
)

// layersOfAll fills the new root with what the machine's has.
func (v *view) layersOfAll() error {
	if v.root == "" {
		return nil
	}
	all, err := os.ReadDir("/")
	if err != nil {
		return err
	}
	for _, e := range all {
		path := "/" + e.Name()
		switch {
		case e.Type()&fs.ModeSymlink != 0:
			err = copyLink(path, v.at(path))
		case !e.IsDir():
			err = nil // nothing in the root itself is a program's business
		case slices.Contains(ownContent, path):
			err = os.Mkdir(v.at(path), 0o755)
		default:
			err = v.layer(path, 0)
		}
		if err != nil {
			return onPath("layers", path, err)
		}
	}
	return nil
}

// layer makes the directory path of the machine one of the view. What somebody
// serves is left out: names that the command looked for there would leave.
func (v *view) layer(path string, depth int) error {
	if m := v.mounts.holding(path); m.at == path && served(m.kind) {
		return v.empty(path, 0o755)
	}
	st, err := os.Lstat(path)
	if err != nil {
		return v.empty(path, 0o755) // what we cannot see the command could not either
	}
	perm := st.Mode().Perm() | st.Mode()&fs.ModeSticky
	strict := v.orders.Files == Strict
	below := v.mounts.below(path)
	if strict && !slices.Contains(strictShows, path) || slices.Contains(mountedOn, path) || below && path == "/tmp" ||
		v.layers >= layersMax || depth >= depthMax {
		return v.empty(path, perm|0o700)
	}
	if below {
		return v.level(path, perm, depth)
	}
	err = v.overlay(path, path, perm, strict)
	if errors.Is(err, unix.EINVAL) || err != nil && strict {
		// a kind of file system that cannot be a layer
		if bound := v.bound(path); bound != nil {
			return errors.Join(err, bound)
		}
		return nil
	}
	return err
}

// overlay mounts the directory lower at path of the view, copied on write or
// read-only.
func (v *view) overlay(lower, path string, perm fs.FileMode, readOnly bool) error {
	fd, err := unix.Open(lower, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := mkdir(v.at(path), 0o755); err != nil {
		return err
	}
	options := fmt.Sprintf("lowerdir=/proc/self/fd/%d", fd)
	flags := uintptr(quiet)
	if readOnly {
		options += ":" + v.in(workEmpty)
		flags |= unix.MS_RDONLY
	} else {
		upper, work, err := v.upper(perm)
		if err != nil {
			return err
		}
		options += ",upperdir=" + upper + ",workdir=" + work
	}
	v.layers++
	return unix.Mount("outvet", v.at(path), "overlay", flags, options+",userxattr")
}

// upper makes the directories in which an overlay keeps what is written.
func (v *view) upper(perm fs.FileMode) (upper, work string, err error) {
	n := fmt.Sprint(v.layers)
	upper, work = v.in(workUpper, n), v.in(workWork, n)
	return upper, work, errors.Join(mkdir(upper, perm), mkdir(work, 0o700))
}

// empty makes an empty directory at path of the view, in which the command may
// write.
func (v *view) empty(path string, perm fs.FileMode) error {
	if err := mkdir(v.at(path), 0o755); err != nil {
		return err
	}
	_, err := v.fresh(path, perm)
	return err
}

// fresh mounts a new directory at path of the view, and returns it.
func (v *view) fresh(path string, perm fs.FileMode) (string, error) {
	v.layers++
	dir := v.in(workLevel, fmt.Sprint(v.layers))
	if err := mkdir(dir, perm); err != nil {
		return "", err
	}
	return dir, bind(dir, v.at(path))
}

// level builds the directory path anew: links and small files are copied, greater
// ones bound, and directories become layers of their own. Sockets, fifos and
// devices are left out.
func (v *view) level(path string, perm fs.FileMode, depth int) error {
	if err := mkdir(v.at(path), 0o755); err != nil {
		return err
	}
	dir, err := v.fresh(path, perm|0o700)
	if err != nil {
		return err
	}
	all, err := os.ReadDir(path)
	if err != nil {
		return nil // nor could the command read it
	}
	for _, e := range all {
		p := filepath.Join(path, e.Name())
		switch {
		case e.Type()&fs.ModeSymlink != 0:
			err = copyLink(p, filepath.Join(dir, e.Name()))
		case e.IsDir():
			err = v.layer(p, depth+1)
		case e.Type().IsRegular():
			err = v.file(p, filepath.Join(dir, e.Name()))
		}
		if err != nil {
			return onPath("layers", p, err)
		}
	}
	return nil
}

// file copies the file at path, or binds it if it is great. One that we cannot read
// is left out.
func (v *view) file(path, to string) error {
	from, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	defer from.Close()
	st, err := from.Stat()
	if err != nil || !st.Mode().IsRegular() {
		return err
	}
	if st.Size() > copyFileMax || v.copied+st.Size() > copyAllMax {
		if err := os.WriteFile(to, nil, 0o400); err != nil {
			return err
		}
		fd, err := mountOf(path, true)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.MoveMount(fd, "", unix.AT_FDCWD, v.at(path), unix.MOVE_MOUNT_F_EMPTY_PATH)
	}
	v.copied += st.Size()
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.CopyN(f, from, st.Size())
	if errors.Is(err, io.EOF) {
		err = nil // it became shorter meanwhile
	}
	return errors.Join(err, f.Chmod(st.Mode().Perm()|0o400), f.Close(), os.Chtimes(to, st.ModTime(), st.ModTime()))
}

// bound shows the directory path as it is, read-only, with its sockets covered.
func (v *view) bound(path string) error {
	fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := setAttributes(fd, true, true); err != nil {
		return err
	}
	if err := mkdir(v.at(path), 0o755); err != nil {
		return err
	}
	if err := unix.MoveMount(fd, "", unix.AT_FDCWD, v.at(path), unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return err
	}
	w, err := walk(path, "", nil)
	if err != nil {
		return err
	}
	if len(w.sockets) > coveredOfAll {
		return fmt.Errorf("%d sockets are too many to cover", len(w.sockets))
	}
	for _, s := range w.sockets {
		if err := v.coverFile(filepath.Join(v.at(path), s)); err != nil {
			return err
		}
	}
	return nil
}

// coverFile puts a file with nothing in it upon the one at path.
func (v *view) coverFile(path string) error {
	fd, err := mountOf(v.in(workBlank), true)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.MoveMount(fd, "", unix.AT_FDCWD, path, unix.MOVE_MOUNT_F_EMPTY_PATH)
}

// home makes layers of their own of the directories in which programs write. In
// one that is part of a greater layer, the kernel first copies the folders above
// it, and refuses those of users that are not mapped (EOVERFLOW).
func (v *view) home() error {
	if v.root == "" || v.orders.Files == Strict {
		return nil
	}
	if err := v.again("/var/tmp"); err != nil {
		return err
	}
	if tree := v.trees[homeTree]; tree != nil {
		under := v.in("home")
		if err := mkdir(under, 0o700); err != nil {
			return err
		}
		if err := unix.MoveMount(int(tree.Fd()), "", unix.AT_FDCWD, under, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
			return err
		}
		if err := v.overlay(under, v.orders.Home, 0o700, false); err != nil {
			return onPath("home", v.orders.Home, err)
		}
		return nil
	}
	return v.again(v.orders.Home)
}

// again makes the directory path, which is part of a layer, one of its own.
func (v *view) again(path string) error {
	if strings.Count(path, "/") < 2 || v.mounts.below(path) || served(v.mounts.holding(path).kind) {
		return nil
	}
	st, err := os.Lstat(path)
	seen, serr := os.Lstat(v.at(path))
	if err != nil || serr != nil || !st.IsDir() || !seen.IsDir() {
		return nil // the command would not find it either
	}
	if err := v.overlay(path, path, st.Mode().Perm()|st.Mode()&fs.ModeSticky, false); err != nil && !errors.Is(err, unix.EINVAL) {
		return onPath("home", path, err)
	}
	return nil
}

func bind(from, to string) error { return unix.Mount(from, to, "", unix.MS_BIND, "") }

// mkdir makes a directory with exactly these permissions. It may be there.
func mkdir(path string, perm fs.FileMode) error {
	err := os.Mkdir(path, perm.Perm())
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.Chmod(path, perm)
}

func copyLink(from, to string) error {
	target, err := os.Readlink(from)
	if err != nil {
		return err
	}
	return os.Symlink(target, to)
}
