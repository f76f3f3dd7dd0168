package forward

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"outvet/call"
)

func prefixes(s ...string) (list []netip.Prefix) {
	for _, p := range s {
		list = append(list, netip.MustParsePrefix(p))
	}
	return list
}

func TestSpecialAddressesAreRefusedByDefault(t *testing.T) {
	for addr, want := range map[string]string{ // "" for ordinary
		"8.8.8.8": "", "1.1.1.1": "", "100.128.0.1": "", "172.32.0.1": "", "198.20.0.1": "", "223.255.255.255": "", "192.0.1.1": "",
		"2606:4700::1111": "", "2001:4860:4860::8888": "", "64:ff9b::8.8.8.8": "", "::ffff:8.8.8.8": "", "2a00::1": "",
		"0.0.0.0": "this network", "0.1.2.3": "this network", "10.255.255.255": "private", "100.64.0.1": "NAT", "100.127.255.255": "NAT",
		"127.0.0.1": "loopback", "127.255.255.254": "loopback", "169.254.1.1": "link-local", "172.31.255.255": "private", "192.168.0.1": "private",
		"169.254.169.254": "metadata", "169.254.170.2": "metadata", "100.100.100.200": "metadata", "168.63.129.16": "metadata", "192.0.0.192": "metadata",
		"192.0.0.9": "protocol", "192.0.2.1": "documentation", "198.51.100.1": "documentation", "203.0.113.1": "documentation", "192.88.99.1": "6to4",
		"198.18.0.1": "benchmarking", "198.19.255.255": "benchmarking", "224.0.0.1": "multicast", "239.255.255.255": "multicast", "240.0.0.1": "reserved",
		"255.255.255.255": "broadcast",
		"::":              "unspecified", "::1": "loopback", "::2": "IPv4-compatible", "::8.8.8.8": "IPv4-compatible", "::ffff:127.0.0.1": "loopback",
		"::ffff:0:8.8.8.8": "IPv4-translated", "64:ff9b::127.0.0.1": "loopback behind NAT64", "64:ff9b::169.254.169.254": "metadata",
		"64:ff9b:1::1": "local NAT64", "2a00::5efe:8.8.8.8": "", "2a00::5efe:127.0.0.1": "loopback behind ISATAP", "2a00::300:5efe:10.0.0.1": "private network behind ISATAP",
		"64:ff9b:2::1": "unallocated", "64:ff9b:2::5efe:8.8.8.8": "unallocated", "100::1": "discard", "100:0:0:1::1": "unallocated", "2001::1": "Teredo", "2001:2::1": "protocol",
		"2001:10::1": "protocol", "2001:20::1": "protocol", "2001:db8::1": "documentation", "2002:808:808::1": "6to4", "3fff::1": "documentation",
		"4000::1": "unallocated", "5f00::1": "segment", "fc00::1": "private", "fd00:ec2::254": "metadata", "fd20:ce::254": "metadata",
		"fe80::1": "link-local", "fec0::1": "site-local", "ff02::1": "multicast", "fe80::1%eth0": "judged",
	} {
		err := Check(netip.MustParseAddr(addr), nil)
		var r *Refused
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", addr, err)
		case want != "" && (!errors.As(err, &r) || r.Rule != call.RuleAddress || !strings.Contains(r.Why, want)):
			t.Errorf("%s: %v; want %s", addr, err, want)
		}
	}
	if Check(netip.Addr{}, nil) == nil {
		t.Error("the zero address passes")
	}
}

func TestGuardAdmitsAndRefuses(t *testing.T) {
	g := &call.Guard{
		Admit:  prefixes("10.0.0.0/8", "::1/128", "::ffff:192.168.0.0/112"),
		Refuse: prefixes("10.9.0.0/16", "8.8.8.0/24", "2a00::/16", "::ffff:9.9.9.0/120"),
		Rule:   "no resolvers",
	}
	for addr, rule := range map[string]string{ // "" for admitted
		"10.1.1.1": "", "::ffff:10.1.1.1": "", "::1": "", "192.168.1.1": "", "1.1.1.1": "",
		"10.9.1.1": "no resolvers", "8.8.8.8": "no resolvers", "::ffff:8.8.8.8": "no resolvers", "2a00::1": "no resolvers", "9.9.9.9": "no resolvers",
		"64:ff9b::8.8.8.8": "no resolvers", "64:ff9b::10.9.0.1": "no resolvers",
		"2002:808:808::1": "no resolvers", "2001:0:808:808::1": "no resolvers", "2001::f7f7:f7f7": "no resolvers", "::8.8.8.8": "no resolvers",
		"::ffff:0:8.8.8.8": "no resolvers", "2b00::5efe:8.8.8.8": "no resolvers", "2b00::200:5efe:8.8.8.8": "no resolvers",
		"64:ff9b:1:808:8:800::": "no resolvers", "64:ff9b:1:8:8:808::": "no resolvers", "64:ff9b:1:0:8:808:800:0": "no resolvers", "64:ff9b:1::8.8.8.8": "no resolvers",
		"2b00::5efe:9.9.10.9": "", "2b00::5efe:10.1.1.1": call.RuleAddress,
		"127.0.0.1": call.RuleAddress, "64:ff9b::10.1.1.1": call.RuleAddress, // admitted is what stands there, not what a gateway makes of it
	} {
		err := Check(netip.MustParseAddr(addr), g)
		var r *Refused
		if rule == "" && err != nil || rule != "" && (!errors.As(err, &r) || r.Rule != rule) {
			t.Errorf("%s: %v; want rule %q", addr, err, rule)
		}
	}
	if err := Check(netip.MustParseAddr("10.9.1.1"), &call.Guard{Refuse: prefixes("10.9.0.0/16")}); !strings.Contains(err.Error(), `"address"`) {
		t.Errorf("a guard without a rule: %v", err)
	}
}

func TestRangesOfOrdinaryAddressesAreKnown(t *testing.T) {
	for p, want := range map[string]bool{
		"8.8.8.0/24": true, "0.0.0.0/0": true, "10.0.0.0/7": true, "203.0.113.0/24": false, "10.0.0.0/8": false, "10.1.0.0/16": false,
		"169.254.169.254/32": false, "168.63.129.16/32": false, "127.0.0.0/8": false, "172.16.0.0/11": true, "::ffff:10.0.0.0/104": false, "::ffff:8.0.0.0/104": true,
		"::/0": true, "::/1": true, "2a00::/16": true, "fc00::/7": false, "fd00:ec2::254/128": false, "2001:db8::/32": false, "2001::/23": false, "2001::/16": true, "4000::/2": false,
		"64:ff9b::/96": true, "64:ff9b::a00:0/104": false, "64:ff9b::a9fe:a9fe/128": false, "64:ff9b::808:808/128": true, "64::/16": true, "::ffff:0:0/96": true,
	} {
		if got := ordinary(netip.MustParsePrefix(p)); got != want {
			t.Errorf("%s: %v", p, got)
		}
	}
}

func TestGuardsThatSayOtherThingsHaveOtherKeys(t *testing.T) {
	seen := map[string]int{}
	for i, g := range []*call.Guard{
		{}, {Admit: prefixes("10.0.0.0/8")}, {Refuse: prefixes("10.0.0.0/8")}, {Admit: prefixes("10.0.0.0/9")}, {Admit: prefixes("10.0.0.0/8", "11.0.0.0/8")},
		{Admit: prefixes("10.0.0.0/8"), Refuse: prefixes("11.0.0.0/8")}, {Admit: prefixes("::/0")}, {Admit: prefixes("0.0.0.0/0")}, {Rule: "r"},
		{Admit: prefixes("a00::/8")},
	} {
		k := string(guardKey(nil, g))
		if j, ok := seen[k]; ok {
			t.Errorf("guards %d and %d share a key", i, j)
		}
		seen[k] = i
	}
	same := func(a, b *call.Guard) bool { return string(guardKey(nil, a)) == string(guardKey(nil, b)) }
	if !same(nil, &call.Guard{}) {
		t.Error("a guard that says nothing differs from none")
	}
	if !same(&call.Guard{Admit: prefixes("10.1.2.3/8")}, &call.Guard{Admit: prefixes("::ffff:10.0.0.0/104")}) {
		t.Error("two spellings of one prefix have two keys")
	}
}

func TestConnectToIsReadAsCurlReadsIt(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want ConnectTo
	}{
		{"a.example:443:127.0.0.1:8443", ConnectTo{"a.example", 443, "127.0.0.1", 8443}},
		{"::127.0.0.1:8443", ConnectTo{"", 0, "127.0.0.1", 8443}},
		{":::", ConnectTo{}},
		{"a.example:443::", ConnectTo{"a.example", 443, "", 0}},
		{"a.example:443:b.example:", ConnectTo{"a.example", 443, "b.example", 0}},
		{"[::1]:443:[2001:db8::1]:8443", ConnectTo{"::1", 443, "2001:db8::1", 8443}},
		{"A.Example.:443:[::1]:", ConnectTo{"a.example", 443, "::1", 0}},
	} {
		got, err := ParseConnectTo(tt.in)
		if err != nil || got != tt.want {
			t.Errorf("%s: %+v, %v", tt.in, got, err)
		}
		if again, err := ParseConnectTo(got.String()); err != nil || again != got {
			t.Errorf("%s: written %s, read %+v, %v", tt.in, got, again, err)
		}
	}
	for _, in := range []string{"", ":", "::", "a", "a:443", "a:443:b", "a:443:b:c", "a:0:b:1", "a:65536:b:1", "a:-1:b:1", "a:+1:b:1", "a b:1:c:2", "[::1:443:b:1", "a:1:::1:2", "a:1:b:1:", "a@b:1:c:2", "[a]x:1:b:1"} {
		if c, err := ParseConnectTo(in); err == nil {
			t.Errorf("%q is read as %+v", in, c)
		} else if !strings.HasPrefix(err.Error(), "forward: ") {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func TestFirstConnectToThatFitsCounts(t *testing.T) {
	var list []ConnectTo
	for _, s := range []string{"a.example:443:127.0.0.1:1", "a.example::127.0.0.2:2", ":8080:127.0.0.3:", "b.example:::99"} {
		c, err := ParseConnectTo(s)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, c)
	}
	for _, tt := range []struct {
		host string
		port uint16
		h    string
		p    uint16
		ok   bool
	}{
		{"a.example", 443, "127.0.0.1", 1, true},
		{"a.example", 80, "127.0.0.2", 2, true},
		{"c.example", 8080, "127.0.0.3", 8080, true},
		{"b.example", 80, "b.example", 99, false},
		{"c.example", 443, "c.example", 443, false},
	} {
		if h, p, ok := redirect(list, tt.host, tt.port); h != tt.h || p != tt.p || ok != tt.ok {
			t.Errorf("%s:%d goes to %s:%d, %v", tt.host, tt.port, h, p, ok)
		}
	}
}

func FuzzParseConnectTo(f *testing.F) {
	f.Add("a.example:443:127.0.0.1:8443")
	f.Add("[::1]:443:[::]:1")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseConnectTo(s)
		if err != nil {
			return
		}
		if again, err := ParseConnectTo(c.String()); err != nil || again != c {
			t.Errorf("%q: %+v is written %s and read %+v, %v", s, c, c, again, err)
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	for _, a := range []string{"93.184.216.34", "2606:4700::1111"} {
		ip := netip.MustParseAddr(a)
		b.Run(a, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Check(ip, nil)
			}
		})
	}
}

func TestWhatStandsForANameIsNeverDialled(t *testing.T) {
	everywhere := &call.Guard{Admit: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0"), netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("2001:2::/48")}}
	for _, a := range []string{"198.18.0.0", "198.18.0.1", "198.19.255.254", "198.19.255.255", "::ffff:198.18.0.1", "2001:2::", "2001:2::c612:1", "2001:2:0:ffff:ffff:ffff:ffff:ffff"} {
		if err := Check(netip.MustParseAddr(a), everywhere); err == nil {
			t.Errorf("%s may be dialled", a)
		}
	}
	for _, a := range []string{"198.17.255.255", "198.20.0.0", "2001:2:1::", "2001:1:ffff:ffff::"} {
		if err := Check(netip.MustParseAddr(a), everywhere); err != nil {
			t.Error(err)
		}
	}
	f := New(Options{ConnectTo: []ConnectTo{{Host: "a.example", Port: 80, Addr: "198.18.0.1", To: 80}}})
	defer f.Close()
	if c, _, err := f.Dial(t.Context(), "a.example", 80, everywhere); err == nil {
		c.Close()
		t.Error("dialled by the command line")
	}
}
