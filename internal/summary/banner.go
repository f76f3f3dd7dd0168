package summary

import (
	"io"
	"strings"

	"outvet/call"
)

// A Banner is what a person reads when a session begins. What is empty is left out.
type Banner struct {
	Version string // of outvet
	Policy  string // its name: balanced, outvet.yaml
	About   string // what it does, in a few words
	Observe bool   // it only observes
	Agent   string
	Log     string // where the record is
	Grade   call.Grade
	Sandbox []string // more about it: "DNS ok", "TLS ok (CA valid in this sandbox only)"
	Console string   // its address
	Approve string   // how to approve
	Notes   []string // what else the user should know
}

// Print writes the lines.
func (n Banner) Print(w io.Writer, s Style) error {
	if s.Width == 0 {
		s.Width = widthDefault
	}
	s.Width = max(s.Width, widthMin)
	policy := prefixed("* ", n.Policy)
	if n.About != "" {
		policy += " (" + n.About + ")"
	}
	observed := ""
	if n.Observe {
		observed = "observed only: nothing is blocked"
	}
	var b strings.Builder
	line := func(name string, color string, parts ...string) {
		var shown []string
		for _, p := range parts {
			if p = plain(p); p != "" {
				shown = append(shown, p)
			}
		}
		if len(shown) == 0 {
			return
		}
		space, room := " ", s.Width-1
		if name != "" {
			space, room = "   "+pad(name, 9, false), s.Width-12
		}
		hang := ""
		if name == "" {
			hang = "  "
		}
		for i, text := range wrap(shown, room, hang) {
			if i > 0 {
				space = strings.Repeat(" ", len(space))
			}
			if s.Color && color != "" {
				text = color + text + reset
			}
			b.WriteString(space + text + "\n")
		}
	}
	line("", "", strings.TrimSpace("outvet "+n.Version), policy, observed, prefixed("agent ", n.Agent), prefixed("log ", n.Log))
	grade, color := string(n.Grade), ""
	switch n.Grade {
	case call.Cooperative:
		grade, color = "cooperative: clients can bypass", yellow
	case call.SealedNoFS:
		grade, color = "sealed-nofs: the network is sealed, files are not", yellow
	}
	line("sandbox", color, append([]string{grade}, n.Sandbox...)...)
	line("console", "", n.Console, prefixed("approve: ", n.Approve))
	for _, note := range n.Notes {
		line("note", "", note)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}
