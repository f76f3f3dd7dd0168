package payload

import (
	"bytes"
	"mime"
	"net/textproto"
	"strings"
)

// readMultipart reads body[from:to] as a multipart body (RFC 2046 §5.1) with
// boundary. What stands before the first and after the last delimiter is read
// as text. It reports false if the boundary is not there.
func (c *Content) readMultipart(boundary string, from, to int, d, at int32, depth int) bool {
	delim := []byte("--" + boundary)
	s := c.body[from:to]
	start, after, last := delimiter(s, delim, 0)
	if start < 0 {
		return false
	}
	c.loose(from, from+start, d, at)
	for i := int32(0); !last; i++ {
		next, end, final := delimiter(s, delim, after)
		stop := next
		if next < 0 {
			stop, end, final = len(s), len(s), true
		}
		c.readEntity(from+after, from+stop, d, at, i, depth)
		after, last = end, final
	}
	c.loose(from+after, to, d, at)
	return true
}

// delimiter finds the next line that begins with delim, from i on. It returns
// where the line break before it begins, where the next line begins, and
// whether it is the last one.
func delimiter(s, delim []byte, i int) (start, after int, last bool) {
	for {
		k := bytes.Index(s[i:], delim)
		if k < 0 {
			return -1, 0, false
		}
		start, i = i+k, i+k+len(delim)
		if start > 0 && s[start-1] != '\n' {
			continue
		}
		rest := s[i:]
		if bytes.HasPrefix(rest, []byte("--")) {
			rest, last = rest[2:], true
		}
		line, _, _ := bytes.Cut(rest, []byte("\n"))
		if len(bytes.Trim(line, " \t\r")) != 0 {
			last = false
			continue // a longer boundary that begins alike
		}
		after = min(len(s)-len(rest)+len(line)+1, len(s))
		if start > 0 {
			start--
		}
		if start > 0 && s[start-1] == '\r' {
			start--
		}
		return start, after, last
	}
}

// loose reads what stands between parts, if it says anything.
func (c *Content) loose(from, to int, d, at int32) {
	if from < to && len(bytes.TrimSpace(c.body[from:to])) > 0 {
		c.readPlain(from, to, d, at, unnamed, value, textForm)
	}
}

// readEntity reads one part of a multipart body: its header block, its name and
// file name, and its content by its own type.
func (c *Content) readEntity(from, to int, d, at, index int32, depth int) {
	if from > to {
		return
	}
	block, content := splitEntity(c.body[from:to])
	n := int32(len(c.nodes))
	c.nodes = append(c.nodes, node{node: at, name: ^index})
	var ctype string
	if len(block) > 0 {
		c.readPlain(from, from+len(block), d, n, unnamed, head, mimeForm)
		var name int32
		ctype, name = c.readFields(block, from, d, n)
		if name >= 0 {
			c.nodes[n].name = name
		}
	}
	c.readTyped(ctype, from+content, to, d, n, depth+1)
}

// splitEntity returns the header block of a part and where its content begins.
func splitEntity(s []byte) (block []byte, content int) {
	for i := 0; i < len(s); {
		line, _, found := bytes.Cut(s[i:], []byte("\n"))
		if len(bytes.Trim(line, "\r")) == 0 && found {
			return s[:i], i + len(line) + 1
		}
		i += len(line) + 1
	}
	if bytes.IndexByte(s, ':') < 0 {
		return nil, 0
	}
	return s, len(s)
}

// readFields reads the header block of a part. It returns the content type and
// the part that holds the name, or a negative number.
func (c *Content) readFields(block []byte, in int, d, n int32) (ctype string, name int32) {
	name = -1
	for len(block) > 0 {
		line, rest, _ := bytes.Cut(block, []byte("\n"))
		field, v, _ := strings.Cut(string(line), ":")
		switch textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(field)) {
		case "Content-Type":
			ctype = strings.TrimSpace(v)
		case "Content-Disposition":
			if p := c.readParam(line, in, "name", key, d, n); p >= 0 {
				name = p
			}
			c.readParam(line, in, "filename", file, d, n)
		}
		in += len(block) - len(rest)
		block = rest
	}
	return ctype, name
}

// readParam reads one parameter of a Content-Disposition field where it stands.
func (c *Content) readParam(line []byte, in int, param string, r role, d, n int32) int32 {
	_, params, err := mime.ParseMediaType(strings.TrimSpace(afterColon(string(line))))
	v := params[param]
	if err != nil || v == "" {
		return -1
	}
	k := bytes.Index(line, []byte(param+`="`+v+`"`))
	skip := len(param) + 2
	if k < 0 {
		k, skip = bytes.Index(line, []byte(param+"="+v)), len(param)+1
	}
	if k < 0 {
		return -1 // written with escapes: the header block shows them, the layers undo them
	}
	at := in + k + skip
	return int32(c.readPlain(at, at+len(v), d, n, unnamed, r, mimeForm))
}

func afterColon(s string) string {
	_, v, _ := strings.Cut(s, ":")
	return v
}

// readPlain reads body[from:to] as one part.
func (c *Content) readPlain(from, to int, d, at, name int32, r role, f form) int {
	p := c.open(part{doc: d, node: at, name: name, role: r, form: f})
	valid := c.copyText(c.body[from:to], from)
	c.close(p)
	if !valid && (f == textForm || f == markupForm) {
		c.work.binaries = append(c.work.binaries, binary{part: p, from: from, to: to, body: true})
	}
	return p
}

// sniffBoundary returns the boundary of what looks like a multipart body,
// whatever its type says.
func sniffBoundary(s []byte) string {
	if !bytes.HasPrefix(s, []byte("--")) {
		return ""
	}
	line, rest, _ := bytes.Cut(s[2:min(len(s), 4096)], []byte("\n"))
	line = bytes.TrimRight(line, "\r \t")
	if len(line) == 0 || len(line) > 200 || !bytes.Contains(bytes.ToLower(rest), []byte("content-")) {
		return ""
	}
	return string(line)
}
