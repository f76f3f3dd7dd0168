package policy

import (
	"testing"

	"outvet/call"
)

func asksFor(kind, name string) *call.Call {
	return &call.Call{Listener: "dns", Caller: call.Caller{Session: "s", SessionMark: call.Observed},
		Dest: call.Dest{Scheme: "dns", Host: name, Port: 53}, Op: call.Op{Protocol: "dns", Method: kind, Target: name}}
}

func decided(p *Policy, c *call.Call, found ...string) call.Decision {
	d := call.Decision{}
	for _, k := range found {
		d.Findings = append(d.Findings, call.Finding{Inspector: "dns", Kind: k, Score: 0.95, Place: call.Place{Part: "host"}})
	}
	if len(found) > 0 || !p.Head(c, &d) {
		p.Decide(c, &d)
	}
	return d
}

const lookups = `version: 1
default: block
destinations:
  labelled: {hosts: [labelled.example], category: model}
rules:
  - {name: read, to: read.example, method: GET, path: /docs/**, verdict: allow}
  - {name: port, to: port.example, port: 22, protocol: tcp, verdict: allow}
  - {name: pass, to: pass.example, tls: passthrough, verdict: allow}
  - {name: held, to: held.example, method: POST, verdict: hold}
  - {name: when, to: when.example, when: 'call.path == "/x"', verdict: allow}
  - {name: agent, to: agent.example, agent: builder, verdict: allow}
  - {name: never, to: agents.example, when: 'call.host == "other.example"', verdict: allow}
  - {name: part, to: [part.example, "*.part.example"], verdict: allow}
  - {name: no writes, to: part.example, method: POST, verdict: block}
  - {name: no shop, to: shop.part.example, verdict: block}
  - {name: by label, to: {category: model}, method: POST, verdict: allow}
  - {name: edits, to: edits.example, strip_headers: cookie}
  - {name: types, to: types.example, protocol: dns, method: [TXT, MX], verdict: allow}
  - {name: no aaaa, to: part.example, protocol: dns, method: AAAA, verdict: block}
  - {name: tunnels, finding: {kind: "dns/tunnel", score: 0.9}, quarantine: true}
`

func TestALookUpIsRefusedOnlyWhereAnyConnectionWouldBe(t *testing.T) {
	p := mustLoad(t, lookups)
	for _, tc := range []struct{ kind, name, verdict, rule string }{
		{"A", "read.example", "allow", "read"},
		{"AAAA", "read.example", "allow", "read"},
		{"HTTPS", "read.example", "allow", "read"},
		{"A", "port.example", "allow", "port"},
		{"A", "pass.example", "allow", "pass"},
		{"A", "held.example", "allow", "held"},
		{"A", "when.example", "allow", "when"},
		{"A", "agent.example", "allow", "agent"},
		{"A", "agents.example", "block", "default"},
		{"A", "labelled.example", "allow", "by label"},
		{"A", "part.example", "allow", "part"},
		{"AAAA", "part.example", "block", "no aaaa"},
		{"A", "shop.part.example", "block", "no shop"},
		{"A", "edits.example", "block", "default"},
		{"A", "types.example", "block", "default"},
		{"A", "other.example", "block", "default"},
	} {
		d := decided(p, asksFor(tc.kind, tc.name))
		if d.Verdict.String() != tc.verdict || d.Rule != tc.rule {
			t.Errorf("%s %s: %s by %q, want %s by %q", tc.kind, tc.name, d.Verdict, d.Rule, tc.verdict, tc.rule)
		}
	}
}

func TestOtherTypesLeaveOnlyByARuleThatNamesThem(t *testing.T) {
	for _, tc := range []struct{ rules, kind, verdict string }{
		{"", "TXT", "block"},
		{"- {name: r, verdict: allow}", "TXT", "block"},
		{"- {name: r, to: \"*\", verdict: allow}", "TXT", "block"},
		{"- {name: r, to: origin.example, method: GET, verdict: allow}", "TXT", "block"},
		{"- {name: r, to: origin.example, protocol: http, verdict: allow}", "TXT", "block"},
		{"- {name: r, to: origin.example, verdict: allow}", "TXT", "allow"},
		{"- {name: r, to: \"*.example\", verdict: allow}", "MX", "allow"},
		{"- {name: r, to: origin.example, protocol: dns, method: TXT, verdict: allow}", "TXT", "allow"},
		{"- {name: r, to: origin.example, protocol: dns, method: TXT, verdict: allow}", "MX", "block"},
		{"- {name: r, protocol: dns, verdict: allow}", "NAPTR", "allow"},
		{"- {name: r, to: \"*\", protocol: dns, verdict: hold}", "TXT", "hold"},
		{"- {name: r, to: \"*\", verdict: hold}", "TXT", "block"},
		{"- {name: r, to: origin.example, verdict: allow}\n  - {name: b, to: \"*\", protocol: dns, verdict: block}", "TXT", "block"},
	} {
		for _, fallback := range []string{"block", "allow"} {
			text := "version: 1\ndefault: " + fallback + "\n"
			if tc.rules != "" {
				text += "rules:\n  " + tc.rules + "\n"
			}
			if d := decided(mustLoad(t, text), asksFor(tc.kind, "origin.example")); d.Verdict.String() != tc.verdict || d.Observed {
				t.Errorf("default %s, %s: %s is %s by %q, want %s", fallback, tc.rules, tc.kind, d.Verdict, d.Rule, tc.verdict)
			}
		}
	}
	if d := decided(mustLoad(t, "version: 1\nmode: observe\ndefault: allow\n"), asksFor("TXT", "origin.example")); !d.Observed || d.Verdict != call.Block {
		t.Errorf("where all is observed: %+v", d)
	}
}

// A hold admits the look-up of a host that it names, since nobody could ask a
// person otherwise. One that names nobody would let out any name.
func TestWhatIsHeldByNameIsLookedUp(t *testing.T) {
	for policy, want := range map[string]call.Verdict{
		"default: hold\n": call.Block,
		"default: block\nrules:\n  - {name: h, to: \"*\", verdict: hold}\n":              call.Block,
		"default: block\nrules:\n  - {name: h, method: POST, verdict: hold}\n":           call.Block,
		"default: block\nrules:\n  - {name: h, to: origin.example, verdict: hold}\n":     call.Allow,
		"default: block\nrules:\n  - {name: h, to: \"*.example\", verdict: hold}\n":      call.Allow,
		"default: allow\nrules:\n  - {name: h, to: \"*\", method: PUT, verdict: hold}\n": call.Allow,
	} {
		if d := decided(mustLoad(t, "version: 1\n"+policy), asksFor("A", "origin.example")); d.Verdict != want {
			t.Errorf("%s: %s by %q, want %s", policy, d.Verdict, d.Rule, want)
		}
	}
}

func TestAFindingInANameCountsAndStopsTheSession(t *testing.T) {
	p := mustLoad(t, lookups)
	for _, name := range []string{"read.example", "other.example"} {
		if d := decided(p, asksFor("A", name), "dns/tunnel"); d.Verdict != call.Block || !d.Quarantine {
			t.Errorf("%s: %+v", name, d)
		}
	}
	if d := decided(p, asksFor("A", "read.example"), "dns/other"); d.Verdict != call.Allow {
		t.Errorf("a finding that no rule asks for: %+v", d)
	}
}

func TestNamedIsWhatThePolicyNames(t *testing.T) {
	p := mustLoad(t, lookups)
	for name, want := range map[string]bool{"read.example": true, "held.example": true, "labelled.example": true, "a.b.part.example": true, "shop.part.example": true, "edits.example": true, "other.example": false, "example": false} {
		c := asksFor("A", name)
		decided(p, c)
		if c.Dest.Named != want {
			t.Errorf("%s: Named is %v", name, c.Dest.Named)
		}
	}
}

func TestQueriesCanBeTested(t *testing.T) {
	p := mustLoad(t, "version: 1\nrules:\n  - {name: r, to: a.example, protocol: dns, method: MX, verdict: allow}\ntests:\n  - {allow: \"MX dns://a.example\", rule: r}\n  - {block: \"TXT dns://a.example\"}\n")
	for _, r := range p.Test(t.Context(), nil) {
		if r.Failure != "" {
			t.Error(r.Failure)
		}
	}
}
