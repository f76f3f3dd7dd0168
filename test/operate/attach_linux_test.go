package operate

import (
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"outvet/internal/sandbox/loopback/loopbacktest"
)

// inside runs curl in a namespace, which no proxy variable tells anything.
func inside(r *loopbacktest.Room, state string, args ...string) (string, error) {
	return r.Run("env", append([]string{"-i", "PATH=" + os.Getenv("PATH"), "curl", "-sS", "--max-time", "20",
		"--cacert", filepath.Join(state, "ca.pem")}, args...)...)
}

const (
	site    = "93.184.216.34" // allowed
	told    = "198.19.255.254:15001"
	sitesIn = "version: 1\ndefault: block\nrules:\n" +
		"  - {name: site, to: {cidrs: [93.184.216.0/24]}, method: GET, verdict: allow}\n" +
		"  - {name: name, to: example.com, method: GET, verdict: allow}\n"
	sitesOut = "version: 1\ndefault: block\nrules:\n  - {name: nobody, to: nobody.example, verdict: allow}\n"
)

// newAttached starts outvet before an origin, with a namespace attached.
func newAttached(t *testing.T, o *origin) (r *loopbacktest.Room, s *served, state, policy string) {
	t.Helper()
	dir := t.TempDir()
	r, state, policy = loopbacktest.New(t), filepath.Join(dir, "state"), filepath.Join(dir, "policy.yaml")
	write(t, policy, sitesIn)
	return r, attachTo(r, o, state, policy).serve(t), state, policy
}

func attachTo(r *loopbacktest.Room, o *origin, state, policy string) start {
	return start{line: append([]string{binary, "serve", "--listen", "127.0.0.1:0", "--console", "127.0.0.1:0", "--state", state, "--policy", policy,
		"--attach", "box=" + r.Path}, o.args()...)}
}

func TestAnAttachedNamespaceIsServedAndNothingElseIsReached(t *testing.T) {
	o := newOrigin(t, ok)
	r, s, state, policy := newAttached(t, o)
	if out, err := inside(r, state, "http://"+site+"/"); out != "origin" {
		t.Errorf("%q, %v", out, err)
	}
	if out, err := inside(r, state, "https://example.com/"); out != "origin" {
		t.Errorf("by name: %q, %v", out, err)
	}
	if out, err := inside(r, state, "https://other.example.com/"); !strings.Contains(out, "Blocked by egress policy") {
		t.Errorf("by another name: %q, %v", out, err)
	}
	if out, err := inside(r, state, "-x", "http://"+told, "https://example.com/"); out != "origin" {
		t.Errorf("by our own listener: %q, %v", out, err)
	}
	for _, url := range []string{"http://93.184.217.1/", "http://" + s.Console + "/healthz", "http://169.254.169.254/", "http://[2606:4700::1111]/"} {
		if out, err := inside(r, state, url); err == nil && !strings.Contains(out, "Blocked by egress policy") {
			t.Errorf("%s: %q", url, out)
		}
	}
	if out, err := inside(r, state, "-d", "x", "http://"+site+"/"); !strings.Contains(out, "Blocked by egress policy") {
		t.Errorf("a POST: %q, %v", out, err)
	}
	if out, err := inside(r, state, "smtp://10.0.0.1", "--mail-from", "a@b.example", "--mail-rcpt", "c@d.example", "-T", policy); !strings.Contains(out, "reset by peer") {
		t.Errorf("a raw connection: %q, %v", out, err)
	}
	out, code := outvet(t, "log", "search", "--state", state, "--json", "session:box")
	n := 0
	for d := json.NewDecoder(strings.NewReader(out)); ; n++ {
		var rec struct{ Listener, Grade string }
		if err := d.Decode(&rec); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err, out)
		}
		if rec.Listener != "sealed" && rec.Listener != "dns" || rec.Grade != "sealed-nofs" {
			t.Errorf("%+v", rec)
		}
	}
	if n < 6 || code != 0 {
		t.Errorf("%d records of the session: %d", n, code)
	}
	if out, code := outvet(t, "serve", "--listen", "127.0.0.1:0", "--console", "127.0.0.1:0", "--state", filepath.Join(t.TempDir(), "s"), "--policy", policy, "--attach", "box="+r.Path); code == 0 || !strings.Contains(out, "address already in use") {
		t.Errorf("attached twice: %d %s", code, out)
	}
	s.signal(t, syscall.SIGTERM, 20*time.Second)
	if out, err := inside(r, state, "http://"+site+"/"); err == nil || !strings.Contains(out, "(7)") {
		t.Errorf("nobody serves, and yet: %q, %v", out, err)
	}
	attachTo(r, o, state, policy).serve(t)
	if out, err := inside(r, state, "http://"+site+"/"); out != "origin" {
		t.Errorf("after a restart: %q, %v", out, err)
	}
	verified(t, state)
}

func TestWhatIsOpenInAnAttachedNamespaceIsCut(t *testing.T) {
	o := flood(t)
	for name, act := range map[string]func(s *served, state, policy string){
		"kill":   func(_ *served, state, _ string) { outvet(t, "kill", "--state", state) },
		"policy": func(_ *served, _, policy string) { write(t, policy, sitesOut) },
	} {
		t.Run(name, func(t *testing.T) {
			r, s, state, policy := newAttached(t, o)
			out := filepath.Join(t.TempDir(), "out")
			cmd := exec.Command("curl", "-sS", "--max-time", "30", "-o", out, "http://"+site+"/")
			if err := r.Start(cmd); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the download began", func() bool {
				st, err := os.Stat(out)
				return err == nil && st.Size() > 0
			})
			act(s, state, policy)
			err := cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code == 0 || code == 28 { // 28: its own time was over
				t.Errorf("curl ended with %v", err)
			}
			if out, _ := inside(r, state, "http://"+site+"/"); !strings.Contains(out, "Blocked") {
				t.Errorf("%q", out)
			}
		})
	}
}

func TestWhatCannotBeAttachedIsSaid(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--attach", "/nonexistent/box"}, 1, "/nonexistent/box"},
		{[]string{"--attach", "/proc/self/ns/net"}, 2, "name the session"},
		{[]string{"--attach", "me=/proc/self/ns/net"}, 1, "outvet itself"},
		{[]string{"--attach", "127.0.0.1=/run/netns/x"}, 2, "address"},
		{[]string{"--attach", "a="}, 2, "give the path"},
		{[]string{"--attach", "a=/run/netns/x", "--attach", "a=/run/netns/y"}, 2, "another namespace"},
		{[]string{"--attach-node", "10.0.0.1"}, 2, "no --attach"},
		{[]string{"--attach", "a=/run/netns/x", "--attach-node", "node"}, 2, "give an address"},
	} {
		out, code := outvet(t, append([]string{"serve", "--listen", "127.0.0.1:0", "--console", "127.0.0.1:0", "--state", filepath.Join(t.TempDir(), "s"), "--policy", policyFile(t)}, c.args...)...)
		if code == 0 || c.code == 2 && code != 2 || !strings.Contains(out, c.want) {
			t.Errorf("%v: %d %s", c.args, code, out)
		}
	}
}
