package payload

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"

	"outvet/call"
)

// Apply makes the edits and returns the wire body. m is changed in place
// (Target and Header); where the body changes in length, so does m.Length, and
// a Content-Length header. body is the same that was decoded. An edit that
// cannot be made is an error: the call must not leave without it. Then m may
// have been changed in part.
//
// A body whose text is edited leaves without content coding and without the
// digests that were made over it. Bytes that no edit touches stay as they are.
func (c *Content) Apply(m *Message, body []byte, edits []call.Edit) ([]byte, error) {
	var redact []cut
	var header []call.Edit
	for _, e := range edits {
		switch e.Kind {
		case call.Redact:
			redact = append(redact, cut{e.From, e.To, e.With})
		case call.StripHeader, call.SetHeader:
			header = append(header, e)
		default:
			return nil, fmt.Errorf("payload: unknown kind of edit %q", e.Kind)
		}
	}
	wire, err := c.resolve(redact, false)
	if err != nil {
		return nil, err
	}
	var gone []string // fields whose names are redacted
	for len(wire) > 0 {
		n := 1
		for n < len(wire) && wire[n].doc == wire[0].doc {
			n++
		}
		if d := &c.docs[wire[0].doc]; d.kind == headerDoc && d.index < 0 {
			gone = append(gone, d.name)
		} else if body, err = c.applyTo(m, body, d, wire[:n]); err != nil {
			return nil, err
		}
		wire = wire[n:]
	}
	for _, name := range gone {
		delete(m.Header, name)
	}
	for _, e := range header {
		if err := setHeader(m, e); err != nil {
			return nil, err
		}
	}
	return body, nil
}

// applyTo makes the edits of one document.
func (c *Content) applyTo(m *Message, body []byte, d *doc, edits []splice) ([]byte, error) {
	if d.kind == bodyDoc {
		return c.applyBody(m, body, edits)
	}
	if m == nil {
		return nil, errors.New("payload: an edit of the head of a message that has none")
	}
	if d.kind == pathDoc {
		if m.Target != c.target {
			return nil, errors.New("payload: the target changed since it was decoded")
		}
		out, err := splices([]byte(m.Target), edits)
		m.Target = string(out)
		return body, err
	}
	values := m.Header[d.name]
	if int(d.index) >= len(values) {
		return nil, fmt.Errorf("payload: header %q changed since it was decoded", d.name)
	}
	out, err := splices([]byte(values[d.index]), edits)
	if err != nil {
		return nil, err
	}
	values[d.index] = string(out)
	return body, nil
}

func (c *Content) applyBody(m *Message, body []byte, edits []splice) ([]byte, error) {
	switch {
	case c.stream:
		return nil, errors.New("payload: a window is edited by Emit")
	case c.cut:
		return nil, errors.New("payload: a body that was not read to its end cannot be edited")
	case !c.coded && len(body) != len(c.body):
		return nil, errors.New("payload: the body changed since it was decoded")
	}
	out, err := splices(c.body, edits)
	if err != nil || m == nil {
		return out, err
	}
	m.Length = int64(len(out))
	if m.Header == nil {
		return out, nil
	}
	if c.coded {
		m.Header.Del("Content-Encoding")
	}
	for _, digest := range []string{"Content-Md5", "Digest", "Content-Digest", "Repr-Digest"} {
		m.Header.Del(digest)
	}
	if m.Header.Get("Content-Length") != "" {
		m.Header.Set("Content-Length", strconv.Itoa(len(out)))
	}
	return out, nil
}

// setHeader strips or sets a header field.
func setHeader(m *Message, e call.Edit) error {
	if m == nil || m.Header == nil && e.Kind == call.SetHeader {
		return fmt.Errorf("payload: header %q: the message has no header", e.Name)
	}
	if !httpguts.ValidHeaderFieldName(e.Name) {
		return fmt.Errorf("payload: header %q is not a valid name", e.Name)
	}
	if framing(e.Name) {
		return fmt.Errorf("payload: header %q belongs to the connection and cannot be edited", e.Name)
	}
	if e.Kind == call.StripHeader {
		m.Header.Del(e.Name)
		for name := range m.Header {
			if strings.EqualFold(name, e.Name) {
				delete(m.Header, name)
			}
		}
		return nil
	}
	if !httpguts.ValidHeaderFieldValue(e.With) {
		return fmt.Errorf("payload: header %q cannot have a value with control characters", e.Name)
	}
	m.Header.Set(e.Name, e.With)
	return nil
}

// framing reports whether a field says where a message goes, how it is coded, or
// where it ends (RFC 9110
// §7.6.1, RFC 9112 §6).
func framing(name string) bool {
	for _, f := range []string{"Connection", "Content-Length", "Host", "Keep-Alive", "Proxy-Authenticate",
		"Proxy-Authorization", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Content-Encoding"} {
		if strings.EqualFold(f, name) {
			return true
		}
	}
	return false
}
