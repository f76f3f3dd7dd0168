package kill_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"outvet/internal/kill"
)

func at(t *testing.T) (kill.Switch, string) {
	t.Helper()
	dir := t.TempDir()
	return kill.Switch{Dir: dir}, filepath.Join(dir, kill.Name)
}

func pulled(t *testing.T, s kill.Switch) *kill.Notice {
	t.Helper()
	n, err := s.Read()
	if err != nil || n == nil {
		t.Fatalf("the switch is not pulled: %v, %v", n, err)
	}
	return n
}

func TestWhatPullsTheSwitchIsReadBack(t *testing.T) {
	s, path := at(t)
	if n, err := s.Read(); n != nil || err != nil {
		t.Fatalf("pulled by nobody: %v, %v", n, err)
	}
	want := kill.Notice{By: "ada", How: "outvet kill", Why: "odd: traffic", At: time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)}
	if err := s.Pull(want); err != nil {
		t.Fatal(err)
	}
	if got := pulled(t, s); *got != want {
		t.Errorf("%+v, want %+v", *got, want)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := s.Pull(kill.Notice{By: "bob", Why: "later"}); err != nil || pulled(t, s).By != "ada" {
		t.Errorf("the first reason does not stand: %v", err)
	}
	if err := s.Lift(); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Read(); n != nil || err != nil {
		t.Errorf("%v, %v", n, err)
	}
	if err := s.Lift(); err != nil {
		t.Errorf("a second lift: %v", err)
	}
}

func TestAnythingOfTheNamePullsTheSwitch(t *testing.T) {
	for what, put := range map[string]func(path string) error{
		"an empty file":  func(p string) error { return os.WriteFile(p, nil, 0o644) },
		"a reason alone": func(p string) error { return os.WriteFile(p, []byte("stop it\n"), 0o644) },
		"a folder":       func(p string) error { return os.Mkdir(p, 0o755) },
		"a dangling link": func(p string) error {
			return os.Symlink(filepath.Join(filepath.Dir(p), "nothing"), p)
		},
		"a link to a secret": func(p string) error { return os.Symlink("/etc/passwd", p) },
		"bytes that are no text": func(p string) error {
			return os.WriteFile(p, []byte("\xff\x00\x1b[31mred\nby: \xfe\n"), 0o644)
		},
		"a very long reason": func(p string) error { return os.WriteFile(p, []byte(strings.Repeat("long ", 1e5)), 0o644) },
	} {
		s, path := at(t)
		if err := put(path); err != nil {
			t.Fatal(err)
		}
		n := pulled(t, s)
		if n.By == "" || n.How != kill.ByFile || n.At.IsZero() || len(n.Why) > kill.Max || strings.ContainsAny(n.Why, "\x00\x1b\n") {
			t.Errorf("%s: %+v", what, *n)
		}
		if what == "a reason alone" && n.Why != "stop it" {
			t.Errorf("reason %q", n.Why)
		}
		if strings.Contains(n.Why, "root:") {
			t.Errorf("%s was followed: %q", what, n.Why)
		}
		if err := s.Lift(); err != nil {
			t.Errorf("%s cannot be lifted: %v", what, err)
		}
	}
}

func TestSwitchThatCannotBeLookedAtIsAnError(t *testing.T) {
	s, _ := at(t)
	for what, dir := range map[string]string{
		"a folder that is gone": filepath.Join(s.Dir, "gone"),
		"a file for a folder":   os.Args[0],
		"a name that cannot be": filepath.Join(s.Dir, strings.Repeat("x", 300)),
	} {
		if n, err := (kill.Switch{Dir: dir}).Read(); err == nil {
			t.Errorf("%s: %v", what, n)
		}
	}
}

func TestWatchNoticesAtOnceAndWithoutAnyReport(t *testing.T) {
	for name, dir := range map[string]func(s kill.Switch) string{
		"reported":     func(s kill.Switch) string { return s.Dir },
		"not reported": func(s kill.Switch) string { return filepath.Join(s.Dir, "later") }, // not there when watching begins
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := at(t)
			s.Dir = dir(s)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			seen := make(chan struct{}, 100)
			go s.Watch(ctx, func() {
				if n, _ := s.Read(); n != nil {
					seen <- struct{}{}
				}
			})
			time.Sleep(20 * time.Millisecond)
			if err := os.MkdirAll(s.Dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := s.Pull(kill.Notice{By: "ada"}); err != nil {
				t.Fatal(err)
			}
			select {
			case <-seen:
			case <-time.After(time.Second):
				t.Error("not noticed within a second")
			}
		})
	}
}

func FuzzContent(f *testing.F) {
	for _, s := range []string{"", "reason", "why\nby: ada\nhow: outvet kill\nat: 2026-11-20T10:00:00Z\n", "\n\nby:by:\n", "x\nat: never", "\xff\nby: \xff", "a\r\nby:\tb\r\n"} {
		f.Add([]byte(s))
	}
	dir := f.TempDir()
	s := kill.Switch{Dir: dir}
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(filepath.Join(dir, kill.Name), b, 0o600); err != nil {
			t.Fatal(err)
		}
		n := pulled(t, s)
		for _, w := range []string{n.By, n.How, n.Why} {
			if len(w) > kill.Max || !utf8.ValidString(w) || strings.ContainsAny(w, "\n\r\x00\x1b") {
				t.Errorf("%q", w)
			}
		}
		if n.By == "" || n.How == "" || n.At.IsZero() {
			t.Errorf("%+v", *n)
		}
		// What is read is what would be written.
		if err := s.Lift(); err != nil {
			t.Fatal(err)
		}
		n.At = n.At.Truncate(time.Second)
		if err := s.Pull(*n); err != nil {
			t.Fatal(err)
		}
		if again := pulled(t, s); *again != *n {
			t.Errorf("%+v became %+v", *n, *again)
		}
	})
}

// TestFullDiskDoesNotKeepTheSwitchFromBeingPulled needs a disk of its own.
func TestFullDiskDoesNotKeepTheSwitchFromBeingPulled(t *testing.T) {
	s, path := at(t)
	if err := syscall.Mount("tmpfs", s.Dir, "tmpfs", 0, "size=4k"); err != nil {
		t.Skipf("no disk to fill: %v", err)
	}
	defer syscall.Unmount(s.Dir, syscall.MNT_DETACH)
	if err := os.WriteFile(filepath.Join(s.Dir, "full"), make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.Dir, "more"), make([]byte, 1), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
	if err := s.Pull(kill.Notice{By: "ada", Why: "odd"}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	pulled(t, s)
	if left, _ := filepath.Glob(filepath.Join(s.Dir, ".kill-*")); left != nil {
		t.Errorf("left behind: %v", left)
	}
	if err := s.Lift(); err != nil {
		t.Error(err)
	}
}
