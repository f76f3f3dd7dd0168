package gate

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"outvet/call"
	"outvet/internal/inspect"
	"outvet/internal/inspect/secret"
	"outvet/internal/payload"
	"outvet/internal/policy"
	"outvet/internal/session"
)

// token is a made-up secret with a right checksum, in two pieces so that nobody
// takes it for a leak.
const token = "gh" + "p_k7Qm2ZtR9vXc4LpW8sYb3NdF6hJa1G1cxYMD"

const rulesText = `version: 1
default: block
rules:
  - {name: ok, to: [ok.example, "*.ok.example"], verdict: allow}
  - {name: no secrets out, to: "*", finding: {kind: "secret/*"}, verdict: block}
`

const maskText = `version: 1
default: allow
rules:
  - {name: mask, finding: {kind: "secret/*"}, redact: mask}
  - {name: strip, to: ok.example, strip_headers: [x-team]}
`

// A memory is a log that can be made to fail.
type memory struct {
	mu   sync.Mutex
	rs   []call.Record
	fail int // so many writes fail
}

func (m *memory) Write(r *call.Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail > 0 {
		m.fail--
		return errors.New("disk full")
	}
	m.rs = append(m.rs, *r)
	return nil
}

// of returns the records of one kind.
func (m *memory) of(k call.Kind) []call.Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []call.Record
	for _, r := range m.rs {
		if r.Kind == k {
			out = append(out, r)
		}
	}
	return out
}

func inspectors(t testing.TB) *inspect.Set {
	t.Helper()
	s, err := secret.New(secret.Options{Key: []byte("key")})
	if err != nil {
		t.Fatal(err)
	}
	set, err := inspect.NewSet(s)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// known is a secret that only its value betrays.
const known = "correct-horse-7-battery"

func knownInspectors(t testing.TB) *inspect.Set {
	t.Helper()
	s, err := secret.New(secret.Options{Key: []byte("key"), Known: []secret.Known{{Name: "staple", Value: []byte(known)}}})
	if err != nil {
		t.Fatal(err)
	}
	set, err := inspect.NewSet(s)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func load(t testing.TB, text string) *policy.Policy {
	t.Helper()
	p, err := policy.Load(context.Background(), policy.Options{Name: "test.yaml", Text: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func newGate(t testing.TB, text string, set *inspect.Set) (*Gate, *memory) {
	t.Helper()
	log := &memory{}
	g := &Gate{Sessions: &session.Table{}, Log: log}
	if err := g.Install(load(t, text), set, "test"); err != nil {
		t.Fatal(err)
	}
	return g, log
}

// request describes a call as the proxy does.
func request(t testing.TB, method, target string, body io.Reader, length int64) (*call.Call, *payload.Message) {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	c, m, err := HTTP(method, u, http.Header{"Content-Type": {"application/json"}, "X-Team": {"blue"}}, body, length)
	if err != nil {
		t.Fatal(err)
	}
	c.Listener, c.Caller = "proxy", call.Caller{Session: "s", SessionMark: call.Observed}
	return c, m
}

func text(t testing.TB, s string) (io.Reader, int64) { return strings.NewReader(s), int64(len(s)) }

func TestDecidedRecordIsInTheLogBeforeAnythingMayLeave(t *testing.T) {
	g, log := newGate(t, rulesText, inspectors(t))
	r, n := text(t, `{"a":1}`)
	c, m := request(t, "POST", "https://ok.example/x", r, n)
	p := g.Open(t.Context(), c, m)
	if p.Verdict != call.Allow || len(log.of(call.Decided)) != 1 {
		t.Fatalf("%s %s, %d decided records", p.Verdict, p.Reason, len(log.of(call.Decided)))
	}
	got, err := io.ReadAll(m.Body)
	if err != nil || string(got) != `{"a":1}` {
		t.Errorf("body %q, %v", got, err)
	}
	if err := errors.Join(p.Close(call.Outcome{Status: 200}), p.Close(call.Outcome{Status: 500})); err != nil {
		t.Error(err)
	}
	closed := log.of(call.Closed)
	if len(closed) != 1 || closed[0].ID != c.ID || closed[0].Outcome.Sent != n || closed[0].Outcome.Status != 200 || len(closed[0].Body) == 0 {
		t.Errorf("closed records: %+v", closed)
	}
}

// untouchable fails the test when it is read.
type untouchable struct{ t *testing.T }

func (u untouchable) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

func TestHeadDecidesBeforeABodyByteIsRead(t *testing.T) {
	g, log := newGate(t, rulesText, inspectors(t))
	c, m := request(t, "POST", "https://no.example/x", untouchable{t}, 100)
	p := g.Open(t.Context(), c, m)
	p.Close(call.Outcome{Status: 403})
	if p.Verdict != call.Block || p.Code != "destination_not_allowed" {
		t.Errorf("%+v", p.Decision)
	}
	if d := log.of(call.Decided); len(d) != 1 || d[0].Decision.Verdict != call.Block {
		t.Errorf("%+v", d)
	}
}

func TestSecretInABodyBlocks(t *testing.T) {
	g, _ := newGate(t, rulesText, inspectors(t))
	r, n := text(t, `{"a":"`+token+`"}`)
	c, m := request(t, "POST", "https://ok.example/x", r, n)
	p := g.Open(t.Context(), c, m)
	defer p.Close(call.Outcome{})
	if p.Verdict != call.Block || p.Rule != "no secrets out" || len(p.Findings) != 1 || p.Findings[0].Part != "body/a" {
		t.Errorf("%+v", p.Decision)
	}
}

func TestNoSecretEntersTheRecord(t *testing.T) {
	for _, target := range []string{
		"https://ok.example/x/" + token + "/y",
		"https://no.example/x/" + token + "?q=" + token, // refused by its head
		"https://ok.example/?q=" + token,
		"https://" + strings.ToLower("ghp-"+token[4:]) + ".ok.example/" + token,
	} {
		g, log := newGate(t, rulesText, inspectors(t))
		c, m := request(t, "GET", target, nil, 0)
		p := g.Open(t.Context(), c, m)
		p.Close(call.Outcome{})
		if p.Verdict != call.Block {
			t.Errorf("%s: %s", target, p.Verdict)
		}
		b, err := json.Marshal(log.rs)
		if err != nil || strings.Contains(string(b), token) {
			t.Errorf("%s: the record holds the secret: %s %v", target, b, err)
		}
	}
}

func TestNothingThatAgentsSayOfThemselvesBringsASecretIntoTheRecord(t *testing.T) {
	for name, put := range map[string]func(*call.Call){
		"method":      func(c *call.Call) { c.Op.Method = token },
		"session":     func(c *call.Call) { c.Caller.Session = call.SessionID("a " + token) },
		"agent":       func(c *call.Call) { c.Caller.Agent.Value = "curl/" + token },
		"tool":        func(c *call.Call) { c.Caller.Tool.Value = token },
		"tool call":   func(c *call.Call) { c.Caller.ToolCall.Value = token },
		"purpose":     func(c *call.Call) { c.Caller.Purpose.Value = "to send " + token },
		"role":        func(c *call.Call) { c.Caller.Roles = []call.Attr{{Value: token}} },
		"provenance":  func(c *call.Call) { c.Caller.Provenance = []call.Source{{Source: token}} },
		"tunnel":      func(c *call.Call) { c.Dest.Host, c.Op.Target = token, token+":443" },
		"in base64":   func(c *call.Call) { c.Caller.Purpose.Value = base64.StdEncoding.EncodeToString([]byte(token)) },
		"quarantined": func(c *call.Call) { c.Caller.Session = token },
	} {
		t.Run(name, func(t *testing.T) {
			g, log := newGate(t, strings.Replace(rulesText, "verdict: block}", "verdict: block, quarantine: true}", 1), inspectors(t))
			c, m := request(t, "GET", "https://ok.example/x", nil, 0)
			if put(c); name == "tunnel" {
				m = nil
			}
			who := c.Caller
			p := g.Open(t.Context(), c, m)
			p.Close(call.Outcome{})
			if p.Verdict != call.Block || len(p.Findings) == 0 {
				t.Errorf("%+v", p.Decision)
			}
			b, err := json.Marshal(log.rs)
			if err != nil || strings.Contains(string(b), token) {
				t.Errorf("the record holds the secret: %s %v", b, err)
			}
			if !reflect.DeepEqual(who, c.Caller) {
				t.Error("the caller of the call itself was changed")
			}
		})
	}
}

func TestRedactionEditsTheMessageAndStripsHeaders(t *testing.T) {
	g, log := newGate(t, maskText, inspectors(t))
	r, n := text(t, `{"k":  "a `+token+` b", "n": 1.0}`)
	c, m := request(t, "POST", "https://ok.example/x", r, n)
	p := g.Open(t.Context(), c, m)
	defer p.Close(call.Outcome{})
	got, err := io.ReadAll(m.Body)
	if want := `{"k":  "a [redacted:secret/github-pat] b", "n": 1.0}`; err != nil || string(got) != want || m.Length != int64(len(want)) {
		t.Errorf("%q (%d), %v", got, m.Length, err)
	}
	if m.Header.Get("X-Team") != "" {
		t.Error("the header was not stripped")
	}
	if d := log.of(call.Decided)[0].Decision; len(d.Edits) != 2 {
		t.Errorf("%d edits are recorded, want 2", len(d.Edits))
	}
}

func TestRedactionThatBringsRemainsTogetherIsRedactedAgain(t *testing.T) {
	g, log := newGate(t, "version: 1\ndefault: allow\nrules:\n  - {name: remove, finding: {kind: \"secret/*\"}, redact: remove}\n", knownInspectors(t))
	r, n := text(t, `{"k":"x `+known[:9]+known+known[9:]+` y"}`)
	c, m := request(t, "POST", "https://ok.example/x", r, n)
	p := g.Open(t.Context(), c, m)
	defer p.Close(call.Outcome{})
	if got, err := io.ReadAll(m.Body); err != nil || string(got) != `{"k":"x  y"}` {
		t.Errorf("%s %q, %v", p.Reason, got, err)
	}
	if d := log.of(call.Decided)[0].Decision; len(d.Edits) != 2 {
		t.Errorf("%d edits are recorded, want both rounds", len(d.Edits))
	}
}

func TestSenderThatWaitsForAnAnswerIsNotHeldBack(t *testing.T) {
	g, _ := newGate(t, rulesText, inspectors(t))
	g.Patience = 20 * time.Millisecond
	r, w := io.Pipe()
	go io.WriteString(w, "question 1\n")
	c, m := request(t, "POST", "https://ok.example/", r, -1)
	p := g.Open(t.Context(), c, m)
	defer p.Close(call.Outcome{})
	b := make([]byte, 100)
	if n, err := m.Body.Read(b); err != nil || string(b[:n]) != "question 1\n" {
		t.Errorf("%q, %v", b[:n], err)
	}
	w.Close()
}

// A broken inspector fails, by error or panic.
type broken struct{ panics bool }

func (broken) Name() string { return "secret" }
func (b broken) Inspect(context.Context, *inspect.Subject) ([]call.Finding, error) {
	if b.panics {
		panic("broken")
	}
	return nil, errors.New("broken")
}

func TestFaultOfAnInspectorBlocksAlsoInObserveMode(t *testing.T) {
	for _, in := range []inspect.Inspector{broken{}, broken{panics: true}} {
		set, err := inspect.NewSet(in)
		if err != nil {
			t.Fatal(err)
		}
		g, log := newGate(t, "version: 1\nmode: observe\ndefault: allow\nrules:\n  - {name: s, finding: {kind: \"secret/*\"}, verdict: block}\n", set)
		r, n := text(t, `{}`)
		c, m := request(t, "POST", "https://ok.example/"+token, r, n)
		p := g.Open(t.Context(), c, m)
		p.Close(call.Outcome{})
		if p.Verdict != call.Block || p.Rule != call.RuleFault {
			t.Errorf("%+v", p.Decision)
		}
		if d := log.of(call.Decided); len(d) != 1 || d[0].Decision.Rule != call.RuleFault || strings.Contains(d[0].Target, token) {
			t.Errorf("%+v", d)
		}
	}
}

func TestFaultOfTheLogBlocksAndIsRecordedWhenItHeals(t *testing.T) {
	g, log := newGate(t, rulesText, inspectors(t))
	open := func() *Passage {
		c, m := request(t, "GET", "https://ok.example/x", nil, 0)
		return g.Open(t.Context(), c, m)
	}
	log.fail = 5
	p := open()
	if p.Verdict != call.Block || p.Rule != call.RuleFault {
		t.Fatalf("%+v", p.Decision)
	}
	if err := p.Close(call.Outcome{Status: 403}); err == nil {
		t.Error("the log took a record while it failed")
	}
	if p = open(); p.Rule != call.RuleFault {
		t.Errorf("%+v", p.Decision)
	}
	if err := p.Close(call.Outcome{Status: 403}); err != nil {
		t.Error(err)
	}
	if p = open(); p.Verdict != call.Allow {
		t.Errorf("after healing: %+v", p.Decision)
	}
	p.Close(call.Outcome{Status: 200})
	decided, closed := log.of(call.Decided), log.of(call.Closed)
	if len(decided) != 3 || len(closed) != 3 || decided[0].Decision.Rule != call.RuleFault {
		t.Errorf("%d decided and %d closed records of 3 calls", len(decided), len(closed))
	}
}

// A strict log keeps records in pairs, as the real one does, and fails the sync
// of one decided record that it has taken.
type strict struct {
	memory
	open   map[call.ID]bool
	unsure bool
}

func (s *strict) Write(r *call.Record) error {
	if r.Kind == call.Decided && s.open[r.ID] || r.Kind == call.Closed && !s.open[r.ID] {
		return errors.New("half a story")
	}
	s.open[r.ID] = r.Kind == call.Decided
	s.memory.Write(r)
	if r.Kind == call.Decided && s.unsure {
		s.unsure = false
		return errors.New("sync failed")
	}
	return nil
}

func TestDecidedRecordThatMayBeInTheLogDoesNotBlockThoseAfterIt(t *testing.T) {
	g, _ := newGate(t, rulesText, nil)
	log := &strict{open: map[call.ID]bool{}, unsure: true}
	g.Log = log
	for i, want := range []string{call.RuleFault, "ok"} {
		c, m := request(t, "GET", "https://ok.example/x", nil, 0)
		p := g.Open(t.Context(), c, m)
		if err := p.Close(call.Outcome{}); err != nil || p.Rule != want {
			t.Errorf("call %d: %q, %v", i, p.Rule, err)
		}
	}
	decided, closed := log.of(call.Decided), log.of(call.Closed)
	if len(decided) != 2 || len(closed) != 2 || closed[0].Decision == nil || closed[0].Decision.Rule != call.RuleFault {
		t.Errorf("%d decided, %d closed: %+v", len(decided), len(closed), closed[0].Decision)
	}
}

func TestRecordDoesNotHoldWhatAHeaderIsSetTo(t *testing.T) {
	g, log := newGate(t, "version: 1\ndefault: allow\nrules:\n  - {name: inject, to: ok.example, set_headers: {Authorization: Bearer the-key}}\n", nil)
	c, m := request(t, "GET", "https://ok.example/x", nil, 0)
	p := g.Open(t.Context(), c, m)
	p.Close(call.Outcome{})
	if got := m.Header.Get("Authorization"); got != "Bearer the-key" {
		t.Errorf("the header is %q", got)
	}
	if b, _ := json.Marshal(log.rs); strings.Contains(string(b), "the-key") {
		t.Errorf("the record holds the value: %s", b)
	}
}

func TestQuarantineStopsTheSessionAtTheNextCall(t *testing.T) {
	g, log := newGate(t, `version: 1
default: allow
rules:
  - {name: stop, finding: {kind: "secret/*"}, verdict: block, quarantine: true, reason: Leaked a key.}
`, inspectors(t))
	open := func(target string) *Passage {
		c, m := request(t, "GET", target, nil, 0)
		p := g.Open(t.Context(), c, m)
		p.Close(call.Outcome{})
		return p
	}
	if p := open("https://ok.example/" + token); p.Verdict != call.Block {
		t.Errorf("%+v", p.Decision)
	}
	if p := open("https://ok.example/"); p.Verdict != call.Block || p.Rule != call.RuleQuarantine || !strings.Contains(p.Reason, "Leaked a key.") {
		t.Errorf("%+v", p.Decision)
	}
	if got := log.of(call.Quarantined); len(got) != 1 {
		t.Errorf("%d quarantine records", len(got))
	}
	if err := g.Release("s", "ada"); err != nil {
		t.Fatal(err)
	}
	if p := open("https://ok.example/"); p.Verdict != call.Allow {
		t.Errorf("after release: %+v", p.Decision)
	}
	if err := g.Release("s", "ada"); err == nil {
		t.Error("a session that is not quarantined was released")
	}
}

func TestPolicyTestsDecideThroughTheGate(t *testing.T) {
	judge := Judge(func(*policy.Policy) (*inspect.Set, error) { return inspectors(t), nil })
	d, err := judge(t.Context(), load(t, rulesText), policy.Request{Method: "POST", URL: "https://ok.example/x", Body: `{"k":"` + token + `"}`})
	if err != nil || d.Verdict != call.Block || d.Rule != "no secrets out" {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err := judge(t.Context(), load(t, rulesText), policy.Request{Method: "GET", URL: "https://user:pw@ok.example/"}); err == nil || strings.Contains(err.Error(), "pw") {
		t.Errorf("user information in a URL gives %v", err)
	}
}

func TestBodiesTakeMemoryAsTheyArrive(t *testing.T) {
	g, log := newGate(t, rulesText, inspectors(t))
	g.Memory, g.Patience = NewMemory(400_000), 20*time.Millisecond
	open := func(r io.Reader, n int64) *Passage {
		c, m := request(t, "POST", "https://ok.example/", r, n)
		return g.Open(t.Context(), c, m)
	}
	// clients that announce much and send little cost nobody anything
	var pipes []*io.PipeWriter
	for range 20 {
		r, w := io.Pipe()
		pipes = append(pipes, w)
		go open(r, 300_000)
		w.Write([]byte("a"))
	}
	large := filler(300_000)
	first := open(strings.NewReader(large), int64(len(large)))
	if first.Verdict != call.Allow || len(first.Uninspected) > 0 {
		t.Errorf("%+v", first.Decision)
	}
	// one that finds no memory is read in windows, secrets and all
	second := open(strings.NewReader(large+" "+token), int64(len(large)+41))
	var stopped *Stopped
	if _, err := io.ReadAll(second.m.Body); len(second.Uninspected) != 1 || !errors.As(err, &stopped) {
		t.Errorf("%+v, %v", second.Decision, err)
	}
	second.Close(call.Outcome{})
	first.Close(call.Outcome{})
	third := open(strings.NewReader(large), int64(len(large)))
	if third.Close(call.Outcome{}); len(third.Uninspected) > 0 {
		t.Errorf("memory was not given back: %+v", third.Decision)
	}
	for _, w := range pipes {
		w.Close()
	}
	if got := len(log.of(call.Closed)); got != 3 {
		t.Errorf("%d closed records", got)
	}
}

func TestClientThatGoesWithinABodyEndsTheCall(t *testing.T) {
	for _, n := range []int64{-1, 1000} {
		g, _ := newGate(t, rulesText, inspectors(t))
		g.Patience = 10 * time.Millisecond
		ctx, cancel := context.WithCancel(t.Context())
		r, w := io.Pipe()
		c, m := request(t, "POST", "https://ok.example/", r, n)
		go func() {
			w.Write([]byte("abc"))
			cancel()
			time.Sleep(50 * time.Millisecond)
			w.CloseWithError(io.ErrUnexpectedEOF)
		}()
		p := g.Open(ctx, c, m)
		if p.Verdict == call.Allow {
			if _, err := io.ReadAll(m.Body); err == nil {
				t.Error("a body that broke off ended well")
			}
		}
		p.Close(call.Outcome{})
	}
}

func TestRewoundBodyIsCountedOnce(t *testing.T) {
	g, log := newGate(t, rulesText, inspectors(t))
	r, n := text(t, `{"a":1}`)
	c, m := request(t, "POST", "https://ok.example/", r, n)
	p := g.Open(t.Context(), c, m)
	io.CopyN(io.Discard, m.Body, 3)
	again, ok := p.Rewind()
	if b, _ := io.ReadAll(again); !ok || string(b) != `{"a":1}` {
		t.Errorf("%q, %v", b, ok)
	}
	p.Close(call.Outcome{})
	if got := log.of(call.Closed)[0].Outcome.Sent; got != n {
		t.Errorf("%d bytes are recorded as sent, want %d", got, n)
	}
}

func TestSpineStaysWithinItsAllocations(t *testing.T) {
	g, log := newGate(t, "version: 1\ndefault: allow\n", nil)
	u, _ := url.Parse("https://ok.example/v1/x")
	h := http.Header{}
	n := testing.AllocsPerRun(200, func() {
		c, m, _ := HTTP("GET", u, h, nil, 0)
		c.Caller.Session = "s"
		p := g.Open(t.Context(), c, m)
		p.Close(call.Outcome{Status: 200})
		log.rs = log.rs[:0]
	})
	if n > 24 {
		t.Errorf("%v allocations for a call without payload, more than 24", n)
	}
}

func BenchmarkCall(b *testing.B) {
	body := `{"messages":[` + strings.Repeat(`{"role":"user","content":"the quick brown fox jumps over the lazy dog"},`, 55) + `{}]}`
	for _, bc := range []struct {
		name string
		set  *inspect.Set
		body string
	}{{"spine", nil, ""}, {"4K", inspectors(b), body}, {"64K", inspectors(b), `[` + strings.Repeat(body+",", 15) + body + `]`}} {
		b.Run(bc.name, func(b *testing.B) {
			g, log := newGate(b, strings.Replace(rulesText, "default: block", "default: allow", 1), bc.set)
			b.SetBytes(int64(len(bc.body)))
			b.ReportAllocs()
			for b.Loop() {
				var r io.Reader
				if bc.body != "" {
					r = strings.NewReader(bc.body)
				}
				c, m := request(b, "POST", "https://ok.example/v1/messages", r, int64(len(bc.body)))
				p := g.Open(b.Context(), c, m)
				if p.Verdict != call.Allow {
					b.Fatal(p.Reason)
				}
				if m.Body != nil {
					io.Copy(io.Discard, m.Body)
				}
				p.Close(call.Outcome{Status: 200})
				log.rs = slices.Delete(log.rs, 0, len(log.rs))
			}
		})
	}
}
