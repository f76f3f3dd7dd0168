package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"outvet/call"
	"outvet/internal/kill"
)

func statusCommand() *cobra.Command {
	var dir string
	var asJSON bool
	c := &cobra.Command{
		Use: "status", Short: "Show what runs now: the server and the sandboxes of a state directory", Args: noArgs,
		Long: `status shows who serves the state directory, and the commands that outvet run holds
in it. Inside a sandbox it shows that sandbox alone: its session, grade, policy, and
how many calls were made and blocked.`,
		RunE: func(c *cobra.Command, _ []string) error {
			if n, in := within(); in {
				return n.status(c, asJSON)
			}
			s, err := readState(dir)
			if err != nil {
				return err
			}
			now := s.now()
			if asJSON {
				return printJSON(c.OutOrStdout(), now)
			}
			return now.print(c.OutOrStdout())
		},
	}
	stateFlag(c, &dir)
	jsonFlag(c, &asJSON)
	return c
}

// A present is what runs in a state directory.
type present struct {
	State   string  `json:"state"`
	Console string  `json:"console,omitempty"` // of the server, if one serves
	Killed  bool    `json:"killed"`            // all calls are stopped
	Runs    []alive `json:"runs"`
}

// An alive is a command that outvet run holds.
type alive struct {
	Session call.SessionID `json:"session"`
	Command string         `json:"command"`
	Agent   string         `json:"agent,omitempty"`
	Grade   call.Grade     `json:"grade"`
	Policy  string         `json:"policy"`
	PID     int            `json:"pid"` // of outvet
	Since   time.Time      `json:"since"`
}

func (s state) now() present {
	p := present{State: string(s), Runs: s.living()}
	p.Console, _ = s.served()
	n, err := kill.Switch{Dir: string(s)}.Read()
	p.Killed = n != nil || err != nil // as for calls
	return p
}

func (p present) print(w io.Writer) error {
	server := "no outvet serves"
	if p.Console != "" {
		server = "outvet serves, console " + clean(p.Console)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s\n", tilde(p.State), server)
	if p.Killed {
		b.WriteString("all calls are stopped; outvet kill --lift lets them go on\n")
	}
	if len(p.Runs) == 0 {
		b.WriteString("no command runs\n")
		_, err := io.WriteString(w, b.String())
		return err
	}
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SESSION\tGRADE\tPOLICY\tSINCE\tPID\tCOMMAND")
	for _, r := range p.Runs {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%s\n", clean(string(r.Session)), r.Grade, clean(r.Policy), r.Since.Local().Format(time.DateTime), r.PID, clean(r.Command))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// A berth is the file in "runs" of a command that is held: it is locked for as long.
type berth struct{ f *os.File }

// berth tells that a command runs. Nothing depends on it: where it cannot be told,
// status does not show it.
func (s state) berth(a alive) (berth, error) {
	dir := s.path("runs")
	f, err := os.CreateTemp(dir, "run-*")
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(dir, 0o700); err == nil {
			f, err = os.CreateTemp(dir, "run-*")
		}
	}
	if err != nil {
		return berth{}, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
	if err == nil {
		err = json.NewEncoder(f).Encode(a)
	}
	if err != nil {
		berth{f}.leave()
		return berth{}, err
	}
	return berth{f}, nil
}

// leave tells that the command has ended.
func (b berth) leave() {
	if b.f != nil {
		os.Remove(b.f.Name())
		b.f.Close()
	}
}

// Bounds of what is read of berths, and how old one must be to count as left behind.
const (
	berthMax  = 16 << 10
	berthLeft = 10 * time.Second
)

// living returns the commands that are held, the oldest first. It removes what
// crashes have left behind.
func (s state) living() []alive {
	names, _ := filepath.Glob(filepath.Join(s.path("runs"), "run-*"))
	all := []alive{}
	for _, name := range names {
		if a, ok := look(name); ok {
			all = append(all, a)
		}
	}
	slices.SortFunc(all, func(a, b alive) int { return a.Since.Compare(b.Since) })
	return all
}

func look(name string) (a alive, lives bool) {
	f, err := os.Open(name)
	if err != nil {
		return a, false
	}
	defer f.Close()
	if !taken(f) {
		if i, err := f.Stat(); err == nil && time.Since(i.ModTime()) > berthLeft {
			os.Remove(name)
		}
		return a, false
	}
	return a, json.NewDecoder(io.LimitReader(f, berthMax)).Decode(&a) == nil
}
