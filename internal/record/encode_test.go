package record

import (
	"bytes"
	"encoding/json"
	"math"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"pgregory.net/rapid"

	"outvet/call"
)

// canonical is a canonicaliser for any JSON, written from RFC 8785 alone and
// for clearness: the encoder of records must agree with it.
func canonical(t interface{ Fatal(...any) }, src []byte) []byte {
	dec := json.NewDecoder(bytes.NewReader(src))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		t.Fatal(err, string(src))
	}
	return appendCanonical(nil, v)
}

func appendCanonical(b []byte, v any) []byte {
	switch v := v.(type) {
	case map[string]any:
		var keys []string
		for k := range v {
			keys = append(keys, k)
		}
		sort.Slice(keys, func(i, j int) bool {
			a, c := utf16.Encode([]rune(keys[i])), utf16.Encode([]rune(keys[j]))
			for k := 0; k < len(a) && k < len(c); k++ {
				if a[k] != c[k] {
					return a[k] < c[k]
				}
			}
			return len(a) < len(c)
		})
		b = append(b, '{')
		for i, k := range keys {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendCanonical(b, k), ':')
			b = appendCanonical(b, v[k])
		}
		return append(b, '}')
	case []any:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendCanonical(b, e)
		}
		return append(b, ']')
	case string:
		b = append(b, '"')
		for _, r := range v {
			switch {
			case r == '"' || r == '\\':
				b = append(b, '\\', byte(r))
			case strings.ContainsRune("\b\t\n\f\r", r):
				b = append(b, '\\', "btn_fr"[r-8])
			case r < 0x20:
				b = append(b, []byte(`\u00`+strconv.FormatInt(int64(r)+0x100, 16)[1:])...)
			default:
				b = append(b, string(r)...)
			}
		}
		return append(b, '"')
	case json.Number:
		f, _ := strconv.ParseFloat(string(v), 64)
		return append(b, ecma(f)...)
	case bool:
		return strconv.AppendBool(b, v)
	}
	return append(b, "null"...)
}

// ecma prints a number by the steps of ECMA-262, Number::toString.
func ecma(f float64) string {
	if f == 0 {
		return "0"
	}
	if f < 0 {
		return "-" + ecma(-f)
	}
	e := strconv.FormatFloat(f, 'e', -1, 64)
	digits, exp, _ := strings.Cut(e, "e")
	digits = strings.Replace(digits, ".", "", 1)
	x, _ := strconv.Atoi(exp)
	k, n := len(digits), x+1
	switch {
	case k <= n && n <= 21:
		return digits + strings.Repeat("0", n-k)
	case 0 < n && n <= 21:
		return digits[:n] + "." + digits[n:]
	case -6 < n && n <= 0:
		return "0." + strings.Repeat("0", -n) + digits
	}
	sign := "+"
	if n-1 < 0 {
		sign = "-"
	}
	exp = sign + strconv.Itoa(int(math.Abs(float64(n-1))))
	if k == 1 {
		return digits + "e" + exp
	}
	return digits[:1] + "." + digits[1:] + "e" + exp
}

func anyRecord() *rapid.Generator[*call.Record] {
	return rapid.Custom(func(t *rapid.T) *call.Record {
		s := func(name string) string {
			return rapid.OneOf(rapid.Just(""), rapid.String(), rapid.SampledFrom([]string{"<&>\u2028\u2029", "\x00\x01\x1f\x7f", "\xff\xfea\xc3", "\"\\/\b\f\n\r\t", "😀é", "\ufffd"})).Draw(t, name)
		}
		n := func(name string) int {
			return rapid.OneOf(rapid.Just(0), rapid.Int(), rapid.SampledFrom([]int{1, -1, 1 << 53, 1<<53 + 1, -1 << 53, -1<<53 - 1, math.MaxInt64, math.MinInt64})).Draw(t, name)
		}
		flag := func(name string) bool { return rapid.Bool().Draw(t, name) }
		attr := func(name string) call.Attr {
			return call.Attr{Value: s(name), Mark: call.Mark(rapid.IntRange(0, 2).Draw(t, name))}
		}
		count := func(name string) int { return rapid.IntRange(0, 3).Draw(t, name) }
		place := func() call.Place {
			return call.Place{Part: s("part"), Start: n("start"), End: n("end"), From: count("from"), To: count("to")}
		}
		r := &call.Record{
			Kind: call.Kind(s("kind")), ID: call.ID(s("id")), Parent: call.ID(s("parent")), Seq: uint64(max(0, n("seq"))), Listener: s("listener"), Grade: call.Grade(s("grade")),
			Time:   time.Unix(rapid.Int64Range(-1e9, 1e11).Draw(t, "sec"), rapid.Int64Range(0, 999999999).Draw(t, "ns")).UTC(),
			Scheme: s("scheme"), Host: s("host"), Port: uint16(n("port")), Category: s("category"), Trust: s("trust"), Protocol: s("protocol"),
			Method: s("method"), Target: s("target"), Size: int64(n("size")), Took: time.Duration(n("took")), Inspect: time.Duration(n("inspect")),
			Session: call.SessionID(s("session")), Note: s("note"), Durable: flag("durable"), Body: []byte("x"),
		}
		if flag("caller") {
			r.Caller = call.Caller{Session: call.SessionID(s("c")), SessionMark: 2, Parent: call.SessionID(s("p")), Type: attr("type"), Principal: attr("principal"), Agent: attr("agent"), Tool: attr("tool"), ToolCall: attr("tool_call"), Process: attr("process"), Purpose: attr("purpose")}
			for range count("roles") {
				r.Caller.Roles = append(r.Caller.Roles, attr("role"))
			}
			for range count("sources") {
				r.Caller.Provenance = append(r.Caller.Provenance, call.Source{Source: s("source"), Trust: s("trust"), Mark: 1})
			}
		} else if flag("empty") {
			r.Caller.Roles = []call.Attr{}
		}
		if flag("decision") {
			d := &call.Decision{Verdict: call.Verdict(count("verdict")), Rule: s("rule"), At: s("at"), Layer: s("layer"), Code: s("code"), Reason: s("reason"), Quarantine: flag("q"), Observed: flag("o"), Approvers: s("approvers"), By: s("by"), Policy: s("policy"), Guard: &call.Guard{}, Quiet: flag("quiet"), Irreversible: flag("irreversible")}
			if flag("edits") {
				d.Edits = []call.Edit{}
			}
			for range count("edits") {
				d.Edits = append(d.Edits, call.Edit{Kind: call.Redact, Place: place(), Name: s("name"), With: s("with"), Cause: s("cause"), Rule: s("rule")})
			}
			for range count("findings") {
				score := rapid.OneOf(rapid.Just(0.0), rapid.Float64(), rapid.SampledFrom([]float64{0.5, 1e-6, 1e-7, 1.5e-9, 1e21, 1e20, 5e-324, 123456789.125, 1e100})).Draw(t, "score")
				d.Findings = append(d.Findings, call.Finding{Inspector: s("inspector"), Kind: s("kind"), Place: place(), Score: score, Digest: s("digest")})
			}
			for range count("uninspected") {
				d.Uninspected = append(d.Uninspected, call.Uninspected{Part: s("part"), Reason: s("reason"), Windowed: flag("w")})
			}
			r.Decision = d
		}
		if flag("outcome") {
			r.Outcome = &call.Outcome{Status: n("status"), Sent: int64(n("sent")), Received: int64(n("received")), Address: s("address"), Error: s("error"), Commit: s("commit"), Via: s("via"), Aborted: flag("aborted")}
		}
		return r
	})
}

func TestEntryIsTheCanonicalFormOfTheRecord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyRecord().Draw(t, "record")
		plain, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		got, want := appendRecord(nil, r), canonical(t, plain)
		if !bytes.Equal(got, want) {
			t.Fatalf("\n%s\n%s", got, want)
		}
		var f factReader
		x, err := f.read(got)
		if r.Kind == "" {
			return
		}
		if valid := func(s string) string { return strings.ToValidUTF8(s, "\ufffd") }; err != nil || len(x.id) == 0 != (r.ID == "") || valid(string(r.Kind)) == string(r.Kind) && x.kind != r.Kind || !x.time.Equal(r.Time) {
			if r.Seq <= 1<<53 {
				t.Fatalf("%+v %v %s", x, err, got)
			}
		}
	})
}

func TestNumberThatJSONLacksIsZero(t *testing.T) {
	d := &call.Decision{Findings: []call.Finding{{Score: math.NaN()}, {Score: math.Inf(1)}}}
	b := appendRecord(nil, &call.Record{Time: time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC), Decision: d})
	if !json.Valid(b) || bytes.Contains(b, []byte("score")) || !bytes.Contains(b, []byte(`"0001-01-01T00:00:00Z"`)) {
		t.Fatalf("%s", b)
	}
}

func TestLongRecordIsCutAndSaysWhatIsLeftOut(t *testing.T) {
	huge := strings.Repeat("\x01é", 100_000)
	r := decided("s", 1)
	r.Target, r.Note = huge, "n"
	r.Decision.Reason = huge
	for range 5000 {
		r.Decision.Findings = append(r.Decision.Findings, call.Finding{Inspector: "secret", Kind: huge[:999], Place: call.Place{Part: "body/" + huge[:500]}})
		r.Decision.Edits = append(r.Decision.Edits, call.Edit{Kind: call.Redact, With: huge[:9999]})
		r.Decision.Uninspected = append(r.Decision.Uninspected, call.Uninspected{Part: huge[:50], Reason: "too large"})
		r.Caller.Roles = append(r.Caller.Roles, call.Attr{Value: huge})
		r.Caller.Provenance = append(r.Caller.Provenance, call.Source{Source: huge})
	}
	r.Outcome = &call.Outcome{Error: huge, Address: huge, Commit: huge, Via: huge}
	b := appendEntryOf(nil, r)
	var back call.Record
	if err := json.Unmarshal(b, &back); err != nil || len(b) > maxEntry {
		t.Fatal(len(b), err)
	}
	for _, want := range []string{"4985 of 5001 findings", "4984 of 5000 edits", "4984 of 5000 uninspected parts", "4984 of 5000 roles", "4984 of 5000 sources"} {
		if !strings.Contains(back.Note, want) {
			t.Errorf("note %q lacks %q", back.Note, want)
		}
	}
	r = decided("s", 1)
	for range 2000 {
		r.Decision.Findings = append(r.Decision.Findings, r.Decision.Findings[0])
	}
	if err := json.Unmarshal(appendEntryOf(nil, r), &back); err != nil || len(back.Decision.Findings) != 256 || !strings.Contains(back.Note, "1745 of 2001 findings") {
		t.Error(len(back.Decision.Findings), back.Note, err)
	}
	if len(r.Decision.Findings) != 2001 {
		t.Error("the record itself was cut")
	}
}

func BenchmarkEncode(b *testing.B) {
	r := decided("s", 1)
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = appendEntryOf(buf[:0], r)
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkFacts(b *testing.B) {
	e := appendRecord(nil, decided("s", 1))
	var r factReader
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.read(e); err != nil {
			b.Fatal(err)
		}
	}
}
