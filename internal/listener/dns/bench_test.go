package dns_test

import (
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"outvet/call"
	"outvet/internal/gate"
	"outvet/internal/listener/dns"
	"outvet/internal/record"
	"outvet/internal/session"
)

// asker asks one server, one question at a time.
type asker struct {
	c   net.Conn
	buf []byte
}

func newAsker(t testing.TB, addr string) *asker {
	c, err := net.Dial("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &asker{c, make([]byte, 2048)}
}

func (a *asker) ask(t testing.TB, b []byte) time.Duration {
	start := time.Now()
	a.c.SetDeadline(start.Add(10 * time.Second))
	if _, err := a.c.Write(b); err != nil {
		t.Fatal(err)
	}
	if _, err := a.c.Read(a.buf); err != nil {
		t.Fatal(err)
	}
	return time.Since(start)
}

// echo is the floor: it sends back what comes.
func echo(t testing.TB) string {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	go func() {
		buf := make([]byte, 2048)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			pc.WriteTo(buf[:n], from)
		}
	}()
	return pc.LocalAddr().String()
}

func packed(name string) []byte {
	b, _ := new(wire.Msg).SetQuestion(name, wire.TypeA).Pack()
	return b
}

// BenchmarkResolver reports the median of an answer as a multiple of that of a
// bare echo over the same loopback, with a real log: of a name asked before, and
// of a new one.
func BenchmarkResolver(b *testing.B) {
	for _, fresh := range []bool{false, true} {
		b.Run(map[bool]string{false: "again", true: "new"}[fresh], func(b *testing.B) {
			l, err := record.Open(b.TempDir(), record.Options{})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { l.Close() })
			g := &gate.Gate{Sessions: &session.Table{}, Log: l}
			install(b, g, "version: 1\ndefault: allow\n")
			r := rigOf(b, g, &log{}, func(s *dns.Server) {
				s.Rate = 1 << 30
				s.Caller = func(net.Addr) call.Caller { return call.Caller{Session: "bench", SessionMark: call.Observed} }
			})
			ours, floor := newAsker(b, r.addr), newAsker(b, echo(b))
			var mine, bare []time.Duration
			for i := 0; b.Loop(); i++ {
				name := "api.example.com."
				if fresh {
					name = fmt.Sprintf("n%d.example.com.", i%12000)
				}
				q := packed(name)
				mine, bare = append(mine, ours.ask(b, q)), append(bare, floor.ask(b, q))
			}
			slices.Sort(mine)
			slices.Sort(bare)
			m, f := mine[len(mine)/2], bare[len(bare)/2]
			b.ReportMetric(float64(m)/float64(f), "x-echo")
			b.ReportMetric(float64(m.Nanoseconds())/1e3, "p50-us")
			b.ReportMetric(float64(mine[len(mine)*99/100].Nanoseconds())/1e3, "p99-us")
			b.ReportMetric(0, "ns/op")
		})
	}
}
