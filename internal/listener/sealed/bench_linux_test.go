package sealed_test

import (
	"io"
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"outvet/internal/gate"
	"outvet/internal/record"
	"outvet/internal/sandbox/loopback/loopbacktest"
	"outvet/internal/session"
)

// A course leads from a client to the raw server: through the sandbox, or through
// a relay that does nothing but accept, dial and copy.
type course struct {
	to     string
	beside func(func()) error // runs a client where it belongs
}

const rounds = 9

// courses returns both courses to a server that answers by serve.
func courses(b *testing.B, serve func(net.Conn)) (box, relay course) {
	log, err := record.Open(b.TempDir(), record.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { log.Close() })
	g := &gate.Gate{Sessions: &session.Table{}, Log: log}
	r := newRig(b, nil, serve, g, "", func(r *rig) { r.install(allow) })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go relayTo(c, r.raw.Addr().String())
		}
	}()
	here := func(f func()) error {
		runtime.LockOSThread() // as a client in a namespace is
		defer runtime.UnlockOSThread()
		f()
		return nil
	}
	return course{"198.18.0.2:4444", r.room.Beside}, course{l.Addr().String(), here}
}

func relayTo(c net.Conn, to string) {
	defer c.Close()
	up, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer up.Close()
	done := make(chan bool)
	go func() {
		io.Copy(up, c)
		up.(*net.TCPConn).CloseWrite()
		close(done)
	}()
	io.Copy(c, up)
	c.(*net.TCPConn).CloseWrite()
	<-done
}

// ratio reports the median, over rounds in turn, of what is measured through the
// sandbox by what is measured through the relay.
func ratio(b *testing.B, box, relay course, unit string, measure func(course) float64) {
	var all, work, absolute []float64
	for range rounds {
		begin := worked()
		r := measure(relay)
		between := worked()
		s := measure(box)
		all, work, absolute = append(all, s/r), append(work, float64(worked()-between)/float64(between-begin)), append(absolute, s)
	}
	slices.Sort(all)
	slices.Sort(work)
	slices.Sort(absolute)
	b.ReportMetric(all[rounds/2], "x-relay")
	b.ReportMetric(work[rounds/2], "x-relay-cpu") // clients and server included on both sides
	b.ReportMetric(absolute[rounds/2], unit)
	b.ReportMetric(0, "ns/op")
}

// worked returns how long this process has computed.
func worked() time.Duration {
	var u unix.Rusage
	unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkAgainstARelay measures what a sandbox costs beside a plain relay.
func BenchmarkAgainstARelay(b *testing.B) {
	const most = 256 << 20
	b.Run("down", func(b *testing.B) {
		box, relay := courses(b, func(c net.Conn) { c.Read(make([]byte, 1)); io.CopyN(c, zeros{}, most) })
		ratio(b, box, relay, "GB/s", func(c course) float64 {
			return timed(b, c, func(conn *net.TCPConn) {
				conn.Write([]byte{0})
				if n, err := io.Copy(io.Discard, conn); n != most {
					b.Error(n, err)
				}
			}, most)
		})
	})
	b.Run("up", func(b *testing.B) {
		box, relay := courses(b, func(c net.Conn) { io.CopyN(io.Discard, c, most); c.Write([]byte{0}) })
		ratio(b, box, relay, "GB/s", func(c course) float64 {
			return timed(b, c, func(conn *net.TCPConn) {
				io.CopyN(conn, zeros{}, most)
				if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
					b.Error(err)
				}
			}, most)
		})
	})
	box, relay := courses(b, func(c net.Conn) { io.Copy(c, c) })
	b.Run("connect", func(b *testing.B) {
		ratio(b, box, relay, "us", func(c course) float64 { return median(b, c, 300, 0) })
	})
	b.Run("connect and a byte", func(b *testing.B) {
		ratio(b, box, relay, "us", func(c course) float64 { return median(b, c, 300, 1) })
	})
	b.Run("a byte there and back", func(b *testing.B) {
		ratio(b, box, relay, "us", func(c course) float64 { return roundTrip(b, c, 2000) })
	})
	b.Run("connections", func(b *testing.B) { // few: ports that are used up would be measured
		box, relay := courses(b, func(c net.Conn) { io.Copy(c, c) })
		ratio(b, box, relay, "conns/s", func(c course) float64 { return connections(b, c, 8, 80) })
	})
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

// timed returns how many GB a second f moves.
func timed(b *testing.B, c course, f func(*net.TCPConn), bytes int) (rate float64) {
	err := c.beside(func() {
		conn, err := loopbacktest.DialTCP(c.to)
		if err != nil {
			b.Error(err)
			return
		}
		defer conn.Close()
		start := time.Now()
		f(conn)
		rate = float64(bytes) / 1e9 / time.Since(start).Seconds()
	})
	if err != nil {
		b.Fatal(err)
	}
	return rate
}

// median returns the time of the middle one of n connections, with as many bytes
// there and back, in us.
func median(b *testing.B, c course, n, bytes int) float64 {
	var all []time.Duration
	c.beside(func() {
		for range n {
			start := time.Now()
			conn, err := loopbacktest.DialTCP(c.to)
			if err != nil {
				b.Error(err)
				return
			}
			if bytes > 0 {
				conn.Write(make([]byte, bytes))
				io.ReadFull(conn, make([]byte, bytes))
			}
			all = append(all, time.Since(start))
			conn.Close()
		}
	})
	slices.Sort(all)
	return float64(all[len(all)/2].Nanoseconds()) / 1e3
}

func roundTrip(b *testing.B, c course, n int) float64 {
	var all []time.Duration
	c.beside(func() {
		conn, err := loopbacktest.DialTCP(c.to)
		if err != nil {
			b.Error(err)
			return
		}
		defer conn.Close()
		one := make([]byte, 1)
		for range n {
			start := time.Now()
			conn.Write(one)
			if _, err := io.ReadFull(conn, one); err != nil {
				b.Error(err)
				return
			}
			all = append(all, time.Since(start))
		}
	})
	slices.Sort(all)
	return float64(all[len(all)/2].Nanoseconds()) / 1e3
}

// connections returns how many connections a second so many threads make, each
// with a byte there and back.
func connections(b *testing.B, c course, threads, each int) float64 {
	var all sync.WaitGroup
	start := time.Now()
	for range threads {
		all.Go(func() { median(b, c, each, 1) })
	}
	all.Wait()
	return float64(threads*each) / time.Since(start).Seconds()
}
