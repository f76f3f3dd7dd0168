package dns_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestClientsTakeStandIns asks by the resolvers that programs have: of glibc, of
// Python, Node, Go, curl and git, in a network in which only loopback is, as that of
// a sandbox.
func TestClientsTakeStandIns(t *testing.T) {
	need(t, map[string]string{"ip": "iproute2"})
	if !within(t) {
		return
	}
	conf := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(conf, []byte("nameserver 127.0.0.1\nsearch example.edu localdomain\noptions edns0 trust-ad\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	target, err := filepath.EvalSymlinks("/etc/resolv.conf")
	if err != nil {
		t.Skip("this machine has no resolv.conf")
	}
	for _, args := range [][]string{{"mount", "--make-rprivate", "/"}, {"mount", "--bind", conf, target}, {"ip", "addr", "add", "198.19.255.254/32", "dev", "lo"}, {"ip", "-6", "addr", "add", "fd6f:7574:7665::2/128", "dev", "lo", "nodad"},
		{"ip", "route", "add", "local", "0.0.0.0/0", "dev", "lo", "src", "198.19.255.254", "table", "local"}, {"ip", "-6", "route", "add", "local", "::/0", "dev", "lo", "src", "fd6f:7574:7665::2", "table", "local"}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Skipf("%v: %v %s", args, err, out)
		}
	}
	r := guarded(t, "version: 1\ndefault: block\ninclude: [preset:core]\n")
	pc, err := net.ListenPacket("udp", "127.0.0.1:53")
	if err != nil {
		t.Fatal(err)
	}
	go r.Serve(pc)
	for name, tc := range map[string]struct {
		args  []string
		wants string
	}{
		"glibc":   {[]string{"getent", "ahosts", "glibc.example.com"}, "198.18.0."},
		"glibc 6": {[]string{"getent", "ahostsv6", "glibc6.example.com"}, "2001:2::c612:"},
		"python":  {[]string{"python3", "-c", "import socket; print(socket.getaddrinfo('python.example.com', 443))"}, "198.18.0."},
		"node":    {[]string{"node", "-e", "require('dns').lookup('node.example.com', (e, a) => console.log(e, a))"}, "198.18.0."},
		"c-ares":  {[]string{"node", "-e", "require('dns').resolve4('cares.example.com', (e, a) => console.log(e, a))"}, "198.18.0."},
		"refused": {[]string{"node", "-e", "require('dns').resolveTxt('txt.example.com', (e, a) => console.log(e.code, a))"}, "EREFUSED"},
		"curl":    {[]string{"curl", "-sv", "--max-time", "3", "http://curl.example.com/"}, "198.18.0."},
		"git":     {[]string{"git", "ls-remote", "http://git.example.com/x.git"}, "git.example.com"},
		"local":   {[]string{"getent", "ahosts", "localhost"}, "127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := exec.LookPath(tc.args[0]); err != nil {
				t.Skip(tc.args[0] + " is not here")
			}
			out, _ := exec.Command(tc.args[0], tc.args[1:]...).CombinedOutput()
			if !strings.Contains(string(out), tc.wants) || strings.Contains(string(out), "resolve host") {
				t.Errorf("%v: %s, want %s", tc.args, out, tc.wants)
			}
		})
	}
	t.Run("go", func(t *testing.T) {
		for _, pure := range []bool{true, false} {
			a, err := (&net.Resolver{PreferGo: pure}).LookupNetIP(t.Context(), "ip4", "go.example.com")
			if err != nil || len(a) != 1 || !strings.HasPrefix(a[0].String(), "198.18.") {
				t.Errorf("pure %v: %v, %v", pure, a, err)
			}
		}
	})
	if n := len(r.up.questions()); n > 0 {
		t.Errorf("%d questions left", n)
	}
}
