package main

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// obeyedShown is how many changes of files that others run or obey are told one by
// one.
const obeyedShown = 12

// changed tells what the command changed of what others run or obey, and what it
// wrote that did not reach the terminal. Samples of hooks, which every new repository
// has, are run by nobody.
func (l *launch) changed(end ending) {
	n := 0
	for _, c := range end.changes {
		if filepath.Base(filepath.Dir(c.Path)) == "hooks" && filepath.Ext(c.Path) == ".sample" {
			continue
		}
		if n++; n <= obeyedShown {
			fmt.Fprintf(l.errs, " %s %s  (others run or obey it: look at it)\n", c.Kind, clean(c.Path))
		}
	}
	if n > obeyedShown {
		fmt.Fprintf(l.errs, " and %s more of what others run or obey\n", times(int64(n-obeyedShown), "change", "changes"))
	}
	if len(end.held) == 0 {
		return
	}
	var kept []string
	for _, what := range slices.Sorted(maps.Keys(end.held)) {
		kept = append(kept, fmt.Sprintf("%s ×%d", clean(what), end.held[what]))
	}
	fmt.Fprintf(l.errs, " kept from your terminal: %s\n", strings.Join(kept, ", "))
}
