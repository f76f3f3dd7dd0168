package dnstunnel

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"strings"

	"outvet/call"
	"outvet/internal/inspect"
	"outvet/internal/match"
)

// Kinds of findings.
const (
	name        = "dns" // of the inspector
	kindTunnel  = "dns/tunnel"
	kindScatter = "dns/scatter"
	kindDoH     = "dns/doh"
)

// Options of an Inspector.
type Options struct {
	Key    []byte  // of the digests in findings
	Ledger *Ledger // nil to judge each call as the first of its session, as tests of policies do
}

// An Inspector reports what the names of hosts say. It is safe for concurrent
// use.
type Inspector struct {
	key    []byte
	ledger *Ledger
}

// Prepare makes ready what is known of names. It takes some hundredths of a second
// of computing, for which else the first call to be judged waits.
func Prepare() { tables() }

// New returns an Inspector.
func New(o Options) *Inspector {
	return &Inspector{key: o.Key, ledger: o.Ledger}
}

// Name implements inspect.Inspector.
func (in *Inspector) Name() string { return name }

// Headed implements inspect.Headed.
func (in *Inspector) Headed() {}

// Patterns implements inspect.Matcher.
func (in *Inspector) Patterns() []match.Pattern {
	return []match.Pattern{
		{ID: "dns/message", Expr: `(?i)application/dns-message`},
		{ID: "dns/json", Expr: `(?i)application/dns-json`},
	}
}

// Inspect implements inspect.Inspector.
func (in *Inspector) Inspect(ctx context.Context, s *inspect.Subject) (found []call.Finding, err error) {
	if _, head := s.Content.Head(0); !head {
		return nil, nil // a body or a word: the host was counted with the head
	}
	for _, h := range s.Hits {
		if h.Start < 0 || h.End > len(s.Content.Text) || h.Start >= h.End {
			continue
		}
		at := s.Content.Place(h.Start, h.End)
		if at.Part == "header/content-type" || at.Part == "header/accept" {
			found = append(found, call.Finding{Inspector: name, Kind: kindDoH, Place: at, Score: 1})
			break
		}
	}
	if len(found) == 0 && pathOfDoH(s.Call) {
		found = append(found, call.Finding{Inspector: name, Kind: kindDoH, Place: call.Place{Part: "path/0", End: len("dns-query")}, Score: 0.9})
	}
	ledger := in.ledger
	if ledger == nil || inspect.Rehearsed(ctx) {
		ledger = &Ledger{sessions: map[call.SessionID]*session{}, used: &used{}, popular: func() (set, error) { return nil, nil }}
	}
	kind, score, sub, domain := ledger.charge(s.Call)
	if kind == "" {
		return found, nil
	}
	from, to := s.Content.Part(0)
	if sub > 0 && strings.EqualFold(string(s.Content.Text[from:to]), s.Call.Dest.Host) {
		to = from + sub
	}
	return append(found, call.Finding{Inspector: name, Kind: kind, Place: s.Content.Place(from, to), Score: score, Digest: in.digest(domain)}), nil
}

// pathOfDoH reports whether a request goes where DNS over HTTPS is spoken by
// custom (RFC 8484 §4.1.1).
func pathOfDoH(c *call.Call) bool {
	rest, ok := strings.CutPrefix(c.Op.Target, "/dns-query")
	return ok && c.Op.Protocol == "http" && (rest == "" || rest[0] == '/')
}

// digest returns the same for the same domain.
func (in *Inspector) digest(domain string) string {
	mac := hmac.New(sha256.New, in.key)
	mac.Write([]byte(domain))
	return fmt.Sprintf("%x", mac.Sum(nil)[:6])
}
