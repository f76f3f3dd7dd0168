package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/user"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"outvet/call"
	"outvet/internal/gate"
	"outvet/internal/record"
	"outvet/internal/session"
)

func sessionCommand() *cobra.Command {
	c := &cobra.Command{Use: "session", Short: "List, show, quarantine and release sessions", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.AddCommand(sessionListCommand(), sessionShowCommand(), sessionChangeCommand("quarantine", "Stop a session: it cannot call until it is released"),
		sessionChangeCommand("release", "Let a quarantined session call again"))
	return c
}

func sessionListCommand() *cobra.Command {
	var dir string
	var asJSON bool
	c := &cobra.Command{
		Use: "list", Short: "List the sessions, the last active first", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var all []struct {
				Session, Parent, Mark, Agent, Quarantined string
				First, Last                               time.Time
				Calls                                     int64
			}
			var raw any = &all
			s, err := readState(dir)
			if err != nil {
				return err
			}
			cl, err := running(s)
			if err != nil {
				return err
			}
			if asJSON {
				var v any
				raw = &v
			}
			if err := cl.do(c.Context(), "GET", "/v1/sessions", nil, raw); err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), raw)
			}
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "SESSION\tMARK\tCALLS\tLAST\tAGENT\tQUARANTINED")
			for _, i := range all {
				last := "-"
				if !i.Last.IsZero() {
					last = i.Last.Local().Format(time.DateTime)
				}
				fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\n", clean(i.Session), i.Mark, i.Calls, last, clean(i.Agent), clean(i.Quarantined))
			}
			return w.Flush()
		},
	}
	stateFlag(c, &dir)
	jsonFlag(c, &asJSON)
	return c
}

func sessionChangeCommand(verb, short string) *cobra.Command {
	var dir, why string
	var asJSON bool
	c := &cobra.Command{
		Use: verb + " SESSION", Short: short, Args: exactArgs("SESSION"),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := readState(dir)
			if err != nil {
				return err
			}
			cl, err := running(s)
			if errors.Is(err, errNotServed) { // what runs takes it in from the journal
				err := alone(c.Context(), s, func(g *gate.Gate) error {
					if verb == "quarantine" {
						return g.Quarantine(call.SessionID(args[0]), me(), why)
					}
					return g.Release(call.SessionID(args[0]), me())
				})
				if err != nil {
					return err
				}
				return changed(c, asJSON, args[0], verb)
			}
			if err != nil {
				return err
			}
			body := map[string]string{"by": me(), "why": why}
			if err := cl.do(c.Context(), "POST", "/v1/sessions/"+url.PathEscape(args[0])+"/"+verb, body, &struct{}{}); err != nil {
				return err
			}
			return changed(c, asJSON, args[0], verb)
		},
	}
	stateFlag(c, &dir)
	jsonFlag(c, &asJSON)
	if verb == "quarantine" {
		c.Flags().StringVar(&why, "why", "stopped by hand", "reason, for the agent and the record")
	}
	return c
}

// changed says what was done to a session.
func changed(c *cobra.Command, asJSON bool, session, verb string) error {
	if asJSON {
		return printJSON(c.OutOrStdout(), map[string]string{"session": session, "state": verb + "d"})
	}
	_, err := fmt.Fprintf(c.OutOrStdout(), "%sd %s\n", verb, clean(session))
	return err
}

// alone changes the sessions of s where nobody serves it.
func alone(ctx context.Context, s state, change func(*gate.Gate) error) error {
	sessions, err := session.Open(s.sessions())
	if err != nil {
		return err
	}
	defer sessions.Close()
	log, err := record.Share(ctx, string(s), record.Options{})
	if err != nil {
		return err
	}
	return errors.Join(change(&gate.Gate{Sessions: sessions, Log: log}), log.Close())
}

// me names the person at the terminal for the record.
func me() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "uid " + strconv.Itoa(os.Getuid()) // as in a container without accounts
}
