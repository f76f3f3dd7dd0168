package inspecttest

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"outvet/call"
	"outvet/internal/inspect"
	"outvet/internal/match"
	"outvet/internal/payload"
)

// Run holds the inspectors that make returns to the contract of package
// inspect. Each of texts, sent as the plain text of a body, must give at least
// one finding.
func Run(t *testing.T, make func() inspect.Inspector, texts ...string) {
	s := suite{make: make, texts: texts}
	t.Run("NameIsOneWord", s.name)
	t.Run("PatternsObeyTheLaws", s.patterns)
	t.Run("EmptySubjectGivesNothing", s.empty)
	t.Run("FindsTheTexts", s.finds)
	t.Run("FindingsLieInTheText", s.bounds)
	t.Run("FindingsCarryNoText", s.noText)
	t.Run("SameSubjectSameFindings", s.deterministic)
	t.Run("SubjectIsNotChanged", s.unchanged)
	t.Run("SubjectIsNotKept", s.notKept)
	t.Run("ConcurrentUse", s.concurrent)
	t.Run("ImpossibleHits", s.impossibleHits)
	t.Run("HugeContent", s.huge)
	t.Run("CancelledContext", s.cancelled)
}

type suite struct {
	make  func() inspect.Inspector
	texts []string
}

// A bench is one inspector with a matcher for its own patterns.
type bench struct {
	in      inspect.Inspector
	matcher *match.Matcher
	scratch match.Scratch
}

func (s *suite) bench(t *testing.T) *bench {
	t.Helper()
	b := &bench{in: s.make()}
	if m, ok := b.in.(inspect.Matcher); ok && len(m.Patterns()) > 0 {
		var err error
		if b.matcher, err = match.New(m.Patterns()); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// subject is a call with body, decoded, and the inspector's hits in it.
func (b *bench) subject(t *testing.T, contentType, body string) *inspect.Subject {
	t.Helper()
	m := &payload.Message{
		Host:   "api.example.com",
		Target: "/v1/items?limit=50",
		Header: http.Header{"Content-Type": {contentType}, "Accept": {"*/*"}},
		Length: int64(len(body)),
	}
	c := &call.Call{
		ID: call.NewID(time.Unix(1, 0)), Time: time.Unix(1, 0), Listener: "proxy",
		Dest: call.Dest{Scheme: "https", Host: "api.example.com", Port: 443},
		Op:   call.Op{Protocol: "http", Method: "POST", Target: "/v1/items"},
		Sent: int64(len(body)),
	}
	s := &inspect.Subject{Call: c, Content: payload.Decode(m, []byte(body), payload.Limits{})}
	b.scan(t, s)
	return s
}

func (b *bench) scan(t *testing.T, s *inspect.Subject) {
	t.Helper()
	if b.matcher == nil {
		return
	}
	hits, err := b.matcher.Scan(s.Content.Text, &b.scratch)
	if err != nil {
		t.Logf("scan: %v", err)
	}
	s.Hits = append([]match.Hit(nil), hits...)
}

func (b *bench) inspect(t *testing.T, s *inspect.Subject) []call.Finding {
	t.Helper()
	f, err := b.in.Inspect(context.Background(), s)
	if err != nil {
		t.Fatalf("Inspect: %v", err)
	}
	return f
}

// each calls f with every text, in several kinds of bodies.
func (s *suite) each(t *testing.T, f func(t *testing.T, b *bench, text string, sub *inspect.Subject)) {
	b := s.bench(t)
	for i, text := range append([]string{"nothing to see here", `{"a": ["b", {"c": "d"}], "e": 1}`}, s.texts...) {
		for _, kind := range []string{"text/plain", "application/json"} {
			body := text
			if kind == "application/json" {
				body = fmt.Sprintf(`{"model": "m", "messages": [{"role": "user", "content": %s}]}`, quote(text))
			}
			t.Run(fmt.Sprintf("%d/%s", i, kind), func(t *testing.T) { f(t, b, text, b.subject(t, kind, body)) })
		}
	}
}

func quote(s string) string {
	r := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`)
	return `"` + r.Replace(s) + `"`
}

func (s *suite) name(t *testing.T) {
	in := s.make()
	n := in.Name()
	if n == "" || n != strings.ToLower(n) || strings.ContainsAny(n, "/ _.") {
		t.Errorf("Name is %q: want one word in lower case", n)
	}
	if n != in.Name() {
		t.Error("the name changes")
	}
}

func (s *suite) patterns(t *testing.T) {
	m, ok := s.make().(inspect.Matcher)
	if !ok {
		t.Skip("no patterns")
	}
	if err := match.Check(m.Patterns()); err != nil {
		t.Error(err)
	}
}

func (s *suite) empty(t *testing.T) {
	b := s.bench(t)
	if f := b.inspect(t, &inspect.Subject{Call: &call.Call{}, Content: &payload.Content{}}); len(f) > 0 {
		t.Errorf("findings in nothing: %+v", f)
	}
	b.inspect(t, b.subject(t, "text/plain", ""))
}

func (s *suite) finds(t *testing.T) {
	b := s.bench(t)
	for i, text := range s.texts {
		if len(b.inspect(t, b.subject(t, "text/plain", text))) == 0 {
			t.Errorf("nothing found in text %d", i)
		}
	}
}

func (s *suite) bounds(t *testing.T) {
	s.each(t, func(t *testing.T, b *bench, _ string, sub *inspect.Subject) {
		for _, f := range b.inspect(t, sub) {
			if f.Inspector != b.in.Name() {
				t.Errorf("%s: Inspector is %q, want %q", f.Kind, f.Inspector, b.in.Name())
			}
			if f.Kind == "" || !strings.Contains(f.Kind, "/") {
				t.Errorf("Kind is %q: want group/name", f.Kind)
			}
			if f.Score < 0 || f.Score > 1 {
				t.Errorf("%s: score %v is not within 0 and 1", f.Kind, f.Score)
			}
			if f.Part == "" {
				continue // about the whole call
			}
			if f.From < 0 || f.From > f.To || f.To > len(sub.Content.Text) || f.Start < 0 || f.Start > f.End {
				t.Errorf("%s: span %d to %d, in its part %d to %d, of a text of %d bytes", f.Kind, f.From, f.To, f.Start, f.End, len(sub.Content.Text))
			}
		}
	})
}

func (s *suite) noText(t *testing.T) {
	const tell = 12 // bytes of the text that a finding must not hold
	s.each(t, func(t *testing.T, b *bench, _ string, sub *inspect.Subject) {
		for _, f := range b.inspect(t, sub) {
			if f.Part == "" || f.To-f.From < tell {
				continue
			}
			value := string(sub.Content.Text[f.From:f.To])
			if strings.Contains(f.Kind, value) || strings.Contains(f.Digest, value) {
				t.Errorf("%s: the finding holds what it found", f.Kind)
			}
		}
	})
}

func (s *suite) deterministic(t *testing.T) {
	second := s.make()
	s.each(t, func(t *testing.T, b *bench, _ string, sub *inspect.Subject) {
		first := b.inspect(t, sub)
		for range 3 {
			if again := b.inspect(t, sub); !reflect.DeepEqual(first, again) {
				t.Errorf("first %+v, then %+v", first, again)
			}
		}
		other := &bench{in: second}
		if again := other.inspect(t, sub); !reflect.DeepEqual(first, again) {
			t.Errorf("one inspector says %+v, another %+v", first, again)
		}
	})
}

func (s *suite) unchanged(t *testing.T) {
	s.each(t, func(t *testing.T, b *bench, _ string, sub *inspect.Subject) {
		text, hits, c := bytes.Clone(sub.Content.Text), append([]match.Hit(nil), sub.Hits...), *sub.Call
		b.inspect(t, sub)
		if !bytes.Equal(text, sub.Content.Text) {
			t.Error("the text changed")
		}
		if !reflect.DeepEqual(hits, append([]match.Hit(nil), sub.Hits...)) {
			t.Error("the hits changed")
		}
		if !reflect.DeepEqual(c, *sub.Call) {
			t.Error("the call changed")
		}
	})
}

// notKept overwrites the text and the hits after Inspect has returned, as the
// next call would: the findings must stand by themselves.
func (s *suite) notKept(t *testing.T) {
	s.each(t, func(t *testing.T, b *bench, _ string, sub *inspect.Subject) {
		found := b.inspect(t, sub)
		before := fmt.Sprintf("%+v", found)
		text, hits := bytes.Clone(sub.Content.Text), append([]match.Hit(nil), sub.Hits...)
		for i := range sub.Content.Text {
			sub.Content.Text[i] = 'x'
		}
		clear(sub.Hits)
		if after := fmt.Sprintf("%+v", found); after != before {
			t.Errorf("findings changed with the subject: %s, then %s", before, after)
		}
		copy(sub.Content.Text, text)
		copy(sub.Hits, hits)
		if again := fmt.Sprintf("%+v", b.inspect(t, sub)); again != before {
			t.Errorf("first %s, after another call %s", before, again)
		}
	})
}

func (s *suite) concurrent(t *testing.T) {
	b := s.bench(t)
	var subjects []*inspect.Subject
	var want [][]call.Finding
	for _, text := range append([]string{"nothing to see here"}, s.texts...) {
		sub := b.subject(t, "text/plain", text)
		subjects = append(subjects, sub)
		want = append(want, b.inspect(t, sub))
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 10 {
				for i, sub := range subjects {
					got, err := b.in.Inspect(context.Background(), sub)
					if err != nil || !reflect.DeepEqual(got, want[i]) {
						t.Errorf("alone %+v, together %+v, %v", want[i], got, err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

// impossibleHits gives hits that no matcher would: the inspector may ignore
// them or err, but not panic or report a span outside the text.
func (s *suite) impossibleHits(t *testing.T) {
	b := s.bench(t)
	m, ok := b.in.(inspect.Matcher)
	if !ok {
		t.Skip("no patterns")
	}
	patterns := len(m.Patterns())
	sub := b.subject(t, "text/plain", "short text, token=")
	end := len(sub.Content.Text)
	for p := range patterns {
		for _, at := range [][4]int{
			{0, end, 0, end}, {0, 0, 0, 0}, {end, end, end, end}, {end - 1, end, end - 1, end},
			{0, 1, 0, 1}, {1, 3, 3, 3}, {0, end, end, end}, {0, end, 2, 1},
			{0, end + 10, 0, end + 10}, {-1, 3, -1, 3}, {end + 1, end + 2, end + 1, end + 2},
		} {
			sub.Hits = []match.Hit{{Pattern: p, Start: at[0], End: at[1], From: at[2], To: at[3]}}
			found, err := b.in.Inspect(context.Background(), sub)
			if err != nil {
				continue
			}
			for _, f := range found {
				if f.From < 0 || f.From > f.To || f.To > end {
					t.Errorf("hit %v of pattern %d (%s): span %d to %d of %d", at, p, m.Patterns()[p].ID, f.From, f.To, end)
				}
			}
		}
	}
	sub.Hits = []match.Hit{{Pattern: patterns + 3, End: 1, To: 1}, {Pattern: -1, End: 1, To: 1}}
	_, _ = b.in.Inspect(context.Background(), sub)
}

// huge repeats each text for a megabyte: the inspector may refuse, in time.
func (s *suite) huge(t *testing.T) {
	if testing.Short() {
		t.Skip("-short")
	}
	const size, limit = 1 << 20, 30 * time.Second
	b := s.bench(t)
	texts := append([]string{"nothing to see here ", "a", "token = ", `{"a":`, "\n"}, s.texts...)
	for _, text := range texts {
		sub := b.subject(t, "text/plain", strings.Repeat(text+" ", size/(len(text)+1)/max(1, len(text)/64+1)))
		start := time.Now()
		if _, err := b.in.Inspect(context.Background(), sub); err != nil {
			t.Logf("%.20q over and over: refused: %v", text, err)
		}
		if d := time.Since(start); d > limit {
			t.Errorf("%.20q over and over: %v", text, d)
		}
	}
}

func (s *suite) cancelled(t *testing.T) {
	b := s.bench(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, _ = b.in.Inspect(ctx, b.subject(t, "text/plain", "nothing to see here"))
}
