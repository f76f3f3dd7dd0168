package policy

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Bounds of what is read.
const (
	fileMax  = 64 << 20 // bytes of one file
	filesMax = 256
	depthMax = 8 // of include
)

//go:embed preset/*.yaml
var presets embed.FS

const presetPrefix = "preset:"

// Presets returns the names of the shipped policies.
func Presets() []string {
	files, _ := fs.Glob(presets, "preset/*.yaml") // the pattern is well formed
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = strings.TrimSuffix(filepath.Base(f), ".yaml")
	}
	return names
}

// PresetText returns the text of a shipped policy, named with or without preset:.
func PresetText(name string) ([]byte, error) {
	name = strings.TrimPrefix(name, presetPrefix)
	text, err := presets.ReadFile("preset/" + name + ".yaml")
	if err != nil || strings.ContainsAny(name, "/\\") {
		hint := meant(name, Presets())
		if hint == "" { // nothing is near: they are few enough to be told
			hint = ": it is one of " + strings.Join(Presets(), ", ")
		}
		return nil, fmt.Errorf("unknown preset %s%s", quote(name), hint)
	}
	return text, nil
}

// reading is the include graph of one source.
type reading struct {
	b     *builder
	docs  []*document
	seen  map[string]bool
	stack []string
}

// read reads a source with all that it includes. The source comes first.
func (b *builder) read(s Source) []*document {
	g := &reading{b: b, seen: map[string]bool{}}
	switch {
	case s.Path != "":
		g.file(s.Path, place{file: s.Path})
	case s.Text != nil:
		if s.Name == "" {
			s.Name = "policy"
		}
		g.text(s.Name, s.Text)
	case s.Preset != "":
		g.file(presetPrefix+s.Preset, place{file: presetPrefix + s.Preset})
	default:
		b.add(place{file: "layer " + s.Layer}, "no source is given")
	}
	return g.docs
}

// file reads one file; at is where it is asked for.
func (g *reading) file(name string, at place) {
	key := name
	if !strings.HasPrefix(name, presetPrefix) {
		if full, err := filepath.Abs(name); err == nil {
			key = full
		}
		if real, err := filepath.EvalSymlinks(key); err == nil {
			key = real
		}
	}
	switch {
	case slices.Contains(g.stack, key):
		g.b.add(at, "%s includes itself", clip(name))
		return
	case g.seen[key]:
		return
	case len(g.stack) >= depthMax:
		g.b.add(at, "files include each other more than %d deep", depthMax)
		return
	case len(g.seen) >= filesMax:
		g.b.add(at, "more than %d files are included", filesMax)
		return
	}
	g.seen[key] = true
	text, err := g.load(name)
	if err != nil {
		g.b.add(at, "%v", err)
		return
	}
	g.stack = append(g.stack, key)
	g.text(name, text)
	g.stack = g.stack[:len(g.stack)-1]
}

func (g *reading) load(name string) ([]byte, error) {
	if preset, ok := strings.CutPrefix(name, presetPrefix); ok {
		return PresetText(preset)
	}
	g.b.files = append(g.b.files, name)
	// What a policy from elsewhere includes must not make us wait or swallow.
	if info, err := os.Stat(name); err == nil && len(g.stack) > 0 && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("read %s: not a regular file", clip(name))
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, cause(err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, fileMax+1))
	if err != nil {
		return nil, cause(err)
	}
	if len(text) > fileMax {
		return nil, fmt.Errorf("the file is larger than %d MiB", fileMax>>20)
	}
	note(g.b.seen, name, text, nil)
	return text, nil
}

// cause returns the reason alone: the file is named already.
func cause(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return fmt.Errorf("read %s: %w", clip(pe.Path), pe.Err)
	}
	return err
}

// text parses one text and reads what it includes.
func (g *reading) text(name string, text []byte) {
	g.b.hash(text)
	doc, ok := parse(g.b, name, text)
	if !ok {
		return
	}
	g.docs = append(g.docs, doc)
	for _, inc := range doc.include {
		next := inc.v
		if !strings.HasPrefix(next, presetPrefix) {
			if strings.HasPrefix(name, presetPrefix) {
				g.b.add(inc.at, "a preset includes presets only")
				continue
			}
			if !filepath.IsAbs(next) {
				next = filepath.Join(filepath.Dir(name), next)
			}
		}
		g.file(next, inc.at)
	}
}

// parse reads one document. It reports false if nothing can be made of it; what
// is wrong within is told and the rest returned.
func parse(b *builder, name string, text []byte) (*document, bool) {
	var root yaml.Node
	if err := yaml.Load(text, &root); err != nil {
		b.add(yamlPlace(name, err), "%s", yamlMessage(err))
		return nil, false
	}
	if len(root.Content) != 1 || scalar(root.Content[0], "!!null") {
		b.add(place{name, 1, 1}, "the policy is empty: it begins with version: 1")
		return nil, false
	}
	top := root.Content[0]
	if at := odd(&root); at != nil {
		b.add(place{name, at.Line, at.Column}, "anchors, aliases and tags are not used in policies: use include: or a named destination")
		return nil, false
	}
	r := &reader{name, &b.problems}
	doc, _ := documentShape().read(r, top)
	return &doc, top.Kind == yaml.MappingNode
}

// odd returns a node with an alias, anchor or own tag, or nil.
func odd(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode || n.Anchor != "" || n.Style&yaml.TaggedStyle != 0 {
		return n
	}
	for _, c := range n.Content {
		if bad := odd(c); bad != nil {
			return bad
		}
	}
	return nil
}

func yamlPlace(name string, err error) place {
	var le *yaml.LoadError
	if errors.As(err, &le) && le.Mark.Line > 0 {
		return place{name, le.Mark.Line, le.Mark.Column}
	}
	return place{name, 1, 1}
}

func yamlMessage(err error) string {
	m := err.Error()
	var le *yaml.LoadError
	if errors.As(err, &le) {
		m = le.Message
	}
	switch m = oneLine(m); {
	case strings.Contains(m, "no documents"):
		return "the policy is empty: it begins with version: 1"
	case strings.Contains(m, "found multiple"):
		return "the file holds more than one YAML document"
	case strings.Contains(m, "unknown anchor"):
		return "a text that begins with * needs quotes"
	case strings.Contains(m, "cannot start any token"):
		return "not valid YAML: " + clip(m) + " (a text that begins with @ needs quotes; indent with spaces)"
	}
	return "not valid YAML: " + shorten(m, 200)
}
