package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"outvet/call"
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
	if len(l.withheld) > 0 {
		b.Notes = append(b.Notes, "not passed: "+strings.Join(l.withheld, ", ")+" (--env NAME passes one)")
	}
	b.Notes = append(b.Notes, l.kit.Notes...)
	return b.Print(l.errs, styleOf(l.errs))
}

// tell lets outvet status know of the command while it runs.
func (l *launch) tell() berth {
	b, err := l.state.berth(alive{
		Session: l.caller.Session, Command: strings.Join(l.command[:1], " "), Agent: l.caller.Agent.Value,
		Grade: l.grade, Policy: l.source.name, PID: os.Getpid(), Since: time.Now().UTC(),
	})
	if err != nil {
		l.log.Warn("outvet status will not show this command", "err", err)
	}
	return b
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
	if next := l.next(&r); next != "" {
		fmt.Fprintln(l.errs, " Next: ", next)
	}
	l.changed(end)
	return nil
}

// next says what a person may want to type next.
func (l *launch) next(r *summary.Report) string {
	state := ""
	if l.o.serving.state != "" {
		state = " --state " + l.o.serving.state
	}
	switch id := l.last.refused(); {
	case id != "":
		return "outvet why " + id + state + "    what was refused last, and by which rule"
	case r.Calls > len(r.Rows):
		return "outvet log search session:" + l.o.session + state + "    every call"
	}
	return ""
}

// A last is a sink that keeps which call was refused last.
type last struct{ id atomic.Value }

func (l *last) Write(r *call.Record) error {
	if r.Decision != nil && r.Decision.Verdict != call.Allow && !r.Decision.Observed && !r.Decision.Quiet && r.Category != "telemetry" {
		l.id.Store(r.ID.Short())
	}
	return nil
}

func (l *last) refused() string {
	id, _ := l.id.Load().(string)
	return id
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
