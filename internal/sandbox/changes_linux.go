package sandbox

import (
	"path/filepath"
	"slices"
	"strings"
)

// Changes returns what of AutoRun is new, changed or gone since the start, and the
// sockets and fifos that came into the workspace meanwhile: those were not covered,
// and the command may have reached who made them. It is called when the command
// has ended. Contents are not compared: a file that was written anew with the same
// text is one that was changed.
func (s *Sandbox) Changes() ([]Change, error) {
	var all []Change
	for root, was := range s.before {
		if s.config.Files == Review && root == s.config.Workspace {
			continue // nothing reached it yet
		}
		now, err := lookThrough(s.config, root)
		if err != nil {
			return nil, err
		}
		for _, c := range was.changes(now) {
			if root != s.config.Workspace {
				c.Path = filepath.Join(root, c.Path)
			}
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	return all, nil
}

// changes returns what of a walk is not what it was.
func (w *walked) changes(now *walked) (all []Change) {
	for p, st := range now.autorun {
		switch was, ok := w.autorun[p]; {
		case !ok:
			all = append(all, Change{p, Added})
		case was != st:
			all = append(all, Change{p, Changed})
		}
	}
	for p := range w.autorun {
		if _, ok := now.autorun[p]; !ok {
			all = append(all, Change{p, Removed})
		}
	}
	for _, p := range now.sockets {
		if !slices.Contains(w.sockets, p) {
			all = append(all, Change{p, Socket})
		}
	}
	return all
}
