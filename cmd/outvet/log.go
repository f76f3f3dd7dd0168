package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"

	"outvet/call"
	"outvet/internal/filter"
	"outvet/internal/record"
)

func logCommand() *cobra.Command {
	c := &cobra.Command{Use: "log", Short: "Read, search, verify and prove the record", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.AddCommand(logTailCommand(), logSearchCommand(), callCommand("show ID", "Show everything that the record says of a call"), logVerifyCommand(), logProveCommand())
	return c
}

func logSearchCommand() *cobra.Command {
	var dir string
	var asJSON bool
	var limit int
	c := &cobra.Command{
		Use:   "search [EXPR]",
		Short: "Find calls, the newest first",
		Long: `search prints the calls that match EXPR, decided joined with closed. A term is
[!]FIELD OP VALUE or "text"; space is and, | is or, parentheses group. Operators:
: equals (glob *), ~ regular expression, > < >= <= with units (10k, 1m, 2h).
Fields: ` + strings.Join(filter.Fields(), " ") + `.
A verdict with * was observed and not enforced; of a call that is open the status
says so.`,
		Example: `  outvet log search 'host:github.com method:POST verdict:block bytes>10k'
  outvet log search 'finding:secret/* !mode:observe time<2h' --json`,
		RunE: func(c *cobra.Command, args []string) error {
			expr, err := filter.Parse(strings.Join(args, " "))
			if err != nil {
				return usage(err)
			}
			s, err := readState(dir)
			if err != nil {
				return err
			}
			return search(c, s, expr, limit, asJSON)
		},
	}
	stateFlag(c, &dir)
	jsonFlag(c, &asJSON)
	c.Flags().VarP(count{&limit, 0}, "limit", "n", "at most `N` calls; 0 for all")
	return c
}

func search(c *cobra.Command, s state, expr filter.Expr, limit int, asJSON bool) error {
	out := c.OutOrStdout()
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if !asJSON {
		fmt.Fprintln(table, callHeading)
	}
	found := 0
	for found1, err := range record.Search(c.Context(), string(s), expr, record.SearchOptions{Limit: limit}) {
		if err != nil {
			return err
		}
		found++
		if asJSON {
			err = printJSON(out, joined(found1))
		} else {
			_, err = fmt.Fprintln(table, callRow(found1))
		}
		if err != nil {
			return err
		}
	}
	if asJSON {
		return nil
	}
	if found == 0 {
		fmt.Fprintln(c.ErrOrStderr(), "outvet: no call matches")
		return nil
	}
	return table.Flush()
}

// A joinedCall is one call as --json prints it: the decided record, the last
// word on it, the outcome, and the closed record as it stands in the log.
type joinedCall struct {
	*call.Record
	Verdict call.Verdict  `json:"verdict"`
	Rule    string        `json:"rule"`
	Reason  string        `json:"reason"`
	Outcome *call.Outcome `json:"outcome,omitempty"`
	Closed  *call.Record  `json:"closed,omitempty"`
}

func joined(c record.Call) joinedCall {
	d := decision(c)
	j := joinedCall{Record: c.Decided, Verdict: d.Verdict, Rule: d.Rule, Reason: d.Reason, Closed: c.Closed}
	if c.Closed != nil {
		j.Outcome = c.Closed.Outcome
	}
	return j
}

const callHeading = "TIME\tID\tVERDICT\tSESSION\tCALL\tUP\tSTATUS\tRULE"

// callRow is a call as a line of a table.
func callRow(c record.Call) string {
	d := c.Decided
	dec := decision(c)
	verdict := dec.Verdict.String()
	if dec.Observed {
		verdict += "*"
	}
	up, code := "-", "open"
	if c.Closed != nil && c.Closed.Outcome != nil {
		up, code = size(c.Closed.Outcome.Sent), status(c.Closed.Outcome)
	}
	what := d.Method + " " + whither(d)
	return strings.Join([]string{d.Time.Local().Format("01-02 15:04:05"), d.ID.Short(), verdict, clean(string(d.Caller.Session)), clean(what), up, code, clean(dec.Rule)}, "\t")
}

// decision is the last word on a call: the closed record has it if it changed
// under way.
func decision(c record.Call) call.Decision {
	switch {
	case c.Closed != nil && c.Closed.Decision != nil:
		return *c.Closed.Decision
	case c.Decided.Decision != nil:
		return *c.Decided.Decision
	}
	return call.Decision{}
}

// status is the status of an answer; what is not HTTP has none.
func status(o *call.Outcome) string {
	if o.Status == 0 {
		return "-"
	}
	return strconv.Itoa(o.Status)
}

func size(n int64) string {
	switch {
	case n >= 10<<20:
		return fmt.Sprintf("%d MB", n>>20)
	case n >= 10<<10:
		return fmt.Sprintf("%d KB", n>>10)
	}
	return fmt.Sprintf("%d B", n)
}

func logTailCommand() *cobra.Command {
	var dir string
	var asJSON, follow bool
	var lines int
	c := &cobra.Command{
		Use: "tail", Short: "Print the newest entries of the log, and follow it", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := readState(dir)
			if err != nil {
				return err
			}
			return tail(c, s, lines, follow, asJSON)
		},
	}
	stateFlag(c, &dir)
	jsonFlag(c, &asJSON)
	c.Flags().BoolVarP(&follow, "follow", "f", false, "wait for more until interrupted")
	lines = 20
	c.Flags().VarP(count{&lines, 0}, "lines", "n", "the newest `N` entries")
	return c
}

func tail(c *cobra.Command, s state, lines int, follow, asJSON bool) error {
	r, err := record.OpenReader(string(s))
	if err != nil {
		return err
	}
	defer r.Close()
	signed, err := r.Signed()
	if err != nil {
		return err
	}
	var last []record.Leaf
	next := max(0, signed-int64(lines))
	for l, err := range r.Leaves(next) {
		if err != nil {
			return err
		}
		l.Entry = slices.Clone(l.Entry)
		if last = append(last, l); len(last) > lines {
			last = last[1:]
		}
		next = l.Index + 1
	}
	for _, l := range last {
		if err := printLeaf(c.OutOrStdout(), l, asJSON); err != nil {
			return err
		}
	}
	if !follow {
		return nil
	}
	for l, err := range r.Follow(c.Context(), next) {
		if err == nil {
			err = printLeaf(c.OutOrStdout(), l, asJSON)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func printLeaf(w io.Writer, l record.Leaf, asJSON bool) error {
	line := string(l.Entry)
	if !asJSON {
		r, err := l.Record()
		if err != nil {
			return err
		}
		line = fmt.Sprintf("%8d  %s", l.Index, leafLine(r))
	}
	_, err := fmt.Fprintln(w, line)
	return err
}

// leafLine is one leaf on one line.
func leafLine(r *call.Record) string {
	at := r.Time.Local().Format("15:04:05.000")
	switch {
	case r.Kind == call.Decided:
		d := call.Decision{}
		if r.Decision != nil {
			d = *r.Decision
		}
		return fmt.Sprintf("%s  %-7s %s  %-5s  %s %s  (%s)", at, r.Kind, r.ID.Short(), d.Verdict, r.Method, clean(whither(r)), clean(d.Rule))
	case r.Kind == call.Closed && r.Outcome != nil:
		more := ""
		if r.Outcome.Error != "" {
			more = "  " + clean(r.Outcome.Error)
		}
		return fmt.Sprintf("%s  %-7s %s  %s  up %s, down %s, %s%s", at, r.Kind, r.ID.Short(), status(r.Outcome), size(r.Outcome.Sent), size(r.Outcome.Received), r.Took.Round(time.Microsecond*10), more)
	}
	return fmt.Sprintf("%s  %-7s %s %s", at, r.Kind, clean(string(r.Session)), clean(r.Note))
}

// lookup finds the call with an ID or an unambiguous tail of one.
func lookup(dir, id string) (record.Call, error) {
	s, err := readState(dir)
	if err != nil {
		return record.Call{}, err
	}
	r, err := record.OpenReader(string(s))
	if err != nil {
		return record.Call{}, err
	}
	defer r.Close()
	c, err := r.Lookup(strings.ToUpper(id))
	if err != nil {
		return c, &exit{code: exitRefused, err: err}
	}
	return c, nil
}

func logVerifyCommand() *cobra.Command {
	var dir, key, proof string
	var asJSON bool
	c := &cobra.Command{
		Use:   "verify",
		Short: "Prove that the log is complete and unchanged",
		Long: `verify computes the Merkle tree anew from the entries, compares every tile, and
checks the signature and the consistency of every checkpoint. On any damage it
names the first bad entry and exits with 1. With --proof it checks the proof of
one call, which needs nothing but the public key.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if proof != "" {
				return verifyProof(c, proof, key, dir, asJSON)
			}
			s, err := readState(dir)
			if err != nil {
				return err
			}
			if err := checkKey(key); err != nil {
				return err
			}
			o := record.VerifyOptions{Key: key}
			p := progress{w: c.ErrOrStderr(), begin: time.Now(), now: time.Now}
			if interactive(p.w) {
				o.Progress = p.show
			}
			report, err := record.Verify(string(s), o)
			p.clear()
			return printReport(c.OutOrStdout(), report, err, asJSON)
		},
	}
	stateFlag(c, &dir)
	jsonFlag(c, &asJSON)
	c.Flags().StringVar(&key, "key", "", "verifier `KEY` (default: the one in the state directory)")
	c.Flags().StringVar(&proof, "proof", "", "check this .tlog-proof `FILE` instead of the log")
	return c
}

// checkKey says that key, of the command line, is none; "" is that of the state.
func checkKey(key string) error {
	if key == "" {
		return nil
	}
	if _, err := note.NewVerifier(key); err != nil {
		return usage(fmt.Errorf("--key: %q is not a verifier key", key), "give the content of DIR/keys/log.pub, as in --key \"$(cat log.pub)\"")
	}
	return nil
}

// progress tells on one line of a terminal how far something is that takes
// longer than anyone likes to wait without a word.
type progress struct {
	w     io.Writer
	begin time.Time
	now   func() time.Time
	shown bool
}

const silence = 2 * time.Second

func (p *progress) show(done, total int64) {
	if p.now().Sub(p.begin) < silence {
		return
	}
	p.shown = true
	percent := 100.0
	if total > 0 {
		percent = 100 * float64(done) / float64(total)
	}
	fmt.Fprintf(p.w, "\r%d of %d entries, %.0f %% \033[K", done, total, percent)
}

func (p *progress) clear() {
	if p.shown {
		fmt.Fprint(p.w, "\r\033[K")
	}
}

// verifyProof checks the proof of one call and prints the record it proves.
func verifyProof(c *cobra.Command, file, key, dir string, asJSON bool) error {
	b, err := os.ReadFile(file)
	if err == nil {
		err = checkKey(key)
	} else {
		err = usage(fmt.Errorf("--proof: %w", err))
	}
	if err != nil {
		return err
	}
	if key == "" {
		s, err := readState(dir)
		if err != nil {
			return err
		}
		if key, err = record.PublicKey(string(s)); err != nil {
			return err
		}
	}
	p, err := record.ParseProof(b)
	if err != nil {
		return &exit{code: exitRefused, err: err}
	}
	if err := record.VerifyProof(b, p.Entry, key); err != nil {
		return &exit{code: exitRefused, err: err}
	}
	if asJSON {
		return printJSON(c.OutOrStdout(), map[string]any{"ok": true, "index": p.Index, "key": key, "record": json.RawMessage(p.Entry)})
	}
	origin, _, _ := strings.Cut(key, "+")
	fmt.Fprintf(c.ErrOrStderr(), "ok  entry %d of %s, as its key signed it:\n", p.Index, clean(origin))
	_, err = fmt.Fprintf(c.OutOrStdout(), "%s\n", p.Entry)
	return err
}

// printReport tells what verify found; err is what is wrong with the log.
func printReport(w io.Writer, r record.Report, err error, asJSON bool) error {
	var damage *record.Damage
	damaged := errors.As(err, &damage)
	if asJSON {
		out := struct {
			OK     bool   `json:"ok"`
			Index  *int64 `json:"index,omitempty"`
			Damage string `json:"damage,omitempty"`
			record.Report
		}{OK: err == nil, Report: r}
		if err != nil {
			out.Damage = err.Error()
		}
		if damaged && damage.Index >= 0 {
			out.Index = &damage.Index
		}
		if e := printJSON(w, out); e != nil || err == nil {
			return e
		}
		return refused()
	}
	if err != nil {
		return &exit{exitRefused, err, []string{"the log is not what was written; keep it as it is, and compare with a checkpoint kept elsewhere"}}
	}
	fmt.Fprintf(w, "ok  %s signed by %s, %d not yet\n", times(r.Size, "entry", "entries"), r.Origin, r.Tail)
	fmt.Fprintf(w, "    %s in %s, %d open, from %s to %s\n", times(r.Calls, "call", "calls"), times(int64(r.Sessions), "session", "sessions"), r.OpenCalls,
		r.First.Local().Format(time.DateTime), r.Last.Local().Format(time.DateTime))
	_, err = fmt.Fprintf(w, "    root %s, %s consistent\n", r.Root, times(int64(r.Checkpoints), "checkpoint", "checkpoints"))
	return err
}

func logProveCommand() *cobra.Command {
	var dir string
	var closed bool
	c := &cobra.Command{
		Use:   "prove ID",
		Short: "Print a proof of one call that verifies offline",
		Long: `prove prints a .tlog-proof (c2sp.org/tlog-proof@v1) of the decided record of a
call. It holds the record, its place in the tree and the signed checkpoint, so
that it can be checked with nothing but the public key (DIR/keys/log.pub).`,
		Example: `  outvet log prove K7Q2XM > call.tlog-proof
  outvet log verify --proof call.tlog-proof --key "$(cat log.pub)"`,
		Args: exactArgs("ID"),
		RunE: func(c *cobra.Command, args []string) error {
			found, err := lookup(dir, args[0])
			if err != nil {
				return err
			}
			s, err := readState(dir)
			if err != nil {
				return err
			}
			kind := call.Decided
			if closed {
				kind = call.Closed
			}
			b, err := record.Prove(string(s), found.Decided.ID, kind)
			if err != nil {
				return err
			}
			_, err = c.OutOrStdout().Write(b)
			return err
		},
	}
	stateFlag(c, &dir)
	c.Flags().BoolVar(&closed, "closed", false, "prove the closed record instead")
	return c
}
