package record

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"outvet/call"
)

// refusedWithin waits for Write to refuse, as it must within a second.
func refusedWithin(t *testing.T, l *Log, says string) {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		err := l.Write(decided("s", 1))
		if err != nil {
			if !strings.Contains(err.Error(), says) {
				t.Fatalf("%v; want %q", err, says)
			}
			return
		}
		if time.Since(begin) > 10*lookEvery+5*time.Second { // the second, and a busy machine
			t.Fatal("nobody noticed")
		}
	}
}

func TestRemovedLogIsAnErrorEveryTime(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	write(t, l, decided("s", 1))
	if err := os.RemoveAll(filepath.Join(dir, "log")); err != nil {
		t.Fatal(err)
	}
	refusedWithin(t, l, "removed")
	for i := range 3 {
		if err := l.Write(decided("s", i)); err == nil || !strings.Contains(err.Error(), "restore the log and start again") {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err == nil {
		t.Error("closed in order")
	}
	if _, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), "is gone") {
		t.Error(err)
	}
}

func TestMovedLogIsRefusedUntilItIsBack(t *testing.T) {
	for name, place := range map[string]string{"the log": "log", "its segments": "log/wal"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			l := open(t, dir)
			at, aside := filepath.Join(dir, place), filepath.Join(dir, "aside")
			if err := os.Rename(at, aside); err != nil {
				t.Fatal(err)
			}
			refusedWithin(t, l, "moved")
			// Another folder in its place is not the log.
			if err := os.CopyFS(at, os.DirFS(aside)); err != nil {
				t.Fatal(err)
			}
			if err := l.Write(decided("s", 2)); err == nil {
				t.Fatal("written to a log that is not in its place")
			}
			if err := os.RemoveAll(at); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(aside, at); err != nil {
				t.Fatal(err)
			}
			last := decided("s", 3)
			write(t, l, last)
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			rep, err := Verify(dir, VerifyOptions{})
			if err != nil || uint64(rep.Calls) != last.Seq {
				t.Fatal(rep.Calls, last.Seq, err)
			}
		})
	}
}

func TestDeletedSegmentIsNoticed(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	if err := os.Remove(l.seg.path); err != nil {
		t.Fatal(err)
	}
	refusedWithin(t, l, filepath.Base(l.seg.path))
	l.Close()
}

func TestDeletedTileStopsNothingAndVerifyNamesIt(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, 300)
	l := open(t, dir)
	if err := os.Remove(filepath.Join(dir, "log/tile/entries/001")); err != nil {
		t.Fatal(err)
	}
	write(t, l, decided("s", 1))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var d *Damage
	if _, err := Verify(dir, VerifyOptions{}); !errors.As(err, &d) || d.Index != 256 || d.What != "missing" {
		t.Fatal(err)
	}
}

func TestLogThatCannotBeSignedIsRefusedAfterAWhile(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, 10)
	l, err := Open(dir, Options{Checkpoint: 5 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.patience = 50 * time.Millisecond
	// A file where the folder of tiles has to be fails as a folder would that
	// may not be written, for the superuser too.
	tiles := filepath.Join(dir, "log", "tile")
	if err := os.Rename(tiles, tiles+".aside"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(tiles, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	refusedWithin(t, l, "cannot be signed since")
	if l.Health() == nil {
		t.Error("healthy")
	}
	if err := errors.Join(os.Remove(tiles), os.Rename(tiles+".aside", tiles)); err != nil {
		t.Fatal(err)
	}
	d := decided("s", 2)
	for begin := time.Now(); l.Write(d) != nil; time.Sleep(5 * time.Millisecond) {
		if time.Since(begin) > 10*time.Second {
			t.Fatal("not healed:", l.Health())
		}
	}
	l.patience = patience
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	rep, err := Verify(dir, VerifyOptions{})
	if err != nil || rep.OpenCalls != rep.Calls-10 {
		t.Fatalf("%+v %v", rep, err)
	}
	if got := found(t, dir, "", 1); len(got) != 1 || got[0] != d.ID {
		t.Fatal(got)
	}
}

func TestSlowDiskHoldsUpNobodyButThoseWhoAskForIt(t *testing.T) {
	dir := t.TempDir()
	l, err := Open(dir, Options{Sync: time.Millisecond, Checkpoint: 2 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	slow := &failing{file: l.seg.f, slow: make(chan struct{})}
	l.mu.Lock()
	l.seg.f = slow
	l.mu.Unlock()
	durable := make(chan error, 1)
	go func() {
		d := decided("durable", 1)
		d.Durable = true
		durable <- l.Write(d)
	}()
	wrote := make(chan error, 1)
	go func() {
		for i := range 2000 {
			d := decided("s", i)
			if err := errors.Join(l.Write(d), l.Write(closing(d))); err != nil {
				wrote <- err
				return
			}
		}
		wrote <- nil
	}()
	select {
	case err := <-wrote:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("records that need not be durable wait for the disk")
	}
	l.mu.Lock()
	if n := len(l.wait.ids); n >= gatherMax {
		t.Errorf("%d records are kept in memory", n)
	}
	l.mu.Unlock()
	select {
	case err := <-durable:
		t.Fatal("a durable record did not wait for the disk:", err)
	default:
	}
	l.patience = 20 * time.Millisecond
	if err := l.Close(); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Fatal(err)
	}
	// The disk answers at last.
	close(slow.slow)
	if err := <-durable; err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		again, err := Open(dir, Options{})
		if err == nil {
			again.Close()
			break
		}
		if !errors.Is(err, ErrLocked) || time.Since(begin) > 30*time.Second {
			t.Fatal(err)
		}
	}
	if rep, err := Verify(dir, VerifyOptions{}); err != nil || rep.Calls != 2001 || rep.OpenCalls != 1 {
		t.Fatalf("%+v %v", rep, err)
	}
}

func TestEndsOfCallsShareAWrite(t *testing.T) {
	l, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	disk := &failing{file: l.seg.f}
	l.mu.Lock()
	l.seg.f = disk
	l.mu.Unlock()
	const calls = 20 * gatherMax
	begin := time.Now()
	for i := range calls {
		d := decided("s", i)
		write(t, l, d)
		write(t, l, closing(d))
	}
	l.mu.Lock()
	n, most := disk.writes, calls+calls/gatherMax+int(time.Since(begin)/gatherFor)+1
	l.mu.Unlock()
	if n > most {
		t.Errorf("%d writes for %d calls, at most %d are due", n, calls, most)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFramesThatWereTakenBackAreNotReadTwice(t *testing.T) {
	dir := t.TempDir()
	l, err := Open(dir, Options{Sync: time.Hour, Checkpoint: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	var calls []*call.Record
	for i := range gatherMax {
		d := decided("s", i)
		write(t, l, d)
		calls = append(calls, d)
	}
	if err := l.step(true); err != nil { // run sleeps, so that its reader is ours
		t.Fatal(err)
	}
	disk := &failing{file: l.seg.f, write: errors.New("no space left"), undone: func() {
		if more, err := l.wal.fill(); !more || err != nil {
			t.Error("nothing to read before it is taken back:", err)
		}
	}}
	l.mu.Lock()
	l.seg.f = disk
	l.wait.timer = time.AfterFunc(time.Hour, func() {}) // by number alone
	l.mu.Unlock()
	for _, d := range calls {
		write(t, l, closing(d))
	}
	l.mu.Lock()
	disk.write, disk.undone = nil, nil
	l.wait.timer.Stop()
	l.rotate() // and written they are elsewhere
	l.mu.Unlock()
	write(t, l, decided("s", 99))
	if err := l.step(true); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if rep, err := Verify(dir, VerifyOptions{}); err != nil || rep.OpenCalls != 1 {
		t.Fatalf("%+v %v", rep, err)
	}
}

func TestClosedRecordsThatCannotBeWrittenAreKeptAndSaid(t *testing.T) {
	dir := t.TempDir()
	l, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var open []*call.Record
	for i := range 2 * gatherMax {
		d := decided("s", i)
		write(t, l, d)
		open = append(open, d)
	}
	disk := &failing{file: l.seg.f, write: errors.New("no space left")}
	l.mu.Lock()
	l.seg.f = disk
	l.mu.Unlock()
	refused := 0
	for _, d := range open {
		if l.Write(closing(d)) != nil {
			refused++
		}
	}
	if err := l.Write(decided("s", 99)); !errors.Is(err, disk.write) {
		t.Fatal(err)
	}
	if refused < len(open)-gatherMax || refused == len(open) {
		t.Fatalf("%d of %d refused", refused, len(open))
	}
	l.mu.Lock()
	disk.write = nil
	l.mu.Unlock()
	for _, d := range open[len(open)-refused:] {
		write(t, l, closing(d))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if rep, err := Verify(dir, VerifyOptions{}); err != nil || rep.Calls != int64(len(open)) || rep.OpenCalls != 0 {
		t.Fatalf("%+v %v", rep, err)
	}
}

func TestChangedDecisionAndReusedIDDoNotWait(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	r, err := OpenReader(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	kinds := func() (s string) {
		for leaf, err := range r.Leaves(1) {
			if err != nil {
				t.Fatal(err)
			}
			x, _ := leaf.Record()
			s += string(x.Kind) + " "
		}
		return s
	}
	d := decided("s", 1)
	write(t, l, d)
	c := closing(d)
	c.Decision = &call.Decision{Verdict: call.Block, Rule: "no secrets out"}
	write(t, l, c)
	if got := kinds(); got != "decided closed " {
		t.Fatal(got)
	}
	d = decided("s", 2)
	write(t, l, d)
	write(t, l, closing(d))
	d.Seq = 0
	write(t, l, d) // the same call once more: its end must come first
	if got := kinds(); got != "decided closed decided closed decided " {
		t.Fatal(got)
	}
}

func TestClockThatJumpsChangesTimesAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	start := time.Now().UTC()
	jumps := []time.Duration{0, 40 * 24 * time.Hour, -400 * 24 * time.Hour, time.Hour, -time.Hour, 0}
	var commits []*call.Record
	for i, j := range jumps {
		d := decided("s", i)
		d.Time = start.Add(j)
		write(t, l, d)
		c := closing(d)
		c.Time, c.Body = start.Add(j), make([]byte, 32)
		write(t, l, c)
		commits = append(commits, c)
		l.mu.Lock() // and the salts are kept under that day
		lines := l.wait.salts
		if err := l.salts.append(l.home, lines, start.Add(j)); err != nil {
			t.Fatal(err)
		}
		l.wait.salts = lines[:0]
		l.mu.Unlock()
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	rep, err := Verify(dir, VerifyOptions{})
	if err != nil || rep.Calls != int64(len(jumps)) || rep.Back == 0 || rep.OpenCalls != 0 {
		t.Fatalf("%+v %v", rep, err)
	}
	for _, c := range commits {
		if ok, err := Opens(dir, c.ID, c.Outcome.Commit, c.Body); err != nil || !ok {
			t.Error(ok, err)
		}
	}
	if got := found(t, dir, "", 0); len(got) != len(jumps) {
		t.Error(got)
	}
}

func TestCheckpointsComeOnceASecondWhileThereIsTraffic(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l, err := Open(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 50 { // five seconds
			d := decided("s", i)
			write(t, l, d)
			write(t, l, closing(d))
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
		}
		time.Sleep(time.Hour) // and none while there is none
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	})
	rep, err := Verify(dir, VerifyOptions{})
	if err != nil || rep.Checkpoints < 5 || rep.Checkpoints > 8 {
		t.Fatalf("%d checkpoints, %v", rep.Checkpoints, err)
	}
}

func TestManyWritersShareWhatWaits(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := range 200 {
				d := decided(fmt.Sprint("s", w), i)
				if err := errors.Join(l.Write(d), l.Write(closing(d))); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if rep, err := Verify(dir, VerifyOptions{}); err != nil || rep.Calls != 3200 || rep.OpenCalls != 0 {
		t.Fatalf("%+v %v", rep, err)
	}
}
