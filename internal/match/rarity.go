package match

import _ "embed"

// trigrams holds, for each hash of a folded trigram, the logarithm of how often
// it was met in a megabyte of source code and its comments: four bits each. It
// changes speed, never results.
//
//go:generate go test -run TestTrigrams -trigrams
//go:embed trigrams.bin
var trigrams string

// common tells how often g is met in a megabyte of ordinary text, to a factor of two.
func common(g uint32) int {
	h := hash(g)
	return 1 << (trigrams[h>>1] >> (h & 1 * 4) & 15) >> 1
}

// frequency estimates how often the filter meets a literal in a megabyte.
func frequency(s string) int {
	const two, three = 1 << 14, 1 << 9 // a short one is met with all its neighbours
	switch len(s) {
	case 2:
		return two
	case 3:
		return three + 4*common(trigramOf(s))
	}
	least := 1 << 30
	for p := 0; p+4 <= len(s); p++ {
		least = min(least, common(trigramOf(s[p:]))+common(trigramOf(s[p+1:])))
	}
	return least
}
