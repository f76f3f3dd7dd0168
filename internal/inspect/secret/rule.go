package secret

import (
	"bytes"
	"cmp"
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"outvet/internal/match"
)

//go:embed rules.yaml
var ruleData []byte

// A rule is one entry of rules.yaml. The package documentation says what each
// field means.
type rule struct {
	Name     string   `yaml:"name"`
	Describe string   `yaml:"describe"`
	Expr     string   `yaml:"expr"`
	Extend   string   `yaml:"extend"`
	Group    int      `yaml:"group"`
	Words    []string `yaml:"words"`
	Common   bool     `yaml:"common"`
	Value    string   `yaml:"value"`
	Generic  string   `yaml:"generic"`
	Before   *string  `yaml:"before"`
	After    *string  `yaml:"after"`
	Entropy  float64  `yaml:"entropy"`
	Check    string   `yaml:"check"`
	Proof    string   `yaml:"proof"`
	Find     string   `yaml:"find"`
	Near     []string `yaml:"near"`
	Weak     bool     `yaml:"weak"`
	Not      string   `yaml:"not"`
	Home     home     `yaml:"home"`

	before, after class // of bytes that may not stand beside the value
	marked        bool  // a random value may stand behind any byte
	value         *regexp.Regexp
	again         *regexp.Regexp // expr, if there is extend
	check         checker
	proof         checker
	rank          rank
}

// A ruleSet is the whole of rules.yaml.
type ruleSet struct {
	Headers []string `yaml:"headers"` // their whole value is a credential
	Mixed   []string `yaml:"mixed"`   // a credential may stand in them
	Rules   []rule   `yaml:"rules"`
}

// A rank orders rules that found the same text: the higher knows more.
type rank uint8

const (
	rankPosition rank = iota // it stands where credentials do
	rankGeneric              // the name says so
	rankWeak                 // it is written as credentials of any issuer are
	rankNamed                // the name of an issuer and the shape of its tokens
	rankShape                // the shape alone is enough
	rankDistinct             // so is its beginning, wherever it stands
	rankKnown                // the value itself is known
)

// A class is a set of ASCII bytes.
type class [2]uint64

func (c *class) has(b byte) bool { return b < 0x80 && c[b>>6]&(1<<(b&63)) != 0 }

const wordBytes = "0-9A-Za-z_"

// classes remembers those that were parsed: most rules have the same.
type classes map[string]class

// parse reads what stands between the brackets of a character class.
func (cs classes) parse(set string) (class, error) {
	c, ok := cs[set]
	if ok || set == "" {
		return c, nil
	}
	re, err := regexp.Compile("[" + set + "]")
	if err != nil {
		return c, err
	}
	for b := byte(0); b < 0x80; b++ {
		if re.Match([]byte{b}) {
			c[b>>6] |= 1 << (b & 63)
		}
	}
	cs[set] = c
	return c, nil
}

// loadRules reads rules and prepares them. An unknown field is an error.
func loadRules(data []byte) (*ruleSet, error) {
	var set ruleSet
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&set); err != nil {
		return nil, fmt.Errorf("secret: rules: %w", err)
	}
	cs := classes{}
	for i := range set.Rules {
		if err := set.Rules[i].prepare(cs); err != nil {
			return nil, fmt.Errorf("secret: rule %d, %q: %w", i, set.Rules[i].Name, err)
		}
	}
	return &set, nil
}

var nameRE = regexp.MustCompile(`^[0-9a-z]+(?:-[0-9a-z]+)*$`)

func (r *rule) prepare(cs classes) error {
	if !nameRE.MatchString(r.Name) {
		return fmt.Errorf("the name is not of lower case words and hyphens")
	}
	if r.Describe == "" {
		return fmt.Errorf("no description")
	}
	switch {
	case (r.Expr == "") == (len(r.Words) == 0):
		return fmt.Errorf("needs either expr or words")
	case len(r.Words) > 0 && (r.Value == "") == (r.Generic == ""):
		return fmt.Errorf("words need either value or generic")
	}
	r.rank = rankShape
	switch {
	case r.Generic != "":
		r.rank = rankGeneric
	case r.Weak:
		r.rank = rankWeak
	case len(r.Words) > 0:
		r.rank = rankNamed
	case r.Group == 0 && distinctive(r.Expr):
		r.rank = rankDistinct
		r.marked = r.Before == nil
	}
	return r.compile(cs)
}

func (r *rule) compile(cs classes) (err error) {
	if r.before, err = cs.parse(orWord(r.Before)); err != nil {
		return err
	}
	if r.after, err = cs.parse(orWord(r.After)); err != nil {
		return err
	}
	if r.Extend != "" {
		if r.again, err = regexp.Compile(r.Expr); err != nil {
			return err
		}
	}
	if r.Value != "" {
		if r.value, err = regexp.Compile(`\A(?:` + r.Value + `)\z`); err != nil {
			return err
		}
	}
	if r.check, err = checkNamed(r.Check); err != nil {
		return err
	}
	if r.proof, err = checkNamed(r.Proof); err != nil {
		return err
	}
	return r.Home.prepare()
}

func orWord(set *string) string {
	if set == nil {
		return wordBytes
	}
	return *set
}

// commonTail is what must follow a word that is everywhere in ordinary text
// (token, secret, password): the rest of the name, then something that
// assigns. The matcher can drop most words by it.
const commonTail = "[0-9A-Za-z_.-]{0,24}[\"'`)\\]\\\\]{0,3}[ \\t]{0,8}(?:(?:string|str)[ \\t]{1,3})?[=:,>|?.\\n]"

// isCommon reports whether the rule shares the pattern of common words.
func (r *rule) isCommon() bool { return len(r.Words) > 0 && (r.Common || r.Generic != "") }

// pattern is what the matcher looks for.
func (r *rule) pattern(id string) match.Pattern {
	if r.Expr != "" {
		return match.Pattern{ID: id, Expr: r.Expr, Extend: r.Extend, Group: r.Group}
	}
	return match.Pattern{ID: id, Expr: "(?i)" + anyOf(r.Words), Group: 1}
}

// commonPattern is the one pattern of all rules with common words: a word that
// several of them know is found once, and the name decides which it is for.
func commonPattern(rules []rule) match.Pattern {
	var words []string
	for i := range rules {
		if rules[i].isCommon() {
			words = append(words, rules[i].Words...)
		}
	}
	return match.Pattern{ID: "secret/common", Expr: "(?i)" + anyOf(words) + commonTail, Group: 1}
}

// anyOf is a group of words, the longest first: sumologic before sumo.
func anyOf(words []string) string {
	words = slices.Clone(words)
	slices.SortFunc(words, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	words = slices.Compact(words)
	for i, w := range words {
		words[i] = regexp.QuoteMeta(w)
	}
	return "(" + strings.Join(words, "|") + ")"
}
