package attack

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Places say where wires are laid.
type Places struct {
	Home      string
	Workspace string
	State     string   // directory of keys and record
	Secrets   []string // files and folders of the user that nobody inside may read
}

// Wires are all that is laid for one attack. Close takes it away again.
type Wires struct {
	Plan     Plan
	Internet *Internet
	Missing  []string // wires that could not be laid here, and why

	canary  string
	planted map[string]string // path to what is in it
	stop    []func()

	// mu guards hits, and what changes of secrets.
	mu   sync.Mutex
	hits map[string][]string // name of the try to the wires that it touched
}

// proof is the try by which wires are proved.
const proof = "proof"

// markTime is how long a connection may take to say of which try it is.
const markTime = 400 * time.Millisecond

// CanaryName is the variable of the environment that holds a secret outside.
const CanaryName = "ATTACK_CANARY_TOKEN"

// Lay lays the wires. What cannot be laid on this machine is in Missing; an error
// says that nothing useful can.
func Lay(p Places) (*Wires, error) {
	if st, err := os.Stat(p.Workspace); err != nil || !st.IsDir() {
		return nil, fmt.Errorf("attack: the workspace %q is no folder", p.Workspace)
	}
	var random [20]byte
	if _, err := rand.Read(random[:]); err != nil {
		return nil, err
	}
	w := &Wires{hits: map[string][]string{}, planted: map[string]string{}, canary: hex.EncodeToString(random[8:])}
	id := "outvet-attack-" + hex.EncodeToString(random[:8])
	w.Plan = Plan{Nonce: id, TCP: map[string]string{}, UDP: map[string]string{}, Unix: map[string]string{}, Secrets: map[string]string{},
		Pid: os.Getpid(), Home: p.Home, Canary: digest([]byte(w.canary))}
	var err error
	if w.Internet, err = openInternet(); err != nil {
		return nil, err
	}
	w.stop = append(w.stop, w.Internet.Close)
	w.addresses()
	w.Internet.interfaces = w.Plan.Interfaces
	w.sockets(id, p)
	w.files(id, p)
	if err := w.repository(id, p.Workspace); err != nil {
		w.Close()
		return nil, fmt.Errorf("attack: lay wires in the workspace: %w", err)
	}
	w.unix("workspace moved", filepath.Join(w.Plan.Repository, "moving", "agent.sock"))
	for _, t := range Tries() {
		w.Plan.Secrets[t.Name] = token()
	}
	return w, nil
}

// Canary returns the secret that is to stand in the environment outside.
func (w *Wires) Canary() string { return w.canary }

// Close takes the wires away.
func (w *Wires) Close() {
	for _, f := range slices.Backward(w.stop) {
		f()
	}
}

func (w *Wires) missing(wire string, err error) {
	w.Missing = append(w.Missing, wire+": "+plain(err))
}

// addresses lays the wires that have an address of the Internet protocols.
func (w *Wires) addresses() {
	for _, a := range [][3]string{
		{"loopback", "tcp4", "127.0.0.1:0"}, {"loopback v6", "tcp6", "[::1]:0"}, {"any", "tcp4", "0.0.0.0:0"}, {"any v6", "tcp6", "[::]:0"},
	} {
		l, err := net.Listen(a[1], a[2])
		if err != nil {
			w.missing("tcp "+a[0], err)
			continue
		}
		w.stop = append(w.stop, func() { l.Close() })
		w.Plan.TCP[a[0]] = l.Addr().String()
		go w.accept("tcp "+a[0], l)
	}
	for _, a := range [][3]string{
		{"loopback", "udp4", "127.0.0.1:0"}, {"loopback v6", "udp6", "[::1]:0"}, {"any", "udp4", "0.0.0.0:0"}, {"any v6", "udp6", "[::]:0"},
	} {
		c, err := net.ListenPacket(a[1], a[2])
		if err != nil {
			w.missing("udp "+a[0], err)
			continue
		}
		w.stop = append(w.stop, func() { c.Close() })
		w.Plan.UDP[a[0]] = c.LocalAddr().String()
		go w.read("udp "+a[0], c)
	}
	group := &net.UDPAddr{IP: net.IPv4(239, 255, 77, 7), Port: 0}
	if c, err := net.ListenMulticastUDP("udp4", nil, group); err != nil {
		w.missing("udp multicast", err)
	} else {
		w.stop = append(w.stop, func() { c.Close() })
		group.Port = c.LocalAddr().(*net.UDPAddr).Port
		w.Plan.Group = group.String()
		go w.read("udp multicast", c)
	}
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() && len(w.Plan.Interfaces) < 4 {
			w.Plan.Interfaces = append(w.Plan.Interfaces, n.IP.String())
		}
	}
}

// sockets lays unix sockets.
func (w *Wires) sockets(id string, p Places) {
	w.unix("abstract", "@"+id)
	w.unix("abstract dgram", "@"+id+".dgram")
	for name, dir := range map[string]string{"tmp": os.TempDir(), "var": "/var/tmp", "run": "/run", "user's run": os.Getenv("XDG_RUNTIME_DIR"), "home": p.Home, "workspace": p.Workspace} {
		if dir == "" {
			continue
		}
		dir = filepath.Join(dir, id)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			w.missing("unix "+name, err)
			continue
		}
		w.stop = append(w.stop, func() { os.RemoveAll(dir) })
		_ = os.Chmod(dir, 0o755) // whatever umask says: the command may be somebody else
		w.unix(name, filepath.Join(dir, "agent.sock"))
		if name == "tmp" || name == "workspace" {
			w.unix(name+" dgram", filepath.Join(dir, "log.sock"))
		}
	}
}

func (w *Wires) unix(name, path string) {
	place, done := short(path)
	defer done()
	a := &net.UnixAddr{Name: place, Net: "unix"}
	if strings.HasSuffix(name, "dgram") {
		a.Net = "unixgram"
		c, err := net.ListenUnixgram(a.Net, a)
		if err != nil {
			w.missing("unix "+name, err)
			return
		}
		w.stop = append(w.stop, func() { c.Close() })
		go w.read("unix "+name, c)
	} else {
		l, err := net.ListenUnix(a.Net, a)
		if err != nil {
			w.missing("unix "+name, err)
			return
		}
		l.SetUnlinkOnClose(false) // it goes with its folder
		w.stop = append(w.stop, func() { l.Close() })
		go w.accept("unix "+name, l)
	}
	if path[0] != '@' {
		_ = os.Chmod(path, 0o777) // also for whom the command is, where root starts it
	}
	w.Plan.Unix[name] = path
}

// Late makes the socket of the workspace that there was none of at the start.
func (w *Wires) Late() {
	place, done := short(w.Plan.Late)
	defer done()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: place, Net: "unix"})
	if err != nil {
		return
	}
	l.SetUnlinkOnClose(false)
	_ = os.Chmod(w.Plan.Late, 0o777)
	w.mu.Lock()
	w.stop = append(w.stop, func() { l.Close() })
	w.mu.Unlock()
	go w.accept("unix workspace late", l)
}

func (w *Wires) accept(wire string, l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			b := make([]byte, 1024)
			_ = c.SetDeadline(time.Now().Add(markTime))
			n, _ := c.Read(b)
			w.hit(wire, b[:n])
			_, _ = c.Write([]byte("REACHED"))
		}()
	}
}

func (w *Wires) read(wire string, c net.PacketConn) {
	b := make([]byte, 2000)
	for {
		n, from, err := c.ReadFrom(b)
		if err != nil {
			return
		}
		w.hit(wire, b[:n])
		if from != nil && from.String() != "" {
			_, _ = c.WriteTo([]byte("REACHED"), from)
		}
	}
}

// hit notes that the try which said marks touched the wire.
func (w *Wires) hit(wire string, marks []byte) {
	try := ""
	if _, rest, ok := bytes.Cut(marks, []byte(w.Plan.Nonce+"/")); ok {
		name, _, _ := bytes.Cut(rest, []byte(";"))
		try = string(name)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Contains(w.hits[try], wire) {
		w.hits[try] = append(w.hits[try], wire)
	}
}

// taken returns the wires that the try has touched.
func (w *Wires) taken(try string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := slices.Clone(w.hits[try])
	slices.Sort(all)
	return all
}

// Prove touches every wire from outside, so that a silent one is known to have
// been live. It is called before the sandbox starts.
func (w *Wires) Prove(ctx context.Context) error {
	var want []string
	for name, a := range w.Plan.TCP {
		want = append(want, "tcp "+name)
		_ = say(ctx, "tcp", a, w.Plan.mark(proof))
	}
	for name, a := range w.Plan.UDP {
		want = append(want, "udp "+name)
		_ = say(ctx, "udp", a, w.Plan.mark(proof))
	}
	if w.Plan.Group != "" {
		if say(ctx, "udp", w.Plan.Group, w.Plan.mark(proof)) == nil {
			want = append(want, "udp multicast")
		}
	}
	for name, path := range w.Plan.Unix {
		want = append(want, "unix "+name)
		_ = say(ctx, network(name), path, w.Plan.mark(proof))
	}
	if w.Plan.Fifo != "" {
		want = append(want, "fifo")
		_ = intoFifo(w.Plan.Fifo, w.Plan.mark(proof))
	}
	slices.Sort(want)
	for range 50 {
		if w.covers(want) {
			return w.Internet.prove(ctx)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if got := w.taken(proof); slices.Equal(got, remove(want, "udp multicast")) {
		w.Missing, w.Plan.Group = append(w.Missing, "udp multicast: this machine does not carry it"), ""
		return w.Internet.prove(ctx)
	}
	return fmt.Errorf("attack: not all wires are live: laid %q, reached from outside %q", want, w.taken(proof))
}

func (w *Wires) covers(want []string) bool { return slices.Equal(w.taken(proof), want) }

func remove(list []string, s string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(t string) bool { return t == s })
}

// network is that of a unix socket by the name of its wire.
func network(name string) string {
	if strings.HasSuffix(name, "dgram") {
		return "unixgram"
	}
	return "unix"
}

// Count returns how many wires are laid.
func (w *Wires) Count() int {
	n := len(w.Plan.TCP) + len(w.Plan.UDP) + len(w.Plan.Unix) + len(w.planted) + 4 // https, http, raw, names
	if w.Plan.Fifo != "" {
		n++
	}
	if w.Plan.Group != "" {
		n++
	}
	return n
}

// Program puts a copy of this program into the workspace, where it can be executed in
// every view of the file system and by whomever the command is, and returns its path.
func (w *Wires) Program() (string, error) {
	from, err := os.Open("/proc/self/exe")
	if err != nil {
		if self, err2 := os.Executable(); err2 == nil {
			from, err = os.Open(self)
		}
	}
	if err != nil {
		return "", fmt.Errorf("attack: find this program: %w", err)
	}
	defer from.Close()
	path := filepath.Join(w.Plan.Repository, "outvet")
	to, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return "", fmt.Errorf("attack: copy this program: %w", err)
	}
	_, err = io.Copy(to, from)
	if err = errors.Join(err, to.Close()); err != nil {
		return "", fmt.Errorf("attack: copy this program: %w", err)
	}
	if err := os.Chmod(path, 0o755); err != nil {
		return "", err
	}
	return path, give(path, filepath.Dir(w.Plan.Repository))
}

// Lives reports whether a grandchild still writes, when the command has ended.
func (w *Wires) Lives() bool {
	size := func() int64 {
		st, err := os.Stat(w.Plan.heartbeat())
		if err != nil {
			return -1
		}
		return st.Size()
	}
	before := size()
	time.Sleep(200 * time.Millisecond)
	return size() != before
}
