package sockdiag

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

func open(t *testing.T) *Socket {
	t.Helper()
	s, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// ends returns both ends of a connection.
func ends(t *testing.T, addr string) (client, server *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Skip(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); s.Close() })
	return c.(*net.TCPConn), s.(*net.TCPConn)
}

func at(a net.Addr) netip.AddrPort { return a.(*net.TCPAddr).AddrPort() }

// inodeOf returns what the descriptor of c itself says.
func inodeOf(t *testing.T, c *net.TCPConn) (inode uint64) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = raw.Control(func(fd uintptr) {
		var st unix.Stat_t
		if err := unix.Fstat(int(fd), &st); err != nil {
			t.Error(err)
		}
		inode = st.Ino
	})
	if err != nil {
		t.Fatal(err)
	}
	return inode
}

func TestTheClientsEndIsFound(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		client, server := ends(t, addr)
		got, err := open(t).Inode(at(server.RemoteAddr()), at(server.LocalAddr()))
		if want := inodeOf(t, client); got != want || err != nil {
			t.Errorf("%s: the socket is %d, %v, want %d", addr, got, err, want)
		}
	}
}

func TestWhatNobodyHoldsHasNoInode(t *testing.T) {
	client, server := ends(t, "127.0.0.1:0")
	from, to := at(server.RemoteAddr()), at(server.LocalAddr())
	client.Close()
	if got, err := open(t).Inode(from, to); got != 0 || err != nil {
		t.Errorf("a socket that its program closed is %d, %v", got, err)
	}
	server.SetLinger(0)
	server.Close() // a reset ends both
	if got, err := open(t).Inode(from, to); !errors.Is(err, ErrNone) {
		t.Errorf("a connection that was reset is %d, %v", got, err)
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add([]byte{})
	m := request(7, netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("[::1]:2"))
	f.Add(m[:])
	f.Add([]byte{20, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		if inode, _, err := parse(b); err != nil && inode != 0 {
			t.Errorf("%v and inode %d", err, inode)
		}
	})
}
