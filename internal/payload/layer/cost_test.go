package layer

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
)

var prose = []byte(strings.Repeat("It was a bright cold day in April, and the clocks were striking thirteen. ", 60))[:4096]

var code = []byte(strings.Repeat("func (s *Server) Serve(l net.Listener) error {\n\tif fn := testHookServerServe; fn != nil {\n\t\tfn(s, l) // call hook with unwrapped listener\n\t}\n", 40))[:4096]

func random(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{7}).Read(b)
	return b
}

// hostile are texts that were made to cost much, of n bytes.
var hostile = map[string]func(n int) []byte{
	"percent twice":         repeat("%25"),
	"percent alone":         repeat("%"),
	"backslashes":           repeat(`\`),
	"escapes":               repeat(`\u0041`),
	"escapes far apart":     repeat(`\n` + strings.Repeat("a", 1100)),
	"ampersands":            repeat("&"),
	"entities":              repeat("&#65;"),
	"long entities":         repeat("&aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
	"base64 of one letter":  repeat("A"),
	"base64 of text":        repeat("QUFB"),
	"base64 alphabet":       repeat("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"),
	"base64 of noise":       func(n int) []byte { return []byte(base64.StdEncoding.EncodeToString(random(n * 3 / 4))) },
	"base64 in short lines": repeat("QUFBQUFBQUFBQUFB\n"),
	"base64 that is zlib":   repeat("-eJwAAAAA"),
	"hex":                   repeat("41"),
	"hex digits":            repeat("0123456789abcdef"),
	"pairs":                 repeat("41:"),
	"pairs that end":        repeat("41:42:43:44:45:4 "),
	"pairs with 0x":         repeat("0x41,"),
	"0x alone":              repeat("0x"),
	"0x far apart":          repeat("0x41" + strings.Repeat(" ", 62)),
	"base32":                repeat("MFRGGZDF"),
	"equals":                repeat("="),
	"soft breaks":           repeat("=\r\n"),
	"tag characters":        repeat("\U000e0041"),
	"zero width":            repeat("a\u200b"),
	"marks":                 repeat("\u0301"),
	"Cyrillic":              repeat("сухорос"),
	"Chinese":               repeat("敏捷的棕色狐狸"),
	"emoji":                 repeat("😀"),
	"invalid UTF-8":         repeat("\x80"),
	"noise":                 random,
	"zeros":                 repeat("\x00"),
	"utf16":                 repeat("a\x00"),
	"gzip magics":           repeat("\x1f\x8b\x08"),
	"gzip heads":            repeat("\x1f\x8b\x08\x08\x00\x00\x00\x00\x00\x00"),
	"zlib magics":           repeat("x\x9c"),
	"zstd magics":           repeat("\x28\xb5\x2f\xfd"),
	"false zlib magics":     repeat("x\x9c\xff"),
	"spaces":                repeat(" "),
	"all leads":             repeat(`%41\x41&#65;=41`),
}

func repeat(s string) func(n int) []byte {
	return func(n int) []byte { return bytes.Repeat([]byte(s), n/len(s)+1)[:n] }
}

func TestTimeIsLinear(t *testing.T) {
	if testing.Short() {
		t.Skip("measures time")
	}
	measure := func(text []byte) time.Duration {
		best := time.Hour
		for range 3 {
			start := time.Now()
			Find(text, roomy, func(Layer) {})
			best = min(best, time.Since(start))
		}
		return best
	}
	for name, make := range hostile {
		small, large := measure(make(32<<10)), measure(make(256<<10))
		if large > 40*small && large > 10*time.Millisecond { // eight times the text
			t.Errorf("%s: 32 KB in %v, 256 KB in %v", name, small, large)
		}
		t.Logf("%-24s 256 KB in %8v, %5.0f MB/s", name, large.Round(time.Microsecond), 0.25/large.Seconds())
	}
}

func TestWhatIsEmittedIsBoundedByTheText(t *testing.T) {
	for name, make := range hostile {
		text, sum := make(64<<10), 0
		Find(text, roomy, func(l Layer) {
			if l.Start < 0 || l.End > len(text) || l.Start >= l.End {
				t.Fatalf("%s: run %d to %d", name, l.Start, l.End)
			}
			sum += len(l.Text)
		})
		if sum > 6*len(text) {
			t.Errorf("%s: %d bytes come of %d", name, sum, len(text))
		}
	}
}

func TestCapIsHeld(t *testing.T) {
	text := []byte(std64(strings.Repeat("plain text ", 1000)) + " " + gzipped(strings.Repeat("more text ", 1000)))
	for _, room := range []int{0, 1, 100, 11000, 15000, 1 << 20} {
		sum, marked := 0, false
		cut := Find(text, Caps{Bytes: room}, func(l Layer) { sum, marked = sum+len(l.Text), marked || l.Cut })
		if sum > room || cut != (room < 1<<20) || marked && !cut {
			t.Errorf("room %d: %d bytes, cut %v, marked %v", room, sum, cut, marked)
		}
	}
	bomb := []byte(gzipped(strings.Repeat("a", 4<<20)))
	sum, left := 0, 1<<20
	if cut := Find(bomb, Caps{Bytes: 1 << 30, Work: &left}, func(l Layer) { sum += len(l.Text) }); !cut || sum > 1<<20 || left > 1<<10 {
		t.Errorf("bomb: %d bytes, cut %v, %d bytes of work left", sum, cut, left)
	}
}

// allocs returns the allocations of a Find that has its working memory, and
// how many layers it emits.
func allocs(text []byte) (n float64, layers int) {
	f := &finder{caps: roomy, emit: func(Layer) { layers++ }}
	n = testing.AllocsPerRun(100, func() {
		f.room, layers = roomy.Bytes, 0
		f.find(text)
	})
	return n, layers
}

func TestPlainTextCostsNoAllocation(t *testing.T) {
	word := append([]byte("сегодня мы говорим по-русски — don’t you → ✓ ½? 你好，世界 "), prose...)
	for name, text := range map[string][]byte{"prose": prose, "code": code, "other scripts": word} {
		if n, layers := allocs(text); n > 0 || layers > 0 {
			t.Errorf("%s: %v allocations, %d layers", name, n, layers)
		}
	}
}

func TestLayersCostNoAllocation(t *testing.T) {
	text := []byte(quotedJSON(std64(string(code))) + strings.Repeat(" %41\\u0041&#65;", 20) + "ｐａｓｓｗｏｒｄ " + hexed("some text that is hidden here"))
	if n, layers := allocs(text); n > 0 || layers < 6 {
		t.Errorf("%v allocations, %d layers", n, layers)
	}
}

func TestFindsAtTheSameTimeDoNotMix(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			w := wrappings[i]
			for range 200 {
				if !opens([]byte(w.wrap(token)), token, 3) {
					t.Errorf("%s: not found", w.name)
					return
				}
			}
		})
	}
	wg.Wait()
}

func bench(b *testing.B, text []byte) {
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		Find(text, roomy, func(Layer) {})
	}
}

func BenchmarkFindProse(b *testing.B) { bench(b, prose) }
func BenchmarkFindCode(b *testing.B)  { bench(b, code) }

func BenchmarkFindRussian(b *testing.B) {
	bench(b, []byte(strings.Repeat("Был холодный ясный апрельский день, и часы пробили тринадцать. ", 36)))
}

func BenchmarkFindBase64OfText(b *testing.B) { bench(b, []byte(std64(string(code)))) }

func BenchmarkFindBase64OfNoise(b *testing.B) { bench(b, []byte(std64(string(random(48<<10))))) }

func BenchmarkFindDigests(b *testing.B) {
	bench(b, []byte(strings.Repeat("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08  main.go\n", 50)))
}

func BenchmarkFindEscapedJSON(b *testing.B) {
	text, _ := json.Marshal(map[string]string{"d": string(code)})
	bench(b, text)
}

func BenchmarkFindEachPass(b *testing.B) {
	f := &finder{caps: roomy, room: 1 << 30, emit: func(Layer) {}}
	for name, pass := range map[string]func([]byte){
		"runs": f.runs, "pairs": f.pairs, "wide": f.wide, "compressed": f.compressed, "fold": f.fold,
		"percent": func(t []byte) { f.rewrite(percent, t) }, "escape": func(t []byte) { f.rewrite(backslash, t) },
		"entity": func(t []byte) { f.rewrite(entity, t) }, "quoted": func(t []byte) { f.rewrite(quoted, t) },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(code)))
			for b.Loop() {
				pass(code)
			}
		})
	}
}
