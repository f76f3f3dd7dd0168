package secret

import (
	"bytes"
	"net/url"
	"strconv"
	"strings"
)

// field returns the value of a name that is a field's name, a part of its own:
// {"api_key": "…"}, token=…&, <field>: …. It is the next part, if the path of
// that says that it belongs to the name. A name may also be the value of a
// field, and what it names the value of the next: {"name": "API_KEY", "value":
// "…"}. Paths are asked for only if the value would do.
func (j *judge) field(part, name span, fits func(assignment) bool) (assignment, bool) {
	a := assignment{name: name, data: true}
	next, ok := j.next(part)
	if !ok {
		return a, false
	}
	own := bytes.TrimSpace(j.text[part.from:part.to])
	if key := j.text[next.from:next.to]; isValueKey(key) {
		if a.value, ok = j.next(next); ok && fits(a) {
			parent, _ := splitPath(j.parts.Place(part.from, part.to).Part)
			beside, last := splitPath(j.parts.Place(a.value.from, a.value.to).Part)
			return a, beside == parent && strings.EqualFold(last, string(key))
		}
	}
	a.value = next
	if !fits(a) {
		return a, false
	}
	return a, names(j.parts.Place(a.value.from, a.value.to).Part, string(own))
}

// next returns the part after part, if it is there and not too long.
func (j *judge) next(part span) (span, bool) {
	if _, end := j.parts.Bounds(part.from); part.to+1 >= end {
		return span{}, false
	}
	n := j.part(part.to + 1)
	return n, n.from > part.to && n.len() > 0 && n.len() <= maxValue
}

func isValueKey(b []byte) bool {
	for _, k := range [...]string{"value", "val", "secret_value", "defaultvalue", "default"} {
		if len(b) == len(k) && hasFoldPrefix(b, k) {
			return true
		}
	}
	return false
}

// names reports whether the last names of path are field, or field and a
// number: body/config/api_key, body/tokens/0.
func names(path, field string) bool {
	rest, last := splitPath(path)
	if sameName(last, field) {
		return true
	}
	if _, err := strconv.Atoi(last); err != nil {
		return false
	}
	_, last = splitPath(rest)
	return sameName(last, field)
}

// sameName reports whether segment is how a path writes the name of a field:
// escaped, or (name) where the name may be data itself.
func sameName(segment, field string) bool {
	if segment == "(name)" || strings.EqualFold(segment, field) {
		return true
	}
	s, err := url.PathUnescape(segment)
	return err == nil && strings.EqualFold(s, field)
}

func splitPath(path string) (rest, last string) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", path
	}
	return path[:i], path[i+1:]
}
