package sandbox

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tree tells what is below a folder: paths, kinds, permissions and contents.
func treeOf(t *testing.T, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		info, err := e.Info()
		if err != nil || rel == "." {
			return err
		}
		switch {
		case e.Type()&fs.ModeSymlink != 0:
			to, _ := os.Readlink(p)
			all[rel] = "-> " + to
		case e.Type().IsRegular():
			b, _ := os.ReadFile(p)
			all[rel] = info.Mode().String() + " " + string(b)
		default:
			all[rel] = info.Mode().String()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// script changes a workspace in every way that a review has to carry.
const script = `set -e
echo more >> kept; echo new > new; rm gone; rm -r goneDir; mkdir -p made/deep; echo x > made/deep/x
mv moved elsewhere; ln -s kept link; rm swapped; mkdir swapped; echo in > swapped/in
rm -r wasDir; echo file > wasDir; rm -r again; mkdir again; echo only > again/only
chmod 755 kept; chmod 700 dir; : > empty; rm oldLink; echo real > oldLink
echo evil >> .git/config; mkdir .claude; echo evil > .claude/settings.json`

func fill(t *testing.T, dir string) {
	t.Helper()
	for _, f := range []string{"kept", "gone", "goneDir/a", "goneDir/b/c", "moved", "swapped", "wasDir/x", "again/one", "again/two", "dir/inner", ".git/config", "same"} {
		os.MkdirAll(filepath.Dir(filepath.Join(dir, f)), 0o755)
		if err := os.WriteFile(filepath.Join(dir, f), []byte("was "+f+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	os.Symlink("same", dir+"/oldLink")
}

func TestAReviewShowsAndAppliesWhatTheCommandDid(t *testing.T) {
	asEach(t, func(t *testing.T, w caller) {
		p, like := newPlace(t, w), newPlace(t, w)
		fill(t, p.workspace)
		fill(t, like.workspace)
		p.own(t, w)
		before := treeOf(t, p.workspace)
		// what a command does to a folder without a sandbox is what applying has to give
		if err := sh("umask 022; cd %s && sh -c '%s'", like.workspace, script); err != nil {
			t.Fatal(err)
		}
		c := p.config(w, "sh", "-c", "umask 022; "+script)
		c.Files = Review
		l := run(t, w, c, func(l *launch) { l.Look = true })
		if l.code != 0 {
			t.Fatalf("%s", l)
		}
		if now := treeOf(t, p.workspace); fmt.Sprint(now) != fmt.Sprint(before) {
			t.Errorf("the workspace changed without being told: %v", now)
		}
		var got []string
		for _, e := range l.exit.Edits {
			got = append(got, e.String())
		}
		for _, want := range []string{"changed  kept", "added    new", "removed  gone", "removed  goneDir", "added    made/", "added    made/deep/x", "removed  moved",
			"added    elsewhere", "added    link", "changed  swapped/", "added    swapped/in", "changed  wasDir", "changed  again/", "changed  .git/config", "added    .claude/settings.json"} {
			if !slices.Contains(got, want) {
				t.Errorf("not shown: %q in %q", want, got)
			}
		}
		for _, e := range l.exit.Edits {
			if e.AutoRun != (strings.HasPrefix(e.Path, ".claude") || e.Path == ".git/config") {
				t.Errorf("%s: others run it: %v", e, e.AutoRun)
			}
		}
		l = run(t, w, c, func(l *launch) { l.Apply = true })
		if l.code != 0 {
			t.Fatalf("%s", l)
		}
		now, want := treeOf(t, p.workspace), treeOf(t, like.workspace)
		for f := range want {
			if now[f] != want[f] {
				t.Errorf("%s: got %q, want %q", f, now[f], want[f])
			}
		}
		for f := range now {
			if want[f] == "" {
				t.Errorf("%s is there: %q", f, now[f])
			}
			if got, want := hostUser(t, filepath.Dir(filepath.Join(p.workspace, f))), hostUser(t, p.workspace); got != want {
				t.Errorf("%s belongs to %d, not to %d", filepath.Dir(f), got, want)
			}
		}
	})
}

// TestApplyingLeavesTheWorkspaceByNoLink has links in the workspace and among the
// edits that lead out of it.
func TestApplyingLeavesTheWorkspaceByNoLink(t *testing.T) {
	w := callers[2]
	p := newPlace(t, w)
	outside := filepath.Dir(p.home) + "/outside"
	os.Mkdir(outside, 0o777)
	os.Chmod(outside, 0o777)
	os.WriteFile(outside+"/victim", []byte("was\n"), 0o666)
	os.Chmod(outside+"/victim", 0o666)
	os.Mkdir(p.workspace+"/dir", 0o755)
	os.WriteFile(p.workspace+"/dir/victim", []byte("x"), 0o644)
	os.Mkdir(p.workspace+"/real", 0o755)
	os.WriteFile(p.workspace+"/real/victim", []byte("x"), 0o644)
	p.own(t, w)
	c := p.config(w, "sh", "-c", "rm -r dir; ln -s "+outside+" dir; ln -s "+outside+"/victim file; ln -s ../../outside rel; mkdir later; echo evil > later/victim; echo evil > real/victim; mkfifo pipe")
	c.Files = Review
	// folders become links on the machine before all is applied
	l := run(t, w, c, func(l *launch) {
		l.Apply = true
		l.Meanwhile = fmt.Sprintf("ln -s %[1]s %[2]s/later; rm -r %[2]s/real; ln -s %[1]s %[2]s/real", outside, p.workspace)
	})
	if b, _ := os.ReadFile(outside + "/victim"); string(b) != "was\n" {
		t.Errorf("a file outside was written: %q; %s", b, l)
	}
	if all, _ := os.ReadDir(outside); len(all) != 1 {
		t.Errorf("outside holds %v", all)
	}
	if _, err := os.Lstat(p.workspace + "/pipe"); err == nil {
		t.Error("a fifo was made")
	}
}

func TestOnlyWhatIsWantedIsApplied(t *testing.T) {
	w := callers[2]
	p := newPlace(t, w)
	c := p.config(w, "sh", "-c", "echo a > a; mkdir .claude; echo evil > .claude/x")
	c.Files = Review
	run(t, w, c, func(l *launch) { l.Apply, l.Safe = true, true })
	if got := fmt.Sprint(treeOf(t, p.workspace)); got != "map[a:-rw-r--r-- a\n]" {
		t.Errorf("got %s", got)
	}
}
