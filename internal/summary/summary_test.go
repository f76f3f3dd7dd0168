package summary

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"outvet/call"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares got with a file below testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; got\n%s", file, got)
	}
}

var began = time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)

// A call of a made-up session.
type made struct {
	method, url, category string
	by, agent             string
	dec                   call.Decision
	up                    int64
	times                 int
}

var block = call.Decision{Verdict: call.Block, Rule: "default", Code: "destination_not_allowed"}

func found1(v call.Verdict, kind string) call.Decision {
	return call.Decision{Verdict: v, Rule: "no secrets out", Code: "secret_found", Findings: []call.Finding{
		{Kind: "credential/bearer", Place: call.Place{Part: "header/authorization"}}, {Kind: kind, Place: call.Place{Part: "body/text"}}}}
}

var story = []made{
	{"POST", "https://api.anthropic.com/v1/messages?beta=true", "model", "claude", "claude-cli/2.1.332", call.Decision{}, 50_000, 38},
	{"POST", "https://api.anthropic.com/api/event_logging/v2/batch", "telemetry", "claude", "claude", call.Decision{Verdict: call.Block, Rule: "no telemetry of Claude Code", Quiet: true}, 0, 4},
	{"GET", "https://api.anthropic.com/api/claude_code/settings", "model", "claude", "claude", call.Decision{Verdict: call.Block, Rule: "no telemetry of Claude Code", Quiet: true}, 0, 2},
	{"GET", "https://github.com/acme/shop.git/info/refs", "code_hosting", "git < bash < claude", "claude", call.Decision{}, 0, 2},
	{"POST", "https://github.com/acme/shop.git/git-upload-pack", "code_hosting", "git < bash < claude", "claude", call.Decision{}, 6_000, 2},
	{"GET", "https://registry.npmjs.org/left-pad", "registry", "npm < bash < claude", "claude", call.Decision{}, 0, 31},
	{"POST", "https://hooks.example/in", "", "", "curl/7.88", call.Decision{Edits: []call.Edit{{Kind: call.Redact}}}, 700, 1},
	{"POST", "https://api.github.com/repos/acme/shop/merge", "", "gh < bash < claude", "claude", call.Decision{Verdict: call.Hold, Rule: "merging needs a maintainer"}, 0, 1},
	{"POST", "https://pastebin.com/api", "paste", "curl < bash < claude", "claude", found1(call.Block, "secret/aws-access-key"), 0, 1},
	{"GET", "https://x.example/a", "", "python < bash < claude", "claude", block, 0, 3},
}

func (m made) records(n int) (d, c *call.Record) {
	scheme, rest, _ := strings.Cut(m.url, "://")
	host, path, _ := strings.Cut(rest, "/")
	at := began.Add(time.Duration(n) * 10 * time.Second)
	dec := m.dec
	d = &call.Record{Kind: call.Decided, ID: call.ID(fmt.Sprintf("ID%018d", n)), Time: at, Host: host, Scheme: scheme, Target: "/" + path,
		Protocol: "http", Method: m.method, Category: m.category, Decision: &dec,
		Caller: call.Caller{Session: "quiet-otter", Agent: call.Attr{Value: m.agent}, Process: call.Attr{Value: m.by, Mark: call.Observed}}}
	c = &call.Record{Kind: call.Closed, ID: d.ID, Time: at.Add(time.Second), Session: "quiet-otter", Outcome: &call.Outcome{Status: 200, Sent: m.up, Received: 10}}
	return d, c
}

// told returns a session of the calls, by its sink.
func told(o Options, calls ...made) *Session {
	s, n := New(o), 0
	for _, m := range calls {
		for range m.times {
			d, c := m.records(n)
			n++
			s.Write(d)
			s.Write(c)
		}
	}
	return s
}

func strict(r *call.Record) (call.Verdict, string) {
	if r.Host == "api.anthropic.com" && strings.HasPrefix(r.Target, "/v1/") {
		return call.Allow, "inference"
	}
	return call.Block, "default"
}

func printed(t *testing.T, r Report, s Style) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.Print(&b, s); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestASessionIsToldInOneTable(t *testing.T) {
	r := told(Options{ID: "quiet-otter", Would: strict, Strict: "strict"}, story...).Report()
	for _, s := range []Style{{Width: 120}, {Width: 100, Color: true}, {Width: 80}, {Width: 60}, {Width: 40}} {
		name := fmt.Sprintf("session-%d.txt", s.Width)
		if s.Color {
			name = fmt.Sprintf("session-%d-color.txt", s.Width)
		}
		golden(t, name, printed(t, r, s))
	}
	var b bytes.Buffer
	if err := r.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "session.json", b.String())
}

func TestNoLineIsWiderThanTheTerminal(t *testing.T) {
	for width := widthMin; width <= 140; width++ {
		r := told(Options{ID: "quiet-otter", Would: strict, Strict: "strict"}, story...).Report()
		b := bytes.NewBufferString(printed(t, r, Style{Width: width}))
		if err := (Banner{Version: "0.1", Policy: "balanced", About: "secrets, tunnels, metadata blocked; the rest recorded", Agent: "claude",
			Log: "/home/u/.local/state/outvet", Grade: call.Cooperative, Console: "http://127.0.0.1:7070"}).Print(b, Style{Width: width}); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(b.String()) {
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > width {
				t.Errorf("a terminal of %d columns gets %d: %s", width, n, line)
			}
		}
	}
}

func TestWithoutColourNothingColours(t *testing.T) {
	r := told(Options{Would: strict, Strict: "strict"}, story...).Report()
	if out := printed(t, r, Style{}); strings.Contains(out, "\x1b") {
		t.Errorf("%q", out)
	}
	colored := printed(t, r, Style{Color: true})
	for _, seq := range []string{red, yellow, dim, reset} {
		colored = strings.ReplaceAll(colored, seq, "")
	}
	if plain := printed(t, r, Style{}); colored != plain {
		t.Error("colour changes more than colours")
	}
}

// What agents choose cannot break a row, colour it, or hide what stands in it.
func TestWhatAgentsChooseCannotForgeTheTable(t *testing.T) {
	evil := []string{"a\nb", "\x1b[2K\x1b[1A   api.example allow", "\u202eevil", "x\u200by", "a\u0301", "漢字", "\x00", "\x9b31m", "tab\there", "\xff\xfe", strings.Repeat("long", 500)}
	for _, e := range evil {
		m := made{method: "POST" + e, url: "https://h.example/" + e, by: e, agent: e, dec: block, times: 1}
		m.dec.Rule = e
		m.dec.Findings = []call.Finding{{Kind: e, Place: call.Place{Part: e}}}
		m.dec.Code = "secret_found"
		s := told(Options{}, m)
		out := printed(t, s.Report(), Style{Width: 80})
		if n := strings.Count(out, "\n"); n != 3 {
			t.Errorf("%q: %d lines\n%s", e, n, out)
		}
		for _, r := range out {
			if r != '\n' && r != '…' && (r < ' ' || r > '~') {
				t.Errorf("%q: %q stands in %s", e, r, out)
			}
		}
		var b bytes.Buffer
		if err := (Banner{Policy: e, Agent: e, Log: e, Console: e, Notes: []string{e}}).Print(&b, Style{}); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(b.String(), "\x1b\u009b\u202e\u200b\t\x00") {
			t.Errorf("%q: the banner is %q", e, b.String())
		}
		b.Reset()
		if err := s.Report().WriteJSON(&b); err != nil || !json.Valid(b.Bytes()) || bytes.Count(b.Bytes(), []byte("\n")) != 1 {
			t.Errorf("%q: the JSON is %v %q", e, err, b.String())
		}
	}
}

func TestTheSinkAndTheLogTellTheSame(t *testing.T) {
	o := Options{ID: "quiet-otter", Would: strict, Strict: "strict"}
	a, b := told(o, story...), New(o)
	n := 0
	for _, m := range story {
		for range m.times {
			d, c := m.records(n)
			n++
			defer b.Add(d, c) // in whatever order
		}
	}
	t.Cleanup(func() {
		if x, y := printed(t, a.Report(), Style{}), printed(t, b.Report(), Style{}); x != y {
			t.Errorf("the sink tells\n%s\nthe log\n%s", x, y)
		}
	})
}

func TestOnlyTheSessionAndItsChildrenCount(t *testing.T) {
	s := New(Options{ID: "mine"})
	for i, c := range []call.Caller{{Session: "mine"}, {Session: "child", Parent: "mine"}, {Session: "other"}} {
		d, closed := story[0].records(i)
		d.Caller = c
		s.Write(d)
		s.Write(closed)
	}
	if n := s.Report().Calls; n != 2 {
		t.Errorf("%d calls count, want 2", n)
	}
}

func TestCallsUnderWayAreToldAndCountedOnce(t *testing.T) {
	s := New(Options{})
	d, c := story[0].records(0)
	s.Write(d)
	d.Host = "changed.example" // a sink does not keep what it was given
	for range 2 {
		if r := s.Report(); r.Calls != 1 || r.Open != 1 || r.Rows[0].Host != "api.anthropic.com" {
			t.Errorf("%+v", r)
		}
	}
	s.Write(c)
	s.Write(c)
	if r := s.Report(); r.Calls != 1 || r.Open != 0 || r.Up != 50_000 {
		t.Errorf("%+v", r)
	}
}

func TestWhatWasFoundOutLateCounts(t *testing.T) {
	s := New(Options{})
	d, c := made{method: "GET", url: "https://a.example/", agent: "curl/8", times: 1}.records(0)
	c.Caller = call.Caller{Process: call.Attr{Value: "curl < bash", Mark: call.Observed}}
	changed := found1(call.Block, "secret/x")
	c.Decision = &changed
	s.Write(d)
	s.Write(c)
	if r := s.Report().Rows[0]; r.By != "curl < bash" || r.ByMark != call.Observed || r.Verdict != call.Block || r.Finding != "secret/x in body" {
		t.Errorf("%+v", r)
	}
}

func TestObservedCallsSayWhatEnforcingWouldDo(t *testing.T) {
	m := made{method: "POST", url: "https://pastebin.com/api", by: "curl", dec: found1(call.Block, "secret/aws-access-key"), up: 42, times: 2}
	m.dec.Observed = true
	golden(t, "observed.txt", printed(t, told(Options{ID: "quiet-otter"}, m).Report(), Style{}))
}

func TestManyDestinationsStayBoundedAndTheRefusedAreShown(t *testing.T) {
	s := New(Options{})
	for i := range rowsMax + 500 {
		d, c := made{method: "GET", url: fmt.Sprintf("https://h%d.example/", i), times: 1}.records(i)
		s.Write(d)
		s.Write(c)
	}
	d, c := story[8].records(99_999)
	s.Write(d)
	s.Write(c)
	r := s.Report()
	if len(r.Rows) > rowsMax+2 || r.Calls != rowsMax+501 {
		t.Errorf("%d rows of %d calls", len(r.Rows), r.Calls)
	}
	out := printed(t, r, Style{})
	if n := strings.Count(out, "\n"); n > rowsShown+4 {
		t.Errorf("%d lines", n)
	}
	if !strings.Contains(out, "BLOCK") && !strings.Contains(out, "block") {
		t.Errorf("what was refused is not shown:\n%s", out)
	}
	if all := printed(t, r, Style{All: true}); strings.Count(all, "\n") < rowsMax {
		t.Error("not all rows are shown when all are asked for")
	}
}

func TestAnEmptySessionSaysSo(t *testing.T) {
	golden(t, "empty.txt", printed(t, New(Options{ID: "quiet-otter"}).Report(), Style{}))
}

func TestTheBeginningSaysWhatHolds(t *testing.T) {
	var b bytes.Buffer
	full := Banner{Version: "0.1", Policy: "balanced", About: "secrets, tunnels, metadata blocked; the rest recorded", Agent: "claude",
		Log: "~/.local/state/outvet", Grade: call.Sealed, Sandbox: []string{"DNS ok", "TLS ok (CA valid in this sandbox only)"},
		Console: "http://127.0.0.1:7070/s/quiet-otter", Approve: "outvet approve"}
	weak := full
	weak.Grade, weak.Observe, weak.Sandbox, weak.Notes = call.Cooperative, true, nil, []string{"outvet.yaml was found in the workspace: it only tightens"}
	for _, n := range []Banner{full, weak, {}} {
		for _, s := range []Style{{}, {Width: 60}} {
			if err := n.Print(&b, s); err != nil {
				t.Fatal(err)
			}
			b.WriteString("--\n")
		}
	}
	golden(t, "banner.txt", b.String())
}

// Whatever stands in records, the table is made of lines that fit.
func FuzzTable(f *testing.F) {
	f.Add("api.example", "/v1/x", "curl < bash", "no secrets out", "secret/x", uint8(60))
	f.Add("\x1b[2J", "\u202e", "\xff", "\n", "\x00", uint8(0))
	f.Fuzz(func(t *testing.T, host, path, by, rule, kind string, width uint8) {
		s := New(Options{Would: strict, Strict: "strict"})
		for i, v := range []call.Verdict{call.Allow, call.Hold, call.Block} {
			d, c := made{method: "POST", url: "https://h/", by: by, agent: by}.records(i)
			d.Host, d.Target, d.Category = host, path, kind
			d.Decision = &call.Decision{Verdict: v, Rule: rule, Findings: []call.Finding{{Kind: kind, Place: call.Place{Part: path}}}}
			s.Write(d)
			s.Write(c)
		}
		out := printed(t, s.Report(), Style{Width: int(width)})
		most := max(int(width), widthMin)
		if width == 0 {
			most = widthDefault
		}
		for line := range strings.Lines(out) {
			line = strings.TrimSuffix(line, "\n")
			if utf8.RuneCountInString(line) > most || !utf8.ValidString(line) {
				t.Errorf("%d columns: %q", most, line)
			}
			for _, r := range line {
				if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
					t.Errorf("%q", line)
				}
			}
		}
	})
}
