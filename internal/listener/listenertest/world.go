package listenertest

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"outvet/call"
	"outvet/internal/gate"
	"outvet/internal/inspect"
	"outvet/internal/payload"
	"outvet/internal/policy"
	"outvet/internal/record"
	"outvet/internal/session"
)

// A world is what one case runs in: a real gate with a real policy and a real
// log.
type world struct {
	gate      *gate.Gate
	log       *log
	inspector *inspector
	set       *inspect.Set
}

func newWorld(t *testing.T, text string) *world {
	t.Helper()
	in := &inspector{}
	set, err := inspect.NewSet(in)
	if err != nil {
		t.Fatal(err)
	}
	real, err := record.Open(t.TempDir(), record.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := real.Close(); err != nil {
			t.Error(err)
		}
	})
	l := &log{real: real}
	w := &world{log: l, inspector: in, set: set, gate: &gate.Gate{Sessions: &session.Table{}, Log: l}}
	w.install(t, text)
	return w
}

func (w *world) install(t *testing.T, text string) {
	p, err := policy.Load(t.Context(), policy.Options{Text: []byte(text), Name: "suite.yaml", Untested: true})
	if err != nil {
		t.Error(err)
		return
	}
	if err := w.gate.Install(p, w.set, "suite"); err != nil {
		t.Error(err)
	}
}

// An inspector finds the suite's secret and can be made to fail.
type inspector struct{ fail atomic.Bool }

func (*inspector) Name() string { return "secret" }

func (in *inspector) Inspect(_ context.Context, s *inspect.Subject) ([]call.Finding, error) {
	if in.fail.Load() {
		return nil, errBroken
	}
	at := contains(s.Content.Text)
	if at < 0 {
		return nil, nil
	}
	return []call.Finding{{Inspector: "secret", Kind: "secret/test", Place: s.Content.Place(at, at+len(secretWord)), Score: 1}}, nil
}

// A log passes records to the real one, keeps a copy, and can be made to fail.
type log struct {
	real *record.Log
	fail atomic.Bool

	mu sync.Mutex // guards rs
	rs []call.Record
}

// Write implements gate.Sink.
func (l *log) Write(r *call.Record) error {
	if l.fail.Load() {
		return errBroken
	}
	if err := l.real.Write(r); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rs = append(l.rs, *r)
	return nil
}

// healer names the calls by which the suite itself makes the gate write what
// waits.
const healer = "listenertest"

func (l *log) heal(t *testing.T, g *gate.Gate) {
	p := g.Open(t.Context(), &call.Call{Listener: healer, Caller: call.Caller{Session: healer}, Dest: call.Dest{Scheme: "http", Host: Host, Port: 80}}, &payload.Message{})
	if err := p.Close(call.Outcome{}); err != nil {
		t.Error(err)
	}
}

// pair returns the two records of the one call that was made. It waits for the
// closed one, which may come after the answer.
func (l *log) pair(t *testing.T) (decided, closed call.Record) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		var d, c []call.Record
		own := map[call.ID]bool{}
		l.mu.Lock()
		for _, r := range l.rs {
			switch {
			case r.Listener == healer:
				own[r.ID] = true
			case own[r.ID]:
			case r.Kind == call.Decided:
				d = append(d, r)
			case r.Kind == call.Closed:
				c = append(c, r)
			}
		}
		l.mu.Unlock()
		if len(d) == 1 && len(c) == 1 && d[0].ID == c[0].ID {
			return d[0], c[0]
		}
		if time.Now().After(end) || len(d) > 1 || len(c) > 1 {
			t.Fatalf("%d decided and %d closed records, want one pair:\n%+v\n%+v", len(d), len(c), d, c)
		}
	}
}
