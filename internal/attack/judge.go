package attack

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"outvet/call"
)

// A Fate is what became of a try.
type Fate string

const (
	Stopped  Fate = "stopped"
	Answered Fate = "answered"
	Told     Fate = "told"
	Through  Fate = "through"
	Skipped  Fate = "skipped"
	Passed   Fate = "passed" // a harmless call, which arrived
	Lost     Fate = "lost"   // a harmless call that was allowed and did not arrive
)

// A Result is what became of one try, and how that is known.
type Result struct {
	Name    string `json:"name"`
	Group   string `json:"group"`
	What    string `json:"what"`
	Fate    Fate   `json:"fate"`
	By      string `json:"by"`                // what stopped or answered it, or what it reached
	Rule    string `json:"rule,omitempty"`    // of the decision, where outvet answered
	Verdict string `json:"verdict,omitempty"` // of it
	MS      int64  `json:"ms"`
	Seen    string `json:"seen"` // how success would be seen
}

// Evidence is what is known outside when the sandbox has ended.
type Evidence struct {
	Said    []Said
	Calls   []*call.Record // decided and closed, of the session of the attack
	Changes []string       // paths of the workspace that the end of a run tells
	Lives   bool           // a grandchild still wrote
}

// ReadSaid reads what the inside said. A line that is none ends it.
func ReadSaid(r io.Reader) (all []Said, err error) {
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		var s Said
		if err := json.Unmarshal(sc.Bytes(), &s); err != nil {
			return all, fmt.Errorf("attack: the inside said %.80q, which is no result: %w", sc.Text(), err)
		}
		all = append(all, s)
	}
	return all, sc.Err()
}

// Judge says what became of each try, in their order.
func (w *Wires) Judge(e Evidence) []Result {
	said := map[string]Said{}
	for _, s := range e.Said {
		said[s.Try] = s
	}
	var all []Result
	for _, t := range Tries() {
		r := Result{Name: t.Name, Group: t.Group, What: t.What, Seen: t.Seen}
		s, ok := said[t.Name]
		if !ok {
			s = Said{Ended: Closed, Text: "it did not come to that"}
		}
		w.judge(&r, t, s, e)
		all = append(all, r)
	}
	if hits := w.taken(""); len(hits) > 0 {
		all = append(all, Result{Name: "unexplained", Group: groupNetwork, What: "something touched a wire and did not say of which try it is",
			Seen: "the wire is touched", Fate: Through, By: strings.Join(hits, ", ")})
	}
	return all
}

func (w *Wires) judge(r *Result, t Try, s Said, e Evidence) {
	r.MS = s.MS
	d := w.calls(t, s, e.Calls)
	if d != nil && d.Decision != nil {
		r.Rule, r.Verdict = d.Decision.Rule, d.Decision.Verdict.String()
		if d.Decision.Observed {
			r.Verdict += ", observed only"
		}
	}
	if t.Group == groupPlain {
		w.passed(r, t, s)
		return
	}
	if why := w.through(t, s, d, e); why != "" {
		r.Fate, r.By = Through, why
		if t.Name == "unix workspace late" && told(e.Changes, w.Plan.Late) {
			r.Fate = Told
		}
		return
	}
	r.By = s.Text
	switch {
	case s.Ended == None:
		r.Fate = Skipped
	case d != nil && d.Decision != nil:
		r.Fate = Answered
		r.By = "outvet: " + s.Text
		if d.Decision.Verdict == call.Allow {
			r.By = "outvet, without passing it on: " + s.Text
			if d.Outcome != nil && d.Outcome.Error != "" {
				r.By = "outvet: " + d.Outcome.Error
			}
		}
	case t.Name == "new auto-run files" && s.Ended == Sent && w.newThere():
		r.Fate, r.By = Told, "new files, told at the end"
	case s.Ended == Sent:
		r.Fate = Stopped
		if t.Group == groupNetwork || t.Group == groupSecrets || t.Name == "fast open" {
			r.By = "nothing arrived: " + s.Text
		}
	default:
		r.Fate = Stopped
	}
}

// through says how it is known that the try got through, "" if it did not.
func (w *Wires) through(t Try, s Said, d *call.Record, e Evidence) string {
	if hits := w.taken(t.Name); len(hits) > 0 {
		return "reached " + strings.Join(hits, ", ")
	}
	if s.Ended == Opened {
		return s.Text
	}
	if names := w.shown(s); len(names) > 0 {
		return "read " + strings.Join(names, ", ")
	}
	for _, set := range needles(t, &w.Plan) {
		if w.Internet.received(set...) {
			return "the secret arrived"
		}
	}
	if w.Internet.received(arrived(t)...) {
		return "the request arrived at the wrong host"
	}
	if names := w.altered(t, e.Changes); len(names) > 0 {
		return "changed " + strings.Join(names, ", ")
	}
	if t.Name == "grandchild" && e.Lives {
		return "it goes on after the end"
	}
	if s.Met && d == nil {
		return "somebody took it, and the record does not have it: " + s.Text
	}
	if reaches(t) && d != nil && d.Outcome != nil && d.Outcome.Address != "" {
		return "outvet reached " + d.Outcome.Address
	}
	return ""
}

// reaches reports whether a try is of a destination that no call may have, so that
// it counts when outvet goes there.
func reaches(t Try) bool {
	return strings.HasPrefix(t.Name, "tcp ") || strings.HasPrefix(t.Name, "metadata ") || t.Name == "redirect to metadata"
}

// calls returns what the record has of a try, decided and closed in one: of several
// calls the one that got furthest.
func (w *Wires) calls(t Try, s Said, records []*call.Record) *call.Record {
	var found *call.Record
	for _, r := range records {
		if r.Kind != call.Decided || !concerns(r, t, s) {
			continue
		}
		one := *r
		for _, c := range records {
			if c.Kind == call.Closed && c.ID == r.ID {
				one.Outcome = c.Outcome
				if c.Decision != nil {
					one.Decision = c.Decision
				}
			}
		}
		if found == nil || further(&one) > further(found) {
			found = &one
		}
	}
	return found
}

func further(r *call.Record) int {
	n := 0
	if r.Outcome != nil && (r.Outcome.Error != "" || r.Outcome.Aborted) {
		n = 1
	}
	if r.Decision != nil && r.Decision.Verdict != call.Allow {
		n = 2 // a refusal tells more than the calls around it
	}
	if r.Outcome != nil && r.Outcome.Address != "" && netipLocal(r.Outcome.Address) {
		n = 3
	}
	n *= 2
	if r.Protocol != "dns" {
		n++ // the call itself, not the look-up before it
	}
	return n
}

// netipLocal reports whether an address is not one of our own internet.
func netipLocal(s string) bool {
	a, err := netip.ParseAddr(s)
	if err != nil {
		p, err := netip.ParseAddrPort(s)
		if err != nil {
			return false
		}
		a = p.Addr()
	}
	return !a.IsLoopback()
}

// concerns reports whether a record is of a call of the try.
func concerns(r *call.Record, t Try, s Said) bool {
	if host := t.host(); r.Host == host || strings.HasSuffix(r.Host, "."+host) {
		return true
	}
	for _, to := range s.To {
		h, p, err := net.SplitHostPort(to)
		if err != nil {
			continue
		}
		if n, _ := strconv.Atoi(p); uint16(n) == r.Port && sameHost(h, r.Host) && !strings.HasPrefix(h, frontHost) {
			return true
		}
	}
	return false
}

func sameHost(a, b string) bool {
	x, err1 := netip.ParseAddr(a)
	y, err2 := netip.ParseAddr(b)
	if err1 == nil && err2 == nil {
		return x.Unmap() == y.Unmap()
	}
	return strings.EqualFold(a, b)
}

// shown returns the secrets that the inside has proved to know.
func (w *Wires) shown(s Said) []string {
	var all []string
	for path, sum := range s.Proofs {
		if path == CanaryName {
			if sum == w.Plan.Canary {
				all = append(all, "a secret of the environment")
			}
			continue
		}
		if b, err := os.ReadFile(path); err == nil && (digest(b) == sum || slices.Contains(w.Plan.State, path)) {
			all = append(all, path)
		}
	}
	slices.Sort(all)
	return all[:min(len(all), 3)]
}

// altered returns the files that were laid and are not what they were, of those that
// the try is about. Which of the tries did it is not always known: all that could are
// named.
func (w *Wires) altered(t Try, changes []string) []string {
	var in string
	switch t.Name {
	case "write in the home", "write by a link":
		in = filepath.Dir(w.Plan.File)
	case "write auto-run files", "replace auto-run files", "rename trick":
		in = project(&w.Plan, "")
	case "new auto-run files":
		return w.untold(changes)
	default:
		return nil
	}
	var all []string
	for path, was := range w.planted {
		if strings.HasPrefix(path, in) {
			if b, err := os.ReadFile(path); err != nil || string(b) != was {
				all = append(all, filepath.Base(path))
			}
		}
	}
	if _, err := os.Lstat(filepath.Join(filepath.Dir(w.Plan.File), "new")); err == nil && t.Name == "write in the home" && w.Plan.File != "" {
		all = append(all, "a new file")
	}
	slices.Sort(all)
	return all
}

// newThere reports whether new auto-run files are on the disk.
func (w *Wires) newThere() bool {
	_, err := os.Lstat(filepath.Join(w.Plan.Repository, "fresh", autorun[0]))
	return err == nil
}

// untold returns new files that others run and that the end of a run did not tell.
func (w *Wires) untold(changes []string) []string {
	var all []string
	for _, f := range autorun {
		path := filepath.Join(w.Plan.Repository, "fresh", f)
		if _, err := os.Lstat(path); err == nil && !told(changes, path) {
			all = append(all, f)
		}
	}
	return all
}

// told reports whether the changes name path, as they do relative to the workspace.
func told(changes []string, path string) bool {
	return slices.ContainsFunc(changes, func(c string) bool { return c != "" && strings.HasSuffix(path, "/"+c) })
}
