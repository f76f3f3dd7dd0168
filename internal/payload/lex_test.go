package payload

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// tokensOf reads s with a decoder of another house: the strings and numbers,
// unquoted, that are parts; nil and false if it is no JSON.
func tokensOf(s []byte) (texts []string, ok bool) {
	d := jsontext.NewDecoder(bytes.NewBuffer(s), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	for {
		switch d.PeekKind() {
		case '"':
			depth := d.StackDepth()
			kind, n := d.StackIndex(depth)
			t, err := d.ReadToken()
			if err != nil {
				return nil, false
			}
			if v := t.String(); v != "" || depth > 0 && kind == '{' && n%2 == 0 {
				texts = append(texts, v)
			}
		case '0':
			depth := d.StackDepth()
			v, err := d.ReadValue()
			if err != nil {
				return nil, false
			}
			if len(v) >= shortNumber || depth == 0 {
				texts = append(texts, string(v))
			}
		default:
			if _, err := d.ReadToken(); err != nil {
				return texts, err == io.EOF && d.StackDepth() == 0
			}
		}
	}
}

func sameAsOthers(t *testing.T, s []byte) {
	t.Helper()
	want, ok := tokensOf(s)
	c := newContent(Limits{}, "body")
	defer c.Release()
	if got := c.readJSON(s, 0, c.addDoc(doc{kind: bodyDoc}), root, jsonForm, true); got != ok {
		t.Fatalf("%q: JSON %v, by others %v", s, got, ok)
	}
	if !ok {
		if len(c.parts)+len(c.nodes)+len(c.Text)+len(c.runs) > 0 {
			t.Fatalf("%q is no JSON and left %d parts", s, len(c.parts))
		}
		return
	}
	checkContent(t, c)
	var got []string
	for _, p := range c.parts {
		got = append(got, string(c.Text[p.start:p.end]))
	}
	// Of invalid UTF-8 each byte is one U+FFFD to them, a stretch is to us.
	if !slices.EqualFunc(got, want, func(a, b string) bool { return squeeze(a) == squeeze(b) }) {
		t.Fatalf("%q holds %q, by others %q", s, got, want)
	}
}

func squeeze(s string) string {
	for strings.Contains(s, "\uFFFD\uFFFD") {
		s = strings.ReplaceAll(s, "\uFFFD\uFFFD", "\uFFFD")
	}
	return s
}

var jsonTexts = []string{
	``, ` `, `1`, `-0`, `01`, `-`, `1.`, `.5`, `1e`, `1e+`, `1E-07`, `1.50e3`, `-1.5`, `1 2`, `1true`, `truefalse`, `nulll`, `nul`, `"a""b"`, `{}{}`, `[][`,
	`{}`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{"a" : 1 , "a":2}`, `{"a":1 "b":2}`, `{1:2}`, `{"a"::1}`, `{"a":1]`, `[1}`, `[1,]`, `[,1]`, `[1 2]`, `[1,,2]`, `,1`, `1,2`, `:`, `]`, `}`,
	`"`, `"\`, `"\"`, `"\u12"`, `"\u00e9\ud83d\ude00\ud83d\u0041\udc00"`, `"\x41"`, `"\uD83D`, "\"a\tb\"", "\"a\x1fb\"", "\"a\x7fb\"", `[1` + "\x1f" + `]`, "[\"\xff\xfe\"]", "\"abcdefg\xff\xc3\"", "\"abcdefgh\xe2\x82\"", `"12345678\"1234567\\"`,
	"[\r\n\t 1]", "[\v1]", "[\u00a01]", `[[[],{}],{"":""},"",{"":[""]}]`, `{"a":{"b":[{"c":123456}]},"d":1234567}`, `"a" "b" 123456 null "c"`,
	`[123456,-1234.5e-10,1e400]`, `{"a":"b\nc","d\n":"\/\b\f\r\t"}`, `[true,false,null,tru]`, `[nan]`, `[Infinity]`, `'a'`, `//a`, `[1]/**/`,
}

func TestJSONIsWhatOthersTakeForIt(t *testing.T) {
	for _, s := range jsonTexts {
		sameAsOthers(t, []byte(s))
		for i := range len(s) {
			sameAsOthers(t, []byte(s[:i]))
			sameAsOthers(t, []byte(s[:i]+s[i+1:]))
		}
	}
	for _, n := range []int{deepest - 1, deepest, deepest + 1} {
		sameAsOthers(t, []byte(strings.Repeat("[", n)+strings.Repeat("]", n)))
		sameAsOthers(t, []byte(strings.Repeat(`{"a":`, n)+"1"+strings.Repeat("}", n)))
	}
	for n := range 40 {
		for k := range n {
			for _, b := range []string{`"`, `\\`, `\"`, `\n`, `\`, "\n", "é", "\xff", "\x00"} {
				s := strings.Repeat("x", n)
				sameAsOthers(t, fmt.Appendf(nil, `["%s%s%s","y"]`, s[:k], b, s[k:]))
			}
		}
	}
}

func FuzzJSON(f *testing.F) {
	for _, s := range jsonTexts {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, s []byte) {
		if len(s) < 64<<10 && !bytes.HasPrefix(s, bom) {
			sameAsOthers(t, s)
		}
	})
}
