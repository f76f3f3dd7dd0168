package gate

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"outvet/call"
	"outvet/internal/kill"
)

// killable returns a gate whose switch is in a folder of its own.
func killable(t *testing.T) (*Gate, *memory, string) {
	t.Helper()
	g, log := newGate(t, rulesText, nil)
	dir := t.TempDir()
	g.Switch = &kill.Switch{Dir: dir}
	g.Look()
	return g, log, filepath.Join(dir, kill.Name)
}

// verdict opens and closes a call and returns its decision.
func verdict(t *testing.T, g *Gate) call.Decision {
	t.Helper()
	c, m := request(t, "GET", "https://ok.example/", nil, 0)
	p := g.Open(t.Context(), c, m)
	p.Close(call.Outcome{})
	return p.Decision
}

func killed(t *testing.T, g *Gate) {
	t.Helper()
	if d := verdict(t, g); d.Verdict != call.Block || d.Rule != call.RuleKill || d.Code != "killed" {
		t.Errorf("the call is not refused by the kill switch: %+v", d)
	}
}

func passes(t *testing.T, g *Gate) {
	t.Helper()
	if d := verdict(t, g); d.Verdict != call.Allow {
		t.Errorf("the call is refused: %+v", d)
	}
}

var odd = kill.Notice{By: "ada", How: "outvet kill", Why: "odd"}

func TestKillStopsOpenCallsAndRefusesNewOnesUntilLifted(t *testing.T) {
	g, log, file := killable(t)
	cut := make(chan struct{}, 1)
	g.Cut = func() { cut <- struct{}{} }
	p := openCall(t, g, "s")
	if err := g.Kill(odd); err != nil {
		t.Fatal(err)
	}
	if s := over(t, p); s.Decision.Rule != call.RuleKill || !strings.Contains(s.Decision.Reason, "odd") {
		t.Errorf("%+v", s.Decision)
	}
	p.Close(call.Outcome{Status: 200})
	<-cut
	killed(t, g)
	if g.Foresee(*p.c) != call.Block {
		t.Error("a listener is told that the call would pass")
	}
	for range 3 {
		g.Look()
	}
	killed(t, g)
	if err := g.Kill(kill.Notice{By: "bob", Why: "later"}); err != nil {
		t.Fatal(err)
	}
	if n, err := g.Killed(); n == nil || n.By != "ada" || err != nil {
		t.Errorf("%+v, %v", n, err)
	}
	if err := g.Lift("ada", "outvet kill --lift"); err != nil {
		t.Fatal(err)
	}
	passes(t, g)
	if _, err := os.Stat(file); err == nil {
		t.Error("the file is still there")
	}
	rs := log.of(call.Killed)
	if len(rs) != 2 || rs[0].Decision.By != "ada" || !strings.Contains(rs[0].Decision.Reason, "odd") ||
		!strings.Contains(rs[0].Note, "outvet kill") || rs[1].Decision.Verdict != call.Allow || !rs[0].Durable {
		t.Errorf("%+v", rs)
	}
	if err := g.Lift("ada", "again"); err == nil {
		t.Error("what is not pulled was lifted")
	}
}

func TestFileKillsAndItsRemovalLifts(t *testing.T) {
	g, log, file := killable(t)
	if err := os.WriteFile(file, []byte("leak seen"), 0o600); err != nil {
		t.Fatal(err)
	}
	g.Look()
	g.Look()
	killed(t, g)
	os.Remove(file)
	g.Look()
	g.Look()
	passes(t, g)
	if rs := log.of(call.Killed); len(rs) != 2 || !strings.Contains(rs[0].Decision.Reason, "leak seen") || !strings.Contains(rs[1].Note, "the file removed") {
		t.Errorf("%+v", rs)
	}
}

func TestKillSurvivesARestartAndALiftMeanwhileIsRecorded(t *testing.T) {
	g, _, file := killable(t)
	g.Kill(odd)
	restart := func() (*Gate, *memory) {
		next, log := newGate(t, rulesText, nil)
		next.Switch = g.Switch
		next.Look()
		return next, log
	}
	next, log := restart()
	killed(t, next)
	if rs := log.of(call.Killed); len(rs) != 1 || rs[0].Decision.By != "ada" {
		t.Errorf("%+v", rs)
	}
	os.Remove(file)
	next, log = restart()
	passes(t, next)
	if rs := log.of(call.Killed); len(rs) != 1 || rs[0].Decision.Verdict != call.Allow || !strings.Contains(rs[0].Note, "did not run") {
		t.Errorf("%+v", rs)
	}
	if _, log = restart(); len(log.of(call.Killed)) != 0 {
		t.Error("the lift was recorded twice")
	}
}

func TestSwitchThatCannotBeReadStopsAllByFault(t *testing.T) {
	g, log, _ := killable(t)
	p := openCall(t, g, "s")
	dir := g.Switch.Dir
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	g.Look()
	if s := over(t, p); s.Decision.Rule != call.RuleFault {
		t.Errorf("%+v", s.Decision)
	}
	p.Close(call.Outcome{})
	if d := verdict(t, g); d.Verdict != call.Block || d.Rule != call.RuleFault {
		t.Errorf("%+v", d)
	}
	if err := g.Lift("eve", "console"); err == nil {
		t.Error("a fault was lifted")
	}
	if err := os.Rename(dir+".away", dir); err != nil {
		t.Fatal(err)
	}
	g.Look()
	passes(t, g)
	if rs := log.of(call.Killed); len(rs) != 2 || rs[0].Decision.Rule != call.RuleFault {
		t.Errorf("%+v", rs)
	}
}

func TestPersonWhoPullsAFaultySwitchIsHeard(t *testing.T) {
	g, _, file := killable(t)
	dir := filepath.Dir(file)
	os.Rename(dir, dir+".away")
	g.Look()
	if err := g.Kill(odd); err == nil {
		t.Error("a kill that no restart would know of was reported as kept")
	}
	killed(t, g)
	os.Rename(dir+".away", dir)
	g.Look() // the fault is over, the kill is not: it goes to disk now
	killed(t, g)
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
}

func TestKillThatTheLogCannotTakeCountsAndIsRecordedLater(t *testing.T) {
	g, log, _ := killable(t)
	log.mu.Lock()
	log.fail = 1
	log.mu.Unlock()
	if err := g.Kill(odd); err == nil {
		t.Error("nobody is told that the record lacks it")
	}
	if n, _ := g.Killed(); n == nil {
		t.Error("it does not count")
	}
	g.Look()
	g.Look()
	if rs := log.of(call.Killed); len(rs) != 1 {
		t.Errorf("%+v", rs)
	}
}

func TestLiftThatTheLogCannotTakeDoesNotCount(t *testing.T) {
	g, log, _ := killable(t)
	g.Kill(odd)
	log.mu.Lock()
	log.fail = 1
	log.mu.Unlock()
	if err := g.Lift("ada", "console"); err == nil {
		t.Error("it was lifted without a record")
	}
	killed(t, g)
	g.Look() // the file is gone: a person wants it lifted
	passes(t, g)
}

// A stuck log takes nothing, and does not say so.
type stuck struct {
	*memory
	on   chan struct{}
	hold bool
}

func (s *stuck) Write(r *call.Record) error {
	if s.hold && (r.Kind == call.Closed || r.Kind == call.Killed) {
		<-s.on
	}
	return s.memory.Write(r)
}

func TestKillDoesNotWaitForASlowDisk(t *testing.T) {
	g, log, _ := killable(t)
	s := &stuck{memory: log, on: make(chan struct{})}
	g.Log = s
	ending, long := openCall(t, g, "s"), openCall(t, g, "s")
	s.hold = true
	closed := make(chan error)
	go func() { closed <- ending.Close(call.Outcome{}) }()
	time.Sleep(20 * time.Millisecond) // it waits for the log
	done := make(chan error, 1)
	go func() { done <- g.Kill(odd) }()
	over(t, long)
	if d := g.halt.now.Load(); d == nil {
		t.Error("new calls may pass")
	}
	close(s.on)
	if err := errors.Join(<-closed, <-done); err != nil {
		t.Error(err)
	}
	long.Close(call.Outcome{})
}

func TestCallThatIsJudgedWhileTheSwitchIsPulledDoesNotLeave(t *testing.T) {
	g, _, _ := killable(t)
	g.Log = writer{g.Log, func(r *call.Record) {
		if r.Kind == call.Decided {
			g.halt.now.Store(&halt{decision: pulled(odd).decision, notice: odd})
		}
	}}
	c, m := request(t, "GET", "https://ok.example/", nil, 0)
	p := g.Open(t.Context(), c, m)
	over(t, p)
	p.Close(call.Outcome{})
}

// A writer tells what is written.
type writer struct {
	Sink
	tell func(*call.Record)
}

func (w writer) Write(r *call.Record) error {
	w.tell(r)
	return w.Sink.Write(r)
}

func TestKillCostsAnAllowedCallNothing(t *testing.T) {
	var s halting
	d := call.Decision{}
	if n := testing.AllocsPerRun(1000, func() { s.refuse(&d) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestSwitchMovedFromAllSidesAtOnceEndsAsTheFileSays(t *testing.T) {
	g, log, file := killable(t)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 30 {
				switch i {
				case 0:
					g.Kill(odd)
				case 1:
					g.Lift("ada", "hand")
				case 2:
					g.Look()
				default:
					verdict(t, g)
				}
			}
		})
	}
	wg.Wait()
	g.Look()
	_, err := os.Stat(file)
	if n, _ := g.Killed(); (n != nil) != (err == nil) {
		t.Errorf("killed %v, file %v", n, err)
	}
	// The log tells one after the other.
	was := call.Allow
	for _, r := range log.of(call.Killed) {
		if r.Decision.Verdict == was {
			t.Fatalf("two of %s in a row", was)
		}
		was = r.Decision.Verdict
	}
}

// A file is there before what is written into it.
func TestReasonThatIsWrittenLateCountsToo(t *testing.T) {
	g, log := newGate(t, rulesText, inspectors(t))
	g.Switch = &kill.Switch{Dir: t.TempDir()}
	file := filepath.Join(g.Switch.Dir, kill.Name)
	os.WriteFile(file, nil, 0o600)
	g.Look()
	os.WriteFile(file, []byte("enough\n"), 0o600)
	g.Look()
	c, m := request(t, "GET", "https://ok.example/", nil, 0)
	p := g.Open(t.Context(), c, m)
	defer p.Close(call.Outcome{})
	if p.Verdict != call.Block || !strings.Contains(p.Reason, "enough") {
		t.Errorf("%+v", p.Decision)
	}
	if told := log.of(call.Killed); len(told) != 2 || !strings.Contains(told[1].Note, "enough") {
		t.Errorf("%+v", told)
	}
}
