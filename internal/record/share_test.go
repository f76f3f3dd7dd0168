package record

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"outvet/call"
)

// shareForever writes calls to a log that others write too, and prints what was
// confirmed.
func shareForever(dir string) {
	s, err := Share(context.Background(), dir, Options{Checkpoint: 3 * time.Millisecond, Sync: time.Millisecond})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	out := make(chan string, 1000)
	for w := range 4 {
		go func() {
			for i := 0; ; i++ {
				d := decided(fmt.Sprintf("%d/s%d", os.Getpid(), w), i)
				d.Durable = i%16 == 0
				if err := s.Write(d); err != nil {
					fmt.Println("error", err)
					os.Exit(2)
				}
				out <- fmt.Sprintln(d.ID, call.Decided, d.Seq)
				c := closing(d)
				c.Body = make([]byte, 32)
				if err := s.Write(c); err != nil {
					fmt.Println("error", err)
					os.Exit(3)
				}
			}
		}()
	}
	for line := range out {
		os.Stdout.WriteString(line)
	}
}

// confirmed collects what a writer says that it has written.
type confirmed struct {
	mu  sync.Mutex
	all map[string]string // ID and kind to number
}

// read starts a writer and kills it some time later.
func (c *confirmed) read(t *testing.T, cmd *exec.Cmd, later time.Duration) {
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Error(err)
		return
	}
	if err := cmd.Start(); err != nil {
		t.Error(err)
		return
	}
	defer time.AfterFunc(later, func() { cmd.Process.Kill() }).Stop()
	for lines := bufio.NewScanner(pipe); lines.Scan(); {
		id, rest, _ := strings.Cut(lines.Text(), " ")
		if id == "error" {
			t.Error(lines.Text())
			continue
		}
		kind, seq, _ := strings.Cut(rest, " ")
		c.mu.Lock()
		c.all[id+" "+kind] = seq
		c.mu.Unlock()
	}
}

func TestWhoHoldsTheLogMayBeKilledAndOthersGoOn(t *testing.T) {
	dir := t.TempDir()
	c := confirmed{all: map[string]string{}}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for range 3 { // as one is killed, another begins
		wg.Go(func() {
			for ctx.Err() == nil {
				cmd := child(t, "share", dir)
				c.read(t, cmd, time.Duration(100+rand.IntN(500))*time.Millisecond)
				cmd.Wait()
			}
		})
	}
	wg.Wait()
	all := len(c.all)
	if lost := missingOf(t, dir, 0, c.all); lost[call.Decided] > 0 {
		t.Errorf("of %d confirmed decisions %d are lost", all, lost[call.Decided])
	}
	l := open(t, dir)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	rep, err := Verify(dir, VerifyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if all < 100 {
		t.Errorf("only %d decisions were confirmed", all)
	}
	t.Logf("%d confirmed, %d entries", all, rep.Size)
}

func share(t testing.TB, dir string) *Shared {
	t.Helper()
	s, err := Share(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// holds reports whether s has the log open in this process.
func holds(s *Shared) bool { return s.held.Load() != nil }

func TestCallsGoOnWhenWhoHeldTheLogEndsInOrder(t *testing.T) {
	dir := t.TempDir()
	first, second, third := share(t, dir), share(t, dir), share(t, dir)
	if !holds(first) || holds(second) || holds(third) {
		t.Fatal("not the first holds the log, or not alone")
	}
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrLocked) {
		t.Fatalf("held twice: %v", err)
	}
	var open []*call.Record
	for i := range 20 {
		for _, s := range []*Shared{first, second, third} {
			d := decided("s", i)
			if err := s.Write(d); err != nil {
				t.Fatal(err)
			}
			if want := uint64(len(open) + 1); s != first && d.Seq == 0 {
				t.Fatalf("number %d, want %d", d.Seq, want)
			}
			if s != first {
				open = append(open, d)
			}
		}
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var failed atomic.Pointer[error]
	for i, d := range open { // each by who decided it, under another holder
		s := []*Shared{second, third}[i%2]
		wg.Go(func() {
			c := closing(d)
			c.Body = make([]byte, 32)
			if err := s.Write(c); err != nil {
				failed.Store(&err)
			}
			if c.Outcome.Commit == "" {
				t.Error("no commitment came back")
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		t.Fatal(*err)
	}
	if holds(second) == holds(third) {
		t.Error("not one of the others holds the log")
	}
	if err := errors.Join(second.Close(), third.Close()); err != nil {
		t.Fatal(err)
	}
	if err := first.Write(decided("s", 1)); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	rep, err := Verify(dir, VerifyOptions{})
	if err != nil || rep.OpenCalls != 20 { // those of the first
		t.Fatalf("%+v, %v", rep, err)
	}
}

// TestWhatWasWrittenAndNotConfirmedStandsOnce gives records again to a new
// holder that finds them in the log.
func TestWhatWasWrittenAndNotConfirmedStandsOnce(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	var all []*call.Record
	for i := range 700 {
		all = append(all, decided("s", i))
		write(t, l, all[i])
	}
	write(t, l, closing(all[0]))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, dir)
	size := l.began
	for _, i := range []int{699, 300, 1} {
		r := *all[i]
		r.Seq = 0
		if err := l.take(&r, true); err != nil || r.Seq != all[i].Seq {
			t.Errorf("%d: %d, %v", i, r.Seq, err)
		}
		write(t, l, closing(&r))
	}
	l.adopt([]call.ID{all[0].ID})
	if err := l.take(closing(all[0]), true); err != nil {
		t.Error(err)
	}
	fresh := decided("s", 1)
	if err := l.take(fresh, true); err != nil || fresh.Seq != 701 {
		t.Error(fresh.Seq, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	rep, err := Verify(dir, VerifyOptions{})
	if want := size + 1 + 3 + 1 + 1; err != nil || rep.Size != want { // start, three ends, the new one, stop
		t.Errorf("%d entries, want %d: %v", rep.Size, want, err)
	}
}

func TestAFolderWithALongNameIsSharedToo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 40))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	first, second := share(t, dir), share(t, dir)
	for _, s := range []*Shared{first, second} {
		if err := s.Write(decided("s", 1)); err != nil {
			t.Error(err)
		}
	}
}

func TestWhoDoesNotAnswerFailsTheCall(t *testing.T) {
	if testing.Short() {
		t.Skip("waits ten seconds")
	}
	t.Parallel()
	dir := t.TempDir()
	cmd := child(t, "share", dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	waitFor(t, filepath.Join(dir, "log", doorName))
	s := share(t, dir)
	if err := s.Write(decided("s", 1)); err != nil || holds(s) {
		t.Fatal(err, holds(s))
	}
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var err error
	for i := 0; i < 1000 && err == nil; i++ { // a few may be answered until it stands still
		err = s.Write(decided("s", i))
	}
	if err == nil || !strings.Contains(err.Error(), "did not answer") {
		t.Error(err)
	}
}

func waitFor(t *testing.T, name string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(name); err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s does not come", name)
		}
	}
}

func TestNonsenseAtTheDoorHarmsNobody(t *testing.T) {
	dir := t.TempDir()
	s := share(t, dir)
	for _, words := range []string{"", "\xff\xff\xff\xff", "\x00\x00\x00\x02{}", "\x00\x00\x00\x0b{\"hello\":9}", "\x00\x00\x00\x04nope", "GET / HTTP/1.1\r\n\r\n",
		"\x00\x00\x00\x0b{\"hello\":1}\x00\x00\x00\x02{}", "\x00\x00\x00\x0b{\"hello\":1}\x00\x00\x00\x0d{\"record\":{}}"} {
		d, err := dialDoor(filepath.Join(dir, "log"))
		if err != nil {
			t.Fatal(err)
		}
		d.Write([]byte(words))
		d.Close()
	}
	if err := s.Write(decided("s", 1)); err != nil {
		t.Error(err)
	}
	if err := share(t, dir).Write(decided("s", 2)); err != nil {
		t.Error(err)
	}
}
