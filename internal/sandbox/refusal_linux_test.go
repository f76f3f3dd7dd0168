package sandbox

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestARefusalSaysWhatIsMissing takes one feature of the kernel away at a time.
func TestARefusalSaysWhatIsMissing(t *testing.T) {
	for _, c := range []struct{ deny, says string }{
		{"user namespaces", "cannot seal this command: the container engine denies user namespaces\n"},
		{"user namespaces: too many", "cannot seal this command: user.max_user_namespaces is "},
		{"netfilter", "cannot seal this command: this kernel has no nf_tables tproxy\n"},
		{"mount", "cannot seal this command: the container engine denies user namespaces\n"},
		{"seccomp", "cannot seal this command: this kernel has no seccomp filter\n"},
	} {
		asEach(t, func(t *testing.T, w caller) {
			t.Run(c.deny, func(t *testing.T) {
				p := newPlace(t, w)
				l := run(t, w, p.config(w, "touch", "started"), func(l *launch) { l.Deny = c.deny; l.NNP = w.uid != 0 })
				if l.code != failed || !strings.Contains(l.exit.Refusal, c.says) || !strings.HasSuffix(l.exit.Refusal, "\n  nothing was started\n") ||
					!strings.HasPrefix(l.exit.Refusal, "outvet: cannot seal") || !strings.Contains(l.exit.Refusal, "\n  cause  ") {
					t.Errorf("want %q, got %s", c.says, l)
				}
				if _, err := os.Stat(p.workspace + "/started"); err == nil {
					t.Error("the command was started")
				}
			})
		})
	}
}

func TestRootsWorkspaceNeedsAFileSystemThatMapsUsers(t *testing.T) {
	w := callers[0]
	p := newPlace(t, w)
	l := run(t, w, p.config(w, "true"), func(l *launch) { l.Deny = "idmap" })
	if l.code != failed || !strings.Contains(l.exit.Refusal, "belongs to root, and root cannot be sandboxed as root\n") || !strings.Contains(l.exit.Refusal, "--user NAME") {
		t.Errorf("%s", l)
	}
}

func TestAKernelWithoutLandlockStillSeals(t *testing.T) {
	w := callers[0]
	p := newPlace(t, w)
	if l := run(t, w, p.config(w, "true"), func(l *launch) { l.Deny = "landlock" }); l.code != 0 {
		t.Errorf("%s", l)
	}
}

func TestADangerousWorkspaceIsRefused(t *testing.T) {
	w := callers[0]
	p := newPlace(t, w)
	link := filepath.Join(p.home, "link")
	if err := os.Symlink(p.home, link); err != nil {
		t.Fatal(err)
	}
	inside := p.state + "/keys"
	for workspace, says := range map[string]string{
		"/":                      "is the root of the machine",
		p.home:                   "is the home directory, or above it",
		filepath.Dir(p.home):     "is the home directory, or above it",
		link:                     "is the home directory, or above it",
		p.state:                  "is where outvet keeps its keys, or above it",
		inside:                   "is where outvet keeps its keys, or above it",
		filepath.Dir(p.state):    "is where outvet keeps its keys, or above it",
		"/usr/share":             "is the system's",
		"/proc":                  "is the system's",
		p.home + "/not/there":    "no such file or directory",
		p.home + "/.netrc":       "is not a directory",
		p.workspace + "/../work": "",
	} {
		c := p.config(w, "true")
		c.Workspace = workspace
		l := run(t, w, c)
		if says == "" {
			if l.code != 0 {
				t.Errorf("%s: %s", workspace, l)
			}
			continue
		}
		if l.code != failed || !strings.Contains(l.exit.Error, says) {
			t.Errorf("%s: want %q, got %s", workspace, says, l)
		}
	}
}

func TestRootIsNeverTheCommandsUser(t *testing.T) {
	w := callers[0]
	for _, user := range []string{"root", "0"} {
		p := newPlace(t, w)
		c := p.config(w, "id")
		c.User = user
		if l := run(t, w, c); l.code != failed || !strings.Contains(l.exit.Refusal, "root cannot be sandboxed as root\n") || !strings.Contains(l.exit.Refusal, "  cure   run as another user: --user NAME\n") {
			t.Errorf("%s: %s", user, l)
		}
	}
	t.Run("sudo", func(t *testing.T) {
		p := newPlace(t, w)
		c := p.config(w, "id", "-u")
		l := run(t, w, c)
		if strings.TrimSpace(l.out) == "0" {
			t.Error(l)
		}
	})
	p := newPlace(t, callers[2])
	c := p.config(callers[2], "id")
	c.User = "root"
	if l := run(t, callers[2], c); !strings.Contains(l.exit.Refusal, `only root can run a command as "root"`) {
		t.Errorf("%s", l)
	}
}

// TestOutvetInsideOutvetSaysSo runs the launcher inside a sandbox.
func TestOutvetInsideOutvetSaysSo(t *testing.T) {
	w := callers[0]
	p := newPlace(t, w)
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.workspace+"/inner", self, 0o755); err != nil {
		t.Fatal(err)
	}
	p.own(t, w)
	inner := `{"Config":{"Command":["true"],"Workspace":"` + p.workspace + `","State":"/var/cache","Home":"` + p.home + `"}}`
	c := p.config(w, "sh", "-c", "./inner 3>&1")
	c.Env = append(c.Env, "OUTVET_SESSION=blue-fox", launcherVariable+"="+inner)
	if l := run(t, w, c); l.code != failed || !strings.Contains(l.out, "already inside an outvet sandbox (blue-fox)") || !strings.Contains(l.out, "run the command itself: the outer sandbox holds it") {
		t.Errorf("%s", l)
	}
}
