package match

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

func TestPatternsAgainstTheLawsAreRefused(t *testing.T) {
	for _, x := range []struct {
		p    Pattern
		want string
	}{
		{Pattern{Expr: `a(b`}, `error parsing regexp: missing closing ): ` + "`a(b`"},
		{Pattern{Expr: `(?:token)?`}, `matches the empty string: demand at least a literal`},
		{Pattern{Expr: `\b|word`}, `matches the empty string`},
		{Pattern{Expr: `ab`}, `matches 2 bytes, the least is 3`},
		{Pattern{Expr: `[0-9a-f]{40}`}, `no literal of 2 bytes or more that every match contains: hang it on a word`},
		{Pattern{Expr: `[0-9]{1,20}\|[0-9A-Za-z]{27}`}, `no literal`},
		{Pattern{Expr: `token|[0-9]{8}`}, `no literal`},
		{Pattern{Expr: `token=.*`}, `any number of bytes may follow literal "token=", the limit is 1024: bound each repeat to what decides, let Extend find the end`},
		{Pattern{Expr: `token=[a-z]+`}, `any number of bytes may follow`},
		{Pattern{Expr: `token=\pL{300}`}, `1200 bytes may follow literal "token="`},
		{Pattern{Expr: `\s*token=[a-z]{3}`}, `any number of bytes may precede literal "token="`},
		{Pattern{Expr: `\bcurl\b(?:.*|.*(?:[\r\n]{1,2}.*){1,5})[ \t\n\r](?:-u|--user)[a-z]{3}`}, `any number of bytes may`},
		{Pattern{Expr: `(?:token-)+`}, `any number of bytes may`},
		{Pattern{Expr: `token`, Group: 1}, `group 1: the expression has 0`},
		{Pattern{Expr: `token`, Group: -1}, `group -1: the expression has 0`},
		{Pattern{Expr: `token`, Extend: `z-a`}, `extend "z-a": `},
	} {
		x.p.ID = "the id"
		_, err := New([]Pattern{x.p})
		if err == nil || !strings.HasPrefix(err.Error(), `match: pattern "the id": `+x.want) {
			t.Errorf("%s: %v, want %s", x.p.Expr, err, x.want)
		}
	}
}

func TestAllBadPatternsAreNamedAtOnce(t *testing.T) {
	_, err := New([]Pattern{{ID: "a", Expr: `x`}, {ID: "good", Expr: `token`}, {ID: "b", Expr: `(`}, {ID: "good", Expr: `other`}})
	if err == nil {
		t.Fatal("no error")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 3 || !strings.Contains(lines[0], `"a"`) || !strings.Contains(lines[1], `"b"`) || !strings.Contains(lines[2], `"good": id used twice`) {
		t.Errorf("%q", lines)
	}
}

func TestCheckRefusesGapsOfManyBytes(t *testing.T) {
	gap := Pattern{ID: "gap", Expr: `curl [ a-z]{0,100}user [ a-z]{0,100}pass`}
	if _, err := New([]Pattern{gap}); err != nil {
		t.Fatalf("New pays for the states: %v", err)
	}
	err := Check([]Pattern{gap, {ID: "good", Expr: `token`}})
	if err == nil || !strings.HasPrefix(err.Error(), `match: pattern "gap": more than 4000 states behind literal "`) || strings.Contains(err.Error(), "good") {
		t.Error(err)
	}
}

// TestNewIsQuick holds what `check` and `run` may spend at their start: no
// state of a pattern is built before a text asks for it.
func TestNewIsQuick(t *testing.T) {
	m := matcher(t, many(250))
	states := 0
	for _, l := range m.literals {
		for _, x := range l.targets {
			if x.dfa != nil && x.dfa.prog != nil {
				states += len(x.dfa.known)
			}
		}
	}
	if states > 8000 {
		t.Errorf("New built %d states", states)
	}
}

// many returns n patterns of all shapes, no two with the same words.
func many(n int) []Pattern {
	var ps []Pattern
	for i := 0; len(ps) < n; i++ {
		p := shapes[i%len(shapes)]
		if i >= len(shapes) {
			p.ID = fmt.Sprint(p.ID, " ", i)
			p.Expr = strings.Replace(p.Expr, "secret", "secret"+string(rune('a'+i%26)), 1)
			p.Expr = letters4.ReplaceAllStringFunc(p.Expr, func(s string) string {
				return s[:2] + string(rune('a'+i/len(shapes))) + s[2:]
			})
		}
		if _, err := New([]Pattern{p}); err == nil {
			ps = append(ps, p)
		}
	}
	return ps
}

var letters4 = regexp.MustCompile(`[a-z]{4,}`)
