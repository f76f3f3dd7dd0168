package session

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"outvet/call"
)

func who(id, parent call.SessionID, mark call.Mark) *call.Caller {
	return &call.Caller{Session: id, Parent: parent, SessionMark: mark}
}

func open(t *testing.T, path string) *Table {
	t.Helper()
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestRestartPardonsNobody(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	s := open(t, path)
	if err := errors.Join(s.Stop("leaked a key", "a"), s.Stop("", "b")); err != nil {
		t.Fatal(err)
	}
	if was, err := s.Release("b"); !was || err != nil {
		t.Fatal(was, err)
	}
	s.Close()
	s = open(t, path)
	if why := s.Touch(who("a", "", call.Observed), time.Now()); why != "leaked a key" {
		t.Errorf("a may call after a restart: %q", why)
	}
	if why := s.Touch(who("b", "", call.Observed), time.Now()); why != "" {
		t.Errorf("b was released and is still stopped: %q", why)
	}
}

func TestUnfinishedLastLineIsDroppedAndDamageBeforeItIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	os.WriteFile(path, []byte(`{"session":"a","why":"x"}`+"\n"+`{"session":"b","wh`), 0o600)
	s := open(t, path)
	if err := s.Stop("y", "c"); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = open(t, path)
	if got := len(s.List()); got != 2 {
		t.Errorf("%d sessions in the journal, want a and c", got)
	}
	os.WriteFile(path, []byte("garbage\n"+`{"session":"a","why":"x"}`+"\n"), 0o600)
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), path+":1:") {
		t.Errorf("damage was read as %v, want an error with file and line", err)
	}
}

func TestAnotherNameIsNoWayOutOfQuarantine(t *testing.T) {
	var s Table
	if err := s.Quarantine(who("first", "10.0.0.7", call.Claimed), "leak"); err != nil {
		t.Fatal(err)
	}
	if why := s.Touch(who("second", "10.0.0.7", call.Claimed), time.Now()); why == "" {
		t.Error("a claimed name from the same peer may call")
	}
	if why := s.Touch(who("10.0.0.7", "", call.Observed), time.Now()); why == "" {
		t.Error("the peer without a name may call")
	}
	if why := s.Touch(who("third", "10.0.0.8", call.Claimed), time.Now()); why != "" {
		t.Errorf("another peer may not call: %s", why)
	}
}

func TestQuarantineOfASignedSessionLeavesItsPeerAlone(t *testing.T) {
	var s Table
	s.Quarantine(who("a", "peer", call.Signed), "leak")
	if why := s.Touch(who("b", "peer", call.Signed), time.Now()); why != "" {
		t.Error(why)
	}
}

func TestQuarantineCountsAlthoughTheJournalFails(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "j"))
	s.journal.f.Close()
	if err := s.Stop("leak", "a"); err == nil || !strings.Contains(err.Error(), "will not survive a restart") {
		t.Errorf("got %v", err)
	}
	if s.Touch(who("a", "", call.Observed), time.Now()) == "" {
		t.Error("the session may call")
	}
	if _, err := s.Release("a"); err == nil {
		t.Error("a release that cannot be written counted")
	}
	if s.Touch(who("a", "", call.Observed), time.Now()) == "" {
		t.Error("the session may call after the release failed")
	}
}

func TestFloodOfNamesIsBoundedAndForgetsNoQuarantine(t *testing.T) {
	var s Table
	s.Stop("leak", "bad")
	ended := 0
	s.ends = append(s.ends, func(call.SessionID) { ended++ })
	now := time.Now()
	for i := range 3 * Max {
		s.Touch(who(call.SessionID(fmt.Sprint(i)), "", call.Claimed), now.Add(time.Duration(i)))
	}
	if len(s.live) > Max {
		t.Errorf("%d sessions are remembered, more than %d", len(s.live), Max)
	}
	if ended != 3*Max-len(s.live) {
		t.Errorf("%d sessions ended, %d are gone", ended, 3*Max-len(s.live))
	}
	if s.Touch(who("bad", "", call.Observed), now) == "" {
		t.Error("the quarantine was forgotten")
	}
}

func TestLocalEndsWithItsSession(t *testing.T) {
	var s Table
	l := NewLocal[int](&s)
	now := time.Now()
	s.Touch(who("a", "", call.Observed), now)
	l.Do("a", func(n *int) { *n = 7 })
	l.Do("a", func(n *int) {
		if *n != 7 {
			t.Errorf("got %d, want what was kept", *n)
		}
	})
	for i := range Max {
		s.Touch(who(call.SessionID(fmt.Sprint(i)), "", call.Claimed), now.Add(time.Second))
	}
	l.Do("a", func(n *int) {
		if *n != 0 {
			t.Errorf("got %d from a session that ended", *n)
		}
	})
}

func TestTouchDoesNotAllocate(t *testing.T) {
	var s Table
	w := who("a", "p", call.Claimed)
	now := time.Now()
	if n := testing.AllocsPerRun(100, func() { s.Touch(w, now) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestProcessesShareOneJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	a, b := open(t, path), open(t, path)
	if err := errors.Join(a.Stop("x", "one"), b.Stop("y", "two"), a.Stop("z", "three")); err != nil {
		t.Fatal(err)
	}
	if news, err := b.Look(); !news || err != nil {
		t.Fatal(news, err)
	}
	if news, err := b.Look(); news || err != nil {
		t.Fatal("news twice", err)
	}
	for _, id := range []call.SessionID{"one", "two", "three"} {
		if b.Stopped(who(id, "", call.Observed)) == "" {
			t.Errorf("b does not know that %s is stopped", id)
		}
	}
	if was, err := a.Release("two"); !was || err != nil { // which b wrote
		t.Fatal(was, err)
	}
	if _, err := b.Look(); err != nil || b.Stopped(who("two", "", call.Observed)) != "" {
		t.Error("b does not know that two was released", err)
	}
	var wg sync.WaitGroup
	for i, s := range []*Table{a, b, open(t, path), open(t, path)} {
		wg.Go(func() {
			for n := range 50 {
				if err := s.Stop("many", call.SessionID(fmt.Sprintf("%d/%d", i, n))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := len(open(t, path).List()); got != 202 {
		t.Errorf("%d are stopped, want 202", got)
	}
}

func TestAReleaseBeginsAnewWhatIsRememberedOfASession(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	open := func() *Table {
		tab, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { tab.Close() })
		return tab
	}
	tab := open()
	remembered := NewLocal[int](tab)
	forgotten := 0
	tab.OnEnd(func(id call.SessionID) {
		if id == "s" {
			forgotten++
		}
	})
	remembered.Do("s", func(n *int) { *n = 7 })
	if err := tab.Stop("because", "s"); err != nil {
		t.Fatal(err)
	}
	if was, err := tab.Release("s"); !was || err != nil {
		t.Fatalf("%v, %v", was, err)
	}
	remembered.Do("s", func(n *int) {
		if *n != 0 || forgotten != 1 {
			t.Errorf("after a release: %d remembered, %d times forgotten", *n, forgotten)
		}
	})
	if _, err := tab.Release("other"); err != nil || forgotten != 1 {
		t.Errorf("%v, %d times forgotten", err, forgotten)
	}
}
