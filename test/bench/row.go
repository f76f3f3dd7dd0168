package main

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"outvet/test/bench/load"
)

// A Row is one measured figure and its budget.
type Row struct {
	Group    string  `json:"group"`
	What     string  `json:"what"`
	Measured float64 `json:"measured"`
	Unit     string  `json:"unit"`
	Budget   float64 `json:"budget,omitempty"` // 0 for none
	Aim      float64 `json:"aim,omitempty"`    // stricter than the budget
	AtLeast  bool    `json:"at_least,omitempty"`
	Low      float64 `json:"low,omitempty"` // of the rounds, of which Measured is the median
	High     float64 `json:"high,omitempty"`
	Beside   string  `json:"beside,omitempty"` // what the figure is made of
	Absent   string  `json:"absent,omitempty"` // why there is no figure
}

// Verdict is the row in one word: within or over its budget, aim where it is as
// good as we want it to be, and "" where there is no budget.
func (r Row) Verdict() string {
	good := func(limit float64) bool {
		if r.AtLeast {
			return r.Measured >= limit
		}
		return r.Measured <= limit
	}
	switch {
	case r.Absent != "" || r.Budget == 0 && r.Aim == 0 && !r.zero() || math.IsNaN(r.Measured):
		return ""
	case r.Aim != 0 && good(r.Aim):
		return "aim"
	case good(r.Budget):
		return "within"
	}
	return "over"
}

// zero reports whether the budget is none at all, as for streams that were cut.
func (r Row) zero() bool { return r.Unit == "cut" || r.Unit == "allocs" || r.Unit == "left" }

func (r Row) budget() string {
	switch {
	case r.zero():
		return "0"
	case r.Budget == 0:
		return ""
	case r.AtLeast:
		return "≥ " + number(r.Budget)
	}
	return "≤ " + number(r.Budget)
}

// whatWidth is the columns that What may have.
const whatWidth = 40

// String is the row as a line of the report.
func (r Row) String() string {
	if r.Absent != "" {
		return fmt.Sprintf("  %-*s %s", whatWidth, r.What, r.Absent)
	}
	return strings.TrimRight(fmt.Sprintf("  %-*s %9s %8s  %-6s  %s", whatWidth, r.What, number(r.Measured)+" "+r.Unit, r.budget(), r.Verdict(), r.Beside), " ")
}

// markdown is the row as a line of a table.
func (r Row) markdown() string {
	if r.Absent != "" {
		return fmt.Sprintf("| %s | | | | %s |", r.What, r.Absent)
	}
	spread := ""
	if r.High > r.Low {
		spread = fmt.Sprintf(" (%s–%s)", number(r.Low), number(r.High))
	}
	return fmt.Sprintf("| %s | %s %s%s | %s | %s | %s |", r.What, number(r.Measured), r.Unit, spread, r.budget(), r.Verdict(), r.Beside)
}

// of makes the row one of figures by round.
func (r Row) of(v []float64) Row {
	r.Measured, r.Low, r.High = load.Median(v), load.Percentile(v, 0), load.Percentile(v, 100)
	return r
}

// MarshalJSON adds the verdict, and says null where there is no figure.
func (r Row) MarshalJSON() ([]byte, error) {
	type plain Row
	v := struct {
		plain
		Measured *float64 `json:"measured"`
		Verdict  string   `json:"verdict,omitempty"`
	}{plain: plain(r), Verdict: r.Verdict()}
	if r.Absent == "" && !math.IsNaN(r.Measured) {
		v.Measured = &r.Measured
	}
	return json.Marshal(v)
}

// number writes f with three digits that count.
func number(f float64) string {
	switch a := math.Abs(f); {
	case math.IsNaN(f):
		return "-"
	case a >= 1e5:
		return fmt.Sprintf("%.0fk", f/1e3)
	case a >= 100 || f == math.Trunc(f) && a >= 10:
		return fmt.Sprintf("%.0f", f)
	case a >= 10:
		return fmt.Sprintf("%.1f", f)
	}
	return fmt.Sprintf("%.2f", f)
}
