package policy

import (
	"strings"
	"testing"

	"outvet/call"
)

// unread makes a call of TLS to host that is not read, as the gate describes it.
func unread(t testing.TB, host string) *call.Call {
	t.Helper()
	c := request(t, "CONNECT tls://"+host)
	c.Sent = -1
	return c
}

// hidden is the decision so far: nothing was read.
func hidden(found ...call.Finding) call.Decision {
	return call.Decision{Findings: found, Uninspected: []call.Uninspected{{Part: "tls", Reason: "unread"}}}
}

const naming = "rules:\n  - {name: pinned, to: [pin.example, \"*.pin.example\"], tls: passthrough, verdict: allow}\n"

// TestWhatPassesUnread is the table of doc.go.
func TestWhatPassesUnread(t *testing.T) {
	host := found("secret/aws", "host")
	for _, tc := range []struct {
		name, policy, host, want string
		found                    []call.Finding
	}{
		{"a host that is named", naming, "pin.example", "allow|pinned", nil},
		{"a host below it", naming, "a.b.pin.example", "allow|pinned", nil},
		{"another host", naming, "other.example", "block|default", nil},
		{"another host by a default that allows", "default: allow\n" + naming, "other.example", "block|default", nil},
		{"another host in observe mode", "mode: observe\n" + naming, "other.example", "block|default", nil},
		{"a host that an ordinary rule allows", "rules: [{name: a, to: pin.example, verdict: allow}]", "pin.example", "block|default", nil},
		{"a host that a rule about the protocol allows", "rules: [{name: a, to: pin.example, protocol: tls, verdict: allow}]", "pin.example", "block|default", nil},
		{"a rule that observes", strings.Replace(naming, "tls:", "mode: observe, tls:", 1), "pin.example", "block|default", nil},
		{"a policy that observes", "mode: observe\n" + naming, "pin.example", "allow|pinned", nil},
		{"another port", strings.Replace(naming, "tls:", "port: 443, tls:", 1), "pin.example:8443", "block|default", nil},
		{"a claimed agent", strings.Replace(naming, "tls:", "agent: me, tls:", 1), "pin.example", "block|default", nil},
		{"secrets are not looked for", "include: preset:core\n" + naming, "pin.example", "allow|pinned", nil},
		{"a secret in the name of the host", "include: preset:core\n" + naming, "pin.example", "block|no secrets out", []call.Finding{host}},
		{"uninspected", naming + "  - {name: u, uninspected: block}", "pin.example", "allow|pinned", nil},
		{"findings in an expression", naming + "  - {name: u, when: \"findings.exists(f, f.kind == 'x')\", verdict: block}", "pin.example", "allow|pinned", nil},
		{"size in an expression", naming + "  - {name: u, when: \"call.sent > 16384\", verdict: hold}", "pin.example", "allow|pinned", nil},
		{"blocked by destination", naming + "  - {name: b, to: a.pin.example, verdict: block}", "a.pin.example", "block|b", nil},
		{"blocked elsewhere", naming + "  - {name: b, to: a.pin.example, verdict: block}", "b.pin.example", "allow|pinned", nil},
		{"held by destination", naming + "  - {name: h, to: pin.example, verdict: hold}", "pin.example", "hold|h", nil},
		{"blocked by protocol", naming + "  - {name: b, protocol: tls, verdict: block}", "pin.example", "block|b", nil},
		{"raw connections are blocked", naming + "  - {name: b, protocol: [tcp, dns], verdict: block}", "pin.example", "allow|pinned", nil},
		{"http is blocked", naming + "  - {name: b, protocol: http, verdict: block}", "pin.example", "block|b", nil},
		{"https is blocked", naming + "  - {name: b, scheme: https, verdict: block}", "pin.example", "block|b", nil},
		{"http in the clear is blocked", naming + "  - {name: b, scheme: http, verdict: block}", "pin.example", "allow|pinned", nil},
		{"a method is blocked", naming + "  - {name: b, method: DELETE, verdict: block}", "pin.example", "block|b", nil},
		{"a path is held", naming + "  - {name: h, to: pin.example, path: /a/**, verdict: hold}", "pin.example", "hold|h", nil},
		{"a path is blocked elsewhere", naming + "  - {name: h, to: other.example, path: /a/**, verdict: block}", "pin.example", "allow|pinned", nil},
		{"a method in an expression", naming + "  - {name: b, when: \"call.method == 'DELETE'\", verdict: block}", "pin.example", "block|b", nil},
		{"a path in an expression", naming + "  - {name: b, when: \"call.path.startsWith('/a')\", verdict: block}", "pin.example", "block|b", nil},
		{"the destination in an expression", naming + "  - {name: b, when: \"call.host.endsWith('other.example')\", verdict: block}", "pin.example", "allow|pinned", nil},
		{"a method that would quarantine", naming + "  - {name: b, method: DELETE, quarantine: true}", "pin.example", "block|b", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := mustLoad(t, "version: 1\n"+tc.policy)
			c := unread(t, tc.host)
			d := ask(p, c, hidden(tc.found...))
			if got := d.Verdict.String() + "|" + d.Rule; got != tc.want || d.Observed || d.Quarantine {
				t.Errorf("%s, want %s: %+v", got, tc.want, d)
			}
			if len(d.Uninspected) != 1 {
				t.Errorf("the decision lost what was not read: %+v", d)
			}
			if foreseen := p.Unread(unread(t, tc.host)); foreseen != (d.Verdict == call.Allow) && tc.found == nil {
				t.Errorf("it foresees %v", foreseen)
			}
			var full call.Decision
			if p.Decide(c, &full); full.Verdict != d.Verdict && tc.found == nil {
				t.Errorf("the head says %s, all says %s", d.Verdict, full.Verdict)
			}
			x := p.Explain(c, hidden(tc.found...))
			for _, r := range x.Rules {
				if r.Rule == d.Rule && !r.Matched {
					t.Errorf("explain says that %s did not match: %+v", r.Rule, r)
				}
			}
		})
	}
}

func TestAnObservedRefusalLetsNamedTLSPass(t *testing.T) {
	p := mustLoad(t, "version: 1\nmode: observe\n"+naming+"  - {name: b, to: pin.example, verdict: block}")
	c := unread(t, "pin.example")
	d := ask(p, c, hidden())
	if d.Rule != "b" || !d.Observed || !p.Unread(c) {
		t.Errorf("%+v", d)
	}
}

func TestARuleThatPassesTLSAllowsNothingElse(t *testing.T) {
	p := mustLoad(t, "version: 1\n"+naming)
	for _, do := range []string{"GET https://pin.example/", "GET http://pin.example/"} {
		if d := ask(p, request(t, do), call.Decision{}); d.Verdict != call.Block {
			t.Errorf("%s: %+v", do, d)
		}
	}
	c := request(t, "GET https://pin.example/")
	c.Op = call.Op{Protocol: "tcp", Method: "connect", Target: "pin.example:443"}
	if d := ask(p, c, call.Decision{}); d.Verdict != call.Block {
		t.Errorf("tcp: %+v", d)
	}
}

func TestOnlyTheOutermostLayerNames(t *testing.T) {
	for _, tc := range []struct{ name, outer, inner, want string }{
		{"the inner names", "default: allow", naming, "block|default|"},
		{"the inner names what is delegated", "default: block\ndelegate: '@d'\ndestinations: {d: {hosts: pin.example}}", naming, "block|default|"},
		{"the outer names", naming, "mode: enforce", "allow|pinned|organisation"},
		{"the inner has a default", naming, "default: block", "block|default|team"},
		{"the inner allows the host", naming, "default: block\nrules: [{name: a, to: pin.example, verdict: allow}]", "allow|pinned|organisation"},
		{"the inner allows a method", naming, "default: block\nrules: [{name: a, to: pin.example, method: GET, verdict: allow}]", "block|default|team"},
		{"the inner allows small calls", naming, "default: block\nrules: [{name: a, to: pin.example, when: \"call.sent < 10\", verdict: allow}]", "block|default|team"},
		{"the inner allows calls without findings", naming, "default: block\nrules: [{name: a, to: pin.example, when: \"findings.size() == 0\", verdict: allow}]", "block|default|team"},
		{"both name", naming, "default: block\n" + naming, "allow|pinned|organisation"},
		{"the inner looks for secrets", naming, "include: preset:core", "allow|pinned|organisation"},
		{"the inner wants nothing unread", naming, "rules: [{name: n, protocol: tls, verdict: block}]", "block|n|team"},
	} {
		p := loadLayers(t, tc.outer, tc.inner)
		d := ask(p, unread(t, "pin.example"), hidden())
		if got := d.Verdict.String() + "|" + d.Rule + "|" + d.Layer; got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.name, got, tc.want)
		}
	}
}

func TestLintSaysWhatPassesUnread(t *testing.T) {
	for _, tc := range []struct{ policy, want string }{
		{"include: preset:core\n" + naming, `what passes unread is not seen by rules "no secrets out", "no DNS over HTTPS"`},
		{naming + "  - {name: s, to: x.pin.example, strip_headers: cookie}", `not seen by rule "s"`},
		{naming + "  - {name: s, to: other.example, finding: secret/*, verdict: block}", ""},
		{naming + "  - {name: m, to: \"*\", method: DELETE, verdict: hold}", `where rule "m" matches nothing passes unread`},
		{"rules: [{name: w, to: \"*\", tls: passthrough, verdict: allow}]", `its to: is "*"`},
		{"rules: [{name: w, to: \"*.co.uk\", tls: passthrough, verdict: allow}]", "below co.uk"},
		{"rules: [{name: w, to: {category: model}, tls: passthrough, verdict: allow}]", "every destination of a category"},
		{"rules: [{name: w, to: {cidrs: 10.0.0.0/8}, tls: passthrough, verdict: allow}]", "TLS to all of 10.0.0.0/8"},
		{"rules: [{name: w, to: {cidrs: 10.0.0.0/24}, tls: passthrough, verdict: allow}]", ""},
		{"rules: [{name: w, to: pin.example, mode: observe, tls: passthrough, verdict: allow}]", "a rule that observes"},
		{"default: allow\n" + naming, ""},
		{naming + "  - {name: also, to: pin.example, verdict: allow}", ""},
	} {
		text := "version: 1\n" + tc.policy + "\ntests: [{block: \"GET https://a.example/\"}, {allow: \"CONNECT tls://pin.example\"}]"
		p, err := Load(t.Context(), Options{Text: []byte(text), Name: "p.yaml", Untested: true})
		if err != nil {
			t.Fatal(err)
		}
		var said []string
		for _, one := range p.Lint() {
			said = append(said, one.Message)
		}
		all := strings.Join(said, "\n")
		if tc.want == "" && all != "" || !strings.Contains(all, tc.want) {
			t.Errorf("%s\n said %q, want %q", tc.policy, all, tc.want)
		}
	}
	l := loadLayers(t, "default: allow", naming).Lint()
	if len(l) == 0 || !strings.Contains(l[0].Message+l[len(l)-1].Message, "only the outermost") {
		t.Errorf("%+v", l)
	}
}

func TestPoliciesThatPassNothingUnreadPayNothingForIt(t *testing.T) {
	p := mustLoad(t, "version: 1\ninclude: preset:core")
	c := unread(t, "pin.example")
	if n := testing.AllocsPerRun(100, func() { p.Unread(c) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
