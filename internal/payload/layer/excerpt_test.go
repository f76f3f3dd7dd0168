package layer

import (
	"bytes"
	"encoding/base64"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// pixels are what a screenshot of n bytes inflates to: rows of few colours, each
// behind a zero.
func pixels(n int) []byte {
	var b []byte
	for row := 0; len(b) < n; row++ {
		b = append(b, 0)
		for x := 0; x < 3000; x += 3 {
			color := []byte("00@")
			if row%18 < 11 && (x*7+row/18*13)%31 < 4 {
				color = []byte{byte(x), 210, 230}
			}
			b = append(b, color...)
		}
	}
	return b[:n]
}

// emitted returns what Find emits of text, and of that again.
func emitted(text []byte, depth int) (all []byte, cut bool) {
	cut = Find(text, roomy, func(l Layer) {
		all = append(all, l.Text...)
		if depth > 0 {
			inner, _ := emitted(bytes.Clone(l.Text), depth-1)
			all = append(all, inner...)
		}
	})
	return all, cut
}

func TestImagesAreReadWholeAndHoldLittle(t *testing.T) {
	if raceEnabled {
		t.Skip("large pictures take too long under the race detector")
	}
	noise := random(3 << 20)
	flat := bytes.Repeat([]byte{30, 30, 46}, 3<<20)
	for name, text := range map[string][]byte{
		"noise":           noise,
		"noise in base64": []byte(base64.StdEncoding.EncodeToString(noise)),
		"flat":            []byte("PNG....." + zlibbed(string(flat)) + "\xae\x42\x60\x82"),
		"screenshot":      []byte("PNG....." + zlibbed(string(pixels(12<<20))) + "\xae\x42\x60\x82"),
	} {
		if all, cut := emitted(text, 1); cut || len(all) > max(len(text), 8<<20)/4 {
			t.Errorf("%s: %d bytes of %d, cut %v", name, len(all), len(text), cut)
		}
	}
}

func TestTextInLargeBinariesIsFound(t *testing.T) {
	shot := pixels(512 << 10)
	utf16 := strings.Join(strings.Split("e "+token+" ", ""), "\x00")
	for name, in := range map[string]string{
		"as it is":       token,
		"as UTF-16":      utf16,
		"in gzip":        gzipped(token),
		"in large gzip":  gzipped(strings.Repeat("a", 1<<18) + token),
		"in zstd":        zstded(token + "."),
		"in zlib":        zlibbed("hidden: " + token),
		"in base64":      std64("here " + token),
		"in gzip's name": "\x1f\x8b\x08\x08\x00\x00\x00\x00\x00\x00" + token + "\x00" + gzipped("x")[10:],
	} {
		for _, at := range []int{0, 300_001, len(shot)} {
			whole := slices.Concat(shot[:at], []byte(in), shot[at:])
			for _, tail := range []string{"", "\x00\x00\x00\x00IEND"} {
				if text := "\x89PNG\r\n" + zlibbed(string(whole)) + tail; !opens([]byte(text), token, 4) {
					t.Errorf("%s at %d, then %q: not found", name, at, tail)
				}
			}
		}
	}
}

func TestRepeatsAreLeftOutAndNothingElse(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var b, want []byte
		for range r.IntN(6) {
			word := random(40)[r.IntN(20):]
			for i := range word {
				word[i] = byte('a' + r.IntN(26))
			}
			b, want = append(b, word...), append(want, word...)
			b = append(b, bytes.Repeat([]byte("xyz"), r.IntN(400))...)
		}
		f := &finder{caps: roomy, out: bytes.Clone(b)}
		f.excerpt()
		for w := range slices.Chunk(want, 20) {
			if bytes.Contains(b, w) && !bytes.Contains(f.out, w) {
				t.Fatalf("%q of %q is not in %q", w, b, f.out)
			}
		}
	}
}

func TestTriesAreBoundedByTheirWork(t *testing.T) {
	const size = 1 << 20
	for _, magic := range []string{"x\x9c", "\x1f\x8b\x08", "\x28\xb5\x2f\xfd", gzipped("a")} {
		left := 1 << 20
		cut := Find(bytes.Repeat([]byte(magic), size/len(magic)), Caps{Bytes: 1 << 20, Work: &left}, func(Layer) {})
		if !cut || left > perTry {
			t.Errorf("%q: cut %v, %d bytes of work left", magic, cut, left)
		}
	}
}

func BenchmarkFindScreenshot(b *testing.B) {
	bench(b, []byte("PNG....."+zlibbed(string(pixels(15<<20)))))
}
