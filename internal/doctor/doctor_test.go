package doctor

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"outvet/internal/ca"
	"outvet/internal/sandbox/trust"
)

func options(t *testing.T) Options {
	t.Helper()
	a, err := ca.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	user := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home}
	k, err := trust.Make(trust.Options{CA: a.PEM(), Env: user, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return Options{TLS: a.TLSConfig(func(*tls.ClientHelloInfo) (string, error) { return "localhost", nil }), Kit: k, Env: user}
}

func only(checks []Check, names ...string) (some []Check) {
	for _, c := range checks {
		for _, n := range names {
			if c.Name == n {
				some = append(some, c)
			}
		}
	}
	return some
}

var few = []string{"curl", "wget", "git", "openssl", "python", "python-requests", "node", "npm", "pip", "java"}

func TestProgramsAreReallyTried(t *testing.T) {
	checks, end, err := Trust(options(t))
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	tried := 0
	for _, r := range Run(t.Context(), only(checks, few...)) {
		if r.State == Failed {
			t.Errorf("%+v", r)
		}
		if r.State == OK {
			tried++
		}
	}
	if tried == 0 {
		t.Error("no program is installed: this proves nothing")
	}
}

// A kit of another authority is a plain way to be distrusted.
func TestAProgramThatDistrustsUsGetsCauseAndCure(t *testing.T) {
	o := options(t)
	o.Kit = options(t).Kit
	checks, end, err := Trust(o)
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	failed := 0
	for _, r := range Run(t.Context(), only(checks, few...)) {
		if r.State == OK {
			t.Errorf("%s is said to trust us, and cannot", r.Name)
		}
		if r.State == Failed {
			failed++
			if r.Cause == "" || r.Cure == "" {
				t.Errorf("%+v", r)
			}
		}
	}
	if failed == 0 {
		t.Error("nothing failed")
	}
}

func TestWhatIsNotInstalledIsSkipped(t *testing.T) {
	o := options(t)
	checks, end, err := Trust(o)
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	t.Setenv("PATH", t.TempDir())
	for _, r := range Run(t.Context(), checks) {
		if r.State != Skipped {
			t.Errorf("%+v", r)
		}
	}
}

// A shim of a version manager without a version is no program that distrusts us.
func TestAProgramThatDoesNotEvenConnectIsSkipped(t *testing.T) {
	r := options(t).try(t.Context(), program{name: "shim", needs: "sh", args: []string{"sh", "-c", "echo choose a version first; exit 1"}}, t.TempDir())
	if r.State != Skipped || !strings.Contains(r.What, "choose a version first") {
		t.Errorf("%+v", r)
	}
}

func TestAProgramThatHangsEndsWithItsChildren(t *testing.T) {
	o := options(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	r := o.try(ctx, program{name: "hang", needs: "sh", args: []string{"sh", "-c", "sleep 100 & sleep 100"}}, t.TempDir())
	if r.State != Failed || time.Since(start) > Limit {
		t.Errorf("%+v", r)
	}
}

func TestFilesThatTakeTrustAwayAreFound(t *testing.T) {
	vars := []string{"NODE_EXTRA_CA_CERTS=/x", "SSL_CERT_FILE=/x"}
	for file, want := range map[string]string{
		".envrc":             ".envrc:2 (NODE_EXTRA_CA_CERTS)",
		".env":               ".env:2 (SSL_CERT_FILE)",
		".npmrc":             ".npmrc:2 (cafile)",
		".cargo/config.toml": ".cargo/config.toml:2 (cainfo)",
	} {
		dir := t.TempDir()
		if r := Overrides(dir, vars).Do(t.Context()); r.State != OK {
			t.Errorf("an empty workspace: %+v", r)
		}
		text := map[string]string{".envrc": "export A=1\nexport NODE_EXTRA_CA_CERTS=/corp.pem\n", ".env": "#\n SSL_CERT_FILE = \"x\"\n", ".npmrc": "fund=false\ncafile=/corp.pem\n", ".cargo/config.toml": "[http]\ncainfo = \"x\"\n"}[file]
		p := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if r := Overrides(dir, vars).Do(t.Context()); r.State != Failed || r.Cause != want || r.Cure == "" {
			t.Errorf("%s: %+v, want %s", file, r, want)
		}
	}
}

func TestAStateDirectoryThatAgentsReachFails(t *testing.T) {
	dir := t.TempDir()
	state := filepath.Join(dir, "w", "state")
	if err := os.MkdirAll(state, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "w"), filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for workspace, want := range map[string]State{filepath.Join(dir, "w"): Failed, filepath.Join(dir, "link"): Failed, filepath.Join(dir, "other"): OK, state: Failed, filepath.Join(dir, "w", "st"): OK} {
		if r := StateDir(state, workspace).Do(t.Context()); r.State != want {
			t.Errorf("workspace %s: %+v", workspace, r)
		}
	}
	if err := os.Chmod(state, 0o755); err != nil {
		t.Fatal(err)
	}
	if r := StateDir(state, "/other").Do(t.Context()); r.State != Failed || !strings.Contains(r.Cure, "chmod 700") {
		t.Errorf("%+v", r)
	}
}

func TestAnAuthorityThatEndsSoonFails(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		from, to time.Duration
		want     State
	}{"good": {-time.Hour, 365 * 24 * time.Hour, OK}, "soon": {-time.Hour, 24 * time.Hour, Failed}, "over": {-2 * time.Hour, -time.Hour, Failed}, "early": {time.Hour, 1000 * time.Hour, Failed}} {
		r := Authority(&x509.Certificate{NotBefore: now.Add(c.from), NotAfter: now.Add(c.to)}).Do(t.Context())
		if r.State != c.want || r.State == Failed && r.Cure == "" {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestATerminalCanBeMade(t *testing.T) {
	if r := Terminal().Do(t.Context()); r.State != OK {
		t.Errorf("%+v", r)
	}
}

func TestChecksRunAFewAtATimeAndKeepTheirOrder(t *testing.T) {
	var now, most atomic.Int32
	var checks []Check
	for _, n := range strings.Split("abcdefghijklmnop", "") {
		checks = append(checks, Check{n, func(context.Context) Result {
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(5 * time.Millisecond)
			now.Add(-1)
			return Result{State: OK}
		}})
	}
	var order strings.Builder
	for _, r := range Run(t.Context(), checks) {
		order.WriteString(r.Name)
	}
	if order.String() != "abcdefghijklmnop" || most.Load() > atOnce || most.Load() < 2 {
		t.Errorf("order %s, %d at a time", order.String(), most.Load())
	}
}

func TestTheFormIsThatOfTheDocumentation(t *testing.T) {
	results := []Result{{Name: "curl", State: OK, What: "trusts", MS: 31}, {Name: "node", State: Failed, What: "does not", Cause: "Error: \x1b[31mself-signed", Cure: "set IT", MS: 9}, {Name: "deno", State: Skipped, What: "not installed"}}
	var b bytes.Buffer
	if err := Print(&b, results); err != nil {
		t.Fatal(err)
	}
	want := "ok      curl                 trusts" + strings.Repeat(" ", 43) + "    31 ms\n" +
		"failed  node                 does not\n  cause  Error:  [31mself-signed\n  cure   set IT\n" +
		"skipped deno                 not installed\n"
	if b.String() != want {
		t.Errorf("%q\nwant\n%q", b.String(), want)
	}
	if Healthy(results) || !Healthy(results[:1]) || !Healthy(results[2:]) {
		t.Error("healthy is not the absence of failures")
	}
	j, err := json.Marshal(results[2])
	if err != nil || string(j) != `{"name":"deno","state":"skipped","what":"not installed","ms":0}` {
		t.Errorf("%s %v", j, err)
	}
}

func TestTheCommandMayRunElsewhere(t *testing.T) {
	o := options(t)
	var args []string
	o.Command = func(ctx context.Context, a, env []string) *exec.Cmd {
		args = a
		return exec.CommandContext(ctx, "false")
	}
	checks, end, err := Trust(o)
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	if r := Run(t.Context(), only(checks, "curl")); len(args) == 0 && r[0].State != Skipped {
		t.Errorf("%+v", r)
	}
}
