package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"outvet/internal/policy"
)

func readme(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestPolicyOfTheReadmeLoadsAndPassesItsTests(t *testing.T) {
	_, rest, ok := strings.Cut(readme(t), "```yaml\n")
	text, _, _ := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("the README shows no policy")
	}
	p, err := policy.Load(t.Context(), policy.Options{Name: "README.md", Text: []byte(text), Judge: (&bench{key: []byte("key")}).judge()})
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Test(t.Context(), (&bench{}).judge()); len(got) != 2 {
		t.Errorf("%d tests ran, want the 2 that the README shows", len(got))
	}
	for _, problem := range p.Lint() {
		t.Errorf("lint: %+v", problem)
	}
}

func TestCommandsOfTheReadmeExist(t *testing.T) {
	root := newRoot()
	for _, m := range regexp.MustCompile("(?m)^\\| `outvet ([a-z]+) ?([^`]*)`").FindAllStringSubmatch(readme(t), -1) {
		for _, verb := range strings.Split(m[2], `\|`) {
			args := []string{m[1]}
			if verb == strings.ToLower(verb) && verb != "" {
				args = append(args, verb)
			}
			c, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 || c.Short == "" {
				t.Errorf("the README shows outvet %s, which is no command", strings.Join(args, " "))
			}
		}
	}
}

func TestEveryCommandPrintsJSONOrSaysWhyNot(t *testing.T) {
	text := map[string]string{
		"outvet": "", "outvet log": "", "outvet policy": "", "outvet session": "", "outvet ca": "", // hold commands
		"outvet serve":         "prints one line that scripts read",
		"outvet man":           "writes pages",
		"outvet attack inside": "is a part of attack", "outvet attack nested": "is a part of attack", "outvet attack linger": "is a part of attack",
		"outvet policy schema": "is JSON", "outvet policy show": "is a policy", "outvet policy trust": "says one line",
		"outvet log prove": "is a proof in its own format",
	}
	walk(newRoot(), func(path string, has bool, short string) {
		if why, ok := text[path]; !ok && !has {
			t.Errorf("%s has no --json", path)
		} else if ok && has {
			t.Errorf("%s has --json, although it %s", path, why)
		}
		if short == "" || strings.HasSuffix(short, ".") {
			t.Errorf("%s: short help %q", path, short)
		}
	})
}

func TestPresetsPassTheirTests(t *testing.T) {
	for _, name := range policy.Presets() {
		p, err := policy.Load(t.Context(), policy.Options{Preset: name, Untested: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range p.Test(t.Context(), (&bench{}).judge()) {
			if r.Failure != "" {
				t.Errorf("%s: %s", r.At, r.Failure)
			}
		}
	}
}
