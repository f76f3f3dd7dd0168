package match

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
)

const (
	span      = 1024 // bytes of a match that may stand before its literal, and after it
	shortText = 3    // the filter reads three bytes at a time
	maxStates = 4000 // of one "literal and rest"
)

// compile checks the laws that cost little and takes p apart.
func compile(p Pattern) (pattern, []anchor, error) {
	c := pattern{group: p.Group}
	t, err := syntax.Parse(p.Expr, syntax.Perl)
	if err != nil {
		return c, nil, err
	}
	if n := t.MaxCap(); p.Group < 0 || p.Group > n {
		return c, nil, fmt.Errorf("group %d: the expression has %d", p.Group, n)
	}
	if c.extend, err = byteClass(p.Extend); err != nil {
		return c, nil, fmt.Errorf("extend %q: %w", p.Extend, err)
	}
	if err := longEnough(t); err != nil {
		return c, nil, err
	}
	if s, ok := one(t); ok {
		c.exact = s
		return c, []anchor{{literal: lower(s)}}, nil
	}
	if p.Group > 0 {
		t = withoutLead(t)
	}
	as := anchorsOf(t)
	if err := bounded(as); err != nil {
		return c, nil, err
	}
	for _, a := range as {
		c.before = max(c.before, a.before)
	}
	c.lazy = &lazy{tree: t}
	return c, as, nil
}

func longEnough(t *tree) error {
	switch n := shortest(t); {
	case n == 0:
		return errors.New("matches the empty string: demand at least a literal")
	case n < shortText:
		return fmt.Errorf("matches %d bytes, the least is %d: demand more", n, shortText)
	}
	return nil
}

func bounded(as []anchor) error {
	if as == nil {
		return errors.New("no literal of 2 bytes or more that every match contains: hang it on a word that stands beside it")
	}
	for _, a := range as {
		if a.after > span {
			return fmt.Errorf("%s bytes may follow literal %q, the limit is %d: bound each repeat to what decides, let Extend find the end", size(a.after), a.literal, span)
		}
		if a.before > span {
			return fmt.Errorf("%s bytes may precede literal %q, the limit is %d: bound each repeat, look for what stands next to the value", size(a.before), a.literal, span)
		}
	}
	return nil
}

func size(n int) string {
	if n >= endless {
		return "any number of"
	}
	return fmt.Sprint(n)
}

// one returns the only string that t matches, if it is a plain literal.
func one(t *tree) (string, bool) {
	for t.Op == syntax.OpCapture {
		t = t.Sub[0]
	}
	if t.Op == syntax.OpLiteral && t.Flags&syntax.FoldCase == 0 {
		return string(t.Rune), true
	}
	return "", false
}

// withoutLead takes off the front of t what is optional, as short as possible
// and of one class of characters, as `[\w.-]{0,50}?`. Such a lead decides
// nothing, and trying each of its lengths costs much.
func withoutLead(t *tree) *tree {
	if t.Op != syntax.OpConcat || len(t.Sub) < 2 {
		return t
	}
	lead := t.Sub[0]
	optional := lead.Op == syntax.OpStar || lead.Op == syntax.OpQuest || lead.Op == syntax.OpRepeat && lead.Min == 0
	if !optional || lead.Flags&syntax.NonGreedy == 0 || lead.Sub[0].Op != syntax.OpCharClass {
		return t
	}
	return concat(t.Sub[1:]...)
}

// byteClass reads a class as it stands between brackets. Only ASCII bytes are
// ever in it.
func byteClass(s string) (*[256]bool, error) {
	if s == "" {
		return nil, nil
	}
	re, err := regexp.Compile(`^[` + s + `]$`)
	if err != nil {
		return nil, err
	}
	var c [256]bool
	for b := range 128 {
		c[b] = re.Match([]byte{byte(b)})
	}
	return &c, nil
}

// Check compiles the patterns as New does and also checks the laws that take
// long: it builds all states of each pattern. It is for the tests of those who
// write patterns.
func Check(patterns []Pattern) error {
	if _, err := New(patterns); err != nil {
		return err
	}
	var errs []error
	for _, p := range patterns {
		_, anchors, _ := compile(p)
		done := map[*tree]bool{}
		for _, a := range anchors {
			if a.rest == nil || done[a.rest] {
				continue
			}
			done[a.rest] = true
			d := dfa{tree: a.rest}
			if n := d.complete(); n >= maxStates {
				errs = append(errs, fmt.Errorf("match: pattern %q: more than %d states behind literal %q: between two words no gap of many arbitrary bytes; look for the second word alone", p.ID, maxStates, a.literal))
				break
			}
		}
	}
	return errors.Join(errs...)
}
