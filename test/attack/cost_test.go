package attack

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"outvet/call"
	"outvet/internal/gate"
)

// A burden is a request made to cost: of about n bytes on the wire, or in what
// they stand for.
type burden struct {
	name string
	make func(n int) request
}

// filled makes a body of one text over and over.
func filled(name, ctype, unit string) burden {
	return burden{name, func(n int) request { return post(ctype, strings.Repeat(unit, n/len(unit)+1)) }}
}

// inside makes a body of JSON of one text over and over between two others.
func inside(name, before, unit, behind string) burden {
	return burden{name, func(n int) request {
		return post(asJSON, before+strings.TrimSuffix(strings.Repeat(unit, n/len(unit)+1), ",")+behind)
	}}
}

func noise(n int) string {
	r := rand.New(rand.NewPCG(9, 9))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return string(b)
}

func zeros(n int) string { return strings.Repeat("0", n) }

func coding(c string, f func(string) string, scale int) func(n int) request {
	return func(n int) request { return post(asJSON, f(zeros(n*scale)), [2]string{"Content-Encoding", c}) }
}

// until wraps a text until it has n bytes.
func until(text string, wrap func(string) string) func(n int) request {
	return func(n int) request {
		s := text
		for {
			next := wrap(s)
			if len(next) > n {
				return post(asJSON, `{"a":`+quoted(s)+`}`)
			}
			s = next
		}
	}
}

var burdens = []burden{
	{"nested arrays", func(n int) request { return post(asJSON, strings.Repeat("[", n/2)+strings.Repeat("]", n/2)) }},
	{"nested arrays, open", func(n int) request { return post(asJSON, strings.Repeat("[", n)) }},
	{"nested objects", func(n int) request {
		return post(asJSON, strings.Repeat(`{"a":`, n/6)+"1"+strings.Repeat("}", n/6))
	}},
	{"nested 9,000 with text", func(n int) request {
		one := strings.Repeat(`{"a":["x",`, 4500) + "1" + strings.Repeat("]}", 4500)
		return post(asJSON, "["+strings.TrimSuffix(strings.Repeat(one+",", n/len(one)+1), ",")+"]")
	}},
	filled("%25 as text", asText, "%25"),
	filled("%25 as form", asForm, "%25"),
	filled("%2525 as text", asText, "%252525"),
	{"base64 of base64", until("hello there, this is text", std64)},
	{"quoted of quoted", until("a", quoted)},
	{"escaped of escaped", until("x<", each("&#%d;"))},
	{"hex of hex", until("hello there, this is text", hexed)},
	inside("tiny numbers", "[", "1,", "1]"),
	inside("tiny strings", "[", `"a",`, "]"),
	inside("tiny tokens", "[", `"a1",`, "]"),
	inside("tiny arrays", "[", "[],", "]"),
	inside("tiny objects", "[", `{"a":"b1"},`, "]"),
	inside("one key", "{", `"k":"v1",`, "}"),
	{"many keys", func(n int) request {
		var b strings.Builder
		for i := 0; b.Len() < n; i++ {
			fmt.Fprintf(&b, `"k%d":"v%d",`, i, i)
		}
		return post(asJSON, "{"+strings.TrimSuffix(b.String(), ",")+"}")
	}},
	inside("short base64 in strings", "[", `"aGVsbG8gd29ybGQgaGVsbG8=",`, "]"),
	inside("JSON in strings", "[", `"{\"a\":\"b\"}",`, "]"),
	inside("nested JSON in strings", "[", `"{\"a\":\"{\\\"a\\\":\\\"[1]\\\"}\"}",`, "]"),
	inside("one string of quotes", `"`, `\"`, `"`),
	inside("one string of backslashes", `"`, `\\`, `"`),
	inside(`one string of \u`, `"`, `\u0041`, `"`),
	inside(`one string of \\u`, `"`, `\\u0041`, `"`),
	{"query of parameters", func(n int) request {
		return get(notes + "?" + strings.TrimSuffix(strings.Repeat("a=b1&", n/5), "&"))
	}},
	filled("form of parameters", asForm, "a=b1&"),
	filled("form of names", asForm, "a&"),
	filled("form of +", asForm, "a=+++&"),
	{"path of segments", func(n int) request { return get(notes + strings.Repeat("/a1", n/3)) }},
	{"cookies", func(n int) request { return get(notes, [2]string{"Cookie", strings.Repeat("a=b1; ", n/6)}) }},
	{"header lines", func(n int) request {
		r := get(notes)
		for i := range n / 16 {
			r.Header = append(r.Header, [2]string{fmt.Sprintf("X-A-%d", i%1000), "a1"})
		}
		return r
	}},
	{"parts", func(n int) request {
		one := "--X\r\nContent-Disposition: form-data; name=a\r\n\r\nb1\r\n"
		return post("multipart/form-data; boundary=X", strings.Repeat(one, n/len(one))+"--X--\r\n")
	}},
	filled("parts of nothing", "multipart/form-data; boundary=X", "--X\r\n"),
	filled("false delimiters", "multipart/form-data; boundary=X", "--Xa\r\n"),
	filled("delimiters without a line", "multipart/form-data; boundary=X", "--X"),
	{"parts in parts", func(n int) request {
		var b strings.Builder
		for i := 0; b.Len() < n; i++ {
			fmt.Fprintf(&b, "--B%d\r\nContent-Type: multipart/mixed; boundary=B%d\r\n\r\n", i, i+1)
		}
		return post("multipart/mixed; boundary=B0", b.String())
	}},
	filled("entities", asText, "&#65;"),
	filled("ampersands", asText, "&"),
	filled("entities, open", asText, "&#65"),
	filled("equals", asText, "=41"),
	filled("=", asText, "="),
	filled("backslashes", asText, `\`),
	filled("backslash u", asText, `\u`),
	filled("zero width", asText, "\u200b"),
	filled("zero width between", asText, "a\u200b"),
	filled("combining", asText, "a\u0301"),
	filled("tags", asText, "\U000e0041"),
	filled("Cyrillic", asText, "а "),
	filled("full-width", asText, "Ａ"),
	filled("hex", asText, "6a"),
	filled("hex with colons", asText, "6a:"),
	filled("base32", asText, "MFRGG"),
	filled("base64", asText, "aGVs"),
	filled("base64 in lines", asText, strings.Repeat("aGVs", 19)+"\n"),
	filled("dashes", asText, "-"),
	filled("spaces", asText, " "),
	filled("lines", asText, "\n"),
	filled("brackets as text", asText, "<"),
	filled("elements", asXML, "<a>"),
	filled("UTF-16", asText, "a\x00"),
	filled("zeros", asBytes, "\x00"),
	filled("broken UTF-8", asText, "\xff"),
	filled("half broken UTF-8", asText, "a\xff"),
	filled("gzip magic", asBytes, "\x1f\x8b\x08"),
	filled("zlib magic", asBytes, "\x78\x9c"),
	filled("zstd magic", asBytes, "\x28\xb5\x2f\xfd"),
	filled("H4sI", asText, "H4sIAAAA"),
	{"noise", func(n int) request { return post(asBytes, noise(n)) }},
	{"noise in base64", func(n int) request { return post(asJSON, `{"a":"`+std64(noise(n*3/4))+`"}`) }},
	{"noise in hex", func(n int) request { return post(asJSON, `{"a":"`+hexed(noise(n/2))+`"}`) }},
	{"words", func(n int) request { return post(asText, strings.Repeat("the quick brown fox jumps over ", n/31)) }},
	{"gzip bomb", coding("gzip", gzipped, 64)},
	{"deflate bomb", coding("deflate", zlibbed, 64)},
	{"br bomb", coding("br", brotlied, 64)},
	{"zstd bomb", coding("zstd", zstded, 64)},
	{"gzip of gzip bomb", coding("gzip, gzip", chain(gzipped, gzipped), 64)},
	{"gzip of JSON", func(n int) request {
		return post(asJSON, gzipped("["+strings.Repeat(`"a1",`, n/2)+`"a"]`), [2]string{"Content-Encoding", "gzip"})
	}},
	{"many codings", func(n int) request {
		s := zeros(n)
		for range 40 {
			s = gzipped(s)
		}
		return post(asJSON, s, [2]string{"Content-Encoding", strings.TrimSuffix(strings.Repeat("gzip,", 40), ",")})
	}},
	{"bomb in base64", func(n int) request { return post(asJSON, `{"a":"`+std64(gzipped(zeros(n*16)))+`"}`) }},
	{"small bombs in base64", func(n int) request {
		one := `"` + std64(gzipped(zeros(100_000))) + `",`
		return post(asJSON, "["+strings.Repeat(one, n/len(one)/8+1)+`""]`)
	}},
	{"gzip members", func(n int) request {
		return post(asJSON, strings.Repeat(gzipped("a"), n/25), [2]string{"Content-Encoding", "gzip"})
	}},
	{"stored gzip in gzip", func(n int) request {
		s := "hello"
		for len(s) < n {
			var b bytes.Buffer
			w, _ := gzip.NewWriterLevel(&b, gzip.NoCompression)
			w.Write([]byte(s + strings.Repeat("x", n/64)))
			w.Close()
			s = b.String()
		}
		return post(asBytes, s)
	}},
	filled("almost github", asText, "gh"+"p_"),
	filled("almost openai", asText, "s"+"k-"),
	filled("almost sk-ant", asText, "s"+"k-ant-api03-"),
	filled("almost PEM", asText, "-----BEGIN PRIV"+"ATE KEY-----"),
	filled("almost JWT", asText, "eyJ"),
	filled("almost JWT with dots", asText, "eyJhbGciOiJIUzI1NiJ9."),
	filled("almost URL", asText, "a://b:"),
	filled("almost AWS", asText, "AK"+"IA"),
	filled("passwords", asText, "password="),
	filled("passwords of words", asText, "password: hunter "),
	filled("tokens", asText, `token:"`),
	filled("secret names", asText, "secret_"),
	filled("bearer", asText, "Bearer "),
	filled("options", asText, "--token "),
	filled("netrc", asText, "machine a login b password "),
	filled("jwk", asText, `"d":"`),
	filled("curl", asText, "curl -u "),
	inside("fields named token", "[", `{"token":"abc"},`, "]"),
	inside("fields named password", "{", `"password":"password",`, "}"),
	inside("names and values", "[", `{"name":"API_KEY","value":"x"},`, "]"),
	filled("github tokens", asText, githubPAT+"\n"),
	inside("github tokens in fields", "[", quoted(githubPAT)+",", "]"),
	inside("halves of tokens", "[", quoted(githubPAT[:20])+","+quoted(githubPAT[20:])+",", "]"),
	filled("passwords that are", asText, assignment+"\n"),
	filled("known", asText, known+"\n"),
	{"k8s", func(n int) request {
		return post("application/yaml", strings.Repeat("apiVersion: v1\nkind: Secret\ndata:\n  a: aGVsbG8=\n", n/50))
	}},
}

// costly are burdens that are known to cost too much, tried only with -full.
var costly = map[string]string{
	"k8s":                 "each finding in a layer decodes the whole layer again: quadratic in time and memory",
	"stored gzip in gzip": "each layer is tried from each magic in it, until the limit of decoded text",
}

// spent is what a request cost.
type spent struct {
	took  time.Duration
	alloc uint64 // bytes, in sum
	sent  int
	call.Decision
}

func spend(t *testing.T, g *gate.Gate, r request) spent {
	t.Helper()
	n := len(r.Body) + len(r.URL)
	for _, h := range r.Header {
		n += len(h[0]) + len(h[1])
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	d := try(t, g, r)
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	return spent{took, after.TotalAlloc - before.TotalAlloc, n, d}
}

// TestCostIsLinear compares a burden with one four times as large. The bounds
// are generous, and only what takes long enough to be measured is compared.
func TestCostIsLinear(t *testing.T) {
	if raceEnabled {
		t.Skip("costs of the race detector are not ours")
	}
	g := newGate(t, "balanced")
	size := 128 << 10
	switch {
	case *full:
		size = 1 << 20
	case testing.Short():
		size = 32 << 10
	}
	const (
		most  = 12 // times as long for four times as much
		least = 60 * time.Millisecond
		slow  = 20 * time.Microsecond // per byte, whatever the machine does beside
	)
	for _, b := range burdens {
		if why, open := costly[b.name]; open && !*full {
			t.Logf("%s is left out: %s", b.name, why)
			continue
		}
		small, large := b.make(size), b.make(4*size)
		var one, four spent
		for i := range 6 {
			s, l := spend(t, g, small), spend(t, g, large)
			if i == 0 || s.took < one.took {
				one = s
			}
			if i == 0 || l.took < four.took {
				four = l
			}
			if four.took < most*max(one.took, least/most) {
				break
			}
		}
		if four.took > least && four.took > most*one.took {
			t.Errorf("%s: %v for %d KB, %v for %d KB", b.name, one.took, one.sent>>10, four.took, four.sent>>10)
		}
		if per := max(one.took, four.took) / time.Duration(max(four.sent, 4*size)); per > slow {
			t.Errorf("%s: %v for %d KB, %v for %d KB", b.name, one.took, one.sent>>10, four.took, four.sent>>10)
		}
		if four.alloc > 1<<30 {
			t.Errorf("%s: %d MB allocated for %d KB", b.name, four.alloc>>20, four.sent>>10)
		}
		if strings.Contains(say(four.Decision), "panic") {
			t.Errorf("%s: %s", b.name, say(four.Decision))
		}
		if testing.Verbose() {
			t.Logf("%-28s %6d KB %9.1f µs/KB ×%.1f %5d MB %.150s", b.name, four.sent>>10, float64(four.took.Nanoseconds())/1e3/float64(four.sent+1)*1024,
				float64(four.took)/float64(one.took), four.alloc>>20, summary(four.Decision))
		}
	}
}

// summary is say without the places.
func summary(d call.Decision) string {
	n := len(slices.DeleteFunc(slices.Clone(d.Findings), func(f call.Finding) bool { return !isSecret(f) }))
	s := fmt.Sprintf("%s by %s, %d secrets", d.Verdict, d.Rule, n)
	for _, u := range d.Uninspected {
		s += "; " + u.Part + ": " + u.Reason
	}
	return s
}
