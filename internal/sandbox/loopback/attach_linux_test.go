package loopback

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// ip runs the program ip in the room.
func (r *room) ip(args string) {
	r.t.Helper()
	if out, err := r.Run("ip", strings.Fields(args)...); err != nil {
		r.t.Fatalf("ip %s: %v: %s", args, err, out)
	}
}

func attached(t *testing.T, r *room, nodes ...netip.Addr) *Sockets {
	t.Helper()
	s, err := Attach(r.Path, nodes...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestANamespaceOfOthersIsSealedFromOutside(t *testing.T) {
	r := newRoom(t)
	s := attached(t, r)
	echo(s)
	answerQueries(s)
	for _, to := range []string{"93.184.216.34:443", "[2606:4700::1111]:443"} {
		c, err := r.Dial(to)
		if err != nil {
			t.Fatal(err)
		}
		if got := said(t, c); got != to {
			t.Errorf("%s came as %s", to, got)
		}
	}
	if _, err := Attach(r.Path); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("attached twice: %v", err)
	}
	s.Close()
	again := attached(t, r)
	echo(again)
	c, err := r.Dial("93.184.216.34:443")
	if err != nil {
		t.Fatal(err)
	}
	said(t, c)
}

func TestWhatIsNoForeignNamespaceIsNotAttached(t *testing.T) {
	for _, path := range []string{"/proc/self/ns/net", "/nonexistent", "/etc/hostname", "/proc/self/ns/mnt"} {
		if s, err := Attach(path); err == nil {
			s.Close()
			t.Errorf("%s was attached", path)
		} else if !strings.Contains(err.Error(), path) {
			t.Errorf("%v does not name %s", err, path)
		}
	}
}

// A street is three namespaces on one bridge: a container that is attached, the
// node that probes it, and a neighbour.
type street struct{ inside, node, neighbour *room }

const (
	insideAt, nodeAt, neighbourAt    = "10.77.0.2", "10.77.0.1", "10.77.0.3"
	insideAt6, nodeAt6, neighbourAt6 = "fd77::2", "fd77::1", "fd77::3"
)

func newStreet(t *testing.T) *street {
	s := &street{newRoom(t), newRoom(t), newRoom(t)}
	s.node.ip("link set lo up")
	s.node.ip("link add br0 type bridge")
	s.node.ip("addr add " + nodeAt + "/24 dev br0")
	s.node.ip("addr add " + nodeAt6 + "/64 dev br0 nodad")
	s.node.ip("link set br0 up")
	for name, r := range map[string]*room{"leftwall": s.inside, "rightwall": s.neighbour} {
		at, at6 := insideAt, insideAt6
		if r == s.neighbour {
			at, at6 = neighbourAt, neighbourAt6
		}
		s.node.ip("link add " + name + " type veth peer name eth0 netns " + r.Path)
		s.node.ip("link set " + name + " master br0 up")
		r.ip("link set lo up")
		r.ip("addr add " + at + "/24 dev eth0")
		r.ip("addr add " + at6 + "/64 dev eth0 nodad")
		r.ip("link set eth0 up")
		r.ip("route add default via " + nodeAt)
		r.ip("-6 route add default via " + nodeAt6)
	}
	return s
}

// serve lets the room answer TCP on port 80 with its name, and datagrams at the
// address udp, which it tells.
func (r *room) serve(name, udp string) (datagrams chan string) {
	r.t.Helper()
	datagrams = make(chan string, 16)
	var l net.Listener
	var p net.PacketConn
	var err1, err2 error
	r.Do(func() {
		l, err1 = net.Listen("tcp", ":80")
		p, err2 = net.ListenPacket("udp", udp)
	})
	if err1 != nil || err2 != nil {
		r.t.Fatal(err1, err2)
	}
	r.t.Cleanup(func() { l.Close(); p.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprintln(c, name)
			c.Close()
		}
	}()
	go func() {
		for b := make([]byte, 64); ; {
			n, from, err := p.ReadFrom(b)
			if err != nil {
				return
			}
			datagrams <- name + " " + string(b[:n])
			p.WriteTo(b[:n], from)
		}
	}()
	return datagrams
}

// listens lets the room greet who connects to at, and say again what it hears. It
// also says something by itself from time to time.
func (r *room) listens(at string) {
	r.t.Helper()
	var l net.Listener
	var err error
	r.Do(func() { l, err = net.Listen("tcp", at) })
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.WriteString(c, "!")
				time.Sleep(200 * time.Millisecond)
				io.WriteString(c, "...")
				io.Copy(c, c)
			}()
		}
	}()
}

// embedded makes what an engine makes in containers: a resolver at 127.0.0.11, on
// another port, and a rule that leads there from port 53.
func (r *room) embedded() {
	r.t.Helper()
	var p net.PacketConn
	var err error
	r.Do(func() {
		if p, err = net.ListenPacket("udp", "127.0.0.11:5353"); err != nil {
			return
		}
		c, _ := nftables.New()
		t := c.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "engine"})
		rs := &ruleset{c: c, table: t}
		ch := rs.chain("out", nftables.ChainTypeNAT, nftables.ChainHookOutput, nftables.ChainPriorityNATDest)
		rs.rule(ch, rs.toAddr(embedded), protocol(unix.IPPROTO_UDP), toPort(53), []expr.Any{
			&expr.Immediate{Register: 1, Data: embedded.AsSlice()}, &expr.Immediate{Register: 2, Data: []byte{5353 >> 8, 5353 & 0xff}},
			&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: 1, RegProtoMin: 2},
		})
		err = c.Flush()
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { p.Close() })
	go func() {
		for b := make([]byte, 64); ; {
			_, from, err := p.ReadFrom(b)
			if err != nil {
				return
			}
			p.WriteTo([]byte("outside"), from)
		}
	}()
	var got string
	if r.Do(func() { got, err = ask("127.0.0.11:53") }); got != "outside" {
		r.t.Fatalf("the engine's resolver does not answer: %q, %v", got, err)
	}
}

func (r *room) hear(to string) string {
	c, err := r.Dial(to)
	if err != nil {
		return err.Error()
	}
	return said(r.t, c)
}

func TestBehindAWireOnlyAnswersToNodesLeave(t *testing.T) {
	s := newStreet(t)
	s.inside.serve("inside", ":4431")
	atNode, atNeighbour := s.node.serve("node", ":4430"), s.neighbour.serve("neighbour", ":4430")
	for _, to := range []string{nodeAt + ":80", neighbourAt + ":80", "[" + nodeAt6 + "]:80", "[" + neighbourAt6 + "]:80"} {
		if got := s.inside.hear(to); got != "node" && got != "neighbour" {
			t.Fatalf("the street is not paved: %s said %q", to, got)
		}
	}
	s.node.listens("10.77.0.1:81")
	s.neighbour.listens("10.77.0.3:81")
	var before []net.Conn // open when the wall comes
	for i, to := range []string{nodeAt + ":81", neighbourAt + ":81", nodeAt + ":81", neighbourAt + ":81"} {
		if i == 2 {
			s.inside.embedded() // from now on connections are tracked
		}
		c, err := s.inside.Dial(to)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(time.Second))
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		before = append(before, c)
	}
	socks := attached(t, s.inside, netip.MustParseAddr(nodeAt), netip.MustParseAddr(nodeAt6))
	echo(socks)
	answerQueries(socks)
	s.inside.ip("neigh flush dev eth0") // neighbours are still found
	s.node.ip("neigh flush dev br0")

	for _, c := range before {
		c.SetDeadline(time.Now().Add(2 * time.Second))
		io.WriteString(c, "more")
		if n, err := io.ReadFull(c, make([]byte, 4)); err == nil {
			t.Errorf("%s still answers", c.RemoteAddr())
		} else if n > 3 {
			t.Error(err)
		}
	}
	for _, to := range []string{"127.0.0.11:53", "127.0.0.11:5353"} {
		s.inside.Do(func() {
			if got, _ := ask(to); got == "outside" || to == "127.0.0.11:53" && got != "127.0.0.11" {
				t.Errorf("a query to %s is answered with %q", to, got)
			}
		})
	}
	for _, to := range []string{insideAt + ":80", "[" + insideAt6 + "]:80"} {
		if got := s.node.hear(to); got != "inside" {
			t.Errorf("a probe of the node at %s got %q", to, got)
		}
		if got := s.inside.hear(to); got != "inside" {
			t.Errorf("the container asks itself at %s and gets %q", to, got)
		}
	}
	for _, to := range []string{neighbourAt + ":80", "[" + neighbourAt6 + "]:80", "93.184.216.34:443", "169.254.169.254:80", "[2606:4700::1111]:443", "10.77.0.255:1"} {
		if got := s.inside.hear(to); got != to && got != "network is unreachable" {
			t.Errorf("%s said %q", to, got)
		}
	}
	for _, to := range []string{nodeAt + ":80", "[" + nodeAt6 + "]:80"} { // rule "lookup main" leads there, but no packet leaves
		s.inside.Do(func() {
			d := net.Dialer{Timeout: 300 * time.Millisecond}
			if c, err := d.Dial("tcp", to); err == nil {
				c.Close()
				t.Errorf("the container reached the node at %s", to)
			}
		})
	}
	for _, to := range []string{nodeAt + ":4430", neighbourAt + ":4430", "[" + nodeAt6 + "]:4430", "[" + neighbourAt6 + "]:4430", "10.77.0.255:4430"} {
		s.inside.Do(func() {
			if got, err := ask(to); err == nil {
				t.Errorf("a datagram to %s was answered: %q", to, got)
			}
		})
	}
	for _, to := range []string{"8.8.8.8:53", "[2001:4860:4860::8888]:53", neighbourAt + ":53"} {
		s.inside.Do(func() {
			if got, err := ask(to); err != nil || got != netip.MustParseAddrPort(to).Addr().String() {
				t.Errorf("a query to %s: %q, %v", to, got, err)
			}
		})
	}
	s.inside.Do(func() { // other datagrams are refused at once
		for _, to := range []string{"93.184.216.34:443", "[2606:4700::1111]:443"} {
			if _, err := ask(to); !isRefused(err) {
				t.Errorf("a datagram to %s: %v", to, err)
			}
		}
	})
	s.inside.Do(func() { // past the routes, by the name of the interface
		for _, to := range []string{neighbourAt + ":4430", nodeAt + ":4430"} {
			if err := throughEth0(to); err == nil {
				t.Errorf("a datagram left by eth0 to %s", to)
			}
		}
	})
	if out, err := s.inside.Run("ping", "-c1", "-W1", neighbourAt); err == nil {
		t.Errorf("ping: %s", out)
	}
	select {
	case d := <-atNode:
		t.Errorf("a datagram arrived: %s", d)
	case d := <-atNeighbour:
		t.Errorf("a datagram arrived: %s", d)
	case <-time.After(50 * time.Millisecond):
	}
}

func TestAnInterfaceThatComesLaterLeadsNowhere(t *testing.T) {
	s := newStreet(t)
	s.inside.ip("link del eth0")
	atNeighbour := s.neighbour.serve("neighbour", ":4430")
	echo(attached(t, s.inside))
	s.node.ip("link add later type veth peer name eth0 netns " + s.inside.Path)
	s.node.ip("link set later master br0 up")
	s.inside.ip("addr add " + insideAt + "/24 dev eth0")
	s.inside.ip("link set eth0 up")
	s.inside.Do(func() {
		if err := throughEth0(neighbourAt + ":4430"); err == nil {
			t.Error("a datagram left by eth0")
		}
		d := net.Dialer{Timeout: 300 * time.Millisecond}
		if c, err := d.Dial("tcp", neighbourAt+":80"); err == nil {
			if got := said(t, c.(*net.TCPConn)); got == "neighbour" {
				t.Error("the container reached its neighbour")
			}
		}
	})
	select {
	case d := <-atNeighbour:
		t.Errorf("a datagram arrived: %s", d)
	case <-time.After(50 * time.Millisecond):
	}
}

func TestAContainerThatCouldPierceTheWallIsNotAttached(t *testing.T) {
	s := newStreet(t)
	cmd := exec.Command("sleep", "60")
	var err error
	s.inside.Do(func() { err = cmd.Start() })
	if err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	if sk, err := Attach(s.inside.Path); err == nil {
		sk.Close()
		t.Error("attached beside a process with all capabilities")
	} else if !strings.Contains(err.Error(), fmt.Sprintf("process %d", cmd.Process.Pid)) {
		t.Error(err)
	}
}

func TestACapabilityIsFoundWhereverAProcessMayTakeItFrom(t *testing.T) {
	const none, raw, admin = "0000000000000000", "0000000000002000", "0000000000001000"
	status := func(inh, prm, eff, bnd, amb, nnp string) string {
		return "Name:\tx\nCapInh:\t" + inh + "\nCapPrm:\t" + prm + "\nCapEff:\t" + eff + "\nCapBnd:\t" + bnd + "\nCapAmb:\t" + amb + "\nNoNewPrivs:\t" + nnp + "\n"
	}
	for _, c := range []struct{ status, want string }{
		{status(none, none, none, none, none, "0"), ""},
		{status(none, none, none, raw, none, "0"), "NET_RAW"},
		{status(none, none, none, raw, none, "1"), ""},
		{status(none, admin, none, raw, none, "1"), "NET_ADMIN"},
		{status(none, none, none, none, "0000000000200000", "1"), "SYS_ADMIN"},
		{"Name:\tx\n", "NET_RAW"},
	} {
		if got := capability(c.status); got != c.want {
			t.Errorf("%q: %q, want %q", c.status, got, c.want)
		}
	}
}

func TestBehindAWireIPv6StaysOffButOnLo(t *testing.T) {
	s := newStreet(t)
	conf := "/proc/sys/net/ipv6/conf/"
	s.inside.Do(func() {
		for _, d := range []string{"all", "default"} {
			if err := os.WriteFile(conf+d+"/disable_ipv6", []byte("1"), 0); err != nil {
				t.Error(err)
			}
		}
	})
	echo(attached(t, s.inside))
	if got := s.inside.hear("[2606:4700::1111]:443"); got != "[2606:4700::1111]:443" {
		t.Errorf("it came as %s", got)
	}
	s.inside.Do(func() {
		if b, err := os.ReadFile(conf + "eth0/disable_ipv6"); err != nil || string(b) != "1\n" {
			t.Errorf("eth0: %q, %v", b, err)
		}
	})
}
