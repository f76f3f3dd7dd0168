// Package siege attacks the real binary as a whole: hostile HTTP, servers and
// clients that break off anywhere, crashes, a full disk, a log that somebody
// changed, and a command line in the hands of a newcomer.
//
// What is known not to hold stands in open, with the reason; the suite passes
// with it, and fails when it begins to hold, so that the list is kept true.
package siege

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// open is what does not hold yet: name of the check, and why it matters.
var open = map[string]string{
	"json/policy schema": "has no --json",
	"full output/--help": "an error of writing help is not noticed",
}

// hold checks one promise. A promise in open may be broken.
func hold(t *testing.T, name string, ok bool, format string, args ...any) {
	t.Helper()
	why, isOpen := open[name]
	switch {
	case ok && isOpen:
		t.Errorf("%s holds now: take it out of open", name)
	case !ok && isOpen:
		t.Logf("open: %s: %s (%s)", name, fmt.Sprintf(format, args...), why)
	case !ok:
		t.Errorf("%s: %s", name, fmt.Sprintf(format, args...))
	}
}

// binary is where TestMain built outvet.
var binary string

func TestMain(m *testing.M) { os.Exit(build(m)) }

func build(m *testing.M) int {
	dir, err := os.MkdirTemp("", "outvet-siege")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "outvet")
	cmd := exec.Command("go", "build", "-o", binary, "outvet/cmd/outvet")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%s%v\n", out, err)
		return 1
	}
	return m.Run()
}
