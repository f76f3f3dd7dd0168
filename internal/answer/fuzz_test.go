package answer_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"outvet/call"
	"outvet/internal/answer"
)

// FuzzAnswer puts what an attacker may write (host, path, rule, reason, the
// body of the request) into every dialect. Nothing may break out.
func FuzzAnswer(f *testing.F) {
	f.Add("a.example\r\nX: y", "/p\"><script>", "ru\"le", "Näh</Message>&\x00\u202e", []byte(`{"jsonrpc":"2.0","id":{"a":1}}`), "secret_found")
	f.Add(strings.Repeat("ä", 500), "/"+strings.Repeat("x", 999), `a\`, `"]}`, []byte(`{"jsonrpc":"2.0","id":1e999,"method":"tools/call"}`), "")
	f.Add("h", "", "", "", []byte(`{"id":"\ud800","jsonrpc":1}`), "approval_refused")
	heads := []http.Header{
		{"Content-Type": {"application/grpc"}}, {"User-Agent": {"git/1"}}, {"User-Agent": {"npm/1"}},
		{"User-Agent": {"git/1"}, "Content-Type": {"application/x-git-receive-pack-request"}},
		{"Content-Type": {"application/json"}}, {"X-Amz-Date": {""}}, {"Accept": {"text/html"}}, {},
	}
	paths := []string{"/", "/v2/x", "/v1/messages", "/v1/responses", "/generateContent", "/graphql"}
	f.Fuzz(func(t *testing.T, host, path, rule, reason string, body []byte, code string) {
		d := &call.Decision{Verdict: call.Block, Rule: rule, Reason: reason, Code: code, Findings: []call.Finding{{Kind: reason}}}
		if code == "" {
			d.Findings = nil
		}
		c := &call.Call{ID: id, Dest: call.Dest{Host: host}, Op: call.Op{Method: rule, Target: path}}
		p := answer.Problem{Status: 502, Title: "Upstream connection failed", Detail: reason, Code: code, Error: "dns_error"}
		for _, h := range heads {
			for _, path := range append(paths, path) {
				r := &http.Request{Method: "POST", Host: host, URL: &url.URL{Path: path}, Header: h}
				check(t, answer.For(r, body, d, c))
				check(t, answer.Fault(r, body, p, c))
			}
		}
	})
}

func check(t *testing.T, a answer.Answer) {
	t.Helper()
	if len(a.Reason) > 120 || !printable(a.Reason) || a.Status < 200 || a.Status > 599 {
		t.Fatalf("status %d, reason phrase of %d bytes %q", a.Status, len(a.Reason), a.Reason)
	}
	for k, v := range a.Header {
		if len(v) != 1 || !printable(v[0]) || len(v[0]) > 4096 {
			t.Fatalf("field %s: %q", k, v)
		}
	}
	if s := a.Header.Get("Proxy-Status"); strings.Count(strings.ReplaceAll(strings.ReplaceAll(s, `\\`, ""), `\"`, ""), `"`)%2 != 0 {
		t.Fatalf("Proxy-Status %q", s)
	}
	if len(a.Body) > 8192 {
		t.Fatalf("body of %d bytes", len(a.Body))
	}
	switch kind := a.Header.Get("Content-Type"); kind {
	case "application/json", "application/problem+json":
		if !json.Valid(a.Body) || bytes.ContainsAny(a.Body, "<>") {
			t.Fatalf("JSON %q", a.Body)
		}
	case "application/xml":
		checkXML(t, a.Body)
	case "text/html; charset=utf-8":
		if strings.Contains(strings.ToLower(string(a.Body)), "<script") || strings.Count(string(a.Body), "<") > 24 {
			t.Fatalf("HTML %s", a.Body)
		}
	case "text/plain; charset=utf-8":
		if strings.Count(string(a.Body), "\n") != 1 {
			t.Fatalf("text %q", a.Body)
		}
	case "application/x-git-receive-pack-result":
		var n int
		if _, err := fmt.Sscanf(string(a.Body), "%04x", &n); err != nil || len(a.Body) != n+4 || string(a.Body[n:]) != "0000" || a.Body[4] != 3 {
			t.Fatalf("git %q", a.Body)
		}
	case "application/grpc":
	default:
		t.Fatalf("content type %q", kind)
	}
}

func checkXML(t *testing.T, b []byte) {
	t.Helper()
	starts := 0
	for d := xml.NewDecoder(bytes.NewReader(b)); ; {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("XML %q: %v", b, err)
		}
		if _, ok := tok.(xml.StartElement); ok {
			starts++
		}
	}
	if starts != 3 {
		t.Fatalf("XML with %d elements: %s", starts, b)
	}
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func FuzzStrip(f *testing.F) {
	f.Add("Proxy-Status", `a, "b,outvet", outvet;x="\",outvet"`)
	f.Add("Outvet-", ",")
	f.Fuzz(func(t *testing.T, name, value string) {
		h := http.Header{name: {value}, "Keep": {"1"}}
		answer.Strip(h)
		if h["Keep"] == nil && !strings.EqualFold(name, "keep") {
			t.Fatal("took another field")
		}
		for k, vs := range h {
			for _, v := range vs {
				if strings.EqualFold(k, "Proxy-Status") && strings.HasPrefix(strings.ToLower(strings.Trim(v, " \t\"\\")), "outvet") {
					t.Fatalf("left %q", v)
				}
			}
		}
	})
}
