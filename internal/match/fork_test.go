package match

import (
	"fmt"
	"math/rand"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// names is an alternation as of the words that stand in names of secrets, and
// what makes an assignment of them.
const names = `(?i)(client_secret|credentials|passphrase|api[_-]?key|apikey|password|passwd|secret|access|token|auth|pwd|key)` +
	"[0-9A-Za-z_.-]{0,24}[\"'`)\\]\\\\]{0,3}[ \\t]{0,8}[=:,>|?.\\n]"

// TestNamesInEveryLineAreFarFromTheBudget: logs and files of nothing but
// harmless names are read to their end.
func TestNamesInEveryLineAreFarFromTheBudget(t *testing.T) {
	m := matcher(t, append(slices.Clone(shapes), Pattern{ID: "names", Expr: names, Group: 1}))
	for name, line := range map[string]func(i int) string{
		"usage log": func(i int) string {
			return fmt.Sprintf("{\"event\":\"call\",\"input_tokens\":%d,\"output_tokens\":%d,\"cache_read_input_tokens\":%d,\"max_tokens\":4096}\n", i, i*2, i*3)
		},
		"workflow": func(i int) string {
			return fmt.Sprintf("SECRET_NAME_%d: ${{ secrets.NAME_%d }}\n  token: ${{ secrets.GITHUB_TOKEN }}\n  password: ${{ secrets.PW }}\n", i, i)
		},
	} {
		var b strings.Builder
		for i := 0; b.Len() < 1<<20; i++ {
			b.WriteString(line(i))
		}
		var s Scratch
		hits, err := m.Scan([]byte(b.String()), &s)
		budget := stepsPerText + stepsPerByte*b.Len()
		took := float64(budget-s.left) / float64(budget)
		t.Logf("%-9s %.1f %% of the budget, %d of %d candidates", name, took*100, len(s.candidates), s.most)
		if err != nil || took > 0.3 || len(hits) < b.Len()/100 {
			t.Errorf("%s: %.1f %% of the budget, %d hits, %v", name, took*100, len(hits), err)
		}
	}
}

func TestForkFindsWhatItsBranchesDo(t *testing.T) {
	r := rand.New(rand.NewSource(5))
	words := []string{"a", "ab", "b", "xa", "é", "key", "K", "\u212a", "\n", " ", "bc", "x", "=", "s"}
	for _, expr := range []string{
		`zz(a|ab|b|xa|é|key|x|)[=x]`,
		`zz(?:a|b|x|k){0,9}=`,
		`zz(?:(?:a|b|^x|key$)|(?:s|é|\bk|=)){1,9}`,
		`(?i)zz(key|sa|ab|x)=?`,
		`(?:a|ab|bc|x|key)zz`,
		`zz(?:|a|b|x|(?:s|k|=|b){0,3}){0,4}x`,
	} {
		re := regexp.MustCompile(expr)
		m := matcher(t, []Pattern{{ID: "x", Expr: expr}})
		var s Scratch
		for range 3000 {
			var b strings.Builder
			for range 1 + r.Intn(4) {
				for range r.Intn(4) {
					b.WriteString(words[r.Intn(len(words))])
				}
				b.WriteString("zz")
			}
			for range r.Intn(5) {
				b.WriteString(words[r.Intn(len(words))])
			}
			text := b.String()
			if strings.Contains(expr, "(?i)") && strings.Contains(text, "\u212a") {
				continue // as documented
			}
			hits, err := m.Scan([]byte(text), &s)
			got := [][]int{}
			for _, h := range hits {
				got = append(got, []int{h.Start, h.End})
			}
			want := append([][]int{}, re.FindAllStringIndex(text, -1)...)
			if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("%s in %q: %v, want %v; %v", expr, text, got, want, err)
			}
		}
	}
}
