package answer

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// clean returns s as one printable line of at most max bytes. What cannot be
// shown becomes '?', so that two different texts stay visibly odd.
func clean(s string, max int) string {
	if plain(s) {
		return cut(s, max)
	}
	var b strings.Builder
	space := false
	for _, r := range s {
		switch {
		case b.Len() > max:
			return cut(b.String(), max)
		case r == '\n' || r == '\r' || r == '\t' || r == ' ':
			space = true
			continue
		case r == utf8.RuneError || !unicode.IsPrint(r):
			r = '?'
		}
		if space && b.Len() > 0 {
			b.WriteByte(' ')
		}
		space = false
		b.WriteRune(r)
	}
	return cut(b.String(), max)
}

func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// cut shortens s to at most max bytes, at the border of a character.
func cut(s string, max int) string {
	const dots = "..."
	if len(s) <= max {
		return s
	}
	n := max - len(dots)
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + dots
}

// ascii returns s with what is not printable ASCII replaced.
func ascii(s string) string {
	if plain(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}

// quoted returns s as a string of RFC 8941.
func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(ascii(s)) + `"`
}

// percent returns s as a grpc-message.
func percent(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '%' {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
