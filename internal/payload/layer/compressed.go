package layer

import (
	"bytes"
	"errors"

	"outvet/internal/payload/inflate"
)

// mostCompressed bounds how many magics of one text are tried, so that a text
// of nothing else stays linear.
const mostCompressed = 16

// compressed opens what begins with a magic. Where it ends is not known, so it
// reaches to the end of the text.
func (f *finder) compressed(text []byte) {
	at := 0
	if inflate.Magic(text) == "" {
		if at = highFrom(text, 0); at < 0 {
			return
		}
		at = max(at-1, 0) // a magic has its first high byte at 0 or 1
	}
	for tried := 0; ; tried++ {
		k := f.nextMagic(text, at)
		if k < 0 {
			return
		}
		if tried == mostCompressed {
			f.cut = true
			return
		}
		name := inflate.Magic(text[k:])
		coding := name
		if name == "zlib" {
			coding = "deflate"
		}
		var err error
		f.out, err = inflate.Append(f.out[:0], coding, text[k:], f.room, f.caps.Ratio)
		capped := errors.Is(err, inflate.ErrSize) || errors.Is(err, inflate.ErrRatio)
		f.give(name, k, len(text), f.out, capped)
		at = k + 2
	}
}

// nextMagic returns where the next magic begins, from i on, or -1. That of zlib
// is looked for where its second byte cannot be text, or at the start.
func (f *finder) nextMagic(text []byte, i int) int {
	if i == 0 && inflate.Magic(text) != "" {
		return 0
	}
	best := -1
	for _, m := range magics {
		for from := i; from < len(text); {
			k := bytes.IndexByte(text[from+1:], m[1])
			if k < 0 || best >= 0 && from+k > best {
				break
			}
			if from += k; text[from] == m[0] && inflate.Magic(text[from:]) != "" {
				best = from
				break
			}
			from++
		}
	}
	return best
}

var magics = [][]byte{gzipMagic, zstdMagic, {0x78, 0x9c}, {0x78, 0xda}}
