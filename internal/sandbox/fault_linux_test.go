package sandbox

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// steps returns the names of all steps of stage 1, as they stand in its source.
func steps(t *testing.T) []string {
	t.Helper()
	files, _ := filepath.Glob("*_linux.go")
	named := regexp.MustCompile(`(?:\.step\(|^\t\t\{)"([^"]+)", `)
	var all []string
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)`+named.String()).FindAllSubmatch(text, -1) {
			all = append(all, string(m[1]))
		}
	}
	return all
}

// TestTheCommandNeverStartsAfterAFault lets every step fail, one at a time.
func TestTheCommandNeverStartsAfterAFault(t *testing.T) {
	all := steps(t)
	for _, s := range []string{"network", "seccomp", "landlock", "no new privileges", "hide", "root", "ready", "go", "clone", "protect"} {
		if !slices.Contains(all, s) {
			t.Errorf("step %q was not found in the source", s)
		}
	}
	if len(all) < 25 {
		t.Fatalf("only %d steps: %q", len(all), all)
	}
	w := callers[0]
	for _, m := range []Mode{Overlay, Open} {
		for _, s := range all {
			t.Run(string(m)+"/"+s, func(t *testing.T) {
				t.Parallel()
				p := newPlace(t, w)
				c := p.config(w, "touch", "started")
				c.Files = m
				l := run(t, w, c, func(l *launch) { l.Fault = s })
				if _, err := os.Stat(p.workspace + "/started"); err == nil {
					t.Error("the command was started")
				}
				if l.code != failed || l.exit.Fault != s {
					t.Errorf("want code %d and the step, got %s", failed, l)
				}
			})
		}
	}
}
