package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"outvet/test/bench/stand"
)

// program is where TestMain built outvet.
var program string

func TestMain(m *testing.M) {
	if asked, err := stand.Play(os.Args[1:]); asked {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if len(os.Args) > 1 && os.Args[1] == "bench" { // for a test that kills it
		o, err := parse(os.Args[2:], os.Stderr)
		if err == nil {
			err = run(context.Background(), o, os.Stdout, os.Stderr)
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(build(m))
}

func build(m *testing.M) int {
	if err := stand.Supported(); err != nil {
		fmt.Println(err)
		return 0
	}
	dir, err := os.MkdirTemp("", "outvet-bench-test")
	if err == nil {
		defer os.RemoveAll(dir)
		program, err = stand.Build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// TestEachGroupIsMeasured runs the whole benchmark, briefly. It asserts no time,
// but that all was carried whole, and that each figure is one.
func TestEachGroupIsMeasured(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rows.json")
	var out, errs bytes.Buffer
	table := filepath.Join(t.TempDir(), "rows.md")
	o := &options{program: program, brief: true, json: file, table: table, idle: 40}
	if err := run(context.Background(), o, &out, &errs); err != nil {
		t.Fatalf("%v\n%s%s", err, &out, &errs)
	}
	t.Logf("\n%s", &out)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Cores int
		Rows  []struct {
			Group, What, Unit, Verdict, Absent string
			Measured                           *float64
			Budget                             float64
		}
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, r := range got.Rows {
		seen[r.Group]++
		switch {
		case r.Absent != "":
			if r.Measured != nil || r.Verdict != "" {
				t.Errorf("%s has a figure although %s", r.What, r.Absent)
			}
		case r.Measured == nil:
			t.Errorf("%s has no figure", r.What)
		case r.Unit == "x" && *r.Measured <= 0:
			t.Errorf("%s: a ratio of %v", r.What, *r.Measured)
		case (r.Unit == "cut" || r.Unit == "left") && *r.Measured != 0:
			t.Errorf("%s: %v %s", r.What, *r.Measured, r.Unit)
		case (r.Budget != 0) != (r.Verdict != "") && r.Unit != "cut" && r.Unit != "left" && r.Unit != "allocs":
			t.Errorf("%s: budget %v, verdict %q", r.What, r.Budget, r.Verdict)
		}
		if !strings.Contains(out.String(), r.What) {
			t.Errorf("%s is not in the report", r.What)
		}
		if n := utf8.RuneCountInString(r.What); n > whatWidth {
			t.Errorf("%s has %d columns, more than %d", r.What, n, whatWidth)
		}
	}
	lines, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(lines)) {
		if strings.Count(line, "|") != 6 {
			t.Errorf("not a row of five columns: %s", line)
		}
	}
	for _, g := range groups() {
		if seen[g.name] == 0 {
			t.Errorf("group %s has no row", g.name)
		}
	}
	for line := range strings.Lines(out.String()) {
		if n := utf8.RuneCountInString(strings.TrimSpace(line)); n > 100 {
			t.Errorf("a line of %d columns: %s", n, line)
		}
	}
}

func TestVerdictIsOneWord(t *testing.T) {
	for _, x := range []struct {
		row  Row
		want string
	}{
		{Row{Measured: 2.1, Budget: 2, Aim: 1.5, Unit: "x"}, "over"},
		{Row{Measured: 2.0, Budget: 2, Aim: 1.5, Unit: "x"}, "within"},
		{Row{Measured: 1.5, Budget: 2, Aim: 1.5, Unit: "x"}, "aim"},
		{Row{Measured: 1.5, Unit: "x"}, ""},
		{Row{Measured: 60_000, Budget: 50_000, AtLeast: true, Unit: "/s"}, "within"},
		{Row{Measured: 40_000, Budget: 50_000, AtLeast: true, Unit: "/s"}, "over"},
		{Row{Measured: 0, Unit: "cut"}, "within"},
		{Row{Measured: 1, Unit: "cut"}, "over"},
		{Row{Budget: 2, Absent: "not here"}, ""},
	} {
		if got := x.row.Verdict(); got != x.want {
			t.Errorf("%+v is %q, want %q", x.row, got, x.want)
		}
	}
}

func TestNumbersHaveThreeDigits(t *testing.T) {
	for f, want := range map[float64]string{0: "0.00", 1.234: "1.23", 12.34: "12.3", 250: "250", 20: "20", 98765: "98765", 234567: "235k"} {
		if got := number(f); got != want {
			t.Errorf("%v is written %s, want %s", f, got, want)
		}
	}
}

func TestWrongCommandLinesAreRefused(t *testing.T) {
	for _, args := range [][]string{{"-target", "x"}, {"-target", "x,proxy=http://a:1,pid=y"}, {"-target", "x,port=1"}, {"-nonsense"}, {"extra"}} {
		var errs bytes.Buffer
		if _, err := parse(args, &errs); err == nil || errs.Len() == 0 {
			t.Errorf("%q: %v, %q", args, err, &errs)
		}
	}
	o, err := parse([]string{"-full", "-target", "peer,proxy=http://127.0.0.1:3128,pid=12,ca=ca.pem"}, &bytes.Buffer{})
	if err != nil || o.idle != 10_000 || len(o.targets) != 1 || o.targets[0] != (target{"peer", "127.0.0.1:3128", "ca.pem", 12}) {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestGroupThatDoesNotExistIsNamed(t *testing.T) {
	if err := run(context.Background(), &options{program: program, only: "nosuch"}, &bytes.Buffer{}, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "tunnel") {
		t.Errorf("a group that is not there: %v", err)
	}
}

// What is not carried whole is said, and the other groups go on.
func TestFailureIsReportedAtTheEnd(t *testing.T) {
	b := &bench{out: &bytes.Buffer{}, progress: &progress{to: &bytes.Buffer{}}, group: group{name: "post"}, o: &options{}}
	b.fail("4 KB", fmt.Errorf("outvet: 1 of 5 requests failed"))
	text := b.out.(*bytes.Buffer).String()
	if len(b.failed) != 1 || len(b.rows) != 1 || b.rows[0].Absent == "" || !strings.Contains(text, "1 of 5") {
		t.Errorf("%v, %+v, %q", b.failed, b.rows, text)
	}
}

// A benchmark that is killed leaves nothing running.
func TestKilledBenchmarkLeavesNoProcess(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cmd := exec.Command(self, "bench", "-outvet", program, "-dir", dir, "-only", "^start$")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	running := func() int {
		n := 0
		lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, f := range lines {
			if b, err := os.ReadFile(f); err == nil && bytes.Contains(b, []byte(dir)) {
				n++
			}
		}
		return n
	}
	for end := time.Now().Add(20 * time.Second); running() < 3; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("neither origin nor outvet was started")
		}
	}
	cmd.Process.Kill()
	cmd.Wait()
	for end := time.Now().Add(10 * time.Second); running() > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d processes still run", running())
		}
	}
}
