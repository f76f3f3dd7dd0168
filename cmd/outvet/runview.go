package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"outvet/call"
	"outvet/internal/sandbox"
	"outvet/internal/summary"
)

// banner tells what begins.
func (l *launch) banner() error {
	b := summary.Banner{
		Version: version, Policy: strings.TrimPrefix(l.source.name, "preset "), Observe: l.o.observe,
		Agent: l.caller.Agent.Value, Log: tilde(string(l.state)), Grade: l.grade,
	}
	if l.source.options.Preset == "balanced" {
		b.About = "secrets, tunnels, metadata blocked; the rest recorded"
	}
	switch l.grade {
	case call.Cooperative:
		b.Notes = append(b.Notes, "cooperative: the command can go around outvet")
	case call.SealedNoFS:
		b.Notes = append(b.Notes, "the files of this machine, and its sockets, can be reached")
	}
	if l.source.warn != "" {
		b.Notes = append(b.Notes, l.source.warn)
	}
	b.Notes = append(b.Notes, l.kit.Notes...)
	return b.Print(l.errs, styleOf(l.errs))
}

// tilde writes a path as people say it.
func tilde(path string) string {
	home, err := os.UserHomeDir()
	if rest, ok := strings.CutPrefix(path, home+string(filepath.Separator)); err == nil && ok {
		return filepath.Join("~", rest)
	}
	return path
}

// report tells what was done, and what to type next.
func (l *launch) report(end ending) error {
	r := l.sum.Report()
	r.Session = l.caller.Session
	if l.o.json {
		return r.WriteJSON(l.errs)
	}
	if end.reason != "" {
		fmt.Fprintln(l.errs, "outvet:", end.reason)
	}
	if r.Calls > 0 {
		if err := r.Print(l.errs, styleOf(l.errs)); err != nil {
			return err
		}
	}
	l.obeyed(end.changes)
	if len(end.held) > 0 {
		var kept []string
		for _, what := range slices.Sorted(maps.Keys(end.held)) {
			kept = append(kept, fmt.Sprintf("%s ×%d", clean(what), end.held[what]))
		}
		fmt.Fprintf(l.errs, " kept from your terminal: %s\n", strings.Join(kept, ", "))
	}
	return nil
}

// obeyedShown is how many changes of files that others run or obey are told one by one.
const obeyedShown = 12

// obeyed tells what the command changed of what others run or obey. Samples of hooks,
// which every new repository has, are run by nobody.
func (l *launch) obeyed(all []sandbox.Change) {
	n := 0
	for _, c := range all {
		if filepath.Base(filepath.Dir(c.Path)) == "hooks" && filepath.Ext(c.Path) == ".sample" {
			continue
		}
		if n++; n <= obeyedShown {
			fmt.Fprintf(l.errs, " %s %s  (others run or obey it: look at it)\n", c.Kind, clean(c.Path))
		}
	}
	if n > obeyedShown {
		fmt.Fprintf(l.errs, " and %s more that others run or obey\n", counted(n-obeyedShown, "change"))
	}
}

// A held is a writer that keeps what comes while the terminal is the command's.
type held struct {
	to io.Writer

	mu      sync.Mutex
	holding bool
	kept    []byte
}

// keptMax bounds what is kept, in bytes; what comes then is lost.
const keptMax = 64 << 10

func (h *held) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.holding {
		return h.to.Write(b)
	}
	if len(h.kept)+len(b) <= keptMax {
		h.kept = append(h.kept, b...)
	}
	return len(b), nil
}

func (h *held) hold() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.holding = true
}

// flush writes what was kept, and what comes from now on at once.
func (h *held) flush() {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, _ = h.to.Write(h.kept)
	h.holding, h.kept = false, nil
}
