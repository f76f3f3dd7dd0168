package policy

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"outvet/call"
)

// slowPath is the obvious matcher of decoded paths.
func slowPath(pat, segs []string) bool {
	switch {
	case len(pat) == 0:
		return len(segs) == 0
	case pat[0] == "**":
		return slowPath(pat[1:], segs) || len(segs) > 0 && slowPath(pat, segs[1:])
	case len(segs) == 0:
		return false
	case pat[0] == "*":
		return segs[0] != "" && slowPath(pat[1:], segs[1:])
	}
	return slowGlob(pat[0], segs[0]) && slowPath(pat[1:], segs[1:])
}

func slowGlob(pat, s string) bool {
	switch {
	case pat == "":
		return s == ""
	case pat[0] == '*':
		return slowGlob(pat[1:], s) || s != "" && slowGlob(pat, s[1:])
	}
	return s != "" && pat[0] == s[0] && slowGlob(pat[1:], s[1:])
}

func TestPathsMatchAsTheObviousMatcherDoes(t *testing.T) {
	seg := rapid.SampledFrom([]string{"a", "b", "ab", "abc", "*", "**", "a*", "*b", "a*c", ""})
	plain := rapid.SampledFrom([]string{"a", "b", "ab", "abc", "aXc", ""})
	rapid.Check(t, func(t *rapid.T) {
		pat := rapid.SliceOfN(seg, 1, 5).Draw(t, "pattern")
		segs := rapid.SliceOfN(plain, 1, 6).Draw(t, "path")
		if strings.Count(strings.Join(pat, "/"), "**") > 2 {
			return
		}
		path := "/" + strings.Join(segs, "/")
		want := slowPath(pat, segs)
		if got := (pathPattern{segs: pat}).matches([]byte(path)); got != want {
			t.Fatalf("pattern %q, path %q: %v, want %v", pat, path, got, want)
		}
		p := &paths{}
		l := &layer{}
		p.add(entry{rule: &rule{layer: l, paths: []pathPattern{{segs: pat}}, speaks: true}})
		e := &eval{c: &call.Call{}, state: &layerState{}, d: &call.Decision{}, p: &Policy{}}
		p.walk([]byte(path), e)
		if got := e.state.firm[all].layer != nil; got != want {
			t.Fatalf("trie: pattern %q, path %q: %v, want %v", pat, path, got, want)
		}
	})
}

// TestPathTricksDoNotSatisfyAllowingRules spells a forbidden path in the ways
// that some server or framework takes for it.
func TestPathTricksDoNotSatisfyAllowingRules(t *testing.T) {
	p := mustLoad(t, `
version: 1
default: block
rules:
  - {name: public, to: example.com, path: ["/public/**", "/files/*", "/v1/*.json", "/api/*/info"], verdict: allow}
`)
	for _, target := range []string{
		"/public/../admin", "/public/%2e%2e/admin", "/public/%2E%2e/admin", "/public/.%2e/admin", "/public/..%2fadmin", "/public/..%2Fadmin",
		"/public/%252e%252e/admin", "/public/%252e%252e%252fadmin", "/public/..;/admin", "/public/..;x=1/admin", "/public/..\\admin", "/public/a..", "/public/a%20/b", "/public/..%5cadmin",
		"/public\\..\\admin", "/public/%5c../admin", "/public//admin", "//public/x", "/public/./admin", "/public/.../admin", "/public/.. /admin", "/public/..%20/admin",
		"/public/..%00/admin", "/public/x%00", "/public/%c0%ae%c0%ae/admin", "/public/%e0%80%ae%e0%80%ae/admin", "/public/\xc0\xae/x", "/public/%uff0e%uff0e/admin",
		"/public/%ef%bc%8e%ef%bc%8e/admin", "/public/%ef%bc%8fadmin", "/public/%E2%80%A5/admin", "/public/a%3bb", "/public/x;/../../admin", "/public/x%3f/../admin",
		"/public/..%0d%0a/admin", "/public/..%09/admin", "/public/%%32%65", "/public/%2", "/public/%", "/public/%zz", "/public/..?", "/public/x#y", "/public/x?y", "public/x", "http://example.com/public/x",
		"/files/a%2fb", "/files/a%2F", "/files/", "/files/a/b", "/v1/a%2fb.json", "/v1/x/b.json", "/Public/x", "/PUBLIC/x", "/api/a%2fb/info", "/api//info",
		"/public/%2e", "/public/%2e/", "/public/a/%2e%2e", "/public/a/..", "/public/..", "/public/%25%32%65%25%32%65/admin", "*", "",
	} {
		c := request(t, "GET https://example.com/")
		c.Op.Target = target
		if d := ask(p, c, call.Decision{}); d.Verdict == call.Allow {
			t.Errorf("%q is allowed", target)
		}
	}
	for _, target := range []string{"/public/x", "/public/x/y", "/public/", "/public", "/public/a%20b", "/public/a%2fb", "/public/v1%2e0", "/public/%C3%A9", "/public/a.b", "/public/~x", "/public/100%25",
		"/files/x", "/files/x%41", "/v1/a.json", "/%70ublic/x", "/api/x/info", "/public/a+b", "/public/@scope%2fname", "/public/a,b", "/public/..a"} {
		c := request(t, "GET https://example.com/")
		c.Op.Target = target
		if d := ask(p, c, call.Decision{}); d.Verdict != call.Allow {
			t.Errorf("%q is not allowed", target)
		}
	}
}

func TestPathTricksDoNotEscapeBlockingRules(t *testing.T) {
	p := mustLoad(t, `
version: 1
default: allow
rules:
  - {name: admin, to: example.com, path: "/admin/**", verdict: block}
  - {name: key, to: example.com, path: "/v1/keys/{id}", verdict: block}
`)
	for _, target := range []string{
		"/admin", "/admin/", "/admin/x", "/ADMIN/x", "/Admin", "/%61dmin/x", "/%2561dmin/x", "//admin/x", "/./admin/x", "/x/../admin/y", "/x/%2e%2e/admin/y",
		"/x/..;/admin/y", "/x/..;a=b/admin/y", "/admin;x/y", "/admin;x=1/y", "\\admin\\x", "/x\\..\\admin/y", "/x%5c..%5cadmin/y", "/admin%2fx", "/admin%2Fx", "/x%2f..%2fadmin%2fy",
		"/%252e%252e/admin/x", "/x/%252e%252e/admin/y", "/;/admin/x", "/.;/admin/x", "/admin%00/x", "/ad%6din/x", "///admin///x", "admin/x", "/admin%20/x", "/admin./x", "/x/.%2e/admin",
		"/%ef%bc%8fadmin/x", "/v1/keys/1", "/v1/keys/1/", "/V1/Keys/1", "/v1//keys/1", "/v1/keys//1", "/v1/keys/;/1", "/v1/x/../keys/1", "/v1/keys/1;v=2", "/v1/keys/%31", "/v1%2fkeys%2f1",
		"/" + strings.Repeat("a/", 300) + "../admin", "/" + strings.Repeat("%2e", 1500),
	} {
		c := request(t, "GET https://example.com/")
		c.Op.Target = target
		if d := ask(p, c, call.Decision{}); d.Verdict == call.Allow {
			t.Errorf("%q is allowed", clip(target))
		}
	}
	for _, target := range []string{"/", "/x", "/x//y", "//v1/messages", "/administrator", "/x/admin", "/v1/keys", "/v1/keys/1/2", "/a/../b", "/x;y/z", "/a%2fb"} {
		c := request(t, "GET https://example.com/")
		c.Op.Target = target
		if d := ask(p, c, call.Decision{}); d.Verdict != call.Allow {
			t.Errorf("%q is blocked by %s", target, d.Rule)
		}
	}
}

// FuzzPath holds two things for any target: an allowing rule never matches
// where a server that decodes, cuts parameters and resolves dot segments reads
// a path outside of it; and a blocking rule matches wherever such a server
// reads a path inside of it.
func FuzzPath(f *testing.F) {
	for _, s := range []string{"/public/../x", "/public/%2e%2e%2fx", "/public/..;/x", "/public//x", "/PUBLIC", "/public/a%2f..%2f..%2fx", "/a\\public", "/public%c0%ae"} {
		f.Add(s)
	}
	allow := mustLoad(f, "version: 1\ndefault: block\nrules: [{name: a, path: /public/**, verdict: allow}]")
	block := mustLoad(f, "version: 1\ndefault: allow\nrules: [{name: a, path: /public/**, verdict: block}]")
	f.Fuzz(func(t *testing.T, target string) {
		if !strings.HasPrefix(target, "/") || strings.ContainsAny(target, "?#") {
			return
		}
		c := request(t, "GET https://example.com/")
		c.Op.Target = target
		allowed := ask(allow, c, call.Decision{}).Verdict == call.Allow
		blocked := ask(block, c, call.Decision{}).Verdict == call.Block
		for how := range 32 {
			seen := server(target, how)
			in := seen == "/public" || strings.HasPrefix(seen, "/public/")
			if allowed && !in {
				t.Errorf("%q is allowed, but server %d reads %q", target, how, seen)
			}
			if in && !blocked {
				t.Errorf("%q is not blocked, but server %d reads %q", target, how, seen)
			}
		}
	})
}

// server reads a target as one kind of server does.
func server(target string, how int) string {
	s := target
	if how&1 != 0 { // parameters first, as Tomcat
		s = cutParams(s)
	}
	for range 1 + how>>3&1 {
		b, _ := decode(nil, s, false)
		s = string(b)
	}
	if how&16 != 0 {
		s = strings.ReplaceAll(s, "\\", "/")
	}
	if how&2 != 0 {
		s = cutParams(s)
	}
	if how&4 != 0 {
		var out []string
		for _, seg := range strings.Split(s[1:], "/") {
			switch seg {
			case "", ".":
			case "..":
				out = out[:max(0, len(out)-1)]
			default:
				out = append(out, seg)
			}
		}
		s = "/" + strings.Join(out, "/")
	}
	return s
}

func cutParams(s string) string {
	segs := strings.Split(s, "/")
	for i := range segs {
		segs[i], _, _ = strings.Cut(segs[i], ";")
	}
	return strings.Join(segs, "/")
}

func TestOddPathPatternsAreRefused(t *testing.T) {
	for _, s := range []string{"", "x", "*", "**", "/a/../b", "/a//b", "/./a", "/a;b", "/a\\b", "/a%2fb", "/a%2e%2e/b", "/a?b", "/a#b", "/a**", "/{a", "/{a}b", "/{}", "/**/**/**", "/%zz", "/%"} {
		if _, err := parsePath(s); err == nil {
			t.Errorf("%q is taken", s)
		}
	}
	for _, s := range []string{"/", "/a", "/a/", "/a/*", "/**", "/a/{b}/c", "/a*b", "/a%20b", "/é", "/**/a/**", "/v1/models/*:generate*"} {
		if _, err := parsePath(s); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	}
}
