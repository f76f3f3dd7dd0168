package dnstunnel

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"outvet/call"
)

func lines(t testing.TB, file string) (out []string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(b))
}

// pairs returns the names of a file of kinds and names, by kind.
func pairs(t testing.TB, file string) map[string][]string {
	out := map[string][]string{}
	for two := range slices.Chunk(lines(t, file), 2) {
		out[two[0]] = append(out[two[0]], two[1])
	}
	return out
}

func memory(t testing.TB) *Ledger {
	l, err := Open(Files{Key: []byte("key")})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func asked(session, name string) *call.Call {
	return &call.Call{Caller: call.Caller{Session: call.SessionID(session), SessionMark: call.Observed}, Dest: call.Dest{Scheme: "dns", Host: strings.ToLower(name), Port: 53}}
}

// A channel is a tunnel: names, and how many bytes each carries.
type channel struct {
	names []string
	bytes func(name string) float64
}

// leaked returns how many bytes and names left before the first was refused, and
// the bytes that left in all, if what is found is refused.
func leaked(l *Ledger, session string, c channel) (before, all float64, n int) {
	stopped := false
	for _, name := range c.names {
		if kind, _, _, _ := l.charge(asked(session, name)); kind != "" {
			stopped = true
			continue
		}
		all += c.bytes(name)
		if !stopped {
			before, n = all, n+1
		}
	}
	return before, all, n
}

func fixed(n float64) func(string) float64 { return func(string) float64 { return n } }

// byLength bounds what a recorded name carries by 5 bits a character.
func byLength(name string) float64 {
	sub, _, _ := split(name)
	return float64(len(strings.ReplaceAll(sub, ".", ""))) * 5 / 8
}

// generators are tunnels whose author knows this inspector.
func generators() map[string]channel {
	r := rand.NewChaCha8(sha256.Sum256([]byte("generators")))
	data := func(n int) []byte { b := make([]byte, n); r.Read(b); return b }
	pick := rand.New(r)
	b32 := func(b []byte) string {
		return strings.ToLower(base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(b))
	}
	out := map[string]channel{}
	make1 := func(name string, n int, enc func([]byte) string, domain func(int) string) {
		c := channel{bytes: fixed(float64(n))}
		for i := range 400 {
			c.names = append(c.names, enc(data(n))+"."+domain(i))
		}
		out[name] = c
	}
	one := func(int) string { return "drop-off-zone.net" }
	labels := func(s string) string {
		var l []string
		for len(s) > 63 {
			l, s = append(l, s[:63]), s[63:]
		}
		return strings.Join(append(l, s), ".")
	}
	make1("full labels base32", 130, func(b []byte) string { return labels(b32(b)) }, one)
	make1("full labels base64url", 150, func(b []byte) string { return labels(base64.RawURLEncoding.EncodeToString(b)) }, one)
	make1("base32 20 B", 20, b32, one)
	make1("hex 16 B", 16, hex.EncodeToString, one)
	make1("hex 8 B", 8, hex.EncodeToString, one)
	make1("base32 5 B", 5, b32, one)
	make1("base32 2 B", 2, b32, one)
	make1("decimal 4 B", 4, func(b []byte) string { return fmt.Sprint(binary.BigEndian.Uint32(b)) }, one)
	make1("one label a byte", 1, func(b []byte) string { return string('a'+rune(b[0]>>4)) + "." + string('a'+rune(b[0]&15)) }, one)
	make1("behind www and api", 5, func(b []byte) string { return "www." + b32(b) + ".api" }, one)
	make1("base32 5 B below co.uk", 5, b32, func(int) string { return "drop-off-zone.co.uk" })
	make1("base32 5 B below a free name", 5, b32, func(int) string { return "mine.duckdns.org" })
	make1("base32 5 B at a catcher", 5, b32, func(int) string { return "abc.oastify.com" })
	words := strings.Fields("www api cdn mail docs static app auth login dev blog m img assets us eu test stage beta web ftp shop news admin portal media data search help my status go")
	c := channel{bytes: fixed(10.0 / 8)}
	for range 400 {
		c.names = append(c.names, words[pick.IntN(32)]+"."+words[pick.IntN(32)]+".drop-off-zone.net")
	}
	out["pairs of 32 words"] = c
	// dnscat2: a random packet id, type, session, sequence numbers and data in hex,
	// labels of 60.
	c = channel{bytes: fixed(50)}
	for i := range 200 {
		packet := append(data(2), 1, 0x5e, 0x55)
		packet = binary.BigEndian.AppendUint16(packet, uint16(i*50))
		packet = binary.BigEndian.AppendUint16(packet, 0x1234)
		s, name := hex.EncodeToString(append(packet, data(50)...)), ""
		for len(s) > 60 {
			name, s = name+s[:60]+".", s[60:]
		}
		c.names = append(c.names, name+s+".drop-off-zone.net")
	}
	out["dnscat2"] = c
	return out
}

func channels(t testing.TB) map[string]channel {
	all := generators()
	for _, f := range []string{"iodine-txt-base32.txt", "dns2tcp-txt.txt"} {
		all[f] = channel{lines(t, f), byLength}
	}
	for tool, names := range pairs(t, "shapes.txt") {
		all[tool] = channel{names, byLength}
	}
	return all
}

func TestATunnelLeaksTwentyBytesAtMostBeforeItIsRefused(t *testing.T) {
	for name, c := range channels(t) {
		before, all, n := leaked(memory(t), "s", c)
		t.Logf("%-32s %5.1f B in %3d of %3d names before the first refusal, %5.1f B in all", name, before, n, len(c.names), all)
		if all > 20 || n == len(c.names) {
			t.Errorf("%s: %.1f B left, the first refused name was number %d of %d", name, all, n+1, len(c.names))
		}
	}
}

func TestManyDomainsShareOneAllowance(t *testing.T) {
	r := rand.NewChaCha8([32]byte{1})
	for _, domains := range []int{10, 100, 1000, 5000} {
		c := channel{bytes: fixed(5)}
		for i := range 10_000 {
			b := make([]byte, 5)
			r.Read(b)
			c.names = append(c.names, strings.ToLower(base32.HexEncoding.EncodeToString(b))+fmt.Sprintf(".drop%d.net", i%domains))
		}
		_, all, _ := leaked(memory(t), "s", c)
		t.Logf("%d domains: %.0f B", domains, all)
		if all > 135 {
			t.Errorf("over %d domains %.0f B left", domains, all)
		}
	}
}

func TestBenignNamesAreLetPass(t *testing.T) {
	popular := lines(t, "popular.txt")
	l, flagged := memory(t), 0
	for i, name := range popular { // each as the first of its session, with the shipped lists alone
		if kind, _, _, _ := l.charge(asked(fmt.Sprint("s", i), name)); kind != "" {
			flagged++
		}
	}
	t.Logf("%d of %d popular names alone", flagged, len(popular))
	if flagged*100 > len(popular) {
		t.Errorf("%d of %d popular names are over an allowance by themselves, want at most 1 in 100", flagged, len(popular))
	}
	n, bad := 0, []string{}
	for kind, names := range pairs(t, "hard.txt") {
		for i, name := range names {
			n++
			if found, _, _, _ := l.charge(asked(fmt.Sprint(kind, i), name)); found != "" {
				bad = append(bad, name)
			}
		}
	}
	if len(bad) > 2 {
		t.Errorf("%d of %d hard names: %q", len(bad), n, bad)
	}
}

// sessions returns how many of n sessions of 60 popular names are flagged, with
// a list of popular domains that knows this share of them, and how many are
// flagged at a score.
func sessions(t testing.TB, l *Ledger, n int, names []string, prefix string) (flagged, strongly int) {
	r := rand.New(rand.NewPCG(7, uint64(n)))
	for i := range n {
		top := 0.0
		for range 60 {
			_, score, _, _ := l.charge(asked(fmt.Sprint(prefix, i), names[r.IntN(len(names))]))
			top = max(top, score)
		}
		if top > 0 {
			flagged++
		}
		if top >= 0.9 {
			strongly++
		}
	}
	return flagged, strongly
}

func popularFile(t testing.TB, share float64) string {
	r := rand.New(rand.NewPCG(3, 4))
	var b strings.Builder
	known := map[string]bool{}
	for i, name := range lines(t, "popular.txt") {
		_, domain, _ := split(name)
		in, seen := known[domain]
		if !seen {
			in = r.Float64() < share
			known[domain] = in
		}
		if in {
			fmt.Fprintf(&b, "%d,%s\r\n", i+1, domain)
		}
	}
	path := filepath.Join(t.TempDir(), "popular")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSessionsOfPopularNamesAreLetPassWithAListOfThem(t *testing.T) {
	names := lines(t, "popular.txt")
	const n = 1000
	for _, tc := range []struct{ share, most float64 }{{0, 1}, {0.9, 0.08}, {0.99, 0.02}, {1, 0.01}} {
		l, err := Open(Files{Key: []byte("k"), Popular: popularFile(t, tc.share)})
		if err != nil {
			t.Fatal(err)
		}
		flagged, strongly := sessions(t, l, n, names, "s")
		t.Logf("a list that knows %3.0f %%: %.1f %% of sessions flagged, %.1f %% at 0.9", tc.share*100, float64(flagged)/n*100, float64(strongly)/n*100)
		if float64(flagged)/n > tc.most || strongly > 0 {
			t.Errorf("a list that knows %.0f %%: %d of %d sessions flagged, %d at 0.9", tc.share*100, flagged, n, strongly)
		}
	}
}

func TestWhatOtherSessionsUsedIsNotHeldAgainstALaterOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "names")
	l, err := Open(Files{Used: path, Key: []byte("k")})
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, 16)
	for i := range names {
		names[i] = fmt.Sprintf("eu-%02d-frontend.shop-of-nobody.com", i)
	}
	for i, name := range names {
		if kind, _, _, _ := l.charge(asked(fmt.Sprint("s", i/2), name)); kind != "" {
			t.Fatalf("%s: %s", name, kind)
		}
	}
	count := func(l *Ledger, session string) (flagged int) {
		for _, name := range names {
			if kind, _, _, _ := l.charge(asked(session, name)); kind != "" {
				flagged++
			}
		}
		return flagged
	}
	if n := count(memory(t), "s"); n == 0 {
		t.Error("where nobody used them, all names together are not over an allowance: the test shows nothing")
	}
	if n := count(l, "later"); n > 0 {
		t.Errorf("%d of %d names that others had used are flagged", n, len(names))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if l, err = Open(Files{Used: path, Key: []byte("k")}); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if n := count(l, "after a restart"); n > 0 {
		t.Errorf("after a restart %d of %d names are flagged", n, len(names))
	}
	b, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(b), "shop") || len(b) != 16*len(names) {
		t.Errorf("the file has %d bytes, %v", len(b), err)
	}
}

// What was refused never left, so it must not become cheap by being tried: a name
// can say anything once.
func TestWhatWasRefusedIsNotLearnt(t *testing.T) {
	l := memory(t)
	const secret = "0123456789abcdef0123456789abcdef.drop-off-zone.net"
	for i := range 20 {
		if kind, _, _, _ := l.charge(asked(fmt.Sprint("s", i), secret)); kind != kindTunnel {
			t.Fatalf("session %d: %q", i, kind)
		}
	}
}

func TestChoosingAmongUsedNamesIsCounted(t *testing.T) {
	l := memory(t)
	c := channel{bytes: fixed(1)}
	for i := range 256 {
		name := fmt.Sprintf("n%02x.drop-off-zone.net", i)
		c.names = append(c.names, name)
		l.used.learn(l.used.mark(name, "drop-off-zone.net"))
	}
	if _, all, _ := leaked(l, "thief", c); all > 20 {
		t.Errorf("%.0f B left in names that others had used", all)
	}
}

// A session may be a machine that runs for months: what it used of its allowances
// comes back, slowly.
func TestAllowancesAreRefilledSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := memory(t)
		r := rand.NewChaCha8([32]byte{2})
		send := func(domains int) (bytes int) { // 400 names of 5 bytes at once
			for i := range 400 {
				b := make([]byte, 5)
				r.Read(b)
				name := strings.ToLower(base32.HexEncoding.EncodeToString(b)) + fmt.Sprintf(".d%d-%d.net", domains, i%domains)
				if kind, _, _, _ := l.charge(asked("s", name)); kind == "" {
					bytes += 5
				}
			}
			return bytes
		}
		first := send(100)
		time.Sleep(time.Hour)
		second := send(101)
		time.Sleep(10 * time.Hour)
		third := send(102)
		t.Logf("%d B, after an hour %d B, after ten more %d B", first, second, third)
		if first < 80 || first > 130 || second > 20 || third < 80 || third > 130 {
			t.Errorf("%d B left, after an hour %d B, after ten more %d B", first, second, third)
		}
		if kind, _, _, _ := l.charge(asked("t", "0123456789abcdef0123456789abcdef.sticky.net")); kind == "" {
			t.Fatal("a long name is let pass")
		}
		time.Sleep(1000 * time.Hour)
		if kind, _, _, _ := l.charge(asked("t", "www.sticky.net")); kind == "" {
			t.Error("a domain that was over its allowance is forgiven without a person")
		}
	})
}
