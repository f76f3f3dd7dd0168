package gate

import (
	"fmt"
	"strings"
	"testing"

	"outvet/call"
)

func TestBrokenLogCostsBoundedMemoryAndWhatIsLostIsCounted(t *testing.T) {
	g, log := newGate(t, rulesText, nil)
	g.Logger = nil
	const lost = 10
	log.mu.Lock()
	log.fail = 1 << 30
	log.mu.Unlock()
	for range backlogMax + lost {
		c, m := request(t, "GET", "https://ok.example/x", nil, 0)
		if p := g.Open(t.Context(), c, m); p.Rule != call.RuleFault {
			t.Fatalf("%+v", p.Decision)
		} else if p.Close(call.Outcome{Status: 403}) == nil {
			t.Fatal("the log took a record while it failed")
		}
	}
	if n := len(g.late.waiting); n != backlogMax {
		t.Fatalf("%d calls wait in memory", n)
	}
	log.mu.Lock()
	log.fail = 0
	log.mu.Unlock()
	if err := g.Settle(); err != nil {
		t.Fatal(err)
	}
	if decided, closed := log.of(call.Decided), log.of(call.Closed); len(decided) != backlogMax || len(closed) != backlogMax {
		t.Errorf("%d decided and %d closed records", len(decided), len(closed))
	}
	said := log.of(call.SessionSet)
	if len(said) != 1 || !strings.HasPrefix(said[0].Note, fmt.Sprint(lost, " refused or finished calls were not recorded")) {
		t.Errorf("%+v", said)
	}
}
