package sandbox

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
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

// TestEachLackHasItsSentence has what this machine cannot be made to lack.
func TestEachLackHasItsSentence(t *testing.T) {
	settings := func(all ...string) func(string) string {
		return func(name string) string {
			for i := 0; i < len(all); i += 2 {
				if all[i] == name {
					return all[i+1]
				}
			}
			return ""
		}
	}
	for _, c := range []struct {
		fault   fault
		mode    Mode
		session string
		setting func(string) string
		want    string
		cure    string
	}{
		{fault{Step: "clone", Errno: unix.EPERM}, Overlay, "", settings("kernel/apparmor_restrict_unprivileged_userns", "1"), "AppArmor denies user namespaces to outvet", "apparmor_parser -r /etc/apparmor.d/outvet"},
		{fault{Step: "private mounts", Errno: unix.EPERM}, Overlay, "", settings("kernel/apparmor_restrict_unprivileged_userns", "1"), "AppArmor denies user namespaces to outvet", "apparmor_parser"},
		{fault{Step: "network", Errno: unix.EPERM}, Overlay, "", settings("kernel/apparmor_restrict_unprivileged_userns", "1"), "AppArmor denies user namespaces to outvet", "apparmor_parser"},
		{fault{Step: "clone", Errno: unix.EPERM}, Overlay, "", settings("kernel/unprivileged_userns_clone", "0"), "this kernel allows user namespaces to root only", "sysctl -w kernel.unprivileged_userns_clone=1"},
		{fault{Step: "clone", Errno: unix.ENOSPC}, Overlay, "", settings("user/max_user_namespaces", "0"), "user.max_user_namespaces is 0", "sysctl -w user.max_user_namespaces=10000"},
		{fault{Step: "clone", Errno: unix.EPERM}, Overlay, "", settings(), "the container engine denies user namespaces", "outvet attach on the host"},
		{fault{Step: "clone", Errno: unix.EINVAL}, Overlay, "", settings(), "this kernel has no user namespaces", ""},
		{fault{Step: "clone", Errno: unix.EPERM}, Overlay, "blue-fox", settings(), "already inside an outvet sandbox (blue-fox)", "run the command itself"},
		{fault{Step: "network", Errno: unix.EAFNOSUPPORT}, Overlay, "blue-fox", settings(), "already inside an outvet sandbox (blue-fox)", "run the command itself"},
		{fault{Step: "network", Errno: unix.ENOENT}, Overlay, "", settings(), "this kernel has no nf_tables tproxy", "nf_tables and nft_tproxy"},
		{fault{Step: "proc", Errno: unix.EPERM}, Overlay, "", settings(), "the container engine denies a new /proc", "outvet serve as a gateway"},
		{fault{Step: "layers", Path: "/usr", Errno: unix.EPERM}, Overlay, "", settings(), "/usr cannot be overlaid", "--fs strict, or --fs open (grade sealed-nofs)"},
		{fault{Step: "layers", Path: "/usr", Errno: unix.EPERM}, Strict, "", settings(), "/usr cannot be overlaid", "use --fs open (grade sealed-nofs)"},
		{fault{Step: "seccomp", Errno: unix.ENOSYS}, Overlay, "", settings(), "this kernel has no seccomp filter", ""},
		{fault{Step: "seccomp", Errno: unix.EINVAL}, Overlay, "", settings(), "this kernel has no seccomp filter", ""},
	} {
		t.Setenv("OUTVET_SESSION", c.session)
		c.fault.Text = "what the kernel says"
		r := refusal(&c.fault, Config{Files: c.mode}, c.setting)
		if r == nil || r.What != c.want || !strings.Contains(r.Cure, c.cure) || (r.Cure == "") != (c.cure == "") {
			t.Errorf("%v in mode %s: %+v, want %q", &c.fault, c.mode, r, c.want)
		}
	}
	if r := refusal(&fault{Step: "root", Errno: unix.EIO}, Config{}, settings()); r != nil {
		t.Errorf("a fault of our own is given a cure: %+v", r)
	}
}

func TestAProbeLeavesNothing(t *testing.T) {
	p := newPlace(t, callers[0])
	if err := Probe(t.Context(), p.config(callers[0], "touch", p.workspace+"/started")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	if all, _ := os.ReadDir(p.workspace); len(all) > 0 {
		t.Errorf("the workspace has %v", all)
	}
	c := p.config(callers[0], "true")
	c.Workspace = "/"
	var r *Refusal
	if err := Probe(t.Context(), c); !errors.As(err, &r) {
		t.Errorf("got %v", err)
	}
}

func TestTheEndOfTheContextEndsTheSandbox(t *testing.T) {
	p := newPlace(t, callers[0])
	ctx, cancel := context.WithCancel(t.Context())
	s, err := Run(ctx, p.config(callers[0], "sleep", "1000"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Go(); err != nil {
		t.Fatal(err)
	}
	cancel()
	if e, err := s.Wait(); err != nil || e.Code != 137 {
		t.Errorf("%+v %v", e, err)
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
