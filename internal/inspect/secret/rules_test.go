package secret

import (
	"regexp"
	"strings"
	"testing"

	"outvet/internal/match"
)

func TestRulesObeyTheLawsOfPatterns(t *testing.T) {
	in := newInspector(t, Options{})
	if err := match.Check(in.Patterns()); err != nil {
		for _, l := range strings.Split(err.Error(), "\n") {
			t.Error(l)
		}
	}
}

func TestRulesAreWellKept(t *testing.T) {
	set, err := loadRules(ruleData)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	names := map[string]bool{}
	for _, r := range set.Rules {
		names[r.Name] = true
		if seen[r.Expr+strings.Join(r.Words, " ")+r.Value] {
			t.Errorf("%s: the rule stands there twice", r.Name)
		}
		seen[r.Expr+strings.Join(r.Words, " ")+r.Value] = true
		if strings.HasPrefix(r.Expr, `\b`) || strings.HasSuffix(r.Expr, `\b`) {
			t.Errorf("%s: the edges of a value are checked in code", r.Name)
		}
		for _, w := range r.Words {
			if w != strings.ToLower(w) || len(w) < 3 {
				t.Errorf("%s: word %q is not in lower case or too short", r.Name, w)
			}
		}
		if r.Expr != "" && r.Group > 0 && r.Extend != "" {
			if re := regexp.MustCompile(r.Expr); re.NumSubexp() != r.Group || !strings.HasSuffix(r.Expr, ")") {
				t.Errorf("%s: what is extended must be the end of the expression", r.Name)
			}
		}
		if r.rank == rankDistinct && !r.marked && *r.Before != "" {
			t.Errorf("%s: the beginning is a mark, so that what stands before it tells nothing", r.Name)
		}
		if strings.HasSuffix(r.Describe, ".") {
			t.Errorf("%s: the description is no sentence", r.Name)
		}
	}
	t.Logf("%d rules, %d kinds", len(set.Rules), len(names))
}

func TestBadRulesAreRefused(t *testing.T) {
	for _, c := range []struct{ yaml, want string }{
		{"rules: [{name: a, describe: b, expr: c, colour: red}]", "field colour not found"},
		{"rules: [{name: A, describe: b, expr: c}]", `rule 0, "A": the name is not of lower case words and hyphens`},
		{"rules: [{name: a, expr: c}]", "no description"},
		{"rules: [{name: a, describe: b}]", "needs either expr or words"},
		{"rules: [{name: a, describe: b, expr: c, words: [d]}]", "needs either expr or words"},
		{"rules: [{name: a, describe: b, words: [d]}]", "words need either value or generic"},
		{"rules: [{name: a, describe: b, words: [d], value: '('}]", "missing closing )"},
		{"rules: [{name: a, describe: b, expr: c, check: guess}]", `unknown check "guess"`},
		{"rules: [{name: a, describe: b, expr: c, before: 'z-a'}]", "invalid character class range"},
		{"rules: [{name: a, describe: b, expr: c, home: {hosts: ['*.x']}}]", `"*.x" is not a host name`},
		{"rules: [{name: a, describe: b, expr: c, home: {at: [cookie]}}]", `position "cookie"`},
	} {
		_, err := loadRules([]byte(c.yaml))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.yaml, err, c.want)
		}
	}
}
