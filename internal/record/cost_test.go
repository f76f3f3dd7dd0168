//go:build unix

package record

import (
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"outvet/call"
)

// cpu returns the processor time that this process has spent, all of its
// threads and the kernel on their behalf included.
func cpu(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkCall writes calls as the gate does, two leaves each, the second with
// a body. cpu-ns/leaf is the whole cost of a leaf: Write, syncing, tiles and
// checkpoints, also that which comes after Write has returned. The paced one
// is a busy proxy: the cost of what happens on a timer is spread over as many
// leaves as there.
func BenchmarkCall(b *testing.B) {
	for _, pace := range []time.Duration{0, 200 * time.Microsecond} {
		for _, writers := range []int{1, 32} {
			name := fmt.Sprintf("writers=%d", writers)
			if pace > 0 {
				name += "/paced"
			}
			b.Run(name, func(b *testing.B) { benchmarkCall(b, writers, pace) })
		}
	}
}

func benchmarkCall(b *testing.B, writers int, pace time.Duration) {
	l, err := Open(b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	ids := make([]call.ID, b.N)
	for i := range ids {
		ids[i] = call.NewID(time.Now())
	}
	var wg sync.WaitGroup
	var spent time.Duration // in Write, of writer 0
	b.ReportAllocs()
	b.ResetTimer()
	before := cpu(b)
	for w := range writers {
		wg.Go(func() {
			d := decided(fmt.Sprint("s", w), 1)
			c := closing(d)
			c.Caller, c.Session = call.Caller{}, d.Caller.Session
			c.Scheme, c.Host, c.Port, c.Category, c.Trust = "", "", 0, "", ""
			c.Protocol, c.Method, c.Target, c.Size, c.Listener, c.Grade = "", "", "", 0, "", ""
			body := make([]byte, 32)
			next := time.Now()
			for i := w; i < b.N; i += writers {
				d.ID, c.ID, c.Body, c.Outcome.Commit = ids[i], ids[i], body, ""
				begin := time.Now()
				if l.Write(d) != nil || l.Write(c) != nil {
					b.Error("write")
					return
				}
				if w == 0 {
					spent += time.Since(begin)
				}
				if pace > 0 {
					next = next.Add(pace * time.Duration(writers))
					time.Sleep(time.Until(next))
				}
			}
		})
	}
	wg.Wait()
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(cpu(b)-before)/float64(2*b.N), "cpu-ns/leaf")
	b.ReportMetric(float64(spent)*float64(writers)/float64(2*b.N), "write-ns/leaf")
	b.ReportMetric(float64(2*b.N)/b.Elapsed().Seconds(), "leaves/s")
}
