// Package loopbacktest makes network namespaces for tests.
package loopbacktest

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Patience bounds every wait.
const Patience = 10 * time.Second

// A Room is a network namespace, with only lo, which is down.
type Room struct {
	Path string // of the namespace, for as long as the test runs
	work chan func()
}

// New makes a room that ends with the test.
func New(t testing.TB) *Room {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("tests with namespaces need to be root")
	}
	r := &Room{work: make(chan func())}
	ready := make(chan error)
	go spend(func() {
		err := unix.Unshare(unix.CLONE_NEWNET)
		r.Path = fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid())
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

// spend runs f in a thread that ends with it. It is not the first thread, which
// cannot end.
func spend(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if unix.Gettid() == os.Getpid() {
			spend(f)
			runtime.UnlockOSThread()
			return
		}
		f()
	}()
	<-done
}

// Do runs f in the room. What it starts on other goroutines is elsewhere.
func (r *Room) Do(f func()) {
	done := make(chan struct{})
	r.work <- func() { defer close(done); f() }
	<-done
}

// Beside runs f in the room, on a thread of its own, beside what else runs there.
func (r *Room) Beside(f func()) error {
	ns, err := os.Open(r.Path)
	if err != nil {
		return err
	}
	defer ns.Close()
	spend(func() {
		if err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err == nil {
			f()
		}
	})
	return err
}

// Start starts a program in the room.
func (r *Room) Start(cmd *exec.Cmd) (err error) {
	r.Do(func() { err = cmd.Start() })
	return err
}

// Run runs a program in the room and returns what it prints.
func (r *Room) Run(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	var b strings.Builder
	cmd.Stdout, cmd.Stderr = &b, &b
	if err := r.Start(cmd); err != nil {
		return "", err
	}
	err := cmd.Wait()
	return b.String(), err
}

// Dial connects from within the room.
func (r *Room) Dial(to string) (c *net.TCPConn, err error) {
	r.Do(func() { c, err = DialTCP(to) })
	return c, err
}

// DialTCP connects to an address without leaving the thread, as net.Dial may.
func DialTCP(to string) (*net.TCPConn, error) {
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
	tv := unix.NsecToTimeval(int64(Patience))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &tv); err != nil {
		return nil, err
	}
	if err := unix.Connect(fd, at); err != nil {
		return nil, err
	}
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), nil
}
