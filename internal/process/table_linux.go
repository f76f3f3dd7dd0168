package process

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A table tells the inode of the client's socket of a connection.
type table struct {
	init int
	diag *os.File // netlink; nil for none
	seq  uint32
	read map[[2]netip.AddrPort]uint64 // /proc/PID/net/tcp of this pass, nil if it was not needed
}

func (t *table) begin(init int, diag *os.File) {
	t.init, t.diag = init, diag
	if diag == nil {
		t.diag, _ = openDiag(init) // else /proc will do
	}
	if t.diag != nil {
		tv := unix.Timeval{Usec: 20_000}
		_ = unix.SetsockoptTimeval(int(t.diag.Fd()), unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv) // the kernel answers at once
	}
}

func (t *table) end() error {
	if t.diag == nil {
		return nil
	}
	return t.diag.Close()
}

// openDiag makes a socket within the network namespace of init.
func openDiag(init int) (*os.File, error) {
	open := func() (*os.File, error) {
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
		if err != nil {
			return nil, err
		}
		return os.NewFile(uintptr(fd), "sock_diag"), nil
	}
	if init == 0 {
		return open()
	}
	ns, err := os.Open(procName(init) + "/ns/net")
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	type made struct {
		f   *os.File
		err error
	}
	c := onThread(func() made {
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return made{nil, err}
		}
		f, err := open()
		return made{f, err}
	})
	return c.f, c.err
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
		inode, err := t.ask(client, server)
		if err == nil || errors.Is(err, unix.ENOENT) {
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

// Sizes of struct inet_diag_req_v2 and struct inet_diag_msg (linux/inet_diag.h).
const (
	diagRequest = 56
	diagAnswer  = 72
	diagInode   = 68
	byFamily    = 20 // SOCK_DIAG_BY_FAMILY
)

// ask asks the kernel for one socket.
func (t *table) ask(client, server netip.AddrPort) (uint64, error) {
	t.seq++
	var m [unix.NLMSG_HDRLEN + diagRequest]byte
	binary.NativeEndian.PutUint32(m[0:], uint32(len(m)))
	binary.NativeEndian.PutUint16(m[4:], byFamily)
	binary.NativeEndian.PutUint16(m[6:], unix.NLM_F_REQUEST)
	binary.NativeEndian.PutUint32(m[8:], t.seq)
	q := m[unix.NLMSG_HDRLEN:]
	q[0], q[1] = unix.AF_INET, unix.IPPROTO_TCP
	if client.Addr().Is6() {
		q[0] = unix.AF_INET6
	}
	binary.NativeEndian.PutUint32(q[4:], ^uint32(0)) // any state
	binary.BigEndian.PutUint16(q[8:], client.Port())
	binary.BigEndian.PutUint16(q[10:], server.Port())
	copy(q[12:28], client.Addr().AsSlice())
	copy(q[28:44], server.Addr().AsSlice())
	binary.NativeEndian.PutUint64(q[48:], ^uint64(0)) // no cookie
	fd := int(t.diag.Fd())
	if err := unix.Sendto(fd, m[:], 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, err
	}
	var buf [1024]byte
	for {
		n, _, err := unix.Recvfrom(fd, buf[:], 0)
		if err != nil {
			return 0, err
		}
		inode, seq, err := parseDiag(buf[:n])
		if seq == t.seq { // else the answer to a question that timed out
			return inode, err
		}
	}
}

func parseDiag(b []byte) (inode uint64, seq uint32, err error) {
	if len(b) < unix.NLMSG_HDRLEN+4 {
		return 0, 0, errors.New("sock_diag: the answer is short")
	}
	seq = binary.NativeEndian.Uint32(b[8:])
	kind, rest := binary.NativeEndian.Uint16(b[4:]), b[unix.NLMSG_HDRLEN:]
	switch {
	case kind == unix.NLMSG_ERROR:
		return 0, seq, unix.Errno(-int32(binary.NativeEndian.Uint32(rest)))
	case kind != byFamily || len(rest) < diagAnswer:
		return 0, seq, fmt.Errorf("sock_diag: an answer of kind %d, %d bytes", kind, len(rest))
	}
	return uint64(binary.NativeEndian.Uint32(rest[diagInode:])), seq, nil
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
