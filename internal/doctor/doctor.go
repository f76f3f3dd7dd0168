package doctor

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"
)

// Limit is how long one check may take.
const Limit = 20 * time.Second

// atOnce is how many checks run at a time.
const atOnce = 4

// A State is how a check ended.
type State string

const (
	OK      State = "ok"
	Failed  State = "failed"
	Skipped State = "skipped"
)

// A Result is what a check found.
type Result struct {
	Name  string `json:"name"`
	State State  `json:"state"`
	What  string `json:"what"`            // in a few words
	Cause string `json:"cause,omitempty"` // of a failure, as the program says it
	Cure  string `json:"cure,omitempty"`  // what to do
	MS    int64  `json:"ms"`
}

// A Check finds out one thing. Its result needs no name and no time.
type Check struct {
	Name string
	Do   func(context.Context) Result
}

// Run runs the checks, some at a time, and returns their results in their
// order. One that panics or does not end has failed.
func Run(ctx context.Context, checks []Check) []Result {
	all := make([]Result, len(checks))
	var running sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for i, c := range checks {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			all[i] = c.run(ctx)
		})
	}
	running.Wait()
	return all
}

func (c Check) run(ctx context.Context) (r Result) {
	ctx, cancel := context.WithTimeout(ctx, Limit)
	defer cancel()
	start := time.Now()
	r = c.Do(ctx)
	r.Name, r.MS = c.Name, time.Since(start).Milliseconds()
	return r
}

// Healthy reports whether no check failed.
func Healthy(results []Result) bool {
	for _, r := range results {
		if r.State == Failed {
			return false
		}
	}
	return true
}

// Print prints the results in the form of the package documentation.
func Print(w io.Writer, results []Result) error {
	for _, r := range results {
		line := fmt.Sprintf("%-7s %-20s %s", r.State, r.Name, plain(r.What))
		if r.State == OK && r.MS > 0 {
			line = fmt.Sprintf("%-78s %5d ms", line, r.MS)
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
		for _, more := range [][2]string{{"cause", r.Cause}, {"cure", r.Cure}} {
			if more[1] == "" {
				continue
			}
			if _, err := fmt.Fprintf(w, "  %-6s %s\n", more[0], plain(more[1])); err != nil {
				return err
			}
		}
	}
	return nil
}

// plain keeps what a program said from acting on the terminal.
func plain(s string) string {
	var b []rune
	for _, r := range s {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			r = ' '
		}
		b = append(b, r)
	}
	return string(b)
}
