package process

import (
	"bufio"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// served is a program for Python that stands for the accepting end in a sandbox: it
// prints both addresses of the first connection and keeps it open.
const served = `
import socket,sys,time
s=socket.socket(); s.bind(("127.0.0.1",8000)); s.listen()
open(sys.argv[1],"w").close()
c,a=s.accept()
print("%s:%d"%a,"%s:%d"%c.getsockname(),flush=True)
time.sleep(60)
`

// sandbox runs line in namespaces of its own, below a first process that stands for
// the init, and returns that one's pid and the addresses of the connection that
// line makes to 127.0.0.1:8000.
func sandbox(t *testing.T, line string) (init int, client, server netip.AddrPort) {
	t.Helper()
	for _, prog := range []string{"unshare", "ip", "python3", "bash", "curl"} {
		if _, err := exec.LookPath(prog); err != nil {
			t.Skip(err)
		}
	}
	ready := t.TempDir() + "/ready"
	setup := `ip link set lo up; python3 -c "$SERVED" ` + ready + ` & until [ -e ` + ready + ` ]; do sleep 0.01; done; ` +
		`bash -c '` + line + `; true' >/dev/null 2>&1 & wait`
	cmd := exec.Command("unshare", "-Urnpf", "--kill-child", "--mount-proc", "bash", "-c", setup)
	cmd.Env = append(os.Environ(), "SERVED="+served)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	text, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Skip("no namespaces here: ", err)
	}
	f := strings.Fields(text)
	file := fmt.Sprintf("/proc/%d/task/%[1]d/children", cmd.Process.Pid)
	for range 100 { // the list may lack some while others end
		b, err := os.ReadFile(file)
		if err != nil {
			t.Skip(err)
		}
		if init, err = strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return init, netip.MustParseAddrPort(f[0]), netip.MustParseAddrPort(f[1])
}

func TestTheChainWithinASandboxEndsBelowItsInit(t *testing.T) {
	init, client, server := sandbox(t, `CLAUDE_CODE_SESSION_ID=s1 CODEX_TOOL_CALL_ID=call_7 curl -s http://127.0.0.1:8000`)
	f := Inside(init, nil)
	defer f.Close()
	c, why := f.Find(client, server).Chain(5 * time.Second)
	if c.String() != "curl < bash" || why != "" || c.Session != "s1" || c.ToolCall != "call_7" {
		t.Errorf("found %q (%s), session %q, tool call %q", c.String(), why, c.Session, c.ToolCall)
	}
	for _, l := range c.Links {
		if l.PID == init {
			t.Error("the init of the sandbox is a link")
		}
	}
}

// Without the right to enter the namespace, what /proc shows of it must do.
func TestTheTablesInProcWillDoWithoutNetlink(t *testing.T) {
	init, client, server := sandbox(t, `curl -s http://127.0.0.1:8000`)
	f := Inside(init, nil)
	if f.world.table.diag != nil {
		f.world.table.own.Close()
		f.world.table.diag = nil
	}
	defer f.Close()
	if c, why := f.Find(client, server).Chain(5 * time.Second); c.String() != "curl < bash" {
		t.Errorf("found %q (%s)", c.String(), why)
	}
}

// A command may move to a network namespace of its own and keep the socket.
func TestWhoMovesToAnotherNamespaceIsFound(t *testing.T) {
	init, client, server := sandbox(t, `exec 3<>/dev/tcp/127.0.0.1/8000; exec unshare -Urn bash -c "sleep 20; true"`)
	time.Sleep(200 * time.Millisecond) // it moves
	f := Inside(init, nil)
	defer f.Close()
	if c, why := f.Find(client, server).Chain(5 * time.Second); !strings.HasSuffix(c.String(), "bash") {
		t.Errorf("found %q (%s)", c.String(), why)
	}
}

// The connection of a sandbox that another process holds is nobody's in it.
func TestWhoIsOutsideTheSandboxIsNoLink(t *testing.T) {
	_, client, server := sandbox(t, `curl -s http://127.0.0.1:8000`)
	other := exec.Command("sleep", "20")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { other.Process.Kill(); other.Wait() }()
	first, _, _ := sandbox(t, `curl -s http://127.0.0.1:8000`)
	f := Inside(first, nil)
	defer f.Close()
	if c, why := f.Find(client, server).Chain(5 * time.Second); len(c.Links) > 0 || why == "" {
		t.Errorf("found %q (%s)", c.String(), why)
	}
}

func TestAFinderOfASandboxThatIsGoneFindsNothing(t *testing.T) {
	cmd := exec.Command("true")
	if err := errors.Join(cmd.Start(), cmd.Wait()); err != nil {
		t.Skip(err)
	}
	f := Inside(cmd.Process.Pid, nil)
	defer f.Close()
	a := netip.MustParseAddrPort("127.0.0.1:1")
	if c, why := f.Find(a, a).Chain(5 * time.Second); len(c.Links) > 0 || why == "" {
		t.Errorf("found %q (%s)", c.String(), why)
	}
}
