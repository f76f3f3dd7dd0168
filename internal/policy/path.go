package policy

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// A pathPattern is what a policy says for a path.
type pathPattern struct {
	text string
	segs []string // "*" any one, "**" any number, else text with * for any run
}

// parsePath reads a path pattern: "/" and segments. In a segment "*" stands for
// any run of characters, a segment "*" or "{name}" for any one segment, "**"
// for any number of them, also none. A pattern that a server could read in two
// ways is an error.
func parsePath(s string) (pathPattern, error) {
	if s == "**" || s == "*" {
		return pathPattern{}, fmt.Errorf("path %s: write /** for every path", quote(s))
	}
	if !strings.HasPrefix(s, "/") {
		return pathPattern{}, fmt.Errorf("path %s does not begin with /", quote(s))
	}
	if strings.ContainsAny(s, "?#") {
		return pathPattern{}, fmt.Errorf("path %s: a path ends before ? and #; match a query with when:", quote(s))
	}
	p := pathPattern{text: s}
	deep := 0
	plain := make([]string, 0, 8)
	for _, seg := range strings.Split(s[1:], "/") {
		switch {
		case seg == "**":
			deep++
			p.segs, plain = append(p.segs, "**"), append(plain, "x")
			continue
		case strings.HasPrefix(seg, "{") && strings.HasSuffix(seg, "}") && len(seg) > 2 && !strings.ContainsAny(seg[1:len(seg)-1], "{}*"):
			p.segs, plain = append(p.segs, "*"), append(plain, "x")
			continue
		case strings.ContainsAny(seg, "{}"):
			return p, fmt.Errorf("path %s: a capture {name} is a whole segment", quote(s))
		case strings.Contains(seg, "**"):
			return p, fmt.Errorf("path %s: ** is a whole segment", quote(s))
		}
		text, err := unescape(seg)
		if err != nil {
			return p, fmt.Errorf("path %s: %w", quote(s), err)
		}
		p.segs, plain = append(p.segs, text), append(plain, strings.ReplaceAll(asciiOnly(seg), "*", "x"))
	}
	if deep > 2 {
		return p, fmt.Errorf("path %s: ** may stand twice at most", quote(s))
	}
	var r readings
	if r.read("/"+strings.Join(plain, "/"), false); r.kind != pathClean {
		return p, fmt.Errorf("path %s can be read in more than one way (dot segment, //, ;, \\ or an encoded / . ;)", quote(s))
	}
	return p, nil
}

// asciiOnly writes what is not ASCII as percent escapes.
func asciiOnly(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			fmt.Fprintf(&b, "%%%02X", s[i])
		} else {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// every reports whether the pattern matches every path there is.
func (p pathPattern) every() bool { return len(p.segs) == 1 && p.segs[0] == "**" }

// matches reports whether path, which is decoded and begins with "/", is of the
// pattern.
func (p pathPattern) matches(path []byte) bool { return matchPath(p.segs, path[1:], true) }

// matchPath matches the segments of rest; more says whether there still is one,
// perhaps an empty one.
func matchPath(pat []string, rest []byte, more bool) bool {
	if len(pat) == 0 {
		return !more
	}
	if pat[0] == "**" {
		for {
			if matchPath(pat[1:], rest, more) {
				return true
			}
			if !more {
				return false
			}
			_, rest, more = cutSlash(rest)
		}
	}
	if !more {
		return false
	}
	seg, rest, more := cutSlash(rest)
	return matchSegment(pat[0], seg) && matchPath(pat[1:], rest, more)
}

func matchSegment(pat string, seg []byte) bool {
	if pat == "*" {
		return len(seg) > 0
	}
	return glob(pat, seg)
}

// fold returns the pattern as holding and blocking rules use it: servers that
// ignore case or a slash at the end must not open a way around them.
func (p pathPattern) fold() pathPattern {
	f := pathPattern{text: p.text}
	for _, s := range p.segs {
		f.segs = append(f.segs, lower(s))
	}
	if n := len(f.segs); n > 1 && f.segs[n-1] == "" {
		f.segs = f.segs[:n-1]
	}
	return f
}

func lower(s string) string {
	for i := 0; i < len(s); i++ {
		if 'A' <= s[i] && s[i] <= 'Z' {
			return string(lowered([]byte(s)))
		}
	}
	return s
}

func lowered(b []byte) []byte {
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c | 0x20
		}
	}
	return b
}

// glob reports whether s matches pat, in which * stands for any run of bytes.
// Its cost is the product of both lengths at most.
func glob[T string | []byte](pat string, s T) bool {
	p, i := 0, 0
	star, mark := -1, 0
	for i < len(s) {
		switch {
		case p < len(pat) && pat[p] == '*':
			star, mark = p, i
			p++
		case p < len(pat) && pat[p] == s[i]:
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	for p < len(pat) && pat[p] == '*' {
		p++
	}
	return p == len(pat)
}

var errEscape = errors.New("it has a % that encodes nothing")

func unescape(s string) (string, error) {
	if strings.IndexByte(s, '%') < 0 {
		return s, nil
	}
	b, ok := decode(nil, s, false)
	if !ok {
		return "", errEscape
	}
	return string(b), nil
}

// decode appends s without its percent escapes. With keep, escapes of / stay.
func decode[T string | []byte](b []byte, s T, keep bool) ([]byte, bool) {
	good := true
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b = append(b, s[i])
			continue
		}
		if i+2 >= len(s) || unhex(s[i+1]) < 0 || unhex(s[i+2]) < 0 {
			b, good = append(b, '%'), false
			continue
		}
		c := byte(unhex(s[i+1])<<4 | unhex(s[i+2]))
		if c == '/' && keep {
			b = append(b, s[i], s[i+1], s[i+2])
		} else {
			b = append(b, c)
		}
		i += 2
	}
	return b, good
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
