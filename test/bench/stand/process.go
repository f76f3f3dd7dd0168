package stand

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// startTime is how long a process may take until it says that it is ready.
const startTime = 120 * time.Second

// A Process is a running part of a measurement.
type Process struct {
	Name  string
	PID   int
	Ready map[string]string // from its line "ready KEY=VALUE ..."
	Took  time.Duration     // from its start to that line

	cmd   *exec.Cmd // nil if somebody else started it
	errs  tail
	ended chan struct{}
	err   error // of its end
}

// start runs a program and waits for its line "ready".
func start(name, program string, args ...string) (*Process, error) {
	p := &Process{Name: name, cmd: exec.Command(program, args...), ended: make(chan struct{})}
	p.cmd.SysProcAttr = dieWithParent()
	p.cmd.Stderr = &p.errs
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	p.PID = p.cmd.Process.Pid
	first := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(out).ReadString('\n')
		first <- line
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	select {
	case line := <-first:
		p.Took = time.Since(began)
		if p.Ready = readyLine(line); p.Ready != nil {
			return p, nil
		}
	case <-time.After(startTime):
	}
	p.Kill()
	return nil, fmt.Errorf("%s %s did not say that it is ready: %s", program, strings.Join(args, " "), p.errs.String())
}

func readyLine(line string) map[string]string {
	f := strings.Fields(line)
	if len(f) == 0 || f[0] != "ready" {
		return nil
	}
	m := map[string]string{}
	for _, kv := range f[1:] {
		k, v, _ := strings.Cut(kv, "=")
		m[k] = v
	}
	return m
}

// Kill ends it at once.
func (p *Process) Kill() {
	if p == nil || p.cmd == nil {
		return
	}
	p.cmd.Process.Kill()
	<-p.ended
}

// Stop ends it in order; one that does not end is killed and is an error, and so
// is an exit code.
func (p *Process) Stop() error {
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(30 * time.Second):
		p.Kill()
		return fmt.Errorf("%s did not end within 30 s of SIGTERM", p.Name)
	}
	if p.err != nil {
		return fmt.Errorf("%s: %w: %s", p.Name, p.err, p.errs.String())
	}
	return nil
}

// CPU is the time that the process used since it began, in all its threads.
func (p *Process) CPU() time.Duration { return processCPU(p.PID) }

// Rest waits until the process does nothing any more of its own, such as what it
// puts off until it has started. It gives up after a while: some never rest.
func (p *Process) Rest() {
	const look, most = 200 * time.Millisecond, 15 * time.Second
	for end := time.Now().Add(most); time.Now().Before(end); {
		before := p.CPU()
		time.Sleep(look)
		if p.CPU()-before < look/50 {
			return
		}
	}
}

// Memory is its resident memory in KB.
func (p *Process) Memory() (int, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb := 0
			_, err := fmt.Sscan(rest, &kb)
			return kb, err
		}
	}
	return 0, errors.New("no VmRSS in /proc")
}

// Files is how many descriptors it has open.
func (p *Process) Files() (int, error) {
	f, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.PID))
	return len(f), err
}

// tail keeps the end of what a process says on its standard error.
type tail struct {
	mu sync.Mutex // guards b
	b  []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if len(t.b) > 4000 {
		t.b = append([]byte("..."), t.b[len(t.b)-2000:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.b))
}
