package record

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"outvet/call"
)

// linuxChild is what a test on Linux asks TestMain for.
func linuxChild(what, dir string) {
	switch what {
	case "stuck":
		writeUntilFull(dir)
	case "descriptors":
		writeWithoutDescriptors(dir)
	}
}

// smallDisk returns a folder on a file system of its own.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skip("a small disk needs the right to mount: ", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// ballast fills the disk but for some room.
func ballast(t *testing.T, dir string, room int64) (remove func()) {
	t.Helper()
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "ballast")
	err := os.WriteFile(path, make([]byte, int64(fs.Bavail)*fs.Bsize-room), 0o600)
	if err != nil && !errors.Is(err, syscall.ENOSPC) { // the log takes of it too
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
}

// writeUntilFull prints what is acknowledged and, once the disk is full,
// "full" at each refusal.
func writeUntilFull(dir string) {
	l, err := Open(dir, Options{Checkpoint: 5 * time.Millisecond})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	for i := 0; ; i++ {
		d := decided("s", i)
		if err := l.Write(d); err != nil {
			if !errors.Is(err, syscall.ENOSPC) {
				fmt.Println("error", err)
			}
			fmt.Println("full")
			time.Sleep(5 * time.Millisecond)
			continue
		}
		fmt.Println(d.ID, call.Decided, d.Seq)
		if i%3 == 0 {
			l.Write(closing(d))
		}
	}
}

func TestKillWhileTheDiskIsFullLosesNoDecision(t *testing.T) {
	dir := smallDisk(t, "8m")
	free := ballast(t, dir, 600<<10)
	cmd := child(t, "stuck", dir)
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	acknowledged := map[string]string{}
	full := 0
	lines := bufio.NewScanner(pipe)
	for lines.Scan() {
		text := lines.Text()
		if strings.HasPrefix(text, "error") {
			t.Error(text)
		}
		if text == "full" {
			if full++; full == 40 {
				cmd.Process.Kill()
			}
			continue
		}
		f := strings.Fields(text)
		acknowledged[f[0]+" "+f[1]] = f[2]
	}
	cmd.Wait()
	n := len(acknowledged)
	if full < 40 || n == 0 {
		t.Fatal(full, n)
	}
	if _, err := Verify(dir, VerifyOptions{}); err != nil {
		t.Fatal("while it is full:", err)
	}
	if l, err := Open(dir, Options{}); err == nil {
		l.Close() // there was room for what was left to do
	} else if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	free()
	l := open(t, dir)
	d := decided("s", 0)
	write(t, l, d)
	if d.Seq != uint64(n)+1 {
		t.Errorf("number %d after %d acknowledged decisions", d.Seq, n)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if lost := missingOf(t, dir, 0, acknowledged); lost[call.Decided] > 0 {
		t.Fatalf("%d of %d decisions are lost", lost[call.Decided], n)
	}
	if _, err := Verify(dir, VerifyOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestFullDiskHealsByItself(t *testing.T) {
	dir := smallDisk(t, "8m")
	l, err := Open(dir, Options{Checkpoint: 5 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var last uint64
	for range 3 {
		free := ballast(t, dir, 100<<10)
		for i := 0; ; i++ {
			d := decided("s", i)
			if err := l.Write(d); errors.Is(err, syscall.ENOSPC) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			last = d.Seq
		}
		free()
		d := decided("s", 0)
		write(t, l, d)
		if d.Seq != last+1 {
			t.Fatalf("number %d after %d", d.Seq, last)
		}
		last = d.Seq
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if rep, err := Verify(dir, VerifyOptions{}); err != nil || uint64(rep.Calls) != last {
		t.Fatal(rep.Calls, last, err)
	}
}

func TestDiskMountedOverTheLogIsNoticed(t *testing.T) {
	dir := smallDisk(t, "8m")
	state := filepath.Join(dir, "state")
	l, err := Open(state, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	write(t, l, decided("s", 1))
	if err := syscall.Mount("tmpfs", state, "tmpfs", syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	refusedWithin(t, l, "moved or replaced")
	if err := syscall.Unmount(state, syscall.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	d := decided("s", 2)
	write(t, l, d)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if rep, err := Verify(state, VerifyOptions{}); err != nil || uint64(rep.Calls) != d.Seq {
		t.Fatal(rep.Calls, d.Seq, err)
	}
}

// writeWithoutDescriptors writes several segments while no file can be opened.
func writeWithoutDescriptors(dir string) {
	signal.Ignore(syscall.SIGXFSZ)
	fail := func(a ...any) {
		fmt.Println(a...)
		os.Exit(1)
	}
	l, err := Open(dir, Options{Checkpoint: 5 * time.Millisecond})
	if err != nil {
		fail(err)
	}
	first := decided("s", 0)
	if err := l.Write(first); err != nil {
		fail(err)
	}
	var hoard []*os.File
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 64, Max: 64}); err != nil {
		fail(err)
	}
	for {
		f, err := os.Open("/")
		if err != nil {
			break
		}
		hoard = append(hoard, f)
	}
	good := 1
	for i := range 9000 { // more than one segment
		if err := l.Write(decided("s", i)); err != nil {
			fail(err)
		}
		good++
	}
	for begin := time.Now(); !errors.Is(l.Health(), syscall.EMFILE); time.Sleep(time.Millisecond) {
		if time.Since(begin) > 5*time.Second {
			fail("healthy without descriptors:", l.Health())
		}
	}
	for _, f := range hoard {
		f.Close()
	}
	for begin := time.Now(); l.Health() != nil; time.Sleep(time.Millisecond) {
		if time.Since(begin) > 20*time.Second {
			fail("not healed:", l.Health())
		}
	}
	if err := l.Close(); err != nil {
		fail(err)
	}
	fmt.Println("good", good)
	os.Exit(0)
}

func TestLogWithoutDescriptorsGoesOnAndHeals(t *testing.T) {
	dir := t.TempDir()
	out, err := child(t, "descriptors", dir).Output()
	if err != nil {
		t.Fatalf("%s %v", out, err)
	}
	rep, err := Verify(dir, VerifyOptions{})
	if want := fmt.Sprintf("good %d\n", rep.Calls); err != nil || string(out) != want {
		t.Fatalf("%s %+v %v", out, rep, err)
	}
}
