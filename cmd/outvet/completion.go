package main

import (
	"context"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"outvet/internal/filter"
	"outvet/internal/policy"
	"outvet/internal/record"
)

// complete lets shells complete the arguments of all commands below c, by the
// words in which their usage names them.
func complete(c *cobra.Command) {
	for _, sub := range c.Commands() {
		complete(sub)
	}
	if c.ValidArgsFunction != nil {
		return
	}
	_, args, _ := strings.Cut(c.Use, " ")
	switch args {
	case "ID":
		c.ValidArgsFunction = first(completeCall)
	case "SESSION":
		c.ValidArgsFunction = first(completeSession)
	case "METHOD URL":
		c.ValidArgsFunction = first(cobra.FixedCompletions([]string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"}, cobra.ShellCompDirectiveNoFileComp))
	case "PRESET":
		c.ValidArgsFunction = first(cobra.FixedCompletions(policy.Presets(), cobra.ShellCompDirectiveNoFileComp))
	case "[EXPR]":
		c.ValidArgsFunction = completeField
	case "FILE", "[FILE]":
		c.ValidArgsFunction = first(func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
		})
	default:
		c.ValidArgsFunction = cobra.NoFileCompletions
	}
}

// first completes the first argument by f, and none after it.
func first(f cobra.CompletionFunc) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return f(c, args, word)
	}
}

// Bounds of what is offered: a shell waits for it.
const (
	offered     = 50
	offeredTime = 2 * time.Second
)

// completeCall offers the newest calls by their short ID.
func completeCall(c *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
	none := cobra.ShellCompDirectiveNoFileComp
	dir, _ := c.Flags().GetString("state")
	s, err := readState(dir)
	if err != nil {
		return nil, none
	}
	every, err := filter.Parse("")
	if err != nil {
		return nil, none
	}
	ctx, cancel := context.WithTimeout(c.Context(), offeredTime)
	defer cancel()
	var out []string
	for found, err := range record.Search(ctx, string(s), every, record.SearchOptions{Limit: 20 * offered}) {
		if err != nil || len(out) == offered {
			break
		}
		if id := found.Decided.ID.Short(); strings.HasPrefix(id, strings.ToUpper(word)) && harmless(id) {
			d := found.Decided
			out = append(out, cobra.CompletionWithDesc(id, tame(decision(found).Verdict.String()+" "+d.Method+" "+whither(d))))
		}
	}
	return out, none | cobra.ShellCompDirectiveKeepOrder
}

// completeSession offers the sessions to which the command can be done.
func completeSession(c *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
	none := cobra.ShellCompDirectiveNoFileComp
	dir, _ := c.Flags().GetString("state")
	s, err := readState(dir)
	if err != nil {
		return nil, none
	}
	cl, err := running(s)
	if err != nil {
		return nil, none
	}
	ctx, cancel := context.WithTimeout(c.Context(), offeredTime)
	defer cancel()
	var all []struct{ Session, Agent, Quarantined string }
	if cl.do(ctx, "GET", "/v1/sessions", nil, &all) != nil {
		return nil, none
	}
	var out []string
	for _, i := range all {
		if len(out) == offered {
			break
		}
		if (i.Quarantined != "") == (c.Name() == "release") && strings.HasPrefix(i.Session, word) && harmless(i.Session) {
			out = append(out, cobra.CompletionWithDesc(i.Session, tame(strings.TrimSpace(i.Agent+" "+i.Quarantined))))
		}
	}
	return out, none | cobra.ShellCompDirectiveKeepOrder
}

// completeField offers the fields of expressions.
func completeField(_ *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
	not := ""
	if strings.HasPrefix(word, "!") {
		not = "!"
	}
	var out []string
	for _, f := range filter.Fields() {
		if strings.HasPrefix(not+f, word) {
			out = append(out, not+f+":")
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// Names of sessions, and hosts and paths, are chosen by agents, and what is
// offered ends on a person's command line: a name in which a shell could find
// more than a word is not offered.
var harmlessWord = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:@+=,/-]{0,127}$`)

func harmless(s string) bool { return harmlessWord.MatchString(s) }

// tame returns s as a description that no shell reads anything into.
func tame(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == ' ' || r < 0x80 && harmless("a"+string(r)) {
			return r
		}
		return '?'
	}, s)
	return s[:min(len(s), 60)]
}
