package attack

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"outvet/call"
)

var (
	full  = flag.Bool("full", false, "try every cell of the matrix, not a sample")
	cells = flag.String("cells", "", "write all cells that were tried, and how they ended, to this file")
)

// sample is how many cells of the matrix are skipped for one that is tried.
// Rows and columns that matter are tried whole.
func sample() int {
	switch {
	case *full:
		return 1
	case raceEnabled:
		return 397
	case testing.Short():
		return 29
	}
	return 11
}

// fits reports whether what e makes of k can stand in p.
func fits(p place, e encoding, k kind) bool {
	s := e.shape
	if s == printable && strings.Contains(e.do(k.text), "\n") {
		s = broken
	}
	if s == broken && oneLine(p.name) {
		return false
	}
	if p.name == "header name" {
		return s == printable && strings.Map(tokenOnly, e.do(k.text)) == e.do(k.text)
	}
	return s <= p.takes
}

// oneLine reports whether what stands in the place called name cannot have line
// breaks.
func oneLine(name string) bool {
	return strings.HasPrefix(name, "header ") && name != "header Referer" || strings.HasPrefix(name, "cookie") ||
		slices.Contains([]string{"second header line", "multipart name", "multipart filename", "multipart header"}, name)
}

// whole are the places in which every encoding is tried.
var whole = []string{"JSON value", "text in words"}

// fate says how a leak ended: "" for a block because of a secret, else why not.
func fate(d call.Decision) string {
	switch {
	case caught(d):
		return ""
	case d.Verdict == call.Block && d.Rule == call.RuleFault:
		return "fault"
	case d.Verdict == call.Block && len(d.Uninspected) > 0:
		return "blocked unread"
	}
	return "passed"
}

func TestSecretIsFoundWhereverAndHoweverItIsWritten(t *testing.T) {
	g := newGate(t, "balanced")
	i := 0
	var tried []cell
	for _, p := range allPlaces() {
		always := slices.Contains(whole, p.name) && !raceEnabled
		for _, e := range encodings {
			for _, k := range kinds {
				i++
				if (always || e.name == "plain" && !raceEnabled || i%sample() == 0) && fits(p, e, k) {
					tried = append(tried, cell{p.name, e.name, k.name, fate(try(t, g, p.put(e.do(k.text))))})
				}
			}
		}
	}
	hold(t, "testdata/open.txt", tried)
}

// A cell is one secret in one encoding in one place, and how it ended.
type cell struct{ place, encoding, kind, fate string }

func (c cell) String() string {
	return fmt.Sprintf("%s | %s | %s | %s", c.place, c.encoding, c.kind, c.fate)
}

// hold compares what was tried with the list of what is known to be open.
func hold(t *testing.T, name string, tried []cell) {
	t.Helper()
	all := readOpen(t, name)
	failed, wrong := 0, 0
	var out strings.Builder
	for _, c := range tried {
		i := slices.IndexFunc(all, func(o open) bool { return o.matches(c) })
		fmt.Fprintln(&out, c)
		if c.fate != "" {
			failed++
		}
		switch {
		case c.fate == "" && i >= 0:
			wrong++
			t.Errorf("%s found now: take it off %s:%d", c, name, all[i].line)
		case c.fate != "" && i < 0:
			wrong++
			t.Errorf("%s", c)
		}
		if wrong == 40 && *cells == "" {
			t.Fatal("too many to list")
		}
	}
	t.Logf("%d cells tried, %d open", len(tried), failed)
	if *cells != "" {
		if err := os.WriteFile(*cells, []byte(out.String()), 0o600); err != nil {
			t.Error(err)
		}
	}
}

// An open is a set of cells that are known to fail: each field is a list of
// names, or nil for all.
type open struct {
	places, encodings, kinds, fates []string
	line                            int
}

func (o *open) matches(c cell) bool {
	in := func(names []string, name string) bool { return names == nil || slices.Contains(names, name) }
	return in(o.places, c.place) && in(o.encodings, c.encoding) && in(o.kinds, c.kind) && (c.fate == "" || in(o.fates, c.fate))
}

// readOpen reads a list of what is known to fail. Lines that begin with '#'
// give the reason for the lines behind them; the others have four fields,
// separated by " | ", of names separated by "; ", or * for all.
func readOpen(t *testing.T, name string) []open {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []open
	reason := false
	s := bufio.NewScanner(f)
	for n := 1; s.Scan(); n++ {
		line := strings.TrimSpace(s.Text())
		if line == "" || line[0] == '#' {
			reason = line != ""
			continue
		}
		field := strings.Split(line, " | ")
		if len(field) != 4 || !reason && len(all) == 0 {
			t.Fatalf("%s:%d: not four fields under a reason: %q", name, n, line)
		}
		names := func(i int) []string {
			if field[i] == "*" {
				return nil
			}
			return strings.Split(field[i], "; ")
		}
		all = append(all, open{places: names(0), encodings: names(1), kinds: names(2), fates: names(3), line: n})
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}
