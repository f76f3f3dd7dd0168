package inspect

import (
	"context"
	"errors"
	"strings"
	"testing"

	"outvet/call"
	"outvet/internal/match"
	"outvet/internal/payload"
)

// A word is an inspector that looks for its own name.
type word struct {
	name string
	do   func(s *Subject) error
}

func (w word) Name() string { return w.name }
func (w word) Patterns() []match.Pattern {
	return []match.Pattern{{ID: w.name + "/upper", Expr: strings.ToUpper(w.name)}, {ID: w.name, Expr: w.name}}
}

func (w word) Inspect(_ context.Context, s *Subject) ([]call.Finding, error) {
	if w.do != nil {
		if err := w.do(s); err != nil {
			return nil, err
		}
	}
	var out []call.Finding
	for _, h := range s.Hits {
		kind := w.name
		if h.Pattern == 0 {
			kind = strings.ToUpper(w.name)
		}
		out = append(out, call.Finding{Inspector: w.name, Kind: kind, Place: s.Content.Place(h.Start, h.End)})
	}
	return out, nil
}

func run(t *testing.T, text string, wants func(string) bool, in ...Inspector) ([]string, *payload.Content, error) {
	t.Helper()
	set, err := NewSet(in...)
	if err != nil {
		t.Fatal(err)
	}
	content := payload.DecodeText("body", []byte(text), payload.Limits{})
	found, err := set.Run(t.Context(), &call.Call{}, content, wants)
	var kinds []string
	for _, f := range found {
		kinds = append(kinds, f.Kind)
	}
	return kinds, content, err
}

func all(string) bool { return true }

func TestHitsGoToTheInspectorThatAskedForThem(t *testing.T) {
	got, _, err := run(t, "some apple, some BREAD, some bread", all, word{name: "apple"}, word{name: "bread"})
	if want := "apple BREAD bread"; err != nil || strings.Join(got, " ") != want {
		t.Errorf("%v, %v, want %s", got, err, want)
	}
}

func TestWhatNobodyWantsIsNotRun(t *testing.T) {
	never := word{name: "apple", do: func(*Subject) error { panic("it ran") }}
	got, _, err := run(t, "apple bread", func(name string) bool { return name == "bread" }, never, word{name: "bread"})
	if err != nil || strings.Join(got, " ") != "bread" {
		t.Errorf("%v, %v", got, err)
	}
}

func TestFailureOfOneInspectorIsAnErrorAndStopsNoOther(t *testing.T) {
	for name, fail := range map[string]func(*Subject) error{
		"error": func(*Subject) error { return errors.New("broken") },
		"panic": func(*Subject) error { panic("broken") },
	} {
		got, _, err := run(t, "apple bread", all, word{"apple", fail}, word{name: "bread"})
		if err == nil || !strings.Contains(err.Error(), "inspect: apple: ") || strings.Join(got, " ") != "bread" {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// A hog has a pattern that a text can make very costly.
type hog struct{ word }

func (hog) Patterns() []match.Pattern {
	return []match.Pattern{{ID: "hog", Expr: `key[a-z ]{0,500}[0-9]{8}`}}
}

func TestTextThatCostsTooMuchIsSaidToBeUninspected(t *testing.T) {
	_, content, err := run(t, strings.Repeat("key ", 100_000), all, hog{word{name: "hog"}})
	if err != nil || len(content.Uninspected) != 1 || !strings.Contains(content.Uninspected[0].Reason, "budget") {
		t.Errorf("%+v, %v", content.Uninspected, err)
	}
}

func TestBadPatternIsRefusedByName(t *testing.T) {
	_, err := NewSet(word{name: ""})
	if err == nil || !strings.HasPrefix(err.Error(), "inspect: ") {
		t.Errorf("%v", err)
	}
}

func TestNoInspectorsInspectNothing(t *testing.T) {
	var none *Set
	if found, err := none.Run(t.Context(), &call.Call{}, &payload.Content{}, all); found != nil || err != nil || none.Wanted(all) {
		t.Errorf("%v, %v", found, err)
	}
}
