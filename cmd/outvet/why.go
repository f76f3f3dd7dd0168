package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"outvet/call"
	"outvet/internal/record"
)

func whyCommand() *cobra.Command {
	c := callCommand("why ID", "Explain what became of a call, and by which rule")
	c.Long = `why explains a call of the record. ID is what an answer or a log line shows; any
unambiguous tail of at least four characters will do. An ID that is not in the
record proves that the text that showed it is not ours.

Inside a sandbox it explains the newest calls of that session.`
	return c
}

// callCommand is a command that prints one call of the record.
func callCommand(use, short string) *cobra.Command {
	var dir string
	var asJSON bool
	c := &cobra.Command{
		Use: use, Short: short, Args: exactArgs("ID"),
		RunE: func(c *cobra.Command, args []string) error {
			if n, in := within(); in {
				return n.why(c, args[0], asJSON)
			}
			found, err := lookup(dir, args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), joined(found))
			}
			return printCall(c.OutOrStdout(), found)
		},
	}
	stateFlag(c, &dir)
	jsonFlag(c, &asJSON)
	return c
}

// callerOf says who called: what was found out late is in the closed record.
func callerOf(c record.Call) call.Caller {
	if c.Closed != nil && c.Closed.Caller.Process.Value != "" {
		return c.Closed.Caller
	}
	return c.Decided.Caller
}

// printCall tells a person all that the record says of a call.
func printCall(w io.Writer, c record.Call) error {
	d := c.Decided
	what := whither(d)
	if d.Host != "" {
		what = d.Scheme + "://" + what
	}
	what = strings.TrimSpace(d.Method + " " + what)
	if err := printDecision(w, what, decision(c)); err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "  call    %s, %s, by listener %s (%s)\n", d.ID, d.Time.Local().Format(time.DateTime), d.Listener, d.Grade)
	fmt.Fprintf(&b, "  who     session %s (%s)%s, number %d\n", clean(string(d.Caller.Session)), d.Caller.SessionMark, attr(", agent ", callerOf(c).Agent.Value), d.Seq)
	if who := callerOf(c); who.Process.Value != "" {
		fmt.Fprintf(&b, "  by      %s (%s)%s%s\n", clean(who.Process.Value), who.Process.Mark, attr(", tool call ", who.ToolCall.Value), attr(", conversation ", who.Conversation.Value))
	}
	if d.Category != "" || d.Trust != "" {
		fmt.Fprintf(&b, "  where   category %s, trust %s\n", or(d.Category, "unknown"), or(d.Trust, "unknown"))
	}
	fmt.Fprintf(&b, "  policy  %s\n", decision(c).Policy)
	switch {
	case c.Closed == nil:
		fmt.Fprintf(&b, "  outcome still open, or lost in a crash\n")
	case c.Closed.Outcome != nil:
		o := c.Closed.Outcome
		with := ""
		if o.Status != 0 {
			with = "status " + status(o) + ", "
		}
		fmt.Fprintf(&b, "  outcome %ssent %s, received %s, %s\n", with, size(o.Sent), size(o.Received), c.Closed.Took.Round(10*time.Microsecond))
		if o.Aborted {
			fmt.Fprintf(&b, "          stopped under way\n")
		}
		if o.Address != "" {
			fmt.Fprintf(&b, "  address %s\n", o.Address)
		}
		if o.Via != "" {
			fmt.Fprintf(&b, "  via     %s\n", clean(o.Via))
		}
		if o.Error != "" {
			fmt.Fprintf(&b, "  error   %s\n", clean(o.Error))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func attr(label, v string) string {
	if v == "" {
		return ""
	}
	return label + clean(v)
}

func or(v, otherwise string) string {
	if v == "" {
		return otherwise
	}
	return v
}
