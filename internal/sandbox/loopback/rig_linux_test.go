package loopback

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds every wait of the tests.
const patience = 10 * time.Second

// A room is a goroutine in a network namespace of its own.
type room struct {
	t    *testing.T
	work chan func()
	path string // of the namespace, as long as the room is there
}

// newRoom makes a namespace with only lo, which is down.
func newRoom(t *testing.T) *room {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("the tests of namespaces need to be root")
	}
	r := &room{t: t, work: make(chan func())}
	ready := make(chan error)
	go spend(func() {
		err := unix.Unshare(unix.CLONE_NEWNET)
		r.path = fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid())
		ready <- err
		for f := range r.work {
			f()
		}
	})
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { close(r.work) })
	return r
}

// do runs f in the namespace.
func (r *room) do(f func()) {
	done := make(chan struct{})
	r.work <- func() { defer close(done); f() }
	<-done
}

// open seals the namespace in the way given.
func (r *room) open(ways ...capture) *Sockets {
	r.t.Helper()
	var s *Sockets
	var err error
	r.do(func() { s, err = seal(nil, nil, ways...) })
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { s.Close() })
	return s
}

// run runs a program in the namespace, and returns what it prints.
func (r *room) run(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	var b strings.Builder
	cmd.Stdout, cmd.Stderr = &b, &b
	var err error
	r.do(func() { err = cmd.Start() })
	if err != nil {
		return "", err
	}
	err = cmd.Wait()
	return b.String(), err
}

// dial connects from within the namespace.
func (r *room) dial(to string) (c *net.TCPConn, err error) {
	r.do(func() { c, err = dialTCP(to) })
	return c, err
}

// dialTCP does not leave the thread, as net.Dial may.
func dialTCP(to string) (*net.TCPConn, error) {
	a, err := netip.ParseAddrPort(to)
	if err != nil {
		return nil, err
	}
	family, at := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: int(a.Port())})
	if a.Addr().Is4() {
		at.(*unix.SockaddrInet4).Addr = a.Addr().As4()
	} else {
		family, at = unix.AF_INET6, &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), to)
	defer f.Close()
	tv := unix.NsecToTimeval(int64(patience))
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &tv)
	if err := unix.Connect(fd, at); err != nil {
		return nil, err
	}
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), nil
}

// echo answers each connection with where it was meant to go.
func echo(s *Sockets) {
	for _, l := range s.Listeners() {
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					defer c.Close()
					to, err := s.Destination(c)
					if err != nil {
						fmt.Fprintln(c, err)
						return
					}
					fmt.Fprintln(c, to)
				}()
			}
		}()
	}
}

// said reads what the other side says until it ends.
func said(t *testing.T, c net.Conn) string {
	t.Helper()
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// answerQueries answers each datagram by the address that was asked.
func answerQueries(s *Sockets) {
	for _, q := range []*Queries{s.DNS4, s.DNS6} {
		if q == nil {
			continue
		}
		go func() {
			b := make([]byte, 512)
			for {
				_, from, err := q.ReadFrom(b)
				if errors.Is(err, net.ErrClosed) {
					return
				}
				if err == nil {
					q.WriteTo([]byte(from.(*Asker).Asked.Unmap().String()), from)
				}
			}
		}()
	}
}

// ask sends a datagram from within the namespace, on a connected socket: an
// answer from another address would not arrive. The errors of ICMP do.
func ask(to string) (string, error) {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(to)))
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write([]byte("?")); err != nil {
		return "", err
	}
	b := make([]byte, 512)
	n, err := c.Read(b)
	return string(b[:n]), err
}

func both(t *testing.T, f func(t *testing.T, way capture)) {
	for _, way := range []capture{tproxy, redirect} {
		t.Run(way.name, func(t *testing.T) { f(t, way) })
	}
}

func isRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
