package process

import (
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

const (
	recentMax = 8    // processes that make connections again and again are looked at first
	onceMax   = 4096 // of those that made one are remembered
)

// A world is what the kernel tells of processes and their sockets. Only begin, end
// and pass are called, one at a time.
type world struct {
	init   int
	self   int
	netns  string // as /proc names it; "" if it cannot be seen
	table  table
	recent []int        // made connections more than once
	once   map[int]bool // made one: the next is rather another's
	vain   map[int]bool // looked at without finding anything
	kin    map[int]bool // whether it is in the namespace
	kinOf  time.Time    // when that was last forgotten
	buf    [32 << 10]byte
	list   [8 << 10]byte
}

func (w *world) begin(init int, diag Sockets) {
	w.init, w.self = init, os.Getpid()
	w.netns = namespace(init)
	w.table.begin(init, diag)
}

func (w *world) end() error { return w.table.end() }

func procName(pid int) string {
	if pid == 0 {
		return "/proc/self"
	}
	return "/proc/" + strconv.Itoa(pid)
}

func namespace(pid int) string {
	s, err := os.Readlink(procName(pid) + "/ns/net")
	if err != nil {
		return ""
	}
	return s
}

// A hunt is one pass.
type hunt struct {
	w      *world
	want   map[uint64][]*Search
	found  map[int]int // processes met before, as indexes of links
	people []person
	left   int   // descriptors that may be looked at
	many   []int // processes that have more than were looked at
}

// pass ends the searches of batch but those whose socket nobody seems to hold, which
// it returns: the pass may have been too long, or the holder have moved in it. looked
// is at how many descriptors it looked.
func (w *world) pass(batch []*Search) (left []*Search, looked int) {
	h := &hunt{w: w, want: map[uint64][]*Search{}, found: map[int]int{}, left: descriptorsMax}
	w.table.forget()
	for _, s := range batch {
		inode, err := w.table.inode(s.client, s.server)
		switch {
		case err != nil:
			s.end(Chain{}, "the socket of the client: "+err.Error())
		case inode == 0:
			s.end(Chain{}, "the client has closed its socket")
		default:
			h.want[inode] = append(h.want[inode], s)
		}
	}
	if len(h.want) > 0 {
		h.run()
	}
	for _, all := range h.want {
		left = append(left, all...)
	}
	return left, descriptorsMax - h.left
}

// run looks at one process after the other: those that made connections before,
// then the others of the network namespace, the youngest first, then those that
// could hold a socket of another namespace than theirs.
func (h *hunt) run() {
	if h.walk(ownMax) {
		return
	}
	for _, pid := range h.many {
		if !h.look(pid, descriptorsMax) {
			return
		}
	}
}

// walk is one way through all processes, of each at most so many descriptors. It
// reports whether the pass is over.
func (h *hunt) walk(own int) bool {
	first := slices.Clone(h.w.recent)
	for _, pid := range first {
		if !h.look(pid, own) {
			return true
		}
	}
	pids := h.w.pids()
	slices.SortFunc(pids, func(a, b int) int { return b - a })
	pids = slices.DeleteFunc(pids, func(p int) bool { return slices.Contains(first, p) })
	var vain, later, elsewhere []int
	for _, pid := range pids {
		switch {
		case h.w.once[pid]:
			later = append(later, pid)
		case h.w.vain[pid]:
			vain = append(vain, pid)
		case !h.w.near(pid):
			elsewhere = append(elsewhere, pid)
		case !h.look(pid, own):
			return true
		}
	}
	for _, pid := range slices.Concat(vain, later, elsewhere) {
		if !h.look(pid, own) {
			return true
		}
	}
	return false
}

// met notes that pid made a connection.
func (w *world) met(pid int) {
	if i := slices.Index(w.recent, pid); i >= 0 {
		w.recent = slices.Delete(w.recent, i, i+1)
	} else if !w.once[pid] {
		if w.once == nil || len(w.once) >= onceMax {
			w.once = map[int]bool{}
		}
		w.once[pid] = true
		return
	}
	w.recent = append([]int{pid}, w.recent[:min(len(w.recent), recentMax-1)]...)
}

// near reports whether pid is in the network namespace, as far as can be seen.
// For a second it is remembered.
func (w *world) near(pid int) bool {
	if w.netns == "" {
		return true
	}
	if now := time.Now(); w.kin == nil || now.Sub(w.kinOf) > time.Second {
		w.kin, w.vain, w.kinOf = map[int]bool{}, map[int]bool{}, now
	}
	near, ok := w.kin[pid]
	if !ok {
		n, err := unix.Readlink(procName(pid)+"/ns/net", w.buf[:64])
		near = err == nil && string(w.buf[:n]) == w.netns
		w.kin[pid] = near
	}
	return near
}

// pids lists the processes.
func (w *world) pids() (pids []int) {
	fd, err := unix.Open("/proc", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	w.entries(fd, func(n int) bool { pids = append(pids, n); return true })
	return pids
}

// look looks at the sockets of a process. It reports whether to go on.
func (h *hunt) look(pid, own int) bool {
	if h.left <= 0 {
		return false
	}
	dir, err := unix.Open(procName(pid), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return true
	}
	defer unix.Close(dir) // as long as it is open, it means the same process
	fds, err := unix.Openat(dir, "fd", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return true
	}
	defer unix.Close(fds)
	var link [64]byte
	var held []uint64
	h.w.entries(fds, func(n int) bool {
		h.left--
		if own--; own < 0 {
			h.many = append(h.many, pid)
			return false
		}
		var name [24]byte
		if inode := socketOf(fds, append(strconv.AppendInt(name[:0], int64(n), 10), 0), link[:]); inode != 0 && h.want[inode] != nil {
			held = append(held, inode)
		}
		return h.left > 0
	})
	if len(held) == 0 {
		if h.w.vain != nil {
			h.w.vain[pid] = true
		}
		return true
	}
	chain, reason := h.chain(pid, dir)
	for _, inode := range held {
		for _, s := range h.want[inode] {
			s.end(chain, reason)
		}
		delete(h.want, inode)
	}
	h.w.met(pid)
	return len(h.want) > 0
}

// chain follows the parents of the process pid, whose folder is dir.
func (h *hunt) chain(pid, dir int) (c Chain, reason string) {
	const most = 64
	i, ok := h.person(pid, dir)
	if !ok {
		return c, "the process has ended"
	}
	c.Session, c.ToolCall = h.w.environment(dir)
	for range most {
		p := h.people[i]
		c.Links = append(c.Links, Link{PID: p.pid, Name: p.name, Seen: p.seen, Who: p.who})
		switch {
		case h.w.init != 0 && p.parent == h.w.init:
			return c, ""
		case h.w.init == 0 && (p.parent <= 1 || p.parent == h.w.self):
			c.trim()
			return c, ""
		case p.parent <= 1:
			return Chain{}, "a process outside the sandbox holds the socket"
		}
		next, ok := h.parent(p)
		if !ok {
			break
		}
		i = next
	}
	if h.w.init != 0 {
		return Chain{}, "the process was not traced to the sandbox"
	}
	c.trim()
	return c, ""
}

// parent returns the parent of p, unless a younger process took over its number.
func (h *hunt) parent(p person) (int, bool) {
	dir, err := unix.Open(procName(p.parent), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, false
	}
	defer unix.Close(dir)
	i, ok := h.person(p.parent, dir)
	return i, ok && h.people[i].started <= p.started
}
