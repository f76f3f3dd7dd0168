package flow

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"

	"outvet/test/process"
)

// attack runs outvet attack with a home, a state and a workspace of its own, and
// with a key to steal in the home. as=UID runs it as that user, without capabilities.
func attack(ts *testscript.TestScript, neg bool, args []string) {
	home, err := os.MkdirTemp(ts.Getenv("WORK"), "home-")
	ts.Check(err)
	uid := os.Getuid()
	if len(args) > 0 && strings.HasPrefix(args[0], "as=") {
		uid, err = strconv.Atoi(strings.TrimPrefix(args[0], "as="))
		ts.Check(err)
		args = args[1:]
	}
	ts.Check(os.Chmod(ts.Getenv("WORK"), 0o755))
	ts.Check(os.Chmod(filepath.Dir(ts.Getenv("WORK")), 0o755))
	ts.Check(os.Chmod(home, 0o755))
	key := filepath.Join(home, ".ssh", "id_ed25519")
	workspace := filepath.Join(home, "project")
	for _, d := range []string{filepath.Dir(key), workspace} {
		ts.Check(os.Mkdir(d, 0o755))
	}
	ts.Check(os.WriteFile(key, []byte("a key to steal\n"), 0o644))
	for _, f := range []string{home, filepath.Dir(key), key, workspace} {
		ts.Check(os.Chown(f, uid, uid))
	}
	cmd := exec.Command(binary, append([]string{"attack", "--state", filepath.Join(home, "state"), "--workspace", workspace}, args...)...)
	cmd.Dir, cmd.Env = ts.MkAbs("."), process.Environment(home)
	cmd.Stdout, cmd.Stderr = ts.Stdout(), ts.Stderr()
	if uid != os.Getuid() {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	}
	err = cmd.Run()
	var exited *exec.ExitError
	switch {
	case err != nil && !errors.As(err, &exited):
		ts.Fatalf("outvet attack: %v", err)
	case neg && (exited == nil || exited.ExitCode() != 1):
		ts.Fatalf("outvet attack: %v, and should find a way out (exit code 1)", err)
	case !neg && err != nil:
		ts.Fatalf("outvet attack: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(home, "*", "outvet-attack-*"))
	ts.Check(err)
	if more, _ := filepath.Glob(filepath.Join(home, "outvet-attack-*")); len(left)+len(more) > 0 {
		ts.Fatalf("left behind: %q %q", left, more)
	}
}
