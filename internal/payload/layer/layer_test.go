package layer

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"mime/quotedprintable"
	"net/url"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// token is what is hidden: twelve bytes, as little as a run may hold.
const token = "tok_9Xq2LmZ7"

var roomy = Caps{Ratio: 200, Bytes: 16 << 20}

// A wrapping hides a text.
type wrapping struct {
	name string
	wrap func(string) string
}

func quotedJSON(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

func numbered(format string) func(string) string {
	return func(s string) string {
		var b strings.Builder
		for _, c := range []byte(s) {
			fmt.Fprintf(&b, format, c)
		}
		return b.String()
	}
}

func wrapAt(width int, sep string, s string) string {
	var lines []string
	for ; len(s) > width; s = s[width:] {
		lines = append(lines, s[:width])
	}
	return strings.Join(append(lines, s), sep)
}

func gzipped(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write([]byte(s))
	w.Close()
	return b.String()
}

func zlibbed(s string) string {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	w.Write([]byte(s))
	w.Close()
	return b.String()
}

func zstded(s string) string {
	w, _ := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	return string(w.EncodeAll([]byte(s), nil))
}

func qp(s string) string {
	var b strings.Builder
	w := quotedprintable.NewWriter(&b)
	w.Write([]byte("id=" + s + "="))
	w.Close()
	return b.String()
}

func std64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
func url64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
func hexed(s string) string { return hex.EncodeToString([]byte(s)) }
func std32(s string) string { return base32.StdEncoding.EncodeToString([]byte(s)) }

var filler = strings.Repeat("Ordinary words that stand around it. ", 4)

var wrappings = []wrapping{
	{"base64", std64},
	{"base64 unpadded", func(s string) string { return strings.TrimRight(std64(s), "=") }},
	{"base64url", url64},
	{"base64 with much around", func(s string) string { return std64(filler + s + filler) }},
	{"base64 behind a path", func(s string) string { return "/v1/upload/" + url64(s) }},
	{"base64 behind token-", func(s string) string { return "token-" + std64(s) }},
	{"base64 behind one letter", func(s string) string { return "x" + std64(s) }},
	{"base64 behind two letters", func(s string) string { return "xy" + std64(s) }},
	{"base64 behind three letters", func(s string) string { return "xyz" + std64(s) }},
	{"base64 in MIME lines", func(s string) string { return wrapAt(76, "\r\n", std64(filler+s+filler)) }},
	{"base64 in indented lines", func(s string) string { return wrapAt(64, "\n    ", std64(filler+s+filler)) + "\n" }},
	{"base64 in lines with \\n", func(s string) string { return quotedJSON(wrapAt(76, "\n", std64(filler+s+filler))) }},
	{"base64 with \\/", func(s string) string { return strings.ReplaceAll(std64("???>>>"+s+"???>>>???"), "/", `\/`) }},
	{"base64 glued", func(s string) string { return std64("first:"+s) + std64("second, of another length") }},
	{"base64 glued unpadded", func(s string) string { return url64(filler+"x") + url64(s+" and so on") }},
	{"base64 of binary with text in it", func(s string) string { return std64("\x08\x01\x12\x0c" + s + "\x1a\xff\xfe\x00\x01\x02") }},
	{"base64 of utf16", func(s string) string { return std64(strings.Join(strings.Split("e "+s+" ", ""), "\x00") + "\x00") }},
	{"hex", hexed},
	{"hex upper", func(s string) string { return strings.ToUpper(hexed(s)) }},
	{"hex behind a digit", func(s string) string { return "a" + hexed(s) }},
	{"hex behind 0x", func(s string) string { return "0x" + hexed(s) }},
	{"hex with colons", func(s string) string { return "at " + wrapAt(2, ":", hexed(s)) }},
	{"hex with spaces", func(s string) string { return "dump: " + wrapAt(2, " ", strings.ToUpper(hexed(s))) + " end" }},
	{"hex with dashes", func(s string) string { return wrapAt(2, "-", hexed(s)) }},
	{"hex in 0x41, 0x42", numbered("0x%02x, ")},
	{"hex in 0X41,0X42", numbered("0X%02X,")},
	{`hex in \x41`, numbered(`\x%02x`)},
	{"base32", std32},
	{"base32 lower, unpadded", func(s string) string { return strings.ToLower(strings.TrimRight(std32(s), "=")) }},
	{"base32 behind letters", func(s string) string { return "ABC" + std32(s) }},
	{"percent", numbered("%%%02X")},
	{"percent of some", func(s string) string { return "q=" + strings.ReplaceAll(url.QueryEscape(s), "_", "%5f") }},
	{"percent twice", func(s string) string { return strings.ReplaceAll(numbered("%%%02x")(s), "%", "%25") }},
	{"percent u", numbered("%%u%04x")},
	{"JSON string", func(s string) string { return quotedJSON("line\n" + s + "\t\"x\"") }},
	{"JSON unicode", numbered(`\u%04x`)},
	{"octal", numbered(`\%03o`)},
	{"escape of a code point", numbered(`\u{%x}`)},
	{"Markdown", func(s string) string { return strings.ReplaceAll(s, "_", `\_`) }},
	{"shell continuation", func(s string) string { return s[:5] + "\\\n" + s[5:] }},
	{"entities decimal", numbered("&#%d;")},
	{"entities hexadecimal", numbered("&#x%X;")},
	{"entities without semicolon", numbered("&#%d")},
	{"entities named", func(s string) string { return html.EscapeString("<b>") + strings.ReplaceAll(s, "_", "&lowbar;") }},
	{"quoted-printable", qp},
	{"quoted-printable, all", numbered("=%02X")},
	{"quoted-printable, broken", func(s string) string { return "the key is " + s[:6] + "=\r\n" + s[6:] }},
	{"gzip", gzipped},
	{"gzip behind text", func(s string) string { return "payload: " + gzipped(s) }},
	{"zlib", zlibbed},
	{"zstd", zstded},
	{"base64 of gzip behind a prefix", func(s string) string { return "v1/data-" + url64(gzipped(s)) }},
	{"base64 of zlib behind a prefix", func(s string) string { return "data-" + url64(zlibbed(s)) }},
	{"hex of gzip", func(s string) string { return hexed(gzipped(s)) }},
	{"utf16", func(s string) string { return strings.Join(strings.Split(s+" ", ""), "\x00") + "\x00" }},
}

// binary wrappings cannot stand in those that want text.
var (
	binary    = set("gzip", "gzip behind text", "zlib", "zstd")
	wantsText = set("base64 of utf16", "utf16", "percent u", "JSON string", "JSON unicode", "escape of a code point",
		"entities decimal", "entities hexadecimal", "entities without semicolon", "entities named",
		"shell continuation", "quoted-printable", "quoted-printable, broken")
)

func set(names ...string) map[string]bool {
	m := map[string]bool{}
	for _, n := range names {
		m[n] = true
	}
	return m
}

// opens reports whether want stands in text or in what it holds.
func opens(text []byte, want string, depth int) bool {
	if bytes.Contains(text, []byte(want)) {
		return true
	}
	if depth == 0 {
		return false
	}
	found := false
	Find(text, roomy, func(l Layer) {
		if !found {
			found = opens(bytes.Clone(l.Text), want, depth-1)
		}
	})
	return found
}

func TestEveryWrappingIsOpened(t *testing.T) {
	for _, w := range wrappings {
		in := w.wrap(token)
		for _, around := range []string{"%s", "some text %s and more", "{\"key\":\"%s\"}", "k=%s\n"} {
			in := fmt.Sprintf(around, in)
			if !opens([]byte(in), token, 4) {
				t.Errorf("%s: not found in %q", w.name, in)
			}
		}
	}
}

func TestTwoWrappingsAreOpened(t *testing.T) {
	for _, a := range wrappings {
		for _, b := range wrappings {
			if binary[a.name] && wantsText[b.name] {
				continue
			}
			if in := b.wrap(a.wrap(token)); !opens([]byte(in), token, 6) {
				t.Errorf("%s in %s: not found in %q", a.name, b.name, in)
			}
		}
	}
}

func TestReplacingTheRunRemovesTheContent(t *testing.T) {
	for _, w := range wrappings {
		in := []byte("before " + w.wrap(token) + " after")
		for range 20 {
			start := -1
			var end int
			Find(in, roomy, func(l Layer) {
				if start < 0 && opens(bytes.Clone(l.Text), token, 5) {
					start, end = l.Start, l.End
				}
			})
			if start < 0 {
				break
			}
			in = append(append(bytes.Clone(in[:start]), "***"...), in[end:]...)
		}
		if opens(in, token, 5) {
			t.Errorf("%s: still there in %q", w.name, in)
		}
		if !bytes.HasPrefix(in, []byte("before ")) {
			t.Errorf("%s: what stood before is gone: %q", w.name, in)
		}
	}
}
