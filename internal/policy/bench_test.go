package policy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"outvet/call"
)

// large returns a policy of n rules of several kinds, with n hosts in a
// destination.
func large(t testing.TB, n int) *Policy {
	var b strings.Builder
	b.WriteString("version: 1\ndefault: block\ndestinations:\n  big:\n    trust: third_party\n    hosts:\n")
	for i := range n {
		fmt.Fprintf(&b, "    - h%d.big.example\n", i)
	}
	b.WriteString("  net:\n    cidrs:\n")
	for i := range n {
		fmt.Fprintf(&b, "    - 10.%d.%d.%d/32\n", i>>16, i>>8&255, i&255)
	}
	b.WriteString("rules:\n")
	for i := range n {
		switch i % 4 {
		case 0:
			fmt.Fprintf(&b, "  - {name: r%d, to: h%d.example.com, method: GET, verdict: allow}\n", i, i)
		case 1:
			fmt.Fprintf(&b, "  - {name: r%d, to: api.example.com, method: POST, path: \"/v1/o%d/{x}/items\", verdict: allow}\n", i, i)
		case 2:
			fmt.Fprintf(&b, "  - {name: r%d, to: \"*.w%d.example.com\", path: \"/a/**\", verdict: block}\n", i, i)
		case 3:
			fmt.Fprintf(&b, "  - {name: r%d, finding: secret/k%d, verdict: block}\n", i, i)
		}
	}
	b.WriteString("  - {name: big, to: \"@big\", method: [GET, POST], path: [/x, /y/**], verdict: allow}\n")
	b.WriteString("  - {name: net, to: \"@net\", verdict: allow}\n")
	return mustLoad(t, b.String())
}

func calls(t testing.TB) []*call.Call {
	return []*call.Call{
		request(t, "GET https://h0.example.com/a/b"),
		request(t, "POST https://api.example.com/v1/o1/z/items"),
		request(t, "GET https://h1.big.example/y/z"),
		request(t, "GET https://10.0.0.3/"),
	}
}

func TestDecidingAllocatesNothing(t *testing.T) {
	if racing {
		t.Skip("pools forget under the race detector")
	}
	for name, p := range map[string]*Policy{"example": mustLoad(t, example), "large": large(t, 1000)} {
		all := append(calls(t), request(t, "POST https://api.openai.com/v1/responses"), request(t, "GET https://github.com/a%20b/c"), request(t, "GET https://wiki.corp.example/a"))
		for _, c := range all {
			c.Caller.Tool = observed("create_issue")
			var d call.Decision
			run := func() {
				d = call.Decision{}
				if !p.Head(c, &d) {
					p.Decide(c, &d)
				}
			}
			run()
			if d.Verdict != call.Allow {
				continue
			}
			if name == "example" {
				c.Sent = 0 // the one expression is asked, and CEL allocates
				continue
			}
			if n := testing.AllocsPerRun(100, run); n > 0 {
				t.Errorf("%s: %s %s: %v allocations", name, c.Dest.Host, c.Op.Target, n)
			}
		}
	}
	p := mustLoad(t, strings.Split(example, "  - name: large payloads")[0])
	for _, do := range []string{"POST https://api.openai.com/v1/responses", "GET https://github.com/a%20b/c", "GET https://wiki.corp.example/a"} {
		c := request(t, do)
		var d call.Decision
		run := func() {
			d = call.Decision{}
			if !p.Head(c, &d) {
				p.Decide(c, &d)
			}
		}
		run()
		if n := testing.AllocsPerRun(100, run); n > 0 || d.Verdict != call.Allow {
			t.Errorf("%s: %s, %v allocations", do, d.Verdict, n)
		}
	}
}

func TestCostIsFlatInTheNumberOfRules(t *testing.T) {
	if testing.Short() || racing {
		t.Skip("loads a large policy")
	}
	const many = 100_000
	small, big := large(t, 10), large(t, many)
	cost := func(p *Policy) time.Duration {
		best := time.Hour
		list := calls(t)
		for range 40 {
			start := time.Now()
			for range 200 {
				for _, c := range list {
					var d call.Decision
					if !p.Head(c, &d) {
						p.Decide(c, &d)
					}
				}
			}
			best = min(best, time.Since(start))
		}
		return best / 800
	}
	a, b := cost(small), cost(big)
	t.Logf("10 rules: %v, %d: %v a call", a, many, b)
	if float64(b) > 1.5*float64(a) && b-a > time.Microsecond {
		t.Errorf("10 rules: %v, %d: %v", a, many, b)
	}
}

func BenchmarkDecide(b *testing.B) {
	for _, n := range []int{10, 1000, 100_000} {
		p, list := large(b, n), calls(b)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				c := list[i%len(list)]
				var d call.Decision
				if !p.Head(c, &d) {
					p.Decide(c, &d)
				}
			}
		})
	}
}

func BenchmarkDecideWithExpression(b *testing.B) {
	p := mustLoad(b, example)
	c := request(b, "POST https://api.openai.com/v1/responses")
	c.Sent = 20_000
	c.Caller.Provenance = []call.Source{{Source: "user", Trust: "first_party", Mark: call.Signed}}
	for b.Loop() {
		var d call.Decision
		p.Decide(c, &d)
	}
}

func BenchmarkMurkyPath(b *testing.B) {
	p := mustLoad(b, example)
	c := request(b, "POST https://api.openai.com/v1/responses")
	c.Op.Target = "/" + strings.Repeat("a%252e;b\\..%2f", 70)
	for b.Loop() {
		var d call.Decision
		p.Decide(c, &d)
	}
}
