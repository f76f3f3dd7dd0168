package http1

import (
	"fmt"
	"strings"
	"testing"
)

func FuzzUnquotedLeavesNothingOfWhatWasQuoted(f *testing.F) {
	for _, s := range []string{"", "a", `"`, `\`, `\"`, "x\"y\\", "ghp_secret", "\xff\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Unquoted(fmt.Sprintf("the line %.40q is none, %q neither", s, s))
		if got != `the line "..." is none, "..." neither` {
			t.Errorf("%q", got)
		}
		if plain := strings.ReplaceAll(s, `"`, ""); Unquoted(plain) != plain {
			t.Errorf("%q was changed", plain)
		}
	})
}

func TestErrorsDoNotCarryWhatTheyQuote(t *testing.T) {
	err := bad("the Host %.40q is malformed", "a secret")
	if err.Error() != `http1: the Host "..." is malformed` || !strings.Contains(err.Why, "a secret") {
		t.Errorf("%v; %s", err, err.Why)
	}
}
