package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"outvet/test/bench/load"
	"outvet/test/bench/stand"
)

// A bench is one run.
type bench struct {
	ctx      context.Context
	o        *options
	out      io.Writer
	progress *progress
	stand    *stand.Stand
	remove   string
	group    group
	rows     []Row
	failed   []string

	refs map[string]load.Contender
	ours *stand.Outvet
}

func newBench(ctx context.Context, o *options, out, errs io.Writer) (b *bench, err error) {
	b = &bench{ctx: ctx, o: o, out: out, progress: &progress{to: errs, began: time.Now()}, refs: map[string]load.Contender{}}
	if o.json == "-" || o.table == "-" {
		b.out = errs
	}
	dir := o.dir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "outvet-bench"); err != nil {
			return nil, err
		}
		b.remove = dir
	} else if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	program := o.program
	if program == "" {
		b.progress.say("building outvet", 0, 0)
		if program, err = stand.Build(dir); err != nil {
			b.close()
			return nil, err
		}
	}
	if b.stand, err = stand.New(dir, program, o.ip); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

// close ends the run.
func (b *bench) close() {
	b.progress.clear()
	if b.stand != nil {
		b.stand.Close()
	}
	if b.remove != "" {
		os.RemoveAll(b.remove)
	}
}

// begin starts the rows of a group.
func (b *bench) begin(g group) {
	b.progress.clear()
	b.group = g
	fmt.Fprintf(b.out, "\n%s: %s\n", g.name, g.title)
}

// add reports a row.
func (b *bench) add(r Row) {
	r.Group = b.group.name
	b.rows = append(b.rows, r)
	b.progress.clear()
	fmt.Fprintln(b.out, r)
}

// fail reports that something was not carried whole. Other groups go on.
func (b *bench) fail(what string, err error) {
	b.failed = append(b.failed, b.group.name)
	b.add(Row{What: what, Absent: "failed: " + err.Error()})
}

// pick returns the first in a quick run and the second in a full one. A brief run,
// which tests the benchmark itself, has a twentieth of the quick one.
func pick[T ~int | ~int64](b *bench, quick, full T) T {
	switch {
	case b.o.full:
		return full
	case b.o.brief:
		return max(quick/20, 1)
	}
	return quick
}

// reference returns a reference proxy, which is started once.
func (b *bench) reference(name string) (load.Contender, error) {
	if c, ok := b.refs[name]; ok {
		return c, nil
	}
	p, err := b.stand.Reference(name)
	if err != nil {
		return load.Contender{}, err
	}
	c, err := b.stand.Contender(p, p.Ready["proxy"], b.stand.CA())
	b.refs[name] = c
	return c, err
}

// outvet returns the outvet that most groups measure.
func (b *bench) outvet() (*stand.Outvet, error) {
	if b.ours != nil {
		return b.ours, nil
	}
	text := userPolicy
	if b.stand.Loads(userPolicy + unread) {
		text += unread
	}
	var err error
	b.ours, err = b.stand.Serve("outvet", text)
	return b.ours, err
}

// contenders returns outvet, then the references, and then the targets of the
// command line.
func (b *bench) contenders(names ...string) ([]load.Contender, error) {
	o, err := b.outvet()
	if err != nil {
		return nil, err
	}
	cs := []load.Contender{o.Way}
	for _, n := range names {
		c := load.Contender{}
		if n == "direct" {
			c, err = b.stand.Direct()
		} else {
			c, err = b.reference(n)
		}
		if err != nil {
			return nil, err
		}
		cs = append(cs, c)
	}
	for _, t := range b.o.targets {
		p := &stand.Process{Name: t.name, PID: t.pid}
		if p.CPU() == 0 {
			return nil, fmt.Errorf("target %s: there is no process %d", t.name, t.pid)
		}
		ca := t.ca
		if ca == "" {
			ca = b.stand.CA()
		}
		c, err := b.stand.Contender(p, t.proxy, ca)
		if err != nil {
			return nil, err
		}
		cs = append(cs, c)
	}
	return cs, nil
}

// saying returns what tells the user how far something is.
func (b *bench) saying(what string) load.Progress {
	return func(done, of int) { b.progress.say(b.group.name+": "+what, done, of) }
}

// A progress is one line that is written over while something takes long.
type progress struct {
	to    io.Writer
	began time.Time
	width int
	what  string
}

// say writes the line again. Where it cannot be written over it is written once
// for each thing.
func (p *progress) say(what string, done, of int) {
	line := what
	if of > 0 {
		line = fmt.Sprintf("%s, %d of %d", what, done, of)
	}
	line = fmt.Sprintf("%3.0fs  %s", time.Since(p.began).Seconds(), line)
	if !terminal(p.to) {
		if p.what != what {
			fmt.Fprintf(p.to, "%4.0fs  %s\n", time.Since(p.began).Seconds(), what)
		}
		p.what = what
		return
	}
	fmt.Fprintf(p.to, "\r%s\r  %s", strings.Repeat(" ", p.width), line)
	p.width = len(line) + 2
}

func (p *progress) clear() {
	if p.width > 0 {
		fmt.Fprintf(p.to, "\r%s\r", strings.Repeat(" ", p.width))
		p.width = 0
	}
}

func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	s, err := f.Stat()
	return err == nil && s.Mode()&os.ModeCharDevice != 0
}
