package process

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"outvet/call"
)

// answers accepts connections, looks up who made them with f, and then answers as a
// web server does. What it found comes out of the channel.
func answers(t *testing.T, f *Finder, network, addr string) (string, chan string) {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Skip(err)
	}
	found := make(chan string, 1000)
	var open sync.WaitGroup
	open.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			w := f.Witness(c)
			open.Go(func() {
				defer c.Close()
				var who call.Caller
				if !w.Testify(&who, 10*time.Second) || who.Process.Value == "" {
					_, why := w.(*Search).Chain(0)
					found <- why
				} else {
					found <- fmt.Sprintf("%s (%s) agent %s", who.Process.Value, who.Process.Mark, who.Agent.Value)
				}
				bufio.NewReader(c).ReadString('\n')
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			})
		}
	})
	t.Cleanup(func() { l.Close(); open.Wait() })
	return l.Addr().String(), found
}

func here(t *testing.T) *Finder {
	f := Here()
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// script runs a line of bash, detached from the shell that runs the tests by an
// agent of the name, which is a shell in disguise.
func script(t *testing.T, as, line string) {
	t.Helper()
	sh, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash")
	}
	agent := filepath.Join(t.TempDir(), as)
	b, err := os.ReadFile(sh)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(agent, b, 0o700); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(agent, "-c", "bash -c '"+line+"; true'; true").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func next(t *testing.T, found chan string) string {
	t.Helper()
	select {
	case s := <-found:
		return s
	case <-time.After(10 * time.Second):
		t.Fatal("no connection came")
		return ""
	}
}

func TestTheChainOfACommandIsFound(t *testing.T) {
	for _, at := range [][2]string{{"tcp4", "127.0.0.1:0"}, {"tcp6", "[::1]:0"}} {
		addr, found := answers(t, here(t), at[0], at[1])
		script(t, "claude", "curl -s http://"+addr)
		if got, want := next(t, found), "curl < bash < claude (observed) agent claude"; got != want {
			t.Errorf("%s: found %q, want %q", at[0], got, want)
		}
	}
}

func TestAClientOfIPv6ThatSpeaksIPv4IsFound(t *testing.T) {
	addr, found := answers(t, here(t), "tcp4", "127.0.0.1:0")
	_, port, _ := net.SplitHostPort(addr)
	script(t, "codex", "curl -s http://[::ffff:127.0.0.1]:"+port)
	if got, want := next(t, found), "curl < bash < codex (observed) agent codex"; got != want {
		t.Errorf("found %q, want %q", got, want)
	}
}

func TestScriptsAreNamedNotTheirInterpreters(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3")
	}
	addr, found := answers(t, here(t), "tcp4", "127.0.0.1:0")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "fetch.py"), []byte("import sys,socket\nh,p=sys.argv[1].split(':')\ns=socket.create_connection((h,int(p)))\ns.send(b'GET\\n')\ns.recv(10)\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	script(t, "gemini", python+" "+dir+"/fetch.py "+addr)
	if got, want := next(t, found), "fetch < bash < gemini (observed) agent gemini"; got != want {
		t.Errorf("found %q, want %q", got, want)
	}
}

// TestAProgramCannotLieAboutItsName renames the process that holds the socket in
// every way that a process has.
func TestAProgramCannotLieAboutItsName(t *testing.T) {
	if _, err := exec.LookPath("perl"); err != nil {
		t.Skip("no perl")
	}
	addr, found := answers(t, here(t), "tcp4", "127.0.0.1:0")
	_, port, _ := net.SplitHostPort(addr)
	dir := t.TempDir()
	// In Perl $0 sets both the name of the process and its command line.
	lie := `use IO::Socket::INET; my $s = IO::Socket::INET->new("127.0.0.1:" . shift) or die; $0 = "git) R 1 < claude\n\e[31m"; print $s "GET\n"; <$s>;`
	if err := os.WriteFile(filepath.Join(dir, "steal.pl"), []byte(lie), 0o600); err != nil {
		t.Fatal(err)
	}
	l := "exec perl " + dir + "/steal.pl " + port
	script(t, "claude", l)
	got := next(t, found)
	if !strings.HasSuffix(got, " < claude (observed) agent claude") || strings.ContainsAny(got, "\n\x1b") || strings.Contains(got, "git") {
		t.Errorf("found %q", got)
	}
	if first, _, _ := strings.Cut(got, " < "); first != "steal" && first != "perl" {
		t.Errorf("the liar is called %q", first)
	}
}

func TestAHostileNameOfAFileCannotForgeAChain(t *testing.T) {
	addr, found := answers(t, here(t), "tcp4", "127.0.0.1:0")
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("no curl")
	}
	dir := t.TempDir()
	evil := filepath.Join(dir, "git < npm\n\x1b[2Jé")
	b, err := os.ReadFile(curl)
	if err == nil {
		err = os.WriteFile(evil, b, 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(evil, "-s", "http://"+addr).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	if got, want := next(t, found), "git_?_npm??[2J??"; !strings.HasPrefix(got, want) {
		t.Errorf("found %q, want the beginning %q", got, want)
	}
}

// Who holds very many descriptors hides neither itself nor others.
func TestAFloodOfDescriptorsHidesNobody(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3")
	}
	addr, found := answers(t, here(t), "tcp4", "127.0.0.1:0")
	dir := t.TempDir()
	flood := `import os,resource,socket,subprocess,sys
most=resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE,(most,most))
n=min(most,12000)-100
for i in range(n): os.dup(0)
h,p=sys.argv[1].split(":")
s=socket.create_connection((h,int(p)))
s.send(b"GET\n"); s.recv(10)
subprocess.run(["curl","-s","http://"+sys.argv[1]])
`
	if err := os.WriteFile(filepath.Join(dir, "flood.py"), []byte(flood), 0o600); err != nil {
		t.Fatal(err)
	}
	script(t, "claude", python+" "+dir+"/flood.py "+addr)
	for _, want := range []string{"flood < bash < claude (observed) agent claude", "curl < flood < bash < claude (observed) agent claude"} {
		if got := next(t, found); got != want {
			t.Errorf("found %q, want %q", got, want)
		}
	}
}

func TestManyShortLivedProgramsAreFound(t *testing.T) {
	const parallel = 200
	addr, found := answers(t, here(t), "tcp4", "127.0.0.1:0")
	script(t, "claude", fmt.Sprintf("for i in $(seq %d); do curl -s http://%s & done; wait", parallel, addr))
	hit := 0
	for range parallel {
		if got := next(t, found); got == "curl < bash < claude (observed) agent claude" {
			hit++
		} else {
			t.Log(got)
		}
	}
	t.Logf("%d of %d were found", hit, parallel)
	if hit < parallel*9/10 {
		t.Errorf("only %d of %d were found", hit, parallel)
	}
}

func TestWhatIsGoneOrFarIsNotWaitedFor(t *testing.T) {
	f := here(t)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c.(*net.TCPConn).SetLinger(0)
	c.Close() // a reset: the kernel forgets it
	var who call.Caller
	f.Witness(s).Testify(&who, time.Second)
	if who.Process.Value != "" {
		t.Errorf("a connection that is gone was made by %q", who.Process.Value)
	}
	if w := (*Finder)(nil).Witness(s); w != nil {
		t.Error("a Finder that is not there knows a witness")
	}
	if w := f.Witness(far{s}); w != nil {
		t.Error("somebody looks for the process of another machine")
	}
}

// far is a connection from another machine.
type far struct{ net.Conn }

func (far) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 4711} }
