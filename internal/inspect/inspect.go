// Package inspect defines what an inspector is and runs a set of them over the
// decoded text of a call.
//
// Inspectors report, they never decide: what a finding means is said by the
// rules of the policy alone. The patterns of all inspectors are found in one
// pass; an inspector that begins with patterns gets its hits and confirms them.
package inspect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"outvet/call"
	"outvet/internal/match"
	"outvet/internal/payload"
)

// An Inspector reports what it sees in a call. Inspect must be safe for
// concurrent use and must not keep or change the subject. An error says that
// it could not do its work; the call is then blocked.
type Inspector interface {
	Name() string // also the first segment of the kinds it reports, unless documented
	Inspect(ctx context.Context, s *Subject) ([]call.Finding, error)
}

// A Matcher is an inspector that begins with patterns.
type Matcher interface {
	Inspector
	Patterns() []match.Pattern
}

type rehearsal struct{}

// Rehearse marks what is done in a context as only tried, as tests of policies
// do: an inspector that remembers what was called neither uses nor changes that.
func Rehearse(ctx context.Context) context.Context { return context.WithValue(ctx, rehearsal{}, true) }

// Rehearsed reports whether ctx was marked.
func Rehearsed(ctx context.Context) bool { return ctx.Value(rehearsal{}) != nil }

// A Subject is what an inspector looks at.
type Subject struct {
	Call    *call.Call
	Content *payload.Content
	Hits    []match.Hit // of the inspector's own patterns, numbered as it gave them
}

// A Set is the inspectors of a gate, in the order they run. It is safe for concurrent use. The zero Set inspects nothing.
type Set struct {
	members []member
	matcher *match.Matcher
	pool    sync.Pool // of *scratch

	mu       sync.Mutex
	memories map[uint64]*payload.Memory // by the members that are wanted
}

type member struct {
	Inspector
	first, last int // its patterns in the common matcher
}

// scratch is the working memory of one run.
type scratch struct {
	match   match.Scratch
	hits    []match.Hit
	subject Subject
}

// NewSet compiles the patterns of all inspectors into one matcher.
func NewSet(inspectors ...Inspector) (*Set, error) {
	s := &Set{}
	var all []match.Pattern
	for _, in := range inspectors {
		m := member{Inspector: in, first: len(all)}
		if p, ok := in.(Matcher); ok {
			all = append(all, p.Patterns()...)
		}
		m.last = len(all)
		s.members = append(s.members, m)
	}
	if len(all) > 0 {
		var err error
		if s.matcher, err = match.New(all); err != nil {
			return nil, fmt.Errorf("inspect: %w", err)
		}
	}
	return s, nil
}

// Wanted reports whether wants is true for any inspector of the set.
func (s *Set) Wanted(wants func(inspector string) bool) bool {
	if s == nil {
		return false
	}
	for i := range s.members {
		if wants(s.members[i].Name()) {
			return true
		}
	}
	return false
}

// Run runs the inspectors for which wants is true over content. A text that
// costs more to match than its budget is reported in content.Uninspected. The
// error of one inspector does not stop the others; a panic is an error.
func (s *Set) Run(ctx context.Context, c *call.Call, content *payload.Content, wants func(inspector string) bool) ([]call.Finding, error) {
	if s == nil {
		return nil, nil
	}
	sc, _ := s.pool.Get().(*scratch)
	if sc == nil {
		sc = &scratch{}
	}
	defer s.pool.Put(sc)
	hits, err := s.scan(content, sc)
	if err != nil {
		return nil, err
	}
	if _, m := s.local(wants); content.Memory() != nil && content.Memory() != m {
		return nil, errors.New("inspect: the content was decoded with the memory of other inspectors")
	}
	var found []call.Finding
	var first error
	sc.subject = Subject{Call: c, Content: content}
	for i := range s.members {
		m := &s.members[i]
		if !wants(m.Name()) {
			continue
		}
		sc.subject.Hits = own(hits, m, sc)
		f, err := protect(ctx, m.Inspector, &sc.subject)
		if err != nil && first == nil {
			first = fmt.Errorf("inspect: %s: %w", m.Name(), err)
		}
		found = append(found, f...)
	}
	sc.subject = Subject{}
	if first == nil && content.Memory() != nil {
		remember(content, hits, found)
	}
	return found, first
}

// scan finds the patterns in the segments of content, and leaves out what stands
// in text that was read before.
func (s *Set) scan(content *payload.Content, sc *scratch) (hits []match.Hit, err error) {
	if s.matcher == nil {
		return nil, nil
	}
	sc.match.Begin(content.Size())
	for _, x := range content.Segments() {
		if hits, err = s.matcher.Go(content.Text, x.From, x.To, &sc.match); err != nil {
			break
		}
	}
	if err != nil && errors.Is(err, match.ErrBudget) {
		content.Uninspected = append(content.Uninspected, call.Uninspected{Reason: "text costs more to match than its budget"})
		err = nil
	}
	if content.Memory() != nil {
		hits = slices.DeleteFunc(hits, func(h match.Hit) bool { return content.Seen(h.Start, h.End) })
	}
	return hits, err
}

// own returns the hits of m, renumbered from its first pattern.
func own(hits []match.Hit, m *member, sc *scratch) []match.Hit {
	sc.hits = sc.hits[:0]
	for _, h := range hits {
		if h.Pattern >= m.first && h.Pattern < m.last {
			h.Pattern -= m.first
			sc.hits = append(sc.hits, h)
		}
	}
	return sc.hits
}

func protect(ctx context.Context, in Inspector, s *Subject) (f []call.Finding, err error) {
	defer func() {
		if p := recover(); p != nil {
			f, err = nil, fmt.Errorf("panic: %v", p)
		}
	}()
	return in.Inspect(ctx, s)
}
