package process

import (
	"net"
	"testing"
	"time"

	"outvet/call"
)

// pair returns both ends of a connection within this process.
func pair(tb testing.TB) (client, server net.Conn) {
	tb.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial("tcp4", l.Addr().String()); err != nil {
		tb.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

// A call on a connection whose maker is known pays for nothing.
func TestKnownWitnessesCostNothing(t *testing.T) {
	f := here(t)
	_, s := pair(t)
	w := f.Witness(s)
	var who call.Caller
	if !w.Testify(&who, 10*time.Second) {
		t.Fatal("nobody was found")
	}
	if n := testing.AllocsPerRun(100, func() { w.Testify(&who, time.Second) }); n > 0 {
		t.Errorf("%.0f allocations", n)
	}
}

// BenchmarkFind is one look-up of a process that makes connections again and again.
func BenchmarkFind(b *testing.B) {
	f := Here()
	defer f.Close()
	_, s := pair(b)
	var who call.Caller
	b.ReportAllocs()
	for b.Loop() {
		if !f.Witness(s).Testify(&who, 10*time.Second) {
			b.Fatal("nobody was found")
		}
	}
}

// BenchmarkInode is the way from the addresses to the socket.
func BenchmarkInode(b *testing.B) {
	client, s := pair(b)
	a, z := client.LocalAddr().(*net.TCPAddr).AddrPort(), s.LocalAddr().(*net.TCPAddr).AddrPort()
	for _, way := range []string{"netlink", "proc"} {
		b.Run(way, func(b *testing.B) {
			f := Here()
			defer f.Close()
			if way == "proc" {
				f.world.table.own.Close()
				f.world.table.diag = nil
			}
			for b.Loop() {
				f.world.table.forget()
				if i, err := f.world.table.inode(a, z); i == 0 || err != nil {
					b.Fatal(i, err)
				}
			}
		})
	}
}
