package secret

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"sync"

	"outvet/call"
	"outvet/internal/inspect"
	"outvet/internal/match"
)

// Options are what an Inspector is made of. The zero value finds by rules
// alone, with digests under an empty key.
type Options struct {
	Key   []byte  // of the digests: equal values have equal digests under one key
	Known []Known // values to find exactly
}

// An Inspector finds credentials. It is immutable and safe for concurrent use.
type Inspector struct {
	rules    []rule
	common   []*rule // of rules, those that share the pattern of common words
	headers  positions
	known    []Known
	patterns []match.Pattern
	targets  []target // of each pattern

	bearer, basic, apiKey rule // what stands whole in a header, of no known issuer

	scratch sync.Pool // of *scratch
	digests sync.Pool // of hash.Hash, keyed
}

// A target is what a hit of a pattern is for.
type target struct {
	rule  *rule
	known int
	kind  targetKind
}

type targetKind uint8

const (
	forRule targetKind = iota
	forCommon
	forKnown
)

// scratch is the working memory of one Inspect.
type scratch struct{ found []candidate }

var _ inspect.Local = (*Inspector)(nil)

// New returns an inspector with the rules of the package. It refuses a known
// value that is too short to be told from innocent text.
func New(o Options) (*Inspector, error) {
	set, err := loadRules(ruleData)
	if err != nil {
		return nil, err
	}
	in := &Inspector{rules: set.Rules}
	if in.headers, err = newPositions(set.Headers, set.Mixed); err != nil {
		return nil, err
	}
	for _, k := range o.Known {
		if err := k.check(); err != nil {
			return nil, err
		}
		k.Value = append([]byte(nil), k.Value...)
		in.known = append(in.known, k)
	}
	in.bearer, in.basic, in.apiKey = position("bearer"), position("basic"), position("api-key")
	in.aim()
	key := append([]byte(nil), o.Key...)
	in.digests.New = func() any { return hmac.New(sha256.New, key) }
	in.scratch.New = func() any { return new(scratch) }
	return in, nil
}

// aim makes the patterns and says what the hits of each are for.
func (in *Inspector) aim() {
	add := func(p match.Pattern, t target) {
		in.patterns, in.targets = append(in.patterns, p), append(in.targets, t)
	}
	for i := range in.rules {
		if r := &in.rules[i]; r.isCommon() {
			in.common = append(in.common, r)
		} else {
			add(r.pattern(fmt.Sprintf("secret/%s/%d", r.Name, i)), target{rule: r})
		}
	}
	add(commonPattern(in.rules), target{kind: forCommon})
	for i := range in.known {
		n := 0
		in.known[i].patterns(func(expr string) {
			add(match.Pattern{ID: fmt.Sprintf("secret/known/%s/%d", in.known[i].Name, n), Expr: expr}, target{kind: forKnown, known: i})
			n++
		})
	}
}

// Name returns "secret". The kinds begin with secret/ or credential/.
func (in *Inspector) Name() string { return "secret" }

// Patterns returns what the common matcher looks for.
func (in *Inspector) Patterns() []match.Pattern { return in.patterns }

// Inspect confirms the hits of the patterns and says where each value is at
// home. It allocates only for what it reports.
func (in *Inspector) Inspect(ctx context.Context, s *inspect.Subject) ([]call.Finding, error) {
	if s.Content == nil || len(s.Content.Text) == 0 {
		return nil, ctx.Err()
	}
	found, err := in.inspect(&s.Call.Dest, s.Content.Text, s.Content, s.Hits)
	return found, cmp.Or(err, ctx.Err())
}

// parts is what we need of a payload.Content beside its text.
type parts interface {
	Part(pos int) (start, end int)
	Edge(pos int) bool
	Head(pos int) (next int, ok bool)
	Place(from, to int) call.Place
	Bounds(pos int) (from, to int)
	Root(pos int) int
}

// reach is beyond what is read around the part that a hit begins in: 1,024 bytes of
// a match on each side of its literal, and as many before the part for the words of
// a rule (near). The two parts behind a name (field) stand in the cell of the name
// or the next, which is always read with it (payload).
const reach = 2<<10 + 512

// Reach returns how far from a hit its surroundings matter.
func (in *Inspector) Reach() int { return reach }

func (in *Inspector) inspect(d *call.Dest, text []byte, p parts, hits []match.Hit) ([]call.Finding, error) {
	sc := in.scratch.Get().(*scratch)
	defer in.scratch.Put(sc)
	j := judge{in: in, text: text, parts: p, found: sc.found[:0]}
	j.head()
	for _, h := range hits {
		if h.Pattern < 0 || h.Pattern >= len(in.targets) || h.Start < 0 || h.From < 0 || h.From >= h.To || h.To > len(text) || h.End > len(text) {
			continue
		}
		switch t := &in.targets[h.Pattern]; t.kind {
		case forRule:
			j.rule(t.rule, h)
		case forCommon:
			j.common(span{h.From, h.To})
		case forKnown:
			j.known(t.known, h)
		}
	}
	sc.found = j.found
	if len(j.found) == 0 {
		return nil, nil
	}
	return in.report(d, &j)
}

// digest returns the keyed digest of a value: 32 hexadecimal digits.
func (in *Inspector) digest(value []byte) string {
	const size = 16
	h := in.digests.Get().(hash.Hash)
	defer in.digests.Put(h)
	h.Reset()
	h.Write(value)
	var sum [sha256.Size]byte
	return hex.EncodeToString(h.Sum(sum[:0])[:size])
}

// position is the rule of what is a credential only because of where it stands.
func position(name string) rule {
	return rule{Name: name, rank: rankPosition, Home: home{Self: true}}
}
