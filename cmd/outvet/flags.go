package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

// A count is a flag of a whole number that is not below least. Its errors say
// what to give, where those of cobra quote the parser.
type count struct {
	v     *int
	least int
}

func (n count) Set(s string) error {
	v, err := strconv.Atoi(s)
	if err != nil || v < n.least {
		return fmt.Errorf("give a whole number, at least %d", n.least)
	}
	*n.v = v
	return nil
}

func (n count) String() string {
	if n.v == nil {
		return "0"
	}
	return strconv.Itoa(*n.v)
}

func (n count) Type() string { return "int" }

// A span is a flag of a time that is not negative.
type span struct{ v *time.Duration }

func (d span) Set(s string) error {
	v, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return errors.New("give a time with its unit, such as 30s, 5m or 168h")
	case v < 0:
		return errors.New("a time cannot be negative")
	}
	*d.v = v
	return nil
}

func (d span) String() string {
	if d.v == nil {
		return "0s"
	}
	return d.v.String()
}

func (d span) Type() string { return "duration" }

// exclusive says that two of the flags were given that exclude each other.
func exclusive(c *cobra.Command, a, b string) error {
	if c.Flags().Changed(a) && c.Flags().Changed(b) {
		return usage(fmt.Errorf("--%s and --%s exclude each other", a, b), "see "+c.CommandPath()+" --help")
	}
	return nil
}
