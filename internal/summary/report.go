package summary

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"outvet/call"
)

// Totals are the sums of a session.
type Totals struct {
	Calls      int   `json:"calls"`
	Open       int   `json:"open,omitempty"` // not over yet
	Up         int64 `json:"up"`
	Model      int   `json:"model_calls"`
	ModelUp    int64 `json:"model_up"`
	Hosts      int   `json:"hosts"`     // besides the model's
	Blocked    int   `json:"blocked"`   // besides telemetry
	Telemetry  int   `json:"telemetry"` // refused quietly
	Held       int   `json:"held"`
	WouldBlock int   `json:"would_block"` // more, by the other policy or by enforcing
}

// A Report is a session as a person is told of it.
type Report struct {
	Session call.SessionID `json:"session"`
	Agent   string         `json:"agent,omitempty"`
	First   time.Time      `json:"first,omitzero"`
	Last    time.Time      `json:"last,omitzero"`
	Seconds float64        `json:"seconds"`
	Totals
	Strict string `json:"strict,omitempty"` // name of the other policy
	Rows   []Row  `json:"rows"`

	judged bool
}

// A Style is how a terminal is.
type Style struct {
	Width int  // in columns; 0 is 100
	Color bool // never the only sign
	All   bool // every row, not only those that matter most
}

const (
	widthDefault = 100
	widthMin     = 40
	rowsShown    = 24
)

// WriteJSON writes the report as one line of JSON.
func (r Report) WriteJSON(w io.Writer) error {
	if r.Rows == nil {
		r.Rows = []Row{}
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

// Print writes the table.
func (r Report) Print(w io.Writer, s Style) error {
	if s.Width == 0 {
		s.Width = widthDefault
	}
	s.Width = max(s.Width, widthMin)
	var b strings.Builder
	for _, line := range wrap(r.heading(), s.Width-1, "  ") {
		b.WriteString(" " + line + "\n")
	}
	if len(r.Rows) == 0 {
		b.WriteString("   no calls\n")
	} else {
		r.table(&b, s)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Report) heading() []string {
	h := []string{"Session " + plain(string(r.Session))}
	if r.Session == "" {
		h[0] = "All sessions"
	}
	if r.Seconds > 0 {
		h = append(h, duration(r.Seconds))
	}
	if r.Agent != "" {
		h = append(h, plain(r.Agent))
	}
	if r.Model > 0 {
		h = append(h, fmt.Sprintf("model calls %d (%s up)", r.Model, Size(r.ModelUp)))
	}
	if n := r.Calls - r.Model; n > 0 {
		h = append(h, fmt.Sprintf("other %d to %s", n, count(r.Hosts, "host")))
	}
	for _, c := range []struct {
		n    int
		what string
	}{{r.Blocked, "blocked"}, {r.Held, "held"}, {r.Telemetry, "telemetry refused"}, {r.Open, "not over"}} {
		if c.n > 0 {
			h = append(h, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	if r.WouldBlock > 0 {
		h = append(h, fmt.Sprintf("%s would block %d", plain(r.Strict), r.WouldBlock))
	}
	return h
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// duration writes seconds as a person says them.
func duration(sec float64) string {
	n := int64(sec + 0.5)
	switch {
	case n >= 3600:
		return fmt.Sprintf("%dh%02dm", n/3600, n/60%60)
	case n >= 60:
		return fmt.Sprintf("%dm%02ds", n/60, n%60)
	}
	return fmt.Sprintf("%ds", n)
}

// Size writes a number of bytes as a person says it.
func Size(n int64) string {
	const k = 1024
	switch f := float64(n); {
	case n >= 10*k*k:
		return fmt.Sprintf("%.0f MB", f/(k*k))
	case n >= k*k:
		return fmt.Sprintf("%.1f MB", f/(k*k))
	case n >= 10*k:
		return fmt.Sprintf("%.0f KB", f/k)
	case n >= k:
		return fmt.Sprintf("%.1f KB", f/k)
	}
	return fmt.Sprintf("%d B", n)
}

// wrap joins parts, two spaces apart, to lines of at most width; all but the first
// begin with hang. A part that is longer than a line is broken between words.
func wrap(parts []string, width int, hang string) (lines []string) {
	line := ""
	add := func(p, space string) {
		switch {
		case line == "":
			line = p
		case length(line)+length(space)+length(p) > width:
			lines = append(lines, cut(line, width))
			line = hang + p
		default:
			line += space + p
		}
	}
	for _, p := range parts {
		if length(p) <= width-length(hang) {
			add(p, "  ")
			continue
		}
		space := "  "
		for _, word := range strings.Fields(p) {
			add(word, space)
			space = " "
		}
	}
	return append(lines, cut(line, width))
}

// plain returns s as printable text in which every character is one column wide:
// hosts, paths and names are chosen by agents.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '…' {
			return r
		}
		if r == utf8.RuneError || !unicode.IsPrint(r) || unicode.Is(unicode.M, r) || r >= 0x1100 {
			return '?'
		}
		return r
	}, s)
}

func length(s string) int { return utf8.RuneCountInString(s) }

// cut shortens s to at most n columns.
func cut(s string, n int) string {
	if length(s) <= n {
		return s
	}
	if n < 1 {
		return ""
	}
	return string([]rune(s)[:n-1]) + "…"
}

// pad fills s up to n columns, on the left if right is set.
func pad(s string, n int, right bool) string {
	fill := strings.Repeat(" ", max(0, n-length(s)))
	if right {
		return fill + s
	}
	return s + fill
}
