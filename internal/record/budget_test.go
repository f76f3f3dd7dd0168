package record

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"outvet/call"
)

func TestWriteAllocatesAtMostOnce(t *testing.T) {
	l, err := Open(t.TempDir(), Options{Checkpoint: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ids := make([]call.ID, 3000)
	for i := range ids {
		ids[i] = call.NewID(time.Now())
	}
	d := decided("s", 1)
	c := closing(d)
	body := make([]byte, 32)
	i := 0
	pair := func() {
		d.ID, c.ID = ids[i], ids[i]
		c.Body, c.Outcome.Commit = body, ""
		i++
		if l.Write(d) != nil || l.Write(c) != nil {
			t.Fatal("write")
		}
	}
	pair()
	if n := testing.AllocsPerRun(100, pair); n > 2 {
		t.Errorf("a decided and a closed record allocate %v times", n)
	}
}

func BenchmarkWriteDurable(b *testing.B) {
	for _, writers := range []int{1, 16} {
		b.Run(fmt.Sprint(writers), func(b *testing.B) {
			l := open(b, b.TempDir())
			var wg sync.WaitGroup
			work := make(chan *call.Record, writers)
			for range writers {
				wg.Go(func() {
					for d := range work {
						if err := l.Write(d); err != nil {
							b.Error(err)
						}
					}
				})
			}
			for i := range b.N {
				d := decided("s", i)
				d.Durable = true
				work <- d
			}
			close(work)
			wg.Wait()
		})
	}
}

// BenchmarkThroughput counts leaves until they are in tiles under a
// checkpoint.
func BenchmarkThroughput(b *testing.B) {
	l := open(b, b.TempDir())
	d := decided("s", 1)
	ids := make([]call.ID, b.N)
	for i := range ids {
		ids[i] = call.NewID(time.Now())
	}
	c := closing(d)
	b.ResetTimer()
	for i := range b.N {
		d.ID, c.ID = ids[i], ids[i]
		if l.Write(d) != nil || l.Write(c) != nil {
			b.Fatal("write")
		}
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(2*b.N)/b.Elapsed().Seconds(), "leaves/s")
}

func BenchmarkVerify(b *testing.B) {
	dir := b.TempDir()
	fill(b, dir, 50_000)
	b.ResetTimer()
	for b.Loop() {
		if _, err := Verify(dir, VerifyOptions{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*100_002/b.Elapsed().Seconds(), "leaves/s")
}

func TestFollowerSeesEveryEntryOnceAndInOrder(t *testing.T) {
	dir := t.TempDir()
	l, err := Open(dir, Options{Checkpoint: 5 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	r, err := OpenReader(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	const n = 8000 // more than two segments
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			at := int64(0)
			for leaf, err := range r.Follow(t.Context(), 0) {
				if err != nil {
					t.Error(err)
					return
				}
				if leaf.Index != at {
					t.Errorf("entry %d, want %d", leaf.Index, at)
					return
				}
				if at++; at == n+1 {
					return
				}
			}
		})
	}
	verified := make(chan struct{})
	go func() {
		defer close(verified)
		for range 10 {
			if _, err := Verify(dir, VerifyOptions{}); err != nil {
				t.Error("while it is written:", err)
			}
		}
	}()
	for i := range n {
		write(t, l, decided("s", i))
	}
	wg.Wait()
	<-verified
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestForgottenBodyLeavesAWholeLog(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	var commits []string
	var ids []call.ID
	sum := []byte(strings.Repeat("h", 32))
	for i := range 3 {
		d := decided("s", i)
		c := closing(d)
		c.Body = sum
		write(t, l, d)
		write(t, l, c)
		commits, ids = append(commits, c.Outcome.Commit), append(ids, d.ID)
	}
	l.disperseNow()
	if commits[0] == commits[1] || commits[0] == "" {
		t.Fatal("equal bodies must not look equal:", commits)
	}
	for _, x := range []struct {
		sum  []byte
		want bool
	}{{sum, true}, {[]byte(strings.Repeat("x", 32)), false}} {
		if ok, err := Opens(dir, ids[1], commits[1], x.sum); err != nil || ok != x.want {
			t.Error(ok, err)
		}
	}
	if err := Forget(dir, ids[1]); err != nil {
		t.Fatal(err)
	}
	if ok, err := Opens(dir, ids[1], commits[1], sum); err == nil || ok {
		t.Error("still opens", err)
	}
	if ok, err := Opens(dir, ids[2], commits[2], sum); err != nil || !ok {
		t.Error("the next one is gone too", err)
	}
	if err := Forget(dir, "nobody"); err == nil {
		t.Error("forgot what was not there")
	}
	d := decided("s", 9)
	c := closing(d)
	c.Body = sum
	write(t, l, d)
	write(t, l, c)
	l.disperseNow()
	if ok, err := Opens(dir, d.ID, c.Outcome.Commit, sum); err != nil || !ok {
		t.Error(ok, err)
	}
	l.Close()
	if _, err := Verify(dir, VerifyOptions{}); err != nil {
		t.Error(err)
	}
	days, err := os.ReadDir(filepath.Join(dir, "log", saltsName))
	if err != nil || len(days) > 2 {
		t.Error(days, err)
	}
}

func TestHalfAStoryIsRefused(t *testing.T) {
	l := open(t, t.TempDir())
	d := decided("s", 1)
	if err := l.Write(closing(d)); err == nil {
		t.Error("closed before it was decided")
	}
	write(t, l, d)
	if err := l.Write(d); err == nil {
		t.Error("decided twice")
	}
	if d.Seq != 1 {
		t.Error("a refused record has the number", d.Seq)
	}
	write(t, l, closing(d))
	if err := l.Write(closing(d)); err == nil {
		t.Error("closed twice")
	}
	if err := l.Write(&call.Record{Kind: call.Decided}); err == nil {
		t.Error("no ID")
	}
	l.Close()
	if err := l.Write(decided("s", 2)); err == nil {
		t.Error("written after Close")
	}
}

func TestOddSessionNamesKeepTheirNumbers(t *testing.T) {
	dir := t.TempDir()
	names := []string{"", strings.Repeat("long", 200), strings.Repeat("long", 200) + "er", "\xff", "\xfe", "é\x00\n\""}
	for round := range 2 {
		l := open(t, dir)
		for _, n := range names {
			d := decided(n, 1)
			for range 4000 { // so that the record is cut
				d.Decision.Findings = append(d.Decision.Findings, d.Decision.Findings[0])
			}
			write(t, l, d)
			if d.Seq != uint64(round+1) {
				t.Errorf("%.10q: %d", n, d.Seq)
			}
			if string(d.Caller.Session) != n {
				t.Error("the caller's record was changed")
			}
		}
		l.Close()
	}
	if rep, err := Verify(dir, VerifyOptions{}); err != nil || rep.Sessions != len(names) {
		t.Error(rep.Sessions, err)
	}
}
