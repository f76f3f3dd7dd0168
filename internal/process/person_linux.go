package process

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"outvet/internal/agent"
)

// A person is what can be seen of one process.
type person struct {
	pid, parent int
	started     uint64 // in ticks since the system began
	name        string
	who         *agent.Agent
	seen        bool
}

// person returns the process pid, whose folder is dir, as an index of people.
func (h *hunt) person(pid, dir int) (int, bool) {
	if i, ok := h.found[pid]; ok {
		return i, true
	}
	w := h.w
	comm, parent, started, ok := parseStat(w.file(dir, "stat"))
	if !ok {
		return 0, false
	}
	exe := ""
	if n, err := unix.Readlinkat(dir, "exe", w.buf[:4096]); err == nil {
		exe = string(w.buf[:n])
	}
	var argv []string
	for arg := range bytes.SplitSeq(bytes.TrimSuffix(w.file(dir, "cmdline"), []byte{0}), []byte{0}) {
		if argv = append(argv, string(arg)); len(argv) == argvMax {
			break
		}
	}
	p := person{pid: pid, parent: parent, started: started}
	p.name, p.who, p.seen = name(exe, comm, argv)
	h.people = append(h.people, p)
	h.found[pid] = len(h.people) - 1
	return len(h.people) - 1, true
}

// argvMax is how many words of a command line are looked at for the script.
const argvMax = 64

// environment returns what the environment of a process claims.
func (w *world) environment(dir int) (session, toolCall string) {
	c := agent.FromEnvironment(w.file(dir, "environ"))
	return c.Session, c.Call
}

// file returns the beginning of a file of a process, until the next call.
func (w *world) file(dir int, name string) []byte {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	n := 0
	for n < len(w.buf) {
		m, err := unix.Read(fd, w.buf[n:])
		if m <= 0 || err != nil {
			break
		}
		n += m
	}
	return w.buf[:n]
}

// parseStat reads /proc/PID/stat. The name of the process stands in parentheses and
// may hold anything, parentheses and newlines too; what follows is numbers.
func parseStat(b []byte) (comm string, parent int, started uint64, ok bool) {
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 0 || end < open {
		return "", 0, 0, false
	}
	const parentField, startedField = 1, 19 // after the name; the state is 0
	f := bytes.Fields(b[end+1:])
	if len(f) <= startedField {
		return "", 0, 0, false
	}
	parent, err := strconv.Atoi(string(f[parentField]))
	if err != nil || parent < 0 {
		return "", 0, 0, false
	}
	started, err = strconv.ParseUint(string(f[startedField]), 10, 64)
	return string(b[open+1 : end]), parent, started, err == nil
}

// entries calls f with the entries of a folder that are numbers, until it returns
// false. f does not call entries.
func (w *world) entries(fd int, f func(int) bool) {
	for {
		n, err := unix.Getdents(fd, w.list[:])
		if n <= 0 || err != nil {
			return
		}
		for b := w.list[:n]; len(b) >= 19; {
			size := int(binary.NativeEndian.Uint16(b[16:]))
			if size < 19 || size > len(b) {
				return
			}
			entry := b[19:size]
			b = b[size:]
			if i := bytes.IndexByte(entry, 0); i >= 0 {
				entry = entry[:i]
			}
			if v, ok := number(entry); ok && !f(v) {
				return
			}
		}
	}
}

func number(b []byte) (n int, ok bool) {
	if len(b) == 0 || len(b) > 10 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

// socketOf returns the inode of the socket that a descriptor is, or 0. name ends in
// NUL. It is called for every descriptor of a machine, and so allocates nothing and
// does not tell the scheduler: the kernel answers at once.
func socketOf(dir int, name, link []byte) uint64 {
	n, _, errno := unix.RawSyscall6(unix.SYS_READLINKAT, uintptr(dir), uintptr(unsafe.Pointer(&name[0])), uintptr(unsafe.Pointer(&link[0])), uintptr(len(link)), 0, 0)
	if errno != 0 || int(n) > len(link) {
		return 0
	}
	b, ok := bytes.CutPrefix(link[:n], []byte("socket:["))
	if !ok || len(b) == 0 || b[len(b)-1] != ']' {
		return 0
	}
	var inode uint64
	for _, c := range b[:len(b)-1] {
		if c < '0' || c > '9' {
			return 0
		}
		inode = inode*10 + uint64(c-'0')
	}
	return inode
}
