package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"outvet/internal/sandbox"
	pty "outvet/internal/sandbox/terminal"
)

// review shows what the command has done to the workspace, where nothing of it is
// yet, and makes of it what the user wants.
func (l *launch) review(p *sandbox.Proposal, seen bool) error {
	if len(p.Edits) == 0 {
		fmt.Fprintln(l.errs, " the workspace is as it was")
		return nil
	}
	for _, e := range p.Edits {
		fmt.Fprintln(l.errs, "  ", clean(e.String()))
	}
	which := l.o.apply
	if which == "ask" {
		which = "none"
		if seen && pty.Is(os.Stdin) {
			which = l.ask(len(p.Edits))
		}
	}
	switch which {
	case "all":
		if err := p.Apply(nil); err != nil {
			return fmt.Errorf("apply: %w", err)
		}
		fmt.Fprintf(l.errs, " %s made in %s\n", times(int64(len(p.Edits)), "change", "changes"), tilde(l.o.workspace))
	case "plain":
		if err := p.Apply(func(e sandbox.Edit) bool { return !e.AutoRun }); err != nil {
			return fmt.Errorf("apply: %w", err)
		}
		fmt.Fprintf(l.errs, " the changes that nothing runs by itself are made in %s\n", tilde(l.o.workspace))
	default:
		fmt.Fprintf(l.errs, " %s not made; --apply all makes them\n", times(int64(len(p.Edits)), "change", "changes"))
	}
	return nil
}

// ask asks the user. Enter does nothing.
func (l *launch) ask(n int) string {
	in := bufio.NewReader(os.Stdin)
	for range 3 {
		fmt.Fprintf(l.errs, " make %s? [y] all  [p] but those that others run or obey  [n] none: ", times(int64(n), "change", "changes"))
		line, err := in.ReadString('\n')
		switch strings.ToLower(strings.TrimSpace(line)) {
		case "y", "yes":
			return "all"
		case "p":
			return "plain"
		case "n", "no", "":
			return "none"
		}
		if err != nil {
			break
		}
	}
	return "none"
}
