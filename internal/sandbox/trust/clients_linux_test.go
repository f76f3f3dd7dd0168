package trust_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"outvet/internal/ca"
	"outvet/internal/sandbox/trust"
)

// A client is a real program that fetches https://HOST/ and prints what the
// server says.
type client struct {
	name  string // as in the table of doc/trust.md
	needs string // a command that tells by its status whether it is here
	run   string // for the shell; $U is the URL, $D a folder of its own
}

const python = ` - <<'E'
import os
u = os.environ["U"]
`

var clients = []client{
	{"curl", "command -v curl", `curl -sS $U`},
	{"wget", "command -v wget", `wget -qO- $U`},
	{"git", "command -v git", `git ls-remote $U/repo.git`},
	{"openssl s_client", "command -v openssl", `printf 'GET / HTTP/1.0\r\n\r\n' | openssl s_client -quiet -no_ign_eof -verify_return_error -connect ${U#https://}`},
	{"Python urllib", "/usr/bin/python3 -c 1", "/usr/bin/python3" + python + "import urllib.request\nprint(urllib.request.urlopen(u).read())\nE\n"},
	{"Python requests (Debian)", "/usr/bin/python3 -c 'import requests'", "/usr/bin/python3" + python + "import requests\nprint(requests.get(u).text)\nE\n"},
	{"Python requests (own certifi)", "python3 -c 'import requests, certifi; assert not certifi.where().startswith(\"/etc/\")'", "python3" + python + "import requests\nprint(requests.get(u).text)\nE\n"},
	{"Python httpx (Debian)", "/usr/bin/python3 -c 'import httpx'", "/usr/bin/python3" + python + "import httpx\nprint(httpx.get(u).text)\nE\n"},
	{"Python aiohttp", "/usr/bin/python3 -c 'import aiohttp'", "/usr/bin/python3" + python + "import aiohttp, asyncio\nasync def f():\n  async with aiohttp.ClientSession() as s:\n    async with s.get(u) as r: print(await r.text())\nasyncio.run(f())\nE\n"},
	{"pip (Debian)", "/usr/bin/python3 -m pip --version", `/usr/bin/python3 -m pip --retries 0 index versions demo --no-input -i $U/simple/`},
	{"pip (own certifi)", "python3 -m pip --version && ! python3 -c 'import sys; sys.exit(sys.prefix != \"/usr\")'", `python3 -m pip --retries 0 index versions demo --no-input -i $U/simple/`},
	{"Node 20 fetch", "node --version | grep '^v20'", `node -e 'fetch(process.env.U).then(r=>r.text()).then(console.log)'`},
	{"Node 20 https", "node --version | grep '^v20'", `node -e 'require("https").get(process.env.U,r=>r.pipe(process.stdout))'`},
	{"Node 24 fetch", "$NODE24 --version", `$NODE24 -e 'fetch(process.env.U).then(r=>r.text()).then(console.log)'`},
	{"npm", "command -v npm", `npm_config_globalconfig=/dev/null npm ping --no-update-notifier --fetch-retries=0 --registry=$U/`},
	{"deno", "$DENO --version", `$DENO eval 'console.log(await (await fetch(Deno.env.get("U"))).text())'`},
	{"bun", "$BUN --version", `$BUN -e 'console.log(await (await fetch(process.env.U)).text())'`},
	{"Go", "test -x $GOCLIENT", `$GOCLIENT`},
	{"cargo", "cargo --version", `CARGO_REGISTRIES_OURS_INDEX=sparse+$U/index/ CARGO_NET_RETRY=0 cargo search demo --registry ours`},
	{"Java 17", "test -d /usr/lib/jvm/java-17-openjdk-amd64", `/usr/lib/jvm/java-17-openjdk-amd64/bin/java $D/J.java`},
	{"Java 25", "test -d /usr/lib/jvm/temurin-25-jdk-amd64", `/usr/lib/jvm/temurin-25-jdk-amd64/bin/java $D/J.java`},
	{"Chromium", "command -v chromium", `chromium --headless --no-sandbox --disable-gpu --no-proxy-server --user-data-dir=$D/chromium --dump-dom $U`},
	{"Codex", "$CODEX --version", `OPENAI_API_KEY=x CODEX_HOME=$D timeout 20 $CODEX exec --skip-git-repo-check -c model='"m"' -c model_provider='"p"' -c model_providers.p.name='"p"' -c model_providers.p.base_url="\"$U/v1\"" -c model_providers.p.env_key='"OPENAI_API_KEY"' -c model_providers.p.wire_api='"responses"' -c model_providers.p.request_max_retries=0 -c model_providers.p.stream_max_retries=0 ping </dev/null`},
	{"Claude Code", "$CLAUDE --version", `ANTHROPIC_BASE_URL=$U ANTHROPIC_API_KEY=sk-x CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1 CLAUDE_CODE_MAX_RETRIES=0 IS_SANDBOX=1 timeout 20 $CLAUDE -p ping </dev/null`},
	{"Perl LWP", "perl -MLWP::UserAgent -MLWP::Protocol::https -e 1", `perl -MLWP::UserAgent -e 'print LWP::UserAgent->new->get($ENV{U})->decoded_content'`},
	{"Ruby", "ruby -ropenssl -e 1", `ruby -rnet/http -e 'puts Net::HTTP.get(URI(ENV["U"]))'`},
	{"PHP", "php -r '1;'", `php -r 'echo file_get_contents(getenv("U"));'`},
}

// ways are the columns of the table.
var ways = []string{"none", "binds", "vars", "both"}

// TestClientsTrustUs runs every client that is installed against a server with
// a certificate of ours, in a mount namespace with parts of the kit, and holds
// doc/trust.md against what came out. OUTVET_TRUST_PRINT=1 prints the table.
func TestClientsTrustUs(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute: real clients are started four times each")
	}
	s := stand(t)
	table := readTable(t)
	rows := make([]string, len(clients))
	t.Run("clients", func(t *testing.T) {
		for i, c := range clients {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				if out, err := s.shell(c.needs, s.env); err != nil {
					t.Skipf("it is not installed here (%s: %v %.200s)", c.needs, err, out)
				}
				rows[i] = s.row(t, c, table)
			})
		}
	})
	rows = slices.DeleteFunc(rows, func(r string) bool { return r == "" })
	if len(rows) < 3 {
		t.Errorf("only %d clients are installed: this proves nothing", len(rows))
	}
	if os.Getenv("OUTVET_TRUST_PRINT") != "" {
		fmt.Println(strings.Join(rows, "\n"))
	}
}

// row tries a client in every way and holds what comes out against the table.
func (s *site) row(t *testing.T, c client, table map[string][2]string) string {
	row := "| " + c.name + " |"
	want, listed := table[c.name]
	if !listed {
		t.Errorf("doc/trust.md has no row for %q", c.name)
	}
	for i, way := range ways {
		out, ok := s.try(t, c, way)
		word := map[bool]string{true: " ok |", false: " no |"}[ok]
		row += word
		switch {
		case way == "none" && ok:
			t.Errorf("it trusts us without the kit: it proves nothing\n%s", out)
		case way == "both" && !ok:
			t.Errorf("it does not trust us with the whole kit:\n%.3000s", out)
		case listed && i > 0 && i < 3 && want[i-1] != strings.Trim(word, " |"):
			t.Errorf("doc/trust.md says %q with %s alone, but it is%s\n%.2000s", want[i-1], way, word, out)
		}
	}
	return row
}

// readTable reads the rows of doc/trust.md: client, binds alone, variables
// alone.
func readTable(t *testing.T) map[string][2]string {
	t.Helper()
	text, err := os.ReadFile("../../../doc/trust.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string][2]string{}
	for _, m := range regexp.MustCompile(`(?m)^\| ([^|]+) \| (ok|no) \| (ok|no) \|`).FindAllStringSubmatch(string(text), -1) {
		rows[m[1]] = [2]string{m[2], m[3]}
	}
	return rows
}

// A site is an authority and a home for clients of servers with its
// certificates.
type site struct {
	authority *ca.Authority
	home      string
	env       []string
	kit       string // the kit, in a file
	vars      []string
}

func stand(t *testing.T) *site {
	t.Helper()
	if err := exec.Command("unshare", "-m", "true").Run(); err != nil {
		t.Skipf("no mount namespace can be made here: %v", err)
	}
	dir := t.TempDir()
	a, err := ca.Open(filepath.Join(dir, "ca"))
	must(t, err)
	s := &site{authority: a, home: filepath.Join(dir, "home"), kit: filepath.Join(dir, "kit.json")}
	must(t, os.MkdirAll(s.home, 0o755), s.goClient())
	s.env = []string{"HOME=" + s.home, "LANG=C.UTF-8", "GOCLIENT=" + filepath.Join(s.home, "goclient")}
	for _, n := range []string{"PATH", "PYENV_ROOT", "NODE24", "DENO", "BUN", "CODEX", "CLAUDE", "PIP_DISABLE_PIP_VERSION_CHECK"} {
		if v, ok := os.LookupEnv(n); ok {
			s.env = append(s.env, n+"="+v)
		}
	}
	for n, d := range map[string]string{"RUSTUP_HOME": ".rustup", "CARGO_HOME": ".cargo"} {
		s.env = append(s.env, n+"="+filepath.Join(os.Getenv("HOME"), d))
	}
	k, err := trust.Make(trust.Options{CA: a.PEM(), Env: s.env})
	must(t, err)
	for _, n := range k.Notes {
		t.Log(n)
	}
	s.vars = k.Vars
	b, err := json.Marshal(k)
	must(t, err, os.WriteFile(s.kit, b, 0o644))
	return s
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func (s *site) goClient() error {
	src := `package main
import ("fmt"; "io"; "net/http"; "os")
func main() {
	r, err := http.Get(os.Getenv("U"))
	if err != nil { fmt.Println(err); os.Exit(1) }
	io.Copy(os.Stdout, r.Body)
}`
	dir := filepath.Join(s.home, "src")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(src), 0o644); err != nil {
		return err
	}
	out, err := exec.Command("go", "build", "-o", filepath.Join(s.home, "goclient"), filepath.Join(dir, "main.go")).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// welcome answers as a page, a git repository, and the registries of pip, npm
// and cargo.
func welcome(w http.ResponseWriter, r *http.Request) {
	switch p := r.URL.Path; {
	case strings.HasSuffix(p, "/info/refs"):
		fmt.Fprintf(w, "%s\trefs/heads/welcome\n", strings.Repeat("1", 40))
	case strings.HasPrefix(p, "/simple/"):
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, `<!DOCTYPE html><a href="demo-1.0.tar.gz">demo-1.0.tar.gz</a>`)
	case p == "/-/ping":
		fmt.Fprint(w, "{}")
	case p == "/index/config.json":
		fmt.Fprintf(w, `{"dl":"https://%[1]s/dl","api":"https://%[1]s"}`, r.Host)
	case strings.HasPrefix(p, "/api/v1/crates"):
		fmt.Fprint(w, `{"crates":[{"name":"demo","max_version":"1.0.0","description":"welcome"}],"meta":{"total":1}}`)
	case strings.HasSuffix(p, "/HEAD"):
		http.NotFound(w, r)
	default:
		fmt.Fprint(w, "welcome")
	}
}

const javaClient = `public class J { public static void main(String[] a) throws Exception { System.out.println(new String(new java.net.URL(System.getenv("U")).openStream().readAllBytes())); } }`

// try reports whether the client asked a server of its own for something, which
// it does only once it trusts it.
func (s *site) try(t *testing.T, c client, way string) (string, bool) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var asked atomic.Bool
	srv := &http.Server{TLSConfig: s.authority.TLSConfig(nil), ErrorLog: quiet(), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Store(true)
		welcome(w, r)
	})}
	go srv.ServeTLS(l, "", "")
	defer srv.Close()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "J.java"), []byte(javaClient), 0o644))
	env := append(slices.Clone(s.env), fmt.Sprintf("U=https://client.test:%d", l.Addr().(*net.TCPAddr).Port), "D="+dir, "OUTVET_STAGE="+way, "OUTVET_KIT="+s.kit)
	if way == "vars" || way == "both" {
		env = append(env, s.vars...)
	}
	out, _ := s.shell(c.run, env)
	return out, asked.Load()
}

// shell runs a line in a shell, in a mount namespace of its own if the
// environment names a stage.
func (s *site) shell(line string, env []string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	staged := slices.ContainsFunc(env, func(v string) bool { return strings.HasPrefix(v, "OUTVET_STAGE=") })
	name := "sh"
	if staged {
		name = "/proc/self/exe"
	}
	cmd := exec.CommandContext(ctx, name, "-c", line)
	cmd.Dir, cmd.Env = s.home, env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 2 * time.Second
	if staged {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNS
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// stage is the test binary in a new mount namespace: it does with the kit what
// a sandbox does, and becomes the client.
func stage(way string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	data, err := os.ReadFile(os.Getenv("OUTVET_KIT"))
	if err != nil {
		return err
	}
	var k trust.Kit
	if err := json.Unmarshal(data, &k); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=0755"); err != nil {
		return err
	}
	if err := k.Install(k.Dir); err != nil {
		return err
	}
	hosts := "/run/hosts"
	if err := os.WriteFile(hosts, []byte("127.0.0.1 localhost client.test\n"), 0o644); err != nil {
		return err
	}
	if err := unix.Mount(hosts, "/etc/hosts", "", unix.MS_BIND, ""); err != nil {
		return err
	}
	for _, b := range k.Binds {
		if way != "binds" && way != "both" {
			break
		}
		if b.Make {
			if err := os.MkdirAll(b.Target, 0o700); err != nil {
				return err
			}
		}
		src := filepath.Join(k.Dir, b.File)
		if err := unix.Mount(src, b.Target, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind %s on %s: %w", b.File, b.Target, err)
		}
	}
	sh, err := exec.LookPath("sh")
	if err != nil {
		return err
	}
	return syscall.Exec(sh, append([]string{"sh"}, os.Args[1:]...), os.Environ())
}

func TestMain(m *testing.M) {
	if way := os.Getenv("OUTVET_STAGE"); way != "" {
		fmt.Fprintln(os.Stderr, "stage:", stage(way))
		os.Exit(3)
	}
	os.Exit(m.Run())
}

// TestTheKitOfThisMachineIsSound looks at what was made for the test's host.
func TestTheKitOfThisMachineIsSound(t *testing.T) {
	a, err := ca.Open(t.TempDir())
	must(t, err)
	k, err := trust.Make(trust.Options{CA: a.PEM(), Env: os.Environ(), Cache: t.TempDir()})
	must(t, err)
	files := map[string][]byte{}
	for _, f := range k.Files {
		files[f.Name] = f.Data
		if bytes.Contains(f.Data, []byte("PRIVATE KEY")) {
			t.Errorf("%s has a private key", f.Name)
		}
	}
	seen := map[string]bool{}
	for _, b := range k.Binds {
		if i, err := os.Lstat(b.Target); !b.Make && (err != nil || !i.Mode().IsRegular()) {
			t.Errorf("the target %s is no file: %v", b.Target, err)
		}
		if seen[b.Target] {
			t.Errorf("%s is a target twice", b.Target)
		}
		seen[b.Target] = true
		if data, ok := files[b.File]; strings.HasSuffix(b.File, ".pem") && (!ok || !bytes.Contains(data, a.PEM())) {
			t.Errorf("%s, shown as %s, does not have our certificate", b.File, b.Target)
		} else if old, err := os.ReadFile(b.Target); strings.HasSuffix(b.File, ".pem") && (err != nil || !bytes.HasPrefix(data, old)) {
			t.Errorf("%s lost what it had: %v", b.Target, err)
		}
	}
	t.Logf("%d files, %d binds, notes %q", len(k.Files), len(k.Binds), k.Notes)
}
