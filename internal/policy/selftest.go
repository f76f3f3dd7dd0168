package policy

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"outvet/call"
)

// A TestResult is what became of one entry of tests:.
type TestResult struct {
	Name    string // as given, or the verdict and the request
	At      string // file:line
	Failure string // what was expected and what came, "" if it passed
	// Decision is what the request got.
	Decision call.Decision

	place place
}

// A test is one entry of tests:, compiled.
type test struct {
	doc  *testDoc
	want call.Verdict
	// depth is how many layers it is about: those inside its own may tighten
	// what it holds.
	depth int
}

// tests returns the tests of a layer. Those of an included preset are about the
// preset alone, so they are left out.
func (b *builder) tests(docs []*document, preset bool, layers []*layer) []test {
	var out []test
	for _, doc := range docs {
		if strings.HasPrefix(doc.file, presetPrefix) && !preset {
			continue
		}
		for i := range doc.tests {
			t := &doc.tests[i]
			if t.broken {
				continue
			}
			b.checkTest(t, layers)
			out = append(out, test{t, verdictOf(t.want), len(layers)})
		}
	}
	return out
}

func (b *builder) checkTest(t *testDoc, layers []*layer) {
	if t.rule == "" || t.rule == call.RuleDefault || t.rule == call.RuleFault {
		return
	}
	var names []string
	for _, l := range layers {
		for _, r := range l.rules {
			if r.name == t.rule {
				return
			}
			names = append(names, r.name)
		}
	}
	b.add(t.at("rule"), "unknown rule %s%s", quote(t.rule), meant(t.rule, append(names, call.RuleDefault)))
}

// Test runs the tests of the policy. Without a judge a test whose request has a
// body fails.
func (p *Policy) Test(ctx context.Context, judge Judge) []TestResult {
	out := make([]TestResult, len(p.tests))
	for i, t := range p.tests {
		out[i] = p.upTo(t.depth).test(ctx, judge, t)
	}
	return out
}

// upTo returns the policy of the outermost n layers.
func (p *Policy) upTo(n int) *Policy {
	if n >= len(p.layers) {
		return p
	}
	outer := *p
	outer.layers, outer.pool = p.layers[:n], &sync.Pool{}
	return &outer
}

func (p *Policy) test(ctx context.Context, judge Judge, t test) TestResult {
	d := t.doc
	r := TestResult{Name: d.name, place: d.at(d.want)}
	if r.At = r.place.String(); r.Name == "" {
		r.Name = d.want + " " + d.request[0] + " " + d.request[1]
	}
	if judge == nil {
		judge = judgeHead
	}
	got, err := judge(ctx, p, d.asRequest())
	if r.Decision = got; err != nil {
		r.Failure = err.Error()
		return r
	}
	r.Failure = t.compare(&got)
	return r
}

// asRequest returns the request of a test. What a test says of its caller is
// taken as observed.
func (d *testDoc) asRequest() Request {
	q := Request{Method: d.request[0], URL: d.request[1], Body: d.body}
	for _, h := range d.headers {
		q.Header = append(q.Header, [2]string{h.name, h.value})
	}
	who := &q.Caller
	who.Session, who.SessionMark = "test", call.Observed
	for _, a := range []struct {
		to *call.Attr
		v  string
	}{{&who.Type, d.sess}, {&who.Agent, d.agent}, {&who.Tool, d.tool}, {&who.Principal, d.who}} {
		if a.v != "" {
			*a.to = call.Attr{Value: a.v, Mark: call.Observed}
		}
	}
	for _, role := range d.roles {
		who.Roles = append(who.Roles, call.Attr{Value: role, Mark: call.Observed})
	}
	return q
}

// compare returns what differs from what is expected, or "".
func (t test) compare(got *call.Decision) string {
	d := t.doc
	said := fmt.Sprintf("%s by rule %s", got.Verdict, strconv.Quote(got.Rule))
	if got.At != "" {
		said += " (" + got.At + ")"
	}
	switch {
	case got.Verdict != t.want:
		return fmt.Sprintf("%s %s: expected %s, got %s", d.request[0], clip(d.request[1]), t.want, said)
	case d.rule != "" && got.Rule != d.rule:
		return fmt.Sprintf("%s %s: expected %s by rule %s, got %s", d.request[0], clip(d.request[1]), t.want, strconv.Quote(d.rule), said)
	case d.mode != "" && got.Observed != (d.mode == "observe"):
		return fmt.Sprintf("%s %s: expected mode %s, got %s", d.request[0], clip(d.request[1]), d.mode, modeOf(got.Observed))
	}
	return ""
}

func modeOf(observed bool) string {
	if observed {
		return "observe"
	}
	return "enforce"
}

// judgeHead decides a request that has no body by the policy alone: nothing is
// inspected.
func judgeHead(_ context.Context, p *Policy, r Request) (call.Decision, error) {
	if r.Body != "" {
		return call.Decision{}, errors.New("a test with a body needs the inspectors, which are not at hand here")
	}
	c, err := headCall(r)
	if err != nil {
		return call.Decision{}, err
	}
	var d call.Decision
	if !p.Head(c, &d) {
		p.Decide(c, &d)
	}
	return d, nil
}

func headCall(r Request) (*call.Call, error) {
	u, err := url.Parse(r.URL)
	if err != nil {
		return nil, fmt.Errorf("url %s: %w", quote(r.URL), err)
	}
	host, err := parseHost(u.Hostname())
	if err != nil {
		return nil, err
	}
	c := &call.Call{Listener: "api", Caller: r.Caller}
	c.Dest = call.Dest{Scheme: u.Scheme, Host: host.name, Port: 443}
	if u.Scheme == "http" || u.Scheme == "ws" {
		c.Dest.Port = 80
	}
	if u.Port() != "" {
		n, err := strconv.ParseUint(u.Port(), 10, 16)
		if err != nil {
			return nil, fmt.Errorf("url %s: port %s", quote(r.URL), quote(u.Port()))
		}
		c.Dest.Port = uint16(n)
	}
	c.Op = call.Op{Protocol: "http", Method: r.Method, Target: u.EscapedPath()}
	if c.Op.Target == "" {
		c.Op.Target = "/"
	}
	if u.Scheme == protocolDNS {
		c.Dest.Port, c.Op = 53, call.Op{Protocol: protocolDNS, Method: r.Method, Target: host.name}
	}
	if u.Scheme == "tls" {
		c.Grade, c.Op = call.Unread, call.Op{Protocol: protocolTLS, Method: "connect", Target: u.Host}
	}
	return c, nil
}
