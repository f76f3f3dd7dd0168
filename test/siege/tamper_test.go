package siege

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A log of two sessions of serve, with some hundred entries.
func filledState(t *testing.T) string {
	dir := newState(t, allowing)
	web := newStrict(t)
	for round := range 2 {
		s := serve(t, dir, to("", "80", web.port)...)
		for i := range 3 {
			raw := strings.Repeat(fmt.Sprintf("GET http://ok.example/%d/%d HTTP/1.1\r\nHost: ok.example\r\n\r\n", round, i), 50)
			if x := send(t, s.Proxy, []byte(raw), 4*time.Second); len(x.status) != 50 {
				t.Fatalf("%d answers of 50", len(x.status))
			}
		}
		s.stop()
	}
	return dir
}

// Each file of the log, changed in each of the ways that somebody could: verify
// says so with exit code 1, and names an index or the file.
func TestEveryChangeOfTheLogIsFound(t *testing.T) {
	t.Parallel()
	base := filledState(t)
	verified(t, base)
	var files []string
	filepath.WalkDir(filepath.Join(base, "log"), func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			rel, _ := filepath.Rel(base, path)
			files = append(files, rel)
		}
		return err
	})
	t.Logf("files: %q", files)
	flip := func(at func(n int) int) func([]byte) []byte {
		return func(b []byte) []byte {
			if len(b) > 0 {
				b[at(len(b))] ^= 0x01
			}
			return b
		}
	}
	for _, harm := range []struct {
		name string
		do   func([]byte) []byte // nil: remove
	}{
		{"remove", nil},
		{"empty", func([]byte) []byte { return []byte{} }},
		{"flip the first", flip(func(int) int { return 0 })},
		{"flip the middle", flip(func(n int) int { return n / 2 })},
		{"flip the last", flip(func(n int) int { return n - 1 })},
		{"cut the last byte", func(b []byte) []byte { return b[:max(0, len(b)-1)] }},
		{"cut the half", func(b []byte) []byte { return b[:len(b)/2] }},
		{"append a byte", func(b []byte) []byte { return append(b, 'x') }},
		{"append itself", func(b []byte) []byte { return append(b, b...) }},
		{"zero", func(b []byte) []byte { return make([]byte, len(b)) }},
		{"swap the halves", func(b []byte) []byte { return append(bytes.Clone(b[len(b)/2:]), b[:len(b)/2]...) }},
	} {
		for _, file := range files {
			name := harm.name + "/" + file
			if untold(file, harm.name) {
				continue
			}
			dir := copied(t, base)
			path := filepath.Join(dir, file)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if harm.do == nil {
				os.Remove(path)
			} else {
				after := harm.do(bytes.Clone(b))
				if bytes.Equal(after, b) {
					continue
				}
				os.WriteFile(path, after, 0o600)
			}
			code, out, errs := outvet(t, "log", "verify", "--state", dir, "--json")
			var report struct {
				OK     bool
				Index  *int64
				Damage string
			}
			if err := json.Unmarshal([]byte(out), &report); err != nil {
				t.Errorf("%s: verify --json prints %q %s", name, out, errs)
				continue
			}
			hold(t, "tamper/"+name, code == 1 && !report.OK, "verify: exit %d %s", code, out)
			if code == 1 {
				hold(t, "named/"+name, report.Index != nil || strings.Contains(report.Damage, filepath.Base(file)), "neither index nor file is named: %s", report.Damage)
			}
		}
	}
}

// untold reports whether a change tells nothing about the entries: the lock,
// what is computed from the entries again, a partial tile that a larger one has
// replaced, and a torn end of the history of checkpoints.
func untold(file, harm string) bool {
	switch file {
	case "log/lock", "log/sessions":
		return true
	case "log/checkpoints":
		return harm == "append a byte"
	}
	return harm == "remove" && file == "log/tile/1/000.p/1"
}

// serve does not go on upon a log that was changed in the middle.
func TestServeRefusesAChangedLog(t *testing.T) {
	t.Parallel()
	base := filledState(t)
	var entries string
	filepath.WalkDir(filepath.Join(base, "log"), func(path string, d os.DirEntry, err error) error {
		if err == nil && strings.Contains(path, "entries") && d.Type().IsRegular() && entries == "" {
			entries, _ = filepath.Rel(base, path)
		}
		return err
	})
	dir := copied(t, base)
	path := filepath.Join(dir, entries)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/3] ^= 1
	os.WriteFile(path, b, 0o600)
	s, err := tryServe(t, dir, nil)
	if err == nil { // then the damage must stay found
		s.stop()
		code, _, _ := outvet(t, "log", "verify", "--state", dir)
		hold(t, "a changed log stays found", code == 1, "serve went on upon %s and verify says %d", entries, code)
		return
	}
	t.Logf("%s", s.Errs)
}
