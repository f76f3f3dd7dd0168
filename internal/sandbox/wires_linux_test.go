package sandbox

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// wires are listeners on the machine that no sandboxed command may reach. Each
// notes who came.
type wires struct {
	mu   sync.Mutex
	hits map[string]int

	sockets map[string]string
	tcp     map[string][2]any
	udp     map[string][2]any
	fifo    string
}

func (w *wires) hit(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hits[name]++
}

// taken returns who was reached since the last time.
func (w *wires) taken() []string {
	time.Sleep(150 * time.Millisecond)
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []string
	for n := range w.hits {
		all = append(all, n)
	}
	clear(w.hits)
	slices.Sort(all)
	return all
}

// all returns the names of all wires.
func (w *wires) all() []string {
	all := []string{"fifo"}
	for n := range w.sockets {
		all = append(all, "unix "+n)
	}
	for n := range w.tcp {
		all = append(all, "tcp "+n)
	}
	for n := range w.udp {
		all = append(all, "udp "+n)
	}
	slices.Sort(all)
	return all
}

// lay lays wires at every place that a command might reach.
func lay(t *testing.T, p place) *wires {
	t.Helper()
	w := &wires{hits: map[string]int{}, sockets: map[string]string{}, tcp: map[string][2]any{}, udp: map[string][2]any{}}
	id := filepath.Base(filepath.Dir(p.home))
	places := map[string]string{
		"home": p.home + "/agent.sock", "home seqpacket": p.home + "/seq.sock", "tmp": "/tmp/" + id + ".sock", "tmp dgram": "/tmp/" + id + ".dgram",
		"var tmp": filepath.Dir(p.home) + "/var.sock", "workspace": p.workspace + "/deep/er/in.sock", "workspace dgram": p.workspace + "/log.sock", "abstract": "@" + id,
	}
	if os.Getuid() == 0 {
		places["run"], places["var"], places["opt"] = "/run/"+id+"/docker.sock", "/var/cache/"+id+"/x.sock", "/opt/"+id+"/x.sock"
	}
	for name, path := range places {
		w.unix(t, name, path)
	}
	w.fifo = p.home + "/fifo"
	w.pipe(t)
	outside := "127.0.0.1"
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() && n.IP.To4() != nil {
			outside = n.IP.String()
		}
	}
	w.listen(t, "loopback", "tcp4", "127.0.0.1")
	w.listen(t, "loopback v6", "tcp6", "::1")
	w.listen(t, "any", "tcp4", outside)
	w.packets(t, "loopback", "udp4", "127.0.0.1")
	w.packets(t, "loopback v6", "udp6", "::1")
	w.packets(t, "any", "udp4", outside)
	w.internet(t)
	return w
}

func (w *wires) unix(t *testing.T, name, path string) {
	t.Helper()
	w.sockets[name] = path
	if path[0] != '@' {
		if dir := filepath.Dir(path); dir != "/tmp" {
			if _, err := os.Stat(dir); err != nil {
				os.MkdirAll(dir, 0o755)
				t.Cleanup(func() { os.RemoveAll(dir) })
			}
		}
	}
	name = "unix " + name
	a := &net.UnixAddr{Name: path, Net: "unix"}
	if strings.HasSuffix(name, "dgram") {
		a.Net = "unixgram"
		c, err := net.ListenUnixgram(a.Net, a)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close(); os.Remove(path) })
		go w.read(name, c)
		os.Chmod(path, 0o777)
		return
	}
	if strings.HasSuffix(name, "seqpacket") {
		a.Net = "unixpacket"
	}
	l, err := net.ListenUnix(a.Net, a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	os.Chmod(path, 0o777)
	go w.accept(name, l)
}

func (w *wires) accept(name string, l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		w.hit(name)
		c.Write([]byte("REACHED"))
		c.Close()
	}
}

func (w *wires) read(name string, c net.PacketConn) {
	b := make([]byte, 2000)
	for {
		_, from, err := c.ReadFrom(b)
		if err != nil {
			return
		}
		w.hit(name)
		if from != nil && from.String() != "" {
			c.WriteTo([]byte("REACHED"), from)
		}
	}
}

func (w *wires) listen(t *testing.T, name, network, host string) {
	t.Helper()
	l, err := net.Listen(network, net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	w.tcp[name] = [2]any{host, l.Addr().(*net.TCPAddr).Port}
	go w.accept("tcp "+name, l)
}

func (w *wires) packets(t *testing.T, name, network, host string) {
	t.Helper()
	c, err := net.ListenPacket(network, net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	w.udp[name] = [2]any{host, c.LocalAddr().(*net.UDPAddr).Port}
	go w.read("udp "+name, c)
}

func (w *wires) pipe(t *testing.T) {
	t.Helper()
	if err := unix.Mkfifo(w.fifo, 0o666); err != nil {
		t.Fatal(err)
	}
	os.Chmod(w.fifo, 0o666)
	f, err := os.OpenFile(w.fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	go func() {
		b := make([]byte, 100)
		for {
			if _, err := f.Read(b); err != nil {
				return
			}
			w.hit("fifo")
		}
	}()
}

// internet is a second network namespace, joined to ours by a wire of two ends.
func (w *wires) internet(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		return
	}
	type opened struct {
		tcp net.Listener
		udp net.PacketConn
		err error
	}
	made, wired, result := make(chan int), make(chan bool), make(chan opened)
	go func() {
		runtime.LockOSThread() // the thread ends with the goroutine, and with it the namespace's wire
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			result <- opened{err: err}
			return
		}
		made <- unix.Gettid()
		<-wired
		var o opened
		o.err = sh("ip addr add 10.213.7.2/24 dev %s && ip link set %s up", wireName(1), wireName(1))
		if o.err == nil {
			o.tcp, o.err = net.Listen("tcp4", "10.213.7.2:0")
		}
		if o.err == nil {
			o.udp, o.err = net.ListenPacket("udp4", "10.213.7.2:0")
		}
		result <- o
	}()
	var o opened
	select {
	case tid := <-made:
		err := sh("ip link add %s type veth peer name %s netns /proc/%d/task/%d/ns/net && ip addr add 10.213.7.1/24 dev %s && ip link set %s up",
			wireName(0), wireName(1), os.Getpid(), tid, wireName(0), wireName(0))
		t.Cleanup(func() { _ = sh("ip link del %s", wireName(0)) })
		if err != nil {
			t.Fatalf("a second network: %v", err)
		}
		close(wired)
		o = <-result
	case o = <-result:
	}
	if o.err != nil {
		t.Fatalf("a second network: %v", o.err)
	}
	t.Cleanup(func() { o.tcp.Close(); o.udp.Close() })
	w.tcp["internet"] = [2]any{"10.213.7.2", o.tcp.Addr().(*net.TCPAddr).Port}
	w.udp["internet"] = [2]any{"10.213.7.2", o.udp.LocalAddr().(*net.UDPAddr).Port}
	go w.accept("tcp internet", o.tcp)
	go w.read("udp internet", o.udp)
}

func wireName(end int) string { return fmt.Sprintf("ovw%d%c", os.Getpid()%1000000, 'a'+end) }

func sh(format string, a ...any) error {
	out, err := exec.Command("sh", "-c", fmt.Sprintf(format, a...)).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}
