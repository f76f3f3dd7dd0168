package sandbox

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// writePieces writes the files that the command may write to. That is before the
// workspace is in its place: nothing of it is real.
func (v *view) writePieces() error {
	if v.root == "" {
		return nil
	}
	for _, p := range v.orders.Pieces {
		if !p.Write {
			continue
		}
		err := v.write(p.To, v.orders.content(p))
		if err != nil && !errors.Is(err, fs.ErrPermission) { // what we cannot reach the command cannot either
			return onPath("write pieces", p.To, err)
		}
	}
	return nil
}

// write makes a file of the view anew, with the folders that it needs. Links are
// followed as they lead in the view, the last one not at all.
func (v *view) write(name string, content []byte) error {
	root, err := unix.Open(v.at("/"), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(root)
	dir, err := v.folder(root, path.Dir(strings.TrimPrefix(name, "/")))
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	base := path.Base(name)
	if err := unix.Unlinkat(dir, base, 0); err != nil && err != unix.ENOENT {
		return err
	}
	fd, err := unix.Openat(dir, base, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for len(content) > 0 {
		n, err := unix.Write(fd, content)
		if err != nil {
			return err
		}
		content = content[n:]
	}
	return nil
}

// folder opens a folder below root, which it makes if it is not there.
func (v *view) folder(root int, name string) (int, error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT}
	fd, err := unix.Openat2(root, name, &how)
	if err != unix.ENOENT || name == "." {
		return fd, err
	}
	above, err := v.folder(root, path.Dir(name))
	if err != nil {
		return -1, err
	}
	defer unix.Close(above)
	if err := unix.Mkdirat(above, path.Base(name), 0o700); err != nil && err != unix.EEXIST {
		return -1, err
	}
	return unix.Openat2(root, name, &how)
}
