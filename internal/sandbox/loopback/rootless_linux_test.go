package loopback

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"outvet/internal/sandbox/loopback/loopbacktest"
)

// Parts that the test binary plays when it is started again.
const partEnv = "LOOPBACK_TEST_PART"

func TestMain(m *testing.M) {
	switch os.Getenv(partEnv) {
	case "":
		os.Exit(m.Run())
	case "sealer":
		if err := sealer(); err != nil {
			fmt.Fprintln(os.Stderr, "sealer:", err)
			os.Exit(1)
		}
	case "prisoner":
		prisoner()
	}
}

// nobody is whose sandbox it is.
const nobody = 65534

// sealer is uid 0 of a user namespace of its own: it seals, sends the sockets to
// its parent, and then starts the prisoner, who has no capability over anything.
func sealer() error {
	runtime.LockOSThread()
	s, err := Open()
	if err != nil {
		return err
	}
	parent := os.NewFile(3, "parent")
	if err := s.Send(parent); err != nil {
		return err
	}
	s.Close()
	if _, err := parent.Read(make([]byte, 1)); err != nil {
		return err
	}
	parent.Close()
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), partEnv+"=prisoner")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: nobody, HostID: 0, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: nobody, HostID: 0, Size: 1}},
	}
	return cmd.Run()
}

// wires are sockets on the host that nothing in a sandbox may reach.
type wires struct {
	mu   sync.Mutex // guards hits
	hits []string
	tcp  []netip.AddrPort
	udp  []netip.AddrPort
}

func (w *wires) hit(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hits = append(w.hits, what)
}

func (w *wires) taken() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	h := w.hits
	w.hits = nil
	return h
}

// trip lays wires and proves that each of them is live.
func trip(t *testing.T) *wires {
	t.Helper()
	w := &wires{}
	for _, at := range []string{"127.0.0.1:0", "[::1]:0", "0.0.0.0:0"} {
		l, err := net.Listen("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		p, err := net.ListenPacket("udp", at)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close(); p.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				w.hit("tcp " + at)
				c.Close()
			}
		}()
		go func() {
			for b := make([]byte, 64); ; {
				_, from, err := p.ReadFrom(b)
				if err != nil {
					return
				}
				w.hit("udp " + at)
				p.WriteTo(b[:1], from)
			}
		}()
		w.tcp = append(w.tcp, reachable(l.Addr().(*net.TCPAddr).AddrPort()))
		w.udp = append(w.udp, reachable(p.LocalAddr().(*net.UDPAddr).AddrPort()))
	}
	for i := range w.tcp {
		c, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(w.tcp[i]))
		if err != nil {
			t.Fatal(err)
		}
		said(t, c)
		if _, err := ask(w.udp[i].String()); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(w.taken()); n != 6 {
		t.Fatalf("%d of 6 wires are live", n)
	}
	return w
}

func reachable(a netip.AddrPort) netip.AddrPort {
	if a.Addr().IsUnspecified() {
		return netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), a.Port())
	}
	return a
}

// TestAPrisonerWithoutRootHasNoWayOut seals as an unprivileged user would and
// lets a process without capabilities try the ways out of a network namespace.
func TestAPrisonerWithoutRootHasNoWayOut(t *testing.T) {
	w := trip(t)
	mine, theirs := pair(t)
	targets := []string{}
	for i := range w.tcp {
		targets = append(targets, "tcp/"+w.tcp[i].String(), "udp/"+w.udp[i].String())
	}
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && !p.Addr().IsLoopback() && !p.Addr().IsLinkLocalUnicast() {
			targets = append(targets, "tcp/"+netip.AddrPortFrom(p.Addr(), w.tcp[2].Port()).String())
		}
	}
	cmd := exec.Command("/proc/self/exe", targets...)
	cmd.Env = append(os.Environ(), partEnv+"=sealer")
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: nobody, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: nobody, Size: 1}},
		Credential:  &syscall.Credential{NoSetGroups: true},
		Pdeathsig:   syscall.SIGKILL,
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread() // Pdeathsig belongs to the thread
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	s, err := Receive(mine)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	echo(s)
	answerQueries(s)
	if _, err := mine.Write([]byte("!")); err != nil {
		t.Fatal(err)
	}
	tried := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		tried++
		if try, ok := strings.CutSuffix(lines.Text(), ": fine"); !ok {
			t.Error(try)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if tried < 40 {
		t.Errorf("only %d ways were tried", tried)
	}
	if hits := w.taken(); len(hits) > 0 {
		t.Errorf("wires were hit: %q", hits)
	}
}

// prisoner tries ways out, and prints of each whether it ended as it should.
func prisoner() {
	tell := func(what string, fine bool, got any) {
		if fine {
			got = "fine"
		}
		fmt.Printf("%s: %v\n", what, got)
	}
	refused := func(what string, err error, want ...syscall.Errno) {
		fine := false
		for _, e := range want {
			fine = fine || errors.Is(err, e)
		}
		tell(what, fine, fmt.Sprintf("%v, want one of %v", err, want))
	}
	for _, s := range []struct {
		what               string
		family, kind, prot int
		want               syscall.Errno
	}{
		{"raw socket", unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_TCP, unix.EPERM},
		{"raw socket v6", unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_UDP, unix.EPERM},
		{"packet socket", unix.AF_PACKET, unix.SOCK_RAW, 0x0300, unix.EPERM},
		{"packet socket, cooked", unix.AF_PACKET, unix.SOCK_DGRAM, 0x0300, unix.EPERM},
		{"ping socket", unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_ICMP, unix.EACCES},
		{"ping socket v6", unix.AF_INET6, unix.SOCK_DGRAM, unix.IPPROTO_ICMPV6, unix.EACCES},
	} {
		fd, err := unix.Socket(s.family, s.kind, s.prot)
		refused(s.what, err, s.want)
		if err == nil {
			unix.Close(fd)
		}
	}
	captured(tell, refused)
	strayDatagrams(refused)
	ownWalls(tell, refused)
}

// captured connects to all that would be a wire outside, and to the internet.
func captured(tell func(string, bool, any), refused func(string, error, ...syscall.Errno)) {
	for _, target := range append(os.Args[1:], "tcp/169.254.169.254:80", "tcp/[fd00:ec2::254]:80", "tcp/100.100.100.200:80",
		"tcp/192.168.1.1:80", "tcp/1.1.1.1:853", "tcp/[::ffff:10.0.0.1]:22", "udp/1.1.1.1:443", "udp/[2606:4700::1111]:443", "udp/10.0.0.1:161") {
		network, to, _ := strings.Cut(target, "/")
		at := netip.MustParseAddrPort(to)
		if network == "udp" {
			_, err := ask(to)
			refused(target, err, unix.ECONNREFUSED)
			continue
		}
		c, err := loopbacktest.DialTCP(to)
		if at.Addr().IsLoopback() {
			refused(target, err, unix.ECONNREFUSED)
			continue
		}
		if err != nil {
			tell(target, false, err)
			continue
		}
		c.SetDeadline(time.Now().Add(patience))
		b, _ := io.ReadAll(c)
		c.Close()
		want := netip.AddrPortFrom(at.Addr().Unmap(), at.Port()).String()
		tell(target, strings.TrimSpace(string(b)) == want, "came as "+string(b))
	}
	for _, server := range []string{"8.8.8.8:53", "127.0.0.53:53", "[::1]:53", "[2001:4860:4860::8888]:53"} {
		got, err := ask(server)
		tell("dns "+server, err == nil && got == netip.MustParseAddrPort(server).Addr().String(), err)
	}
	_, err := loopbacktest.DialTCP("[fe80::1]:80")
	refused("link-local", err, unix.EINVAL)
}

// strayDatagrams sends what goes to more than one.
func strayDatagrams(refused func(string, error, ...syscall.Errno)) {
	for _, to := range []string{"224.0.0.251", "239.255.255.250", "255.255.255.255"} {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
		if err == nil {
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1)
			err = unix.Sendto(fd, []byte("?"), 0, &unix.SockaddrInet4{Port: 5353, Addr: netip.MustParseAddr(to).As4()})
			unix.Close(fd)
		}
		if err == nil {
			err = unix.ENETUNREACH // it stays inside: the wires would tell
		}
		refused("datagram to "+to, err, unix.ENETUNREACH, unix.ECONNREFUSED, unix.EACCES, unix.EPERM)
	}
}

// ownWalls tries to change what seals the namespace, or to take its place.
func ownWalls(tell func(string, bool, any), refused func(string, error, ...syscall.Errno)) {
	refused("new address", setRoutes(false, nil), unix.EPERM)
	c, err := nftables.New()
	if err == nil {
		c.DelTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: tableName})
		err = c.Flush()
	}
	refused("delete the rules", err, unix.EPERM)
	refused("turn IPv6 off", os.WriteFile("/proc/sys/net/ipv6/conf/all/disable_ipv6", []byte("1"), 0), unix.EACCES, unix.EPERM)
	refused("low ports for all", os.WriteFile("/proc/sys/net/ipv4/ip_unprivileged_port_start", []byte("0"), 0), unix.EACCES, unix.EPERM)
	for _, at := range []string{"127.0.0.1:53", "127.0.0.53:53", "8.8.8.8:53", "[::1]:53"} {
		_, err := net.ListenPacket("udp", at)
		refused("bind UDP "+at, err, unix.EACCES)
	}
	for _, at := range []string{"0.0.0.0", "127.0.0.1", "93.184.216.34", Own4.String()} {
		for _, opt := range []int{0, unix.SO_REUSEADDR, unix.SO_REUSEPORT} {
			refused(fmt.Sprintf("bind TCP %s:%d with option %d", at, Port, opt), bindAndListen(at, Port, opt), unix.EADDRINUSE)
		}
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_TRANSPARENT, 1)
		unix.Close(fd)
	}
	refused("transparent socket", err, unix.EPERM)
	done := make(chan error)
	go func() { // a nested namespace is empty
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		_, err := loopbacktest.DialTCP("93.184.216.34:80")
		done <- err
	}()
	refused("nested network namespace", <-done, unix.EPERM, unix.ENETUNREACH)
	all, err := net.Interfaces()
	tell("only lo", err == nil && len(all) == 1 && all[0].Index == lo, all)
}

func bindAndListen(at string, port, opt int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if opt != 0 {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, opt, 1)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: netip.MustParseAddr(at).As4()}); err != nil {
		return err
	}
	return unix.Listen(fd, 1)
}
