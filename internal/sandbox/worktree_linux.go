package sandbox

import (
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// repository returns the folder of git that a workspace made by git worktree has
// elsewhere, "" if it has none. What the command commits goes there, so it has to
// be a real one.
//
// The workspace names that folder, and whoever worked in it before may have changed
// what it says. So the folder must name the workspace, too, and be of the form that
// git gives it: nobody inside can have written that outside.
func repository(workspace string) string {
	link := filepath.Join(workspace, gitName)
	own, ok := strings.CutPrefix(line(link), "gitdir: ")
	if !ok {
		return ""
	}
	own, err := realPath(workspace, own)
	if err != nil {
		return ""
	}
	back, err := realPath(own, line(filepath.Join(own, "gitdir")))
	if err != nil || back != link {
		return ""
	}
	common, err := realPath(own, line(filepath.Join(own, "commondir")))
	if err != nil || filepath.Dir(own) != filepath.Join(common, "worktrees") || within(common, workspace) {
		return ""
	}
	for _, part := range []string{"objects", "refs"} {
		if st, err := os.Lstat(filepath.Join(common, part)); err != nil || !st.IsDir() {
			return ""
		}
	}
	return common
}

// line returns the only line of a small plain file, "" if it has none.
func line(path string) string {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return ""
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() || st.Size() > unix.PathMax+16 {
		return ""
	}
	b := make([]byte, unix.PathMax+16)
	n, _ := f.Read(b)
	text := strings.TrimSuffix(string(b[:n]), "\n")
	if strings.ContainsAny(text, "\n\x00") {
		return ""
	}
	return text
}

// realPath returns path, which may be relative to dir, with no links in it.
func realPath(dir, path string) (string, error) {
	if path == "" {
		return "", os.ErrNotExist
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	return filepath.EvalSymlinks(path)
}
