package forward

import (
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http/httpproxy"

	"outvet/internal/hostname"
)

// environment returns a getenv of name=value pairs.
func environment(pairs ...string) func(string) string {
	m := map[string]string{}
	for _, p := range pairs {
		k, v, _ := strings.Cut(p, "=")
		m[k] = v
	}
	return func(k string) string { return m[k] }
}

func TestEnvironmentNamesProxiesAsForCurl(t *testing.T) {
	for _, tt := range []struct {
		env              []string
		https, http, raw string // host of the proxy, "" for none
	}{
		{nil, "", "", ""},
		{[]string{"HTTPS_PROXY=http://a:1"}, "a", "", "a"},
		{[]string{"https_proxy=http://a:1", "HTTPS_PROXY=http://b:1"}, "a", "", "a"},
		{[]string{"https_proxy=", "HTTPS_PROXY=http://b:1"}, "b", "", "b"},
		{[]string{"http_proxy=http://a:1"}, "", "a", ""},
		{[]string{"HTTP_PROXY=a:1"}, "", "a", ""},
		{[]string{"HTTP_PROXY=a:1", "REQUEST_METHOD=GET"}, "", "", ""}, // a client of a CGI program could name it
		{[]string{"http_proxy=a:1", "REQUEST_METHOD=GET"}, "", "a", ""},
		{[]string{"all_proxy=socks5h://a"}, "a", "a", "a"},
		{[]string{"ALL_PROXY=a", "HTTPS_PROXY=b", "http_proxy=c"}, "b", "c", "a"},
		{[]string{"ALL_PROXY=a", "all_proxy=b"}, "b", "b", "b"},
		{[]string{"HTTPS_PROXY=  http://a:1/ "}, "a", "", "a"},
		{[]string{"HTTPS_PROXY=http://a:1", "NO_PROXY=*"}, "", "", ""},
		{[]string{"HTTPS_PROXY=http://a:1", "no_proxy=other", "NO_PROXY=*"}, "a", "", "a"},
	} {
		p, err := NewProxies("env", environment(tt.env...))
		if err != nil {
			t.Errorf("%q: %v", tt.env, err)
			continue
		}
		for scheme, want := range map[string]string{"https": tt.https, "http": tt.http, "tcp": tt.raw} {
			got := ""
			if px := p.For(scheme, "api.example", 443); px != nil {
				got = px.host
			}
			if got != want {
				t.Errorf("%q: %s goes to %q, want %q", tt.env, scheme, got, want)
			}
		}
	}
	p, err := NewProxies("none", environment("HTTPS_PROXY=http://a:1"))
	if err != nil || p.Any() || p.For("https", "a", 1) != nil {
		t.Errorf("none: %v, %v", p, err)
	}
	p, err = NewProxies("http://x:3128", environment("HTTPS_PROXY=http://a:1", "NO_PROXY=in.example"))
	if err != nil || p.For("tcp", "a", 1).host != "x" || p.For("http", "a.in.example", 1) != nil {
		t.Errorf("a URL: %v, %v", p, err)
	}
	var none *Proxies
	if none.Any() || none.For("http", "a", 1) != nil || none.String() != "none" {
		t.Error("no Proxies name one")
	}
}

func TestProxyIsReadFromItsURL(t *testing.T) {
	for _, tt := range []struct{ in, out, auth string }{
		{"proxy.example", "http://proxy.example:80", ""},
		{"proxy.example:3128", "http://proxy.example:3128", ""},
		{"HTTP://Proxy.Example.:3128/", "http://proxy.example:3128", ""},
		{"https://proxy.example", "https://proxy.example:443", ""},
		{"socks5h://u:p@[::1]", "socks5h://[::1]:1080", "Basic dTpw"},
		{"socks5://10.0.0.1:9050", "socks5://10.0.0.1:9050", ""},
		{"http://u:p%40%3A%2F@a:1", "http://a:1", "Basic dTpwQDov"},
		{"http://u@a:1", "http://a:1", "Basic dTo="},
		{"u:p@a:1", "http://a:1", "Basic dTpw"},
		{"http://:p@a:1", "http://a:1", "Basic OnA="},
	} {
		p, err := ParseProxy("X", tt.in)
		if err != nil || p.String() != tt.out || p.authorization() != tt.auth {
			t.Errorf("%s: %v %q, %v", tt.in, p, p.authorization(), err)
		}
	}
	for _, in := range []string{"", "http://", "ftp://a:1", "socks4://a:1", "http://a:0", "http://a:99999", "http://a:x", "http://a b:1", "http://a:1/path", "http://a:1?q", "http://a:1#f",
		"http://u%zz:hunter2@a:1", "http://u:hunter2#@a:1", "http://u:hunter2/@a:1", "http://u:hunter2?@a:1", "http://u:hunter2@a b:1", "http://u:hunter2 @a:1", "u:hunter2://a",
		"hunter2://hunter2@hunter2:hunter2", "http://u%3Ahunter2:x@a:1", "socks5://u@a", "socks5://:hunter2@a", "socks5h://u:" + strings.Repeat("hunter2", 40) + "@a:1"} {
		p, err := ParseProxy("HTTPS_PROXY", in)
		switch {
		case err == nil:
			t.Errorf("%q is read as %v", in, p)
		case !strings.HasPrefix(err.Error(), "forward: HTTPS_PROXY ") || strings.Contains(err.Error(), "hunter2") && !strings.HasPrefix(in, "hunter2:"):
			t.Errorf("%q: %v", in, err)
		}
	}
	if _, err := NewProxies("env", environment("https_proxy=gopher://x")); err == nil || !strings.Contains(err.Error(), "https_proxy") {
		t.Errorf("a bad variable passes for none: %v", err)
	}
}

func TestPasswordIsPrintedNowhere(t *testing.T) {
	p, err := NewProxies("http://us3r:hunter2@proxy.example:3128", environment("NO_PROXY=in.example"))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	log := slog.New(slog.NewJSONHandler(&b, nil))
	log.Info("x", "proxies", p, "one", p.http, "way", p.String())
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "proxies", p, "one", p.http)
	o := Options{Proxies: p}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		fmt.Fprintf(&b, verb+"\n", p)
		fmt.Fprintf(&b, verb+"\n", p.http)
		fmt.Fprintf(&b, verb+"\n", *p.http)
		fmt.Fprintf(&b, verb+"\n", o)
		fmt.Fprintf(&b, verb+"\n", []*Proxy{p.http})
	}
	for _, word := range []string{"hunter2", "us3r", "68756e74657232", "aHVudGVy"} {
		if strings.Contains(b.String(), word) {
			t.Errorf("%s is printed: %s", word, b.String())
		}
	}
	if !strings.Contains(b.String(), "http://proxy.example:3128 (--upstream-proxy)") || !strings.Contains(b.String(), "in.example") {
		t.Errorf("says too little: %s", b.String())
	}
}

func TestNoProxyIsReadAsByCurlAndGo(t *testing.T) {
	for _, tt := range []struct {
		list, host string
		port       uint16
		direct     bool
	}{
		{"in.example", "in.example", 443, true},
		{"in.example", "a.b.in.example", 443, true},
		{"in.example", "plain.example", 443, false},
		{"in.example", "win.example", 443, false},
		{"in.example", "in.example.org", 443, false},
		{"IN.Example.", "in.example", 443, true},
		{".in.example", "a.in.example", 443, true},
		{".in.example", "in.example", 443, true}, // as curl; Go says no
		{"*.in.example", "a.in.example", 443, true},
		{"*.in.example", "in.example", 443, false},
		{"a.example, b.example\tc.example d.example", "d.example", 443, true},
		{",, ,a.example,", "a.example", 443, true},
		{"in.example:8443", "in.example", 8443, true},
		{"in.example:8443", "in.example", 443, false},
		{"bücher.example", "xn--bcher-kva.example", 443, true},
		{"10.0.0.0/8", "10.1.2.3", 443, true},
		{"10.0.0.0/8", "11.1.2.3", 443, false},
		{"10.0.0.0/8", "10.example", 443, false},
		{"10.1.2.3", "10.1.2.3", 443, true},
		{"10.1.2.3:80", "10.1.2.3", 443, false},
		{"0x0a.1", "10.0.0.1", 443, true},
		{"fd00::/8", "fd00::1", 443, true},
		{"fd00::1", "fd00::1", 443, true},
		{"[fd00::1]:443", "fd00::1", 443, true},
		{"[fd00::1]:80", "fd00::1", 443, false},
		{"::ffff:10.0.0.0/104", "10.0.0.1", 443, true},
		{"1.2.3.4", "a.1.2.3.4.example", 443, false},
		{"2.3.4", "1.2.3.4", 443, false},
		{"*", "anything.example", 443, true},
		{"a.example,*", "1.2.3.4", 1, true},
		{"", "anything.example", 443, false},
		{"", "127.0.0.1", 443, true},
		{"", "::1", 443, true},
		{"", "0.0.0.0", 443, true},
		{"", "localhost", 443, true},
		{"", "a.localhost", 443, true},
		{"", "notlocalhost", 443, false},
	} {
		p, err := NewProxies("http://proxy:1", environment("NO_PROXY="+tt.list))
		if err != nil {
			t.Fatal(err)
		}
		if got := p.For("https", tt.host, tt.port) == nil; got != tt.direct || len(p.Ignored()) > 0 {
			t.Errorf("NO_PROXY=%q: %s:%d goes without: %v (ignored %q)", tt.list, tt.host, tt.port, got, p.Ignored())
		}
	}
	p, err := NewProxies("http://proxy:1", environment("NO_PROXY=a.example, <local>,172.31.*,:80,x:y,*.10.0.0.1,http://b.example"))
	if err != nil || !slices.Equal(p.Ignored(), []string{"<local>", "172.31.*", ":80", "x:y", "*.10.0.0.1", "http://b.example"}) || p.For("https", "a.example", 1) != nil {
		t.Errorf("%q, %v", p.Ignored(), err)
	}
}

// What Go's own reading sends without a proxy goes without one here, too, and
// the other way round, but for what curl reads otherwise (a leading dot) and for
// hosts below localhost.
func FuzzNoProxyIsReadAsByGo(f *testing.F) {
	for _, s := range []string{"in.example", "*", "10.0.0.0/8,in.example:80", "[fd00::1]:443", "*.a.example", "fd00::/8", "10.0.0.1"} {
		f.Add(s, "a.in.example", uint16(80))
		f.Add(s, "10.0.0.1", uint16(443))
		f.Add(s, "fd00::1", uint16(443))
	}
	f.Fuzz(func(t *testing.T, list, host string, port uint16) {
		host, err := hostname.Canonical(host)
		if err != nil || port == 0 {
			return
		}
		p, err := NewProxies("http://proxy:1", environment("NO_PROXY="+list))
		if err != nil {
			t.Fatal(err)
		}
		got := p.For("https", host, port)
		_ = p.String()
		// Compare only plain lists: each reading is more lenient than the other in
		// what it makes of broken entries, and ours knows more spellings.
		for _, e := range strings.Split(list, ",") {
			if c, err := hostname.Canonical(strings.TrimPrefix(e, "*.")); e != "*" && (err != nil || c != strings.TrimPrefix(e, "*.")) {
				if r, err := netip.ParsePrefix(e); err != nil || r != unmapped(r) {
					return
				}
			}
			if _, err := netip.ParseAddr(strings.TrimPrefix(e, "*.")); err == nil && strings.HasPrefix(e, "*.") {
				return
			}
		}
		if strings.HasSuffix(host, ".localhost") || strings.HasPrefix(host, "0.") || host == "::" || host == "0.0.0.0" {
			return
		}
		at := host
		if strings.Contains(at, ":") {
			at = "[" + at + "]"
		}
		theirs, err := (&httpproxy.Config{HTTPSProxy: "http://proxy:1", NoProxy: list}).ProxyFunc()(&url.URL{Scheme: "https", Host: fmt.Sprintf("%s:%d", at, port)})
		if err != nil {
			return
		}
		if (got == nil) != (theirs == nil) {
			t.Errorf("NO_PROXY=%q: %s:%d goes to %v here and %v there", list, host, port, got, theirs)
		}
	})
}

func FuzzParseProxy(f *testing.F) {
	for _, s := range []string{"http://u:p@proxy.example:3128", "socks5h://[::1]", "https://a", "a:1", "http://u%40:p%2f@a:1/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParseProxy("X", s)
		if err != nil {
			return
		}
		if host, err := hostname.Canonical(p.host); err != nil || host != p.host || p.port == 0 {
			t.Errorf("%q: host %q, port %d", s, p.host, p.port)
		}
		again, err := ParseProxy("X", p.String())
		if err != nil || again.host != p.host || again.port != p.port || again.kind != p.kind || again.authorization() != "" {
			t.Errorf("%q is written %v and read %v, %v", s, p, again, err)
		}
		if a := p.authorization(); strings.ContainsAny(a, "\r\n") {
			t.Errorf("%q: a login of two lines", s)
		}
	})
}
