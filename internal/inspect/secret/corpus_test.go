package secret

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"os"
	"testing"

	"outvet/call"
	"outvet/internal/match"
)

// plain is the decoded text of fields that need no decoding, as package
// payload would join them.
type plain struct {
	text  []byte
	paths []string
	at    []span
}

func fields(pathsAndTexts ...string) *plain {
	p := &plain{}
	for i := 0; i < len(pathsAndTexts); i += 2 {
		from := len(p.text)
		p.text = append(append(p.text, pathsAndTexts[i+1]...), '\n')
		p.paths = append(p.paths, pathsAndTexts[i])
		p.at = append(p.at, span{from, len(p.text) - 1})
	}
	return p
}

func (p *plain) index(pos int) int {
	for i, s := range p.at {
		if pos <= s.to {
			return i
		}
	}
	return len(p.at) - 1
}

func (p *plain) Part(pos int) (int, int) { s := p.at[p.index(pos)]; return s.from, s.to }
func (p *plain) Edge(pos int) bool       { s := p.at[p.index(pos)]; return pos == s.from || pos == s.to }
func (p *plain) Bounds(int) (int, int)   { return 0, len(p.text) }
func (p *plain) Root(pos int) int        { return p.at[p.index(pos)].from }
func (p *plain) Head(pos int) (int, bool) {
	i := p.index(pos)
	return p.at[i].to + 1, !within(p.paths[i], "body")
}
func (p *plain) Place(from, to int) call.Place {
	i := p.index(from)
	return call.Place{Part: p.paths[i], Start: from - p.at[i].from, End: min(to, p.at[i].to) - p.at[i].from, From: from, To: min(to, p.at[i].to)}
}

// engine finds the patterns of an inspector as the common matcher does.
type engine struct {
	m *match.Matcher
	s match.Scratch
}

func newEngine(t testing.TB, ps []match.Pattern) *engine {
	t.Helper()
	m, err := match.New(ps)
	if err != nil {
		t.Fatal(err)
	}
	return &engine{m: m}
}

func (e *engine) scan(t testing.TB, text []byte) []match.Hit {
	t.Helper()
	hits, err := e.m.Scan(text, &e.s)
	if err != nil {
		t.Fatal(err)
	}
	return hits
}

func look(t testing.TB, in *Inspector, e *engine, host string, p *plain) []call.Finding {
	t.Helper()
	f, err := in.inspect(&call.Dest{Host: host}, p.text, p, e.scan(t, p.text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// corpus calls f with each line of a file.
func corpus(t testing.TB, file string, f func(line []byte)) {
	t.Helper()
	b, err := os.Open("testdata/" + file + ".jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	z, err := gzip.NewReader(b)
	if err != nil {
		t.Fatal(err)
	}
	s := bufio.NewScanner(z)
	s.Buffer(nil, 1<<24)
	for s.Scan() {
		f(s.Bytes())
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
}

// parse reads one line of a corpus.
func parse[T any](t testing.TB, line []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(line, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func newInspector(t testing.TB, o Options) *Inspector {
	t.Helper()
	in, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return in
}
