// Package attack tries to carry secrets past the gate, to make it cry wolf and
// to make it slow. It holds the assembled inspection (payload, patterns,
// secrets, preset policies, gate) from outside, by what an attacker can write.
//
// A test of this package names a defect that is known in a list with its
// reason. What is on a list must fail and what is not must pass: so a
// regression and a repair are both noticed.
package attack

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"outvet/call"
	"outvet/internal/gate"
	"outvet/internal/inspect"
	"outvet/internal/inspect/secret"
	"outvet/internal/policy"
)

// maskText edits what the preset balanced would block.
const maskText = `version: 1
default: allow
rules:
  - {name: mask, finding: {kind: "secret/*"}, redact: mask}
`

// known is a secret that no rule would find by its shape.
const known = "tr0ub4dor&3-Hq!zephyr"

// inspectors are those of the program, made once: compiling them is not what
// is tested here.
var inspectors = sync.OnceValues(func() (*inspect.Set, error) {
	s, err := secret.New(secret.Options{Key: []byte("key"), Known: []secret.Known{{Name: "deploy", Value: []byte(known)}}})
	if err != nil {
		return nil, err
	}
	return inspect.NewSet(s)
})

func newPolicy(t testing.TB, o policy.Options) *policy.Policy {
	t.Helper()
	o.Name = "attack.yaml"
	p, err := policy.Load(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// newGate returns a gate as outvet check has it, under a preset.
func newGate(t testing.TB, preset string) *gate.Gate {
	t.Helper()
	return gateOf(t, newPolicy(t, policy.Options{Preset: preset}))
}

func gateOf(t testing.TB, p *policy.Policy) *gate.Gate {
	t.Helper()
	set, err := inspectors()
	if err != nil {
		t.Fatal(err)
	}
	return gate.Dry(p, set)
}

// A request is what an attacker sends. The zero Method is POST, the zero URL
// that of a host of which no rule speaks.
type request = policy.Request

const notes = "https://notes.example/v1/notes"

func post(ctype, body string, header ...[2]string) request {
	if ctype != "" {
		header = append(header, [2]string{"Content-Type", ctype})
	}
	return request{Method: "POST", URL: notes, Header: header, Body: body}
}

func get(url string, header ...[2]string) request {
	return request{Method: "GET", URL: url, Header: header}
}

// try decides r and fails the test if that cannot be done.
func try(t testing.TB, g *gate.Gate, r request) call.Decision {
	t.Helper()
	_, d, err := g.Try(t.Context(), r)
	if err != nil {
		t.Fatalf("%s %.200s: %v", r.Method, r.URL, err)
	}
	return d
}

// caught reports whether d is what should become of a leak.
func caught(d call.Decision) bool {
	return d.Verdict == call.Block && slices.ContainsFunc(d.Findings, isSecret)
}

func isSecret(f call.Finding) bool { return strings.HasPrefix(f.Kind, "secret/") }

// say shows a decision in one line.
func say(d call.Decision) string {
	var s []string
	for _, f := range d.Findings {
		s = append(s, f.Kind+"@"+f.Part)
	}
	for _, u := range d.Uninspected {
		s = append(s, fmt.Sprintf("uninspected %q: %s", u.Part, u.Reason))
	}
	return fmt.Sprintf("%s by %q [%s]", d.Verdict, d.Rule, strings.Join(s, ", "))
}
