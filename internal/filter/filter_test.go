package filter

import (
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"
	"pgregory.net/rapid"

	"outvet/call"
)

var now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// pair is a blocked call of an hour ago and its outcome.
func pair() (d, c *call.Record) {
	d = &call.Record{
		Kind: call.Decided, ID: "01JD4X8Q7K0123ABCDEF", Time: now.Add(-time.Hour), Host: "api.GitHub.com", Target: "/repos/a_b/100%",
		Method: "POST", Protocol: "http", Size: 20_000, Category: "code hosting",
		Caller: call.Caller{Session: "run-7", Agent: call.Attr{Value: "claude-code"}, Tool: call.Attr{Value: "Bash"}, Principal: call.Attr{Value: "ana@corp.example"}},
		Decision: &call.Decision{Verdict: call.Block, Rule: "no secrets out", Reason: "A key must not leave.", By: "bo",
			Findings: []call.Finding{{Kind: "secret/aws-access-key"}, {Kind: "personal/email"}}},
	}
	c = &call.Record{Kind: call.Closed, ID: d.ID, Time: now, Outcome: &call.Outcome{Status: 403, Sent: 12, Error: "reset by peer"}}
	return d, c
}

func TestTermsMeanWhatTheDocumentSays(t *testing.T) {
	d, c := pair()
	for expr, want := range map[string]bool{
		``:                                    true,
		`host:api.github.com`:                 true,
		`host:*.github.com`:                   true,
		`host:github.com`:                     false,
		`host:*git*com`:                       true,
		`method:post`:                         true,
		`method:GET | status:403`:             true,
		`!method:GET`:                         true,
		`!(method:GET | status:403) | host:x`: false,
		`verdict:block tool:Bash bytes<1k`:    true,
		`bytes>10k`:                           false,
		`bytes:12`:                            true,
		`status:4*`:                           true,
		`status>=400 status<=499`:             true,
		`finding:secret/*`:                    true,
		`finding:*email`:                      true,
		`finding:secret/*email`:               false,
		`finding:aws*`:                        false,
		`finding~^secret/.*key$`:              true,
		`mode:observe`:                        false,
		`!mode:observe time<2h`:               true,
		`time<30m`:                            false,
		`time>30m`:                            true,
		`time>=2026-11-20 time<2026-11-20T11:00:01`: true,
		`time:2026-11-20*`:                          true,
		`id:ABCDEF`:                                 true,
		`id:abcdef`:                                 true,
		`id:DEF`:                                    false,
		`by:bo`:                                     true,
		`by:""`:                                     false,
		`class:""`:                                  true,
		`category:"code hosting"`:                   true,
		`path:"/repos/a_b/100%"`:                    true,
		`path:/repos/aXb*`:                          false,
		`"must not leave"`:                          true,
		`GITHUB`:                                    true,
		`reset ana@corp`:                            true,
		`aws-access`:                                true,
		`nothing`:                                   false,
		`host~"(?i)^API[.]github"`:                  true,
		`host:a | host:b | (verdict:block (status:403))`:      true,
		`agent:claude* session:run-7 proto:http rule:"no s*"`: true,
	} {
		e, err := Parse(expr)
		if err != nil {
			t.Errorf("%s: %v", expr, err)
			continue
		}
		if got := e.Match(d, c, now); got != want {
			t.Errorf("%s: %v, want %v", expr, got, want)
		}
	}
}

func TestOpenCallHasNoStatusAndItsOfferedBytes(t *testing.T) {
	d, _ := pair()
	for expr, want := range map[string]bool{`status:""`: true, `status>0`: false, `!status>0`: true, `bytes>10k`: true} {
		e, err := Parse(expr)
		if err != nil || e.Match(d, nil, now) != want {
			t.Errorf("%s: %v, want %v", expr, err, want)
		}
	}
}

func TestErrorsNameColumnAndNearestField(t *testing.T) {
	for expr, want := range map[string]string{
		`hots:x`:                            `column 1: unknown field "hots"; did you mean "host"?`,
		`host:x stauts:4`:                   `column 8: unknown field "stauts"; did you mean "status"?`,
		`ä zzzzzz:1`:                        `column 3: unknown field "zzzzzz"; fields are host `,
		`bytes>ten`:                         `column 7: bytes>: "ten" is not a number`,
		`bytes>`:                            `column 7: a value is missing`,
		`time<soon`:                         `column 6: time<: "soon" is neither an age`,
		`host>a`:                            `column 6: host>: only status, bytes and time can be compared, use host:`,
		`host~(`:                            `column 6: a value is missing after host~`,
		`host: github.com`:                  `column 6: a value is missing after host:; "" stands for none`,
		`host~"("`:                          `column 6: host~: "(" is not a regular expression`,
		`(host:a`:                           `column 1: "(" is not closed`,
		`host:a)`:                           `column 7: ")" closes nothing`,
		`host:a |`:                          `column 9: a term is missing`,
		`| host:a`:                          `column 1: a term is missing`,
		`"abc`:                              `column 1: the quote is not closed`,
		`:x`:                                `column 1: a field is missing before ":"`,
		`()`:                                `column 2: a term is missing`,
		`!`:                                 `column 2: a term is missing`,
		strings.Repeat("(", 200):            `nested deeper`,
		strings.Repeat("a ", 300):           `more than 256 terms`,
		strings.Repeat("a", 5000):           `longer than`,
		"host:\x00":                         `column 6: not a text character`,
		`bytes>9223372036854775807k`:        `is not a number`,
		`time<99999999999999999999999999w`:  `is neither`,
		`bytes:10x`:                         `is not a number`,
		`status:-`:                          `is not a number`,
		`host:a !`:                          `column 9: a term is missing`,
		"host:\xff":                         `column 6: not a text character`,
		`time<2000000000s time<2000000000w`: `is neither`,
	} {
		_, err := Parse(expr)
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %s", expr, err, want)
		}
	}
}

// table is an index of the log in memory.
type table struct {
	db  *sql.DB
	ins string
}

func newTable(t testing.TB) *table {
	t.Helper()
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	if _, err := db.Exec("CREATE TABLE c (" + strings.Join(Columns(), ", ") + ")"); err != nil {
		t.Fatal(err)
	}
	return &table{db, "INSERT INTO c VALUES (?" + strings.Repeat(", ?", len(Columns())-1) + ")"}
}

func (tab *table) agree(t interface {
	Helper()
	Fatalf(string, ...any)
}, e Expr, d, c *call.Record) {
	t.Helper()
	if _, err := tab.db.Exec("DELETE FROM c"); err != nil {
		t.Fatalf("%v", err)
	}
	if _, err := tab.db.Exec(tab.ins, Values(d, c)...); err != nil {
		t.Fatalf("%v", err)
	}
	where, args, exact := e.SQL(now)
	var n int
	if err := tab.db.QueryRow("SELECT count(*) FROM c WHERE "+where, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %s: %v", e, where, err)
	}
	match := e.Match(d, c, now)
	if match && n == 0 || exact && match != (n == 1) {
		t.Fatalf("%s: match %v, SQL %v (exact %v): %s %q\n%+v\n%+v", e, match, n == 1, exact, where, args, d, c)
	}
}

// words are values of records and of expressions, so that they meet.
func words() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.SampledFrom([]string{"", "a", "A", "ab", "a_b", "a%", "api.github.com", "secret/key", "secret/x", "personal/email", "é", "É", "a\x00b", "\xff", "12", "block", "0123ABCDEF", "a\nb", "*", `\`, `"`}),
		rapid.String(),
	)
}

func records() *rapid.Generator[[2]*call.Record] {
	return rapid.Custom(func(t *rapid.T) [2]*call.Record {
		w := words()
		at := rapid.SampledFrom([]time.Duration{0, time.Second, time.Hour, 2 * time.Hour, 48 * time.Hour})
		d := &call.Record{Kind: call.Decided, ID: call.ID(w.Draw(t, "id")), Time: now.Add(-at.Draw(t, "age")), Host: w.Draw(t, "host"), Target: w.Draw(t, "path"),
			Method: w.Draw(t, "method"), Size: rapid.Int64Range(-1, 30).Draw(t, "size"), Note: w.Draw(t, "note")}
		d.Caller.Agent.Value = w.Draw(t, "agent")
		if rapid.Bool().Draw(t, "decision") {
			d.Decision = &call.Decision{Verdict: call.Verdict(rapid.IntRange(0, 2).Draw(t, "verdict")), Rule: w.Draw(t, "rule"), By: w.Draw(t, "by"), Observed: rapid.Bool().Draw(t, "observed")}
			for range rapid.IntRange(0, 3).Draw(t, "findings") {
				d.Decision.Findings = append(d.Decision.Findings, call.Finding{Kind: w.Draw(t, "kind")})
			}
		}
		var c *call.Record
		if rapid.Bool().Draw(t, "closed") {
			c = &call.Record{Kind: call.Closed, ID: d.ID}
			if rapid.Bool().Draw(t, "outcome") {
				c.Outcome = &call.Outcome{Status: rapid.IntRange(0, 13).Draw(t, "status"), Sent: rapid.Int64Range(0, 20).Draw(t, "sent"), Error: w.Draw(t, "error")}
			}
		}
		if rapid.IntRange(0, 9).Draw(t, "lost") == 0 {
			return [2]*call.Record{c, d}
		}
		return [2]*call.Record{d, c}
	})
}

func exprs() *rapid.Generator[string] {
	quoted := func(s string) string {
		var b strings.Builder
		quote(&b, strings.NewReplacer("\x00", "", "\uFFFD", "").Replace(strings.ToValidUTF8(s, "")))
		return b.String()
	}
	term := rapid.Custom(func(t *rapid.T) string {
		switch rapid.IntRange(0, 5).Draw(t, "form") {
		case 0:
			return quoted(words().Draw(t, "text"))
		case 1:
			return rapid.SampledFrom([]string{"bytes", "status"}).Draw(t, "field") + rapid.SampledFrom([]string{">", "<", ">=", "<=", ":"}).Draw(t, "op") + rapid.SampledFrom([]string{"0", "1", "7", "12", "-1"}).Draw(t, "n")
		case 2:
			return "time" + rapid.SampledFrom([]string{">", "<", ">=", "<="}).Draw(t, "op") + rapid.SampledFrom([]string{"0s", "1s", "1h", "2h", "1d", "2026-11-20", "2026-11-20T11:00"}).Draw(t, "t")
		case 3:
			return rapid.SampledFrom(Fields()).Draw(t, "field") + ":" + rapid.SampledFrom([]string{"*", "a*", "*a", "*a*", `""`, "secret/*", "*e*y*", "1*", "2026*"}).Draw(t, "glob")
		case 4:
			return rapid.SampledFrom(Fields()).Draw(t, "field") + "~" + rapid.SampledFrom([]string{"a", "^a", "[0-9]+", `""`}).Draw(t, "re")
		}
		return rapid.SampledFrom([]string{"host", "path", "finding", "verdict", "by", "id", "agent", "rule", "mode"}).Draw(t, "field") + ":" + quoted(words().Draw(t, "value"))
	})
	return rapid.Custom(func(t *rapid.T) string {
		parts := rapid.SliceOfN(term, 1, 5).Draw(t, "terms")
		var b strings.Builder
		open := 0
		for i, p := range parts {
			if i > 0 {
				b.WriteString(rapid.SampledFrom([]string{" ", "|", " | "}).Draw(t, "join"))
			}
			b.WriteString(rapid.SampledFrom([]string{"", "", "!", "!!"}).Draw(t, "not"))
			if rapid.Bool().Draw(t, "open") {
				b.WriteByte('(')
				open++
			}
			b.WriteString(p)
			if open > 0 && rapid.Bool().Draw(t, "close") {
				b.WriteByte(')')
				open--
			}
		}
		return b.String() + strings.Repeat(")", open)
	})
}

func TestGoAndSQLAgree(t *testing.T) {
	tab := newTable(t)
	rapid.Check(t, func(t *rapid.T) {
		src := exprs().Draw(t, "expr")
		e, err := Parse(src)
		if err != nil {
			t.Fatalf("%q: %v", src, err)
		}
		for range 5 {
			r := records().Draw(t, "call")
			tab.agree(t, e, r[0], r[1])
		}
	})
}

func TestLongExpressionsAreGoodSQL(t *testing.T) {
	tab := newTable(t)
	d, c := pair()
	for _, src := range []string{strings.Repeat("a|", 255) + "a", strings.Repeat("!(a ", 60) + "b" + strings.Repeat(")", 60), `"` + strings.Repeat(`_`, 4000) + `"`} {
		e, err := Parse(src)
		if err != nil {
			t.Fatal(err)
		}
		tab.agree(t, e, d, c)
	}
}

func TestExpressionPrintsAsItself(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { printsAsItself(t, exprs().Draw(t, "expr")) })
}

func printsAsItself(t interface{ Fatalf(string, ...any) }, src string) {
	e, err := Parse(src)
	if err != nil {
		return
	}
	s := e.String()
	again, err := Parse(s)
	if err != nil {
		if len(s) > maxLen || strings.Contains(err.Error(), "nested deeper") {
			return // quotes and parentheses made it longer
		}
		t.Fatalf("%q prints as %q: %v", src, s, err)
	}
	if got := again.String(); got != s {
		t.Fatalf("%q prints as %q, and that as %q", src, s, got)
	}
	d, c := pair()
	if e.Match(d, c, now) != again.Match(d, c, now) {
		t.Fatalf("%q and %q differ", src, s)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{`host:github.com method:POST verdict:block tool:Bash bytes>10k`, `finding:secret/* !mode:observe time<2h`, `!(a|"b \" c") id:ABCD`, `host~"^a(b|c)$"`, `a:b:c`, `!!!x`, "\u2003x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { printsAsItself(t, s) })
}

func BenchmarkMatch(b *testing.B) {
	d, c := pair()
	e, err := Parse(`host:*.github.com method:POST verdict:block bytes<10k finding:secret/*`)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		e.Match(d, c, now)
	}
}
