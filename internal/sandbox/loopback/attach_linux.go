package loopback

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Attach seals a network namespace that somebody else made, such as
// /run/netns/NAME or /proc/PID/ns/net, and returns its sockets. It needs to be
// root on the host. Who attached before is followed; whoever still listens is not
// pushed aside.
//
// A namespace that has only lo is closed from the start. One that has other
// interfaces keeps them for what comes in from nodes, which may connect (as
// probes of a kubelet do) and be answered; nothing else leaves by them. That wall
// stands only as long as no process inside may change it or write to the wire
// below it: one that could is an error.
func Attach(netns string, nodes ...netip.Addr) (*Sockets, error) {
	type result struct {
		s   *Sockets
		err error
	}
	c := make(chan result, 1)
	spend(func() {
		s, err := attach(netns, nodes)
		c <- result{s, err}
	})
	r := <-c
	if r.err != nil {
		return nil, fmt.Errorf("attach %q: %w", netns, r.err)
	}
	return r.s, nil
}

// spend runs f in a thread that ends with it, so that no other goroutine comes
// into its namespace. It is not the first thread, which cannot end.
func spend(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if unix.Gettid() == os.Getpid() {
			spend(f) // while this goroutine keeps the first thread busy
			runtime.UnlockOSThread()
			return
		}
		f()
	}()
	<-done
}

// attach does what Attach does, in the calling thread, which stays in the
// namespace.
func attach(netns string, nodes []netip.Addr) (*Sockets, error) {
	f, err := os.Open(netns)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var there, here unix.Stat_t
	if err := errors.Join(unix.Fstat(int(f.Fd()), &there), unix.Stat("/proc/thread-self/ns/net", &here)); err != nil {
		return nil, err
	}
	if there.Ino == here.Ino && there.Dev == here.Dev {
		return nil, errors.New("that is the network namespace of outvet itself: nothing could leave any more")
	}
	if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("enter the network namespace: %w", err)
	}
	others, err := otherInterfaces()
	if err != nil {
		return nil, err
	}
	if len(others) == 0 {
		return seal(nil, nil, tproxy, redirect)
	}
	if err := mayPierce(there.Dev, there.Ino); err != nil {
		return nil, err
	}
	var own []net.IP
	for _, i := range others {
		addrs, err := i.Addrs()
		if err != nil {
			return nil, fmt.Errorf("addresses of %q: %w", i.Name, err)
		}
		for _, a := range addrs {
			if p, ok := a.(*net.IPNet); ok {
				own = append(own, p.IP)
			}
		}
	}
	w := &wire{}
	for _, n := range nodes {
		w.nodes = append(w.nodes, n.Unmap())
	}
	return seal(w, own, tproxy, redirect)
}
