package dnstunnel

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"outvet/call"
	"outvet/internal/inspect"
	"outvet/internal/inspect/inspecttest"
	"outvet/internal/inspect/secret"
	"outvet/internal/match"
	"outvet/internal/payload"
)

func TestSuite(t *testing.T) {
	inspecttest.Run(t, func() inspect.Inspector { return New(Options{Key: []byte("k")}) })
	inspecttest.Run(t, func() inspect.Inspector { return New(Options{Key: []byte("k"), Ledger: memory(t)}) })
}

// subject returns what the gate would show of a request.
func subject(in *Inspector, c *call.Call, h http.Header) *inspect.Subject {
	s := &inspect.Subject{Call: c, Content: payload.Decode(&payload.Message{Host: c.Dest.Host, Target: "/dns-query", Header: h}, nil, payload.Limits{})}
	m, err := match.New(in.Patterns())
	if err != nil {
		panic(err)
	}
	hits, err := m.Scan(s.Content.Text, &match.Scratch{})
	if err != nil {
		panic(err)
	}
	s.Hits = slices.Clone(hits)
	return s
}

func TestAFindingCoversWhatIsSaidAndLeavesTheDomain(t *testing.T) {
	in := New(Options{Key: []byte("k"), Ledger: memory(t)})
	const sub, domain = "0123456789abcdef0123456789abcdef0123456789", "drop-off-zone.co.uk"
	s := subject(in, asked("s", sub+"."+domain), nil)
	f, err := in.Inspect(t.Context(), s)
	if err != nil || len(f) != 1 {
		t.Fatalf("%+v, %v", f, err)
	}
	if f[0].Kind != "dns/tunnel" || f[0].Part != "host" || f[0].End-f[0].Start != len(sub) || f[0].Score < 0.5 || f[0].Score > 0.7 || len(f[0].Digest) != 12 {
		t.Errorf("%+v", f[0])
	}
	again, _ := in.Inspect(t.Context(), subject(in, asked("s", "other-"+sub+"."+domain), nil))
	if again[0].Digest != f[0].Digest || again[0].Score <= f[0].Score {
		t.Errorf("the same domain again: %+v, before %+v", again[0], f[0])
	}
}

func TestANameIsChargedOnceWhateverListenerSawIt(t *testing.T) {
	l := memory(t)
	in := New(Options{Key: []byte("k"), Ledger: l})
	const name = "a1b2c3d4e5f6.drop-off-zone.net"
	for _, c := range []*call.Call{asked("s", name), {Caller: asked("s", name).Caller, Dest: call.Dest{Scheme: "https", Host: name, Port: 443}, Op: call.Op{Protocol: "http", Method: "GET"}},
		{Caller: asked("s", name).Caller, Dest: call.Dest{Scheme: "tcp", Host: name, Port: 22}}} {
		if f, err := in.Inspect(t.Context(), subject(in, c, nil)); err != nil || len(f) > 0 {
			t.Errorf("%+v, %v", f, err)
		}
	}
	spent := l.sessions["s"].spent
	if want := tables().model.cost("a1b2c3d4e5f6"); spent != want || want == 0 {
		t.Errorf("charged %v bits, want %v", spent/bit, want/bit)
	}
}

func TestSessionsThatAnAgentNamesShareOneLedger(t *testing.T) {
	l := memory(t)
	left := 0
	for i := range 100 {
		c := asked(fmt.Sprint("made up ", i), fmt.Sprintf("%08x.drop-off-zone.net", uint32(i)*2654435761))
		c.Caller.SessionMark, c.Caller.Parent = call.Claimed, "10.0.0.7"
		if kind, _, _, _ := l.charge(c); kind == "" {
			left += 4
		}
	}
	if left > 20 {
		t.Errorf("%d B left under a hundred names", left)
	}
}

func TestForgettingBeginsAnew(t *testing.T) {
	l := memory(t)
	name := strings.Repeat("0123456789abcdef", 3) + ".drop-off-zone.net"
	for range 2 {
		if kind, _, _, _ := l.charge(asked("s", name)); kind != kindTunnel {
			t.Errorf("%q", kind)
		}
	}
	l.Forget("s")
	if kind, _, _, _ := l.charge(asked("s", "www.drop-off-zone.net")); kind != "" {
		t.Errorf("after it was forgotten: %q", kind)
	}
}

func TestNamesThatPolicyOrListsKnowHaveRoom(t *testing.T) {
	l := memory(t)
	n := 0
	for i := range 300 {
		for domain, free := range map[string]bool{"cloudfront.net": true, "github.io": true, "policy-knows.net": true, "nobody-knows.net": false, "x.oastify.com": false} {
			c := asked("s"+domain, fmt.Sprintf("%016x.%s", uint64(i)*0x9e3779b97f4a7c15, domain))
			c.Dest.Named = domain == "policy-knows.net"
			kind, _, _, _ := l.charge(c)
			if free && kind != "" {
				t.Fatalf("%s: %s at name %d", domain, kind, i)
			} else if !free && kind == "" {
				n++
			}
		}
	}
	if n > 6 {
		t.Errorf("%d names of 64 bits each left", n)
	}
}

func TestNoiseOfLocalNetworksCostsNothing(t *testing.T) {
	l := memory(t)
	for i := range 300 {
		for _, form := range []string{"%016x.example.edu.localdomain", "%016x.lan", "%016x", "%d.2.0.192.in-addr.arpa", "%016x.corp.internal", "%016x.local", "%016x.onion"} {
			if kind, _, _, _ := l.charge(asked("s", fmt.Sprintf(form, i))); kind != "" {
				t.Fatalf("%s: %s", form, kind)
			}
		}
	}
	if kind, _, _, _ := l.charge(asked("s", "192.0.2.1")); kind != "" {
		t.Errorf("an address: %s", kind)
	}
}

func TestDNSOverHTTPSIsSeenByItsMediaType(t *testing.T) {
	in := New(Options{Key: []byte("k"), Ledger: memory(t)})
	for _, tc := range []struct {
		header, value string
		want          bool
	}{{"Content-Type", "application/dns-message", true}, {"Accept", "text/plain, Application/DNS-Message;q=1", true}, {"Accept", "application/dns-json", true},
		{"Accept", "application/dns", false}, {"X-Note", "application/dns-message", false}} {
		f, err := in.Inspect(t.Context(), subject(in, asked("s", "resolver.example.com"), http.Header{tc.header: {tc.value}}))
		if err != nil || (len(f) == 1 && f[0].Kind == "dns/doh") != tc.want {
			t.Errorf("%s: %s: %+v, %v", tc.header, tc.value, f, err)
		}
	}
}

func TestMemoryOfASessionIsBounded(t *testing.T) {
	l := memory(t)
	for i := range 20_000 {
		l.charge(asked("s", fmt.Sprintf("www.d%d.net", i)))
		l.charge(asked("s", fmt.Sprintf("n%d.cloudfront.net", i)))
	}
	s := l.sessions["s"]
	if len(s.now) > seenMax || len(s.before) > seenMax || len(s.domains) > domainsMax {
		t.Errorf("%d and %d names, %d domains", len(s.now), len(s.before), len(s.domains))
	}
	for i := range sessionsMax + 1000 {
		l.charge(asked(fmt.Sprint("s", i), "www.example.com"))
	}
	if len(l.sessions) > sessionsMax {
		t.Errorf("%d sessions", len(l.sessions))
	}
}

func TestTheListOfPopularDomainsIsReadInItsForms(t *testing.T) {
	path := filepath.Join(t.TempDir(), "popular")
	if err := os.WriteFile(path, []byte("# comment\nplain-one.net\r\n2,ranked-one.net\n3,3,global-one.net,1,2,3\n\"GlobalRank\",\"Domain\"\n4,\"WWW.Quoted-one.net\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := Open(Files{Popular: path, Key: []byte("k")})
	if err != nil {
		t.Fatal(err)
	}
	list, err := l.popular()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"plain-one.net", "ranked-one.net", "global-one.net", "quoted-one.net"} {
		if !list.has(d) {
			t.Errorf("%s is not in it", d)
		}
	}
	if len(list) != 4 {
		t.Errorf("%d domains", len(list))
	}
	if _, err := Open(Files{Popular: filepath.Join(t.TempDir(), "none")}); err != nil {
		t.Errorf("a list that is not there: %v", err)
	}
	if _, err := Open(Files{Popular: t.TempDir()}); err == nil {
		t.Error("a folder is read")
	}
}

func TestADamagedFileOfUsedNamesIsReadAsFarAsItGoes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "names")
	open := func() *Ledger {
		l, err := Open(Files{Used: path, Key: []byte("k")})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := open()
	l.charge(asked("s", "one.nobody-knows.net"))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.Write([]byte("half"))
	f.Close()
	l = open()
	l.charge(asked("s", "two.nobody-knows.net"))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open()
	l.used.mu.Lock()
	if n := len(l.used.names); n != 2 {
		t.Errorf("%d names, want 2", n)
	}
	l.used.mu.Unlock()
	if err := errors.Join(l.Close(), l.Close()); err != nil {
		t.Error(err)
	}
	if i, err := os.Stat(path); err != nil || i.Mode()&fs.ModePerm != 0o600 || i.Size() != 32 {
		t.Errorf("%v, %v", i, err)
	}
	if _, err := Open(Files{Used: t.TempDir()}); err == nil {
		t.Error("a folder is taken for the file")
	}
}

func TestTheModelPricesRandomTextAsSuch(t *testing.T) {
	m := tables().model
	for text, least := range map[string]float64{"0123456789abcdef0f3c": 3.5, "v9k2j4h5g6p0q1": 4, "4821903477": 3} {
		if got := float64(min(m.label(text), plain(text))) / float64(bit) / float64(len(text)+1); got < least {
			t.Errorf("%s: %.2f bits a character", text, got)
		}
	}
	var sum, n float64
	for _, name := range lines(t, "popular.txt") {
		if sub, _, public := split(name); sub != "" && public {
			sum += float64(m.cost(sub)) / float64(bit)
			n += float64(len(sub) + 1)
		}
	}
	t.Logf("%.2f bits a character of popular names", sum/n)
	if sum/n > 4 {
		t.Errorf("popular names cost %.2f bits a character", sum/n)
	}
}

func TestANameSeenBeforeCostsNoAllocation(t *testing.T) {
	l := memory(t)
	c := asked("s", "www.nobody-knows.net")
	l.charge(c)
	if n := testing.AllocsPerRun(1000, func() { l.charge(c) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkName reports the cost of a name, new or seen, and its 99th percentile.
func BenchmarkName(b *testing.B) {
	names := lines(b, "popular.txt")
	calls := make([]*call.Call, len(names))
	for i, n := range names {
		calls[i] = asked("s", n)
	}
	for _, fresh := range []bool{false, true} {
		b.Run(map[bool]string{false: "seen", true: "new"}[fresh], func(b *testing.B) {
			l := memory(b)
			each := make([]time.Duration, 0, len(calls))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if j := i % len(calls); fresh && j == 0 {
					l.Forget("s")
				}
				start := time.Now()
				l.charge(calls[i%len(calls)])
				if len(each) < cap(each) {
					each = append(each, time.Since(start))
				}
			}
			slices.Sort(each)
			b.ReportMetric(float64(each[len(each)*99/100].Nanoseconds()), "p99-ns")
		})
	}
}

// FuzzCharge holds names to this: what a name costs is finite and told the same
// twice, it is split without loss, and names over an allowance stay so.
func FuzzCharge(f *testing.F) {
	for _, s := range []string{"www.example.com", "a.b.c.co.uk", "x.github.io", "com", "a..b", ".", "\xff.example.net", strings.Repeat("a", 300), "1.2.3.4", "::1", `a\001b.example.com`} {
		f.Add(s, false)
	}
	l := memory(f)
	f.Fuzz(func(t *testing.T, host string, isNamed bool) {
		if host == "" {
			return
		}
		sub, domain, _ := split(host)
		if sub != "" && sub+"."+domain != host || sub == "" && strings.TrimLeft(host, ".") != strings.TrimLeft(domain, ".") {
			t.Fatalf("%q is split into %q and %q", host, sub, domain)
		}
		if c := tables().model.cost(sub); c > bits(len(host)+1)*14*bit {
			t.Fatalf("%q costs %d bits", host, c/bit)
		}
		c := asked("s", "x")
		c.Dest.Host, c.Dest.Named = host, isNamed
		kind, score, _, _ := l.charge(c)
		again, score2, _, _ := l.charge(c)
		if kind != again || score != score2 || math.IsNaN(score) || score < 0 || score > 1 || (kind == "") != (score == 0) {
			t.Fatalf("%q: %s %v, then %s %v", host, kind, score, again, score2)
		}
		in := &Inspector{ledger: l}
		content := payload.Decode(&payload.Message{Host: host}, nil, payload.Limits{})
		defer content.Release()
		if _, err := in.Inspect(context.Background(), &inspect.Subject{Call: c, Content: content}); err != nil {
			t.Fatal(err)
		}
	})
}

// What was read of conversations before is not read again, with this inspector
// beside another one as without it.
func TestMemoryOfBodiesIsKept(t *testing.T) {
	secrets, err := secret.New(secret.Options{Key: []byte("k")})
	if err != nil {
		t.Fatal(err)
	}
	set, err := inspect.NewSet(secrets, New(Options{Key: []byte("k")}))
	if err != nil {
		t.Fatal(err)
	}
	lim := set.Recall(payload.Limits{}, asked("s", "api.example.com"), func(string) bool { return true })
	if lim.Memory == nil {
		t.Error("nothing is remembered")
	}
}

// The lists are as they were made: sorted, each name once and plain. A change of
// what is counted shows here.
func TestTheListsAreAsTheyWereMade(t *testing.T) {
	names := strings.Fields(hostsText)
	if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Error("hosts.txt is not sorted, or has a name twice")
	}
	if got := fmt.Sprintf("%x", sha256.Sum256([]byte(hostsText)))[:16]; got != "8ffacdbae0ce3f59" {
		t.Errorf("hosts.txt has the digest %s", got)
	}
	for file, text := range map[string]string{"hosts": hostsText, "risky": riskyText, "override": overrideText, "carriers": carriersText} {
		for line := range strings.Lines(text) {
			line, _, _ = strings.Cut(line, "#")
			for _, name := range strings.Fields(line) {
				if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" || strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".") {
					t.Errorf("%s: %q is no plain name", file, name)
				}
			}
		}
	}
	for _, name := range []string{"oastify.com", "x.oastify.com", "a.b.duckdns.org", "nip.io", "1-2-3-4.sslip.io", "abc.trycloudflare.com", "me.ngrok-free.app"} {
		if !tables().overridden(name) {
			t.Errorf("%s counts as a known site", name)
		}
	}
}

func TestABrokenListOfPopularDomainsHoldsNothingUpAndIsTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "popular")
	if err := os.WriteFile(path, []byte("good-one.net\n"+strings.Repeat("x", 1<<20)), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := Open(Files{Popular: path, Key: []byte("k")})
	if err != nil {
		t.Fatal(err)
	}
	if kind, _, _, _ := l.charge(asked("s", "www.nobody-knows.net")); kind != "" {
		t.Error(kind)
	}
	if err := l.Close(); err == nil || !strings.Contains(err.Error(), "popular") {
		t.Errorf("%v", err)
	}
}
