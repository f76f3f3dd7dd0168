package secret

import (
	"strings"
	"testing"
)

func newInspector(t testing.TB, o Options) *Inspector {
	t.Helper()
	in, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func TestVectors(t *testing.T) {
	in := newInspector(t, Options{})
	e := newEngine(t, in.patterns)
	var block, found, allow, reported int
	for _, v := range vectors(t, "testdata/gitleaks-vectors.jsonl") {
		p := fields("body", v.Text)
		got := look(t, in, e, "example.com", p)
		kinds := ""
		for _, f := range got {
			kinds += " " + strings.TrimPrefix(f.Kind, "secret/")
		}
		if v.Label == "block" {
			block++
			hit := false
			for _, f := range got {
				hit = hit || strings.Contains(v.Text[f.From:f.To], strings.TrimSpace(string(v.Value))) || strings.Contains(string(v.Value), v.Text[f.From:f.To])
			}
			if len(got) > 0 {
				found++
				if !hit {
					t.Logf("other span %s %q %s", v.ID, v.Text, kinds)
				}
			} else {
				t.Logf("missed %s %.200q", v.ID, v.Text)
			}
			continue
		}
		allow++
		if len(got) > 0 {
			reported++
			t.Logf("reported %s %.200q %s", v.ID, v.Text, kinds)
		}
	}
	t.Logf("block %d of %d, allow %d of %d", found, block, reported, allow)
}

func TestBenign(t *testing.T) {
	in := newInspector(t, Options{})
	e := newEngine(t, in.patterns)
	for _, v := range vectors(t, "testdata/benign-high-entropy.jsonl") {
		p := fields("body", v.Text)
		for _, f := range look(t, in, e, "example.com", p) {
			t.Errorf("%s: %s in %q: %q", v.ID, f.Kind, v.Text, v.Text[f.From:f.To])
		}
	}
}
