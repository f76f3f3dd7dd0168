package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// placeTrees puts the directories that stay the real ones where they were. In a
// review the workspace is no more than the layer below what the command writes.
func (v *view) placeTrees() error {
	for _, p := range v.live() {
		tree := v.trees[p]
		if tree == nil {
			continue // it is where it was
		}
		fd := int(tree.Fd())
		if err := setAttributes(fd, false, true); err != nil {
			return onPath("place workspace", p, err)
		}
		if err := os.MkdirAll(v.at(p), 0o755); err != nil {
			return onPath("place workspace", p, err)
		}
		if err := unix.MoveMount(fd, "", unix.AT_FDCWD, v.at(p), unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
			return onPath("place workspace", p, err)
		}
		tree.Close()
	}
	if v.orders.Files == Review {
		return v.collect()
	}
	return nil
}

// collect makes the workspace one that is copied on write, and keeps what is
// written for the parent.
func (v *view) collect() error {
	path := v.orders.Workspace
	st, err := os.Stat(v.at(path))
	if err != nil {
		return err
	}
	if err := v.overlay(v.at(path), path, st.Mode().Perm()|0o700, false); err != nil {
		return onPath("place workspace", path, err)
	}
	v.changed, err = unix.Open(v.in(workUpper, fmt.Sprint(v.layers-1)), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	return err
}

// watched are the directories in which what the command does is real at once: all
// but the workspace of a review.
func (v *view) watched() []watched {
	if v.root == "" {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(v.orders.Watched), func(w watched) bool {
		return v.orders.Files == Review && w.Root == v.orders.Workspace
	})
}

// coverSockets covers the sockets that the machine has in the workspace. Through
// an overlay nobody answers on them anyway.
func (v *view) coverSockets() error {
	for _, w := range v.watched() {
		for _, s := range w.Sockets {
			err := v.coverFile(v.at(filepath.Join(w.Root, s)))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return onPath("cover sockets", s, err)
			}
		}
	}
	return nil
}

// pinState keeps the folders that hold the state directory from being renamed: where
// the home is the real one, keys, record and kill switch would be moved away from
// under outvet, though nobody could read them.
func (v *view) pinState() error {
	if v.orders.Files != Open {
		return nil
	}
	for _, s := range v.orders.State {
		for i := 1; i < len(s); i++ {
			if s[i] != '/' {
				continue
			}
			if err := v.pin(s[:i]); err != nil {
				return onPath("pin state", s[:i], err)
			}
		}
	}
	return nil
}

// pin mounts a folder upon itself. One that we cannot reach nobody inside renames.
func (v *view) pin(path string) error {
	fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE|unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.MoveMount(fd, "", unix.AT_FDCWD, path, unix.MOVE_MOUNT_F_EMPTY_PATH)
}

// protect mounts what others run or obey upon itself, read-only. The folders that
// it stands in are mounted upon themselves first: else one could be renamed away,
// and another one made in its place.
func (v *view) protect() error {
	for _, w := range v.watched() {
		for _, p := range w.Pinned {
			if err := v.upon(w.Root, p, false); err != nil {
				return onPath("protect", p, err)
			}
		}
		for _, p := range w.Protected {
			if err := v.upon(w.Root, p, true); err != nil {
				return onPath("protect", p, err)
			}
		}
	}
	return nil
}

// upon mounts the path below root upon itself. It follows no link.
func (v *view) upon(root, path string, readOnly bool) error {
	dir, err := unix.Open(v.at(root), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	to, err := unix.Openat2(dir, path, &unix.OpenHow{Flags: unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS})
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it was removed since we looked; Changes tells
	}
	if err != nil {
		return err
	}
	fd, err := unix.OpenTree(to, "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH|unix.AT_RECURSIVE)
	if err != nil {
		unix.Close(to)
		return err
	}
	if err := setAttributes(fd, readOnly, true); err != nil {
		unix.Close(fd)
		unix.Close(to)
		return err
	}
	return attach(fd, to)
}

// within reports whether path is dir or below it.
func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}
