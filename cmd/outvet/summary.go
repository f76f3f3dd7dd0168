package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"outvet/call"
	"outvet/internal/filter"
	"outvet/internal/policy"
	"outvet/internal/record"
	"outvet/internal/summary"
)

func sessionShowCommand() *cobra.Command {
	var dir string
	var asJSON, all bool
	c := &cobra.Command{
		Use: "show SESSION", Short: "Show what a session did: destinations, calls, by whom, verdicts", Args: exactArgs("SESSION"),
		Long: `show makes a table of the calls of a session, as the record has them: one row for
each destination, chain of programs and verdict. The last column is what the
preset strict, with the preset of the session's agent, would have decided; of
calls that were observed only, what enforcing would.`,
		Example: `  outvet session show 127.0.0.1
  outvet session show quiet-otter --json`,
		RunE: func(c *cobra.Command, args []string) error {
			s, err := readState(dir)
			if err != nil {
				return err
			}
			r, err := sessionReport(c.Context(), s, call.SessionID(args[0]))
			if err != nil {
				return err
			}
			if r.Calls == 0 {
				return &exit{exitRefused, fmt.Errorf("the record has no call of session %q", args[0]), []string{"outvet log search lists calls with their sessions"}}
			}
			if asJSON {
				return r.WriteJSON(c.OutOrStdout())
			}
			style := styleOf(c.OutOrStdout())
			style.All = all
			return r.Print(c.OutOrStdout(), style)
		},
	}
	stateFlag(c, &dir)
	jsonFlag(c, &asJSON)
	c.Flags().BoolVar(&all, "all", false, "show every row, not only those that matter most")
	return c
}

// newestLooked is how many of the newest calls tell which agent a past session is of.
const newestLooked = 2000

// sessionReport makes the report of a session from the log.
func sessionReport(ctx context.Context, s state, id call.SessionID) (summary.Report, error) {
	first := summary.New(summary.Options{ID: id})
	if err := fill(ctx, s, id, first, newestLooked); err != nil {
		return summary.Report{}, err
	}
	name, _, _ := strings.Cut(first.Report().Agent, " ")
	sum, err := newSummary(ctx, id, name)
	if err == nil {
		err = fill(ctx, s, id, sum, 0)
	}
	if err != nil {
		return summary.Report{}, err
	}
	return sum.Report(), nil
}

// fill adds the newest calls of a session, at most so many; 0 is all.
func fill(ctx context.Context, s state, id call.SessionID, sum *summary.Session, most int) error {
	quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(string(id))
	expr, err := filter.Parse(`session:"` + quoted + `"`)
	if err != nil {
		return usage(err)
	}
	for found, err := range record.Search(ctx, string(s), expr, record.SearchOptions{Limit: most}) {
		if err != nil {
			return err
		}
		sum.Add(found.Decided, found.Closed)
	}
	return nil
}

// newSummary returns an empty summary of a session of the agent name, "" for one that is
// not known. It is a sink for the gate.
func newSummary(ctx context.Context, id call.SessionID, name string) (*summary.Session, error) {
	// made for the first call: many commands make none
	strict := sync.OnceValues(func() (*policy.Policy, error) { return strictFor(context.WithoutCancel(ctx), name) })
	would := func(r *call.Record) (call.Verdict, string) {
		p, err := strict()
		if err != nil {
			return call.Block, call.RuleFault
		}
		return judgedBy(p)(r)
	}
	return summary.New(summary.Options{ID: id, Would: would, Strict: "strict"}), nil
}

// strictFor loads the preset strict with that of the agent, if it has one.
func strictFor(ctx context.Context, name string) (*policy.Policy, error) {
	text := "version: 1\ninclude: [preset:strict]\n"
	if slices.Contains(policy.Presets(), name) {
		text = "version: 1\ninclude: [preset:strict, preset:" + name + "]\n"
	}
	return policy.Load(ctx, policy.Options{Text: []byte(text), Name: "strict", Untested: true})
}

// judgedBy returns what p would decide on calls of the record, by what the record
// says of them.
func judgedBy(p *policy.Policy) func(*call.Record) (call.Verdict, string) {
	return func(r *call.Record) (call.Verdict, string) {
		path, _, _ := strings.Cut(r.Target, "?")
		c := &call.Call{
			Time: r.Time, Listener: r.Listener, Grade: r.Grade, Caller: r.Caller, Sent: r.Size,
			Dest: call.Dest{Scheme: r.Scheme, Host: r.Host, Port: r.Port},
			Op:   call.Op{Protocol: r.Protocol, Method: r.Method, Target: path},
		}
		var d call.Decision
		if !p.Head(c, &d) {
			if r.Decision != nil {
				d.Findings, d.Uninspected = r.Decision.Findings, r.Decision.Uninspected
			}
			p.Decide(c, &d)
		}
		return d.Verdict, d.Rule
	}
}

// presetOf names the preset of an agent, "" if there is none.
func presetOf(name string) string {
	if slices.Contains(policy.Presets(), name) {
		return name
	}
	return ""
}

// styleOf says how what w leads to shows text.
func styleOf(w io.Writer) summary.Style {
	s := summary.Style{Color: interactive(w)}
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		s.Width = n
	} else if f, ok := w.(*os.File); ok {
		if size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil {
			s.Width = int(size.Col)
		}
	}
	return s
}
