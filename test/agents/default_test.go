package agents

import (
	"cmp"
	"regexp"
	"strings"
	"testing"

	"outvet/call"
)

// What the end of a session says of its calls without a policy of one's own.
var (
	modelCalls = regexp.MustCompile(`model calls [4-9] \([\d.]+ KB up\)`)
	refusedRow = regexp.MustCompile(`redact\.example\.com POST /third +1 .*BLOCK secret/github-pat in b`)
	allowedRow = regexp.MustCompile(`(?m)allowed\.example\.com +1 .* allow +block$`)
)

func TestWithoutAPolicyAgentsWorkAndTheTableTellsModelTelemetryAndTheRest(t *testing.T) {
	for _, a := range actors {
		if a.label != "" {
			continue
		}
		t.Run(a.name, func(t *testing.T) {
			path := installed(t, a.name)
			s := newStage(t, "")
			out, err := s.sealed(t, a, path)
			t.Log(s.table)
			if err != nil || !strings.Contains(out, finished) {
				t.Errorf("the agent did not finish: %v\n%s", err, out)
			}
			s.told(t, "origin got GET /first", "origin got GET /second", "Blocked by egress policy")
			if strings.Contains(s.origin.log(), secret) {
				t.Error("the secret left")
			}
			for _, want := range []*regexp.Regexp{modelCalls, refusedRow, allowedRow} {
				if !want.MatchString(s.table) {
					t.Errorf("the table lacks %s", want)
				}
			}
			if a.telemetry != "" && !regexp.MustCompile(regexp.QuoteMeta(a.telemetry)+` telemetry +\d+ .*block \(telemetry\)`).MatchString(s.table) {
				t.Errorf("the table lacks the telemetry to %s", a.telemetry)
			}
			if strings.Contains(s.table, "\n   dns") || strings.Contains(s.table, "nothing asked") {
				t.Error("the table tells of the names of hosts that were called, or of connections beside those that were used")
			}
			for _, l := range s.record(t) {
				if l.Category == "telemetry" && l.Protocol != "dns" && l.Verdict != call.Block {
					t.Errorf("telemetry reached %s", l.Host)
				}
			}
		})
	}
}

func TestObservedAgentsAreRefusedNothingAndTheTableTellsWhatWouldBe(t *testing.T) {
	a := actors[0]
	path := installed(t, a.name)
	s := newStage(t, "")
	s.flags = []string{"--observe"}
	out, err := s.sealed(t, a, path)
	t.Log(s.table)
	if err != nil || !strings.Contains(out, finished) {
		t.Errorf("the agent did not finish: %v\n%s", err, out)
	}
	s.told(t, "origin got GET /first", "origin got GET /second", "origin got POST /third")
	if !strings.Contains(s.table, "allow, would block secret/github-pat") {
		t.Error("the table does not tell what would be blocked")
	}
	for _, l := range s.record(t) {
		if l.Decision != nil && l.Verdict != call.Allow && !l.Decision.Observed {
			t.Errorf("%s %s%s was refused, though observed", l.Method, l.Host, cmp.Or(l.Target, "/"))
		}
	}
}
