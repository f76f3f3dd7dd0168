package attack

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// A Report is what an attack found.
type Report struct {
	Grade   string        `json:"grade"`
	Policy  string        `json:"policy"`
	Files   string        `json:"files"` // mode of the file system
	Session string        `json:"session"`
	Wires   int           `json:"wires"` // that were laid and proved live
	Missing []string      `json:"missing,omitempty"`
	Took    time.Duration `json:"-"`
	MS      int64         `json:"ms"`
	Counts  map[Fate]int  `json:"counts"`
	Results []Result      `json:"results"`
	Notes   []string      `json:"notes,omitempty"`
}

// Fill counts.
func (r *Report) Fill() {
	r.Counts, r.MS = map[Fate]int{}, r.Took.Milliseconds()
	for _, one := range r.Results {
		r.Counts[one.Fate]++
	}
}

// Open reports whether anything got through.
func (r *Report) Open() bool { return r.Counts[Through] > 0 }

// Print prints the report for people: what got through first, then everything by
// groups.
func (r *Report) Print(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, " %d tries from inside  %s  files %s  policy %s  %d wires, all proved live  %.1f s\n",
		len(r.Results), r.Grade, r.Files, clean(r.Policy), r.Wires, r.Took.Seconds())
	fmt.Fprintf(&b, " %d stopped  %d answered by outvet  %d told at the end  %d skipped  %d GOT THROUGH   (%d harmless calls passed)\n",
		r.Counts[Stopped], r.Counts[Answered], r.Counts[Told], r.Counts[Skipped], r.Counts[Through], r.Counts[Passed])
	for _, one := range r.Results {
		if one.Fate == Through {
			fmt.Fprintf(&b, "\n THROUGH  %s: %s\n          %s\n", one.Name, one.What, clean(one.By))
			if one.Rule != "" {
				fmt.Fprintf(&b, "          rule %s (%s)\n", clean(one.Rule), one.Verdict)
			}
		}
	}
	group := ""
	for _, one := range r.Results {
		if one.Group != group {
			group = one.Group
			fmt.Fprintf(&b, "\n %s\n", group)
		}
		by := clean(one.By)
		if one.Rule != "" {
			by += " [" + one.Verdict + ": " + clean(one.Rule) + "]"
		}
		fmt.Fprintf(&b, "   %-8s  %-28s %s\n", one.Fate, one.Name, by)
	}
	for _, m := range r.Missing {
		fmt.Fprintf(&b, "\n not laid: %s", clean(m))
	}
	if len(r.Missing) > 0 {
		b.WriteString("\n")
	}
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "\n %s\n", n)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// clean keeps what others chose from acting on the terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}
