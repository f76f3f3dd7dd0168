package sandbox

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A mount is a line of mountinfo.
type mount struct {
	device string // major:minor
	root   string // what of the file system is mounted
	at     string // where
	kind   string
}

// mounts are those of the machine as we see it, in the order of the kernel.
type mounts []mount

func mountTable() (mounts, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	return parseMounts(text), nil
}

// served reports whether a file system is served by a program or another machine:
// to look for a name in it is to tell that name to somebody. autofs asks for hosts
// by names that are looked for.
func served(kind string) bool {
	switch kind {
	case "nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "coda", "autofs", "fuse", "lustre", "gfs2", "orangefs", "pvfs2":
		return true
	case "fuse.snapfuse", "fuse.squashfuse", "fuse.fuse-overlayfs": // images on the disk
		return false
	}
	return strings.HasPrefix(kind, "fuse.")
}

// parseMounts reads mountinfo; see proc_pid_mountinfo(5).
func parseMounts(text []byte) (all mounts) {
	for line := range bytes.Lines(text) {
		f := strings.Fields(string(line))
		dash := slices.Index(f, "-")
		if dash < 6 || dash+1 >= len(f) {
			continue
		}
		all = append(all, mount{device: f[2], root: unescape(f[3]), at: unescape(f[4]), kind: f[dash+1]})
	}
	return all
}

// below reports whether something is mounted below path.
func (m mounts) below(path string) bool {
	return slices.ContainsFunc(m, func(x mount) bool { return x.at != path && within(x.at, path) })
}

// holding returns the mount that path is in.
func (m mounts) holding(path string) (found mount) {
	for _, x := range m {
		if within(path, x.at) && len(x.at) >= len(found.at) { // of two at one place the later one is seen
			found = x
		}
	}
	return found
}

// names returns path and all other names that it has because a file system, or a
// part of one, is mounted more than once.
func (m mounts) names(path string) []string {
	all := []string{path}
	here := m.holding(path)
	if here.at == "" {
		return all
	}
	inside := filepath.Join(here.root, strings.TrimPrefix(path, strings.TrimSuffix(here.at, "/")))
	for _, x := range m {
		if x.device != here.device || !within(inside, x.root) {
			continue
		}
		other := filepath.Join(x.at, strings.TrimPrefix(inside, strings.TrimSuffix(x.root, "/")))
		if other != path && m.holding(other) == x {
			all = append(all, other)
		}
	}
	return all
}

// unescape undoes what the kernel does to spaces and the like in mountinfo.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) && octal(s[i+1]) && octal(s[i+2]) && octal(s[i+3]) {
			b.WriteByte((s[i+1]-'0')<<6 | (s[i+2]-'0')<<3 | (s[i+3] - '0'))
			i += 3
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func octal(c byte) bool { return c >= '0' && c <= '7' }
