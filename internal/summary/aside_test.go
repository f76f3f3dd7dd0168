package summary

import (
	"fmt"
	"testing"
	"time"

	"outvet/call"
)

// asked is a call of a protocol, by a program to a host; got is what it received.
func asked(s *Session, n int, protocol, method, host, by string, got int64, v call.Verdict) {
	d := &call.Record{Kind: call.Decided, ID: call.ID(fmt.Sprint("A", n)), Time: began.Add(time.Duration(n) * time.Second), Protocol: protocol, Method: method,
		Host: host, Target: "/x", Decision: &call.Decision{Verdict: v, Rule: "default"}, Caller: call.Caller{Process: call.Attr{Value: by, Mark: call.Observed}}}
	if protocol == "dns" {
		d.Target = host
	}
	s.Add(d, &call.Record{Kind: call.Closed, ID: d.ID, Time: d.Time, Outcome: &call.Outcome{Received: got}})
}

func TestLookUpsAreTheCallsThatFollowThem(t *testing.T) {
	s := New(Options{Would: strict, Strict: "strict"})
	for i, method := range []string{"A", "AAAA", "HTTPS", "TXT"} {
		asked(s, i, "dns", method, "api.example", "claude", 0, call.Block)
	}
	asked(s, 4, "http", "GET", "api.example", "curl < claude", 9, call.Allow)
	asked(s, 5, "dns", "A", "never.example", "claude", 0, call.Allow)
	asked(s, 6, "dns", "A", "nor.example", "claude", 0, call.Allow)
	r := s.Report()
	if r.Calls != 4 || r.Blocked != 1 || r.Hosts != 3 {
		t.Errorf("%d calls, %d blocked, %d hosts; want 4, 1 (TXT) and 3", r.Calls, r.Blocked, r.Hosts)
	}
	rows := map[string]int{}
	for _, row := range r.Rows {
		rows[row.Destination] += row.Calls
	}
	if rows["dns"] != 2 || rows["dns TXT api.example"] != 1 || rows["api.example"] != 1 || len(rows) != 3 {
		t.Errorf("the rows are %v", rows)
	}
}

func TestAConnectionNotUsedIsToldOnlyOfWhoGotNothingElsewhere(t *testing.T) {
	s := New(Options{})
	asked(s, 0, "connect", "CONNECT", "api.example", "claude", 0, call.Block)
	asked(s, 1, "connect", "CONNECT", "api.example", "java < claude", 0, call.Block) // distrusts us
	asked(s, 2, "http", "GET", "api.example", "claude", 9, call.Allow)
	r := s.Report()
	if r.Calls != 2 || r.Blocked != 1 || len(r.Rows) != 2 || r.Rows[1].By != "java < claude" {
		t.Errorf("%d calls, %d blocked: %+v", r.Calls, r.Blocked, r.Rows)
	}
}

func TestAThousandNamesDoNotCrowdOutTheCalls(t *testing.T) {
	s := New(Options{})
	for i := range 3 * rowsMax {
		asked(s, i, "dns", "A", fmt.Sprintf("n%d.example", i), "claude", 0, call.Allow)
	}
	asked(s, 3*rowsMax, "http", "POST", "leak.example", "curl", 0, call.Block)
	r := s.Report()
	if r.Calls != 3*rowsMax+1 || len(r.Rows) != 2 || r.Rows[1].Destination != "leak.example POST /x" {
		t.Errorf("%d calls in %d rows, the last %+v", r.Calls, len(r.Rows), r.Rows[len(r.Rows)-1])
	}
}
