package gate

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"outvet/call"
	"outvet/internal/record"
)

// fullLog returns a gate whose real log stands on a disk of its own, and what
// fills that disk and frees it.
func fullLog(t *testing.T) (g *Gate, log *record.Log, dir string, fill, free func()) {
	t.Helper()
	dir = t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"); err != nil {
		t.Skip("a small disk needs the right to mount: ", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	log, err := record.Open(dir, record.Options{})
	if err != nil {
		t.Fatal(err)
	}
	g, _ = newGate(t, rulesText, nil)
	g.Log = log
	path := filepath.Join(dir, "ballast")
	fill = func() {
		if err := os.WriteFile(path, make([]byte, 4<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
	free = func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	return g, log, dir, fill, free
}

// visit makes a call and returns the rule that decided it.
func visit(t *testing.T, g *Gate) string {
	t.Helper()
	c, m := request(t, "GET", "https://ok.example/x", nil, 0)
	p := g.Open(t.Context(), c, m)
	if (p.Verdict == call.Allow) == (p.Rule == call.RuleFault) {
		t.Fatalf("%+v", p.Decision)
	}
	p.Close(call.Outcome{Status: 200})
	return p.Rule
}

// tellsAll verifies the log and counts its calls.
func tellsAll(t *testing.T, dir string, calls int64) {
	t.Helper()
	rep, err := record.Verify(dir, record.VerifyOptions{})
	if err != nil || rep.Calls != calls || rep.OpenCalls != 0 {
		t.Fatalf("%d calls of %d, %d open: %v", rep.Calls, calls, rep.OpenCalls, err)
	}
}

func TestFullDiskBlocksByFaultAndNoDecisionIsLost(t *testing.T) {
	g, log, dir, fill, free := fullLog(t)
	if rule := visit(t, g); rule != "ok" {
		t.Fatal(rule)
	}
	fill()
	calls := int64(1)
	refused := 0
	// The page that the log is on has room for a few more.
	for refused < 20 {
		if calls++; visit(t, g) == call.RuleFault {
			refused++
		} else if refused > 0 {
			t.Fatal("passed on a full disk")
		}
	}
	free()
	// The first call after it passes, and brings what waited into the log.
	if rule := visit(t, g); rule != "ok" {
		t.Fatal(rule)
	}
	if err := errors.Join(g.Settle(), log.Close()); err != nil {
		t.Fatal(err)
	}
	tellsAll(t, dir, calls+1)
}

func TestWhatWaitsForTheLogNeedsNoCallToBeWritten(t *testing.T) {
	g, log, dir, fill, free := fullLog(t)
	fill()
	calls := int64(1)
	for visit(t, g) != call.RuleFault {
		calls++
	}
	free()
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		g.late.mu.Lock()
		n := len(g.late.waiting)
		g.late.mu.Unlock()
		if n == 0 {
			break
		}
		if time.Since(begin) > 30*time.Second {
			t.Fatal(n, "calls wait")
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	tellsAll(t, dir, calls)
}

func TestEndOfServiceWritesWhatWaits(t *testing.T) {
	g, log, dir, fill, free := fullLog(t)
	fill()
	calls := int64(1)
	for visit(t, g) != call.RuleFault {
		calls++
	}
	free()
	if err := errors.Join(g.Settle(), log.Close()); err != nil {
		t.Fatal(err)
	}
	tellsAll(t, dir, calls)
}
