package proxy

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestTheFirstBytesSayWhatATunnelIsFor(t *testing.T) {
	for b, want := range map[string]kind{
		"": kindMore, "\x16\x03\x01": kindTLS, "GET / HTTP/1.1": kindHTTP, "G": kindMore, "M-SEARCH * ": kindHTTP,
		"SSH-2.0-OpenSSH_9.6 x": kindRaw, "*1\r\n$4": kindRaw, "\x00\x00\x00\x08": kindRaw, " GET": kindRaw, "GET\r\n": kindRaw,
		strings.Repeat("A", sniffMax): kindRaw, "get / HTTP/1.1": kindHTTP,
	} {
		if k := classify([]byte(b)); k != want {
			t.Errorf("%q: kind %d, want %d", b, k, want)
		}
	}
}

// FuzzTarget holds that what goes upstream is the target as it came, and that
// it is never taken for another host.
func FuzzTarget(f *testing.F) {
	for _, s := range []string{"/a%2Fb?c", "//evil.example/x", "http://h/a?b", "http://h?x", "*", "http://h", "/\"<>\\^`{|}", "///", "/%zz"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		if strings.ContainsAny(uri, "#\x00 \r\n") {
			return
		}
		u, err := url.ParseRequestURI(uri)
		if err != nil || u.Host == "" && uri[0] != '/' && uri != "*" || u.Opaque != "" {
			return
		}
		target := rawTarget(uri)
		if target != "*" && !strings.HasPrefix(target, "/") || !strings.HasSuffix(uri, strings.TrimPrefix(target, "/")) {
			t.Fatalf("target %q of %q", target, uri)
		}
		out := url.URL{Scheme: "https", Host: "h.example", RawQuery: "old", RawPath: "/old"}
		if err := setTarget(&out, target); err != nil {
			return
		}
		got := out.RequestURI()
		if got != target && !strings.HasPrefix(target, "//") {
			t.Fatalf("%q went out as %q", target, got)
		}
		if out.Host != "h.example" || !strings.HasPrefix(got, "/") && got != "*" {
			t.Fatalf("%q went out as %q to %q", target, got, out.Host)
		}
	})
}

func FuzzAuthority(f *testing.F) {
	f.Add("a.example:443")
	f.Add("[::1]:1")
	f.Fuzz(func(t *testing.T, s string) {
		host, port, ok := authority(s)
		if !ok {
			return
		}
		again, port2, ok := authority(hostPort(host, port))
		if !ok || again != host || port2 != port {
			t.Fatalf("%q is %s %d, which is %s %d %v", s, host, port, again, port2, ok)
		}
	})
}

func FuzzSession(f *testing.F) {
	f.Add("Basic b3R0ZXI6c2VjcmV0")
	f.Add("basic MTI3LjAuMC4xOg==")
	f.Fuzz(func(t *testing.T, field string) {
		if name := session(field); len(name) > nameMax || !printable(name) || name == "127.0.0.1" {
			t.Fatalf("session %q", name)
		}
	})
}

func TestHopByHopFieldsEnd(t *testing.T) {
	h := http.Header{"Connection": {"X-A, close", "x-b"}, "X-A": {"1"}, "X-B": {"1"}, "Keep-Alive": {"1"}, "Te": {"deflate, Trailers"}, "Upgrade": {"h2c"}, "X-C": {"1"}}
	if hopByHop(h, true); len(h) != 2 || h.Get("Te") != "trailers" || h.Get("X-C") != "1" {
		t.Errorf("left %v", h)
	}
}
