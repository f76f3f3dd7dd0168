package secret

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestChanceMakesNoIdentifiers(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	const set, tries = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", 20_000
	for _, n := range []int{16, 20, 32, 40} {
		b := make([]byte, n)
		taken := 0
		for range tries {
			for i := range b {
				b[i] = set[r.IntN(len(set))]
			}
			if looksRandom(b) && identifier(b) {
				taken++
			}
		}
		if taken*500 > tries {
			t.Errorf("%d of %d random values of %d bytes are taken for names", taken, tries, n)
		}
	}
	for _, s := range []string{"q8Zt3LmX0pRw7VbN", "f3a9b2c17d604e8895ab31cc02de77fa", "4f9d8a7c6b5e4d3c2b1a", "zk9pq2vx7bw4mt8r", "Zq7Kd0aWxsP4uJd0aPqx"} {
		if identifier([]byte(s)) {
			t.Errorf("%q is taken for a name", s)
		}
	}
}

func TestEntropyIsShannons(t *testing.T) {
	for _, text := range []string{"", "a", "aaaa", "ab", "abcdefgh", "aabbccdd", strings.Repeat("a", 5000) + "b", "ghp_0123456789abcdefABCDEF", string(make([]byte, 300))} {
		counts := map[byte]float64{}
		for i := range len(text) {
			counts[text[i]]++
		}
		want := 0.0
		for _, k := range counts {
			p := k / float64(len(text))
			want -= p * math.Log2(p)
		}
		if got := entropy([]byte(text)); math.Abs(got-want) > 1e-8 || got < want-1e-12 {
			t.Errorf("%.20q: %v, want %v", text, got, want)
		}
	}
}
