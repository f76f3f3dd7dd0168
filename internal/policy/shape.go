package policy

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// A schema is a piece of JSON Schema 2020-12.
type schema map[string]any

// A shape is one form that a value in a policy file may have: how it is read
// and how the schema describes it. Reader and schema come from the same
// shapes, so that they cannot drift apart.
type shape[V any] struct {
	schema schema
	// read returns the value at n. It reports false when it has told r what
	// is wrong.
	read func(r *reader, n *yaml.Node) (V, bool)
}

// A reader reads one file.
type reader struct {
	file string
	*problems
}

func (r *reader) place(n *yaml.Node) place { return place{r.file, n.Line, n.Column} }

func (r *reader) fail(n *yaml.Node, format string, args ...any) {
	r.add(r.place(n), format, args...)
}

// got describes a node for an error.
func got(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a map"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	switch n.ShortTag() {
	case "!!null":
		return "nothing"
	case "!!str":
		return fmt.Sprintf("the text %s", quote(n.Value))
	case "!!int", "!!float":
		return "the number " + clip(n.Value)
	case "!!bool":
		return clip(n.Value)
	case "!!timestamp":
		return "the date " + clip(n.Value)
	}
	return fmt.Sprintf("%s with tag %s", quote(n.Value), clip(n.Tag))
}

func quote(s string) string { return strconv.Quote(clip(s)) }

func clip(s string) string { return shorten(s, 60) }

func shorten(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most-3], "") + "..."
}

func scalar(n *yaml.Node, tag string) bool {
	return n.Kind == yaml.ScalarNode && n.ShortTag() == tag
}

// text is a string that is not empty.
func text() shape[string] {
	return shape[string]{schema{"type": "string", "minLength": 1}, func(r *reader, n *yaml.Node) (string, bool) {
		switch {
		case scalar(n, "!!str") && n.Value == "":
			r.fail(n, "expected text, got an empty one")
		case scalar(n, "!!str"):
			return n.Value, true
		case n.Kind == yaml.ScalarNode && n.ShortTag() != "!!null":
			r.fail(n, "expected text, got %s: put it in quotes", got(n))
		default:
			r.fail(n, "expected text, got %s", got(n))
		}
		return "", false
	}}
}

// word is one of a fixed choice.
func word(words ...string) shape[string] {
	return shape[string]{schema{"enum": words}, func(r *reader, n *yaml.Node) (string, bool) {
		if n.Kind == yaml.ScalarNode && slices.Contains(words, n.Value) {
			return n.Value, true
		}
		if !scalar(n, "!!str") {
			r.fail(n, "expected %s, got %s", strings.Join(words, " or "), got(n))
			return "", false
		}
		r.fail(n, "unknown word %s%s", quote(n.Value), meant(n.Value, words))
		return "", false
	}}
}

// flag is true or false.
func flag() shape[bool] {
	return shape[bool]{schema{"type": "boolean"}, func(r *reader, n *yaml.Node) (bool, bool) {
		if scalar(n, "!!bool") {
			return strings.EqualFold(n.Value, "true"), true
		}
		r.fail(n, "expected true or false, got %s", got(n))
		return false, false
	}}
}

// whole is an integer within bounds.
func whole(low, high int64) shape[int64] {
	return shape[int64]{schema{"type": "integer", "minimum": low, "maximum": high}, func(r *reader, n *yaml.Node) (int64, bool) {
		if scalar(n, "!!int") {
			if v, err := strconv.ParseInt(n.Value, 0, 64); err == nil && v >= low && v <= high {
				return v, true
			}
		}
		r.fail(n, "expected a number from %d to %d, got %s", low, high, got(n))
		return 0, false
	}}
}

// fraction is a number from 0 to 1.
func fraction() shape[float64] {
	return shape[float64]{schema{"type": "number", "minimum": 0, "maximum": 1}, func(r *reader, n *yaml.Node) (float64, bool) {
		if scalar(n, "!!int") || scalar(n, "!!float") {
			if v, err := strconv.ParseFloat(n.Value, 64); err == nil && v >= 0 && v <= 1 && !math.IsNaN(v) {
				return v, true
			}
		}
		r.fail(n, "expected a number from 0 to 1, got %s", got(n))
		return 0, false
	}}
}

// parsed is a text that parse understands. The error of parse is told as it is.
func parsed[V any](describe schema, parse func(string) (V, error)) shape[V] {
	plain := text()
	s := schema{"type": "string"}
	for k, v := range describe {
		s[k] = v
	}
	return shape[V]{s, func(r *reader, n *yaml.Node) (v V, ok bool) {
		t, ok := plain.read(r, n)
		if !ok {
			return v, false
		}
		v, err := parse(t)
		if err != nil {
			r.fail(n, "%v", err)
			return v, false
		}
		return v, true
	}}
}

// list is a sequence of values, at least one.
func list[V any](of shape[V]) shape[[]V] {
	s := schema{"type": "array", "items": of.schema, "minItems": 1}
	return shape[[]V]{s, func(r *reader, n *yaml.Node) ([]V, bool) {
		if n.Kind != yaml.SequenceNode {
			r.fail(n, "expected a list, got %s", got(n))
			return nil, false
		}
		if len(n.Content) == 0 {
			r.fail(n, "the list is empty")
			return nil, false
		}
		all, good := make([]V, 0, len(n.Content)), true
		for _, c := range n.Content {
			v, ok := of.read(r, c)
			if good = good && ok; ok {
				all = append(all, v)
			}
		}
		return all, good
	}}
}

// many is one value or a list of them.
func many[V any](of shape[V]) shape[[]V] {
	seq := list(of)
	s := schema{"anyOf": []schema{of.schema, seq.schema}}
	return shape[[]V]{s, func(r *reader, n *yaml.Node) ([]V, bool) {
		if n.Kind == yaml.SequenceNode {
			return seq.read(r, n)
		}
		v, ok := of.read(r, n)
		return []V{v}, ok
	}}
}

// located is a value with its place.
type located[V any] struct {
	v  V
	at place
}

func where[V any](of shape[V]) shape[located[V]] {
	return shape[located[V]]{of.schema, func(r *reader, n *yaml.Node) (located[V], bool) {
		v, ok := of.read(r, n)
		return located[V]{v, r.place(n)}, ok
	}}
}

// A named is an entry of a map that its author chose the key of.
type named[V any] struct {
	name string
	at   place
	v    V
}

// marked takes a value for read although it is not right, after marking it: what
// else is wrong can then still be found. The load fails in any case.
func marked[V any](of shape[V], mark func(*V)) shape[V] {
	return shape[V]{of.schema, func(r *reader, n *yaml.Node) (V, bool) {
		v, ok := of.read(r, n)
		if !ok {
			mark(&v)
		}
		return v, true
	}}
}

// byName is a map from names to values, kept in the order of the file.
func byName[V any](of shape[V]) shape[[]named[V]] {
	s := schema{"type": "object", "additionalProperties": of.schema}
	return shape[[]named[V]]{s, func(r *reader, n *yaml.Node) (all []named[V], good bool) {
		good = r.pairs(n, func(k, v *yaml.Node) bool {
			value, ok := of.read(r, v)
			all = append(all, named[V]{k.Value, r.place(k), value})
			return ok
		})
		return all, good
	}}
}

// pairs calls do for each pair of a map, after checking that its keys are
// plain texts and unique.
func (r *reader) pairs(n *yaml.Node, do func(k, v *yaml.Node) bool) bool {
	if n.Kind != yaml.MappingNode {
		r.fail(n, "expected a map, got %s", got(n))
		return false
	}
	good := true
	seen := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode || k.ShortTag() == "!!merge" || k.Value == "" {
			r.fail(k, "expected a key, got %s", got(k))
			good = false
			continue
		}
		if line, twice := seen[k.Value]; twice {
			r.fail(k, "key %s is given twice, first in line %d", quote(k.Value), line)
			good = false
			continue
		}
		seen[k.Value] = k.Line
		good = do(k, v) && good
	}
	return good
}

// A key is one key of an object T.
type key[T any] struct {
	name, doc string
	required  bool
	schema    schema
	read      func(r *reader, n *yaml.Node, into *T) bool
}

// is makes a key whose value set puts into the object.
func is[T, V any](name, doc string, of shape[V], set func(*T, V)) key[T] {
	return key[T]{name: name, doc: doc, schema: of.schema, read: func(r *reader, n *yaml.Node, into *T) bool {
		v, ok := of.read(r, n)
		if ok {
			set(into, v)
		}
		return ok
	}}
}

func (k key[T]) must() key[T] { k.required = true; return k }

// object is a map with fixed keys. begin, if not nil, is told where it stands.
func object[T any](begin func(*T, *reader, *yaml.Node), keys ...key[T]) shape[T] {
	table := make(map[string]*key[T], len(keys))
	words := make([]string, len(keys))
	for i := range keys {
		words[i] = keys[i].name
		table[words[i]] = &keys[i]
	}
	slices.Sort(words)
	return shape[T]{objectSchema(keys), func(r *reader, n *yaml.Node) (v T, good bool) {
		if begin != nil {
			begin(&v, r, n)
		}
		good = r.pairs(n, func(k, val *yaml.Node) bool {
			known := table[k.Value]
			if known == nil {
				r.fail(k, "unknown key %s%s", quote(k.Value), meant(k.Value, words))
				return false
			}
			if scalar(val, "!!null") {
				r.fail(k, "key %s has no value", quote(k.Value))
				return false
			}
			return known.read(r, val, &v)
		})
		if n.Kind != yaml.MappingNode {
			return v, good
		}
		for i := range keys {
			if keys[i].required && child(n, keys[i].name) == nil {
				r.fail(n, "key %q is missing", keys[i].name)
				good = false
			}
		}
		return v, good
	}}
}

func objectSchema[T any](keys []key[T]) schema {
	props, required := schema{}, []string{}
	for _, k := range keys {
		one := schema{"description": k.doc}
		for name, v := range k.schema {
			one[name] = v
		}
		props[k.name] = one
		if k.required {
			required = append(required, k.name)
		}
	}
	s := schema{"type": "object", "properties": props, "additionalProperties": false}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

// child returns the value of a key, or nil.
func child(n *yaml.Node, name string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i+1]
		}
	}
	return nil
}

// either is a value of one shape if it is a map, else of the other.
func either[V any](plain, mapped shape[V]) shape[V] {
	s := schema{"anyOf": []schema{plain.schema, mapped.schema}}
	return shape[V]{s, func(r *reader, n *yaml.Node) (V, bool) {
		if n.Kind == yaml.MappingNode {
			return mapped.read(r, n)
		}
		return plain.read(r, n)
	}}
}
