package policy

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"outvet/call"
)

var (
	hostsDrawn = []string{"a.com", "b.a.com", "c.b.a.com", "com", "x.org", "10.0.0.1", "10.9.0.1", "192.168.0.1", "[fd00::1]",
		"xa.com", "a.com.", "A.com", "0x0a000001", "::ffff:10.0.0.1", "", "a..b", "bücher.example", "64:ff9b::a00:1"}
	hostPatterns = []string{"a.com", `"*.a.com"`, `"*.b.a.com"`, `"*.com"`, `"*"`, "x.org", "10.0.0.1", "\"fd00::1\"", "bücher.example"}
	cidrsDrawn   = []string{"10.0.0.0/8", "10.9.0.0/16", "10.0.0.1/32", "\"fd00::/8\"", "0.0.0.0/0"}
	pathsDrawn   = []string{"/", "/v1", "/v1/", "/v1/a", "/V1/A", "/v1//a", "/v1/../v2", "/v1%2fa", "/v1/%2e%2e/v2", "/v1;x/a", "/v2/b/c", "/x/y/z",
		"/v1%252fa", "/v1\\a", "/v1/a.json", "/v1/%61", "v1", "", "/%zz", "/v1/a/b/merge", "/..%2fv1/a"}
	pathPatterns = []string{"/", "/v1", "/v1/", "/v1/*", "/v1/**", "/**/a", `"/v2/{x}/c"`, "/v1/*.json", "/**", "/v1/**/merge", "/V1/a"}
	methodsDrawn = []string{"GET", "POST", "get", "tools/call", "PUT"}
	kindsDrawn   = []string{"secret/a", "secret/b", "personal/email", "odd"}
	kindPatterns = []string{"secret/*", "secret/a", "personal/*", "*", "odd", "*/a"}
)

func drawPolicy(t *rapid.T) string {
	var b strings.Builder
	pick := func(name string, from []string) string { return rapid.SampledFrom(from).Draw(t, name) }
	maybe := func(name string) bool { return rapid.Bool().Draw(t, name) }
	fmt.Fprintf(&b, "version: 1\nmode: %s\ndefault: %s\n", pick("mode", []string{"enforce", "enforce", "observe"}), pick("default", []string{"allow", "hold", "block"}))
	b.WriteString("destinations:\n")
	for i := range 3 {
		fmt.Fprintf(&b, "  d%d: {hosts: [%s, %s], cidrs: [%s]", i, pick("h", hostPatterns), pick("h", hostPatterns), pick("c", cidrsDrawn))
		if maybe("cat") {
			fmt.Fprintf(&b, ", category: %s, trust: %s", pick("cat", []string{"paste", "model"}), pick("trust", []string{"internal", "third_party"}))
		}
		if maybe("ports") {
			b.WriteString(", ports: [443]")
		}
		b.WriteString("}\n")
	}
	b.WriteString("tools: {look: {class: read_only}}\nrules:\n")
	if maybe("unread") {
		fmt.Fprintf(&b, "  - {name: n, to: [%s, \"@d1\"], tls: passthrough, verdict: allow, mode: %s}\n", pick("h", hostPatterns), pick("mode", []string{"enforce", "observe"}))
	}
	for i := range rapid.IntRange(1, 8).Draw(t, "n") {
		fmt.Fprintf(&b, "  - name: r%d\n", i)
		switch rapid.IntRange(0, 5).Draw(t, "to") {
		case 0:
			fmt.Fprintf(&b, "    to: [%s, %s]\n", pick("h", hostPatterns), pick("h", hostPatterns))
		case 1:
			fmt.Fprintf(&b, "    to: [%s, \"@d1\"]\n", pick("h", hostPatterns))
		case 2:
			fmt.Fprintf(&b, "    to: {cidrs: [%s], hosts: [%s]}\n", pick("c", cidrsDrawn), pick("h", hostPatterns))
		case 3:
			b.WriteString("    to: {category: [paste, unknown]}\n")
		case 4:
			b.WriteString("    to: [{destinations: \"@d2\", trust: third_party}, \"@d0\"]\n")
		}
		if maybe("m") {
			fmt.Fprintf(&b, "    method: [%s]\n", pick("m", methodsDrawn))
		}
		if maybe("p") {
			fmt.Fprintf(&b, "    path: [%s, %s]\n", pick("p", pathPatterns), pick("p", pathPatterns))
		}
		for _, extra := range []string{"agent: me", "session: [batch, lab]", "tool: {class: read_only}", "caller: {role: dev}", "protocol: [http, ws]",
			"when: call.port == 443", "when: call.sent > 10", "mode: observe", "mode: enforce", "strip_headers: cookie"} {
			if rapid.IntRange(0, 7).Draw(t, extra) == 0 && !strings.Contains(tail(b.String()), "    "+strings.SplitN(extra, ":", 2)[0]+":") {
				b.WriteString("    " + extra + "\n")
			}
		}
		finding := maybe("f")
		if finding {
			fmt.Fprintf(&b, "    finding: {kind: [%q, %q]}\n", pick("k", kindPatterns), pick("k", kindPatterns))
			if maybe("r") {
				b.WriteString("    redact: mask\n")
			}
		}
		if u := pick("u", []string{"", "", "hold", "block"}); u != "" {
			b.WriteString("    uninspected: " + u + "\n")
		}
		if v := pick("v", []string{"allow", "hold", "block", ""}); v != "" {
			b.WriteString("    verdict: " + v + "\n")
		} else if !strings.Contains(tail(b.String()), "strip_headers") {
			b.WriteString("    strip_headers: cookie\n")
		}
	}
	return b.String()
}

// tail returns what was written of the last rule.
func tail(s string) string { return s[strings.LastIndex(s, "- name"):] }

func drawCall(t *rapid.T) (*call.Call, call.Decision) {
	pick := func(name string, from []string) string { return rapid.SampledFrom(from).Draw(t, name) }
	attr := func(name string, values ...string) call.Attr {
		v := pick(name, append(values, ""))
		return call.Attr{Value: v, Mark: rapid.SampledFrom([]call.Mark{call.Claimed, call.Signed, call.Observed}).Draw(t, name)}
	}
	c := &call.Call{Sent: int64(rapid.IntRange(-1, 20).Draw(t, "sent"))}
	c.Dest = call.Dest{Host: pick("host", hostsDrawn), Port: uint16(rapid.SampledFrom([]int{80, 443}).Draw(t, "port")), Scheme: "https"}
	if rapid.IntRange(0, 5).Draw(t, "addrs") == 0 {
		c.Dest.Addrs = []netip.Addr{netip.MustParseAddr("10.9.1.1")}
	}
	c.Op = call.Op{Protocol: pick("proto", []string{"http", "http", "grpc", "connect", "mcp", "tls", "tls"}), Method: pick("method", methodsDrawn), Target: pick("path", pathsDrawn)}
	c.Caller = call.Caller{Type: attr("type", "batch", "x"), Agent: attr("agent", "me", "you"), Tool: attr("tool", "look", "odd"), Roles: []call.Attr{attr("role", "dev", "ops")}}
	var d call.Decision
	for range rapid.IntRange(0, 2).Draw(t, "findings") {
		d.Findings = append(d.Findings, call.Finding{Kind: pick("kind", kindsDrawn), Place: call.Place{Part: "body/x"}, Score: 1})
	}
	if rapid.IntRange(0, 3).Draw(t, "unins") == 0 {
		d.Uninspected = append(d.Uninspected, call.Uninspected{Part: "body", Windowed: rapid.Bool().Draw(t, "windowed")})
	}
	return c, d
}

// naive decides by asking every rule in turn, without any index.
func naive(p *Policy, c *call.Call, d *call.Decision) {
	e := p.begin(c, d, false)
	defer e.end()
	if e.broken {
		e.unreadable()
		return
	}
	for i, l := range p.layers {
		e.layer, e.state = l, &e.states[i]
		e.locate(l.index)
		e.label(i)
		for _, d := range l.destinations {
			if d.lent && d.port(c.Dest.Port) && e.among(&rule{}, d.hosts, d.cidrs) == yes {
				e.state.away = true
			}
		}
		for _, r := range l.rules {
			x := e.explain(r)
			if !x.Matched {
				continue
			}
			v, _ := e.outcome(r)
			for _, f := range x.Fields {
				v.sure = v.sure && (f.Answer == yes.String() || f.Name == "finding")
			}
			e.sure = true
			v.sure = v.sure && e.exactly(r)
			e.speak(r, v)
			e.named = e.named || r.names()
			if r.edits() {
				t := yes
				for _, f := range x.Fields {
					for _, other := range []truth{no, unknown, alleged} {
						// How the place was read does not count against an edit.
						if f.Answer == other.String() && f.Name != "to" && (f.Name != "path" || e.unread) && f.Name != "finding" {
							t = min(t, other)
						}
					}
				}
				e.edits = insert(e.edits, editor{r, t})
			}
		}
	}
	if e.unread && !e.named {
		e.unnamed()
		return
	}
	e.decide()
}

func TestIndexDecidesAsAskingEveryRuleDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := drawPolicy(t)
		p, err := Load(t.Context(), Options{Text: []byte(text)})
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		for range 20 {
			c, d := drawCall(t)
			c1, d1, c2, d2 := *c, d, *c, d
			p.Decide(&c1, &d1)
			naive(p, &c2, &d2)
			d1.Guard, d2.Guard = nil, nil
			if a, b := fmt.Sprintf("%+v %+v", d1, c1.Dest), fmt.Sprintf("%+v %+v", d2, c2.Dest); a != b {
				t.Fatalf("%s\n%+v\nfound %+v, uninspected %+v\nindex %s\nnaive %s", text, c, d.Findings, d.Uninspected, a, b)
			}
			c3, d3 := *c, d
			if p.Head(&c3, &d3) && d1.Verdict != call.Block {
				t.Fatalf("%s\n%+v\nthe head blocks, but all of it gets %s by %s", text, c, d1.Verdict, d1.Rule)
			}
		}
	})
}
