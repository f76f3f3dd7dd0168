package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"outvet/call"
	"outvet/internal/attack"
	"outvet/internal/forward"
)

// attackMost is how long the inside may take.
const attackMost = 9 * time.Second

func attackCommand() *cobra.Command {
	o := launching{serving: serving{connections: 16384, drain: time.Second}}
	c := &cobra.Command{
		Use:   "attack [flags of run]",
		Short: "Try every known way out of the sandbox, from inside it",
		Long: `attack starts itself in the sandbox that run would use, with the same policy,
file system and workspace, and tries to get out: by sockets of all kinds, names,
other programs, the kernel, files that others run, and by secrets packed into calls
that are allowed. It prints what was stopped, what outvet answered, and what got
through; it exits with 1 if anything did. It takes a few seconds.

What counts is not what the tries say: before, outvet lays wires on this machine
(services on its addresses, sockets, a fifo, files) and an internet of its own, to
which only it can lead, and touches each from outside, so that a silent one is
known to have been live. What somebody took and the record does not have counts,
too. Nothing of an attack on a sandbox leaves the machine, except that addresses
where clouds hand out credentials, and private networks, are asked where the policy
lets them be; secrets are made up. With --cooperative, where nothing is closed, the
tries do leave. What is laid in the home, the workspace and the temporary folders
(outvet-attack-...) is taken away again, and the calls are in the record like any
other.

What an inspector cannot see is not among the tries: a secret that was encrypted
first passes wherever the policy lets calls pass.`,
		Example: `  outvet attack
  outvet attack --policy outvet.yaml --fs strict
  outvet attack --json | jq '.results[] | select(.fate == "through")'`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return o.attack(c) },
	}
	o.flags(c)
	c.Flags().Lookup("json").Usage = "print the report as JSON"
	_ = c.Flags().MarkHidden("apply") // what an attack does to a workspace is for nobody to keep
	for _, part := range []struct {
		use string
		do  func(c *cobra.Command, args []string) error
	}{
		{"inside", func(c *cobra.Command, _ []string) error {
			return attack.Inside(c.Context(), c.InOrStdin(), c.OutOrStdout())
		}},
		{"nested", func(_ *cobra.Command, args []string) error { attack.Nested(args...); return nil }},
		{"linger", func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				attack.Linger(args[0])
			}
			return nil
		}},
	} {
		c.AddCommand(&cobra.Command{Use: part.use, Short: "A part of the attack, which it starts itself", Hidden: true, RunE: part.do})
	}
	return c
}

// A raid is one attack.
type raid struct {
	l      *launch
	places attack.Places
	wires  *attack.Wires
	sink   calls
	said   chan error
	all    []attack.Said
	report attack.Report
}

// calls is a sink that keeps the records of the attack.
type calls struct {
	mu  sync.Mutex
	all []*call.Record

	release func(call.SessionID) // lifts a quarantine, so that each try is judged for itself
}

// Write implements gate.Sink.
func (s *calls) Write(r *call.Record) error {
	if r.Kind == call.Quarantined && r.Decision != nil && r.Decision.Verdict == call.Block && s.release != nil {
		go s.release(r.Session) // the gate is under way
	}
	if r.Kind != call.Decided && r.Kind != call.Closed {
		return nil
	}
	keep := *r
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, &keep)
	return nil
}

func (o *launching) attack(c *cobra.Command) error {
	ctx, cancel := context.WithTimeout(c.Context(), 2*attackMost)
	defer cancel()
	start := time.Now()
	l := &launch{o: o, house: &house{signals: catch()}, said: &held{to: c.ErrOrStderr()}, errs: io.Discard}
	defer l.signals.stop()
	r := &raid{l: l, said: make(chan error, 1)}
	if err := r.prepare(ctx); err != nil {
		if r.wires != nil {
			r.wires.Close()
		}
		return err
	}
	defer r.wires.Close()
	if err := r.carry(ctx); err != nil {
		return err
	}
	r.report.Took = time.Since(start)
	r.report.Fill()
	var err error
	if o.json {
		err = printJSON(c.OutOrStdout(), r.report)
	} else {
		err = r.report.Print(c.OutOrStdout())
	}
	if err == nil && r.report.Open() {
		return refused()
	}
	return err
}

// prepare lays the wires, plants a secret in the environment, and settles what run
// would.
func (r *raid) prepare(ctx context.Context) error {
	o := r.l.o
	workspace := o.workspace
	if workspace == "" {
		wd, err := os.Getwd()
		if err != nil {
			return usage(err, "give the directory of the project with --workspace DIR")
		}
		workspace = wd
	}
	workspace, err := filepath.Abs(workspace)
	if err != nil {
		return usage(err)
	}
	state, err := openState(o.serving.state)
	if err != nil {
		return err
	}
	home, _ := os.UserHomeDir()
	r.places = attack.Places{Home: home, Workspace: workspace, State: string(state), Secrets: hidden(home)}
	if r.wires, err = attack.Lay(r.places); err != nil {
		return usage(err, "name the directory of a project, in which you may write, with --workspace DIR")
	}
	if err := r.wires.Prove(ctx); err != nil {
		return err
	}
	program, err := os.Executable()
	if !o.cooperative {
		program, err = r.wires.Program()
	}
	if err != nil {
		return err
	}
	if err := os.Setenv(attack.CanaryName, r.wires.Canary()); err != nil {
		return err
	}
	if r.l.o.session == "" {
		r.l.o.session = "attack-" + newName()
	}
	r.l.command = []string{program, "attack", "inside"}
	o.lead = func(f *forward.Options) { r.wires.Internet.Lead(f) }
	return r.l.prepare()
}

// carry runs the inside as run does a command, and judges what came of it.
func (r *raid) carry(ctx context.Context) error {
	l := r.l
	if err := l.furnish(ctx); err != nil {
		return err
	}
	defer l.close()
	r.wires.Aim(r.places)
	if err := r.pipes(); err != nil {
		return err
	}
	r.sink.release = func(id call.SessionID) { _ = l.gate.Release(id, "outvet attack") }
	l.gate.Sinks = append(l.gate.Sinks, &r.sink)
	start := l.cooperate
	if l.o.cooperative {
		if err := l.authorise(); err != nil {
			return err
		}
	} else {
		l.errs = os.Stderr // says why, if it cannot be sealed
		sealed, err := l.seal(ctx)
		if err != nil {
			return err
		}
		start = sealed
	}
	defer l.follow()()
	if err := l.gate.Began(l.caller, l.grade, "began: attack, "+l.source.name); err != nil {
		return err
	}
	late := time.AfterFunc(500*time.Millisecond, r.wires.Late)
	defer late.Stop()
	bound, cancel := context.WithTimeout(ctx, attackMost)
	defer cancel()
	end, err := start(bound)
	if err != nil {
		return err
	}
	lives := r.wires.Lives()
	if l.out != nil {
		l.out.Close()
	}
	said := <-r.said
	drained, stop := context.WithTimeout(ctx, l.o.serving.drain)
	defer stop()
	_ = l.proxy.Shutdown(drained)
	if err := l.gate.Ended(l.caller.Session, "ended: attack"); err != nil {
		return err
	}
	if end.code != 0 || said != nil {
		return &exit{code: exitFailed, err: errors.Join(fmt.Errorf("the attack did not run to its end: exit code %d %s", end.code, end.reason), said)}
	}
	r.judge(end, lives)
	return r.wires.Idle(r.all, r.report.Results)
}

// pipes makes what the inside reads its plan from and says its results to.
func (r *raid) pipes() error {
	in, plan, err := os.Pipe()
	if err != nil {
		return err
	}
	results, out, err := os.Pipe()
	if err != nil {
		return err
	}
	go func() {
		_ = json.NewEncoder(plan).Encode(r.wires.Plan)
		plan.Close()
	}()
	go func() {
		var err error
		r.all, err = attack.ReadSaid(results)
		results.Close()
		r.said <- err
	}()
	r.l.in, r.l.out = in, out
	return nil
}

func (r *raid) judge(end ending, lives bool) {
	l := r.l
	r.sink.mu.Lock()
	defer r.sink.mu.Unlock()
	e := attack.Evidence{Said: r.all, Calls: r.sink.all, Lives: lives}
	for _, c := range end.changes {
		e.Changes = append(e.Changes, c.Path)
	}
	r.report = attack.Report{
		Grade: string(l.grade), Policy: strings.TrimPrefix(l.source.name, "preset "), Files: l.o.files, Session: string(l.caller.Session),
		Wires: r.wires.Count(), Missing: r.wires.Missing, Results: r.wires.Judge(e),
	}
	if l.o.cooperative {
		r.report.Files = "as they are"
		r.report.Notes = append(r.report.Notes, "cooperative: the command can go around outvet; without --cooperative it cannot")
	}
	if l.o.observe {
		r.report.Notes = append(r.report.Notes, "--observe blocks nothing: what got through by a call would be refused without it where the verdict says so")
	}
	if slices.ContainsFunc(r.report.Results, func(x attack.Result) bool { return x.Fate == attack.Through && x.Verdict == "allow" }) {
		r.report.Notes = append(r.report.Notes, "what passed by a call was allowed by the rule named: outvet check METHOD URL says why")
	}
	r.report.Notes = append(r.report.Notes, "the calls are in the record: outvet log search 'session:"+string(l.caller.Session)+"'")
}
