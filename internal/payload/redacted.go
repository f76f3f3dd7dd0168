package payload

import (
	"slices"
	"strings"

	"outvet/call"
)

// unnameable stands in a record for what may hold a secret and cannot be
// redacted piece by piece.
const unnameable = "[redacted]"

// Redacted returns target, without its query, and host as a record may hold
// them: what was found in them, however encoded, is replaced by its kind in
// brackets. found are findings over c. If target is not the one that was
// decoded, it is hidden as a whole when its path or query has a finding.
func (c *Content) Redacted(target, host string, found []call.Finding) (string, string) {
	path, _, _ := strings.Cut(target, "?")
	var all []cut
	for _, f := range found {
		if f.From >= 0 && f.From < f.To && f.To <= len(c.Text) && len(c.parts) > 0 {
			p := &c.parts[c.partAt(f.From)]
			if to := min(f.To, int(p.end)); f.From < to {
				all = append(all, cut{f.From, to, "[" + f.Kind + "]"})
			}
		}
	}
	wire, err := c.resolve(all, true)
	if err != nil {
		return unnameable, unnameable
	}
	decoded, _, _ := strings.Cut(c.target, "?")
	if s := of(wire, func(d int32) bool { return c.docs[d].kind == pathDoc }); len(s) > 0 {
		s = slices.DeleteFunc(s, func(x splice) bool { return x.from >= len(decoded) })
		path = redacted(path, decoded, s)
	}
	if s := of(wire, func(d int32) bool { return c.docs[d].kind == hostDoc }); len(s) > 0 {
		host = redactedHost(host, c, s)
	}
	return path, host
}

func of(wire []splice, is func(int32) bool) []splice {
	var out []splice
	for _, s := range wire {
		if is(s.doc) {
			out = append(out, s)
		}
	}
	return out
}

func redacted(given, decoded string, edits []splice) string {
	if len(edits) == 0 {
		return given
	}
	if given != decoded {
		return unnameable
	}
	out, err := splices([]byte(decoded), edits)
	if err != nil {
		return unnameable
	}
	return string(out)
}

// redactedHost redacts host, which is what was decoded but for its case.
func redactedHost(host string, c *Content, edits []splice) string {
	text := string(c.Text[c.parts[0].start:c.parts[0].end])
	if !strings.EqualFold(strings.TrimSuffix(host, "."), strings.TrimSuffix(text, ".")) {
		return unnameable
	}
	return redacted(text, text, edits)
}
