package env

import (
	"crypto/rand"
	"strings"
)

// forms are the beginnings of keys that programs check before they send one. A
// longer one stands before those that it begins with.
var forms = names("sk-ant-api03- sk-ant-oat01- sk-ant- sk-proj- sk-or-v1- sk- github_pat_ ghp_ gho_ ghs_ glpat- xai- gsk_ hf_ AIza npm_ r8_ pplx- tgp_")

// Placeholder returns what stands for a key inside: it begins as the key does,
// where that tells only who issued it, is as long (32 bytes at least), and else
// says nothing of it. No two are equal.
func Placeholder(_, value string) string {
	p := "outvet-"
	for _, f := range forms {
		if strings.HasPrefix(value, f) {
			p = f + p
			break
		}
	}
	for len(p) < max(len(value), 32) || len(p) < len("outvet-")+26 {
		p += rand.Text()
	}
	return p[:max(min(len(value), 200), 32, strings.Index(p, "outvet-")+len("outvet-")+20)]
}
