package process

import (
	"bufio"
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"outvet/internal/sockdiag"
)

// A table tells the inode of the client's socket of a connection.
type table struct {
	init int
	diag Sockets                      // nil for none
	own  *sockdiag.Socket             // that it is, if it was made here
	read map[[2]netip.AddrPort]uint64 // /proc/PID/net/tcp of this pass, nil if it was not needed
}

func (t *table) begin(init int, sockets Sockets) {
	t.init, t.diag = init, sockets
	if t.diag != nil {
		return
	}
	if s, err := openDiag(init); err == nil { // else /proc will do
		t.diag, t.own = s, s
	}
}

func (t *table) end() error {
	if t.own == nil {
		return nil
	}
	return t.own.Close()
}

// openDiag makes a socket within the network namespace of init.
func openDiag(init int) (*sockdiag.Socket, error) {
	if init == 0 {
		return sockdiag.Open()
	}
	ns, err := os.Open(procName(init) + "/ns/net")
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	type made struct {
		s   *sockdiag.Socket
		err error
	}
	c := onThread(func() made {
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return made{nil, err}
		}
		s, err := sockdiag.Open()
		return made{s, err}
	})
	return c.s, c.err
}

// onThread calls f on a thread of its own that ends with it.
func onThread[T any](f func() T) T {
	c := make(chan T)
	go func() {
		runtime.LockOSThread() // and never unlock: nothing else may run in that namespace
		c <- f()
	}()
	return <-c
}

// forget begins a pass.
func (t *table) forget() { t.read = nil }

// inode returns the inode of the socket that is connected from client to server, 0
// if its holder has closed it.
func (t *table) inode(client, server netip.AddrPort) (uint64, error) {
	if t.diag != nil {
		inode, err := t.diag.Inode(client, server)
		if err == nil || errors.Is(err, sockdiag.ErrNone) {
			return inode, nil
		}
	}
	if t.read == nil {
		var err error
		if t.read, err = readTables(t.init); err != nil {
			return 0, err
		}
	}
	return t.read[[2]netip.AddrPort{client, server}], nil
}

// readTables reads what /proc tells of TCP in the network namespace of init.
func readTables(init int) (map[[2]netip.AddrPort]uint64, error) {
	all := map[[2]netip.AddrPort]uint64{}
	for _, name := range []string{"tcp", "tcp6"} {
		f, err := os.Open(procName(init) + "/net/" + name)
		if errors.Is(err, os.ErrNotExist) && name == "tcp6" {
			break // no IPv6
		}
		if err != nil {
			return nil, err
		}
		s := bufio.NewScanner(f)
		for s.Scan() {
			if local, remote, inode, ok := parseRow(s.Text()); ok {
				all[[2]netip.AddrPort{local, remote}] = inode
			}
		}
		err = errors.Join(s.Err(), f.Close())
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// parseRow reads a line of /proc/net/tcp.
func parseRow(line string) (local, remote netip.AddrPort, inode uint64, ok bool) {
	f := strings.Fields(line)
	if len(f) < 10 {
		return
	}
	local, ok1 := parseEnd(f[1])
	remote, ok2 := parseEnd(f[2])
	inode, err := strconv.ParseUint(f[9], 10, 64)
	return local, remote, inode, ok1 && ok2 && err == nil
}

// parseEnd reads ADDRESS:PORT: words of 32 bits in the order of this machine.
func parseEnd(s string) (netip.AddrPort, bool) {
	addr, port, _ := strings.Cut(s, ":")
	p, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return netip.AddrPort{}, false
	}
	const digits = 8 // of a word
	var b []byte
	for ; len(addr) >= digits; addr = addr[digits:] {
		w, err := strconv.ParseUint(addr[:digits], 16, 32)
		if err != nil {
			return netip.AddrPort{}, false
		}
		b = binary.NativeEndian.AppendUint32(b, uint32(w))
	}
	if addr != "" {
		return netip.AddrPort{}, false
	}
	a, ok := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(a.Unmap(), uint16(p)), ok
}
