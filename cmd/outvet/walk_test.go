package main

import "github.com/spf13/cobra"

// walk calls f for every command of ours.
func walk(c *cobra.Command, f func(path string, json bool, short string)) {
	if c.Name() == "completion" || c.Name() == "help" {
		return
	}
	f(c.CommandPath(), c.Flags().Lookup("json") != nil, c.Short)
	for _, sub := range c.Commands() {
		walk(sub, f)
	}
}
