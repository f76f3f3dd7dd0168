package match

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestHits(t *testing.T) {
	for _, x := range []struct {
		name string
		p    Pattern
		text string
		want []Hit
	}{
		{"group", Pattern{Expr: `key=([a-z]{3});`, Group: 1}, `x key=abc; y`, []Hit{{0, 2, 10, 6, 9}}},
		{"absent group", Pattern{Expr: `key=(?:(a{3})|b{3})`, Group: 1}, `key=bbb`, []Hit{{0, 0, 7, 0, 7}}},
		{"empty group", Pattern{Expr: `key=(a{0,3})b`, Group: 1}, `key=b`, []Hit{{0, 0, 5, 4, 4}}},
		{"one after the other", Pattern{Expr: `abcabc`}, `abcabcabcabcabc`, []Hit{{0, 0, 6, 0, 6}, {0, 6, 12, 6, 12}}},
		{"whole text", Pattern{Expr: `^abc$`}, `abc`, []Hit{{0, 0, 3, 0, 3}}},
		{"three bytes at the end", Pattern{Expr: `ab[0-9]`}, `0123456789012345678 ab1`, []Hit{{0, 20, 23, 20, 23}}},
		{"two bytes at the end", Pattern{Expr: `[0-9]ab`}, `1ab`, []Hit{{0, 0, 3, 0, 3}}},
		{"lazy lead, no group", Pattern{Expr: `[a-z_]{0,9}?token=[0-9]{2}`}, `my_token=12`, []Hit{{0, 0, 11, 0, 11}}},
		{"lazy lead, group", Pattern{Expr: `[a-z_]{0,9}?token=([0-9]{2})`, Group: 1}, `my_token=12`, []Hit{{0, 3, 11, 9, 11}}},
		{"prolonged", Pattern{Expr: `eyJ[a-z]{4}`, Extend: `a-z.`}, `eyJabcdefg.hij k`, []Hit{{0, 0, 14, 0, 14}}},
		{"prolonged with its group", Pattern{Expr: `k=([a-z]{4})`, Extend: `a-z`, Group: 1}, `k=abcdef`, []Hit{{0, 0, 8, 2, 8}}},
		{"prolonged without its group", Pattern{Expr: `k=([a-z]{2})[a-z]{2}`, Extend: `a-z`, Group: 1}, `k=abcdef`, []Hit{{0, 0, 8, 2, 4}}},
		{"prolonged over the next", Pattern{Expr: `pk-[a-z]{4}`, Extend: `a-z\-`}, `pk-abcdpk-abcd`, []Hit{{0, 0, 14, 0, 14}}},
		{"prolonged into the next", Pattern{Expr: `pk-[a-z]{4}!?`, Extend: `a-z\-`}, `pk-abcdpk-abcd!`, []Hit{{0, 0, 14, 0, 14}, {0, 7, 15, 7, 15}}},
		{"prolonged to the end only by ASCII", Pattern{Expr: `pk-[a-z]{4}`, Extend: `^ `}, `pk-abcdeé`, []Hit{{0, 0, 8, 0, 8}}},
		{"exact in another case", Pattern{Expr: `Abc`}, `abc ABC Abc`, []Hit{{0, 8, 11, 8, 11}}},
		{"exact bytes that fold alike", Pattern{Expr: `\[\\\]`}, `{|} [\]`, []Hit{{0, 4, 7, 4, 7}}},
		{"exact beyond ASCII", Pattern{Expr: `Übung`}, `übung Übung`, []Hit{{0, 7, 13, 7, 13}}},
		{"exact of one rune", Pattern{Expr: `€`}, `100€`, []Hit{{0, 3, 6, 3, 6}}},
		{"nothing", Pattern{Expr: `abc`}, ``, nil},
	} {
		m := matcher(t, []Pattern{x.p})
		var s Scratch
		got, err := m.Scan([]byte(x.text), &s)
		if err != nil || !slices.Equal(got, x.want) {
			t.Errorf("%s: %+v %v, want %+v", x.name, got, err, x.want)
		}
	}
}

func TestZeroMatcherFindsNothing(t *testing.T) {
	for _, m := range []*Matcher{{}, matcher(t, nil)} {
		var s Scratch
		if got, err := m.Scan(bytes.Repeat([]byte("secret key "), 9), &s); len(got) != 0 || err != nil {
			t.Error(got, err)
		}
	}
}

func TestHitsOfAllPatternsInTheOrderOfTheirStarts(t *testing.T) {
	m := matcher(t, []Pattern{{ID: "late", Expr: `key=[0-9]{3}`}, {ID: "early", Expr: `my-key=`}, {ID: "same", Expr: `key=`}})
	var s Scratch
	got, err := m.Scan([]byte("a my-key=123"), &s)
	want := []Hit{{1, 2, 9, 2, 9}, {0, 5, 12, 5, 12}, {2, 5, 9, 5, 9}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%+v %v", got, err)
	}
}

// TestEachLiteralIsFoundAtEachPlace: the filter looks at every second position
// only and reads the end of a text in another way.
func TestEachLiteralIsFoundAtEachPlace(t *testing.T) {
	ps := []Pattern{{ID: "2", Expr: `ab[0-9]`}, {ID: "2 at the end", Expr: `[0-9]cd`}, {ID: "3", Expr: `efg`}, {ID: "4", Expr: `hijk`}, {ID: "9", Expr: `lmnopqrst`}, {ID: "3 any case", Expr: `(?i)UVW[0-9]`}, {ID: "rune", Expr: `é[0-9]`}}
	m, ref := matcher(t, ps), newReference(ps)
	var s Scratch
	for _, sample := range []string{"ab1", "1cd", "efg", "hijk", "lmnopqrst", "uVw1", "é1"} {
		for size := range 40 {
			for at := range size {
				for _, fill := range []string{".", "ü", "\n"} {
					text := []byte(strings.Repeat(fill, at) + sample + strings.Repeat(fill, size-at))
					got, err := m.Scan(text, &s)
					if err != nil || len(got) != 1 {
						t.Fatalf("%q: %v %v", text, got, err)
					}
					ref.compare(t, ref.scan(text), got, text)
				}
			}
		}
	}
}

// TestThousandsOfKnownValues: values that begin alike, are long, or hold bytes
// outside ASCII, each found, and none in another case.
func TestThousandsOfKnownValues(t *testing.T) {
	r := rand.New(rand.NewSource(4))
	var ps []Pattern
	var values []string
	for i := range 4000 {
		v := wordOf(r, 8+r.Intn(80))
		switch i % 4 {
		case 1:
			v = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9." + v
		case 2:
			v = "pä$$" + v
		case 3:
			v = strings.Repeat(v, 30)
		}
		values = append(values, v)
		ps = append(ps, Pattern{ID: fmt.Sprint(i), Expr: quote(v)})
	}
	m := matcher(t, ps)
	var s Scratch
	for i := range values {
		text := []byte(wordOf(r, i%7) + `"` + values[i] + `" ` + strings.ToLower(values[(i+1)%len(values)]) + "!")
		got, err := m.Scan(text, &s)
		if err != nil || len(got) != 1 || got[0].Pattern != i || string(text[got[0].Start:got[0].End]) != values[i] {
			t.Fatalf("%d: %+v %v", i, got, err)
		}
	}
	text := bytes.Repeat([]byte("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.abc "), 200)
	if _, err := m.Scan(text, &s); err != nil {
		t.Errorf("values that begin alike: %v", err)
	}
}

// quote quotes s as regexp.QuoteMeta does.
func quote(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strings.ContainsRune(`\.+*?()|[]{}^$`, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// TestLongSecrets: longer than the span within which a pattern must decide.
func TestLongSecrets(t *testing.T) {
	m := matcher(t, shapes)
	var s Scratch
	r := rand.New(rand.NewSource(2))
	for _, v := range []string{
		"-----BEGIN RSA PRIVATE KEY-----\n" + wordOf(r, 3200) + "\n-----END RSA PRIVATE KEY-----",
		"eyJ" + wordOf(r, 60) + ".eyJ" + wordOf(r, 4000) + "." + wordOf(r, 300),
	} {
		got, err := m.Scan([]byte("x "+v+"\" y"), &s)
		if err != nil || len(got) != 1 || got[0].Start != 2 || got[0].End != 2+len(v) || got[0].To != got[0].End {
			t.Errorf("%.40q: %v %v, want the end %d", v, got, err, 2+len(v))
		}
	}
}

// TestManyScansAtOnce is for the race detector: all build states of one
// matcher that has none yet, and all find the same.
func TestManyScansAtOnce(t *testing.T) {
	m := matcher(t, shapes)
	r := rand.New(rand.NewSource(5))
	var all [][]byte
	var want [][]Hit
	for range 12 {
		text := planted(t, r, shapes, 8192)
		var s Scratch
		h, err := matcher(t, shapes).Scan(text, &s)
		if err != nil {
			t.Fatal(err)
		}
		all, want = append(all, text), append(want, h)
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			var s Scratch
			for i := range all {
				n := (i + g) % len(all)
				if got, err := m.Scan(all[n], &s); err != nil || !slices.Equal(got, want[n]) {
					t.Errorf("text %d: %v, %d hits, want %d", n, err, len(got), len(want[n]))
				}
			}
		})
	}
	wg.Wait()
}

// TestWithoutRoomForStates: a text that made the matcher build all states it
// may hides nothing in later ones.
func TestWithoutRoomForStates(t *testing.T) {
	r := rand.New(rand.NewSource(6))
	full := matcher(t, shapes)
	for _, room := range []int{0, 1 << 12, 1 << 15, 1 << 18} {
		m := matcher(t, shapes)
		m.builder.room = min(room, m.builder.room)
		var s, s2 Scratch
		for range 20 {
			text := planted(t, r, shapes, 4096)
			want, err := full.Scan(text, &s)
			got, err2 := m.Scan(text, &s2)
			if err != nil || err2 != nil || !slices.Equal(got, want) {
				t.Fatalf("room %d: %v %v, %d hits, want %d", room, err, err2, len(got), len(want))
			}
		}
		for range 4 {
			if _, err := m.Scan(chat(t, r, 64<<10, true), &s2); err != nil {
				t.Errorf("room %d: harmless text: %v", room, err)
			}
		}
		if m.builder.room < 0 {
			t.Errorf("%d bytes too much", -m.builder.room)
		}
	}
}

func TestScanDoesNotAllocate(t *testing.T) {
	m := matcher(t, shapes)
	r := rand.New(rand.NewSource(3))
	for _, x := range []struct {
		name string
		text []byte
	}{
		{"harmless", chat(t, r, 64<<10, true)},
		{"planted", planted(t, r, shapes, 64<<10)},
		{"small", []byte("hello")},
	} {
		var s Scratch
		scan := func() {
			if _, err := m.Scan(x.text, &s); err != nil {
				t.Fatal(err)
			}
		}
		scan()
		if n := testing.AllocsPerRun(10, scan); n != 0 {
			t.Errorf("%s: %v allocations", x.name, n)
		}
	}
}

// TestBudgetIsFarFromOrdinaryText: what harmless text and text full of secrets
// take of their budget.
func TestBudgetIsFarFromOrdinaryText(t *testing.T) {
	m := matcher(t, shapes)
	r := rand.New(rand.NewSource(3))
	for _, x := range []struct {
		name  string
		limit float64
		make  func() []byte
	}{
		{"chat", 0.05, func() []byte { return chat(t, r, 64<<10, true) }},
		{"code", 0.05, func() []byte { return []byte(piece(r, codeText(t), 64<<10)) }},
		{"planted", 0.25, func() []byte { return planted(t, r, shapes, 64<<10) }},
		{"environment", 0.25, func() []byte {
			var b strings.Builder
			for i := range 400 {
				fmt.Fprintf(&b, "SERVICE_%d_API_KEY=%s\n", i, wordOf(r, 32))
			}
			return []byte(b.String())
		}},
	} {
		worst := 0.0
		var s Scratch
		for range 8 {
			text := x.make()
			if _, err := m.Scan(text, &s); err != nil {
				t.Errorf("%s: %v", x.name, err)
			}
			budget := stepsPerText + stepsPerByte*len(text)
			worst = max(worst, float64(budget-s.left)/float64(budget))
		}
		t.Logf("%-12s at most %.2f %% of the budget", x.name, worst*100)
		if worst > x.limit {
			t.Errorf("%s took %.1f %% of its budget", x.name, worst*100)
		}
	}
}

// TestWorstTextsEnd: a text made to cost as much as possible is read to its
// end or refused, and takes a bounded number of steps and of memory.
func TestWorstTextsEnd(t *testing.T) {
	m := matcher(t, many(250))
	for name, text := range worstTexts(64 << 10) {
		var s Scratch
		h, err := m.Scan(text, &s)
		if err != nil && !errors.Is(err, ErrBudget) {
			t.Errorf("%s: %v", name, err)
		}
		if limit := candidatesPerText + len(text)/bytesPerCandidate; cap(s.candidates) > 2*limit || len(h) > limit {
			t.Errorf("%s: room for %d candidates, %d hits", name, cap(s.candidates), len(h))
		}
		if n := 8 * cap(s.track.seen); n > 4<<20 {
			t.Errorf("%s: %d bytes of search", name, n)
		}
	}
}

func worstTexts(size int) map[string][]byte {
	rep := func(s string) []byte { return bytes.Repeat([]byte(s), size/len(s)) }
	return map[string][]byte{
		"keykey":           rep("key"),
		"curl":             rep("curl "),
		"assignments":      rep("api_key = 'abcdef0123456789' "),
		"near misses":      rep("secret token key auth api access "),
		"long word after":  rep("token = " + strings.Repeat("a", 200) + "! "),
		"JWT heads":        rep("eyJhbGciOiJIUzI1NiJ9."),
		"key heads":        rep("-----BEGIN PRIVATE KEY----- "),
		"open key heads":   rep("-----BEGIN "),
		"base64":           rep("QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo0NTY3ODkwYWJjZGVmZ2hpamts"),
		"urls":             rep("http://a:b@"),
		"open urls":        rep("a://b://"),
		"short literals":   rep("sk8Q~eyJ"),
		"many ways":        rep("aaaaaaaaaaaaaaaaaaaac!"),
		"values":           rep("hunter2-correct-horse"),
		"shortest value":   rep("~Z!"),
		"prolonged in all": rep("pk-abcd"),
		"unicode":          rep("passphrase ääääääääääääääääääääääääääää "),
	}
}

func TestErrBudgetIsReportedWithWhatWasFound(t *testing.T) {
	m := matcher(t, []Pattern{{ID: "slow", Expr: `(?:[a-z]{0,40}[a-y]{0,40}){3}key[a-z]{0,400}!`}})
	var s Scratch
	_, err := m.Scan(bytes.Repeat([]byte("key"), 40000), &s)
	if !errors.Is(err, ErrBudget) {
		t.Errorf("%v, %d steps left", err, s.left)
	}
	secret := "hunter2-correct-horse"
	m = matcher(t, []Pattern{{ID: "exact", Expr: secret}, {ID: "slow", Expr: `(?:[a-z]{0,40}[a-y]{0,40}){3}key[a-z]{0,400}!`}})
	got, err := m.Scan([]byte(secret+strings.Repeat("key", 40000)), &s)
	if !errors.Is(err, ErrBudget) || len(got) == 0 {
		t.Errorf("%v, %d hits", err, len(got))
	}
	if got, err := m.Scan([]byte("harmless"), &s); len(got) != 0 || err != nil {
		t.Errorf("the next text suffers: %v %v", got, err)
	}
}
