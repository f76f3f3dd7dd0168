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
	"unicode/utf16"

	"github.com/klauspost/compress/zstd"
)

// token is what is hidden: twelve bytes, as little as a run may hold.
const token = "tok_9Xq2LmZ7"

var roomy = Caps{Ratio: 200, Bytes: 16 << 20}

// A wrapping hides a text.
type wrapping struct {
	name string
	wrap func(string) string
	is   trait
}

// Traits say which wrappings cannot stand in which.
type trait int

const (
	makesBinary trait = 1 << iota // its output is no text
	needsText                     // its input must be text
	makesOther                    // its output is not ASCII
	needsASCII                    // its input must be ASCII
	fragile                       // its output cannot be broken or cut anywhere
	breaks                        // it does that
	short                         // it does not reach over spaces
	leads                         // its output is known only where a run begins
	prepends                      // it puts something in front
	wantsASCII                    // at an odd alignment only ASCII is seen
)

func quotedJSON(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// numbered writes each byte, coded each code point, units each unit of UTF-16.
func numbered(format string) func(string) string {
	return func(s string) string {
		var b strings.Builder
		for _, c := range []byte(s) {
			fmt.Fprintf(&b, format, c)
		}
		return b.String()
	}
}

func coded(format string) func(string) string {
	return func(s string) string {
		var b strings.Builder
		for _, r := range s {
			fmt.Fprintf(&b, format, r)
		}
		return b.String()
	}
}

func units(format string) func(string) string {
	return func(s string) string {
		var b strings.Builder
		for _, u := range utf16.Encode([]rune(s)) {
			fmt.Fprintf(&b, format, u)
		}
		return b.String()
	}
}

func shift(from, to, at rune) func(string) string {
	return func(s string) string {
		return strings.Map(func(r rune) rune {
			if from <= r && r <= to {
				return at + r - from
			}
			return r
		}, s)
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
	{"base64", std64, 0},
	{"base64 unpadded", func(s string) string { return strings.TrimRight(std64(s), "=") }, 0},
	{"base64url", url64, 0},
	{"base64 with much around", func(s string) string { return std64(filler + s + filler) }, prepends},
	{"base64 behind a path", func(s string) string { return "/v1/upload/" + url64(s) }, 0},
	{"base64 behind token-", func(s string) string { return "token-" + std64(s) }, 0},
	{"base64 behind one letter", func(s string) string { return "x" + std64(s) }, wantsASCII},
	{"base64 behind two letters", func(s string) string { return "xy" + std64(s) }, wantsASCII},
	{"base64 behind three letters", func(s string) string { return "xyz" + std64(s) }, wantsASCII},
	{"base64 in MIME lines", func(s string) string { return wrapAt(76, "\r\n", std64(filler+s+filler)) }, prepends},
	{"base64 in indented lines", func(s string) string { return wrapAt(64, "\n    ", std64(filler+s+filler)) + "\n" }, prepends},
	{"base64 in lines with \\n", func(s string) string { return quotedJSON(wrapAt(76, "\n", std64(filler+s+filler))) }, prepends},
	{"base64 with \\/", func(s string) string { return strings.ReplaceAll(std64("???>>>"+s+"???>>>???"), "/", `\/`) }, 0},
	{"base64 glued", func(s string) string { return std64("first:"+s) + std64("second, of another length") }, prepends},
	{"base64 glued unpadded", func(s string) string { return url64(filler+"x") + url64(s+" and so on") }, prepends | wantsASCII},
	{"base64 of binary with text in it", func(s string) string { return std64("\x08\x01\x12\x0c" + s + "\x1a\xff\xfe\x00\x01\x02") }, prepends | wantsASCII},
	{"base64 of utf16", func(s string) string { return std64(strings.Join(strings.Split("e "+s+" ", ""), "\x00") + "\x00") }, needsASCII},
	{"hex", hexed, 0},
	{"hex upper", func(s string) string { return strings.ToUpper(hexed(s)) }, 0},
	{"hex behind a digit", func(s string) string { return "a" + hexed(s) }, wantsASCII},
	{"hex behind 0x", func(s string) string { return "0x" + hexed(s) }, 0},
	{"hex in lines", func(s string) string { return wrapAt(60, "\n", hexed(filler+s+filler)) }, prepends | fragile},
	{"base32 in lines", func(s string) string { return wrapAt(76, "\n", std32(filler+s+filler)) }, prepends | fragile},
	{"hex with colons", func(s string) string { return "at " + wrapAt(2, ":", hexed(s)) }, fragile},
	{"hex with spaces", func(s string) string { return "dump: " + wrapAt(2, " ", strings.ToUpper(hexed(s))) + " end" }, fragile},
	{"hex with dashes", func(s string) string { return wrapAt(2, "-", hexed(s)) }, fragile},
	{"hex in 0x41, 0x42", numbered("0x%02x, "), fragile},
	{"hex in 0X41,0X42", numbered("0X%02X,"), fragile},
	{`hex in \x41`, numbered(`\x%02x`), fragile},
	{"base32", std32, 0},
	{"base32 lower, unpadded", func(s string) string { return strings.ToLower(strings.TrimRight(std32(s), "=")) }, 0},
	{"base32 behind letters", func(s string) string { return "ABC" + std32(s) }, wantsASCII},
	{"percent", numbered("%%%02X"), 0},
	{"percent of some", func(s string) string { return "q=" + strings.ReplaceAll(url.QueryEscape(s), "_", "%5f") }, 0},
	{"percent twice", func(s string) string { return strings.ReplaceAll(numbered("%%%02x")(s), "%", "%25") }, 0},
	{"percent u", units("%%u%04x"), needsText},
	{"JSON string", func(s string) string { return quotedJSON("line\n" + s + "\t\"x\"") }, needsText},
	{"JSON unicode", units(`\u%04x`), needsText},
	{"octal", numbered(`\%03o`), fragile},
	{"escape of a code point", coded(`\u{%x}`), needsText},
	{"Markdown", func(s string) string { return strings.ReplaceAll(s, "_", `\_`) }, fragile | needsText},
	{"shell continuation", func(s string) string { return s[:5] + "\\\n" + s[5:] }, needsText | breaks | fragile},
	{"entities decimal", coded("&#%d;"), needsText},
	{"entities hexadecimal", coded("&#x%X;"), needsText},
	{"entities without semicolon", coded("&#%d"), needsText},
	{"entities named", func(s string) string { return html.EscapeString("<b>") + strings.ReplaceAll(s, "_", "&lowbar;") }, needsText},
	{"quoted-printable", qp, 0},
	{"quoted-printable, all", numbered("=%02X"), 0},
	{"quoted-printable, broken", func(s string) string { return "the key is " + s[:6] + "=\r\n" + s[6:] }, needsText | breaks | fragile},
	{"gzip", gzipped, makesBinary},
	{"gzip behind text", func(s string) string { return "payload: " + gzipped(s) }, makesBinary},
	{"zlib", zlibbed, makesBinary | fragile | leads},
	{"zstd", zstded, makesBinary},
	{"base64 of gzip behind a prefix", func(s string) string { return "v1/data-" + url64(gzipped(s)) }, 0},
	{"base64 of zlib behind a prefix", func(s string) string { return "data-" + url64(zlibbed(s)) }, 0},
	{"hex of gzip", func(s string) string { return hexed(gzipped(s)) }, 0},
	{"zero-width characters", func(s string) string { return strings.Join(strings.Split(s, ""), "\u200b") }, needsText | makesOther | needsASCII | short},
	{"one soft hyphen", func(s string) string { return s[:4] + "\u00ad" + s[4:] }, needsText | makesOther | short | needsASCII},
	{"bidirectional controls", func(s string) string { return s[:7] + "\u202e\u202c" + s[7:] }, needsText | makesOther | short | needsASCII},
	{"full width", shift('!', '~', 0xff01), needsText | makesOther | needsASCII},
	{"mathematical bold", func(s string) string {
		return shift('0', '9', 0x1d7ce)(shift('A', 'Z', 0x1d400)(shift('a', 'z', 0x1d41a)(s)))
	}, needsText | needsASCII | makesOther},
	{"tags", shift(' ', '~', 0xe0020), needsText | makesOther | needsASCII | short},
	{"tags between letters", func(s string) string { return "a" + strings.Join(strings.Split(shift(' ', '~', 0xe0020)(s), ""), "z") }, needsText | makesOther | needsASCII | short},
	{"variation selectors", func(s string) string { return "\U0001f600" + shift(' ', '~', 0xe0100+' '-16)(s) }, needsText | makesOther | needsASCII | short},
	{"Cyrillic", strings.NewReplacer("o", "о", "X", "Х", "k", "к").Replace, needsText | makesOther | short},
	{"Greek", strings.NewReplacer("o", "ο", "X", "Χ", "Z", "Ζ").Replace, needsText | makesOther | short},
	{"combining marks", func(s string) string { return strings.Join(strings.Split(s, ""), "\u0301") }, needsText | makesOther | needsASCII | short},
	{"circled", shift('a', 'z', 0x24d0), needsText | makesOther | needsASCII | short},
	{"fullwidth underscore and dash", strings.NewReplacer("_", "＿", "t", "ｔ", "k", "ｋ").Replace, needsText | makesOther | short},
	{"utf16", func(s string) string { return strings.Join(strings.Split(s+" ", ""), "\x00") + "\x00" }, makesBinary | needsASCII},
}

// fits reports whether a can stand in b.
func fits(a, b trait) bool {
	switch {
	case a&makesBinary != 0 && b&(needsText|needsASCII) != 0,
		a&makesOther != 0 && b&(needsASCII|wantsASCII) != 0,
		a&fragile != 0 && b&(breaks|short) != 0,
		a&leads != 0 && b&prepends != 0:
		return false
	}
	return true
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
			if !fits(a.is, b.is) {
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
