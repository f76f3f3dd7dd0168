package operate

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// There is no container engine here, so the definition is read, its build is
// carried out step by step from what .dockerignore lets in, and its image is run
// as an engine would: nothing but what the image holds, read-only but for the
// volume, by its user, in a network of its own.

// An instruction is one of the Containerfile, with its arguments expanded.
type instruction struct {
	verb, rest string
	stage      int
}

func instructions(t *testing.T) []instruction {
	t.Helper()
	b, err := os.ReadFile("../../dist/Containerfile")
	if err != nil {
		t.Fatal(err)
	}
	args := map[string]string{}
	var out []instruction
	stage := -1
	for line := range strings.Lines(strings.ReplaceAll(string(b), "\\\n", " ")) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		verb, rest, _ := strings.Cut(line, " ")
		rest = os.Expand(rest, func(k string) string { return args[k] })
		switch verb {
		case "ARG":
			k, v, _ := strings.Cut(rest, "=")
			args[k] = v
			continue
		case "FROM":
			stage++
		}
		out = append(out, instruction{verb, strings.TrimSpace(rest), stage})
	}
	return out
}

// list reads the JSON form of an instruction.
func (i instruction) list(t *testing.T) []string {
	t.Helper()
	var out []string
	if err := json.Unmarshal([]byte(i.rest[strings.Index(i.rest, "["):]), &out); err != nil {
		t.Fatalf("%s %s: %v", i.verb, i.rest, err)
	}
	return out
}

func one(t *testing.T, all []instruction, verb string) instruction {
	t.Helper()
	for _, i := range slices.Backward(all) {
		if i.verb == verb {
			return i
		}
	}
	t.Fatalf("no %s", verb)
	return instruction{}
}

// ignored reports whether .dockerignore keeps a path out: the last pattern that
// matches it or a folder above decides.
func ignored(t *testing.T) func(name string) bool {
	t.Helper()
	b, err := os.ReadFile("../../.dockerignore")
	if err != nil {
		t.Fatal(err)
	}
	return func(name string) bool {
		out := false
		for line := range strings.Lines(string(b)) {
			line = strings.TrimSpace(line)
			if line == "" || line[0] == '#' {
				continue
			}
			pat, in := strings.CutPrefix(line, "!")
			for p := name; p != "."; p = path.Dir(p) {
				base, deep := strings.CutPrefix(pat, "**/")
				if ok, _ := path.Match(pat, p); ok {
					out = !in
				}
				if ok, _ := path.Match(base, path.Base(p)); ok && deep {
					out = !in
				}
			}
		}
		return out
	}
}

// stage carries out the build in dir and returns the file system of the image.
func stage(t *testing.T, all []instruction) string {
	t.Helper()
	work := t.TempDir()
	os.Chmod(work, 0o755)
	src, out, image := filepath.Join(work, "src"), filepath.Join(work, "out"), filepath.Join(work, "image")
	for _, d := range []string{src, out, image} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	here := strings.NewReplacer("/out/", out+"/")
	skip := ignored(t)
	for _, i := range all {
		f := strings.Fields(i.rest)
		switch {
		case i.verb == "COPY" && i.stage == 0:
			for _, from := range f[:len(f)-1] {
				copyTree(t, "../..", src, from, skip)
			}
		case i.verb == "RUN" && !strings.HasPrefix(i.rest, "go mod download"): // the modules are here
			cmd := exec.Command("sh", "-ec", here.Replace(i.rest))
			cmd.Dir = src
			cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOTOOLCHAIN=local", "GOFLAGS=-mod=readonly")
			if b, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("RUN %s: %v\n%s", i.rest, err, b)
			}
		case i.verb == "COPY":
			install(t, f, here, image)
		}
	}
	return image
}

// install carries out a COPY --from=build.
func install(t *testing.T, f []string, here *strings.Replacer, image string) {
	t.Helper()
	owner := ""
	for strings.HasPrefix(f[0], "--") {
		if o, ok := strings.CutPrefix(f[0], "--chown="); ok {
			owner = o
		}
		f = f[1:]
	}
	from, to := here.Replace(f[0]), filepath.Join(image, f[1])
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cp", "-r", from, to).CombinedOutput(); err != nil {
		t.Fatalf("COPY %s: %v\n%s", from, err, out)
	}
	if owner != "" {
		var uid, gid int
		fmt.Sscanf(owner, "%d:%d", &uid, &gid)
		if err := os.Chown(to, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
}

func copyTree(t *testing.T, root, to, from string, skip func(string) bool) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(filepath.Join(root, from), func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		if d.IsDir() || skip(filepath.ToSlash(rel)) {
			return nil
		}
		n++
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(to, rel)), 0o755); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o644)
	})
	if err != nil || n == 0 {
		t.Fatalf("COPY %s: %d files, %v", from, n, err)
	}
}

func TestImageRunsWithNothingButWhatItHolds(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to become another user in another root")
	}
	for _, p := range []string{"unshare", "nsenter", "chroot", "mount", "ip", "curl"} {
		if _, err := exec.LookPath(p); err != nil {
			t.Skip("no " + p + " here")
		}
	}
	all := instructions(t)
	image := stage(t, all)
	user := one(t, all, "USER").rest
	volume := one(t, all, "VOLUME").list(t)[0]
	command := append(one(t, all, "ENTRYPOINT").list(t), one(t, all, "CMD").list(t)...)
	if user != "65532:65532" || one(t, all, "STOPSIGNAL").rest != "SIGTERM" {
		t.Errorf("runs as %s", user)
	}
	script := `ip link set lo up
mount --bind "$1" "$1"
mount -o remount,ro,bind "$1"
mount -t tmpfs -o "uid=65532,gid=65532,mode=0700" tmpfs "$1$2"
user=$3 root=$1
shift 3
exec chroot --userspec="$user" "$root" "$@"`
	line := append([]string{"unshare", "--mount", "--net", "sh", "-ec", script, "sh", image, volume, user}, command...)
	s := start{line: line, dir: "/", env: []string{"HOME=", "USER="}}.serve(t)
	inside := func(args ...string) (string, error) {
		pid := fmt.Sprint(s.Cmd.Process.Pid)
		cmd := exec.Command("nsenter", append([]string{"-t", pid, "-n"}, args...)...)
		b, err := cmd.CombinedOutput()
		return string(b), err
	}
	as := func(args ...string) (string, error) {
		return inside(append([]string{"-r", "-m", "-S", "65532", "-G", "65532"}, args...)...)
	}
	if out, err := as(one(t, all, "HEALTHCHECK").list(t)...); err != nil || !strings.Contains(out, "ok") {
		t.Errorf("health: %v %s", err, out)
	}
	if out, err := inside("curl", "-sS", "--max-time", "10", "--proxy", "http://127.0.0.1:8088", "http://169.254.169.254/latest/"); err != nil || !strings.Contains(out, "Blocked by egress policy") {
		t.Errorf("%v %s", err, out)
	}
	for want, args := range map[string][]string{
		"BEGIN CERTIFICATE":    {"/outvet", "ca", "show", "--pem", "--state", volume},
		"169.254.169.254":      {"/outvet", "log", "search", "--state", volume, "host:169.254.169.254"},
		"1 call in 1 session":  {"/outvet", "log", "verify", "--state", volume},
		"stopped by uid 65532": {"/outvet", "kill", "--state", volume, "--reason", "drill"},
	} {
		if out, err := as(args...); err != nil || !strings.Contains(out, want) {
			t.Errorf("%v: %v %s", args, err, out)
		}
	}
	if out, err := as("/outvet", "health", "--state", "/nothing"); err == nil {
		t.Errorf("healthy without a server: %s", out)
	}
	s.signal(t, syscall.SIGTERM, 20*time.Second)
}

func TestContextHoldsNeitherStateNorHistory(t *testing.T) {
	skip := ignored(t)
	for _, p := range []string{".git/config", "outvet.yaml", "state/keys/ca.key", "README.md", "test/flow/flow_test.go", "internal/gate/gate_test.go", "internal/x/testdata/a", "tools/go.mod", "outvet"} {
		if !skip(p) {
			t.Errorf("%s is in", p)
		}
	}
	for _, p := range []string{"go.mod", "cmd/outvet/main.go", "internal/policy/presets/core.yaml"} {
		if skip(p) {
			t.Errorf("%s is out", p)
		}
	}
}
