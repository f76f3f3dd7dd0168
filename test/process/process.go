// Package process runs outvet for the tests of the program as a whole: it builds
// the binary once, and knows when a process is ready, and when and how it ended.
package process

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"time"
)

// Main builds outvet as a release is, lets binary be where it is, runs the tests
// and returns their exit code. It is for TestMain.
func Main(tests interface{ Run() int }, binary *string) int {
	dir, err := os.MkdirTemp("", "outvet-test-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = os.Chmod(dir, 0o755) // other users run it, too
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	*binary = filepath.Join(dir, "outvet")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", *binary, "outvet/cmd/outvet")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%s%v\n", out, err)
		return 1
	}
	return tests.Run()
}

// Args is the command line of serve on free ports.
func Args(state string, more ...string) []string {
	return append([]string{"serve", "--listen", "127.0.0.1:0", "--console", "127.0.0.1:0", "--state", state}, more...)
}

// Environment is that of a user without settings.
func Environment(home string, more ...string) []string {
	return append([]string{"HOME=" + home, "PATH=" + os.Getenv("PATH")}, more...)
}

// A Process is a running outvet serve.
type Process struct {
	Proxy, Console string // addresses, once it was Ready
	DNS            string // "" without a resolver
	Cmd            *exec.Cmd
	Errs           *Buffer       // its standard error
	Ended          chan struct{} // closed when it is over
	Err            error         // of Wait, once it is over

	ready chan [3]string
}

// ErrEnded says that a process was over before it was ready.
var ErrEnded = errors.New("it ended before it was ready")

var ready = regexp.MustCompile(`^ready proxy=(\S+) console=(\S+?)(?: dns=(\S+))?$`)

// Begin starts cmd. What cmd has as standard output and error gets a copy.
func Begin(cmd *exec.Cmd) (*Process, error) {
	p := &Process{Cmd: cmd, Errs: &Buffer{}, Ended: make(chan struct{}), ready: make(chan [3]string, 1)}
	var out io.Writer = io.Discard
	if cmd.Stdout != nil {
		out, cmd.Stdout = cmd.Stdout, nil
	}
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if cmd.Stderr == nil {
		cmd.Stderr = p.Errs
	} else {
		cmd.Stderr = io.MultiWriter(p.Errs, cmd.Stderr)
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		lines, said := bufio.NewScanner(io.TeeReader(pipe, out)), false
		for lines.Scan() {
			if m := ready.FindStringSubmatch(lines.Text()); m != nil && !said {
				said = true
				p.ready <- [3]string(m[1:])
			}
		}
		p.Err = cmd.Wait()
		close(p.Ended)
	}()
	return p, nil
}

// Ready waits until it serves, most at most. An error says that it does not.
func (p *Process) Ready(most time.Duration) error {
	select {
	case at := <-p.ready:
		p.Proxy, p.Console, p.DNS = at[0], at[1], at[2]
		return nil
	case <-p.Ended:
		return errors.Join(ErrEnded, p.Err)
	case <-time.After(most):
		return fmt.Errorf("not ready after %s", most)
	}
}

// Kill ends it at once.
func (p *Process) Kill() {
	p.Cmd.Process.Kill()
	<-p.Ended
}

// End sends it sig and waits until it is over, most at most. The error is how it
// ended, or that it did not.
func (p *Process) End(sig syscall.Signal, most time.Duration) error {
	if err := p.Cmd.Process.Signal(sig); err != nil {
		return err
	}
	select {
	case <-p.Ended:
		return p.Err
	case <-time.After(most):
		return ErrLate
	}
}

// ErrLate says that a process goes on although it was told to end.
var ErrLate = errors.New("it did not end in time")

// A Buffer may be read while a process writes to it.
type Buffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

// Write implements io.Writer.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// String returns what was written so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
