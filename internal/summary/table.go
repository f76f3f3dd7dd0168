package summary

import (
	"fmt"
	"strings"

	"outvet/call"
)

// A column of the table. Its width is what its longest cell needs, within what the
// terminal has.
type column struct {
	head  string
	right bool
	least int // columns below which it is not shown, or not cut further
	cells []string
	width int
}

const (
	indent = 3
	gap    = 2
	// byFrom is the width of a terminal from which it shows who made the calls, and
	// what another policy would decide.
	byFrom = 72
)

// Sequences of colour (ECMA-48).
const (
	red    = "\x1b[31m"
	yellow = "\x1b[33m"
	dim    = "\x1b[2m"
	reset  = "\x1b[0m"
)

// table writes the rows.
func (r *Report) table(b *strings.Builder, s Style) {
	rows, folded := r.Rows, []Row(nil)
	if len(rows) > rowsShown && !s.All {
		rows, folded = choose(rows, rowsShown)
	}
	cols := []*column{{head: "destination", least: 22}, {head: "calls", right: true}, {head: "up", right: true},
		{head: "by", least: 14}, {head: "verdict", least: 13}, {head: plain(r.Strict)}}
	for i := range rows {
		cells := rows[i].cells()
		for j, c := range cols {
			c.cells = append(c.cells, cells[j])
		}
	}
	if s.Width < byFrom {
		cols[3] = nil
	}
	if !r.judged || s.Width < byFrom { // the heading has the sum
		cols[5] = nil
	}
	fit(cols, s.Width-indent)
	write := func(cell func(*column) string, color string) {
		var line strings.Builder
		for _, c := range cols {
			if c == nil {
				continue
			}
			if line.Len() > 0 {
				line.WriteString(strings.Repeat(" ", gap))
			}
			line.WriteString(pad(cut(cell(c), c.width), c.width, c.right))
		}
		text := strings.TrimRight(line.String(), " ")
		if s.Color && color != "" {
			text = color + text + reset
		}
		b.WriteString(strings.Repeat(" ", indent) + text + "\n")
	}
	write(func(c *column) string { return c.head }, dim)
	for i := range rows {
		write(func(c *column) string { return c.cells[i] }, rows[i].color())
	}
	if len(folded) > 0 {
		n := 0
		for _, f := range folded {
			n += f.Calls
		}
		fmt.Fprintf(b, "%s%s\n", strings.Repeat(" ", indent), cut(fmt.Sprintf("… %s more, %s", count(len(folded), "row"), count(n, "call")), s.Width-indent))
	}
}

// choose returns the n rows that matter most, in their order, and the others: what
// was refused or held comes before what was allowed.
func choose(rows []Row, n int) (kept, folded []Row) {
	loud := 0
	for i := range rows {
		if rows[i].rank() > 2 {
			loud++
		}
	}
	quiet := max(n-loud, n/4) // some of both
	for _, r := range rows {
		if r.rank() <= 2 && quiet > 0 {
			quiet--
			kept = append(kept, r)
		} else if r.rank() > 2 && len(kept) < n {
			kept = append(kept, r)
		} else {
			folded = append(folded, r)
		}
	}
	return kept, folded
}

// fit sets the widths so that all columns fit into width.
func fit(cols []*column, width int) {
	total := -gap
	for _, c := range cols {
		if c == nil {
			continue
		}
		c.width = length(c.head)
		for _, cell := range c.cells {
			c.width = max(c.width, length(cell))
		}
		total += c.width + gap
	}
	for total > width {
		var widest *column
		for _, c := range cols {
			if c != nil && c.least > 0 && c.width > c.least && (widest == nil || c.width > widest.width) {
				widest = c
			}
		}
		if widest == nil {
			break
		}
		widest.width--
		total--
	}
	for i := len(cols) - 1; total > width && i > 0; i-- { // the last ones are the least
		if c := cols[i]; c != nil && c.least == 0 {
			total -= c.width + gap
			cols[i] = nil
		}
	}
}

func (r *Row) cells() [6]string {
	up := Size(r.Up)
	if r.Up == 0 {
		up = "-"
	}
	who := plain(r.By)
	if who == "" {
		who = "-"
	}
	return [6]string{plain(r.Destination), fmt.Sprint(r.Calls), up, who, plain(r.verdict()), r.Would.String()}
}

// verdict is the verdict in words. What was found is in capitals, since it is what
// a person should see.
func (r *Row) verdict() string {
	v := r.Verdict.String()
	switch {
	case r.Verdict == call.Allow && r.Edited:
		return "allow, edited"
	case r.Verdict == call.Allow:
		return v
	case r.Observed:
		v = "allow, would " + v
	case r.Finding != "":
		v = strings.ToUpper(v)
	}
	switch {
	case r.Finding != "":
		return v + " " + r.Finding
	case r.Kind == Telemetry:
		return v + " (telemetry)"
	}
	return v + " (" + r.Rule + ")"
}

func (r *Row) color() string {
	switch {
	case r.Kind == Telemetry:
		return dim
	case r.Verdict == call.Allow:
		return ""
	case r.Observed || r.Verdict == call.Hold:
		return yellow
	}
	return red
}
