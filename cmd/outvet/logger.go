package main

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"
)

// logFlags say how serve tells its operators what it does. What agents did is in
// the record, not here.
type logFlags struct {
	format, level string
}

func (o *logFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&o.format, "log-format", "text", "`FORMAT` of messages on standard error: text or json")
	c.Flags().StringVar(&o.level, "log-level", "info", "least `LEVEL` of messages: debug, info, warn or error")
	_ = c.RegisterFlagCompletionFunc("log-format", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("log-level", cobra.FixedCompletions([]string{"debug", "info", "warn", "error"}, cobra.ShellCompDirectiveNoFileComp))
}

func (o *logFlags) logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.level)); err != nil {
		return nil, usage(fmt.Errorf("--log-level: %q is none of debug, info, warn, error", o.level))
	}
	opts := &slog.HandlerOptions{Level: level}
	switch o.format {
	case "text":
		return slog.New(slog.NewTextHandler(w, opts)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, opts)), nil
	}
	return nil, usage(fmt.Errorf("--log-format: %q is neither text nor json", o.format))
}
