package layer

import (
	"bytes"
	"strings"
	"testing"
)

func TestLocateFindsThePartOfARun(t *testing.T) {
	for _, c := range []struct{ name, in, want, part string }{
		{"percent", "q=%48ello%20world", "world", "world"},
		{"percent", "q=%48ello%20world", "Hello", "%48ello"},
		{"escape", `{\"key\":\"v\u00e4lue\"}`, "v\u00e4lue", `v\u00e4lue`},
		{"entity", "&lt;b&gt;se&#99;ret&lt;/b&gt;", "secret", "se&#99;ret"},
		{"quoted", "id=3Dse=\r\ncret=3D", "secret", "se=\r\ncret"},
		{"fold", "x=ｐａｓｓ\u200bｗｏｒｄ;y", "password", "ｐａｓｓ\u200bｗｏｒｄ"},
		{"fold", "se\u200bcret and words and se\u200bcond", "second", "se\u200bcond"},
		{"base64", "c29tZSBzZWNyZXQgdGV4dA==", "secret", "c29tZSBzZWNyZXQgdGV4dA=="},
	} {
		found := false
		Find([]byte(c.in), roomy, func(l Layer) {
			from := bytes.Index(l.Text, []byte(c.want))
			if l.Name != c.name || from < 0 {
				return
			}
			found = true
			run := []byte(c.in)[l.Start:l.End]
			start, end := Locate(l.Name, run, from, from+len(c.want))
			if got := string(run[start:end]); got != c.part {
				t.Errorf("%s: %q stands in %q, got %q", c.name, c.want, c.part, got)
			}
		})
		if !found {
			t.Errorf("%s: %q not found in %q", c.name, c.want, c.in)
		}
	}
}

func TestLocateTakesAllOfARunItDoesNotKnow(t *testing.T) {
	for _, c := range [][2]int{{-1, 2}, {3, 3}, {0, 100}, {90, 95}} {
		if start, end := Locate("percent", []byte("a%41%42"), c[0], c[1]); start != 0 || end != 7 {
			t.Errorf("%v: %d to %d", c, start, end)
		}
	}
}

func FuzzFind(f *testing.F) {
	for _, w := range wrappings {
		f.Add([]byte("before " + w.wrap(token) + " after"))
	}
	for _, make := range hostile {
		f.Add(make(300))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		before := string(text)
		sum := 0
		cut := Find(text, Caps{Ratio: 100, Bytes: 1 << 20}, func(l Layer) {
			if l.Start < 0 || l.Start >= l.End || l.End > len(text) || len(l.Text) == 0 {
				t.Fatalf("%s: %d to %d of %d, %d bytes", l.Name, l.Start, l.End, len(text), len(l.Text))
			}
			sum += len(l.Text)
			switch l.Name {
			case "percent", "escape", "entity", "quoted", "fold":
				locateAll(t, text[l.Start:l.End], l)
			case "gzip", "zlib", "zstd":
			default:
				if len(l.Text) > l.End-l.Start {
					t.Fatalf("%s: %d bytes of %d", l.Name, len(l.Text), l.End-l.Start)
				}
			}
		})
		if sum > 1<<20 || string(text) != before {
			t.Fatalf("%d bytes, cut %v, changed %v", sum, cut, string(text) != before)
		}
	})
}

// locateAll checks that the places of the bytes of a layer are in order and in
// the run, and that a run by itself decodes to the same text.
func locateAll(t *testing.T, run []byte, l Layer) {
	if l.Cut {
		return
	}
	alone := false
	Find(run, Caps{Bytes: 8 << 20}, func(m Layer) {
		alone = alone || m.Name == l.Name && m.Start == 0 && m.End == len(run) && bytes.Equal(m.Text, l.Text)
	})
	if !alone {
		t.Fatalf("%s: %q does not decode alone to %q", l.Name, run, l.Text)
	}
	step := len(l.Text)/8 + 1
	last := 0
	for k := 0; k < len(l.Text); k += step {
		start, end := Locate(l.Name, run, k, k+1)
		if start < last || end <= start || end > len(run) {
			t.Fatalf("%s: byte %d of %q at %d to %d of %q", l.Name, k, l.Text, start, end, run)
		}
		if c := l.Text[k]; c < 0x80 && end-start == 1 && run[start] != c {
			t.Fatalf("%s: byte %d is %q, found %q", l.Name, k, c, run[start])
		}
		last = start
	}
}

func FuzzHidden(f *testing.F) {
	f.Add("tok_9Xq2LmZ7", uint8(0), uint8(3), "pre", "post")
	f.Fuzz(func(t *testing.T, _ string, a, b uint8, pre, post string) {
		x, y := wrappings[int(a)%len(wrappings)], wrappings[int(b)%len(wrappings)]
		if !fits(x.is, y.is) {
			return
		}
		in := strings.TrimRight(pre, "\\=&%0xX") + " " + y.wrap(x.wrap(token)) + " " + post
		if !opens([]byte(in), token, 6) {
			t.Fatalf("%s in %s: not found in %q", x.name, y.name, in)
		}
	})
}
