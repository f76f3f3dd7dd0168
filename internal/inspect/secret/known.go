package secret

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// A Known is a secret whose value is known: from the environment, a file or a
// list. It is found exactly, letter for letter.
type Known struct {
	Name  string   // of lower case words, digits, hyphens and underscores
	Value []byte   // at least 8 bytes
	Home  []string // hosts where it may stand in an authentication header
}

const (
	leastKnown = 8   // bytes of a value: shorter ones stand in innocent text
	leastLine  = 16  // bytes of a line of a value that is looked for by itself
	mostKnown  = 384 // bytes of a value that are looked for; the rest follows unread
)

var knownNameRE = regexp.MustCompile(`^[0-9a-z]+(?:[-_.][0-9a-z]+)*$`)

// check refuses a value that would be found everywhere or nowhere.
func (k *Known) check() error {
	switch {
	case !knownNameRE.MatchString(k.Name):
		return fmt.Errorf("secret: known value %q: the name is not of lower case words", k.Name)
	case len(k.Value) < leastKnown:
		return fmt.Errorf("secret: known value %q: %d bytes, the least is %d: shorter ones stand in innocent text", k.Name, len(k.Value), leastKnown)
	case strings.TrimSpace(string(k.Value)) == "":
		return fmt.Errorf("secret: known value %q: only white space", k.Name)
	}
	h := home{Hosts: k.Home}
	if err := h.prepare(); err != nil {
		return fmt.Errorf("secret: known value %q: %w", k.Name, err)
	}
	return nil
}

// patterns returns what to look for: the value as it is and in each encoding
// that does not depend on what stands around it. Encodings of whole texts are
// opened by package payload; these are for runs too short or too mixed for it.
func (k *Known) patterns(add func(expr string)) {
	seen := map[string]bool{}
	literal := func(s string) {
		if s != "" && !seen[s] {
			seen[s] = true
			add(regexp.QuoteMeta(s))
		}
	}
	for _, v := range k.pieces() {
		if utf8.Valid(v) {
			literal(string(v))
			literal(reversed(v))
			literal(percent(v))
		}
		for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			for lead := range 3 {
				literal(aligned(enc, v, lead))
			}
		}
		h := hex.EncodeToString(v)
		literal(h)
		literal(strings.ToUpper(h))
	}
}

// pieces returns the value, cut at the limit of a pattern, and if it has
// several lines each long one too: a key file is often quoted without its
// line breaks.
func (k *Known) pieces() [][]byte {
	v := []byte(strings.TrimSpace(string(k.Value)))
	if len(v) < leastKnown {
		v = k.Value
	}
	out := [][]byte{v[:runeEnd(v, mostKnown)]}
	lines := strings.Split(string(v), "\n")
	if len(lines) == 1 {
		return out
	}
	for _, l := range lines {
		l = strings.TrimSpace(l)
		if len(l) >= leastLine && !strings.HasPrefix(l, "-----") {
			out = append(out, []byte(l[:runeEnd([]byte(l), mostKnown)]))
		}
	}
	return out
}

// runeEnd returns the greatest end of at most n bytes that cuts no rune.
func runeEnd(v []byte, n int) int {
	if len(v) <= n {
		return len(v)
	}
	for n > 0 && !utf8.RuneStart(v[n]) {
		n--
	}
	return n
}

// aligned returns the characters of base64 that v gives whatever stands around
// it, if it begins lead bytes into a group of three.
func aligned(enc *base64.Encoding, v []byte, lead int) string {
	padded := append(make([]byte, lead, lead+len(v)), v...)
	s := enc.EncodeToString(padded)
	from := [...]int{0, 2, 3}[lead]
	to := len(padded) * 8 / 6
	if to-from < 8 {
		return ""
	}
	return s[from:to]
}

func reversed(v []byte) string {
	r := []rune(string(v))
	for i, j := 0, len(r)-1; i < j; i, j = i+1, j-1 {
		r[i], r[j] = r[j], r[i]
	}
	return string(r)
}

// percent returns v with every byte that is no letter or digit escaped, as
// form encoders do; "" if there is none.
func percent(v []byte) string {
	var b strings.Builder
	changed := false
	for _, c := range v {
		if isWordByte(c) || inSet("-.~", c) {
			b.WriteByte(c)
			continue
		}
		changed = true
		fmt.Fprintf(&b, "%%%02X", c)
	}
	if !changed {
		return ""
	}
	return b.String()
}
