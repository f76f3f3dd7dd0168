package record

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"outvet/call"
)

// TestMain turns the test binary into a writer when a test asks for one.
func TestMain(m *testing.M) {
	switch os.Getenv("RECORD_TEST_CHILD") {
	case "write":
		writeForever(os.Getenv("RECORD_TEST_DIR"))
	case "share":
		shareForever(os.Getenv("RECORD_TEST_DIR"))
	case "full":
		writeToFullDisk(os.Getenv("RECORD_TEST_DIR"))
	case "":
	default:
		linuxChild(os.Getenv("RECORD_TEST_CHILD"), os.Getenv("RECORD_TEST_DIR"))
	}
	os.Exit(m.Run())
}

// writeForever writes calls and prints the ID and number of each once Write
// has returned.
func writeForever(dir string) {
	l, err := Open(dir, Options{Checkpoint: 3 * time.Millisecond, Sync: time.Millisecond})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	out := make(chan string, 1000)
	for w := range 16 {
		go func() {
			for i := 0; ; i++ {
				d := decided(fmt.Sprintf("s%d", w), i)
				d.Durable = i%16 == 0
				if l.Write(d) != nil {
					os.Exit(2)
				}
				out <- fmt.Sprintln(d.ID, call.Decided, d.Seq)
				c := closing(d)
				c.Body = make([]byte, 32)
				if l.Write(c) != nil {
					os.Exit(3)
				}
				out <- fmt.Sprintln(d.ID, call.Closed, 0)
			}
		}()
	}
	for line := range out {
		os.Stdout.WriteString(line)
	}
}

func child(t *testing.T, what, dir string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), "RECORD_TEST_CHILD="+what, "RECORD_TEST_DIR="+dir)
	cmd.Stderr = os.Stderr
	return cmd
}

func TestKillLosesNothingThatWasAcknowledged(t *testing.T) {
	rounds := 15
	if testing.Short() {
		rounds = 5
	}
	dir := t.TempDir()
	entries := int64(0)
	for round := range rounds {
		acknowledged := killed(t, dir)
		rep, err := Verify(dir, VerifyOptions{})
		if err != nil {
			t.Fatalf("round %d, before it is opened again: %v", round, err)
		}
		lost := missingOf(t, dir, entries, acknowledged)
		if n := lost[call.Decided]; n > 0 {
			t.Fatalf("round %d: %d acknowledged decisions are lost, of %d entries", round, n, rep.Size)
		}
		if n := lost[call.Closed]; n > gatherMax {
			t.Fatalf("round %d: %d ends of calls are lost, more than wait at a time", round, n)
		}
		entries = rep.Size
	}
	l := open(t, dir)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	rep, err := Verify(dir, VerifyOptions{})
	if err != nil || rep.Tail != 0 {
		t.Fatal(rep, err)
	}
	t.Logf("%d entries, %d calls open", rep.Size, rep.OpenCalls)
}

// killed runs a writer for a moment and returns what it acknowledged: ID and
// kind with the number.
func killed(t *testing.T, dir string) map[string]string {
	t.Helper()
	cmd := child(t, "write", dir)
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	acknowledged := map[string]string{}
	for lines := bufio.NewScanner(pipe); lines.Scan(); {
		id, rest, _ := strings.Cut(lines.Text(), " ")
		if id == "error" {
			t.Fatal(lines.Text())
		}
		kind, seq, _ := strings.Cut(rest, " ")
		acknowledged[id+" "+kind] = seq
		once.Do(func() {
			time.AfterFunc(time.Duration(rand.IntN(60_000))*time.Microsecond, func() { cmd.Process.Kill() })
		})
	}
	cmd.Wait()
	return acknowledged
}

// missingOf counts what of acknowledged is not in the log from index from on.
func missingOf(t *testing.T, dir string, from int64, acknowledged map[string]string) map[call.Kind]int {
	t.Helper()
	r, err := OpenReader(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for leaf, err := range r.Leaves(from) {
		if err != nil {
			t.Fatal(err)
		}
		x, err := leaf.Record()
		if err != nil {
			t.Fatal(err)
		}
		key := string(x.ID) + " " + string(x.Kind)
		if seq, ok := acknowledged[key]; ok && seq != fmt.Sprint(x.Seq) {
			t.Fatalf("%s: number %d, acknowledged was %s", key, x.Seq, seq)
		}
		delete(acknowledged, key)
	}
	lost := map[call.Kind]int{}
	for key := range acknowledged {
		_, kind, _ := strings.Cut(key, " ")
		lost[call.Kind(kind)]++
	}
	return lost
}

// writeToFullDisk writes until the limit on the size of a file, which it then
// lifts. The limit cuts writes in two, as a full disk does.
func writeToFullDisk(dir string) {
	signal.Ignore(syscall.SIGXFSZ)
	fail := func(a ...any) {
		fmt.Println(a...)
		os.Exit(1)
	}
	l, err := Open(dir, Options{Checkpoint: time.Hour})
	if err != nil {
		fail(err)
	}
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		fail(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 50_001, Max: old.Max}); err != nil {
		fail(err)
	}
	var good, bad int
	for i := range 200 {
		d := decided("s", i)
		if err := l.Write(d); err == nil {
			good++
			if bad > 0 {
				fail("a write went through on a full disk")
			}
		} else {
			bad++
			if d.Seq != 0 || !errors.Is(err, syscall.EFBIG) {
				fail(d.Seq, err)
			}
		}
	}
	if good == 0 || bad == 0 {
		fail(good, bad)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		fail(err)
	}
	d := decided("s", 999)
	if err := l.Write(d); err != nil || d.Seq != uint64(good+1) {
		fail("not healed", err, d.Seq)
	}
	if err := l.Close(); err != nil {
		fail(err)
	}
	fmt.Println("good", good+1)
	os.Exit(0)
}

func TestFullDiskIsAnErrorEveryTimeAndHeals(t *testing.T) {
	dir := t.TempDir()
	out, err := child(t, "full", dir).Output()
	if err != nil {
		t.Fatalf("%s %v", out, err)
	}
	rep, err := Verify(dir, VerifyOptions{})
	if want := fmt.Sprintf("good %d\n", rep.Calls); err != nil || string(out) != want {
		t.Fatalf("%s %+v %v", out, rep, err)
	}
}

// A failing file fails on demand.
type failing struct {
	file
	sync, write error
	slow        chan struct{} // if not nil, a sync waits for it
	writes      int
	undone      func() // is called before what failed is taken back
}

func (f *failing) Sync() error {
	if f.slow != nil {
		<-f.slow
	}
	if f.sync != nil {
		return f.sync
	}
	return f.file.Sync()
}

func (f *failing) Truncate(size int64) error {
	if f.undone != nil {
		f.undone()
	}
	return f.file.Truncate(size)
}

func (f *failing) WriteAt(b []byte, off int64) (int, error) {
	f.writes++
	if f.write != nil {
		n, _ := f.file.WriteAt(b[:len(b)/2], off)
		return n, f.write
	}
	return f.file.WriteAt(b, off)
}

func TestDiskThatDoesNotConfirmIsAnErrorUntilItDoes(t *testing.T) {
	dir := t.TempDir()
	l, err := Open(dir, Options{Sync: time.Hour, Checkpoint: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	bad := &failing{file: l.seg.f}
	l.seg.f = bad
	bad.sync = errors.New("input/output error")
	d := decided("s", 1)
	d.Durable = true
	if err := l.Write(d); !errors.Is(err, bad.sync) {
		t.Fatal(err)
	}
	if err := l.Write(decided("s", 2)); !errors.Is(err, bad.sync) {
		t.Fatal("a write went through that the disk will not keep:", err)
	}
	bad.sync = nil
	write(t, l, decided("s", 3))
	bad.write = syscall.ENOSPC
	if err := l.Write(decided("s", 4)); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	bad.write = nil
	write(t, l, decided("s", 5))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	rep, err := Verify(dir, VerifyOptions{})
	if err != nil || rep.Calls != 3 {
		t.Fatal(rep.Calls, err)
	}
}

func TestCrashIsSaidInTheNextStartRecord(t *testing.T) {
	dir := t.TempDir()
	l, err := Open(dir, Options{Checkpoint: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	write(t, l, decided("s", 1))
	abandon(l)
	segment := filepath.Join(dir, "log", segmentName(0))
	f, err := os.OpenFile(segment, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	half, _ := appendFrame(nil, []byte(`{"kind":"closed"}`), 0)
	f.Write(half[:11])
	f.Close()
	l = open(t, dir)
	l.Close()
	r, err := OpenReader(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var notes []string
	for leaf, err := range r.Leaves(0) {
		if err != nil {
			t.Fatal(err)
		}
		var x call.Record
		if err := json.Unmarshal(leaf.Entry, &x); err != nil {
			t.Fatal(err)
		}
		notes = append(notes, string(x.Kind)+x.Note)
	}
	want := "start|decided|startthe log was not closed in order: 2 entries recovered, 11 bytes of an entry that was never finished are cut|stop"
	if got := strings.Join(notes, "|"); got != want {
		t.Fatal(got)
	}
}

// abandon ends the writing of l as a crash does.
func abandon(l *Log) {
	close(l.quit)
	l.done.Wait()
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.release()
}
