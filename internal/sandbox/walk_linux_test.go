package sandbox

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAWalkFindsWhatConcernsTheSandbox(t *testing.T) {
	dir := t.TempDir()
	for _, f := range []string{".git/config", ".git/objects/aa/bb", ".git/modules/m/config", "a/.git/hooks/x", "a/.envrc", ".github/workflows/ci.yml", ".github/CODEOWNERS",
		"deep/" + strings.Repeat("d/", 30) + ".envrc", "config", "hooks/x", "notgit/.gitx/config", ".husky/pre-commit"} {
		os.MkdirAll(filepath.Dir(filepath.Join(dir, f)), 0o755)
		os.WriteFile(filepath.Join(dir, f), nil, 0o644)
	}
	os.Symlink("/", dir+"/root")
	os.Symlink("/bin/sh", dir+"/.mcp.json")
	unix.Mkfifo(dir+"/a/fifo", 0o600)
	l, err := net.Listen("unix", dir+"/.git/objects/s")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	w, err := walk(dir, "", AutoRun())
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(w.named)
	slices.Sort(w.pinned)
	slices.Sort(w.sockets)
	if got, want := fmt.Sprint(w.named), fmt.Sprint([]string{".git/config", ".github/workflows", ".husky", "a/.envrc", "a/.git/hooks", "deep/" + strings.Repeat("d/", 30) + ".envrc"}); got != want {
		t.Errorf("named\n%s\n%s", got, want)
	}
	if got := fmt.Sprint(w.pinned); got != "[.git .github a/.git]" {
		t.Errorf("pinned %s", got)
	}
	if got := fmt.Sprint(w.sockets); got != "[.git/objects/s a/fifo]" {
		t.Errorf("sockets %s", got)
	}
	for _, f := range []string{".mcp.json", "a/.git/hooks/x", ".husky/pre-commit"} {
		if _, ok := w.autorun[f]; !ok {
			t.Errorf("%s is not watched", f)
		}
	}
}

func TestRepositoriesOfOtherNamesAreKnown(t *testing.T) {
	dir := t.TempDir()
	for _, f := range []string{".git/modules/m/HEAD", ".git/modules/m/config", ".git/modules/m/hooks/pre-commit", ".git/modules/m/objects/x", ".git/modules/m/refs/x",
		"bare/HEAD", "bare/config", "bare/objects/x", "bare/refs/x", "none/HEAD", "none/config", "none/objects/x", ".git/HEAD", ".git/config", ".git/objects/x", ".git/refs/x"} {
		os.MkdirAll(filepath.Dir(filepath.Join(dir, f)), 0o755)
		os.WriteFile(filepath.Join(dir, f), nil, 0o644)
	}
	w, err := walk(dir, "", AutoRun())
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(w.named)
	slices.Sort(w.pinned)
	if got := fmt.Sprint(w.named); got != "[.git/config .git/modules/m/config .git/modules/m/hooks bare/config]" {
		t.Errorf("named %s", got)
	}
	if got := fmt.Sprint(w.pinned); got != "[.git .git/modules/m bare]" {
		t.Errorf("pinned %s", got)
	}
	if _, ok := w.autorun[".git/modules/m/hooks/pre-commit"]; !ok {
		t.Error("a hook of a module is not watched")
	}
}

func TestAFolderTooDeepToLookIntoIsWatched(t *testing.T) {
	dir := t.TempDir()
	deep := dir + strings.Repeat("/d", walkDepth+3)
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	w, err := walk(dir, "", AutoRun())
	if _, ok := w.autorun[strings.Repeat("d/", walkDepth)+"d"]; err != nil || !ok || len(w.autorun) != 1 {
		t.Errorf("%v %v", w.autorun, err)
	}
}

func BenchmarkWalk(b *testing.B) {
	dir := b.TempDir()
	for i := range 1000 {
		d := fmt.Sprintf("%s/%d/%d", dir, i/32, i)
		os.MkdirAll(d, 0o755)
		for j := range 20 {
			os.WriteFile(fmt.Sprintf("%s/file%d.go", d, j), nil, 0o644)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := walk(dir, "", AutoRun()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/21000, "ns/file")
}
