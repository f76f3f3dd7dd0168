package dnstunnel

import (
	_ "embed"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
)

// The lists. hosts.txt and risky.txt are made by tools/names from
// v2fly/domain-list-community (MIT, data/LICENSE); the others are ours.
var (
	//go:embed data/hosts.txt
	hostsText string
	//go:embed data/carriers.txt
	carriersText string
	//go:embed data/risky.txt
	riskyText string
	//go:embed data/override.txt
	overrideText string
)

// common are the labels that most sites have, and the weight they are learnt with.
var common = []string{"www", "api", "cdn", "mail", "docs", "static", "app", "auth", "login", "dev", "blog", "m", "img", "assets"}

const commonWeight = 20

// seed is the key of all hashes in memory: nobody can choose names that collide.
var seed = maphash.MakeSeed()

func hashed(s string) uint64 { return maphash.String(seed, s) }

// A set is names by their hashes, sorted.
type set []uint64

func (s set) has(name string) bool {
	_, ok := slices.BinarySearch(s, hashed(name))
	return ok
}

func (s *set) sort() {
	slices.Sort(*s)
	*s = slices.Compact(*s)
}

// shipped is what is made of the lists.
type shipped struct {
	model    *model
	known    set // registrable domains
	override set // names, with all below them
}

// tables are made once, when they are first asked for.
var tables = sync.OnceValue(func() *shipped {
	t := &shipped{}
	t.known = make(set, 0, 32<<10)
	t.model = learn(func(yield func(string, uint32) bool) {
		for line := range strings.Lines(hostsText) {
			sub, domain, _ := split(strings.TrimSuffix(line, "\n"))
			t.known = append(t.known, hashed(domain))
			if sub == "" {
				continue
			}
			for label := range strings.SplitSeq(sub, ".") {
				yield(label, 1)
			}
		}
		for _, label := range common {
			yield(label, commonWeight)
		}
	})
	t.known.read(carriersText, func(name string) string { _, domain, _ := split(name); return domain })
	t.override.read(overrideText, strings.ToLower)
	t.override.read(riskyText, strings.ToLower)
	return t
})

// read adds the names of a list, each as what of makes of it.
func (s *set) read(text string, of func(string) string) {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		for _, name := range strings.Fields(line) {
			*s = append(*s, hashed(of(name)))
		}
	}
	s.sort()
}

// overridden reports whether name or one above it is never a known site.
func (t *shipped) overridden(name string) bool {
	for {
		if t.override.has(name) {
			return true
		}
		dot := strings.IndexByte(name, '.')
		if dot < 0 {
			return false
		}
		name = name[dot+1:]
	}
}
