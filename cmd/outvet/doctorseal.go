package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"outvet/internal/ca"
	"outvet/internal/doctor"
	"outvet/internal/sandbox"
	"outvet/internal/sandbox/trust"
)

// examined is the name of the server that programs of a sandbox ask. Its domain is
// reserved (RFC 2606), and run is told to go to this machine instead. Names below
// .test and .example would not do: such never leave a resolver.
const examined = "outvet-doctor.example.com"

// allowing is the policy of the sandboxes of doctor.
const allowing = "version: 1\ndefault: allow\n"

// A ward is where programs are tried in real sandboxes: outvet run with a state of
// its own, so that the record of the user holds nothing of it.
type ward struct {
	dir       string // of all of it
	state     state
	authority *ca.Authority
	policy    string
	self      string // this program
}

func openWard() (w *ward, err error) {
	w = &ward{}
	if w.dir, err = os.MkdirTemp("", "outvet-ward-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if err := os.Chmod(w.dir, 0o755); err != nil { // the command of root is somebody else
		return nil, err
	}
	if w.state, err = openState(filepath.Join(w.dir, "state")); err != nil {
		return nil, err
	}
	if w.authority, err = ca.Open(string(w.state)); err != nil {
		return nil, err
	}
	w.policy = filepath.Join(w.dir, "policy.yaml")
	if err := os.WriteFile(w.policy, []byte(allowing), 0o600); err != nil {
		return nil, err
	}
	w.self, err = os.Executable()
	return w, err
}

func (w *ward) close() { os.RemoveAll(w.dir) }

// kit is what run will make, to know where it lies.
func (w *ward) kit() (*trust.Kit, error) {
	return trust.Make(trust.Options{CA: w.authority.PEM(), Env: os.Environ(), Workspace: w.dir, Cache: w.state.path("trust")})
}

// command makes a program ready to run in a sandbox.
func (w *ward) command(ctx context.Context, args, extra []string) *exec.Cmd {
	all := []string{"run", "--state", string(w.state), "--policy", w.policy, "--upstream-proxy", "none",
		"--upstream-ca", w.state.path("ca.pem"), "--connect-to", examined + "::127.0.0.1:"}
	for _, e := range extra {
		all = append(all, "--env", e)
	}
	cmd := exec.CommandContext(ctx, w.self, append(append(all, "--", "sh", "-c", `exec "$@" 2>&1`, "sh"), args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	cmd.Stderr = io.Discard // what run says: the program says it on the other
	return cmd
}

// try runs a command in a folder of its own, and returns what it said.
func (w *ward) try(ctx context.Context, args ...string) (string, error) {
	dir, err := os.MkdirTemp(w.dir, "try-")
	if err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", err
	}
	cmd := w.command(ctx, args, nil)
	cmd.Dir = dir
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		last := strings.Split(strings.TrimSpace(errs.String()), "\n")
		return out.String(), errors.Join(errors.New(last[len(last)-1]), err)
	}
	return out.String(), nil
}

// sealing is the check that a command can be sealed here: run does the same.
func sealing(s state, workspace string) doctor.Check {
	return doctor.Check{Name: "sandbox", Do: func(ctx context.Context) doctor.Result {
		home, _ := os.UserHomeDir()
		err := sandbox.Probe(ctx, sandbox.Config{
			Command: []string{"true"}, Workspace: workspace, State: string(s), Home: home, Hide: hidden(home),
		})
		var r *sandbox.Refusal
		switch {
		case err == nil:
			return doctor.Result{State: doctor.OK, What: "commands of outvet run have the grade " + sandbox.Overlay.Grade()}
		case errors.As(err, &r):
			return doctor.Result{State: doctor.Failed, What: "outvet run cannot seal a command: " + r.What, Cause: r.Cause, Cure: r.Cure}
		}
		return doctor.Result{State: doctor.Failed, What: "outvet run cannot seal a command", Cause: err.Error()}
	}}
}

// named is the check that a command has names.
func (w *ward) named() doctor.Check {
	return doctor.Check{Name: "dns", Do: func(ctx context.Context) doctor.Result {
		if _, err := exec.LookPath("getent"); err != nil {
			return doctor.Result{State: doctor.Skipped, What: "getent is not installed"}
		}
		out, err := w.try(ctx, "getent", "ahostsv4", examined)
		if err != nil || !strings.HasPrefix(out, "198.18.") && !strings.HasPrefix(out, "198.19.") {
			return doctor.Result{State: doctor.Failed, What: "names are not looked up by outvet", Cause: strings.TrimSpace(out + " " + said(err)),
				Cure: "hosts: files dns in /etc/nsswitch.conf is shown to commands; see whether something on this machine hides it"}
		}
		return doctor.Result{State: doctor.OK, What: "names of a sandbox are looked up by outvet"}
	}}
}

// said is an error as text, in a line.
func said(err error) string {
	if err == nil {
		return ""
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}

// knocks are programs that connect to a port of this machine without being told of
// a proxy.
var knocks = [][]string{
	{"bash", "-c", "exec 3<>/dev/tcp/ADDRESS/PORT && read -t 2 x <&3"},
	{"python3", "-c", "import socket; socket.create_connection(('ADDRESS', PORT), 2).recv(1)"},
	{"curl", "-s", "-m", "2", "--noproxy", "*", "http://ADDRESS:PORT/"},
}

// silent is the check that nothing of a sandbox reaches this machine. The same
// program reaches it outside, or it would prove nothing.
func (w *ward) silent() doctor.Check {
	return doctor.Check{Name: "way out", Do: func(ctx context.Context) doctor.Result {
		var knock []string
		for _, k := range knocks {
			if _, err := exec.LookPath(k[0]); err == nil {
				knock = k
				break
			}
		}
		if knock == nil {
			return doctor.Result{State: doctor.Skipped, What: "bash, python3 and curl are not installed"}
		}
		l, err := net.Listen("tcp", ":0")
		if err != nil {
			return doctor.Result{State: doctor.Failed, What: "was not tried", Cause: err.Error()}
		}
		defer l.Close()
		var came atomic.Int32
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				came.Add(1)
				c.Close()
			}
		}()
		addresses := []string{"127.0.0.1"}
		if a := own(); a != "" {
			addresses = append(addresses, a)
		}
		port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
		for _, address := range addresses {
			args := make([]string, len(knock))
			for i, k := range knock {
				args[i] = strings.NewReplacer("ADDRESS", address, "PORT", port).Replace(k)
			}
			_ = exec.CommandContext(ctx, args[0], args[1:]...).Run() // it may say what it likes
			if came.Swap(0) == 0 {
				return doctor.Result{State: doctor.Failed, What: "was not tried: " + knock[0] + " cannot connect to this machine", Cause: address + " port " + port}
			}
			_, _ = w.try(ctx, args...)
			if came.Swap(0) > 0 {
				return doctor.Result{State: doctor.Failed, What: "a sandboxed command reached this machine past outvet", Cause: knock[0] + " connected to " + address + " port " + port,
					Cure: "do not use outvet run on this machine, and report it"}
			}
		}
		return doctor.Result{State: doctor.OK, What: "nothing of a sandbox reaches " + strings.Join(addresses, " or ")}
	}}
}

// own is an address of this machine that is not its loopback, "" if it has none.
func own() string {
	all, _ := net.InterfaceAddrs()
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && n.IP.IsGlobalUnicast() {
			return n.IP.String()
		}
	}
	return ""
}

// sealable reports whether this system has sandboxes at all.
func sealable() bool { return runtime.GOOS == "linux" }
