package loopback

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// pair returns the two ends of a control socket.
func pair(t *testing.T) (a, b *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	a, b = os.NewFile(uintptr(fds[0]), "a"), os.NewFile(uintptr(fds[1]), "b")
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

func descriptor(t *testing.T, c syscall.Conn) (n int) {
	t.Helper()
	if err := control(c, func(fd int) error { n = fd; return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

func descriptorsOpen(t *testing.T) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(d)
}

// link is: ip link ARGS, in the namespace of the calling thread.
func link(args ...string) error {
	return exec.Command("ip", append([]string{"link"}, args...)...).Run()
}

func contains(s, sub string) bool { return strings.Contains(s, sub) }

// missing is a way to capture that the kernel does not know, as one without the
// module nft_tproxy does not know that: it says ENOENT, too.
func missing() capture {
	way := tproxy
	way.to = func(*ruleset) []expr.Any { return []expr.Any{&expr.FlowOffload{Name: "none"}} }
	return way
}

func BenchmarkOpen(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		done := make(chan error)
		go func() {
			runtime.LockOSThread()
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				done <- err
				return
			}
			b.StartTimer()
			s, err := Open()
			b.StopTimer()
			if err == nil {
				s.Close()
			}
			done <- err
		}()
		if err := <-done; err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// throughEth0 sends a datagram by the interface eth0, whatever the routes say.
func throughEth0(to string) error {
	a := netip.MustParseAddrPort(to)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.BindToDevice(fd, "eth0"); err != nil {
		return err
	}
	return unix.Sendto(fd, []byte("out"), 0, &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()})
}

// ping sends an echo request and waits a little for what answers it.
func ping(to string) error {
	a := netip.MustParseAddr(to)
	network, kind := "ip4:icmp", byte(8)
	if a.Is6() {
		network, kind = "ip6:ipv6-icmp", 128
	}
	c, err := net.DialIP(network, nil, &net.IPAddr{IP: a.AsSlice()})
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience / 20))
	m := []byte{kind, 0, 0xf7, 0xfd, 0, 1, 0, 1} // with the checksum of IPv4; the kernel makes that of IPv6
	if _, err := c.Write(m); err != nil {
		return err
	}
	for b := make([]byte, 64); ; {
		n, _, err := c.ReadFrom(b) // without the header of IPv4
		if err != nil {
			return err
		}
		if n > 0 && (b[0] == 0 && a.Is4() || b[0] == 129) {
			return nil
		}
	}
}
