package secret

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"outvet/call"
	"outvet/internal/inspect"
	"outvet/internal/payload"
)

// sources are source code of the Go distribution, and its comments as prose.
func sources(t testing.TB) (code, prose string) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Skip("no go command")
	}
	var c, p strings.Builder
	for _, dir := range []string{"net/http", "go/types", "encoding/json", "os", "regexp", "archive/tar"} {
		files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(root)), "src", dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") {
				continue
			}
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			c.Write(b)
			for line := range strings.Lines(string(b)) {
				if s, ok := strings.CutPrefix(strings.TrimSpace(line), "// "); ok {
					p.WriteString(s + "\n")
				}
			}
		}
	}
	if c.Len() < 1<<20 {
		t.Skip("no sources of the Go distribution")
	}
	return c.String(), p.String()
}

// A talk is a conversation with a model, as agents send it again and again.
type talk struct {
	rnd         *rand.Rand
	code, prose string
	messages    []string
	size        int
}

func newTalk(t testing.TB) *talk {
	k := &talk{rnd: rand.New(rand.NewPCG(5, 5))}
	k.code, k.prose = sources(t)
	return k
}

func (k *talk) piece(s string, n int) string {
	i := k.rnd.IntN(len(s) - n)
	q, _ := json.Marshal(strings.ToValidUTF8(s[i:i+n], "?"))
	return string(q)
}

// grow adds messages of about n bytes: what a user asks, what a model says and
// calls, what a tool answers.
func (k *talk) grow(n int) {
	for until := k.size + n; k.size < until; {
		u, c := min(n/4, 200+k.rnd.IntN(1500)), min(n/2, 300+k.rnd.IntN(9000))
		id := fmt.Sprintf("call_%016x", k.rnd.Uint64())
		for _, m := range []string{
			fmt.Sprintf(`{"role":"user","content":[{"type":"text","text":%s}]}`, k.piece(k.prose, u)),
			fmt.Sprintf(`{"role":"assistant","content":%s,"tool_calls":[{"id":"%s","type":"function","function":{"name":"read_file","arguments":"{\"path\":\"internal/proxy/server.go\",\"offset\":120}"}}]}`, k.piece(k.prose, u/2), id),
			fmt.Sprintf(`{"role":"tool","tool_call_id":"%s","content":%s}`, id, k.piece(k.code, c)),
		} {
			k.messages = append(k.messages, m)
			k.size += len(m)
		}
	}
}

func (k *talk) body() []byte {
	return []byte(`{"model":"some-model-4","max_tokens":4096,"stream":true,"messages":[` + strings.Join(k.messages, ",") + `]}`)
}

// A rig reads bodies as a gate does.
type rig struct {
	set *inspect.Set
	c   *call.Call
}

func newRig(t testing.TB) *rig {
	set, err := inspect.NewSet(newInspector(t, Options{}))
	if err != nil {
		t.Fatal(err)
	}
	return &rig{set, &call.Call{Dest: call.Dest{Host: "api.openai.com"}, Caller: call.Caller{Session: "s-1", Parent: "127.0.0.1"}}}
}

func all(string) bool { return true }

func (r *rig) read(t testing.TB, m *payload.Message, body []byte) []call.Finding {
	return r.readWith(t, m, body, payload.Limits{})
}

// again is read with the memory of what was read so.
func (r *rig) again(t testing.TB, m *payload.Message, body []byte) []call.Finding {
	return r.readWith(t, m, body, r.set.Recall(payload.Limits{}, r.c, all))
}

func (r *rig) readWith(t testing.TB, m *payload.Message, body []byte, lim payload.Limits) []call.Finding {
	c := payload.Decode(m, body, lim)
	defer c.Release()
	found, err := r.set.Run(context.Background(), r.c, c, all)
	if err != nil || len(c.Uninspected) > 0 {
		t.Fatal(err, c.Uninspected)
	}
	return found
}

// TestReadingAllocatesNothingWithoutAHit holds for a whole call: head, body, layers,
// matching, judging; with the memory and without it.
func TestReadingAllocatesNothingWithoutAHit(t *testing.T) {
	if racing {
		t.Skip("skipped, because pools lose what they hold under the race detector")
	}
	m := post("application/json")
	for _, size := range []int{4 << 10, 64 << 10} {
		k := newTalk(t)
		k.grow(size)
		body := k.body()
		r := newRig(t)
		for name, read := range map[string]func(){
			"without": func() { r.read(t, m, body) },
			"with":    func() { r.again(t, m, body) },
		} {
			got := 1e9 // the least of many: a pool may be emptied at any time
			for range 50 {
				got = min(got, testing.AllocsPerRun(1, read))
			}
			if got > 0 {
				t.Errorf("%d bytes, %s memory: %v allocations", size, name, got)
			}
		}
	}
}

// loads is the yardstick: each byte is loaded once.
func loads(b []byte) (n int) {
	for _, c := range b {
		n += int(c)
	}
	return n
}

var loaded int

// ratio measures do in multiples of reading body byte by byte, both in turn so
// that a noisy machine disturbs both; the least of many.
func ratio(b *testing.B, body []byte, do func()) {
	b.ReportAllocs()
	best, stick := time.Hour, time.Hour
	for b.Loop() {
		begin := time.Now()
		do()
		best = min(best, time.Since(begin))
		begin = time.Now()
		loaded += loads(body)
		stick = min(stick, time.Since(begin))
	}
	b.ReportMetric(float64(best)/float64(stick), "yardsticks")
	b.ReportMetric(float64(best)/1e3, "µs")
}

// BenchmarkReading is decoding, layers, matching and judging together.
func BenchmarkReading(b *testing.B) {
	m := post("application/json")
	for _, size := range []int{4 << 10, 64 << 10, 1 << 20} {
		k := newTalk(b)
		k.grow(size)
		body := k.body()
		r := newRig(b)
		b.Run(fmt.Sprintf("%dK", size>>10), func(b *testing.B) {
			if found := r.read(b, m, body); len(found) > 0 {
				b.Fatal(found)
			}
			ratio(b, body, func() { r.read(b, m, body) })
		})
		b.Run(fmt.Sprintf("%dK-decode", size>>10), func(b *testing.B) {
			ratio(b, body, func() { payload.Decode(m, body, payload.Limits{}).Release() })
		})
		b.Run(fmt.Sprintf("%dK-again", size>>10), func(b *testing.B) {
			// Each time with other new messages behind the same old ones.
			r.again(b, m, body)
			base := *k
			b.ReportAllocs()
			best, stick, more := time.Hour, time.Hour, 0
			for b.Loop() {
				b.StopTimer()
				next := base
				next.messages = base.messages[:len(base.messages):len(base.messages)]
				next.grow(4 << 10)
				text := next.body()
				more = len(text) - len(body)
				b.StartTimer()
				begin := time.Now()
				r.again(b, m, text)
				best = min(best, time.Since(begin))
				begin = time.Now()
				loaded += loads(body)
				stick = min(stick, time.Since(begin))
			}
			b.ReportMetric(float64(best)/float64(stick), "yardsticks")
			b.ReportMetric(float64(best)/1e3, "µs")
			b.ReportMetric(float64(more), "bytes-more")
		})
		b.Run(fmt.Sprintf("%dK-requests", size>>10), func(b *testing.B) {
			body := bytes.Clone(chat(b, min(size, 100<<10)))
			ratio(b, body, func() { r.read(b, m, body) })
		})
	}
}
