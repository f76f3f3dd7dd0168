package policy

import (
	"testing"

	"outvet/call"
)

func loadLayers(t *testing.T, texts ...string) *Policy {
	t.Helper()
	names := []string{"organisation", "team", "repository", "session"}
	var o Options
	for i, text := range texts {
		o.Layers = append(o.Layers, Source{Layer: names[i], Name: names[i] + ".yaml", Text: []byte("version: 1\n" + text)})
	}
	p, err := Load(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestInnerLayersOnlyTighten(t *testing.T) {
	for _, tc := range []struct {
		name, outer, inner, want string
	}{
		{"an allow does not override an outer default", "default: block", "rules: [{name: a, to: x.example, verdict: allow}]", "block|default|organisation"},
		{"an allow does not override an outer block", "default: allow\nrules: [{name: o, to: x.example, verdict: block}]", "rules: [{name: a, to: x.example, verdict: allow}]", "block|o|organisation"},
		{"an allow does not override an outer hold", "default: allow\nrules: [{name: o, to: x.example, verdict: hold}]", "default: allow\nrules: [{name: a, to: x.example, verdict: allow}]", "hold|o|organisation"},
		{"a block adds to an outer allow", "default: block\nrules: [{name: o, to: x.example, verdict: allow}]", "rules: [{name: a, to: x.example, verdict: block}]", "block|a|team"},
		{"a default adds to an outer allow", "default: allow", "default: block", "block|default|team"},
		{"no default abstains", "default: allow", "rules: [{name: a, to: y.example, verdict: allow}]", "allow|default|organisation"},
		{"observe of an inner layer does not reach the outer", "default: block", "mode: observe\ndefault: allow", "block|default|organisation"},
		{"a delegated destination is decided within", "default: block\ndelegate: '@d'\ndestinations: {d: {hosts: x.example}}", "rules: [{name: a, to: x.example, verdict: allow}]", "allow|a|team"},
		{"a delegated destination nobody decides keeps the default", "default: block\ndelegate: '@d'\ndestinations: {d: {hosts: x.example}}", "rules: [{name: a, to: y.example, verdict: allow}]", "block|default|organisation"},
		{"delegating one destination delegates no other", "default: block\ndelegate: '@d'\ndestinations: {d: {hosts: z.example}}", "rules: [{name: a, to: x.example, verdict: allow}]", "block|default|organisation"},
		{"a delegated rule is replaced", "default: allow\ndelegate: o\nrules: [{name: o, to: x.example, verdict: hold}]", "rules: [{name: a, to: x.example, verdict: allow}]", "allow|a|team"},
		{"a delegated rule nobody replaces stands", "default: allow\ndelegate: o\nrules: [{name: o, to: x.example, verdict: hold}]", "rules: [{name: a, to: y.example, verdict: allow}]", "hold|o|organisation"},
		{"delegating one rule delegates no other", "default: allow\ndelegate: o\nrules: [{name: o, to: x.example, verdict: hold}, {name: p, verdict: block}]", "rules: [{name: a, to: x.example, verdict: allow}]", "block|p|organisation"},
		{"an inner layer uses outer destinations", "default: allow\ndestinations: {d: {hosts: x.example}}", "rules: [{name: a, to: '@d', verdict: block}]", "block|a|team"},
		{"an inner layer cannot relabel for the outer", "default: allow\nrules: [{name: o, to: {trust: unknown}, verdict: block}]", "destinations: {d: {hosts: x.example, trust: internal}}", "block|o|organisation"},
		{"an inner session type cannot loosen", "default: block", "session_types: {batch: {default: allow}}", "block|default|organisation"},
		{"a doubtful inner rule replaces nothing", "default: block\ndelegate: '@d'\ndestinations: {d: {hosts: x.example}}", "rules: [{name: a, to: x.example, agent: me, verdict: hold}]", "block|default|organisation"},
	} {
		p := loadLayers(t, tc.outer, tc.inner)
		c := request(t, "GET https://x.example/")
		d := ask(p, c, call.Decision{})
		if got := d.Verdict.String() + "|" + d.Rule + "|" + d.Layer; got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.name, got, tc.want)
		}
		var full call.Decision
		p.Decide(c, &full)
		if full.Verdict != d.Verdict {
			t.Errorf("%s: the head says %s, all says %s", tc.name, d.Verdict, full.Verdict)
		}
	}
}

func TestInnerLayersGiveNoHome(t *testing.T) {
	p := loadLayers(t, "default: allow",
		"destinations: {evil: {hosts: x.example, cidrs: [10.0.0.0/8], credentials: github, trust: internal, category: model}}\n"+
			"rules: [{name: a, to: '@evil', verdict: allow}]\nsecrets: [{name: s, env: GITHUB_TOKEN, home: x.example}]")
	c := request(t, "GET https://x.example/")
	d := ask(p, c, call.Decision{})
	if len(c.Dest.Credentials) > 0 || c.Dest.Trust != Unlabelled || c.Dest.Category != Unlabelled {
		t.Errorf("labels of an inner layer count outside: %+v", c.Dest)
	}
	if d.Guard != nil {
		t.Errorf("an inner layer opens addresses: %+v", d.Guard)
	}
	if s := p.Secrets(); len(s) != 1 || s[0].Home != nil {
		t.Errorf("secrets %+v", s)
	}
}

func TestThreeLayers(t *testing.T) {
	p := loadLayers(t,
		"default: block\ndelegate: '@free'\ndestinations: {free: {hosts: '*.free.example'}}\nrules: [{name: org, to: ok.example, verdict: allow}]",
		"rules: [{name: team, to: [a.free.example, ok.example], verdict: allow}]",
		"rules: [{name: repo, to: a.free.example, method: POST, verdict: block}]")
	for do, want := range map[string]string{
		"GET https://ok.example/": "org", "GET https://a.free.example/": "team",
		"POST https://a.free.example/": "repo", "GET https://b.free.example/": "default",
	} {
		if d := ask(p, request(t, do), call.Decision{}); d.Rule != want {
			t.Errorf("%s: by %s, want %s", do, d.Rule, want)
		}
	}
}

func TestLabels(t *testing.T) {
	p := mustLoad(t, `
version: 1
default: allow
destinations:
  all: {hosts: "*.a.example", category: docs, trust: third_party, credentials: wide}
  one: {hosts: x.a.example, trust: internal, credentials: [near, far]}
  net: {cidrs: [10.0.0.0/8], trust: internal}
  sub: {cidrs: [10.1.0.0/16], trust: first_party}
  two: {hosts: y.a.example, trust: internal}
  two again: {hosts: y.a.example, trust: third_party}
  port: {hosts: z.a.example, ports: [8443], trust: internal}
  own: {hosts: api.openai.com, category: ours}
`)
	for do, want := range map[string]string{
		"GET https://x.a.example/":                      "docs internal [near far wide]",
		"GET https://q.a.example/":                      "docs third_party [wide]",
		"GET https://a.example/":                        "unknown unknown []",
		"GET https://10.0.0.1/":                         "unknown internal []",
		"GET https://10.1.0.1/":                         "unknown first_party []",
		"GET https://y.a.example/":                      "docs third_party [wide]",
		"GET https://z.a.example/":                      "docs third_party [wide]",
		"GET https://z.a.example:8443/":                 "docs internal [wide]",
		"GET https://api.openai.com/":                   "ours unknown []",
		"GET https://api.anthropic.com/":                "model unknown []",
		"GET https://discord.com/x":                     "messaging unknown []",
		"GET https://discord.com/api/webhooks/1":        "webhook unknown []",
		"GET https://discord.com/API//Webhooks/1":       "webhook unknown []",
		"GET https://discord.com/api/x/%2e%2e/webhooks": "webhook unknown []",
		"GET https://a.b.trycloudflare.com/":            "tunnel unknown []",
		"GET https://trycloudflare.com.evil.example/":   "unknown unknown []",
		"GET http://169.254.169.254/":                   "metadata unknown []",
	} {
		c := request(t, do)
		ask(p, c, call.Decision{})
		got := c.Dest.Category + " " + c.Dest.Trust + " ["
		for i, s := range c.Dest.Credentials {
			if i > 0 {
				got += " "
			}
			got += s
		}
		if got += "]"; got != want {
			t.Errorf("%s: %s, want %s", do, got, want)
		}
	}
}

func TestTheShippedTableIsWellFormed(t *testing.T) {
	known := map[string]bool{"model": true, "search": true, "documentation": true, "code_hosting": true, "registry": true, "cloud_storage": true,
		"messaging": true, "paste": true, "file_drop": true, "webhook": true, "callback": true, "resolver": true, "tunnel": true, "telemetry": true, "metadata": true, "identity": true}
	n := 0
	for host, marks := range categories() {
		h, err := parseHost(host)
		if err != nil || h.name != host {
			t.Errorf("%s: %v, canonical %s", host, err, h.name)
		}
		seen := map[string]bool{}
		for _, m := range marks {
			n++
			if !known[m.category] {
				t.Errorf("%s: category %s", host, m.category)
			}
			if seen[m.path] {
				t.Errorf("%s%s stands twice", host, m.path)
			}
			seen[m.path] = true
			if m.path != lower(m.path) {
				t.Errorf("%s%s is not in lower case", host, m.path)
			}
		}
	}
	if n < 400 {
		t.Errorf("%d entries", n)
	}
}

func TestHostsAreReadAsResolversReadThem(t *testing.T) {
	p := mustLoad(t, `
version: 1
default: block
rules:
  - {name: name, to: [a.example, "BÜCHER.example"], verdict: allow}
  - {name: below, to: "*.b.example", verdict: allow}
  - {name: addr, to: ["192.0.2.1", "2001:db8::1"], verdict: allow}
`)
	for host, want := range map[string]string{
		"a.example": "name", "A.Example": "name", "a.example.": "name", "xn--bcher-kva.example": "name", "bücher.example": "name",
		"x.b.example": "below", "x.y.b.example": "below", "X.B.EXAMPLE.": "below", "b.example": "default", ".b.example": "default", "xb.example": "default",
		"a.example.evil.test": "default", "evil-a.example": "default", "a.example\x00.evil.test": "default", "a.example/x": "default", "a.example:80": "default",
		"192.0.2.1": "addr", "2001:db8::1": "addr", "[2001:db8::1]": "addr", "2001:DB8:0::1": "addr", "::ffff:192.0.2.1": "addr",
		"0xc0000201": "default", "192.0.513": "default", "2001:db8::1%eth0": "addr", "a..example": "default", " a.example": "default", "ａ.example": "name",
	} {
		c := request(t, "GET https://x.example/")
		c.Dest.Host = host
		if d := ask(p, c, call.Decision{}); d.Rule != want {
			t.Errorf("%q: by %s, want %s", host, d.Rule, want)
		}
	}
}

func TestReasonsRepeatNoData(t *testing.T) {
	p := mustLoad(t, "version: 1\ndefault: block")
	for host, want := range map[string]string{
		"api.example.com": "Policy does not allow GET to api.example.com in this session.",
		"aklaiosfodnn7example12345678.evil.example": "Policy does not allow GET to a name below evil.example in this session.",
		"9f86d081884c7d65.x.evil.example":           "Policy does not allow GET to a name below evil.example in this session.",
	} {
		c := request(t, "GET https://"+host+"/")
		if d := ask(p, c, call.Decision{}); d.Reason != want {
			t.Errorf("%s: %s", host, d.Reason)
		}
	}
	q := mustLoad(t, "version: 1\ndefault: allow\nrules: [{name: a, finding: secret/*, verdict: block}]")
	d := ask(q, request(t, "GET https://api.example.com/"), call.Decision{Findings: []call.Finding{found("secret/aws", "host")}})
	if d.Reason != "Policy does not allow GET to this destination because it contains a secret (aws)." {
		t.Error(d.Reason)
	}
}
