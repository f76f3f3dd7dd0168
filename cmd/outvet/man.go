package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// manCommand writes the manual pages from the definitions of the commands, so
// that they cannot say anything else.
func manCommand() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use: "man", Short: "Write the manual pages", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
			epoch := time.Unix(0, 0) // pages do not differ from day to day
			if err := doc.GenManTree(c.Root(), &doc.GenManHeader{Title: "OUTVET", Section: "1", Source: "outvet", Manual: "outvet", Date: &epoch}, dir); err != nil {
				return err
			}
			_, err := fmt.Fprintf(c.OutOrStdout(), "wrote the pages to %s; read them with man -l %s\n", dir, filepath.Join(dir, "outvet.1"))
			return err
		},
	}
	c.Flags().StringVar(&dir, "dir", "man", "`DIR` to write to")
	return c
}
