package layer

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// unsifted opens run as open does, without asking whether it may hold anything.
func (f *finder) unsifted(run []byte, at span) {
	f.hex(run, at)
	if areHex(run) && len(run) >= 2*least64 {
		return
	}
	f.base32(run, at)
	f.base64(run, at)
}

// opened lists what open emits of run.
func opened(run []byte, open func(f *finder, run []byte, at span)) (out []string) {
	f := &finder{caps: roomy, room: 1 << 20}
	f.emit = func(l Layer) { out = append(out, fmt.Sprintf("%s %d:%d %q", l.Name, l.Start, l.End, l.Text)) }
	open(f, run, func(a, z int) (int, int) { return a, z })
	return out
}

func sameOpened(t *testing.T, run []byte) int {
	t.Helper()
	want, got := opened(run, (*finder).unsifted), opened(run, (*finder).open)
	if !slices.Equal(want, got) {
		t.Fatalf("%q: %v, without the sieve %v", run, got, want)
	}
	return len(want)
}

// runOf returns a run of the base64 alphabet that may hold something.
func runOf(r *rand.Rand) []byte {
	const chars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_"
	texts := []string{"a text that is hidden", "Пароль не здесь", "\x1f\x8b\x08\x00\x00", "x\x9cKL\x04\x00", "\x28\xb5\x2f\xfd\x04\x00", "k: v\r\n\t", "\x00h\x00i\x00d\x00e\x00n"}
	noise := func(n int) string {
		b, a := make([]byte, r.IntN(n+1)), chars[:[]int{26, 52, len(chars)}[r.IntN(3)]]
		for i := range b {
			b[i] = a[r.IntN(len(a))]
		}
		return string(b)
	}
	s := noise(9)
	for range 1 + r.IntN(4) {
		part := texts[r.IntN(len(texts))] + noise(24)
		switch r.IntN(6) {
		case 0:
			part = std64(part)
		case 1:
			part = base64.RawURLEncoding.EncodeToString([]byte(part))
		case 2:
			part = hexed(part)
		case 3:
			part = strings.TrimRight(std32(part), "=")
		case 4:
			part = strings.ToLower(strings.TrimRight(std32(part), "="))
		default:
			part = noise(40)
		}
		s += strings.TrimRight(part, "=") + string("-_/+a7"[r.IntN(6)])
	}
	s += noise(5)
	if len(s) < least64 {
		s += strings.Repeat("A", least64)
	}
	b := []byte(s)
	if r.IntN(3) == 0 {
		b = b[:max(least64, r.IntN(len(b)))]
	}
	// It must be one run.
	for i, c := range b {
		if class[c]&inBase64 == 0 {
			b[i] = '/'
		}
	}
	return b
}

func TestSieveLosesNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	n, layers := 60000, 0
	if testing.Short() || raceEnabled {
		n /= 10
	}
	for range n {
		layers += sameOpened(t, runOf(r))
	}
	if layers < n/4 {
		t.Errorf("only %d layers in %d runs: they show nothing", layers, n)
	}
}

func FuzzSieve(f *testing.F) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 40 {
		f.Add(runOf(r))
	}
	f.Fuzz(func(t *testing.T, run []byte) {
		for i, c := range run {
			if class[c]&inBase64 == 0 {
				run[i] = "-_/+"[c&3]
			}
		}
		if len(run) >= least64 {
			sameOpened(t, run)
		}
	})
}

// traffic is what agents send and models see: prose, a log, names and paths,
// identifiers, code.
func traffic(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	for b.Len() < n {
		fmt.Fprintf(&b, "2026-08-%02dT04:%02d:33.242Z level=info path=/v1/orders/%06d status=200 trace=%016x%016x ip=10.87.92.%d\n",
			r.IntN(28)+1, r.IntN(60), r.IntN(1e6), r.Uint64(), r.Uint64(), r.IntN(256))
		fmt.Fprintf(&b, "call_%016x internal/payload/layer_%d/base64.go %08x-%04x-4aa6-%04x-b3ae6fbf4bd2\n", r.Uint64(), r.IntN(99), r.Uint32(), r.IntN(65536), r.IntN(65536))
		a := r.IntN(len(prose) - 400)
		b.Write(prose[a : a+400])
		a = r.IntN(len(code) - 300)
		b.Write(code[a : a+300])
	}
	return []byte(b.String()[:n])
}

// bytesSum is the yardstick: it loads each byte once.
func bytesSum(b []byte) (n int) {
	for _, c := range b {
		n += int(c)
	}
	return n
}

var sink int

// TestFindCostsFewSumsOfTheBytes holds the cost of Find on ordinary text to a
// multiple of that of adding up its bytes, at twice what it is and more.
func TestFindCostsFewSumsOfTheBytes(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("measures time")
	}
	fastest := func(do func()) time.Duration {
		best := time.Hour
		for end := time.Now().Add(30 * time.Millisecond); time.Now().Before(end); {
			start := time.Now()
			do()
			best = min(best, time.Since(start))
		}
		return best
	}
	for _, c := range []struct {
		name  string
		text  []byte
		limit float64
	}{
		{"prose", []byte(strings.Repeat(string(prose), 16)), 3},
		{"code", []byte(strings.Repeat(string(code), 16)), 4},
		{"quoted code", []byte(quotedJSON(strings.Repeat(string(code), 16))), 9},
		{"traffic", traffic(64 << 10), 7},
		{"short traffic", traffic(4 << 10), 7},
	} {
		ratio := 1e9
		for range 6 { // what disturbs one does not last for all
			find := fastest(func() { Find(c.text, roomy, func(Layer) {}) })
			ratio = min(ratio, float64(find)/float64(fastest(func() { sink += bytesSum(c.text) })))
			if ratio < c.limit {
				break
			}
		}
		t.Logf("%-14s %.1f sums of the bytes", c.name, ratio)
		if ratio > c.limit {
			t.Errorf("%s: %.1f sums of the bytes, the limit is %.0f", c.name, ratio, c.limit)
		}
	}
}

func TestTrafficCostsNoAllocation(t *testing.T) {
	if n, _ := allocs(traffic(64 << 10)); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
