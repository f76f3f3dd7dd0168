package answer

import (
	"net/http"
	"strings"
)

// Strip removes from h what only we may say: the fields Outvet-* and the
// members of Proxy-Status that name outvet. It is for what comes from a client
// and from upstream alike, and costs a walk over the names of h.
func Strip(h http.Header) {
	for name, values := range h {
		switch {
		case len(name) > 7 && strings.EqualFold(name[:7], "Outvet-"):
			delete(h, name)
		case strings.EqualFold(name, "Proxy-Status"):
			if kept := others(values); len(kept) > 0 {
				h[name] = kept
			} else {
				delete(h, name)
			}
		}
	}
}

// others returns the members of a Proxy-Status list that are not ours.
func others(values []string) []string {
	var kept []string
	for _, v := range values {
		list, ok := members(v)
		if !ok && strings.Contains(strings.ToLower(v), "outvet") {
			continue // not a list: who knows how its reader splits it
		}
		for _, member := range list {
			if !ours(member) {
				kept = append(kept, member)
			}
		}
	}
	return kept
}

// ours reports whether a member names outvet, as a token or a string.
func ours(member string) bool {
	name := strings.ToLower(strings.Trim(member, " \t"))
	name, _, _ = strings.Cut(name, ";")
	name = strings.ReplaceAll(strings.Trim(name, " \t"), `\`, "")
	return strings.HasPrefix(strings.Trim(name, `"`), "outvet")
}

// members splits a list of RFC 8941 at the commas outside strings. It is not
// ok when a string does not end.
func members(v string) (out []string, ok bool) {
	start, inside := 0, false
	for i := 0; i < len(v); i++ {
		switch c := v[i]; {
		case c == '\\' && inside:
			i++
		case c == '"':
			inside = !inside
		case c == ',' && !inside:
			out = append(out, v[start:i])
			start = i + 1
		}
	}
	out = append(out, v[start:])
	for i := range out {
		out[i] = strings.Trim(out[i], " \t")
	}
	return out, !inside
}
