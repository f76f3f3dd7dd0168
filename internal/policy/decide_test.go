package policy

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"outvet/call"
)

func mustLoad(t testing.TB, text string) *Policy {
	t.Helper()
	p, err := Load(context.Background(), Options{Text: []byte(text), Name: "p.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// request makes a call of "METHOD URL".
func request(t testing.TB, s string) *call.Call {
	t.Helper()
	method, url, _ := strings.Cut(s, " ")
	c, err := headCall(Request{Method: method, URL: url})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// ask decides as the gate does: the head first, then, if that is not final, all.
func ask(p *Policy, c *call.Call, d call.Decision) call.Decision {
	if p.Head(c, &d) {
		return d
	}
	p.Decide(c, &d)
	return d
}

func observed(v string) call.Attr { return call.Attr{Value: v, Mark: call.Observed} }
func claimed(v string) call.Attr  { return call.Attr{Value: v, Mark: call.Claimed} }

func found(kind, part string) call.Finding {
	return call.Finding{Inspector: "secret", Kind: kind, Place: call.Place{Part: part, Start: 1, End: 9}, Score: 1}
}

const example = `
version: 1
mode: enforce
default: block
destinations:
  models:   {hosts: [api.anthropic.com, api.openai.com], category: model, trust: third_party, credentials: [anthropic]}
  internal: {hosts: ["*.corp.example"], cidrs: [10.0.0.0/8], trust: internal}
rules:
  - name: model inference
    to: "@models"
    method: POST
    path: ["/v1/messages", "/v1/chat/completions", "/v1/responses"]
    verdict: allow
  - name: read github
    to: [github.com, api.github.com, "*.githubusercontent.com"]
    method: [GET, HEAD]
    verdict: allow
  - name: merging needs a maintainer
    to: api.github.com
    method: PUT
    path: "/repos/{owner}/{repo}/pulls/{number}/merge"
    verdict: hold
    approvers: {groups: [maintainers], count: 1, timeout: 5m}
    reason: A merge cannot be taken back.
  - name: our own
    to: "@internal"
    verdict: allow
  - name: no secrets out
    finding: {kind: "secret/*"}
    verdict: block
  - name: personal data does not go to third parties
    to: {trust: [third_party, unknown]}
    finding: {kind: ["personal/email", "personal/card", "personal/name"]}
    redact: mask
  - name: large payloads come from the user
    when: call.sent > 16384 && !caller.provenance.exists(p, p.trust == "first_party")
    verdict: hold
  - name: research tools carry no cookies
    tool: {class: read_only}
    strip_headers: [cookie, authorization]
tools:
  create_issue:
    class: external_api
    endpoint: POST api.github.com/repos/{owner}/{repo}/issues
    arguments: schemas/create_issue.json
  look_up: {class: read_only}
session_types:
  batch: {default: block, budgets: {destinations: 5}}
budgets:
  - {name: wide but finite, per: session, count: destinations, limit: 60, over: flag}
tests:
  - {allow: "GET https://github.com/acme/shop"}
  - {block: "POST https://pastebin.com/api", rule: "default"}
`

func TestTheExampleOfTheDesignDecides(t *testing.T) {
	p := mustLoad(t, example)
	for _, tc := range []struct {
		do    string
		with  func(*call.Call)
		found []call.Finding
		unins []call.Uninspected
		want  string // verdict, rule, code
		edits int
	}{
		{do: "POST https://api.openai.com/v1/responses", want: "allow|model inference|"},
		{do: "POST https://api.openai.com/v1/files", want: "block|default|method_not_allowed"},
		{do: "GET https://api.openai.com/v1/responses", want: "block|default|method_not_allowed"},
		{do: "GET https://pastebin.com/", want: "block|default|destination_not_allowed"},
		{do: "GET https://github.com/a/b", want: "allow|read github|"},
		{do: "GET https://x.y.githubusercontent.com/a", want: "allow|read github|"},
		{do: "GET https://githubusercontent.com/a", want: "block|default|destination_not_allowed"},
		{do: "PUT https://api.github.com/repos/a/b/pulls/1/merge", want: "hold|merging needs a maintainer|approval_pending"},
		{do: "POST https://api.openai.com/v1/responses", found: []call.Finding{found("secret/aws", "body/x")}, want: "block|no secrets out|secret_found"},
		{do: "POST https://api.openai.com/v1/responses", found: []call.Finding{found("personal/email", "body/x")}, want: "allow|model inference|", edits: 1},
		{do: "POST https://a.corp.example/", found: []call.Finding{found("personal/email", "body/x")}, want: "allow|our own|"},
		{do: "POST https://api.openai.com/v1/responses", unins: []call.Uninspected{{Part: "body", Reason: "bomb"}}, want: "block|no secrets out|body_too_large"},
		{do: "POST https://api.openai.com/v1/responses", unins: []call.Uninspected{{Part: "body", Reason: "long", Windowed: true}}, want: "allow|model inference|"},
		{do: "POST https://api.openai.com/v1/responses", with: func(c *call.Call) { c.Sent = 20_000 }, want: "hold|large payloads come from the user|approval_pending"},
		{do: "POST https://api.openai.com/v1/responses", with: func(c *call.Call) { c.Sent = -1 }, want: "hold|large payloads come from the user|approval_pending"},
		{do: "POST https://api.openai.com/v1/responses", with: func(c *call.Call) {
			c.Sent = 20_000
			c.Caller.Provenance = []call.Source{{Source: "user", Trust: "first_party", Mark: call.Signed}}
		}, want: "allow|model inference|"},
		{do: "POST https://api.openai.com/v1/responses", with: func(c *call.Call) {
			c.Sent = 20_000
			c.Caller.Provenance = []call.Source{{Source: "user", Trust: "first_party", Mark: call.Claimed}}
		}, want: "hold|large payloads come from the user|approval_pending"},
		{do: "GET https://github.com/a", with: func(c *call.Call) { c.Caller.Tool = observed("look_up") }, want: "allow|read github|", edits: 2},
		{do: "GET https://github.com/a", with: func(c *call.Call) { c.Caller.Tool = observed("create_issue") }, want: "allow|read github|"},
		{do: "GET https://github.com/a", with: func(c *call.Call) { c.Caller.Tool = claimed("create_issue") }, want: "allow|read github|"},
		{do: "GET https://github.com/a", with: func(c *call.Call) { c.Caller.Tool = claimed("look_up") }, want: "allow|read github|", edits: 2},
		{do: "GET https://github.com/a", with: func(c *call.Call) { c.Caller.Tool = call.Attr{} }, want: "allow|read github|"},
	} {
		c := request(t, tc.do)
		c.Caller.Tool = observed("create_issue")
		if tc.with != nil {
			tc.with(c)
		}
		d := ask(p, c, call.Decision{Findings: tc.found, Uninspected: tc.unins})
		if got := d.Verdict.String() + "|" + d.Rule + "|" + d.Code; got != tc.want || len(d.Edits) != tc.edits {
			t.Errorf("%s: %s with %d edits, want %s with %d; %s", tc.do, got, len(d.Edits), tc.want, tc.edits, d.Reason)
		}
		if d.Policy != p.Digest() {
			t.Errorf("%s: no digest", tc.do)
		}
	}
}

func TestDecisionsSayWhereTheyComeFrom(t *testing.T) {
	p := mustLoad(t, example)
	d := ask(p, request(t, "PUT https://api.github.com/repos/a/b/pulls/1/merge"), call.Decision{})
	want := call.Decision{
		Verdict: call.Hold, Rule: "merging needs a maintainer", At: "p.yaml:18", Layer: "policy", Code: "approval_pending",
		Reason: "Policy lets a person decide about PUT to api.github.com. A merge cannot be taken back.",
	}
	if d.At != want.At || d.Layer != want.Layer || d.Reason != want.Reason {
		t.Errorf("got %+v", d)
	}
	if d.Approvers != "groups maintainers; count 1; timeout 5m0s" {
		t.Errorf("approvers %q", d.Approvers)
	}
	d = ask(p, request(t, "GET https://pastebin.com/"), call.Decision{})
	if d.At != "p.yaml:4" || d.Reason != "Policy does not allow GET to pastebin.com in this session." {
		t.Errorf("got %+v", d)
	}
}

func TestHeadIsFinalOnlyWhenNothingCouldLetTheCallOut(t *testing.T) {
	for _, tc := range []struct {
		rules string
		final bool
	}{
		{`default: block`, true},
		{`default: allow`, false},
		{`default: hold`, false},
		{"default: block\nrules: [{name: a, to: example.com, verdict: allow}]", false},
		{"default: block\nrules: [{name: a, to: example.com, verdict: hold}]", false},
		{"default: block\nrules: [{name: a, to: example.com, path: /y, verdict: allow}]", true},
		{"default: block\nrules: [{name: a, to: example.com, finding: credential/x, verdict: allow}]", false},
		{"default: block\nrules: [{name: a, to: example.com, when: call.sent < 10, verdict: allow}]", false},
		{"default: block\nrules: [{name: a, to: example.com, when: call.method == 'PUT', verdict: allow}]", true},
		{"default: block\nrules: [{name: a, to: example.com, finding: secret/x, redact: mask}]", true},
		{"default: block\nrules: [{name: a, to: example.com, mode: observe, verdict: allow}]", true},
		{"default: allow\nrules: [{name: a, to: example.com, verdict: block}]", true},
		{"default: allow\nrules: [{name: a, to: example.com, mode: observe, verdict: block}]", false},
		{"default: allow\nrules: [{name: a, to: example.com, finding: secret/x, verdict: block}]", false},
		{"default: allow\nmode: observe\nrules: [{name: a, to: example.com, verdict: block}]", false},
		{"default: block\nmode: observe", false},
		{"default: block\nsession_types: {batch: {default: allow}}", true},
	} {
		p := mustLoad(t, "version: 1\n"+tc.rules)
		var d call.Decision
		if got := p.Head(request(t, "GET https://example.com/x"), &d); got != tc.final {
			t.Errorf("%s: final %v", tc.rules, got)
		}
	}
}

func TestModes(t *testing.T) {
	for _, tc := range []struct{ rules, want string }{
		{"mode: observe\ndefault: block", "block|default|observed"},
		{"mode: observe\ndefault: allow\nrules: [{name: a, to: example.com, verdict: hold}]", "hold|a|observed"},
		{"mode: observe\ndefault: allow\nrules: [{name: a, to: example.com, verdict: block, mode: enforce}]", "block|a|"},
		{"default: allow\nrules: [{name: a, to: example.com, verdict: block, mode: observe}]", "block|a|observed"},
		{"default: allow\nrules: [{name: a, to: example.com, verdict: block, mode: observe}, {name: b, verdict: hold}]", "hold|b|"},
		{"default: allow\nrules: [{name: a, to: example.com, verdict: block, mode: observe}, {name: b, strip_headers: [cookie]}]", "allow|default|"},
		{"default: block\nrules: [{name: a, to: example.com, verdict: allow, mode: observe}]", "block|default|"},
		{"default: allow\nrules: [{name: a, to: example.com, strip_headers: cookie, mode: observe}]", "allow|default|observed"},
		{"mode: observe\ndefault: allow\nrules: [{name: a, to: example.com, verdict: allow}]", "allow|a|"},
	} {
		p := mustLoad(t, "version: 1\n"+tc.rules)
		d := ask(p, request(t, "GET https://example.com/x"), call.Decision{})
		got := d.Verdict.String() + "|" + d.Rule + "|"
		if d.Observed {
			got += "observed"
		}
		if got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.rules, got, tc.want)
		}
	}
}

func TestUnknownIsStrict(t *testing.T) {
	sig := func(v string) call.Attr { return call.Attr{Value: v, Mark: call.Signed} }
	for _, cond := range []string{"session: batch", "agent: batch", "tool: batch", "caller: {principal: batch}",
		"caller: {role: batch}", "caller: {purpose: batch}", `when: caller.agent == "batch"`, `when: '"batch" in caller.roles'`} {
		for _, tc := range []struct {
			a            call.Attr
			allow, block bool
		}{
			{call.Attr{}, false, true},
			{claimed("batch"), false, true},
			{claimed("other"), false, true},
			{sig("batch"), true, true},
			{observed("batch"), true, true},
			{sig("other"), false, false},
		} {
			c := request(t, "GET https://example.com/")
			c.Caller = call.Caller{Type: tc.a, Agent: tc.a, Tool: tc.a, Principal: tc.a, Purpose: tc.a}
			if tc.a.Value != "" {
				c.Caller.Roles = []call.Attr{tc.a}
			}
			allow := mustLoad(t, "version: 1\ndefault: block\nrules:\n - name: a\n   verdict: allow\n   "+cond)
			if d := ask(allow, c, call.Decision{}); (d.Verdict == call.Allow) != tc.allow {
				t.Errorf("allow if %s, with %+v: %s", cond, tc.a, d.Verdict)
			}
			block := mustLoad(t, "version: 1\ndefault: allow\nrules:\n - name: a\n   verdict: block\n   "+cond)
			if d := ask(block, c, call.Decision{}); (d.Verdict == call.Block) != tc.block {
				t.Errorf("block if %s, with %+v: %s", cond, tc.a, d.Verdict)
			}
		}
	}
}

func TestClaimedSessionTypeOnlyTightens(t *testing.T) {
	p := mustLoad(t, "version: 1\ndefault: hold\nsession_types: {batch: {default: block}, lab: {default: allow}}")
	for _, tc := range []struct {
		a    call.Attr
		want call.Verdict
	}{
		{call.Attr{}, call.Hold},
		{claimed("batch"), call.Block},
		{claimed("lab"), call.Hold},
		{observed("lab"), call.Allow},
		{observed("batch"), call.Block},
	} {
		c := request(t, "GET https://example.com/")
		c.Caller.Type = tc.a
		if d := ask(p, c, call.Decision{}); d.Verdict != tc.want {
			t.Errorf("%+v: %s", tc.a, d.Verdict)
		}
	}
}

func TestUninspected(t *testing.T) {
	hard := []call.Uninspected{{Part: "body/a", Reason: "x"}}
	soft := []call.Uninspected{{Part: "body", Reason: "x", Windowed: true}}
	for _, tc := range []struct {
		rule  string
		u     []call.Uninspected
		found string
		want  call.Verdict
	}{
		{"finding: secret/*, verdict: block", nil, "", call.Allow},
		{"finding: secret/*, verdict: block", hard, "", call.Block},
		{"finding: secret/*, verdict: hold", hard, "", call.Hold},
		{"finding: secret/*, verdict: block", soft, "", call.Allow},
		{"finding: secret/*, verdict: block, uninspected: allow", hard, "", call.Allow},
		{"finding: secret/*, verdict: block, uninspected: allow", hard, "secret/x", call.Block},
		{"finding: secret/*, verdict: block, uninspected: hold", hard, "", call.Hold},
		{"finding: secret/*, verdict: block, uninspected: hold", soft, "", call.Hold},
		{"finding: {kind: secret/*, part: header/*}, verdict: block", hard, "", call.Allow},
		{"finding: {kind: secret/*, part: body/*}, verdict: block", hard, "", call.Block},
		{"finding: {kind: secret/*, part: body/a/b}, verdict: block", hard, "", call.Block},
		{"finding: {kind: secret/*, part: body/b}, verdict: block", hard, "", call.Allow},
		{"to: example.com, uninspected: block", soft, "", call.Block},
		{"to: example.com, uninspected: block", hard, "", call.Block},
		{"to: example.com, uninspected: block", nil, "", call.Allow},
		{"to: other.com, uninspected: block", hard, "", call.Allow},
		{"to: example.com, verdict: allow, uninspected: block", soft, "", call.Block},
		{"when: 'findings.exists(f, f.kind == \"a\")', verdict: block", hard, "", call.Block},
		{"when: 'findings.exists(f, f.kind == \"a\")', verdict: block, uninspected: allow", hard, "", call.Allow},
		{"finding: secret/*, redact: mask", hard, "", call.Allow},
	} {
		p := mustLoad(t, "version: 1\ndefault: allow\nrules: [{name: a, "+tc.rule+"}]")
		d := call.Decision{Uninspected: tc.u}
		if tc.found != "" {
			d.Findings = []call.Finding{found(tc.found, "body")}
		}
		if d = ask(p, request(t, "POST https://example.com/"), d); d.Verdict != tc.want {
			t.Errorf("%s with %v: %s", tc.rule, tc.u, d.Verdict)
		}
	}
	p := mustLoad(t, "version: 1\ndefault: block\nrules: [{name: a, finding: credential/x, verdict: allow}]")
	if d := ask(p, request(t, "POST https://example.com/"), call.Decision{Uninspected: hard}); d.Verdict != call.Block {
		t.Error("what was not inspected satisfied an allowing rule")
	}
}

func TestEdits(t *testing.T) {
	p := mustLoad(t, `
version: 1
default: allow
rules:
  - {name: mask, finding: "personal/*", redact: mask}
  - {name: remove, finding: personal/card, redact: remove}
  - {name: strip, strip_headers: [Cookie, x-a]}
  - {name: set, set_headers: {X-A: "1", X-B: "2"}}
  - {name: set too, set_headers: {X-B: "3"}}
  - {name: set for an agent, agent: me, set_headers: {X-C: "4"}}
  - {name: strip for an agent, agent: me, strip_headers: x-d}
`)
	a, b := found("personal/email", "body/a"), found("personal/card", "body/b")
	whole := found("personal/name", "")
	d := ask(p, request(t, "POST https://example.com/"), call.Decision{Findings: []call.Finding{a, b, whole}})
	var got []string
	for _, e := range d.Edits {
		got = append(got, string(e.Kind)+" "+e.Part+e.Name+"="+e.With+" "+e.Rule)
	}
	want := []string{
		"redact body/a=[redacted:personal/email] mask", "redact body/b= remove",
		"strip_header cookie= strip", "strip_header x-a= strip",
		"set_header x-b=2 set",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}

func TestQuarantine(t *testing.T) {
	p := mustLoad(t, "version: 1\ndefault: allow\nrules: [{name: a, finding: canary/*, quarantine: true}]")
	d := ask(p, request(t, "POST https://example.com/"), call.Decision{Findings: []call.Finding{found("canary/x", "body")}})
	if !d.Quarantine || d.Verdict != call.Block || d.Code != "quarantined" {
		t.Errorf("%+v", d)
	}
	d = ask(p, request(t, "POST https://example.com/"), call.Decision{Uninspected: []call.Uninspected{{Part: "body"}}})
	if d.Quarantine || d.Verdict != call.Block {
		t.Errorf("a doubt stopped the session: %+v", d)
	}
}

func TestGuard(t *testing.T) {
	p := mustLoad(t, `
version: 1
default: allow
destinations:
  internal: {hosts: ["*.corp.example"], cidrs: [10.0.0.0/8]}
  meta: {cidrs: [169.254.169.254/32]}
rules:
  - {name: ours, to: "@internal", verdict: allow}
  - {name: meta, to: "@meta", verdict: block}
  - {name: admin, to: {cidrs: [10.9.0.0/16]}, path: "/admin/**", verdict: block}
`)
	has := func(g *call.Guard, admit bool, s string) bool {
		if g == nil {
			return false
		}
		list := g.Refuse
		if admit {
			list = g.Admit
		}
		for _, p := range list {
			if p == netip.MustParsePrefix(s) {
				return true
			}
		}
		return false
	}
	d := ask(p, request(t, "GET https://a.corp.example/"), call.Decision{})
	if !has(d.Guard, true, "10.0.0.0/8") || !has(d.Guard, false, "169.254.169.254/32") || has(d.Guard, false, "10.9.0.0/16") || d.Guard.Rule != "meta" {
		t.Errorf("guard %+v", d.Guard)
	}
	d2 := ask(p, request(t, "GET https://b.corp.example/"), call.Decision{})
	if d.Guard != d2.Guard {
		t.Error("the guard is made anew")
	}
	d = ask(p, request(t, "GET https://other.example/admin/x"), call.Decision{})
	if has(d.Guard, true, "10.0.0.0/8") || !has(d.Guard, false, "10.9.0.0/16") {
		t.Errorf("guard %+v", d.Guard)
	}
	for _, host := range []string{"169.254.169.254", "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "0xa9fea9fe", "2852039166", "0251.0376.0251.0376", "169.254.43518"} {
		c := request(t, "GET https://example.com/")
		c.Dest.Host = host
		if d := ask(p, c, call.Decision{}); d.Verdict != call.Block || d.Rule != "meta" {
			t.Errorf("%s: %s by %s", host, d.Verdict, d.Rule)
		}
	}
	d = ask(p, request(t, "GET https://10.1.2.3/"), call.Decision{})
	if d.Rule != "ours" || !has(d.Guard, true, "10.0.0.0/8") {
		t.Errorf("%+v", d)
	}
}
