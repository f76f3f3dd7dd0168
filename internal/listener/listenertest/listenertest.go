// Package listenertest is the suite that every listener passes: whatever
// becomes of a call, it reaches its destination only if it was allowed, it
// leaves exactly one decided and one closed record joined by its ID, and a
// refusal is told with its ID, its rule and one sentence.
//
// A new listener's test is a Send function and
//
//	func TestSuite(t *testing.T) { listenertest.Run(t, listenertest.Options{}, send) }
package listenertest

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"outvet/call"
	"outvet/internal/gate"
	"outvet/internal/kill"
)

// Host is the destination of every call of the suite.
const Host = "origin.example"

// Options say what the listener under test cannot do.
type Options struct {
	Session call.SessionID // of the calls that Send makes
	Mute    bool           // a refusal has no text
	NoBody  bool           // calls have no body: cases that need one are left out
	Without []string       // names of cases that mean nothing to it
	Check   bool           // nothing is sent, only told whether it might be: cases of the way upstream are left out
}

// A Case is one call to be made through a listener.
type Case struct {
	Gate *gate.Gate // the listener asks
	Body []byte     // to be sent, text
	Down bool       // the destination does not accept connections
	// Gone says that the client leaves once the call has arrived; the
	// destination does not answer until then.
	Gone bool
	// Arrived is to be called by the destination when the call has arrived,
	// before it answers. It may be nil.
	Arrived func()
}

// A Result is what became of it.
type Result struct {
	Arrived bool
	Body    []byte // as it arrived
	Told    string // all that the client was told: status, header, body
}

// Send makes one call to Host through a listener.
type Send func(t *testing.T, c Case) Result

// A want is what a case expects.
type want struct {
	rule    string
	arrived bool
	body    string // as it arrives, if it does
	told    string // a part of what the client is told, if it is refused
	fault   bool   // the closed record has an error
	aborted bool
}

// A test is one row of the suite.
type test struct {
	name     string
	policy   string
	body     string
	upstream bool // it is about what happens on the way upstream
	arrange  func(t *testing.T, w *world, c *Case)
	after    func(t *testing.T, w *world, c *Case)
	want     want
}

// Run runs the suite.
func Run(t *testing.T, o Options, send Send) {
	for _, tc := range tests(o) {
		if o.NoBody && tc.body != "" || o.Check && tc.upstream || slices.Contains(o.Without, tc.name) {
			continue
		}
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, tc.policy)
			c := Case{Gate: w.gate, Body: []byte(tc.body)}
			if tc.arrange != nil {
				tc.arrange(t, w, &c)
			}
			r := send(t, c)
			if tc.after != nil {
				tc.after(t, w, &c)
			}
			check(t, o, w, tc.want, r)
		})
	}
}

func check(t *testing.T, o Options, w *world, want want, r Result) {
	t.Helper()
	decided, closed := w.log.pair(t)
	if decided.Decision.Rule != want.rule && (closed.Decision == nil || closed.Decision.Rule != want.rule) {
		t.Errorf("rule %q, want %q (decided %+v)", decided.Decision.Rule, want.rule, decided.Decision)
	}
	if decided.Listener == "" || decided.Caller.Session == "" || decided.Host != Host {
		t.Errorf("the record lacks listener, caller or host: %+v", decided)
	}
	if r.Arrived != want.arrived {
		t.Errorf("arrived: %v, want %v; told %q", r.Arrived, want.arrived, r.Told)
	}
	if want.arrived && want.body != "" && string(r.Body) != want.body {
		t.Errorf("arrived with %.200q, want %.200q", r.Body, want.body)
	}
	if want.fault != (closed.Outcome.Error != "") {
		t.Errorf("the closed record has the error %q", closed.Outcome.Error)
	}
	if want.aborted != closed.Outcome.Aborted {
		t.Errorf("aborted: %v, want %v", closed.Outcome.Aborted, want.aborted)
	}
	if want.told == "" || o.Mute {
		return
	}
	parts := []string{want.told, decided.ID.Short(), want.rule}
	if o.Check && want.rule == call.RuleFault {
		parts = parts[:1] // it may be the check that failed
	}
	for _, s := range parts {
		if !strings.Contains(r.Told, s) {
			t.Errorf("the client was told %q, want %q in it", r.Told, s)
		}
	}
}

// secretWord is what the suite's inspector finds.
const secretWord = "hunter2-hunter2-hunter2"

const (
	why     = "because the suite says so"
	base    = "version: 1\ndefault: block\nrules:\n"
	only    = "  - {name: only, to: " + Host + ", verdict: allow}\n"
	others  = "  - {name: others, to: another.example, verdict: allow}\n"
	blocks  = "  - {name: only, to: " + Host + ", verdict: block, reason: " + why + "}\n"
	holds   = "  - {name: only, to: " + Host + ", verdict: hold, reason: " + why + "}\n"
	masks   = "  - {name: masks, finding: {kind: \"secret/*\"}, redact: mask}\n"
	secrets = "  - {name: secrets, finding: {kind: \"secret/*\"}, verdict: block, reason: " + why + "}\n"
)

func tests(o Options) []test {
	long := strings.Repeat("a line of text\n", 4096)
	return []test{
		{name: "allowed", policy: base + only, want: want{rule: "only", arrived: true}},
		{name: "allowed with a body", policy: base + only + secrets, body: "text", want: want{rule: "only", arrived: true, body: "text"}},
		{name: "no rule", policy: base + others, want: want{rule: call.RuleDefault, told: "not allow"}},
		{name: "blocked", policy: base + blocks, want: want{rule: "only", told: why}},
		{name: "held", policy: base + holds, want: want{rule: "only", told: "a person"}},
		{name: "edited", policy: base + only + masks, body: "a " + secretWord + " b", want: want{rule: "only", arrived: true},
			after: func(t *testing.T, w *world, _ *Case) {
				if d, _ := w.log.pair(t); len(d.Decision.Edits) != 1 {
					t.Errorf("%d edits in the record, want 1", len(d.Decision.Edits))
				}
			}},
		{name: "secret in the body", policy: base + only + secrets, body: "a " + secretWord + " b", want: want{rule: "secrets", told: why}},
		{name: "quarantined", policy: base + only, want: want{rule: call.RuleQuarantine, told: why},
			arrange: func(t *testing.T, w *world, _ *Case) { w.gate.Sessions.Stop(why, o.Session) }},
		{name: "killed", policy: base + only, want: want{rule: call.RuleKill, told: why},
			arrange: func(_ *testing.T, w *world, _ *Case) { w.gate.Kill(kill.Notice{By: "ada", How: "hand", Why: why}) }},
		{name: "killed in flight", policy: base + only, want: want{rule: "only", arrived: true, aborted: !o.Check},
			arrange: func(_ *testing.T, w *world, c *Case) {
				c.Arrived = func() { w.gate.Kill(kill.Notice{By: "ada", How: "hand", Why: why}) }
			}},
		{name: "observed", policy: "mode: observe\n" + base + blocks, want: want{rule: "only", arrived: true}},
		{name: "inspector fault", policy: base + only + secrets, want: want{rule: call.RuleFault, told: "could not"},
			arrange: func(_ *testing.T, w *world, _ *Case) { w.inspector.fail.Store(true) }},
		{name: "log fault", policy: base + only, want: want{rule: call.RuleFault, told: "could not"},
			arrange: func(_ *testing.T, w *world, _ *Case) { w.log.fail.Store(true) },
			after: func(t *testing.T, w *world, _ *Case) {
				w.log.fail.Store(false)
				w.log.heal(t, w.gate)
			}},
		{name: "upstream down", upstream: true, policy: base + only, want: want{rule: "only", fault: true},
			arrange: func(_ *testing.T, _ *world, c *Case) { c.Down = true }},
		{name: "client gone", upstream: true, policy: base + only, want: want{rule: "only", arrived: true, fault: true},
			arrange: func(_ *testing.T, _ *world, c *Case) { c.Gone = true }},
		{name: "body over the limit", policy: base + only + secrets, body: long, want: want{rule: "only", arrived: true, body: long},
			arrange: func(_ *testing.T, w *world, _ *Case) { w.gate.Limits.Body = 1 << 10 }},
		{name: "secret beyond the limit", upstream: true, policy: base + only + secrets, body: strings.Repeat(long, 32) + secretWord, want: want{rule: "secrets", aborted: true},
			arrange: func(_ *testing.T, w *world, _ *Case) { w.gate.Limits.Body = 1 << 10 }},
		{name: "policy reload in flight", policy: base + only, want: want{rule: "only", arrived: true, aborted: !o.Check},
			arrange: func(t *testing.T, w *world, c *Case) { c.Arrived = func() { w.install(t, base+blocks) } }},
	}
}

var errBroken = errors.New("broken by the suite")

// contains reports whether text holds the suite's secret.
func contains(text []byte) int { return bytes.Index(text, []byte(secretWord)) }
