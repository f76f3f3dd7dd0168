package policy

import (
	"context"

	"outvet/call"
)

// A Policy is an immutable set of rules, safe for concurrent use.
type Policy struct{}

// Head decides what can be decided before any payload is read. It labels
// c.Dest. It reports whether d is final: a rule blocks the call whatever it
// carries, or no rule could let it out. Otherwise the payload must be read and
// Decide asked. A final decision allocates nothing beyond what it reports.
func (p *Policy) Head(c *call.Call, d *call.Decision) (final bool) { panic("not written") }

// Decide completes d for c. d.Findings and d.Uninspected hold what the
// inspectors said, c.Sent the size. It sets every other field of d.
func (p *Policy) Decide(c *call.Call, d *call.Decision) { panic("not written") }

// Wants reports whether a rule (or telemetry) asks for what inspector finds.
func (p *Policy) Wants(inspector string) bool { panic("not written") }

// Digest identifies the policy: SHA-256 of all its sources, hex.
func (p *Policy) Digest() string { panic("not written") }

// A Request is what a test, a check or an explanation asks about.
type Request struct {
	Method string
	URL    string
	Header [][2]string
	Body   string
	Caller call.Caller
}

// A Judge decides a Request by p exactly as a real call would be decided, but
// records nothing and sends nothing. Package gate has the only one.
type Judge func(ctx context.Context, p *Policy, r Request) (call.Decision, error)

// A Secret is a value that must not leave, as the policy names it.
type Secret struct {
	Name string
	Env  string   // name of an environment variable
	File string   // path of a file whose content is the secret
	List string   // path of a file with a secret a line
	Home []string // hosts where it may stand in an authentication position
}

// Secrets returns the known secrets that the policy names.
func (p *Policy) Secrets() []Secret { panic("not written") }
