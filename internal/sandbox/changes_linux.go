package sandbox

import (
	"slices"
	"strings"
)

// Changes returns what of AutoRun is new, changed or gone since the start, and the
// sockets and fifos that came into the workspace meanwhile: those were not covered,
// and the command may have reached who made them. It is called when the command
// has ended. Contents are not compared: a file that was written anew with the same
// text is one that was changed.
func (s *Sandbox) Changes() ([]Change, error) {
	if s.config.Files == Review {
		return nil, nil // nothing reached the workspace yet
	}
	now, err := walk(s.config.Workspace, s.config.AutoRun)
	if err != nil {
		return nil, err
	}
	var all []Change
	for p, st := range now.autorun {
		switch was, ok := s.before[p]; {
		case !ok:
			all = append(all, Change{p, Added})
		case was != st:
			all = append(all, Change{p, Changed})
		}
	}
	for p := range s.before {
		if _, ok := now.autorun[p]; !ok {
			all = append(all, Change{p, Removed})
		}
	}
	for _, p := range now.sockets {
		if !slices.Contains(s.sockets, p) {
			all = append(all, Change{p, Socket})
		}
	}
	slices.SortFunc(all, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	return all, nil
}
