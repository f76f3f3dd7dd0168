package secret

import "bytes"

// headLines bounds how many lines of the text are looked at as header fields.
const headLines = 64

// head reports what stands whole in a header that authenticates, whatever it
// is. The parts of the head come first, and a header is one line. Their names
// cost memory, so that they are asked for only where a value could be a
// credential.
func (j *judge) head() {
	for i, pos := 0, 0; i < headLines && pos < len(j.text); i++ {
		line := span{pos, len(j.text)}
		if n := bytes.IndexByte(j.text[pos:], '\n'); n >= 0 {
			line.to = pos + n
		}
		pos = line.to + 1
		v, r := j.scheme(line)
		if r == &j.in.apiKey && !couldBeKey(j.text[v.from:v.to]) || j.part(line.from) != line {
			continue
		}
		if next, ok := j.parts.Head(line.from); !ok {
			pos = next
			continue
		}
		path := j.parts.Place(v.from, v.to).Part
		if j.in.headers.whole(headerOf(path)) {
			j.add(candidate{span: v, rule: r, score: scoreGeneric})
		}
	}
}

// scheme cuts the scheme of HTTP authentication off a value and returns the
// rule for the rest.
func (j *judge) scheme(v span) (span, *rule) {
	for _, s := range [...]struct {
		scheme string
		rule   *rule
	}{{"bearer ", &j.in.bearer}, {"token ", &j.in.bearer}, {"basic ", &j.in.basic}} {
		if hasFoldPrefix(j.text[v.from:v.to], s.scheme) && v.len() > len(s.scheme) {
			return span{v.from + len(s.scheme), v.to}, s.rule
		}
	}
	return v, &j.in.apiKey
}

// couldBeKey tells a key from what other headers and paths hold. It is quick
// and says yes too often: the header decides.
func couldBeKey(b []byte) bool {
	const shortest, longest, enough = 12, 4096, 2.5
	if len(b) < shortest || len(b) > longest {
		return false
	}
	letters, digits := 0, 0
	for _, c := range b {
		switch {
		case c <= ' ' || c == ',' || c == ';' || c >= 0x7f:
			return false
		case isDigit(c):
			digits++
		case isLower(c) || isUpper(c):
			letters++
		}
	}
	return letters > 0 && digits > 0 && entropy(b) >= enough && !wordy(b)
}
