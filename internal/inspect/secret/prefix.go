package secret

import (
	"regexp/syntax"
	"strings"
)

// distinctive reports whether all that expr matches begins with a mark that
// chance does not make: five bytes or more, with one in them that base64 does
// not have (sk-ant-, glpat-, xoxb-). What stands before such a mark tells nothing: it
// may be the length of a field of protobuf, or a letter put there to hide it.
func distinctive(expr string) bool {
	const least = 5
	re, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return false
	}
	for _, p := range prefixes(re) {
		if len(p.text) < least || !strings.ContainsAny(p.text, "-_") {
			return false
		}
	}
	return true
}

// A prefix is how a match may begin; whole if that is all of the match.
type prefix struct {
	text  string
	whole bool
}

// prefixes returns how matches of re begin, as far as it can be listed.
func prefixes(re *syntax.Regexp) []prefix {
	const most = 16 // runes of a class
	switch re.Op {
	case syntax.OpEmptyMatch:
		return []prefix{{"", true}}
	case syntax.OpLiteral:
		return []prefix{{string(re.Rune), true}}
	case syntax.OpCapture:
		return prefixes(re.Sub[0])
	case syntax.OpQuest:
		return append(prefixes(re.Sub[0]), prefix{"", true})
	case syntax.OpAlternate:
		var all []prefix
		for _, s := range re.Sub {
			all = append(all, prefixes(s)...)
		}
		return all
	case syntax.OpConcat:
		return joined(re.Sub)
	case syntax.OpCharClass:
		var all []prefix
		for i := 0; i < len(re.Rune) && len(all) <= most; i += 2 {
			for c := re.Rune[i]; c <= re.Rune[i+1] && len(all) <= most; c++ {
				all = append(all, prefix{string(c), true})
			}
		}
		if len(all) <= most {
			return all
		}
	}
	return []prefix{{"", false}}
}

// joined returns the prefixes of a sequence.
func joined(seq []*syntax.Regexp) []prefix {
	const most = 256
	all := []prefix{{"", true}}
	for _, re := range seq {
		next, grown := prefixes(re), all[:0:0]
		for _, p := range all {
			if !p.whole {
				grown = append(grown, p)
				continue
			}
			for _, n := range next {
				grown = append(grown, prefix{p.text + n.text, n.whole})
			}
		}
		if len(grown) > most {
			for i := range all {
				all[i].whole = false
			}
			break
		}
		all = grown
	}
	return all
}
