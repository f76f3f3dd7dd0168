package policy

import (
	"fmt"
	"slices"
	"strings"
)

// An Error is one thing that is wrong with a policy, and where.
type Error struct {
	File    string
	Line    int // from 1; 0 if the error is about the file as a whole
	Column  int // from 1, in characters
	Message string
}

// Error returns file:line:column: message.
func (e *Error) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Message
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Message)
}

// Errors is everything that is wrong with a policy, in the order of the files
// and of the lines in them.
type Errors []*Error

// Error returns one line for each error.
func (e Errors) Error() string {
	if len(e) == 1 {
		return "policy: " + e[0].Error()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "policy: %d errors", len(e))
	for _, one := range e {
		b.WriteString("\n")
		b.WriteString(one.Error())
	}
	return b.String()
}

// Unwrap implements the interface of errors.Is and errors.As.
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i := range e {
		all[i] = e[i]
	}
	return all
}

// A place is where something stands in a policy file.
type place struct {
	file      string
	line, col int
}

// String returns file:line, the form that decisions carry.
func (p place) String() string {
	if p.file == "" {
		return ""
	}
	return fmt.Sprintf("%s:%d", p.file, p.line)
}

// A spot is a place with its text made, for decisions.
type spot struct {
	place
	text string
}

func spotOf(p place) spot { return spot{p, p.String()} }

// problems collects errors. Reading goes on after the first.
type problems struct{ all Errors }

func (p *problems) add(at place, format string, args ...any) {
	p.all = append(p.all, &Error{at.file, at.line, at.col, fmt.Sprintf(format, args...)})
}

// err returns the errors in the order in which a reader meets them: by file as
// first mentioned, then by position.
func (p *problems) err() error {
	if len(p.all) == 0 {
		return nil
	}
	order := map[string]int{}
	for _, e := range p.all {
		if _, ok := order[e.File]; !ok {
			order[e.File] = len(order)
		}
	}
	slices.SortStableFunc(p.all, func(a, b *Error) int {
		if a.File != b.File {
			return order[a.File] - order[b.File]
		}
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return p.all
}

// meant returns ` (did you mean "x"?)` for the word nearest to got, or the
// whole choice if nothing is near and it is short.
func meant(got string, words []string) string {
	best, far := "", max((len(got)+1)/3, 1)
	for _, w := range words {
		if n := distance(strings.ToLower(got), w); n <= far && (best == "" || n < far) {
			best, far = w, n
		}
	}
	if best != "" {
		return fmt.Sprintf(" (did you mean %q?)", best)
	}
	if len(words) > 0 && len(words) <= 8 {
		return ": it is one of " + strings.Join(words, ", ")
	}
	return ""
}

// distance counts the insertions, deletions, changes and swaps of neighbours
// that make b of a.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	older, old, now := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range old {
		old[j] = j
	}
	for i := 1; i <= len(a); i++ {
		now[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			now[j] = min(old[j]+1, now[j-1]+1, old[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				now[j] = min(now[j], older[j-2]+1)
			}
		}
		older, old, now = old, now, older
	}
	return old[len(b)]
}
