package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// healthCommand is the check of containers that hold nothing but outvet.
func healthCommand() *cobra.Command {
	var dir string
	var asJSON bool
	c := &cobra.Command{
		Use: "health", Short: "Ask the running outvet whether it can do its work", Args: noArgs,
		Long: `health asks GET /healthz of the outvet that serves the state directory. It exits
with 0 when calls are decided and recorded, also while the kill switch stops them
all, and with 1 and the reason when not.`,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := findState(dir)
			if err != nil {
				return err
			}
			said := "no outvet serves " + string(s)
			ok := false
			if cl, err := running(s); err == nil {
				ok, said, err = cl.health(c.Context())
				if errors.Is(err, errNoAnswer) {
					said = err.Error()
				} else if err != nil {
					return err
				}
			}
			if asJSON {
				if err := printJSON(c.OutOrStdout(), map[string]any{"ok": ok, "said": said}); err != nil {
					return err
				}
			} else {
				fmt.Fprintln(c.OutOrStdout(), clean(strings.ReplaceAll(said, "\n", "; ")))
			}
			if !ok {
				return refused()
			}
			return nil
		},
	}
	stateFlag(c, &dir)
	jsonFlag(c, &asJSON)
	return c
}
