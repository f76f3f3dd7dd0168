package policy

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"outvet/call"
)

// TestErrorsSayWhereAndWhatWasMeant reads testdata/error/*.txt: a policy, a line of
// dashes, the exact error. Run with UPDATE_GOLDEN=1 to write what comes now.
func TestErrorsSayWhereAndWhatWasMeant(t *testing.T) {
	files, err := filepath.Glob("testdata/error/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		in, want, ok := strings.Cut(string(text), "\n----------\n")
		_, err = Load(context.Background(), Options{Text: []byte(in + "\n"), Name: "p.yaml"})
		if err == nil {
			t.Errorf("%s: it loads", file)
			continue
		}
		if os.Getenv("UPDATE_GOLDEN") != "" {
			if err := os.WriteFile(file, []byte(in+"\n----------\n"+err.Error()+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if got := err.Error() + "\n"; !ok || got != want {
			t.Errorf("%s: got\n%swant\n%s", file, got, want)
		}
	}
}

func write(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestIncludedFilesAreMerged(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"main.yaml": "version: 1\ndefault: block\ninclude: [sub/a.yaml, b.yaml, preset:models]\nrules: [{name: m, to: \"@a\", verdict: allow}, {name: x, to: \"@models\", verdict: allow}]",
		"sub/a.yaml": "version: 1\ndefault: allow\ninclude: ../b.yaml\ndestinations: {a: {hosts: a.example}}\n" +
			"tests: [{allow: \"GET https://a.example/\", rule: m}]",
		"b.yaml": "version: 1\nrules: [{name: b, to: b.example, verdict: allow}]",
	})
	p, err := Load(t.Context(), Options{Path: filepath.Join(dir, "main.yaml")})
	if err != nil {
		t.Fatal(err)
	}
	for do, want := range map[string]string{"GET https://a.example/": "m", "GET https://b.example/": "b", "GET https://c.example/": "default", "POST https://api.openai.com/": "x"} {
		if d := ask(p, request(t, do), call.Decision{}); d.Rule != want {
			t.Errorf("%s: by %s, want %s", do, d.Rule, want)
		}
	}
	if d := ask(p, request(t, "GET https://b.example/"), call.Decision{}); d.At != filepath.Join(dir, "b.yaml")+":2" {
		t.Errorf("at %s", d.At)
	}
	if len(p.Files()) != 3 {
		t.Errorf("files %q", p.Files())
	}
	digest := p.Digest()
	write(t, dir, map[string]string{"b.yaml": "version: 1\nrules: [{name: b, to: b2.example, verdict: allow}]"})
	if p, err = Load(t.Context(), Options{Path: filepath.Join(dir, "main.yaml")}); err != nil || p.Digest() == digest {
		t.Errorf("the digest does not cover what is included: %v", err)
	}
}

func TestIncludesThatCannotBe(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"cycle.yaml": "version: 1\ninclude: cycle2.yaml", "cycle2.yaml": "version: 1\ninclude: [cycle.yaml]",
		"missing.yaml": "version: 1\ninclude: nowhere.yaml", "preset.yaml": "version: 1\ninclude: preset:blanced", "dir.yaml": "version: 1\ninclude: .",
		"clash.yaml": "version: 1\ninclude: [allow.yaml, block.yaml]", "allow.yaml": "version: 1\ndefault: allow", "block.yaml": "version: 1\ndefault: block",
		"twice.yaml": "version: 1\ninclude: rule.yaml\nrules: [{name: a, verdict: allow}]", "rule.yaml": "version: 1\nrules: [{name: a, verdict: block}]",
		"escape.yaml": "version: 1\ninclude: preset:../preset/core",
	})
	for i := range 10 {
		write(t, dir, map[string]string{"deep" + string(rune('0'+i)) + ".yaml": "version: 1\ninclude: deep" + string(rune('1'+i)) + ".yaml"})
	}
	for file, want := range map[string]string{
		"cycle.yaml":   `cycle2.yaml:2:11: .*cycle.yaml includes itself`,
		"missing.yaml": `missing.yaml:2:10: read .*nowhere.yaml: no such file or directory`,
		"preset.yaml":  `preset.yaml:2:10: unknown preset "blanced" \(did you mean "balanced"\?\)`,
		"dir.yaml":     `dir.yaml:2:10: read .*: not a regular file`,
		"clash.yaml":   `clash.yaml:2:1: default is allow at .*allow.yaml:2 but block at .*block.yaml:2: say it in this file`,
		"twice.yaml":   `rule.yaml:2:10: rule "a" is already defined at .*twice.yaml:3`,
		"deep0.yaml":   `deep7.yaml:2:10: files include each other more than 8 deep`,
		"escape.yaml":  `unknown preset`,
		"none.yaml":    `none.yaml: read .*none.yaml: no such file`,
	} {
		_, err := Load(t.Context(), Options{Path: filepath.Join(dir, file)})
		if err == nil || !regexp.MustCompile(want).MatchString(err.Error()) {
			t.Errorf("%s: %v, want %s", file, err, want)
		}
	}
}

func TestAPolicyWhoseTestsFailDoesNotLoad(t *testing.T) {
	_, err := Load(t.Context(), Options{Name: "p.yaml", Text: []byte(`version: 1
default: block
rules:
  - {name: a, to: a.example, verdict: allow}
tests:
  - {allow: "GET https://a.example/", rule: a}
  - {allow: "GET https://b.example/"}
  - {block: "GET https://a.example/", name: own}
  - {block: "GET https://b.example/", rule: a}
  - {block: "GET https://b.example/", mode: observe}
  - {allow: "POST https://a.example/", body: "x"}
`)})
	want := `policy: 5 errors
p.yaml:7:6: test fails: GET https://b.example/: expected allow, got block by rule "default" (p.yaml:2)
p.yaml:8:6: test fails: GET https://a.example/: expected block, got allow by rule "a" (p.yaml:4)
p.yaml:9:6: test fails: GET https://b.example/: expected block by rule "a", got block by rule "default" (p.yaml:2)
p.yaml:10:6: test fails: GET https://b.example/: expected mode observe, got enforce
p.yaml:11:6: test fails: a test with a body needs the inspectors, which are not at hand here`
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
	var one *Error
	if !errors.As(err, &one) || one.Line != 7 {
		t.Errorf("no place: %+v", one)
	}
}

func TestTestsAreJudgedByTheJudge(t *testing.T) {
	var got Request
	judge := func(_ context.Context, p *Policy, r Request) (call.Decision, error) {
		got = r
		return call.Decision{Verdict: call.Hold, Rule: "x"}, nil
	}
	p, err := Load(t.Context(), Options{Judge: judge, Text: []byte(`
version: 1
default: hold
tests:
  - {hold: "post https://a.example/", body: "b", headers: {X-Y: "z"}, session_type: batch, agent: me, tool: t, principal: p, roles: [r]}
`)})
	if err != nil {
		t.Fatal(err)
	}
	if got.Method != "POST" || got.Body != "b" || len(got.Header) != 1 || got.Caller.Type != observed("batch") || got.Caller.Roles[0] != observed("r") {
		t.Errorf("got %+v", got)
	}
	if r := p.Test(t.Context(), judge); len(r) != 1 || r[0].Failure != "" || r[0].Name != "hold POST https://a.example/" {
		t.Errorf("got %+v", r)
	}
}

func TestStarterAndPresetsLoadAndPassTheirTests(t *testing.T) {
	for _, name := range Presets() {
		p, err := Load(t.Context(), Options{Preset: name})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		text, _ := PresetText(name)
		if !strings.Contains(string(text), "tests:") && name != "risky" {
			t.Errorf("%s: no tests", name)
		}
		if name == "strict" || name == "balanced" || name == "observe" {
			if !p.Wants("secret") {
				t.Errorf("%s does not look for secrets", name)
			}
		}
	}
	p, err := Load(t.Context(), Options{Text: Init(), Name: "outvet.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range p.Lint() {
		t.Errorf("lint of the starter: %+v", x)
	}
}

func TestWants(t *testing.T) {
	for _, tc := range []struct {
		rule string
		want map[string]bool
	}{
		{"finding: secret/*", map[string]bool{"secret": true, "personal": false}},
		{"finding: credential/github", map[string]bool{"secret": true}},
		{"finding: personal/email", map[string]bool{"secret": false, "personal": true}},
		{"finding: '*/email'", map[string]bool{"secret": true, "shape": true}},
		{"uninspected: block", map[string]bool{"secret": true}},
		{"when: 'size(findings) > 3'", map[string]bool{"secret": true}},
		{"when: call.sent > 3", map[string]bool{"secret": false}},
		{"mode: observe", map[string]bool{"secret": true}},
		{"to: a.example", map[string]bool{"secret": false}},
	} {
		p := mustLoad(t, "version: 1\ndefault: allow\nrules: [{name: a, "+tc.rule+", verdict: block}]")
		for name, want := range tc.want {
			if p.Wants(name) != want {
				t.Errorf("%s: wants %s: %v", tc.rule, name, !want)
			}
		}
	}
}

func TestSecretsAreNamed(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"p.yaml": `
version: 1
default: block
secrets:
  - {name: a, env: A, home: [api.example.com, "*.b.example"]}
  - {name: b, file: keys/b}
  - {name: c, list: /etc/c}
`})
	p, err := Load(t.Context(), Options{Path: filepath.Join(dir, "p.yaml")})
	if err != nil {
		t.Fatal(err)
	}
	s := p.Secrets()
	if len(s) != 3 || strings.Join(s[0].Home, " ") != "api.example.com *.b.example" || s[1].File != filepath.Join(dir, "keys/b") || s[2].List != "/etc/c" {
		t.Errorf("got %+v", s)
	}
}

func FuzzLoad(f *testing.F) {
	files, _ := filepath.Glob("testdata/error/*.txt")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		in, _, _ := strings.Cut(string(text), "\n----------\n")
		f.Add([]byte(in))
	}
	f.Add([]byte(example))
	f.Add(Init())
	f.Fuzz(func(t *testing.T, text []byte) {
		if strings.Contains(string(text), "include") && !strings.Contains(string(text), "preset:") {
			return // no wandering about the disk
		}
		p, err := Load(context.Background(), Options{Text: text, Name: "p.yaml"})
		if err == nil {
			c := request(t, "GET https://example.com/")
			ask(p, c, call.Decision{})
			p.Lint()
			p.Explain(c, call.Decision{})
			return
		}
		var all Errors
		if !errors.As(err, &all) || len(all) == 0 {
			t.Fatalf("not an Errors: %v", err)
		}
		for _, e := range all {
			if e.Line < 1 || e.Column < 1 || e.Message == "" || strings.Contains(e.Message, "\n") {
				t.Errorf("%q: error without place or message: %+v", text, e)
			}
		}
	})
}
