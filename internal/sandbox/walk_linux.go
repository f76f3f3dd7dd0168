package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A walked directory: what of it concerns the sandbox, as paths relative to it.
type walked struct {
	sockets []string         // and fifos: behind both somebody else may be
	autorun map[string]stamp // what others run or obey, and each file of it
	named   []string         // of those, what is named itself, and is no link
	pinned  []string         // the folders that those stand in by their name, the outermost first
}

// A stamp tells whether a file is the one it was. The time of change cannot be set
// by a program.
type stamp struct {
	dev, ino uint64
	mode     uint32
	size     int64
	changed  unix.Timespec
}

// walkDepth is how deep a walk goes. A socket cannot be that deep, as its path would
// be too long. Folders that are deeper are watched as what others run: nobody looked
// into them.
const walkDepth = 128

// walk looks through the directory root, following no link, for sockets and for
// what autorun names, as if root was named under. It reads folders and nothing
// else, so that it is quick.
func walk(root, under string, autorun []string) (*walked, error) {
	fd, err := unix.Open(root, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: root, Err: err}
	}
	w := &walker{walked: walked{autorun: map[string]stamp{}}, under: under, names: autorunNames(autorun), buf: make([]byte, 64<<10)}
	if err := w.folder(fd, "", false, 0); err != nil {
		return nil, fmt.Errorf("%s: %w", root, err)
	}
	return &w.walked, nil
}

// gitName is the folder of git, or a file that names the folder: whoever changes
// that makes git obey another one.
const gitName = ".git"

type walker struct {
	walked
	under string
	names map[string][]string // by their last element: the folders that they must be in
	buf   []byte
}

// autorunNames sorts paths by their last element.
func autorunNames(all []string) map[string][]string {
	if all == nil {
		return nil
	}
	names := map[string][]string{}
	for _, p := range all {
		dir, base := path.Split(p)
		names[base] = append(names[base], strings.TrimSuffix(dir, "/"))
	}
	return names
}

// isAutorun reports whether the file name in the folder dir is one that others
// run or obey.
func (w *walker) isAutorun(dir, name string) bool {
	dir = path.Join(w.under, dir)
	for _, want := range w.names[name] {
		if want == "" || dir == want || strings.HasSuffix(dir, "/"+want) {
			return true
		}
	}
	return false
}

// name notes p, which stands in dir, and the folders that its name has.
func (w *walker) name(p, dir string) {
	w.walked.named = append(w.walked.named, p)
	if dir == "" {
		return
	}
	deepest, full := 0, path.Join(w.under, dir)
	for _, want := range w.names[path.Base(p)] {
		if want != "" && (full == want || strings.HasSuffix(full, "/"+want)) {
			deepest = max(deepest, strings.Count(want, "/")+1)
		}
	}
	parts := strings.Split(dir, "/")
	deepest = min(deepest, len(parts))
	for i := deepest; i > 0; i-- {
		folder := strings.Join(parts[:len(parts)-i+1], "/")
		if !slices.Contains(w.pinned, folder) {
			w.pinned = append(w.pinned, folder)
		}
	}
}

// folder reads the folder fd, which it closes. inside says that all in it counts as
// autorun.
func (w *walker) folder(fd int, dir string, inside bool, depth int) error {
	defer unix.Close(fd)
	type sub struct {
		name   string
		inside bool
	}
	var subs []sub
	repository := 0 // how many of the parts of one are here
	for {
		n, err := unix.ReadDirent(fd, w.buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			if err != nil && !errors.Is(err, unix.ENOENT) {
				return fmt.Errorf("read %q: %w", dir, err)
			}
			break
		}
		for b := w.buf[:n]; len(b) > 0; {
			d := (*unix.Dirent)(unsafe.Pointer(&b[0]))
			raw := b[unsafe.Offsetof(d.Name):d.Reclen]
			b = b[d.Reclen:]
			if i := bytes.IndexByte(raw, 0); i >= 0 {
				raw = raw[:i]
			}
			kind := d.Type
			switch string(raw) {
			case "HEAD", "objects", "refs":
				repository++
			}
			if kind == unix.DT_REG && !inside && len(w.names[string(raw)]) == 0 && string(raw) != gitName {
				continue
			}
			name := string(raw)
			if name == "." || name == ".." {
				continue
			}
			if kind == unix.DT_UNKNOWN {
				kind = kindOf(fd, name)
			}
			root := !inside && (w.isAutorun(dir, name) || kind == unix.DT_REG && name == gitName && w.names != nil)
			switch p := path.Join(dir, name); {
			case kind == unix.DT_SOCK, kind == unix.DT_FIFO:
				w.sockets = append(w.sockets, p)
			case root || inside:
				if root && kind != unix.DT_LNK {
					w.name(p, dir)
				}
				w.autorun[p] = stampOf(fd, name)
			}
			if kind == unix.DT_DIR {
				subs = append(subs, sub{name, inside || root})
			}
		}
	}
	if repository == 3 && !inside && w.names != nil && path.Base(path.Join(w.under, dir)) != gitName {
		w.bare(fd, dir)
		for i := range subs {
			subs[i].inside = subs[i].inside || subs[i].name == "hooks"
		}
	}
	for _, s := range subs {
		p := path.Join(dir, s.name)
		if depth == walkDepth {
			w.autorun[p] = stampOf(fd, s.name)
			continue
		}
		child, err := unix.Openat(fd, s.name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			continue // gone, or closed to us and so to the command
		}
		if err := w.folder(child, p, s.inside, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// bare notes what git obeys in a repository that is not named .git: one of a module,
// or one without a working tree, which git takes wherever it stands.
func (w *walker) bare(fd int, dir string) {
	for _, name := range []string{"config", "config.worktree", "hooks"} {
		p := path.Join(dir, name)
		if _, ok := w.autorun[p]; ok {
			continue
		}
		st := stampOf(fd, name)
		if st == (stamp{}) {
			continue
		}
		w.autorun[p] = st
		if st.mode&unix.S_IFMT != unix.S_IFLNK {
			w.walked.named = append(w.walked.named, p)
		}
	}
	if dir != "" && !slices.Contains(w.pinned, dir) {
		w.pinned = append(w.pinned, dir)
	}
}

func kindOf(dir int, name string) uint8 {
	var st unix.Stat_t
	if unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
		return unix.DT_UNKNOWN
	}
	return uint8(st.Mode & unix.S_IFMT >> 12) // as the kernel does
}

func stampOf(dir int, name string) stamp {
	var st unix.Stat_t
	if unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
		return stamp{}
	}
	s := stamp{dev: st.Dev, ino: st.Ino, mode: st.Mode, size: st.Size, changed: st.Ctim}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		s.size, s.changed = 0, unix.Timespec{} // its files tell
	}
	return s
}
