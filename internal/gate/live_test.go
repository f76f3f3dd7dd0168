package gate

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"outvet/call"
)

func openCall(t *testing.T, g *Gate, session call.SessionID) *Passage {
	t.Helper()
	c, m := request(t, "GET", "https://ok.example/stream", nil, 0)
	c.Caller.Session = session
	p := g.Open(t.Context(), c, m)
	if p.Verdict != call.Allow {
		t.Fatalf("%+v", p.Decision)
	}
	return p
}

// over waits for the end of a call's right to go on.
func over(t *testing.T, p *Passage) *Stopped {
	t.Helper()
	select {
	case <-p.Context().Done():
	case <-time.After(time.Second):
		t.Fatal("the call goes on")
	}
	var s *Stopped
	if !errors.As(context.Cause(p.Context()), &s) {
		t.Fatalf("the call ended with %v", context.Cause(p.Context()))
	}
	return s
}

func TestPolicyThatRefusesAnOpenCallStopsIt(t *testing.T) {
	g, log := newGate(t, rulesText, nil)
	p := openCall(t, g, "s")
	if err := g.Install(load(t, rulesText), nil, "the same"); err != nil || p.Context().Err() != nil {
		t.Fatalf("a policy that allows it stopped it: %v", err)
	}
	if err := g.Install(load(t, "version: 1\ndefault: block\n"), nil, "stricter"); err != nil {
		t.Fatal(err)
	}
	if s := over(t, p); s.Decision.Rule != call.RuleDefault {
		t.Errorf("%+v", s.Decision)
	}
	p.Close(call.Outcome{Status: 200})
	if r := log.of(call.Closed)[0]; !r.Outcome.Aborted || r.Decision == nil || r.Decision.Verdict != call.Block {
		t.Errorf("%+v", r)
	}
}

func TestObservingPolicyStopsNoOpenCall(t *testing.T) {
	g, _ := newGate(t, rulesText, nil)
	p := openCall(t, g, "s")
	defer p.Close(call.Outcome{})
	g.Install(load(t, "version: 1\nmode: observe\ndefault: block\n"), nil, "observing")
	if p.Context().Err() != nil {
		t.Error("the call was stopped")
	}
}

func TestQuarantineStopsTheOpenCallsOfItsSessionOnly(t *testing.T) {
	g, _ := newGate(t, rulesText, nil)
	bad, good := openCall(t, g, "bad"), openCall(t, g, "good")
	defer good.Close(call.Outcome{})
	if err := g.Quarantine("bad", "ada", "odd"); err != nil {
		t.Fatal(err)
	}
	if s := over(t, bad); s.Decision.Rule != call.RuleQuarantine {
		t.Errorf("%+v", s.Decision)
	}
	bad.Close(call.Outcome{})
	if good.Context().Err() != nil {
		t.Error("another session was stopped")
	}
}

func TestRuleThatQuarantinesStopsOpenCallsToo(t *testing.T) {
	g, _ := newGate(t, `version: 1
default: allow
rules:
  - {name: stop, finding: {kind: "secret/*"}, verdict: block, quarantine: true}
`, inspectors(t))
	long := openCall(t, g, "s")
	defer long.Close(call.Outcome{})
	c, m := request(t, "GET", "https://ok.example/"+token, nil, 0)
	g.Open(t.Context(), c, m).Close(call.Outcome{})
	if s := over(t, long); s.Decision.Rule != call.RuleQuarantine {
		t.Errorf("%+v", s.Decision)
	}
}

func TestClosedCallsAreForgotten(t *testing.T) {
	g, _ := newGate(t, rulesText, nil)
	for range 100 {
		openCall(t, g, "s").Close(call.Outcome{})
	}
	if n := len(g.open.list()); n != 0 {
		t.Errorf("%d calls are remembered", n)
	}
}

func TestReasonOfTheEndHoldsNoSecret(t *testing.T) {
	g, log := newGate(t, rulesText, inspectors(t))
	for _, reason := range []string{"the request is for ok.example, its field Host for " + token, "the client went away"} {
		ctx, gone := context.WithCancel(t.Context())
		c, m := request(t, "GET", "https://ok.example/", nil, 0)
		p := g.Open(ctx, c, m)
		gone()
		p.Close(call.Outcome{Error: reason})
	}
	rs := log.of(call.Closed)
	if strings.Contains(rs[0].Outcome.Error, token) || !strings.Contains(rs[0].Outcome.Error, "secret/") {
		t.Errorf("recorded: %q", rs[0].Outcome.Error)
	}
	if rs[1].Outcome.Error != "the client went away" {
		t.Errorf("recorded: %q", rs[1].Outcome.Error)
	}
}
