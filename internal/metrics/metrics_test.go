package metrics

import (
	"fmt"
	"io"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"outvet/call"
)

// scrape returns the samples of m: the value of each series, by its text.
func scrape(t testing.TB, m *Metrics) map[string]float64 {
	t.Helper()
	s := httptest.NewServer(m.Handler())
	defer s.Close()
	res, err := s.Client().Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("%s %v\n%s", res.Status, err, b)
	}
	out := map[string]float64{}
	for line := range strings.Lines(string(b)) {
		i := strings.LastIndexByte(line, ' ')
		if strings.HasPrefix(line, "#") || i < 0 {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(line[i+1:]), 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		out[line[:i]] = v
	}
	return out
}

func decided(rule, agent string, v call.Verdict) *call.Record {
	return &call.Record{Kind: call.Decided, Protocol: "http", Took: 3 * time.Millisecond, Inspect: time.Millisecond,
		Caller:   call.Caller{Session: "s", Agent: call.Attr{Value: agent}},
		Decision: &call.Decision{Verdict: v, Rule: rule}}
}

func TestRecordsAreCountedUnderTheirExactNames(t *testing.T) {
	m := New(Options{Version: "1.2", Lag: func() float64 { return 7 }, Open: func() float64 { return 3 }})
	d := decided("read github", "claude-cli/2.1 (external)", call.Allow)
	closed := &call.Record{Kind: call.Closed, Took: 13 * time.Millisecond, Inspected: 2048, Opened: d,
		Outcome: &call.Outcome{Status: 200, Address: "192.0.2.1:443"}}
	distrust := &call.Record{Kind: call.Closed, Opened: decided("x", "node", call.Block), Outcome: &call.Outcome{Error: call.Distrusts + ": it broke off"}}
	stopped := &call.Record{Kind: call.Closed, Opened: d, Decision: &call.Decision{Verdict: call.Block, Rule: "no secrets out"}, Outcome: &call.Outcome{}}
	watched := decided("watch", "curl", call.Block)
	watched.Decision.Observed = true
	dns := decided("names", "", call.Block)
	dns.Protocol = "dns"
	for _, r := range []*call.Record{d, d, closed, distrust, stopped, watched, dns,
		{Kind: call.Approval, Took: 20 * time.Second}, {Kind: call.Started}, {Kind: call.Decided}, {Kind: call.Closed}} {
		if err := m.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	got := scrape(t, m)
	for series, want := range map[string]float64{
		`outvet_decisions_total{agent="claude",rule="read github",verdict="allow"}`:    2,
		`outvet_decisions_total{agent="claude",rule="no secrets out",verdict="block"}`: 1,
		`outvet_decisions_total{agent="curl",rule="watch",verdict="block_observed"}`:   1,
		`outvet_decisions_total{agent="unknown",rule="names",verdict="block"}`:         1,
		`outvet_request_duration_seconds_count{phase="policy"}`:                        4,
		`outvet_request_duration_seconds_bucket{phase="inspect",le="0.001"}`:           4,
		`outvet_request_duration_seconds_bucket{phase="policy",le="0.001"}`:            0,
		`outvet_request_duration_seconds_sum{phase="upstream"}`:                        0.01,
		`outvet_request_duration_seconds_count{phase="upstream"}`:                      1,
		`outvet_inspect_bytes_total`:                                                   2048,
		`outvet_approvals_pending`:                                                     0,
		`outvet_approval_wait_seconds_sum`:                                             20,
		`outvet_dns_queries_total{verdict="block"}`:                                    1,
		`outvet_dns_queries_total{verdict="allow"}`:                                    0,
		`outvet_record_lag_entries`:                                                    7,
		`outvet_calls_open`:                                                            3,
		`outvet_killed`:                                                                0,
		`outvet_tls_distrust_total{client="node"}`:                                     1,
	} {
		if v, ok := got[series]; !ok || v != want {
			t.Errorf("%s is %v (%t), want %v", series, v, ok, want)
		}
	}
	for _, re := range []string{`^outvet_build_info\{go="go.*version="1.2"\}$`, `^go_goroutines$`, `^process_open_fds$`} {
		found := false
		for series := range got {
			found = found || regexp.MustCompile(re).MatchString(series)
		}
		if !found {
			t.Errorf("nothing matches %s", re)
		}
	}
	for series := range got {
		if strings.Contains(series, "host") {
			t.Errorf("%s has a host", series)
		}
	}
}

func TestLabelsAreBoundedWhateverAgentsAndPoliciesSay(t *testing.T) {
	m := New(Options{})
	var wg sync.WaitGroup
	for part := range 4 {
		wg.Go(func() {
			for i := range 5000 {
				r := decided(fmt.Sprintf("rule %d \xff\n\"", i), fmt.Sprintf("agent-%d-%d/1", part, i), call.Allow)
				if i%2 == 0 {
					r.Caller.Agent.Mark = call.Observed
				}
				m.Write(r)
			}
		})
	}
	wg.Wait()
	rules, agents, total := map[string]bool{}, map[string]bool{}, 0.0
	re := regexp.MustCompile(`^outvet_decisions_total\{agent="(.*)",rule="(.*)",verdict="allow"\}$`)
	for series, v := range scrape(t, m) {
		if f := re.FindStringSubmatch(series); f != nil {
			agents[f[1]], rules[f[2]] = true, true
			total += v
		}
	}
	if len(rules) > rulesMax+1 || len(agents) > namedMax+1 || !rules["other"] || !agents[unknown] {
		t.Errorf("%d rules and %d agents", len(rules), len(agents))
	}
	if total != 20000 {
		t.Errorf("%v decisions were counted, want 20000", total)
	}
}

func TestWhoOnlyClaimsToBeAnAgentGetsNoNameOfItsOwn(t *testing.T) {
	m := New(Options{})
	for a, want := range map[call.Attr]string{
		{}:                                     unknown,
		{Value: "Claude-CLI/9"}:                "claude",
		{Value: "codex_cli_rs/0.4 (linux)"}:    "codex",
		{Value: "claude-clinic/1"}:             unknown,
		{Value: "paste.example"}:               unknown,
		{Value: "crew", Mark: call.Signed}:     "crew",
		{Value: "crew/7"}:                      unknown,
		{Value: "/"}:                           unknown,
		{Value: strings.Repeat("curl", 10000)}: unknown,
	} {
		if got := m.agent(a); got != want {
			t.Errorf("%.40q is %q, want %q", a.Value, got, want)
		}
	}
}

func TestAKnownRecordAllocatesNothing(t *testing.T) {
	m := New(Options{})
	for _, agent := range []call.Attr{{Value: "claude-cli/2"}, {Value: "nobody knows it/1"}, {Value: "crew", Mark: call.Signed}} {
		d := decided("read github", "", call.Allow)
		d.Caller.Agent = agent
		c := &call.Record{Kind: call.Closed, Took: time.Second, Opened: d, Inspected: 9, Outcome: &call.Outcome{Address: "x"}}
		m.Write(d)
		if n := testing.AllocsPerRun(1000, func() { m.Write(d); m.Write(c) }); n != 0 {
			t.Errorf("%s: %v allocations", agent.Value, n)
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	m := New(Options{})
	d := decided("read github", "claude-cli/2", call.Allow)
	c := &call.Record{Kind: call.Closed, Took: time.Second, Opened: d, Inspected: 9, Outcome: &call.Outcome{Address: "x"}}
	b.ReportAllocs()
	for b.Loop() {
		m.Write(d)
		m.Write(c)
	}
}
