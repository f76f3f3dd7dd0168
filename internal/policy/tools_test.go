package policy

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.yaml.in/yaml/v4"

	"outvet/call"
)

func TestLintSaysWhatReadsOtherwiseThanItWorks(t *testing.T) {
	p := mustLoad(t, `version: 1
default: block
destinations:
  unused: {hosts: u.example}
  used: {hosts: v.example}
rules:
  - {name: wide, method: GET, verdict: allow}
  - {name: finding only, finding: credential/*, verdict: allow}
  - {name: star, to: "*", verdict: allow}
  - {name: strangers, to: "*.github.io", verdict: allow}
  - {name: unlabelled, to: {trust: unknown}, verdict: allow}
  - {name: pathless, to: "@used", protocol: dns, path: /x, verdict: block}
  - {name: classless, to: v.example, tool: {class: read_only}, verdict: allow}
  - {name: outer, to: "*.w.example", verdict: block}
  - {name: shadowed, to: x.w.example, path: /y, verdict: hold}
  - {name: every, to: v.example, path: [/x, /**], verdict: block, irreversible: true}
budgets: [{name: b, count: requests, limit: 3}]
tools: {t: {class: external_api, endpoint: POST x.example/y}}
`)
	var got []string
	for _, x := range p.Lint() {
		got = append(got, x.At+" "+x.Rule+": "+x.Message)
	}
	want := []string{
		"p.yaml:1 : the policy has no tests",
		`p.yaml:4 : destination "unused" is not used`,
		"p.yaml:7 wide: it allows calls to anywhere: give it a to:",
		"p.yaml:8 finding only: it allows a call to anywhere as soon as one part of it contains the finding: give it a to:",
		`p.yaml:9 star: it allows calls to anywhere: its to: is "*"`,
		"p.yaml:10 strangers: anybody can get a name below github.io: it allows calls to strangers",
		`p.yaml:10 strangers: it has no effect: rule "star" (p.yaml:9) matches all that it matches and is as strict`,
		"p.yaml:11 unlabelled: it allows calls to every destination that nobody labelled",
		"p.yaml:12 pathless: it matches nothing: calls of protocol dns have no path",
		"p.yaml:13 classless: it matches nothing: no tool under tools: is of class read_only",
		`p.yaml:13 classless: it has no effect: rule "star" (p.yaml:9) matches all that it matches and is as strict`,
		`p.yaml:15 shadowed: it has no effect: rule "outer" (p.yaml:14) matches all that it matches and is as strict`,
		"p.yaml:16 every: path /** matches every path: the others have no effect",
		"p.yaml:16 every: irreversible has no effect on a rule that blocks",
		`p.yaml:17 : budget "b" is not enforced yet`,
		`p.yaml:18 : endpoint and arguments of tool "t" are not enforced yet`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}

func TestExplainSaysFieldByField(t *testing.T) {
	p := mustLoad(t, example)
	c := request(t, "POST https://api.openai.com/v1/files")
	c.Caller.Tool = claimed("look_up")
	x := p.Explain(c, call.Decision{})
	if x.Decision.Verdict != call.Block || x.Category != "model" || x.Trust != "third_party" || len(x.Rules) != 8 {
		t.Errorf("%+v", x)
	}
	first := x.Rules[0]
	text := fmt.Sprint(first.Fields)
	if first.Matched || !strings.Contains(text, "{to @models api.openai.com (category model, trust third_party) yes}") ||
		!strings.Contains(text, "{path /v1/messages, /v1/chat/completions, /v1/responses /v1/files no}") {
		t.Errorf("%+v", first)
	}
	if last := x.Rules[7]; !last.Matched || last.Fields[0].Answer != "only claimed" {
		t.Errorf("%+v", last)
	}
	if c.Dest.Category != "" {
		t.Error("the call is changed")
	}
}

// valid checks v by the subset of JSON Schema that Schema uses.
func valid(s map[string]any, v any) error {
	if all, ok := s["anyOf"].([]any); ok {
		for _, one := range all {
			if valid(one.(map[string]any), v) == nil {
				return nil
			}
		}
		return fmt.Errorf("%v is none of the choice", v)
	}
	if words, ok := s["enum"].([]any); ok && !slices.Contains(words, v) {
		return fmt.Errorf("%v is not one of %v", v, words)
	}
	if c, ok := s["const"]; ok && c != v {
		return fmt.Errorf("%v is not %v", v, c)
	}
	if p, ok := s["pattern"].(string); ok && !regexp.MustCompile(p).MatchString(fmt.Sprint(v)) {
		return fmt.Errorf("%v does not match %s", v, p)
	}
	switch s["type"] {
	case "object":
		return validObject(s, v)
	case "array":
		list, ok := v.([]any)
		if !ok || len(list) == 0 {
			return fmt.Errorf("%v is not a list", v)
		}
		for _, one := range list {
			if err := valid(s["items"].(map[string]any), one); err != nil {
				return err
			}
		}
	case "string":
		if _, ok := v.(string); !ok {
			return fmt.Errorf("%v is not a text", v)
		}
	case "boolean":
		if _, ok := v.(bool); !ok {
			return fmt.Errorf("%v is not a boolean", v)
		}
	case "integer", "number":
		if _, ok := v.(float64); !ok {
			return fmt.Errorf("%v is not a number", v)
		}
	}
	return nil
}

func validObject(s map[string]any, v any) error {
	m, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("%v is not a map", v)
	}
	props, _ := s["properties"].(map[string]any)
	for k, x := range m {
		sub, ok := props[k].(map[string]any)
		if !ok {
			if sub, ok = s["additionalProperties"].(map[string]any); !ok {
				return fmt.Errorf("unknown key %s", k)
			}
		}
		if err := valid(sub, x); err != nil {
			return fmt.Errorf("%s: %w", k, err)
		}
	}
	required, _ := s["required"].([]any)
	for _, k := range required {
		if m[k.(string)] == nil {
			return fmt.Errorf("%s is missing", k)
		}
	}
	return nil
}

func TestTheSchemaTakesWhatTheLoaderTakes(t *testing.T) {
	var s map[string]any
	if err := json.Unmarshal(Schema(), &s); err != nil {
		t.Fatal(err)
	}
	check := func(text []byte) error {
		var v any
		if err := yaml.Load(text, &v); err != nil {
			return nil // not YAML: the loader says so
		}
		j, err := json.Marshal(v)
		if err != nil {
			return nil
		}
		_ = json.Unmarshal(j, &v)
		return valid(s, v)
	}
	for _, name := range Presets() {
		text, _ := PresetText(name)
		if err := check(text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, text := range [][]byte{Init(), []byte(example)} {
		if err := check(text); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"unknown-keys", "wrong-types", "version-missing", "version-other", "top-is-a-list"} {
		text, err := os.ReadFile("testdata/error/" + name + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		in, _, _ := strings.Cut(string(text), "\n----------\n")
		if check([]byte(in)) == nil {
			t.Errorf("%s: the schema takes it", name)
		}
	}
}

// watching runs Watch and hands over what it says.
func watching(t *testing.T, o Options, now *Policy) (applied chan *Policy, failed chan error) {
	applied, failed = make(chan *Policy, 16), make(chan error, 16)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := Watch(t.Context(), o, now, func(p *Policy) { applied <- p }, func(err error) { failed <- err }); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { wg.Wait(); goleak.VerifyNone(t) })
	return applied, failed
}

func next[T any](t *testing.T, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(10 * time.Second):
		t.Fatalf("no %s", what)
	}
	return v
}

// replace saves a file as editors do: written beside, renamed over.
func replace(t *testing.T, dir, name, text string) {
	t.Helper()
	write(t, dir, map[string]string{"tmp": text})
	if err := os.Rename(filepath.Join(dir, "tmp"), filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

func TestWatchKeepsTheOldPolicyWhenTheNewIsBad(t *testing.T) {
	dir := t.TempDir()
	main := filepath.Join(dir, "p.yaml")
	write(t, dir, map[string]string{"p.yaml": "version: 1\ninclude: b.yaml\ndefault: block", "b.yaml": "version: 1"})
	p, err := Load(t.Context(), Options{Path: main})
	if err != nil {
		t.Fatal(err)
	}
	applied, failed := watching(t, Options{Path: main}, p)
	time.Sleep(50 * time.Millisecond)
	replace(t, dir, "b.yaml", "version: 1\nrules: [{name: a, verdict: alow}]")
	if err := next(t, "error", failed); !strings.Contains(err.Error(), `b.yaml:2:28: unknown word "alow"`) {
		t.Error(err)
	}
	replace(t, dir, "b.yaml", "version: 1\nrules: [{name: a, verdict: allow}]")
	if q := next(t, "policy", applied); q.Digest() == p.Digest() {
		t.Error("the old policy again")
	}
	// Touched, but as it was: nothing to do. Then removed.
	replace(t, dir, "b.yaml", "version: 1\nrules: [{name: a, verdict: allow}]")
	time.Sleep(3 * settleTime)
	if len(applied)+len(failed) > 0 {
		t.Error("loaded without a change")
	}
	if err := os.Remove(main); err != nil {
		t.Fatal(err)
	}
	next(t, "error", failed)
	replace(t, dir, "p.yaml", "version: 1\ndefault: allow")
	next(t, "policy", applied)
}

func TestWatchSeesDirectoriesSwappedBehindLinks(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"v1/p.yaml": "version: 1\ndefault: block", "v2/p.yaml": "version: 1\ndefault: allow", "v3/p.yaml": "version: 1\ndefault: hold"})
	link := func(to, name string) {
		tmp := filepath.Join(dir, "tmp")
		if err := os.Symlink(to, tmp); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(tmp, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "mount"), 0o755); err != nil {
		t.Fatal(err)
	}
	link("v1", "data")
	link("../data/p.yaml", "mount/p.yaml")
	applied, _ := watching(t, Options{Path: filepath.Join(dir, "mount/p.yaml")}, nil)
	if p := next(t, "policy", applied); p.layers[0].fallback != call.Block {
		t.Error("not v1")
	}
	link("v2", "data")
	if p := next(t, "policy", applied); p.layers[0].fallback != call.Allow {
		t.Error("not v2")
	}
	link("v3", "data")
	if err := os.RemoveAll(filepath.Join(dir, "v1")); err != nil {
		t.Fatal(err)
	}
	if p := next(t, "policy", applied); p.layers[0].fallback != call.Hold {
		t.Error("not v3")
	}
}

func TestAPolicyIsSafeForConcurrentUse(t *testing.T) {
	p := mustLoad(t, example)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 200 {
				c := request(t, []string{"POST https://api.openai.com/v1/responses", "GET https://a.corp.example/", "GET https://x.example/a/../b"}[(i+j)%3])
				want := []call.Verdict{call.Allow, call.Allow, call.Block}[(i+j)%3]
				if d := ask(p, c, call.Decision{}); d.Verdict != want {
					t.Errorf("%s: %s", c.Dest.Host, d.Verdict)
				}
			}
		})
	}
	wg.Wait()
}
