package attack

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"encoding/ascii85"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"math/big"
	"mime/quotedprintable"
	"net/url"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

// A shape says what an encoding produces, and so where it can stand.
type shape uint8

const (
	printable shape = iota // ASCII without line breaks, if its input is
	broken                 // has line breaks
	unicoded               // has characters beyond ASCII
	binary                 // has any bytes
)

// An encoding hides a text.
type encoding struct {
	name string
	do   func(string) string
	shape
}

func std64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
func url64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
func hexed(s string) string { return hex.EncodeToString([]byte(s)) }
func std32(s string) string { return base32.StdEncoding.EncodeToString([]byte(s)) }

// each writes every byte by format.
func each(format string) func(string) string {
	return func(s string) string {
		var b strings.Builder
		for i := range len(s) {
			fmt.Fprintf(&b, format, s[i])
		}
		return b.String()
	}
}

func between(sep string) func(string) string {
	return func(s string) string { return strings.Join(strings.Split(s, ""), sep) }
}

// lines breaks s after every n bytes.
func lines(n int, sep, s string) string {
	var out []string
	for c := range slices.Chunk([]byte(s), n) {
		out = append(out, string(c))
	}
	return strings.Join(out, sep)
}

// shifted moves the printable ASCII characters from lo to hi to others.
func shifted(lo, hi, to rune) func(string) string {
	return func(s string) string {
		return strings.Map(func(r rune) rune {
			if r >= lo && r <= hi {
				return to + r - lo
			}
			return r
		}, s)
	}
}

// packed runs s through a compressor.
func packed(open func(io.Writer) (io.WriteCloser, error)) func(string) string {
	return func(s string) string {
		var b bytes.Buffer
		w, err := open(&b)
		if err == nil {
			_, err = io.WriteString(w, s)
		}
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			panic(err)
		}
		return b.String()
	}
}

var (
	gzipped  = packed(func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil })
	zlibbed  = packed(func(w io.Writer) (io.WriteCloser, error) { return zlib.NewWriter(w), nil })
	deflated = packed(func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, 6) })
	brotlied = packed(func(w io.Writer) (io.WriteCloser, error) { return brotli.NewWriter(w), nil })
	zstded   = packed(func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) })
)

func zipped(s string) string {
	return packed(func(out io.Writer) (io.WriteCloser, error) {
		z := zip.NewWriter(out)
		w, err := z.Create("note.txt")
		return closer{w, z}, err
	})(s)
}

func tarred(s string) string {
	return packed(func(out io.Writer) (io.WriteCloser, error) {
		w := tar.NewWriter(out)
		return closer{w, w}, w.WriteHeader(&tar.Header{Name: "note.txt", Mode: 0o600, Size: int64(len(s))})
	})(s)
}

// A closer writes to one and closes the other.
type closer struct {
	io.Writer
	io.Closer
}

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func inner(s string) string { q := quoted(s); return q[1 : len(q)-1] }

func qp(s string) string {
	return packed(func(w io.Writer) (io.WriteCloser, error) { return quotedprintable.NewWriter(w), nil })(s)
}

func utf16le(s string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = append(b, byte(u), byte(u>>8))
	}
	return string(b)
}

func utf16be(s string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = append(b, byte(u>>8), byte(u))
	}
	return string(b)
}

func utf32le(s string) string {
	var b []byte
	for _, r := range s {
		b = append(b, byte(r), byte(r>>8), byte(r>>16), 0)
	}
	return string(b)
}

func reversed(s string) string {
	b := []byte(s)
	slices.Reverse(b)
	return string(b)
}

func rot13(s string) string {
	return strings.Map(func(r rune) rune {
		switch l := r | 0x20; {
		case l >= 'a' && l <= 'm':
			return r + 13
		case l >= 'n' && l <= 'z':
			return r - 13
		}
		return r
	}, s)
}

func base58(s string) string {
	const digits = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
	n, m, base := new(big.Int).SetBytes([]byte(s)), new(big.Int), big.NewInt(58)
	var b []byte
	for n.Sign() > 0 {
		n.DivMod(n, base, m)
		b = append(b, digits[m.Int64()])
	}
	return reversed(string(b))
}

func base85(s string) string {
	return packed(func(w io.Writer) (io.WriteCloser, error) { return ascii85.NewEncoder(w), nil })(s)
}

// half hides every second character.
func half(hide func(string) string) func(string) string {
	return func(s string) string {
		var b strings.Builder
		for i := range len(s) {
			if i%2 == 0 {
				b.WriteString(hide(s[i : i+1]))
			} else {
				b.WriteByte(s[i])
			}
		}
		return b.String()
	}
}

func chain(fs ...func(string) string) func(string) string {
	return func(s string) string {
		for _, f := range fs {
			s = f(s)
		}
		return s
	}
}

func behind(prefix string, f func(string) string) func(string) string {
	return func(s string) string { return prefix + f(s) }
}

func after(prefix string, f func(string) string) func(string) string {
	return func(s string) string { return f(prefix + s) }
}

var cyrillic = strings.NewReplacer("a", "а", "c", "с", "e", "е", "o", "о", "p", "р", "x", "х", "A", "А", "B", "В",
	"E", "Е", "K", "К", "M", "М", "O", "О", "P", "Р", "C", "С", "T", "Т", "X", "Х", "I", "І", "s", "ѕ", "i", "і", "h", "һ").Replace

var greek = strings.NewReplacer("o", "ο", "A", "Α", "B", "Β", "E", "Ε", "Z", "Ζ", "H", "Η", "I", "Ι", "K", "Κ",
	"M", "Μ", "N", "Ν", "O", "Ο", "P", "Ρ", "T", "Τ", "X", "Χ").Replace

func same(s string) string { return s }

var encodings = []encoding{
	{"plain", same, printable},
	{"base64", std64, printable},
	{"base64 url", url64, printable},
	{"base64 unpadded", func(s string) string { return strings.TrimRight(std64(s), "=") }, printable},
	{"base64 76 CRLF", func(s string) string { return lines(76, "\r\n", std64(s)) }, broken},
	{"base64 64 LF", func(s string) string { return lines(64, "\n", std64(s)) }, broken},
	{"base64 20 LF", func(s string) string { return lines(20, "\n", std64(s)) }, broken},
	{"base64 32 space", func(s string) string { return lines(32, " ", std64(s)) }, printable},
	{"base64 after 1", after(":", std64), printable},
	{"base64 after 2", after("k:", std64), printable},
	{"base64 behind a", behind("a", std64), printable},
	{"base64 behind ab", behind("ab", std64), printable},
	{"base64 behind abc", behind("abc", std64), printable},
	{"base64 behind path", behind("v1/data/", url64), printable},
	{"base64 behind token-", behind("token-", url64), printable},
	{"data URI", behind("data:text/plain;base64,", std64), printable},
	{"base64 x2", chain(std64, std64), printable},
	{"base64 x3", chain(std64, std64, std64), printable},
	{"base64 x4", chain(std64, std64, url64, std64), printable},
	{"hex", hexed, printable},
	{"hex upper", chain(hexed, strings.ToUpper), printable},
	{"hex odd", behind("f", hexed), printable},
	{"hex :", func(s string) string { return lines(2, ":", hexed(s)) }, printable},
	{"hex -", func(s string) string { return lines(2, "-", hexed(s)) }, printable},
	{"hex space", func(s string) string { return lines(2, " ", hexed(s)) }, printable},
	{"hex 0x", each("0x%02x, "), printable},
	{"hex 64 LF", func(s string) string { return lines(64, "\n", hexed(s)) }, broken},
	{`\x`, each(`\x%02x`), printable},
	{"percent", each("%%%02X"), printable},
	{"percent lower", each("%%%02x"), printable},
	{"percent x2", chain(each("%%%02X"), url.QueryEscape), printable},
	{"percent x3", chain(each("%%%02X"), url.QueryEscape, url.QueryEscape), printable},
	{"percent half", half(each("%%%02X")), printable},
	{"percent u", each("%%u%04x"), printable},
	{`\u`, each(`\u%04x`), printable},
	{`\u half`, half(each(`\u%04X`)), printable},
	{`\u{}`, each(`\u{%x}`), printable},
	{"octal", each(`\%03o`), printable},
	{"entity decimal", each("&#%d;"), printable},
	{"entity hex", each("&#x%X;"), printable},
	{"entity zeros", each("&#%07d;"), printable},
	{"entity named", func(s string) string {
		return strings.NewReplacer("_", "&lowbar;", "-", "&hyphen;", ":", "&colon;", "=", "&equals;", "&", "&amp;", "+", "&plus;", "/", "&sol;").Replace(s)
	}, printable},
	{"entity escaped twice", chain(each("&#%d;"), html.EscapeString), printable},
	{"zero width space", between("\u200b"), unicoded},
	{"zero width joiner", between("\u200d"), unicoded},
	{"byte order marks", between("\ufeff"), unicoded},
	{"soft hyphen", between("\u00ad"), unicoded},
	{"word joiner", between("\u2060"), unicoded},
	{"combining grapheme joiner", between("\u034f"), unicoded},
	{"combining acute", between("\u0301"), unicoded},
	{"variation selectors", between("\ufe0f"), unicoded},
	{"bidi", between("\u202d"), unicoded},
	{"hangul filler", between("\u3164"), unicoded},
	{"cyrillic", cyrillic, unicoded},
	{"greek", greek, unicoded},
	{"full-width", shifted('!', '~', 0xff01), unicoded},
	{"bold", chain(shifted('a', 'z', 0x1d41a), shifted('A', 'Z', 0x1d400), shifted('0', '9', 0x1d7ce)), unicoded},
	{"monospace", chain(shifted('a', 'z', 0x1d68a), shifted('A', 'Z', 0x1d670), shifted('0', '9', 0x1d7f6)), unicoded},
	{"tags", shifted(' ', '~', 0xe0020), unicoded},
	{"tags behind emoji", behind("\U0001f600", shifted(' ', '~', 0xe0020)), unicoded},
	{"variation bytes", func(s string) string {
		return "\U0001f600" + strings.Map(func(r rune) rune {
			if r < 16 {
				return 0xfe00 + r
			}
			return 0xe0100 + r - 16
		}, s)
	}, unicoded},
	{"gzip base64", chain(gzipped, std64), printable},
	{"gzip base64 url behind", behind("blob-", chain(gzipped, url64)), printable},
	{"zlib base64", chain(zlibbed, std64), printable},
	{"zstd base64", chain(zstded, std64), printable},
	{"gzip hex", chain(gzipped, hexed), printable},
	{"gzip gzip base64", chain(gzipped, gzipped, std64), printable},
	{"gzip base64 gzip base64", chain(gzipped, std64, gzipped, std64), printable},
	{"base32", std32, printable},
	{"base32 lower", func(s string) string { return strings.ToLower(strings.TrimRight(std32(s), "=")) }, printable},
	{"quoted-printable", qp, broken},
	{"quoted-printable all", each("=%02X"), printable},
	{"base64 in percent", chain(std64, each("%%%02X")), printable},
	{"percent in base64", chain(each("%%%02x"), std64), printable},
	{"hex in base64", chain(hexed, std64), printable},
	{"base64 in hex", chain(std64, hexed), printable},
	{"base64 in base32", chain(std64, std32), printable},
	{"JSON in base64", chain(func(s string) string { return `{"a":[{"token":` + quoted(s) + `}]}` }, std64), printable},
	{`\u in base64`, chain(each(`\u%04x`), std64), printable},
	{"entity in percent", chain(each("&#%d;"), url.QueryEscape), printable},
	{"zero width in base64", chain(between("\u200b"), std64), printable},
	{"base64 with zero width", chain(std64, between("\u200b")), unicoded},
	{"base64 full-width", chain(std64, shifted('!', '~', 0xff01)), unicoded},
	{"utf16 in base64", chain(utf16le, std64), printable},
	{"utf16be in base64", chain(utf16be, std64), printable},
	{"JSON string", quoted, printable},
	{"JSON string x3", chain(quoted, quoted, quoted), printable},
	{"gzip", gzipped, binary},
	{"zlib", zlibbed, binary},
	{"zstd", zstded, binary},
	{"utf16 le", utf16le, binary},
	{"utf16 be", utf16be, binary},
	{"utf16 bom", behind("\xff\xfe", utf16le), binary},
	{"utf32", utf32le, binary},
	{"text before gzip", behind("report: ", gzipped), binary},

	// Nobody promises these.
	{"brotli base64", chain(brotlied, std64), printable},
	{"deflate base64", chain(deflated, std64), printable},
	{"base32 hex", func(s string) string { return base32.HexEncoding.EncodeToString([]byte(s)) }, printable},
	{"base58", base58, printable},
	{"base85", base85, printable},
	{"rot13", rot13, printable},
	{"reversed", reversed, printable},
	{"spaced", between(" "), printable},
	{"dotted", between("."), printable},
	{"concatenated", func(s string) string { return `"` + strings.Join([]string{s[:5], s[5:11], s[11:]}, `" + "`) + `"` }, printable},
	{"decimal codes", each("%d, "), printable},
	{"glued to letters", behind("x", same), printable},
	{"zip base64", chain(zipped, std64), printable},
	{"zip", zipped, binary},
	{"tar gzip base64", chain(tarred, gzipped, std64), printable},
	{"tar", tarred, binary},
	{"binary digits", each("%08b "), printable},
}
