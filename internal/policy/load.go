package policy

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"

	"outvet/call"
)

// Options say what to load. One of Path, Text and Preset is the policy; Layers
// lie around or within it.
type Options struct {
	Path   string // of a file
	Text   []byte // of a policy that is not in a file, with Name for errors
	Name   string
	Preset string // name of a shipped one: strict, balanced, observe

	// Layers are sources ordered from the outermost. Given with one of the
	// above, they lie within it.
	Layers []Source

	// Judge decides the requests of tests:. Without one only tests can run whose
	// request has no body.
	Judge Judge
	// Observe makes all of it decide and record only, whatever mode it has.
	Observe bool
	// Untested leaves the tests alone, for those who run them apart.
	Untested bool
}

// A Source is where one layer comes from: one of Path, Text and Preset.
type Source struct {
	Layer  string // its name in decisions: organisation, team, repository, session
	Path   string
	Text   []byte
	Name   string
	Preset string
}

func (o *Options) sources() []Source {
	var all []Source
	switch {
	case o.Path != "":
		all = append(all, Source{Layer: "policy", Path: o.Path})
	case o.Text != nil:
		all = append(all, Source{Layer: "policy", Text: o.Text, Name: o.Name})
	case o.Preset != "":
		all = append(all, Source{Layer: "preset", Preset: o.Preset})
	}
	return append(all, o.Layers...)
}

// Load reads, checks, compiles and tests a policy. The error is an Errors if
// something is wrong with a file. A policy whose tests fail is not returned.
func Load(ctx context.Context, o Options) (*Policy, error) {
	p, _, err := load(ctx, o)
	return p, err
}

// load returns the files it tried to read too, also with an error.
func load(ctx context.Context, o Options) (*Policy, []string, error) {
	b := &builder{digest: sha256.New(), seen: sha256.New(), sets: &addressSets{}, observe: o.Observe}
	p := &Policy{sets: b.sets, pool: &sync.Pool{}, wants: wants{kinds: map[string]bool{}}}
	if o.Observe {
		b.hash([]byte("observe"))
	}
	sources := o.sources()
	if len(sources) == 0 {
		b.add(place{file: "policy"}, "no source is given")
	}
	for i, s := range sources {
		if s.Layer == "" {
			s.Layer = "policy"
		}
		b.hash([]byte(s.Layer))
		docs := b.read(s)
		if len(docs) > 0 {
			p.layers = append(p.layers, b.layer(s.Layer, len(p.layers), docs, p.layers))
			p.tests = append(p.tests, b.tests(docs, s.Preset != "", p.layers)...)
			p.secrets = append(p.secrets, b.secrets(docs, i == 0)...)
		}
	}
	if err := b.err(); err != nil {
		return nil, b.files, err
	}
	p.files, p.seen = b.files, string(b.seen.Sum(nil))
	p.unread = len(p.layers) > 0 && slices.ContainsFunc(p.layers[0].rules, (*rule).names)
	for _, l := range p.layers {
		p.wants.add(l)
	}
	p.digest = hex.EncodeToString(b.digest.Sum(nil))
	if o.Untested {
		return p, p.files, nil
	}
	return p.tested(ctx, o.Judge)
}

// tested runs the tests and returns p if they pass.
func (p *Policy) tested(ctx context.Context, j Judge) (*Policy, []string, error) {
	var failed problems
	for _, r := range p.Test(ctx, j) {
		if r.Failure != "" {
			failed.add(r.place, "test fails: %s", r.Failure)
		}
	}
	if err := failed.err(); err != nil {
		return nil, p.files, err
	}
	return p, p.files, nil
}

// A builder makes a policy of sources and collects what is wrong with them.
type builder struct {
	problems
	digest hash.Hash
	files  []string
	seen   hash.Hash // of files and what was read of them, as fingerprint makes it
	env    *cel.Env
	sets   *addressSets

	observe bool // all layers
}

// hash adds one text to the digest of the policy.
func (b *builder) hash(text []byte) {
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(text)))
	b.digest.Write(n[:])
	b.digest.Write(text)
}

// layer compiles the documents of one layer: the first is the file itself.
func (b *builder) layer(name string, number int, docs []*document, outer []*layer) *layer {
	l := &layer{name: name, number: number, index: newIndex(), tools: map[string]string{}, types: map[string]call.Verdict{}, docs: docs}
	l.observe = b.only(docs, "mode", func(d *document) string { return d.mode }) == "observe" || b.observe
	fallback := b.only(docs, "default", func(d *document) string { return d.fallback })
	l.hasDefault = fallback != "" || number == 0
	l.fallback = call.Block
	if fallback != "" {
		l.fallback = verdictOf(fallback)
	}
	for _, d := range docs {
		if d.fallback != "" && l.defaultAt.text == "" {
			l.defaultAt = spotOf(d.at("default"))
		}
	}
	known := b.destinations(l, docs, outer)
	b.maps(l, docs)
	names := map[string]place{}
	for _, doc := range docs {
		for i := range doc.rules {
			d := &doc.rules[i]
			if d.name == "" {
				continue // told already
			}
			if first, twice := names[d.name]; twice {
				b.add(d.at("name"), "rule %s is already defined at %s", quote(d.name), first)
				continue
			}
			names[d.name] = d.at("name")
			if d.name == call.RuleDefault || d.name == call.RuleFault || d.name == call.RuleQuarantine || d.name == call.RuleKill || d.name == call.RuleAddress {
				b.add(d.at("name"), "rule name %s is taken by the program", quote(d.name))
			}
			r := &rule{layer: l, index: len(l.rules), name: d.name, doc: d}
			if !d.broken {
				b.compile(r)
				r.to = b.targets(d, known)
			}
			l.rules = append(l.rules, r)
			l.anyMethod = l.anyMethod || r.speaks && r.verdict != call.Block && r.to == nil && (len(r.methods) > 0 || len(r.paths) > 0)
		}
	}
	b.delegates(l, docs)
	if len(b.all) > 0 {
		return l // it will not be used
	}
	for _, d := range l.destinations {
		l.index.addDestination(d)
	}
	for _, r := range l.rules {
		l.index.addRule(r, b.sets)
	}
	return l
}

// only returns the value of a key that the including file decides. Where it
// does not, the files that it includes must not disagree.
func (b *builder) only(docs []*document, name string, get func(*document) string) string {
	if len(docs) == 0 {
		return ""
	}
	if v := get(docs[0]); v != "" {
		return v
	}
	var first *document
	for _, d := range docs[1:] {
		switch v := get(d); {
		case v == "":
		case first == nil:
			first = d
		case get(first) != v:
			b.add(docs[0].at("include"), "%s is %s at %s but %s at %s: say it in this file",
				name, get(first), first.at(name), v, d.at(name))
			return v
		}
	}
	if first == nil {
		return ""
	}
	return get(first)
}

// destinations adds those of the layer and returns what rules may name: its
// own and those of the layers around it.
func (b *builder) destinations(l *layer, docs []*document, outer []*layer) map[string]*destination {
	known := map[string]*destination{}
	for _, o := range outer {
		for _, d := range o.destinations {
			// The rules of this layer find it through this layer's own index.
			inner := *d
			inner.lent, inner.rules, inner.admit, inner.borrowed = false, bucket{}, 0, true
			inner.category, inner.trust, inner.credentials = "", "", nil
			known[d.name] = &inner
		}
	}
	own := map[string]place{}
	for _, doc := range docs {
		for i := range doc.destinations {
			n := &doc.destinations[i]
			if first, twice := own[n.name]; twice {
				b.add(n.at, "destination %s is already defined at %s", quote(n.name), first)
				continue
			}
			own[n.name] = n.at
			if !n.v.broken && len(n.v.hosts) == 0 && len(n.v.cidrs) == 0 {
				b.add(n.at, "destination %s has neither hosts nor cidrs", quote(n.name))
			}
			d := &destination{name: n.name, at: n.at, hosts: n.v.hosts, cidrs: n.v.cidrs, ports: n.v.ports,
				category: n.v.category, trust: n.v.trust, credentials: n.v.credentials}
			known[n.name] = d
		}
	}
	for _, d := range known {
		l.destinations = append(l.destinations, d)
	}
	slices.SortFunc(l.destinations, func(a, b *destination) int { return compareText(a.name, b.name) })
	return known
}

func compareText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// maps adds tools and session types.
func (b *builder) maps(l *layer, docs []*document) {
	tools, types := map[string]place{}, map[string]place{}
	for _, doc := range docs {
		for _, t := range doc.tools {
			if first, twice := tools[t.name]; twice {
				b.add(t.at, "tool %s is already defined at %s", quote(t.name), first)
			}
			tools[t.name] = t.at
			l.tools[t.name] = t.v.class
		}
		for _, t := range doc.sessionTypes {
			if first, twice := types[t.name]; twice {
				b.add(t.at, "session type %s is already defined at %s", quote(t.name), first)
			}
			types[t.name] = t.at
			if t.v.fallback != "" {
				l.types[t.name] = verdictOf(t.v.fallback)
			}
		}
	}
}

// targets resolves where a rule applies.
func (b *builder) targets(d *ruleDoc, known map[string]*destination) []*target {
	var out []*target
	for i := range d.to {
		t := &d.to[i]
		to := &target{hosts: t.hosts, cidrs: t.cidrs, categories: t.categories, trusts: t.trusts}
		for _, name := range t.destinations {
			dest := known[name.v]
			if dest == nil {
				b.add(name.at, "unknown destination %s%s", quote("@"+name.v), meant("@"+name.v, at(sortedKeys(known))))
				continue
			}
			dest.used = true
			to.destinations = append(to.destinations, dest)
		}
		out = append(out, to)
	}
	return out
}

// at writes names as rules refer to them.
func at(names []string) []string {
	for i := range names {
		names[i] = "@" + names[i]
	}
	return names
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// delegates marks what inner layers may decide.
func (b *builder) delegates(l *layer, docs []*document) {
	for _, doc := range docs {
		for _, name := range doc.delegate {
			if !l.delegate(name.v) {
				words := make([]string, 0, len(l.rules)+len(l.destinations))
				for _, r := range l.rules {
					words = append(words, r.name)
				}
				for _, d := range l.destinations {
					words = append(words, "@"+d.name)
				}
				b.add(name.at, "delegate: no rule or destination %s%s", quote(name.v), meant(name.v, words))
			}
		}
	}
}

func (l *layer) delegate(name string) bool {
	for _, d := range l.destinations {
		if "@"+d.name == name {
			d.lent, d.used = true, true
			return true
		}
	}
	for _, r := range l.rules {
		if r.name == name {
			r.lent = true
			return true
		}
	}
	return false
}

// secrets returns the known secrets. Only the outermost layer says where they
// are at home: an inner one could open a way out with it.
func (b *builder) secrets(docs []*document, outermost bool) []Secret {
	var out []Secret
	for _, doc := range docs {
		for _, s := range doc.secrets {
			n := 0
			for _, v := range []string{s.env, s.file, s.list} {
				if v != "" {
					n++
				}
			}
			if n != 1 {
				b.add(s.at("name"), "secret %s has exactly one of env, file, list", quote(s.name))
			}
			one := Secret{Name: s.name, Env: s.env, File: beside(doc.file, s.file), List: beside(doc.file, s.list)}
			if outermost {
				for _, h := range s.home {
					one.Home = append(one.Home, h.String())
				}
			}
			out = append(out, one)
		}
	}
	return out
}

// beside returns the path of a file as a policy file names it: relative to that
// file, or to the home directory with ~/.
func beside(policy, name string) string {
	if rest, ok := strings.CutPrefix(name, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, rest)
		}
	}
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(policy), name)
}
