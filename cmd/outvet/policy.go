package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"outvet/call"
	"outvet/internal/gate"
	"outvet/internal/policy"
)

func policyCommand() *cobra.Command {
	c := &cobra.Command{Use: "policy", Short: "Check, test and explain policies", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.AddCommand(policyLintCommand(), policyTestCommand(), policyExplainCommand(), policySchemaCommand(), policyShowCommand(), policyTrustCommand())
	return c
}

// named returns the source that an argument, or else the flags, name.
func named(c *cobra.Command, flags *policyFlags, dir string, args []string) (*source, error) {
	if len(args) == 1 {
		for _, f := range [...]string{"policy", "preset"} {
			if c.Flags().Changed(f) {
				return nil, usage(fmt.Errorf("%s: %s and --%s exclude each other", c.CommandPath(), args[0], f))
			}
		}
		return file(args[0]), nil
	}
	s, err := findState(dir)
	if err != nil {
		return nil, err
	}
	src, err := flags.find(s)
	if err == nil && src.warn != "" {
		fmt.Fprintln(c.ErrOrStderr(), "outvet:", src.warn)
	}
	return src, err
}

func policyLintCommand() *cobra.Command {
	var flags policyFlags
	var dir string
	var asJSON bool
	c := &cobra.Command{
		Use: "lint [FILE]", Short: "Find what is wrong, unused or wider than it looks", Args: maxArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			src, err := named(c, &flags, dir, args)
			if err != nil {
				return err
			}
			src.options.Untested = true
			p, err := src.load(c.Context())
			if err != nil {
				return err
			}
			problems := p.Lint()
			if asJSON {
				err = printJSON(c.OutOrStdout(), append([]policy.Problem{}, problems...))
			} else {
				err = printProblems(c.OutOrStdout(), src.name, problems)
			}
			if err == nil && len(problems) > 0 {
				err = refused()
			}
			return err
		},
	}
	flags.add(c)
	stateFlag(c, &dir)
	jsonFlag(c, &asJSON)
	return c
}

func printProblems(w io.Writer, name string, problems []policy.Problem) error {
	for _, p := range problems {
		if _, err := fmt.Fprintf(w, "%s: %s\n", p.At, p.Message); err != nil {
			return err
		}
	}
	if len(problems) > 0 {
		return nil
	}
	_, err := fmt.Fprintf(w, "ok  %s\n", name)
	return err
}

func policyTestCommand() *cobra.Command {
	var flags policyFlags
	var dir, format string
	var asJSON bool
	c := &cobra.Command{
		Use:   "test [FILE]",
		Short: "Run the tests of a policy",
		Long: `test runs the entries of tests: through the gate, as serve would decide them.
A policy whose tests fail does not load either.`,
		Args: maxArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			print, ok := testFormats()[format]
			if asJSON {
				print, ok = printTestsJSON, true
			}
			if !ok {
				return usage(fmt.Errorf("-o %q is not a format", format), "formats: text, tap, junit")
			}
			src, err := named(c, &flags, dir, args)
			if err != nil {
				return err
			}
			src.options.Untested = true
			p, err := src.load(c.Context())
			if err != nil {
				return err
			}
			results := p.Test(c.Context(), src.judge())
			if err := print(c.OutOrStdout(), src.name, results); err != nil {
				return err
			}
			if failures(results) > 0 {
				return refused()
			}
			return nil
		},
	}
	flags.add(c)
	stateFlag(c, &dir)
	c.Flags().StringVarP(&format, "output", "o", "text", "`FORMAT`: text, tap or junit")
	jsonFlag(c, &asJSON)
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "tap", "junit"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

func policyExplainCommand() *cobra.Command {
	var o request
	var flags policyFlags
	var dir string
	var asJSON, all bool
	c := &cobra.Command{
		Use:   "explain METHOD URL",
		Short: "Say for every rule why it matches a call or not",
		Args:  exactArgs("METHOD", "URL"),
		RunE: func(c *cobra.Command, args []string) error {
			r, err := o.parse(c, args[0], args[1])
			if err != nil {
				return err
			}
			src, err := named(c, &flags, dir, nil)
			if err != nil {
				return err
			}
			p, err := src.load(c.Context())
			if err != nil {
				return err
			}
			set, err := src.inspectors(p)
			if err != nil {
				return usage(err)
			}
			subject, d, err := gate.Dry(p, set).Try(c.Context(), r)
			if err != nil {
				return usage(err)
			}
			x := p.Explain(subject, d)
			if d.Rule == call.RuleAddress { // by the guard, after all rules
				x.Decision = d
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), x)
			}
			return printExplanation(c.OutOrStdout(), args[0]+" "+args[1], x, all)
		},
	}
	o.add(c)
	flags.add(c)
	stateFlag(c, &dir)
	c.Flags().BoolVar(&all, "all", false, "show rules that are about other destinations too")
	jsonFlag(c, &asJSON)
	return c
}

// printExplanation tells the decision and then each rule: those that matched,
// those that nearly did, and with all the rest.
// unmet says why a condition is not met.
func unmet(f policy.Field) string {
	said := fmt.Sprintf("%s: wants %s", f.Name, f.Want)
	if f.Got != "" || f.Name != "when" { // an expression has no value to show
		said += ", has " + or(f.Got, "none")
	}
	if f.Answer != "no" {
		said += " (" + f.Answer + ")" // unknown, or only claimed
	}
	return said
}

func printExplanation(w io.Writer, what string, x policy.Explanation, all bool) error {
	if err := printDecision(w, what, x.Decision); err != nil {
		return err
	}
	fmt.Fprintf(w, "  where   category %s, trust %s\n\n", or(x.Category, "unknown"), or(x.Trust, "unknown"))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	hidden := 0
	for _, r := range x.Rules {
		mark, why := "+", ""
		if !r.Matched {
			mark = "-"
			first := true
			for _, f := range r.Fields {
				if f.Answer != "yes" && first {
					why, first = unmet(f), false
					if f.Name == "to" && !all {
						hidden++
						mark = ""
					}
				}
			}
		}
		if mark != "" {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", mark, or(r.Verdict, "edit"), clean(r.Rule), r.At, clean(why))
		}
	}
	if err := t.Flush(); err != nil || hidden == 0 {
		return err
	}
	about := "rules are"
	if hidden == 1 {
		about = "rule is"
	}
	_, err := fmt.Fprintf(w, "\n%d %s about other destinations; --all shows them\n", hidden, about)
	return err
}

func policySchemaCommand() *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of policy files, for editors", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := c.OutOrStdout().Write(policy.Schema())
			return err
		},
	}
}

func policyShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show PRESET", Short: "Print a preset (" + strings.Join(policy.Presets(), ", ") + ")", Args: exactArgs("PRESET"),
		ValidArgs: policy.Presets(),
		RunE: func(c *cobra.Command, args []string) error {
			b, err := policy.PresetText(args[0])
			if err != nil {
				return usage(err)
			}
			_, err = c.OutOrStdout().Write(b)
			return err
		},
	}
}

func policyTrustCommand() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use: "trust FILE", Short: "Let a policy found in the workspace decide, as it is now", Args: exactArgs("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := openState(dir)
			if err != nil {
				return err
			}
			if err := s.trust(args[0]); err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "trusted %s as it is now; after a change it only tightens again\n", args[0])
			return err
		},
	}
	stateFlag(c, &dir)
	return c
}

func failures(results []policy.TestResult) (n int) {
	for _, r := range results {
		if r.Failure != "" {
			n++
		}
	}
	return n
}
