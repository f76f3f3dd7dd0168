package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// Exit codes, kept stable for scripts.
const (
	exitOK      = 0
	exitRefused = 1   // denied, refused, or a test failed
	exitUsage   = 2   // the command line or a file it names is wrong
	exitFailed  = 125 // outvet itself failed
)

// An exit is an error that says how the process ends. Hints tell what to do.
type exit struct {
	code  int
	err   error // nil if all was said already
	hints []string
}

func (e *exit) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e *exit) Unwrap() error { return e.err }

// usage says that the user gave something wrong.
func usage(err error, hints ...string) error { return &exit{exitUsage, err, hints} }

// refused ends a command whose answer is no; the answer was printed.
func refused() error { return &exit{code: exitRefused} }

// A terminal is where a command reads and writes.
type terminal struct {
	in       io.Reader
	out, err io.Writer
}

// run runs the command line and returns the exit code. Errors go to t.err, in
// one voice: "outvet: ", lower case, no period, hints below.
func run(ctx context.Context, args []string, t terminal) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(t.in)
	root.SetOut(t.out)
	root.SetErr(t.err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	e := &exit{code: exitFailed, err: err}
	errors.As(err, &e)
	if e.err != nil {
		fmt.Fprintln(t.err, "outvet:", strings.TrimPrefix(err.Error(), "outvet: "))
	}
	for _, h := range e.hints {
		fmt.Fprintln(t.err, "        "+h)
	}
	return e.code
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "outvet",
		Short: "Vet what AI agents send out",
		Long: `outvet stands where every outbound call of an agent must pass. It answers each
with allow, hold for a human, or block, may edit it on the way, tells why, and
keeps a signed record that an outsider can verify.

outvet completion SHELL --help says how to let your shell complete commands,
flags, sessions and call IDs.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage(err, "see "+c.CommandPath()+" --help")
	})
	root.AddCommand(runCommand(), attackCommand(), serveCommand(), checkCommand(), whyCommand(), statusCommand(), initCommand(), policyCommand(),
		logCommand(), sessionCommand(), killCommand(), healthCommand(), caCommand(), doctorCommand(), manCommand(), versionCommand())
	root.SetHelpCommand(helpCommand())
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() == "completion" {
			c.Args, c.RunE = noArgs, func(c *cobra.Command, _ []string) error { return c.Help() }
		}
	}
	complete(root)
	stayOutside(root)
	return root
}

// noArgs, exactArgs and maxArgs are cobra's checks with our exit code.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		hints := []string{"see " + c.CommandPath() + " --help"}
		c.SuggestionsMinimumDistance = 2
		if s := c.SuggestionsFor(args[0]); len(s) > 0 {
			hints = []string{"did you mean " + strings.Join(s, " or ") + "?"}
		}
		return usage(fmt.Errorf("%s: unknown command or argument %q", c.CommandPath(), args[0]), hints...)
	}
	return nil
}

func exactArgs(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != len(names) {
			return usage(fmt.Errorf("%s takes %s", c.CommandPath(), strings.Join(names, " ")), "see "+c.CommandPath()+" --help")
		}
		return nil
	}
}

func maxArgs(n int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) > n {
			return usage(fmt.Errorf("%s: unexpected argument %q", c.CommandPath(), args[n]), "see "+c.CommandPath()+" --help")
		}
		return nil
	}
}

// helpCommand is cobra's, but a command that there is not is an error.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "Help about any command",
		RunE: func(c *cobra.Command, args []string) error {
			found, rest, err := c.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return noArgs(found, rest)
			}
			found.InitDefaultHelpFlag()
			return found.Help()
		},
	}
}

func versionCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "version", Short: "Print the version", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if asJSON {
				return printJSON(c.OutOrStdout(), map[string]string{"version": version})
			}
			_, err := fmt.Fprintln(c.OutOrStdout(), "outvet", version)
			return err
		},
	}
	jsonFlag(c, &asJSON)
	return c
}

func jsonFlag(c *cobra.Command, v *bool) {
	c.Flags().BoolVar(v, "json", false, "print JSON")
}

// interactive reports whether w is a terminal that wants colour and progress.
func interactive(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
