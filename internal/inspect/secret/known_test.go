package secret

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"outvet/call"
)

func TestKnownValueIsFoundInEveryEncoding(t *testing.T) {
	const value = "Tr0ub4dor&3/x=Zq9"
	in := newInspector(t, Options{Known: []Known{{Name: "db", Value: []byte(value)}}})
	m := newEngine(t, in.patterns).m
	reverse := []byte(value)
	slices.Reverse(reverse)
	cases := map[string]string{
		"raw":              value,
		"inside":           "aaa" + value + "bbb",
		"hex":              hex.EncodeToString([]byte(value)),
		"hex in capitals":  strings.ToUpper(hex.EncodeToString([]byte(value))),
		"percent":          url.QueryEscape(value),
		"reversed":         string(reverse),
		"base64":           base64.StdEncoding.EncodeToString([]byte(value)),
		"base64 of base64": base64.StdEncoding.EncodeToString([]byte(base64.StdEncoding.EncodeToString([]byte(value)))),
	}
	for lead := range 3 {
		for name, enc := range map[string]*base64.Encoding{"std": base64.StdEncoding, "url": base64.RawURLEncoding} {
			cases[fmt.Sprintf("base64 %s at %d", name, lead)] = enc.EncodeToString([]byte("\x01\x02\x03"[:lead] + value + "\xff\xfe"))
		}
	}
	for name, text := range cases {
		for _, contentType := range []string{"text/plain", "application/json"} {
			body := "see " + text + " there"
			if contentType == "application/json" {
				body = `{"a":"` + body + `"}`
			}
			got, _ := sent(t, in, m, call.Dest{Host: "example.com"}, post(contentType), body)
			if !slices.Contains(kinds(got), "secret/known/db") {
				t.Errorf("%s, %s: %v", name, contentType, kinds(got))
			}
		}
	}
	for _, text := range []string{strings.ToUpper(value), value[1:], "nothing"} {
		got, _ := sent(t, in, m, call.Dest{Host: "example.com"}, post("text/plain"), text)
		if len(got) > 0 {
			t.Errorf("%q: %v", text, kinds(got))
		}
	}
}

func TestKnownValueHasOneDigestInAllEncodings(t *testing.T) {
	value := []byte("correct-horse-battery")
	in := newInspector(t, Options{Key: []byte("k"), Known: []Known{{Name: "x", Value: value}}})
	m := newEngine(t, in.patterns).m
	digests := map[string]bool{}
	for _, text := range []string{string(value), hex.EncodeToString(value)} {
		got, _ := sent(t, in, m, call.Dest{}, post("text/plain"), text)
		for _, f := range got {
			digests[f.Digest] = true
			if len(f.Digest) != 32 {
				t.Errorf("digest %q", f.Digest)
			}
		}
	}
	if len(digests) != 1 {
		t.Errorf("digests %v", digests)
	}
}

func TestKeyFileIsFoundByEachLine(t *testing.T) {
	in := newInspector(t, Options{Known: []Known{{Name: "key", Value: []byte("first line is short\nQ2hhcmxpZSBCcm93biBpcyBub3QgYSBrZXk\nx\n")}}})
	m := newEngine(t, in.patterns).m
	got, _ := sent(t, in, m, call.Dest{}, post("text/plain"), "it says Q2hhcmxpZSBCcm93biBpcyBub3QgYSBrZXk somewhere")
	if !slices.Contains(kinds(got), "secret/known/key") {
		t.Errorf("%v", kinds(got))
	}
}

func TestLongAndBinaryKnownValues(t *testing.T) {
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, "%x-", i*i*7919)
	}
	long := b.String()
	binary := []byte("\x00\xff\xfe\x01\x80secret\x81\x82\x83\xf0")
	in := newInspector(t, Options{Known: []Known{{Name: "long", Value: []byte(long)}, {Name: "binary", Value: binary}}})
	m := newEngine(t, in.patterns).m
	for text, want := range map[string]string{
		"x " + long: "secret/known/long",
		"x " + base64.StdEncoding.EncodeToString(binary): "secret/known/binary",
		"x " + hex.EncodeToString(binary):                "secret/known/binary",
	} {
		got, _ := sent(t, in, m, call.Dest{}, post("text/plain"), text)
		if !slices.Contains(kinds(got), want) {
			t.Errorf("%.40s: %v, want %s", text, kinds(got), want)
		}
	}
}

func TestKnownValueThatCannotBeFoundIsRefused(t *testing.T) {
	for _, c := range []struct {
		known Known
		want  string
	}{
		{Known{Name: "a", Value: []byte("1234567")}, `secret: known value "a": 7 bytes, the least is 8: shorter ones stand in innocent text`},
		{Known{Name: "", Value: []byte("12345678")}, `secret: known value "": the name is not of lower case words`},
		{Known{Name: "A b", Value: []byte("12345678")}, `secret: known value "A b": the name is not of lower case words`},
		{Known{Name: "a", Value: []byte("          ")}, `secret: known value "a": only white space`},
		{Known{Name: "a", Value: []byte("12345678"), Home: []string{"https://x"}}, `secret: known value "a": home: "https://x" is not a host name in lower case`},
	} {
		_, err := New(Options{Known: []Known{c.known}})
		if err == nil || err.Error() != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
		if err != nil && len(c.known.Value) > 7 && strings.Contains(err.Error(), string(c.known.Value)) && c.known.Name != "a" {
			t.Errorf("the error holds the value: %v", err)
		}
	}
}
