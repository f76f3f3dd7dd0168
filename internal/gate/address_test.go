package gate

import (
	"testing"

	"outvet/call"
	"outvet/internal/policy"
)

func TestWhoAsksIsToldOfAnAddressThatServeWouldRefuse(t *testing.T) {
	const text = `version: 1
default: allow
destinations: {lab: {cidrs: [10.1.0.0/16], trust: internal}}
rules:
  - {name: lab, to: "@lab", verdict: allow}
  - {name: not that, to: {cidrs: [203.0.114.0/24]}, verdict: block}
`
	for _, mode := range []string{"", "mode: observe\n"} {
		g := Dry(load(t, text+mode), inspectors(t))
		for url, rule := range map[string]string{
			"http://127.0.0.1/": call.RuleAddress, "http://127.1/": call.RuleAddress, "http://0x7f000001/": call.RuleAddress, "http://2130706433/": call.RuleAddress,
			"http://[::1]/": call.RuleAddress, "http://[::ffff:10.2.0.1]/": call.RuleAddress, "http://localhost/": call.RuleAddress,
			"http://a.localhost:8080/": call.RuleAddress, "https://192.168.0.1/": call.RuleAddress, "http://100.64.0.1/": call.RuleAddress,
			"http://10.1.2.3/": "lab", "https://9.9.9.9/": "default", "https://example.com/": "default", "https://localhost.example/": "default",
		} {
			_, d, err := g.Try(t.Context(), policy.Request{Method: "GET", URL: url, Caller: call.Caller{Session: "s"}})
			if err != nil {
				t.Fatal(err)
			}
			if d.Rule != rule || (d.Verdict == call.Block) != (rule == call.RuleAddress) {
				t.Errorf("%s%s: %v by %q, want rule %q", mode, url, d.Verdict, d.Rule, rule)
			}
			if rule == call.RuleAddress && (d.At != "" || d.Code != "destination_ip_prohibited") {
				t.Errorf("%s: at %q, code %q", url, d.At, d.Code)
			}
		}
	}
}
