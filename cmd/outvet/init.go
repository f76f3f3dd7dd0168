package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"outvet/internal/policy"
)

func initCommand() *cobra.Command {
	var out string
	var asJSON bool
	c := &cobra.Command{
		Use: "init", Short: "Write a commented policy to start from", Args: noArgs,
		Long: `init writes a policy with comments and tests. It never overwrites a file.`,
		RunE: func(c *cobra.Command, _ []string) error {
			f, err := os.OpenFile(out, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
			if errors.Is(err, fs.ErrExist) {
				return usage(fmt.Errorf("%s exists and is left as it is", out), "write elsewhere with --output FILE")
			}
			if err != nil {
				return usage(err)
			}
			_, err = f.Write(policy.Init())
			if err := errors.Join(err, f.Close()); err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), map[string]string{"file": out})
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "wrote %s\n\n  outvet policy test %s        run its tests\n  outvet serve --policy %s     put it in force\n", out, out, out)
			return err
		},
	}
	c.Flags().StringVarP(&out, "output", "o", "outvet.yaml", "`FILE` to write")
	jsonFlag(c, &asJSON)
	return c
}
