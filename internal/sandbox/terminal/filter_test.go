package terminal

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

func filtered(s string) string {
	var f Filter
	return string(f.Append(nil, []byte(s)))
}

func TestWhatDrawsPassesAsItIs(t *testing.T) {
	for _, s := range []string{
		"plain text\r\n\ttab\b\a\v\f\x00\x7f", "grün – 日本語 🎉 e\u0301 \u00a0", "\x0eqqq\x0f",
		"\x1b[31;1mred\x1b[0m\x1b[38;2;1;2;3m\x1b[38:2::1:2:3m\x1b[4:3m\x1b[58;5;1m\x1b[m",
		"\x1b[H\x1b[2J\x1b[10;20H\x1b[5A\x1b[K\x1b[1P\x1b[3L\x1b[2M\x1b[4X\x1b[3@\x1b[2S\x1b[T\x1b[5d\x1b[7G\x1b[3g\x1b[2b\x1b[1;24r\x1b[s\x1b[u\x1b[3J",
		"\x1b7\x1b8\x1b=\x1b>\x1bM\x1bD\x1bE\x1bH\x1bc\x1b(0\x1b(B\x1b)A\x1b#8\x1b(%5",
		"\x1b[?1049h\x1b[?25l\x1b[?1h\x1b[?2004h\x1b[?1000;1002;1006h\x1b[?1004h\x1b[?2026h\x1b[?2026l\x1b[?7l\x1b[?12;25h\x1b[4h\x1b[4l",
		"\x1b[c\x1b[>c\x1b[=c\x1b[5n\x1b[6n\x1b[?6n\x1b[?996n\x1b[?2026$p\x1b[?u\x1b[>q\x1b[14t\x1b[16t\x1b[18t\x1b[22;0;0t\x1b[23;0;0t",
		"\x1b[>1u\x1b[<u\x1b[=1;1u\x1b[>4;2m\x1b[>4m\x1b[?4m\x1b[2 q\x1b[!p\x1b[#{\x1b[#}\x1b[1;1;5;5${",
		"\x1b]0;title – ü\a\x1b]2;t\x1b\\\x1b]11;?\a\x1b]10;#ffffff\x1b\\\x1b]4;1;rgb:ff/00/00;2;?\a\x1b]104\a\x1b]112\x1b\\\x1b]9;4;1;50\a\x1b]9;4;0\a",
	} {
		if got := filtered(s); got != s {
			t.Errorf("%q\nbecame\n%q", s, got)
		}
	}
}

func TestWhatActsIsHeldBack(t *testing.T) {
	for kind, list := range map[string][]string{
		"clipboard":    {"\x1b]52;c;aGk=\a", "\x1b]52;c;?\x1b\\", "\x1b]5522;type=read\x1b\\", "\x1b]52;c;" + strings.Repeat("A", 1<<20) + "\a"},
		"link":         {"\x1b]8;;https://evil.example\x1b\\", "\x1b]8;;\a", "\x1b]8;id=1;file:///etc/passwd\a"},
		"folder":       {"\x1b]7;file://host/tmp\a"},
		"notification": {"\x1b]9;hello\a", "\x1b]9;4;x\a", "\x1b]9;3;GuiMacro\a", "\x1b]777;notify;a;b\a", "\x1b]99;;x\x1b\\"},
		"report":       {"\x1b[21t", "\x1b[20t", "\x1b[021t", "\x1b[21;0t", "\x1b[1;1;1;1;5;5*y", "\x05", "\x1b[?15n", "\x1b[?63;1n", "\x1b[7n", "\x1b[1$w", "\x1b[1*z", "\x1b[1#y", "\x1b[2$u"},
		"window":       {"\x1b[2t", "\x1b[3;0;0t", "\x1b[8;10;10t", "\x1b[9;1t", "\x1b[t", "\x1b[99t"},
		"printing":     {"\x1b[5i", "\x1b[4i", "\x1b[i"},
		"C1 control":   {"\u009b", "\u009d", "\u0090", "\u0085", "\u009c"},
		"string":       {"\x1bP$qm\x1b\\", "\x1bP+q544e\x1b\\", "\x1bPtmux;\x1b\x1b]52;c;x\a\x1b\\", "\x1b_Ga=q\x1b\\", "\x1b^pm\x1b\\", "\x1bXsos\x1b\\", "\x1bktitle\x1b\\", "\x1bP" + strings.Repeat("q", 1<<20) + "\x1b\\"},
		"other": {"\x1b]1337;File=:x\a", "\x1b]633;E;rm\a", "\x1b]5113;x\a", "\x1b]133;A\a", "\x1b]0;a\nb\a", "\x1b]2;\u009b21t\a", "\x1b]11;\x7f\a", "\x1b]\a", "\x1b];x\a", "\x1b]l\a", "\x1b]52\x00;c;x\a",
			"\x1b%@", "\x1b%G", "\x1b F", "\x1b G", "\x1b[?2l", "\x1b[?38h", "\x1b[?46h", "\x1b[?1049;2h", "\x1b[2h", "\x1b[12l", "\x1b[62;1\"p", "\x1b[>0t", "\x1b[x", "\x1b[y", "\x1b[1'w", "\x1bV", "\x1b\\",
			"\x1b]R", "\x1b]P0ff0000"},
		"malformed": {"\x1b[1 1m", "\x1b[1?m", "\x1b[ !p", "\x1b[" + strings.Repeat("1;", 500) + "m", "\x1b]2;" + strings.Repeat("x", 2000) + "\a", "\x1b[1\x18", "\x1b\x1a", "\x1b[\u00fc"[:2] + "\x18"},
	} {
		for _, s := range list {
			var f Filter
			if got := string(f.Append(nil, []byte("a"+s+"b"))); got != "ab" {
				t.Errorf("%.60q: %.100q came out", s, got)
			}
			if f.Held()[kind] == 0 {
				t.Errorf("%.60q is counted as %v, not as %s", s, f.Held(), kind)
			}
		}
	}
}

func TestHalvesMakeNothingWhole(t *testing.T) {
	for in, want := range map[string]string{
		"\x1b\x1b[21t":                             "",
		"\x1b]2;a\x1b]52;c;x\ab":                   "b",                     // a command within one
		"\x1bPx\x1b]2;t\ab":                        "\x1b]2;t\ab",           // text that is broken off
		"\x1b[2\x1b[1m":                            "\x1b[1m",               //
		"\x1b[3\n1m":                               "\n\x1b[31m",            // a control within a sequence is obeyed at once
		"\x1b[2\x051t":                             "",                      //
		"\x1b[\x1b\x1b]52;c;x\a\x1b[1m":            "\x1b[1m",               //
		"\xc2\x1b[21t\x9b21t":                      "\ufffd\ufffd21t",       // the lead byte of one, the rest after what is held back
		"\x9b21t":                                  "\ufffd21t",             // C1 as such
		"\xe0\x82\x9b21t":                          "\ufffd\ufffd\ufffd21t", // overlong
		"\xf0\x82\x82\x9b":                         "\ufffd\ufffd\ufffd\ufffd",
		"\xed\xa0\x80\xff":                         "\ufffd\ufffd\ufffd\ufffd",
		"\x1b[\xc2\x9b21t":                         "21t",
		"\x1b]8;;http://x\x1b\\text\x1b]8;;\x1b\\": "text",
		"\u009b21t":                                "21t", "a\u009d52;c;x\u009c": "a52;c;x", // C1 in UTF-8: what follows is text
		"\x1b[31\u00e9m": "ém",
	} {
		if got := filtered(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func TestNothingWaitsButWhatIsIncomplete(t *testing.T) {
	var f Filter
	for _, s := range []struct{ in, out string }{
		{"$ ", "$ "}, {"\x1b", ""}, {"[3", ""}, {"1m", "\x1b[31m"}, {"\xe6\x97", ""}, {"\xa5x", "日x"}, {"\x1b]0;ti", ""}, {"tle", ""}, {"\a>", "\x1b]0;title\a>"}, {"\xc2", ""}, {"\xa0", "\u00a0"},
	} {
		if got := string(f.Append(nil, []byte(s.in))); got != s.out {
			t.Errorf("after %q came %q, want %q", s.in, got, s.out)
		}
	}
}

func TestResetUndoesWhatWasLeft(t *testing.T) {
	for in, want := range map[string]string{
		"plain \x1b[31mred\x1b[m": "",
		"\x1b[?1049h\x1b[?25l\x1b[?1000;1006h\x1b[?1000;1006l\x1b[?25h\x1b[?1049l": "",
		"\x1b[?1049h\x1b[?25l\x1b[?1003;1006h":                                     "\x1b[?1003l\x1b[?1006l\x1b[?1049l\x1b[?25h",
		"\x1b[?2004h\x1b=\x1b[?1h":                                                 "\x1b[?2004l\x1b[?1l\x1b>",
		"\x1b[31m":                                                                 "\x1b[m",
		"\x1b[>5u\x1b[?1049h":                                                      "\x1b[<16u\x1b[?1049l\x1b[<16u",
		"\x1b[>4;2m\x1b[2 q\x1b(0":                                                 "\x1b[>4m\x1b[0 q\x0f\x1b(B",
		"\x1b[?1003h\x1bc":                                                         "",
		"\x1b[?1003h\x1b[2;5r\x1b[4h\x1b[!p":                                       "\x1b[?1003l",
		"\x1b[2;5r":                                                                "\x1b7\x1b[r\x1b8",
		"\x1b]10;#000\a\x1b]11;#000\a\x1b]4;1;#000\x1b\\\x1b]12;?\a":               "\x1b]104\a\x1b]110\a\x1b]111\a",
		"\x1b]11;#000\a\x1b]111\a\x1b]4;1;red\a\x1b]104\a":                         "",
		"\x1b]19;red\a\x1b]5;0;red\a\x1b[20h":                                      "\x1b[20l\x1b]105\a\x1b]119\a",
		"half \x1b[3":                                                              "",
	} {
		var f Filter
		f.Append(nil, []byte(in))
		r := f.Reset()
		if string(r) != want {
			t.Errorf("after %q: %q, want %q", in, r, want)
		}
		if got := filtered(string(r)); got != string(r) {
			t.Errorf("the filter makes %q of its own %q", got, r)
		}
		if f.Append(nil, r); len(f.Reset()) != 0 {
			t.Errorf("%q leaves something", r)
		}
	}
}

func TestQuestionsAreKnown(t *testing.T) {
	for in, want := range map[string]bool{"\x1b[c": true, "\x1b[6n": true, "\x1b]11;?\a": true, "\x1b]11;#000\a": false, "\x1b[?u": true, "\x1b[18t": true, "\x1b[22t": false, "\x1b[1m": false, "\x1b[21t": false, "\x1b[?25$p": true, "\x1b[>q": true, "\x1bZ": true} {
		var f Filter
		f.Append(nil, []byte(in))
		if got := f.Asked(); got != want || f.Asked() {
			t.Errorf("%q asks: %v", in, got)
		}
	}
}

// sequence is an independent reader of what a terminal would see: whole
// sequences, and the rest of ESC.
var sequence = regexp.MustCompile(`\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(\x07|\x1b\\)|\x1b[ -/]*[0-~]|\x1b`)

// forbidden are sequences that must never come out.
var forbidden = regexp.MustCompile(`^(\x1b\](0*([789]|52|99|777|133|633|1337|5113|5522|22|50|51|66)(;|\x07|\x1b)|[^0-9])|\x1b[PX^_k]|\x1b\[[0-9;:]*i|\x1b\[0*(2[01]|[0-9])?([;:][0-9;:]*)?t|\x1b\[>.*t|\x1b\[.*\*[yz]|\x1b\[.*["'&)(%+,./-]|\x1b[% ]|\x1b\[\?(.*;)?0*(2|38|46)(;.*)?[hl]|\x1b$)`)

var progressOnly = regexp.MustCompile(`^\x1b\]9;4;[0-9;]*(\x07|\x1b\\)$`)

func check(t *testing.T, out []byte) {
	t.Helper()
	if !utf8.Valid(out) {
		t.Fatalf("%q is no UTF-8", out)
	}
	for _, r := range string(out) {
		if r >= 0x80 && r < 0xa0 || r == enq {
			t.Fatalf("%q has the control %U", out, r)
		}
	}
	for _, s := range sequence.FindAll(out, -1) {
		if forbidden.Match(s) && !progressOnly.Match(s) {
			t.Fatalf("%q came out, in %q", s, out)
		}
	}
}

// FuzzFilter holds the laws of the package documentation. cuts says where the
// input is split.
func FuzzFilter(f *testing.F) {
	for _, s := range []string{"a\x1b[31mb\x1b]52;c;x\ac", "\x1b]8;;x\x1b\\t", "\xc2\x9b21t\xe2\x82\xac", "\x1bP$q\x1b\\\x1b[21t", "\x1b]P1234567\x1b]R", "\x1b[?1049h\x1b[5i\x1b]0;x\x1b\\", "\x1b\x1b[\x18\x1b[6n\x05", "\x1b]9;4;1;2\a"} {
		f.Add([]byte(s), []byte{1, 2, 3})
	}
	f.Fuzz(func(t *testing.T, in, cuts []byte) {
		var whole, split Filter
		out := whole.Append(nil, in)
		var parts []byte
		for rest, i := in, 0; len(rest) > 0; i++ {
			n := 1
			if len(cuts) > 0 {
				n = min(int(cuts[i%len(cuts)]%9)+1, len(rest))
			}
			parts = split.Append(parts, rest[:n])
			rest = rest[n:]
		}
		if !bytes.Equal(out, parts) {
			t.Fatalf("%q whole gives %q, in parts %q", in, out, parts)
		}
		check(t, out)
		if again := []byte(filtered(string(out))); !bytes.Equal(again, out) {
			t.Fatalf("what passed, %q, becomes %q", out, again)
		}
		r := whole.Reset()
		check(t, append(out, r...))
		if len(out) > 3*len(in) {
			t.Fatalf("%d bytes became %d", len(in), len(out))
		}
	})
}

// FuzzTextPasses builds output of parts that draw, and demands that none is
// changed.
func FuzzTextPasses(f *testing.F) {
	f.Add("hello", uint8(3), uint16(31), "wörld")
	f.Fuzz(func(t *testing.T, a string, op uint8, n uint16, b string) {
		clean := func(s string) string {
			return strings.Map(func(r rune) rune {
				if r == esc || r == enq || r == utf8.RuneError || r >= 0x7f && r < 0xa0 {
					return 'x'
				}
				return r
			}, s)
		}
		finals := "ABCDEFGHJKLMPSTXdm"
		s := clean(a) + fmt.Sprintf("\x1b[%d%c\x1b[%d;%dH", n, finals[int(op)%len(finals)], n, op) + clean(b)
		if got := filtered(s); got != s {
			t.Fatalf("%q became %q", s, got)
		}
	})
}

func TestTheFilterAllocatesNothing(t *testing.T) {
	in := []byte(strings.Repeat("some text \x1b[31mred\x1b[m – ü \x1b]0;t\a\x1b]52;c;xxxx\a\x1b[?25l\x1b[?25h\r\n", 50))
	dst := make([]byte, 0, len(in))
	var f Filter
	f.Append(dst, in)
	if n := testing.AllocsPerRun(100, func() { f.Append(dst[:0], in) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkFilter(b *testing.B) {
	src, err := os.ReadFile("filter.go")
	if err != nil {
		b.Fatal(err)
	}
	plain := bytes.Repeat(src, 8)
	for name, in := range map[string][]byte{
		"plain": plain, "copy": plain,
		"utf8":   []byte(strings.Repeat("日本語のテキスト, grün und – so weiter\r\n", 2000)),
		"colour": []byte(strings.Repeat("\x1b[38;5;12mword\x1b[0m text and more text\x1b[K\r\n", 2000)),
		"held":   []byte("\x1b]52;c;" + strings.Repeat("A", 100<<10) + "\a"),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(in)))
			dst := make([]byte, 0, len(in))
			var f Filter
			for b.Loop() {
				if name == "copy" {
					dst = append(dst[:0], in...)
					continue
				}
				dst = f.Append(dst[:0], in)
			}
		})
	}
}
