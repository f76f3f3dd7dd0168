package agent

import (
	"bytes"
	"net/http"
	"strings"
	"sync"
)

// longest is the length of the longest product, in bytes.
const longest = 32

// products returns the table by product.
var products = sync.OnceValue(func() map[string]*Agent {
	m := map[string]*Agent{}
	for i := range table {
		for _, p := range table[i].Products {
			m[p] = &table[i]
		}
	}
	return m
})

// ByProduct returns who calls itself so, as in "claude-cli/2.1 (external)", or
// nil. It allocates nothing.
func ByProduct(said string) *Agent {
	if i := strings.IndexByte(said, '/'); i >= 0 {
		said = said[:i]
	}
	if len(said) > longest {
		return nil
	}
	var low [longest]byte
	for i := range len(said) {
		c := said[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		low[i] = c
	}
	return products()[string(low[:len(said)])]
}

// Named returns the entry of that name, or nil.
func Named(name string) *Agent {
	for i := range table {
		if table[i].Name == name {
			return &table[i]
		}
	}
	return nil
}

// ByProgram returns whose executable or script the file at path is, or nil.
func ByProgram(path string) *Agent {
	base := path[strings.LastIndexByte(path, '/')+1:]
	for i := range table {
		a := &table[i]
		for _, p := range a.Programs {
			if p == base {
				return a
			}
		}
		for _, p := range a.Packages {
			if within(path, p) {
				return a
			}
		}
		for _, p := range a.Paths {
			if strings.Contains(path, p) {
				return a
			}
		}
	}
	return nil
}

// within reports whether path leads through the package pkg, as npm lays them out.
func within(path, pkg string) bool {
	_, rest, ok := strings.Cut(path, "node_modules/"+pkg)
	for ok && !strings.HasPrefix(rest, "/") {
		_, rest, ok = strings.Cut(rest, "node_modules/"+pkg)
	}
	return ok
}

// Session returns what the header of a request of a calls its session, or "".
func (a *Agent) Session(h http.Header) string {
	if a == nil {
		return ""
	}
	for _, k := range a.Sessions {
		if v := h[k]; len(v) > 0 && v[0] != "" {
			return v[0]
		}
	}
	return ""
}

// Claimed is what an environment says of the session and of the tool call.
type Claimed struct{ Session, Call string }

// FromEnvironment reads an environment, entries "NAME=value" that end in NUL, for
// what agents tell the commands that they run.
func FromEnvironment(env []byte) (c Claimed) {
	for entry := range bytes.SplitSeq(env, []byte{0}) {
		name, val, ok := bytes.Cut(entry, []byte("="))
		if !ok || len(val) == 0 {
			continue
		}
		for i := range table {
			a := &table[i]
			if a.SessionVar == string(name) && c.Session == "" {
				c.Session = string(val)
			}
			if a.CallVar == string(name) && c.Call == "" {
				c.Call = string(val)
			}
		}
	}
	return c
}
