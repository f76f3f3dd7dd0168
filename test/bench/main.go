package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"

	"outvet/test/bench/stand"
)

func main() {
	if asked, err := stand.Play(os.Args[1:]); asked {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o, err := parse(os.Args[1:], os.Stderr)
	if err == flag.ErrHelp {
		return
	}
	if err != nil {
		os.Exit(2) // parse has said it
	}
	if err := run(ctx, o, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are the command line.
type options struct {
	program string
	full    bool
	brief   bool // for tests
	only    string
	json    string
	table   string
	dir     string
	ip      string
	idle    int
	targets targets
}

func parse(args []string, errs io.Writer) (*options, error) {
	o := &options{}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(errs)
	f.Usage = func() {
		fmt.Fprintln(errs, "usage: go run ./test/bench [flags]\nMeasures the budgets of outvet. doc/performance.md explains it.")
		f.PrintDefaults()
	}
	f.StringVar(&o.program, "outvet", "", "`PATH` of the outvet to measure (default: build this tree's)")
	f.BoolVar(&o.full, "full", false, "measure longer, with the counts of the budgets (about six minutes)")
	f.StringVar(&o.only, "only", "", "measure only groups that match this `REGEXP`")
	f.StringVar(&o.json, "json", "", "write the rows as JSON to this `FILE`, - for standard output")
	f.StringVar(&o.table, "table", "", "write the rows as a table in Markdown to this `FILE`, - for standard output")
	f.StringVar(&o.dir, "dir", "", "keep states and certificates in this `DIR`, and leave it there")
	f.StringVar(&o.ip, "origin", "", "`ADDRESS` at which the origin listens on its real ports, for targets that dial by name")
	f.IntVar(&o.idle, "idle", 0, "idle connections to open (default 2000, 10000 with -full)")
	f.Var(&o.targets, "target", "another proxy: `name,proxy=URL,pid=N,ca=FILE`; may be repeated")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		fmt.Fprintf(errs, "bench: unexpected argument %q\n", f.Arg(0))
		return nil, fmt.Errorf("unexpected argument")
	}
	if o.idle == 0 {
		o.idle = 2000
		if o.full {
			o.idle = 10_000
		}
	}
	return o, nil
}

// A group is some rows that are measured together.
type group struct {
	name    string
	title   string
	measure func(*bench) error
}

func groups() []group {
	return []group{
		{"post", "a POST, intercepted, inspected and recorded; CPU of a request by that of the reference", (*bench).posts},
		{"new", "a new connection for each request", (*bench).fresh},
		{"tunnel", "CONNECT without interception, by that of a bare tunnel", (*bench).tunnels},
		{"large", "large bodies; CPU of a request", (*bench).large},
		{"inspect", "decoding and inspecting a body, as the record says it took", (*bench).inspecting},
		{"rules", "policies with more rules and hosts", (*bench).rules},
		{"record", "the log, in this process; verify by outvet", (*bench).record},
		{"stream", "server-sent events", (*bench).streams},
		{"download", "as fast as it goes", (*bench).downloads},
		{"idle", "connections that do nothing; resident memory", (*bench).idle},
		{"closed", "connections that were opened and closed", (*bench).closed},
		{"start", "start, and what is resident", (*bench).starts},
	}
}

// run measures and reports.
func run(ctx context.Context, o *options, out, errs io.Writer) error {
	if err := stand.Supported(); err != nil {
		return err
	}
	only, err := regexp.Compile(o.only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	began := time.Now()
	b, err := newBench(ctx, o, out, errs)
	if err != nil {
		return err
	}
	defer b.close()
	fmt.Fprintf(b.out, "outvet benchmark, %s: %d cores, %s, %s\n", map[bool]string{true: "full", false: "quick"}[o.full], runtime.NumCPU(), runtime.GOOS+"/"+runtime.GOARCH, runtime.Version())
	fmt.Fprintf(b.out, "  %-*s %9s %8s\n", whatWidth, "", "measured", "budget")
	var names []string
	for _, g := range groups() {
		names = append(names, g.name)
		if !only.MatchString(g.name) {
			continue
		}
		b.begin(g)
		if err := g.measure(b); err != nil {
			if ctx.Err() != nil {
				return errors.New("interrupted")
			}
			b.fail("the rest", err)
		}
	}
	b.progress.clear()
	if len(b.rows) == 0 {
		return fmt.Errorf("-only %q matches none of %s", o.only, strings.Join(names, ", "))
	}
	fmt.Fprintf(b.out, "\n%s after %s\n", b.summary(), time.Since(began).Round(time.Second))
	if err := b.writeJSON(o.json, out); err != nil {
		return err
	}
	if err := b.writeTable(o.table, out); err != nil {
		return err
	}
	if len(b.failed) > 0 {
		return fmt.Errorf("not all was carried whole: %s", strings.Join(b.failed, ", "))
	}
	return nil
}

func (b *bench) summary() string {
	n := map[string]int{}
	for _, r := range b.rows {
		n[r.Verdict()]++
	}
	return fmt.Sprintf("%d within budget, %d of them at the aim, %d over", n["within"]+n["aim"], n["aim"], n["over"])
}

// A report is the JSON form.
type report struct {
	Cores   int    `json:"cores"`
	System  string `json:"system"`
	Go      string `json:"go"`
	Full    bool   `json:"full"`
	Program string `json:"program,omitempty"`
	Rows    []Row  `json:"rows"`
}

func (b *bench) writeJSON(to string, out io.Writer) error {
	if to == "" {
		return nil
	}
	text, err := json.MarshalIndent(report{runtime.NumCPU(), runtime.GOOS + "/" + runtime.GOARCH, runtime.Version(), b.o.full, b.o.program, b.rows}, "", "  ")
	if err != nil {
		return err
	}
	return write(to, out, append(text, '\n'))
}

// writeTable writes the rows for doc/performance.md.
func (b *bench) writeTable(to string, out io.Writer) error {
	if to == "" {
		return nil
	}
	text := []byte("| | measured | budget | | |\n|---|---|---|---|---|\n")
	group := ""
	for _, r := range b.rows {
		if r.Group != group {
			text = fmt.Appendf(text, "| **%s** | | | | |\n", r.Group)
			group = r.Group
		}
		text = fmt.Appendf(text, "%s\n", r.markdown())
	}
	return write(to, out, text)
}

func write(to string, out io.Writer, text []byte) error {
	if to == "-" {
		_, err := out.Write(text)
		return err
	}
	return os.WriteFile(to, text, 0o644)
}

// targets are the values of -target.
type targets []target

// A target is a proxy that somebody else started.
type target struct {
	name, proxy, ca string
	pid             int
}

// String implements flag.Value.
func (t *targets) String() string { return "" }

// Set implements flag.Value.
func (t *targets) Set(s string) error {
	f := strings.Split(s, ",")
	n := target{name: f[0]}
	for _, kv := range f[1:] {
		k, v, _ := strings.Cut(kv, "=")
		switch k {
		case "proxy":
			n.proxy = strings.TrimSuffix(strings.TrimPrefix(v, "http://"), "/")
		case "ca":
			n.ca = v
		case "pid":
			if _, err := fmt.Sscan(v, &n.pid); err != nil {
				return fmt.Errorf("target %s: pid %q is not a number", n.name, v)
			}
		default:
			return fmt.Errorf("target %s: unknown key %q; known are proxy, pid and ca", n.name, k)
		}
	}
	if n.name == "" || n.proxy == "" || n.pid == 0 {
		return fmt.Errorf("target %q needs a name, proxy= and pid=", s)
	}
	*t = append(*t, n)
	return nil
}
