package sandbox

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// probes compiles the probes in C into a folder that all may read.
func probes(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "outvet-probes-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	os.Chmod(dir, 0o755)
	for _, n := range []string{"iou", "i386"} {
		if n == "i386" && runtime.GOARCH != "amd64" {
			continue
		}
		if out, err := exec.Command("gcc", "-o", filepath.Join(dir, n), "testdata/"+n+".c").CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	return dir
}

// outside runs a program on the machine as w's command would be.
func outside(t *testing.T, w caller, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = "/"
	cmd.Stderr = os.Stderr
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(w.want), Gid: uint32(w.want)}}
	}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s outside: %v", name, err)
	}
	return string(out)
}

// closed says how each try must end: as one of the names given, or as a regular
// expression in slashes.
var closed = map[string]string{
	"fifo":                        `/^(ENXIO|ENOENT)$/`, // another inode, which nobody reads
	"unix abstract":               "ECONNREFUSED EPERM",
	"udp 443":                     "ECONNREFUSED",
	"udp 443 v6":                  "ECONNREFUSED",
	"multicast":                   "sent ENETUNREACH",
	"broadcast":                   "sent ENETUNREACH EACCES",
	"tcp 10.0.0.1 22":             "captured",
	"tcp 169.254.169.254 80":      "captured",
	"tcp 2001:db8::1 443":         "captured",
	"tcp fd00:ec2::254 80":        "captured",
	"tcp ::ffff:8.8.8.8 443":      "captured",
	"tcp 0.0.0.0 4000":            "ECONNREFUSED", // itself
	"tcp fe80::1%lo":              "EINVAL captured ENETUNREACH",
	"ping":                        "EACCES",
	"ping v6":                     "EACCES",
	"raw icmp":                    "EPERM",
	"packet":                      "EAFNOSUPPORT",
	"fast open":                   "captured EOPNOTSUPP",
	"families":                    "/^\\[1, 2, 10, 16\\]$/",
	"netlinks":                    "/^\\[0\\]$/",
	"socketpair tipc":             "EAFNOSUPPORT",
	"high half of a family":       "EAFNOSUPPORT",
	"take udp 53":                 "EACCES EADDRINUSE",
	"transparent":                 "EPERM",
	"mark":                        "EPERM",
	"bind to device":              "EPERM ENODEV",
	"setns of process 1":          "EPERM",
	"ptrace process outside":      "ESRCH EPERM",
	"ptrace process 1":            "EPERM",
	"signal process 1":            "EPERM",
	"signal process outside":      "ESRCH EPERM",
	"descriptor of process 1":     "EPERM",
	"memory of process 1":         "EPERM",
	"terminal input 0x5412":       "EPERM",
	"terminal input 0x541c":       "EPERM",
	"terminal input 0x100005412":  "EPERM",
	"i386 calls":                  "/^rc=0 family 40: Function not implemented family 2: Function not implemented family 1: Function not implemented socketcall: Function not implemented$/",
	"io_uring alone":              "/^rc=1 setup: Function not implemented$/",
	"root of process outside":     "ENOENT EACCES",
	"process 1 root":              "EACCES",
	"process 1 ns/net":            "EACCES",
	"process 1 cwd":               "EACCES",
	"process 1 exe":               "EACCES",
	"process 1 environ":           "EACCES",
	"process 1 mem":               "EACCES",
	"process 1 maps":              "EACCES",
	"processes":                   "/^\\[1\\]$/",
	"devices":                     "/^\\['lo'\\]$/",
	"devices of a new network":    "/^rc=0 Inter-\\S* .* lo: [0 ]*$/",
	"routes of the new network":   "/^rc=1 .*(unreachable)/",
	"umount /run":                 "/^rc=(1|32) .*(must be superuser|denied|not permitted)/",
	"umount /run, nested":         "/^rc=(1|32) .*(denied|not permitted|Invalid argument|not mounted)/",
	"umount hidden, nested":       "/^rc=(1|32) .*(denied|not permitted|Invalid argument|not mounted|no mount point)/",
	"bind above hidden, nested":   "/^rc=/",
	"rbind above hidden, nested":  "/^rc=/",
	"mount in a nested namespace": "/^rc=0 $/", // nested sandboxes work
	"pivot to the old root":       "EPERM",
	"su":                          "/^rc=1 /",
	"setuid programs":             "/^rc=(1|32) .*(must be superuser|denied|not permitted)/",
	"list state":                  "/^\\[\\]$/",
	"secret .ssh/id_ed25519":      "ENOENT",
	"secret .netrc":               "empty",
	"state":                       "ENOENT",
	"inherited descriptors":       "/^\\[0, 1, 2\\]$/",
	"core limit":                  "/^\\(1, 1\\)$/",
	"lower core limit":            "/^\\(1, 1\\)$/",
	"other limits":                "/^64$/",
	"queues":                      "/^\\[\\]$/",
	"nsenter":                     "/^rc=1 /",
	"read /dev/vda":               "ENOENT",
	"read /etc/shadow":            "EACCES",
	"read /proc/kcore":            "EACCES ENOENT EPERM",
	"read /proc/kallsyms":         "OPEN ENOENT EPERM", // numbers are zero without privilege
}

// closedOf returns the expectation for a try of many alike.
func closedOf(w caller, name string) string {
	switch first, _, _ := strings.Cut(name, " "); {
	case closed[name] != "":
		return closed[name]
	case name == "groups":
		return fmt.Sprintf(`/^\[(%d)?\]$/`, w.want)
	case strings.HasPrefix(name, "tcp loopback"), strings.HasPrefix(name, "udp loopback"):
		return "ECONNREFUSED" // its own loopback
	case first == "tcp":
		return "captured"
	case first == "udp":
		return "ECONNREFUSED"
	case first == "unix":
		return "ECONNREFUSED EACCES ENOENT ENOTDIR"
	case first == "dns":
		return "/^answer /" // ours
	case first == "protocol":
		return "EPROTONOSUPPORT ESOCKTNOSUPPORT"
	case strings.HasPrefix(name, "overlay above"):
		return "/^rc=32 /"
	case first == "take":
		return "EADDRINUSE EACCES EADDRNOTAVAIL"
	case strings.HasPrefix(name, "call io_uring"):
		return "ENOSYS"
	case first == "call":
		return "EPERM"
	case strings.HasPrefix(name, "write /proc"), strings.HasPrefix(name, "write /sys"), strings.HasPrefix(name, "write /usr"), strings.HasPrefix(name, "write /etc"):
		return "EACCES EROFS ENOENT EPERM"
	case strings.HasPrefix(name, "write /dev"):
		return "ENOENT"
	}
	return "a try that nobody expects"
}

func ended(want, got string) bool {
	if len(want) > 2 && want[0] == '/' {
		return regexp.MustCompile(want[1 : len(want)-1]).MatchString(got)
	}
	return slices.Contains(strings.Fields(want), got)
}

// TestNoWayOut tries every way out that we know. The wires on the machine are
// proved to be live first, by the same tries from outside.
func TestNoWayOut(t *testing.T) {
	dir := probes(t)
	asEach(t, func(t *testing.T, w caller) {
		p := newPlace(t, w)
		os.MkdirAll(p.workspace+"/deep/er", 0o755)
		p.own(t, w)
		wires := lay(t, p)
		arg := map[string]any{"sockets": wires.sockets, "tcp": wires.tcp, "udp": wires.udp, "fifo": wires.fifo,
			"pid": os.Getpid(), "home": p.home, "workspace": p.workspace, "state": p.state, "probe": dir, "wires": true}
		script, err := os.ReadFile("testdata/ways.py")
		if err != nil {
			t.Fatal(err)
		}
		text, _ := json.Marshal(arg)
		outside(t, w, "/usr/bin/python3", "-c", string(script), string(text))
		if got, want := wires.taken(), wires.all(); !slices.Equal(got, want) {
			t.Fatalf("not all wires are live\nreached %q\n        %q", got, want)
		}
		delete(arg, "wires")
		text, _ = json.Marshal(arg)
		for _, m := range []Mode{Review, Strict} {
			c := p.config(w, "/usr/bin/python3", "-c", string(script), string(text))
			c.Files = m
			l := run(t, w, c)
			if got := wires.taken(); len(got) > 0 || l.code != 0 || strings.Contains(l.out, "STATEKEY") || strings.Contains(l.out, "SSHKEY") {
				t.Errorf("%s: REACHED from inside: %q; %s", m, got, l)
			}
		}
		l := run(t, w, p.config(w, "/usr/bin/python3", "-c", string(script), string(text)))
		if got := wires.taken(); len(got) > 0 {
			t.Errorf("REACHED from inside: %q", got)
		}
		tries := map[string]string{}
		if err := json.Unmarshal([]byte(l.out), &tries); err != nil {
			t.Fatalf("%v\n%s", err, l)
		}
		for name, got := range tries {
			if want := closedOf(w, name); !ended(want, got) {
				t.Errorf("%-30s ended as %q, not as %s", name, got, want)
			}
			if strings.Contains(got, "STATEKEY") || strings.Contains(got, "SSHKEY") {
				t.Errorf("%s shows a key", name)
			}
		}
		if len(tries) < 120 {
			t.Errorf("only %d tries", len(tries))
		}
		for name, a := range wires.tcp {
			to := fmt.Sprintf("%s:%d", a[0], a[1])
			if !strings.Contains(name, "loopback") && a[0] != "127.0.0.1" && !slices.Contains(l.calls(), to) {
				t.Errorf("the try of %s is not among the calls %q", to, l.calls())
			}
		}
	})
}
