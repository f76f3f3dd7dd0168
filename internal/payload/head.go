package payload

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
)

// readHead reads host, target and header fields.
func (c *Content) readHead(m *Message) {
	if m.Host != "" {
		p := c.open(part{doc: c.addDoc(doc{kind: hostDoc}), node: root, name: unnamed, form: hostForm})
		c.copyText(c.line(m.Host), 0)
		c.close(p)
	}
	c.target = m.Target
	if m.Target != "" {
		c.readTarget(m.Target)
	}
	c.readHeader(m.Header, m.Names)
}

// line returns s as bytes that are good until the next call.
func (c *Content) line(s string) []byte {
	c.work.line = append(c.work.line[:0], s...)
	return c.work.line
}

func (c *Content) readTarget(target string) {
	path, query, _ := strings.Cut(target, "?")
	d := c.addDoc(doc{kind: pathDoc})
	b := c.line(target)
	in := 0
	for i, s := range segments(path) {
		if s != "" {
			in = strings.Index(target[in:], s) + in
			p := c.open(part{doc: d, node: root, name: ^int32(i), form: segmentForm})
			c.percentText(b[in:in+len(s)], in, false)
			c.close(p)
			in += len(s)
		}
	}
	if query != "" {
		c.readPairs(b[len(path)+1:], len(path)+1, c.addDoc(doc{kind: queryDoc}), root, '&', queryForm)
	}
}

// segments yields the segments of an absolute path; of "*" or an authority the
// whole.
func segments(path string) func(yield func(int, string) bool) {
	return func(yield func(int, string) bool) {
		i := 0
		for s := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
			if !yield(i, s) {
				return
			}
			i++
		}
	}
}

func (c *Content) readHeader(h http.Header, spelt []string) {
	names := c.work.names[:0]
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	c.work.names = names
	for _, name := range names {
		if strange(name) {
			p := c.open(part{doc: c.addDoc(doc{kind: headerDoc, name: name, index: -1}), node: root,
				name: unnamed, role: field, form: nameForm})
			c.copyText(c.line(spelling(name, spelt)), 0)
			c.close(p)
		}
		for i, v := range h[name] {
			if v == "" {
				continue
			}
			if name == "Cookie" {
				d := c.addDoc(doc{kind: cookieDoc, name: name, index: int32(i)})
				c.readPairs(c.line(v), 0, d, root, ';', cookieForm)
				continue
			}
			d := c.addDoc(doc{kind: headerDoc, name: name, index: int32(i)})
			p := c.open(part{doc: d, node: root, name: unnamed, form: headerForm})
			c.copyText(c.line(v), 0)
			c.close(p)
			if name == "Authorization" {
				c.readBasic(v, p)
			}
		}
	}
}

// spelling returns the name as it was spelt: a secret in a name has its shape in
// its own case alone.
func spelling(name string, spelt []string) string {
	for _, s := range spelt {
		if len(s) == len(name) && strings.EqualFold(s, name) {
			return s
		}
	}
	return name
}

// strange reports whether the name of a header field may carry data: names of
// real fields are short or made of words.
func strange(name string) bool {
	if len(name) < 16 {
		return false
	}
	return len(name) > 64 || strings.ContainsAny(name, "0123456789") || !strings.Contains(name, "-")
}

// readBasic notes where the credentials of the Basic scheme (RFC 7617) stand,
// so that they are opened however short they are.
func (c *Content) readBasic(v string, p int) {
	scheme, cred, ok := strings.Cut(v, " ")
	if !ok || !strings.EqualFold(scheme, "Basic") {
		return
	}
	cred = strings.Trim(cred, " ")
	_, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(cred, "="))
	if at := &c.parts[p]; err == nil && cred != "" && int(at.end-at.start) == len(v) {
		from := int(at.start) + strings.LastIndex(v, cred)
		c.work.basic = [2]int{from, from + len(cred)}
	}
}

// readPairs reads name=value pairs that stand at in, separated by sep.
func (c *Content) readPairs(s []byte, in int, d, at int32, sep byte, f form) {
	for start := 0; start <= len(s); {
		end := start
		for end < len(s) && s[end] != sep {
			end++
		}
		c.readPair(s[start:end], in+start, d, at, f)
		start = end + 1
	}
}

func (c *Content) readPair(s []byte, in int, d, at int32, f form) {
	if f == cookieForm {
		for len(s) > 0 && s[0] == ' ' {
			s, in = s[1:], in+1
		}
	}
	if len(s) == 0 {
		return
	}
	k := 0
	for k < len(s) && s[k] != '=' {
		k++
	}
	name := int32(unnamed)
	if k > 0 {
		p := c.open(part{doc: d, node: at, name: unnamed, role: key, form: f})
		c.pairText(s[:k], in, f, true)
		c.close(p)
		name = int32(p)
	}
	if k+1 >= len(s) {
		return
	}
	v := s[k+1:]
	p := c.open(part{doc: d, node: at, name: name, form: f})
	c.pairText(v, in+k+1, f, true)
	c.close(p)
	if f != cookieForm && plusMayBePlus(v) {
		p := c.open(part{doc: d, node: at, name: name, role: again, form: f})
		c.pairText(v, in+k+1, f, false)
		c.close(p)
	}
}

func (c *Content) pairText(s []byte, in int, f form, plus bool) {
	if f == cookieForm {
		c.copyText(s, in) // the layers undo what a server may have chosen to write
		return
	}
	c.percentText(s, in, plus)
}

// plusMayBePlus reports whether v holds '+' and is more likely base64, whose
// writer forgot to encode it, than words.
func plusMayBePlus(v []byte) bool {
	n := 0
	for _, b := range v {
		if b == '+' {
			n++
		}
	}
	return n > 0 && (len(v) <= 256 || n*12 < len(v))
}
