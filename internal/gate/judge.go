package gate

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"outvet/call"
	"outvet/internal/inspect"
	"outvet/internal/policy"
	"outvet/internal/session"
)

// A nowhere log takes everything and keeps nothing.
type nowhere struct{}

func (nowhere) Write(*call.Record) error { return nil }

// Judge returns a judge that decides by the gate itself, with the inspectors
// that build gives for a policy, and records nothing.
func Judge(build func(*policy.Policy) (*inspect.Set, error)) policy.Judge {
	var last *policy.Policy
	var set *inspect.Set
	return func(ctx context.Context, p *policy.Policy, r policy.Request) (call.Decision, error) {
		if p != last {
			s, err := build(p)
			if err != nil {
				return call.Decision{}, err
			}
			last, set = p, s
		}
		_, d, err := Dry(p, set).Try(ctx, r)
		return d, err
	}
}

// Dry returns a gate that decides by p and records nothing.
func Dry(p *policy.Policy, set *inspect.Set) *Gate {
	g := &Gate{Sessions: &session.Table{}, Log: nowhere{}}
	g.rules.Store(&rules{policy: p, set: set})
	return g
}

// Try decides r as Open would and closes it at once. Nothing is sent. It
// returns the call that was decided, as the policy labelled it.
func (g *Gate) Try(ctx context.Context, r policy.Request) (*call.Call, call.Decision, error) {
	u, err := url.Parse(r.URL)
	if err != nil {
		return nil, call.Decision{}, fmt.Errorf("url %q: %w", r.URL, err)
	}
	h := http.Header{}
	for _, f := range r.Header {
		h.Add(f[0], f[1])
	}
	c, m, err := Asked(r.Method, u, h, strings.NewReader(r.Body), int64(len(r.Body)))
	if err != nil {
		return nil, call.Decision{}, err
	}
	if r.Body == "" {
		m.Body = nil
	}
	c.Listener, c.Caller = "api", r.Caller
	p := g.Open(ctx, c, m)
	p.Examine()
	if p.decided.Verdict == call.Allow { // a rule says more than the guard
		p.Located()
	}
	return c, p.decided, p.Close(call.Outcome{})
}
