package secret

import (
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
