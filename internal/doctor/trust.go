package doctor

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"outvet/internal/sandbox/env"
	"outvet/internal/sandbox/trust"
)

// Options say in which surroundings programs are tried.
type Options struct {
	TLS *tls.Config // of our authority: a certificate for the name, whatever is asked for
	Kit *trust.Kit
	Env []string // of the user

	// Command makes a program ready to run, with some variables beside what its
	// surroundings have. nil runs it here, with the variables of the kit, but not
	// its binds.
	Command func(ctx context.Context, args, extra []string) *exec.Cmd // its Stderr, if set, is not the program's
	// Name is the host name by which Command's programs reach this machine; ""
	// is localhost.
	Name string
}

// A program is one that can be tried.
type program struct {
	name  string
	needs string   // a program of PATH
	args  []string // URL stands for the page
	extra []string // of the environment
	file  [2]string
}

const (
	urllib   = "import sys,urllib.request; urllib.request.urlopen(sys.argv[1]).read()"
	requests = "import sys\ntry:\n import requests\nexcept ImportError: sys.exit(77)\nrequests.get(sys.argv[1])"
	javaPage = `public class Page { public static void main(String[] a) throws Exception { new java.net.URL(a[0]).openStream().readAllBytes(); } }`
)

// absent is the exit code by which a program says that what it needs is not
// installed.
const absent = 77

var programs = []program{
	{name: "curl", needs: "curl", args: []string{"curl", "-sS", "-o", "/dev/null", "URL"}},
	{name: "wget", needs: "wget", args: []string{"wget", "-nv", "-t1", "-O", "/dev/null", "URL"}},
	{name: "git", needs: "git", args: []string{"git", "ls-remote", "URL"}, extra: []string{"GIT_TERMINAL_PROMPT=0"}},
	{name: "openssl", needs: "openssl", args: []string{"sh", "-c", `printf 'GET /openssl HTTP/1.0\r\n\r\n' | openssl s_client -quiet -no_ign_eof -verify_return_error -servername "$2" -connect "${1#https://}" 2>&1`, "sh", "ORIGIN", "NAME"}},
	{name: "python", needs: "python3", args: []string{"python3", "-c", urllib, "URL"}},
	{name: "python-requests", needs: "python3", args: []string{"python3", "-c", requests, "URL"}},
	{name: "pip", needs: "pip3", args: []string{"pip3", "--retries", "0", "--disable-pip-version-check", "index", "versions", "outvet-doctor", "-i", "URL"}},
	{name: "node", needs: "node", args: []string{"node", "-e", `require("https").get(process.argv[1],r=>r.resume()).on("error",e=>{console.error(String(e));process.exit(1)})`, "URL"}},
	{name: "npm", needs: "npm", args: []string{"npm", "ping", "--no-update-notifier", "--fetch-retries=0", "--registry", "URL"}},
	{name: "deno", needs: "deno", args: []string{"deno", "eval", `await (await fetch(Deno.args[0])).text()`, "URL"}},
	{name: "bun", needs: "bun", args: []string{"bun", "-e", `await (await fetch(process.argv.at(-1))).text()`, "URL"}},
	{name: "cargo", needs: "cargo", args: []string{"cargo", "search", "outvet-doctor", "--registry", "doctor"}, extra: []string{"CARGO_REGISTRIES_DOCTOR_INDEX=sparse+URL", "CARGO_NET_RETRY=0"}},
	{name: "java", needs: "java", args: []string{"java", "-Djavax.net.ssl.trustStore=STORE", "Page.java", "URL"}, file: [2]string{"Page.java", javaPage}},
}

// Trust returns a check for each program, and what ends them all.
func Trust(o Options) (checks []Check, end func(), err error) {
	if o.Name == "" {
		o.Name = "localhost"
	}
	dir, err := os.MkdirTemp("", "outvet-doctor-")
	if err == nil {
		err = os.Chmod(dir, 0o755) // in a sandbox, root is somebody else
	}
	if err != nil {
		return nil, nil, fmt.Errorf("doctor: %w", err)
	}
	end = func() { os.RemoveAll(dir) }
	if o.Command == nil {
		if err := o.Kit.Install(o.Kit.Dir); err != nil {
			end()
			return nil, nil, fmt.Errorf("doctor: %w", err)
		}
	}
	for _, p := range programs {
		checks = append(checks, Check{p.name, func(ctx context.Context) Result { return o.try(ctx, p, filepath.Join(dir, p.name)) }})
	}
	for _, n := range o.Kit.Notes {
		checks = append(checks, Check{"trust kit", func(context.Context) Result { return Result{State: Failed, What: "is not whole", Cause: n} }})
	}
	return checks, end, nil
}

// A clinic is a server with our certificate for one program, that notes
// whether it came, and whether it asked.
type clinic struct {
	origin      string
	srv         *http.Server
	came, asked atomic.Bool
}

func open(conf *tls.Config, name string) (*clinic, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c := &clinic{origin: fmt.Sprintf("https://%s:%d", name, l.Addr().(*net.TCPAddr).Port)}
	c.srv = &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c.asked.Store(true)
			fmt.Fprintln(w, "{}")
		}),
		ConnState: func(_ net.Conn, s http.ConnState) {
			if s == http.StateNew {
				c.came.Store(true)
			}
		},
		TLSConfig: conf.Clone(), ReadHeaderTimeout: Limit, ErrorLog: log.New(io.Discard, "", 0),
	}
	go c.srv.ServeTLS(l, "", "")
	return c, nil
}

// try runs a program in a folder of its own. It trusts us if it asked, whatever
// it makes of the answer.
func (o Options) try(ctx context.Context, p program, dir string) Result {
	path, err := exec.LookPath(p.needs)
	if err != nil {
		return Result{State: Skipped, What: "not installed"}
	}
	c, err := open(o.TLS, o.Name)
	if err == nil {
		defer c.srv.Close()
		err = errors.Join(os.MkdirAll(dir, 0o755), write(dir, p.file))
	}
	if err != nil {
		return Result{State: Failed, What: "was not tried", Cause: err.Error()}
	}
	fill := strings.NewReplacer("URL", c.origin+"/", "ORIGIN", c.origin, "STORE", o.store(), "NAME", o.Name).Replace
	var args, extra []string
	for _, a := range p.args {
		args = append(args, fill(a))
	}
	for _, e := range p.extra {
		extra = append(extra, fill(e))
	}
	cmd := o.command(ctx, args, extra)
	cmd.Dir = dir
	var said bytes.Buffer
	cmd.Stdout = &said
	if cmd.Stderr == nil {
		cmd.Stderr = &said
	}
	err = cmd.Run()
	cause := last(said.String())
	if cause == "" && err != nil {
		cause = err.Error()
	}
	switch {
	case c.asked.Load():
		return Result{State: OK, What: "trusts the sandbox's certificate authority"}
	case cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == absent:
		return Result{State: Skipped, What: "not installed"}
	case ctx.Err() != nil:
		return Result{State: Failed, What: fmt.Sprintf("did not end in %s", Limit), Cause: cause}
	case !c.came.Load(): // a shim of a version manager, a proxy in its own settings
		return Result{State: Skipped, What: "did not connect: " + cause}
	}
	return Result{State: Failed, What: "does not trust the sandbox's certificate authority", Cause: path + ": " + cause, Cure: trust.Cure(p.name)}
}

func write(dir string, file [2]string) error {
	if file[0] == "" {
		return nil
	}
	return os.WriteFile(filepath.Join(dir, file[0]), []byte(file[1]), 0o644)
}

// store is a trust store of Java of the kit, or none.
func (o Options) store() string {
	for _, f := range o.Kit.Files {
		if strings.HasSuffix(f.Name, ".jks") {
			return filepath.Join(o.Kit.Dir, f.Name)
		}
	}
	return ""
}

func (o Options) command(ctx context.Context, args, extra []string) *exec.Cmd {
	if o.Command != nil {
		return o.Command(ctx, args, extra)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = env.For(o.Env, env.Options{Set: append(extra, o.Kit.Vars...)}).Vars
	// A program that starts others is ended with them.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	return cmd
}

// last returns the line by which a program most likely says what is wrong: the last
// that speaks of certificates, or the last of all.
func last(said string) string {
	var line, of string
	for l := range strings.Lines(said) {
		if l = strings.TrimSpace(l); l == "" {
			continue
		}
		line = l
		if low := strings.ToLower(l); strings.Contains(low, "certif") || strings.Contains(low, "pkix") || of == "" && strings.Contains(low, "exception") {
			of = l
		}
	}
	if of != "" {
		line = of
	}
	return line[:min(len(line), 200)]
}
