package secret

import (
	"bytes"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"outvet/call"
	"outvet/internal/inspect"
	"outvet/internal/match"
	"outvet/internal/payload"
)

// FuzzInspect: whatever surrounds it, a token on a line of its own is found,
// and every finding lies in its text.
func FuzzInspect(f *testing.F) {
	for _, s := range []string{
		"", "token = ", `{"password": "`, "password: \\\"x", "<secret>\n", "-----BEGIN RSA PRIVATE KEY-----\n", "kind: Secret\ndata:\n  a: ",
		"Authorization: Basic ", "eyJhbGciOiJIUzI1NiJ9.", "a://b:c@", "--token ", "PuTTY-User-Key-File-2: x", "MIIEowIBAAKCAQEA", "api_key\x00",
		privateKeyText, "x=" + jsonWebToken + "..", `"value"="`, "token: str = ",
	} {
		f.Add(s, "after")
	}
	in := newInspector(f, Options{Known: []Known{{Name: "known", Value: []byte("correct-horse-battery")}}})
	m := newEngine(f, in.patterns).m
	f.Fuzz(func(t *testing.T, before, after string) {
		body := before + "\n" + githubToken + "\n" + after
		msg := &payload.Message{Host: "example.com", Target: "/" + strings.ToValidUTF8(before, ""), Header: http.Header{"Content-Type": {"text/plain"}, "X-Api-Key": {after}}}
		c := payload.Decode(msg, []byte(body), payload.Limits{})
		defer c.Release()
		var s match.Scratch
		hits, err := m.Scan(c.Text, &s)
		if errors.Is(err, match.ErrBudget) {
			return
		}
		got, err := in.Inspect(t.Context(), &inspect.Subject{Call: &call.Call{Dest: call.Dest{Host: "example.com"}}, Content: c, Hits: hits})
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range got {
			if x.From < 0 || x.From >= x.To || x.To > len(c.Text) {
				t.Fatalf("%s: span %d to %d of %d", x.Kind, x.From, x.To, len(c.Text))
			}
			if !strings.HasPrefix(x.Kind, "secret/") && !strings.HasPrefix(x.Kind, "credential/") {
				t.Fatalf("kind %q", x.Kind)
			}
		}
		if !slices.Contains(kinds(got), "secret/github-pat") && !slices.ContainsFunc(got, func(x call.Finding) bool {
			at := bytes.Index(c.Text, []byte(githubToken)) // it may stand within a greater secret, which is the one told
			return x.From <= at && at+len(githubToken) <= x.To
		}) {
			t.Fatalf("the token was not found: %v in %q", kinds(got), c.Text)
		}
	})
}

// FuzzAssigned: names and values lie in their part and do not overlap.
func FuzzAssigned(f *testing.F) {
	f.Add("token = \"x\"", 0, 5)
	f.Add("<a_token>\n x</a_token>", 3, 8)
	f.Add("x.token: string = 'y';", 2, 7)
	f.Fuzz(func(t *testing.T, text string, from, to int) {
		if from < 0 || to <= from || to > len(text) {
			return
		}
		part := span{0, len(text)}
		name := nameAround([]byte(text), part, span{from, to})
		if name.from < 0 || name.from > from || name.to < to || name.to > len(text) {
			t.Fatalf("name %v around %d to %d of %d", name, from, to, len(text))
		}
		a, ok := assigned([]byte(text), part, name)
		if ok && (a.value.from < name.to || a.value.to > len(text) || a.value.len() <= 0) {
			t.Fatalf("value %v after name %v of %d", a.value, name, len(text))
		}
		nameMeans([]byte(text)[name.from:name.to])
		looksPassword([]byte(text), true)
		looksRandom([]byte(text))
	})
}
