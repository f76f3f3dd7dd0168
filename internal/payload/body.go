package payload

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"strings"

	"outvet/internal/payload/inflate"
)

// readBody undoes the content coding of body and reads it.
func (c *Content) readBody(coding, ctype string, body []byte) {
	c.body = body
	if coding != "" {
		c.uncode(coding)
	}
	if most := c.room() / 4; len(c.body) > most {
		c.body, c.cut = c.body[:most], true
		c.unread(c.base, fmt.Sprintf("decoded text is over %d bytes", c.lim.Text))
	}
	c.bodyPart = len(c.parts)
	if c.remembers(c.body) {
		c.work.bytes = c.work.hasher.begin(c.lim.Memory, c.lim.Realm, c.work.bytes)
	}
	c.readTyped(ctype, 0, len(c.body), c.addDoc(doc{kind: bodyDoc}), root, 0)
}

func (c *Content) uncode(coding string) {
	if !inflate.Known(coding) {
		c.unread(c.base, fmt.Sprintf("content coding %q is not known", clip(coding)))
		return
	}
	most := int(min(c.lim.Text/4, int64(c.lim.Body)*4))
	out, err := inflate.Append(nil, coding, c.body, most, c.lim.Ratio)
	if err != nil {
		c.unread(c.base, undecoded(err, coding, most, c.lim.Ratio))
	}
	if err != nil && len(out) == 0 {
		c.cut = true // the wire bytes are read instead: they may be plain text
		return
	}
	c.body, c.coded, c.cut = out, true, err != nil
}

// undecoded says why a body in a content coding cannot be read: err is of inflate.
func undecoded(err error, coding string, most, ratio int) string {
	switch {
	case errors.Is(err, inflate.ErrSize) && most > 0:
		return fmt.Sprintf("decompressed body is over %d bytes", most)
	case errors.Is(err, inflate.ErrRatio):
		return fmt.Sprintf("decompressed body is over %d times its size on the wire", ratio)
	}
	return fmt.Sprintf("content coding %q is damaged", clip(coding))
}

func clip(s string) string { return s[:min(len(s), 64)] }

// readTyped reads body[from:to] as what ctype says and as what it looks like:
// a server may go by either.
func (c *Content) readTyped(ctype string, from, to int, d, at int32, depth int) {
	s := c.body[from:to]
	if len(s) == 0 {
		return
	}
	mt, boundary := contentType(ctype)
	labelled := strings.HasSuffix(mt, "json")
	if (labelled || looksLikeJSON(s)) && c.readJSON(s, from, d, at, jsonForm, depth == 0) {
		return
	}
	if depth < c.lim.Depth {
		if b := sniffBoundary(s); boundary == "" && b != "" {
			boundary = b
		}
		if boundary != "" && c.readMultipart(boundary, from, to, d, at, depth) {
			return
		}
	}
	isForm := mt == "application/x-www-form-urlencoded"
	clean := looksLikeForm(s)
	if isForm || clean {
		c.readPairs(s, from, d, at, '&', queryForm)
	}
	if !isForm || !clean {
		f := textForm
		if strings.HasSuffix(mt, "xml") || strings.HasSuffix(mt, "html") || looksLikeMarkup(s) {
			f = markupForm
		}
		c.readPlain(from, to, d, at, unnamed, value, f)
	}
}

// contentType returns the media type in lower case and the boundary of a
// multipart type. It reads what mime.ParseMediaType refuses, too.
func contentType(s string) (mt, boundary string) {
	if s == "" {
		return "", ""
	}
	mt, rest, _ := strings.Cut(s, ";")
	mt = strings.ToLower(strings.TrimSpace(mt))
	if !strings.HasPrefix(mt, "multipart/") {
		return mt, ""
	}
	if _, params, err := mime.ParseMediaType(s); err == nil {
		return mt, params["boundary"]
	}
	const param = "boundary="
	for k := 0; k+len(param) <= len(rest); k++ {
		if !strings.EqualFold(rest[k:k+len(param)], param) {
			continue
		}
		b := strings.TrimLeft(rest[k+len(param):], `"`)
		if e := strings.IndexAny(b, `";, `); e >= 0 {
			b = b[:e]
		}
		return mt, b
	}
	return mt, ""
}

// looksLikeJSON reports whether s begins and ends like an array, an object or
// a string, or several of them. Numbers and literals alone are plain text.
func looksLikeJSON(s []byte) bool {
	s = bytes.TrimSpace(bytes.TrimPrefix(s, bom))
	return len(s) >= 2 && opens(s[0]) && closes(s[len(s)-1])
}

var bom = []byte("\uFEFF")

func opens(b byte) bool { return b == '{' || b == '[' || b == '"' }
func closes(b byte) bool {
	return b == '}' || b == ']' || b == '"' || b >= '0' && b <= '9' || b == 'e' || b == 'l'
}

// looksLikeForm reports whether s can be name=value pairs as they are written
// on the wire.
func looksLikeForm(s []byte) bool {
	if k := bytes.IndexByte(s[:min(len(s), 256)], '='); k < 1 {
		return false
	}
	for _, b := range bytes.TrimRight(s, "\r\n") {
		if b <= ' ' || b >= 0x7f || b == '"' || b == '<' || b == '>' || b == '\\' {
			return false
		}
	}
	return true
}
