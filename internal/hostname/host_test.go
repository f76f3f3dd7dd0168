package hostname

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/net/idna"
)

func TestHostHasOneSpelling(t *testing.T) {
	for _, tt := range []struct{ in, want string }{ // "" for malformed
		{"api.example.com", "api.example.com"},
		{"API.Example.COM.", "api.example.com"},
		{"localhost", "localhost"},
		{"my_bucket.s3.example", "my_bucket.s3.example"},
		{"r3---sn-x.example", "r3---sn-x.example"},
		{"xn--bcher-kva.example", "xn--bcher-kva.example"},
		{"BÜCHER.example", "xn--bcher-kva.example"},
		{"straße.example", "xn--strae-oqa.example"}, // not strasse: browsers and curl agree
		{"xn--localhost-", ""},                      // hides an ASCII name
		{"a-b.xn--localhost-", ""},
		{"XN--BCHER-KVA.example", "xn--bcher-kva.example"},
		{"my_b.xn--bcher-kva.example", "my_b.xn--bcher-kva.example"},
		{"xn--", ""},
		{"bücher。example", "xn--bcher-kva.example"},
		{"local\u00adhost", "localhost"}, // soft hyphen
		{"ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", "localhost"},
		{"127.0.0.1.example.org", "127.0.0.1.example.org"},
		{"10.example.org", "10.example.org"},
		{"1password.com", "1password.com"},
		{"3com", "3com"},
		{"a.0xcafe.example", "a.0xcafe.example"},

		{"8.8.8.8", "8.8.8.8"},
		{"127.1", "127.0.0.1"},
		{"0x7f.1", "127.0.0.1"},
		{"0X7F000001", "127.0.0.1"},
		{"2130706433", "127.0.0.1"},
		{"017700000001", "127.0.0.1"},
		{"0177.0.0.01.", "127.0.0.1"},
		{"010.8.8.8", "8.8.8.8"},
		{"0", "0.0.0.0"},
		{"00000000000000000000177.1", "127.0.0.1"},
		{"127.0.0.１", "127.0.0.1"},
		{"4294967295", "255.255.255.255"},
		{"1.2.65535", "1.2.255.255"},
		{"4294967296", ""},
		{"1.2.65536", ""},
		{"256.1.1.1", ""},
		{"1.2.3.4.5", ""},
		{"08.8.8.8", ""},
		{"0x.1.1.1", ""},
		{"1.1.1.0x", ""},
		{"example.123", ""}, // a client may take it for an address
		{"example.0x1", ""},
		{"1..2", ""},

		{"[::1]", "::1"},
		{"::1", "::1"},
		{"[0:0:0:0:0:0:0:1]", "::1"},
		{"[2001:DB8::A]", "2001:db8::a"},
		{"[::ffff:127.0.0.1]", "127.0.0.1"},
		{"::ffff:7f00:1", "127.0.0.1"},
		{"[fe80::1%eth0]", ""},
		{"[fe80::1%25eth0]", ""},
		{"[127.0.0.1]", ""},
		{"[::1", ""},
		{"::1]", ""},
		{"[::1].", ""},
		{"[[::1]]", ""},
		{"[]", ""},
		{"[v1.a]", ""},
		{"[::127.1]", ""},

		{"", ""},
		{".", ""},
		{"..", ""},
		{".a", ""},
		{"a..b", ""},
		{"a..", ""},
		{"api.github.com@127.0.0.1", ""},
		{"example.com:80", ""},
		{"example.com：80", ""}, // full-width colon
		{"127。0。0。1％00", ""},
		{"%31%32%37.0.0.1", ""},
		{"a b", ""},
		{" a", ""},
		{"a\t", ""},
		{"a\x00.example", ""},
		{"a\r\nHost: b", ""},
		{"a/b", ""},
		{"a\\b", ""},
		{"a?b", ""},
		{"a#b", ""},
		{"*.example.com", ""},
		{"\xff\xfe", ""},
		{"a\u200db.example", ""}, // joiner where none belongs
		{strings.Repeat("a", 63) + ".example", strings.Repeat("a", 63) + ".example"},
		{strings.Repeat("a", 64) + ".example", ""},
		{strings.Repeat("a.", 126) + "a", strings.Repeat("a.", 126) + "a"},
		{strings.Repeat("a.", 126) + "aa", ""},
		{strings.Repeat("ü", 5000), ""},
	} {
		got, err := Canonical(tt.in)
		var host *Error
		if got != tt.want || (err == nil) != (tt.want != "") || err != nil && !errors.As(err, &host) {
			t.Errorf("%q: got %q, %v; want %q", tt.in, got, err, tt.want)
		}
	}
}

func TestMalformedHostIsShownShort(t *testing.T) {
	_, err := Canonical(strings.Repeat("ü", 5000))
	if len(err.Error()) > 300 {
		t.Errorf("%d bytes: %v", len(err.Error()), err)
	}
}

func TestCanonicalDoesNotAllocate(t *testing.T) {
	for _, h := range []string{"api.example.com", "raw.githubusercontent.com", "localhost"} {
		if n := testing.AllocsPerRun(100, func() { Canonical(h) }); n != 0 {
			t.Errorf("%s: %v allocations", h, n)
		}
	}
}

func BenchmarkCanonical(b *testing.B) {
	for _, h := range []string{"api.anthropic.com", "API.Anthropic.com.", "bücher.example", "0x7f.1", "[::1]"} {
		b.Run(h, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Canonical(h)
			}
		})
	}
}

func FuzzCanonical(f *testing.F) {
	for _, s := range []string{
		"api.example.com", "0x7f.1", "017700000001", "[::ffff:1.2.3.4]", "１２７。０。０。１", "bücher.example", "a\u00ad.example", "xn--a.example",
		"ß", "\u2488", "\u2126", "a\u0300", "fe80::1%1", "1.2.3.4.", "0x.1", "\u3002", "a\u3002\u3002", "\u2024", "℀", "\u33c2.example", "xn--0.pt", "GGG\u2138", "\uff10\uff58\uff17f.1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := Canonical(s)
		if err != nil {
			if got != "" {
				t.Errorf("%q: %q with an error", s, got)
			}
			return
		}
		if strings.Trim(got, "abcdefghijklmnopqrstuvwxyz0123456789-_.:") != "" || got == "" || len(got) > maxName || strings.HasSuffix(got, ".") {
			t.Fatalf("%q: %q is not canonical", s, got)
		}
		if again, err := Canonical(got); again != got || err != nil {
			t.Errorf("%q: %q becomes %q, %v", s, got, again, err)
		}
		if dotted, err := Canonical(strings.ToUpper(s)); len(s) < 200 && ascii(s) && (dotted != got || err != nil) {
			t.Errorf("%q: upper case is %q, %v", s, dotted, err)
		}
		ip, ipErr := netip.ParseAddr(got)
		if ipErr == nil && (ip.Is4In6() || ip.Zone() != "" || ip.String() != got) {
			t.Errorf("%q: %q is not how the address is spelt", s, got)
		}
		if ipErr != nil && strings.Contains(got, ":") {
			t.Errorf("%q: %q is neither name nor address", s, got)
		}
		// What the standard takes for an address is that address here.
		if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil && a.Zone() == "" && a.Unmap() != ip {
			t.Errorf("%q: %q, want %v", s, got, a)
		}
		// A stricter reader of names must not see another name.
		if strict, err := idna.Lookup.ToASCII(s); err == nil && ipErr != nil && strings.TrimSuffix(strict, ".") != got {
			t.Errorf("%q: %q, IDNA says %q", s, got, strict)
		}
	})
}
