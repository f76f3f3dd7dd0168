package policy

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Bounds of paths. A longer or deeper path is read as murky, beyond any
// enumeration.
const (
	pathMax     = 8 << 10 // bytes
	segmentsMax = 256
	murkyMax    = 512 // bytes of a murky path whose readings are enumerated
)

// A pathKind says how sure we are to read a path as its server does.
type pathKind uint8

const (
	pathNone  pathKind = iota // the call has no path
	pathClean                 // there is one reading
	pathSlash                 // an encoded slash: two readings, as text or as a slash
	pathMurky                 // dot segments, //, ;, \, double encoding, …: servers differ
	pathWild                  // murky and too long to enumerate what it may be
)

// readings is what a path can mean. Buffers are kept for the next call.
type readings struct {
	kind  pathKind
	plain []byte // decoded, an encoded slash kept as %2F; begins with /
	slash []byte // for pathSlash: the encoded slash read as one
	// folded holds every reading for holding and blocking rules: lower case,
	// without a slash at the end.
	folded [][]byte
	used   int // of folded; the rest are spare buffers
}

// read fills r with the readings of target. With all it fills folded too.
func (r *readings) read(target string, all bool) {
	r.kind, r.plain, r.slash, r.used = pathNone, r.plain[:0], r.slash[:0], 0
	if target == "" {
		return
	}
	r.kind = r.classify(target)
	if !all || r.kind == pathWild {
		return
	}
	switch r.kind {
	case pathClean:
		r.addFolded(r.plain)
	case pathSlash:
		r.addFolded(r.plain)
		r.addFolded(r.slash)
	case pathMurky:
		r.enumerate(target)
	}
}

// classify decodes target and says how sure we are of it.
func (r *readings) classify(target string) pathKind {
	if len(target) > pathMax || strings.Count(target, "/") > segmentsMax {
		return pathWild
	}
	murky := pathMurky
	if len(target) > murkyMax {
		murky = pathWild
	}
	if target[0] != '/' {
		return murky
	}
	for i := 0; i < len(target); i++ {
		if c := target[i]; c <= ' ' || c >= 0x7f || c == '\\' || c == ';' || c == '?' || c == '#' {
			return murky
		}
	}
	var good bool
	if r.plain, good = decode(r.plain, target, true); !good || oddText(r.plain) {
		return murky
	}
	if !hasEscape(r.plain) {
		return oddSegments(r.plain, murky, pathClean)
	}
	if encodedTwice(target) {
		return murky
	}
	r.slash, _ = decode(r.slash, r.plain, false)
	return oddSegments(r.slash, murky, oddSegments(r.plain, murky, pathSlash))
}

// encodedTwice reports whether decoding s gives an escape.
func encodedTwice(s string) bool {
	for i := 0; i+4 < len(s); i++ {
		if s[i] == '%' && s[i+1] == '2' && s[i+2] == '5' && unhex(s[i+3]) >= 0 && unhex(s[i+4]) >= 0 {
			return true
		}
	}
	return false
}

// oddText reports whether decoded text holds what servers read in different
// ways.
func oddText(b []byte) bool {
	ascii := true
	for _, c := range b {
		if c < ' ' || c == 0x7f || c == '\\' || c == ';' || c == '?' || c == '#' {
			return true
		}
		ascii = ascii && c < utf8.RuneSelf
	}
	if ascii {
		return false
	}
	if !utf8.Valid(b) {
		return true
	}
	for _, c := range norm.NFKC.Bytes(b) { // best-fit mappings: U+FF0F reads as /
		if c == '\\' || c == ';' {
			return true
		}
	}
	return strings.Count(string(norm.NFKC.Bytes(b)), "/") != strings.Count(string(b), "/") ||
		strings.Count(string(norm.NFKC.Bytes(b)), ".") != strings.Count(string(b), ".")
}

// oddSegments returns odd if a segment of path is empty, other than the last,
// or ends in a dot or a space, which some file systems drop; else fine.
func oddSegments(path []byte, odd, fine pathKind) pathKind {
	rest := path[1:]
	for more := true; more; {
		seg := rest
		seg, rest, more = cutSlash(rest)
		if len(seg) == 0 && more {
			return odd
		}
		if n := len(seg); n > 0 && (seg[n-1] == '.' || seg[n-1] == ' ') {
			return odd
		}
	}
	return fine
}

func cutSlash(b []byte) (seg, rest []byte, more bool) {
	for i, c := range b {
		if c == '/' {
			return b[:i], b[i+1:], true
		}
	}
	return b, nil, false
}

// hasEscape reports whether b holds a percent escape.
func hasEscape(b []byte) bool {
	for i, c := range b {
		if c == '%' && i+2 < len(b) && unhex(b[i+1]) >= 0 && unhex(b[i+2]) >= 0 {
			return true
		}
	}
	return false
}

// addFolded adds a reading for holding and blocking rules, once.
func (r *readings) addFolded(path []byte) {
	var b []byte
	if r.used < len(r.folded) {
		b = r.folded[r.used][:0]
	}
	b = lowered(append(b, path...))
	if n := len(b); n > 1 && b[n-1] == '/' {
		b = b[:n-1]
	}
	for _, old := range r.folded[:r.used] {
		if string(old) == string(b) {
			return
		}
	}
	if r.used < len(r.folded) {
		r.folded[r.used] = b
	} else {
		r.folded = append(r.folded, b)
	}
	r.used++
}

// enumerate adds all that servers make of a murky path: decoded once to three
// times, encoded slashes read as text or as slashes, backslashes as slashes or
// not, parameters cut or kept, dot segments resolved or kept, empty segments
// dropped or kept, dots and spaces at the end of segments too.
func (r *readings) enumerate(target string) {
	if i := strings.IndexAny(target, "?#"); i >= 0 {
		target = target[:i]
	}
	decoded := make([]string, 0, 8)
	for _, keep := range []bool{true, false} {
		b := []byte(target)
		for range 3 {
			b, _ = decode(nil, b, keep)
			decoded = append(decoded, string(b))
		}
	}
	decoded = append(decoded, target)
	for _, d := range decoded {
		if wide := norm.NFKC.String(d); wide != d {
			decoded = append(decoded, wide)
		}
	}
	for _, d := range decoded {
		for how := range 32 {
			if how&^choices(d) == 0 {
				r.addFolded([]byte(respell(d, how)))
			}
		}
	}
}

// choices returns the bits of how that can make a difference in respell.
func choices(d string) int {
	how := 4
	if strings.Contains(d, "\\") {
		how |= 1
	}
	if strings.Contains(d, ";") {
		how |= 2
	}
	if strings.Contains(d, "//") || how&1 != 0 || how&2 != 0 {
		how |= 8
	}
	if strings.ContainsAny(d, ". ") {
		how |= 16
	}
	return how
}

// respell reads a path as one kind of server does: how is a set of 1, backslashes
// are slashes; 2, parameters are cut; 4, dot segments are resolved; 8, empty
// segments are dropped; 16, dots and spaces at the end of segments are dropped.
func respell(d string, how int) string {
	if how&1 != 0 {
		d = strings.ReplaceAll(d, "\\", "/")
	}
	var segs []string
	for _, s := range strings.Split(strings.TrimPrefix(d, "/"), "/") {
		if i := strings.IndexByte(s, ';'); i >= 0 && how&2 != 0 {
			s = s[:i]
		}
		if i := strings.IndexByte(s, 0); i >= 0 {
			s = s[:i]
		}
		bare := strings.TrimRight(s, " ")
		if how&16 != 0 {
			if cut := strings.TrimRight(s, ". "); cut != "" {
				s = cut
			}
		}
		switch {
		case how&4 != 0 && (bare == "." || s == "" && how&8 != 0):
		case how&4 != 0 && bare == "..":
			if len(segs) > 0 {
				segs = segs[:len(segs)-1]
			}
		case how&8 != 0 && s == "":
		default:
			segs = append(segs, s)
		}
	}
	return "/" + strings.Join(segs, "/")
}
