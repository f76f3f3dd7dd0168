package policy

import (
	"context"
	"strings"
	"sync"

	"outvet/call"
)

// A Policy is an immutable set of rules, safe for concurrent use.
type Policy struct {
	layers  []*layer // outermost first
	digest  string
	seen    string // fingerprint of files as they were read
	files   []string
	secrets []Secret
	tests   []test
	wants   wants
	sets    *addressSets
	pool    *sync.Pool // of *eval
	unread  bool       // a rule names hosts to which TLS may pass unread
}

// Head decides what can be decided before any payload is read. It labels
// c.Dest. It reports whether d is final: a rule blocks the call whatever it
// carries, or no rule could let it out. Otherwise the payload must be read and
// Decide asked. A final decision allocates nothing beyond what it reports; one
// that is only observed is never final.
func (p *Policy) Head(c *call.Call, d *call.Decision) (final bool) {
	e := p.begin(c, d, true)
	defer e.end()
	if e.broken {
		e.unreadable()
		return true
	}
	e.run()
	if e.unread && !e.named {
		e.unnamed()
		return true
	}
	v := e.combine(enforced)
	if v.verdict != call.Block || v.layer == nil {
		return false
	}
	e.settle(v, false)
	return true
}

// Decide completes d for c. d.Findings and d.Uninspected hold what the
// inspectors said, c.Sent the size. It sets every other field of d.
func (p *Policy) Decide(c *call.Call, d *call.Decision) {
	e := p.begin(c, d, false)
	defer e.end()
	if e.broken {
		e.unreadable()
		return
	}
	if e.run(); e.unread && !e.named {
		e.unnamed()
		return
	}
	e.decide()
}

// Wants reports whether a rule (or telemetry) asks for what inspector finds.
// An inspector's findings have its name as the first segment of their kind;
// those of inspector secret may be credential too.
func (p *Policy) Wants(inspector string) bool {
	return p.wants.all || p.wants.kinds[inspector] || inspector == "secret" && p.wants.kinds["credential"]
}

// wants are the first segments of the kinds of findings that rules name.
type wants struct {
	all   bool
	kinds map[string]bool
}

func (w *wants) add(l *layer) {
	w.all = w.all || l.observe
	for _, r := range l.rules {
		w.all = w.all || r.observe || r.uninspected >= uninspectedHold || r.when != nil && r.when.findings
		if r.finding == nil {
			continue
		}
		for _, k := range r.finding.kinds {
			segment, _, _ := strings.Cut(k, "/")
			if strings.Contains(segment, "*") {
				w.all = true
			}
			w.kinds[segment] = true
		}
	}
}

// Digest identifies the policy: SHA-256 of all its sources, hex.
func (p *Policy) Digest() string { return p.digest }

// Files returns the files that the policy was read from, to be watched.
func (p *Policy) Files() []string { return append([]string(nil), p.files...) }

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
func (p *Policy) Secrets() []Secret { return append([]Secret(nil), p.secrets...) }
