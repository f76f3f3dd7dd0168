package inside

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"outvet/call"
)

const mine = call.SessionID("quiet-otter")

// serve answers on a socket of its own and returns the path of it.
func serve(t testing.TB, l *Ledger) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	in, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Status: Status{Session: mine, Grade: call.Sealed, Policy: "preset balanced"}, Calls: l}
	done := make(chan error, 1)
	go func() { done <- s.Serve(in) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return path
}

// say sends bytes as they are and returns the status line of the answer, and what
// came after.
func say(t testing.TB, path, text string) (status, rest string) {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(4 * timeAtMost))
	io.WriteString(c, text) // may be refused half-way
	r := bufio.NewReader(c)
	status, _ = r.ReadString('\n')
	b, _ := io.ReadAll(r)
	return strings.TrimSpace(status), string(b)
}

func get(t testing.TB, path, target string) (status, rest string) {
	t.Helper()
	return say(t, path, "GET "+target+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
}

// made is a call of a session, decided by d.
func made(session call.SessionID, d call.Decision) *call.Record {
	return &call.Record{Kind: call.Decided, ID: call.NewID(time.Now()), Time: time.Now(), Caller: call.Caller{Session: session},
		Scheme: "https", Host: "api.example", Port: 443, Method: "POST", Target: "/v1/x", Decision: &d}
}

var blocked = call.Decision{Verdict: call.Block, Rule: "no secrets out", At: "/home/me/policy/outvet.yaml:7", Layer: "organisation", Reason: "A token was found.",
	Policy:      "feedc0de",
	Findings:    []call.Finding{{Inspector: "secret", Kind: "secret/github-pat", Place: call.Place{Part: "body/key", Start: 11, End: 51}, Score: 0.93, Digest: "d16e57"}},
	Uninspected: []call.Uninspected{{Part: "body", Reason: "could not read /var/lib/thing"}}}

func TestASessionIsToldWhatBecameOfItsCalls(t *testing.T) {
	l := NewLedger(mine)
	path := serve(t, l)
	r := made(mine, blocked)
	l.Write(r)
	l.Write(made(mine, call.Decision{Verdict: call.Hold}))
	l.Write(&call.Record{Kind: call.Closed, ID: r.ID, Outcome: &call.Outcome{Status: 403, Error: "dial /secret"}})
	status, body := get(t, path, "/v1/calls/"+strings.ToLower(r.ID.Short()))
	if !strings.Contains(status, "200") {
		t.Fatal(status, body)
	}
	for _, want := range []string{string(r.ID), `"POST https://api.example/v1/x"`, `"block"`, "no secrets out", "A token was found.", "secret/github-pat", "body/key", `"status":403`} {
		if !strings.Contains(body, want) {
			t.Errorf("%s is not told: %s", want, body)
		}
	}
	if _, body := get(t, path, "/v1/status"); !strings.Contains(body, `{"session":"quiet-otter","grade":"sealed","policy":"preset balanced","calls":2,"blocked":1,"waiting":1}`) {
		t.Error(body)
	}
}

// What would help to find the way round a rule, or tells of the machine, is not
// for the agent.
func TestAnAgentIsToldNothingOfTheMachineAndNothingToTryOut(t *testing.T) {
	l := NewLedger(mine)
	path := serve(t, l)
	r := made(mine, blocked)
	l.Write(r)
	l.Write(&call.Record{Kind: call.Closed, ID: r.ID, Outcome: &call.Outcome{Error: "dial tcp 10.0.0.9", Address: "10.0.0.9:443", Via: "proxy.corp"}})
	_, body := get(t, path, "/v1/calls/"+string(r.ID))
	for _, not := range []string{"/home/me", "organisation", "feedc0de", "0.93", "d16e57", "11", "51", "/var/lib", "10.0.0.9", "proxy.corp"} {
		if _, after, ok := strings.Cut(body, "\r\n\r\n"); !ok || strings.Contains(strings.ReplaceAll(after, string(r.ID), ""), not) && !strings.Contains(r.Time.UTC().Format("2006-01-02T15:04:05.000Z"), not) {
			t.Errorf("%q is told: %s", not, body)
		}
	}
}

func TestNobodyIsToldOfOtherSessions(t *testing.T) {
	l := NewLedger(mine)
	path := serve(t, l)
	other := made("someone-else", blocked)
	l.Write(other)
	child := made("child", blocked)
	child.Caller.Parent = mine
	l.Write(child)
	if status, body := get(t, path, "/v1/calls/"+string(other.ID)); !strings.Contains(status, "404") || strings.Contains(body, "secret") {
		t.Error(status, body)
	}
	if status, _ := get(t, path, "/v1/calls/"+string(child.ID)); !strings.Contains(status, "200") {
		t.Error("a call of a session that ours began is not told:", status)
	}
	if _, body := get(t, path, "/v1/status"); !strings.Contains(body, `"calls":1,"blocked":1`) {
		t.Error(body)
	}
}

func TestWhatAHostileCommandAsksIsRefused(t *testing.T) {
	l := NewLedger(mine)
	l.Write(made(mine, blocked))
	path := serve(t, l)
	for name, c := range map[string]struct{ text, want string }{
		"another method":      {"POST /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "404"},
		"a change":            {"POST /v1/sessions/quiet-otter/release HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "404"},
		"the check API":       {"GET /v1/sessions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "404"},
		"a body":              {"GET /v1/status HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", "413"},
		"a body without end":  {"GET /v1/status HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n", "413"},
		"great headers":       {"GET /v1/status HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("a", 64<<10) + "\r\n\r\n", "431"},
		"no ID":               {"GET /v1/calls/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "404"},
		"a tail of all":       {"GET /v1/calls/A HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "400"},
		"a pattern":           {"GET /v1/calls/%25%25%25%25 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "404"},
		"a path":              {"GET /v1/calls/..%2f..%2fetc%2fpasswd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "404 301 307"},
		"HTTP/2":              {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "413"},
		"no HTTP":             {"\x16\x03\x01\x00\x05hello\r\n\r\n", "400"},
		"a name of ours":      {"GET http://outvet/v1/status HTTP/1.1\r\nHost: outvet\r\nConnection: close\r\n\r\n", "200"},
		"an upgrade":          {"GET /v1/status HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade, close\r\n\r\n", "200"},
		"a proxy's method":    {"CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "404 405"},
		"an escape of a line": {"GET /v1/calls/%0d%0aX HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "400 404"},
	} {
		status, body := say(t, path, c.text)
		if !strings.Contains(c.want, status[min(9, len(status)):min(12, len(status))]) || status == "" || strings.Contains(body, "secret/") {
			t.Errorf("%s: %q, want %s\n%s", name, status, c.want, body)
		}
	}
}

func TestTooManyQuestionsAreRefusedForASecond(t *testing.T) {
	l := NewLedger(mine)
	path := serve(t, l)
	cl := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
	defer cl.CloseIdleConnections()
	got := map[int]int{}
	for range 3 * burst {
		res, err := cl.Get("http://outvet/v1/status")
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
		got[res.StatusCode]++
	}
	if got[429] == 0 || got[200] < burst/2 {
		t.Errorf("%v", got)
	}
	time.Sleep(1100 * time.Millisecond)
	if res, err := cl.Get("http://outvet/v1/status"); err != nil || res.StatusCode != 200 {
		t.Errorf("a second later: %v %v", res, err)
	}
}

// Connections that say nothing take all places, but not for long.
func TestSilentConnectionsAreCut(t *testing.T) {
	path := serve(t, NewLedger(mine))
	for range 2 * connsMax {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, "GET /v1/st")
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	c.SetReadDeadline(time.Now().Add(8 * timeAtMost))
	if status, _ := get2(c); !strings.Contains(status, "200") {
		t.Errorf("after those that say nothing: %q", status)
	}
}

func get2(c net.Conn) (string, error) {
	io.WriteString(c, "GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	return bufio.NewReader(c).ReadString('\n')
}

func TestTheNewestCallsAreKeptAndMemoryIsBounded(t *testing.T) {
	l := NewLedger(mine)
	first := made(mine, blocked)
	l.Write(first)
	long := call.Decision{Verdict: call.Hold}
	for range 10_000 {
		long.Findings = append(long.Findings, call.Finding{Kind: "x", Place: call.Place{Part: strings.Repeat("p", 10_000)}})
	}
	var last *call.Record
	for range 3 * Kept {
		last = made(mine, long)
		last.Target = "/" + strings.Repeat("a", 8<<10)
		l.Write(last)
	}
	if _, err := l.find(string(first.ID)); err != errUnknown {
		t.Error(err)
	}
	l.Write(&call.Record{Kind: call.Closed, ID: first.ID, Outcome: &call.Outcome{Status: 999}})
	a, err := l.find(string(last.ID))
	if err != nil || len(a.What) > textMax+3 || len(a.Findings) > listMax || len(a.Findings[0].Part) > textMax+3 {
		t.Errorf("%v: %d bytes, %d findings", err, len(a.What), len(a.Findings))
	}
	if calls, blocked, waiting := l.counts(); calls != 3*Kept+1 || blocked != 1 || waiting != Kept || len(l.open) > Kept {
		t.Errorf("%d calls, %d blocked, %d waiting, %d open", calls, blocked, waiting, len(l.open))
	}
	for i := range l.ring {
		if l.ring[i].Status == 999 {
			t.Error("the end of a forgotten call was put down to another")
		}
	}
}

func TestATailThatSeveralCallsHaveIsNotGuessed(t *testing.T) {
	l := NewLedger(mine)
	for _, id := range []call.ID{"00000000000000AAAA11", "00000000000000BBAA11", "00000000000000CCCC22"} {
		r := made(mine, blocked)
		r.ID = id
		l.Write(r)
	}
	for tail, want := range map[string]error{"AA11": errAmbiguous, "aaaa11": nil, "CC22": nil, "C22": errShort, "": errShort, "DDDD": errUnknown} {
		if _, err := l.find(tail); err != want {
			t.Errorf("%q: %v, want %v", tail, err, want)
		}
	}
}

func TestADecisionThatChangesCountsOnce(t *testing.T) {
	l := NewLedger(mine)
	r := made(mine, call.Decision{Verdict: call.Allow, Rule: "read"})
	l.Write(r)
	l.Write(&call.Record{Kind: call.Closed, ID: r.ID, Decision: &call.Decision{Verdict: call.Block, Rule: call.RuleAddress}})
	l.Write(&call.Record{Kind: call.Closed, ID: r.ID, Decision: &call.Decision{Verdict: call.Allow}})
	o := made(mine, call.Decision{Verdict: call.Block, Observed: true})
	l.Write(o)
	a, err := l.find(string(r.ID))
	if _, blocked, _ := l.counts(); err != nil || a.Rule != call.RuleAddress || a.Open || blocked != 1 {
		t.Errorf("%+v %v, %d blocked", a, err, blocked)
	}
}

func TestManyCallsAndQuestionsAtOnce(t *testing.T) {
	l := NewLedger(mine)
	path := serve(t, l)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 500 {
				r := made(mine, blocked)
				l.Write(r)
				l.find(string(r.ID))
				l.Write(&call.Record{Kind: call.Closed, ID: r.ID})
			}
		})
		all.Go(func() {
			for range 10 {
				get(t, path, "/v1/status")
			}
		})
	}
	all.Wait()
	_, body := get(t, path, "/v1/status")
	var s Status
	if _, after, _ := strings.Cut(body, "\r\n\r\n"); json.Unmarshal([]byte(after), &s) != nil || s.Calls != 2000 {
		t.Error(body)
	}
}

func BenchmarkLedger(b *testing.B) {
	l := NewLedger(mine)
	r, c := made(mine, blocked), &call.Record{Kind: call.Closed}
	var i int
	for b.Loop() {
		r.ID = call.ID(fmt.Sprintf("%020d", i))
		c.ID, i = r.ID, i+1
		l.Write(r)
		l.Write(c)
	}
}
