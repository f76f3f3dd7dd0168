package operate

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"outvet/test/process"
)

// slow returns an origin that answers when it is let, and says that a call came.
func slow(t *testing.T) (o *origin, came chan struct{}, let chan struct{}) {
	came, let = make(chan struct{}, 4), make(chan struct{})
	o = newOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		came <- struct{}{}
		select {
		case <-let:
		case <-r.Context().Done():
		}
	})
	return o, came, let
}

func TestSecondSignalEndsAtOnceAndInOrder(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	o, came, _ := slow(t)
	s := start{state: state, args: append(o.args(), "--drain", "1h")}.serve(t)
	go get(client(t, s.Proxy, state), "https://"+name+"/")
	<-came
	s.Cmd.Process.Signal(syscall.SIGTERM)
	eventually(t, "it drains", func() bool { return strings.Contains(s.Errs.String(), "draining") })
	select {
	case <-s.Ended:
		t.Fatal("the first signal cut the call")
	case <-time.After(300 * time.Millisecond):
	}
	s.signal(t, syscall.SIGTERM, 10*time.Second)
	verified(t, state)
}

func TestDrainIsBounded(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	o, came, _ := slow(t)
	s := start{state: state, args: append(o.args(), "--drain", "200ms")}.serve(t)
	go get(client(t, s.Proxy, state), "https://"+name+"/")
	<-came
	s.signal(t, syscall.SIGTERM, 10*time.Second)
	if !strings.Contains(s.Errs.String(), "were cut") {
		t.Errorf("%s", s.Errs)
	}
	verified(t, state)
}

func TestSuccessorServesBesideTheOneThatDrains(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	o, came, let := slow(t)
	old := start{state: state, args: o.args()}.serve(t)
	got := make(chan error, 1)
	go func() {
		_, err := get(client(t, old.Proxy, state), "https://"+name+"/")
		got <- err
	}()
	<-came
	old.Cmd.Process.Signal(syscall.SIGTERM)
	eventually(t, "it drains", func() bool { return strings.Contains(old.Errs.String(), "draining") })
	next, wait := start{state: state, args: o.args()}.begin(t)
	if err := wait(); err != nil {
		t.Fatalf("%v\n%s", err, next.Errs)
	}
	second := make(chan error, 1)
	go func() { // into the log that the old one still holds
		_, err := get(client(t, next.Proxy, state), "https://"+name+"/")
		second <- err
	}()
	<-came
	close(let)
	for _, c := range []chan error{got, second} {
		if err := <-c; err != nil {
			t.Errorf("a call under way: %v", err)
		}
	}
	old.wait(t, 10*time.Second)
	if _, err := get(client(t, next.Proxy, state), "https://"+name+"/"); err != nil {
		t.Error(err)
	}
	next.signal(t, syscall.SIGTERM, 10*time.Second)
	verified(t, state)
}

func TestSecondServerSaysAtOnceWhoServes(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	first := start{state: state}.serve(t)
	second, wait := start{state: state}.begin(t)
	if err := wait(); !errors.Is(err, process.ErrEnded) {
		t.Fatal(err)
	}
	if text := second.Errs.String(); !strings.Contains(text, "another outvet serves "+state) || !strings.Contains(text, first.Console) || !strings.Contains(text, "--state") {
		t.Errorf("%s", text)
	}
	if code := second.Cmd.ProcessState.ExitCode(); code != 2 {
		t.Errorf("exit code %d", code)
	}
	if out, code := outvet(t, "health", "--state", state); code != 0 {
		t.Errorf("the first is disturbed: %s", out)
	}
}

// locked returns a state whose log is held by who takes no records from others.
func locked(t *testing.T) string {
	t.Helper()
	state := filepath.Join(t.TempDir(), "state")
	if err := os.MkdirAll(filepath.Join(state, "log"), 0o700); err != nil {
		t.Fatal(err)
	}
	lock, err := os.OpenFile(filepath.Join(state, "log", "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lock.Close() })
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	return state
}

func TestWaitForAnotherIsBounded(t *testing.T) {
	t.Parallel()
	s, wait := start{state: locked(t)}.begin(t)
	if err := wait(); !errors.Is(err, process.ErrEnded) || !strings.Contains(s.Errs.String(), "takes no records from others") {
		t.Errorf("%v\n%s", err, s.Errs)
	}
}

func TestSignalWhileWaitingEndsIt(t *testing.T) {
	s, _ := start{state: locked(t)}.begin(t)
	time.Sleep(500 * time.Millisecond)
	s.Cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.Ended:
	case <-time.After(5 * time.Second):
		t.Error("it waits on")
	}
}
